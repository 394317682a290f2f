"""The optimizer as a whole: required fix-ups, names, dequantization, custom chains, the contract of passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import FormatError, NnefToolsError, PluginError, ShapeError, Unsupported, UsageError
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import verify
from nnef_tools.optimization import onnx_optimizer
from nnef_tools.optimization.nnef.passes import PASSES
from nnef_tools.optimization.nnef_optimizer import Optimizer
from nnef_tools.optimization.passes import MAX_PLUGIN_ROUNDS, Pass, run_pass, run_passes

from ..support.arrays import Array
from ..support.graphs import names
from .net import Net, evaluate, types


def network(net: Net) -> Graph:
    """Something for each pass to do."""
    x = net.external(2, 3, 8, 8, name="x")
    y = net.conv(net.pad(x, padding=[(0, 0), (0, 0), (1, 1), (1, 1)]), net.variable((4, 3, 3, 3)), padding=[(0, 0)] * 2)
    mean, offset, scale = net.variable((1, 4)), net.variable((1, 4)), net.variable((1, 4))
    variance = net.exp(net.variable((1, 4)))
    y = net.relu(net.batch_normalization(y, mean, variance, offset, scale, epsilon=1e-5))
    y = net.transpose(net.transpose(y, axes=[0, 2, 3, 1]), axes=[0, 3, 1, 2])
    y = net.mul(net.mul(net.add(y, 0.0), 2.0), 3.0)
    one = net.add(y, net.variable(np.ones((1, 4), np.float32)))
    two = net.sub(y, net.variable(np.ones((1, 4), np.float32)))
    three = net.concat([net.concat([net.exp(y), two], axis=1), net.exp(y)], axis=1)
    return net.done(net.copy(net.relu(one), name="a"), net.sigmoid(three, name="b"))


def test_everything_together(net: Net) -> None:
    graph = network(net)
    before = evaluate(graph)
    optimizer = Optimizer(debug=True)
    assert optimizer(graph) is graph
    assert types(graph) == ["conv", "relu", "mul", "add", "sub", "exp", "concat", "relu", "sigmoid"]
    assert names(graph.inputs) == ["x"] and names(graph.outputs) == ["a", "b"]
    verify(graph)
    for old, new in zip(before, evaluate(graph), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4)
    assert {result.name for result in optimizer.results} == {item.name for item in PASSES}
    difference = {}
    for result in optimizer.results:
        assert result.modified
        for name, change in result.difference.items():
            difference[name] = difference.get(name, 0) + change
    assert difference["batch_normalization"] == -1 and difference["transpose"] == -2 and difference["pad"] == -1


def test_an_optimized_graph_is_left_alone(net: Net) -> None:
    graph = Optimizer()(network(net))
    optimizer = Optimizer(debug=True)
    optimizer(graph)
    assert optimizer.results == []


def test_layers_of_inverse_pairs_cancel_from_the_inside(net: Net) -> None:
    y = net.relu(net.external(2, 3))
    for depth in range(60):
        y = net.transpose(y, axes=[1, 0]) if depth % 2 else net.neg(y)
    for depth in reversed(range(60)):
        y = net.transpose(y, axes=[1, 0]) if depth % 2 else net.neg(y)
    graph = Optimizer(debug=True)(net.done(net.exp(y)))
    assert types(graph) == ["relu", "exp"]


def test_required_only(net: Net) -> None:
    graph = network(net)
    before = types(graph)
    Optimizer()(graph, only_required=True)
    assert types(graph) == before


def bare_graph() -> Graph:
    """A graph without externals, as a converter may leave it."""
    graph = Graph("net")
    x = Tensor(graph, "x", (2, 3), np.float32)
    i = Tensor(graph, "i", (4,), np.int32)
    y = Operation(graph, type="neg", inputs=x, outputs=Tensor(graph, "y", (2, 3), np.float32)).output
    graph.inputs, graph.outputs = [x, i], [y]
    return graph


def test_inputs_get_externals_in_their_order() -> None:
    graph = bare_graph()
    Optimizer()(graph, only_required=True)
    assert [op.type for op in graph.operations] == ["external", "external", "neg"]
    assert [op.output.name for op in graph.operations[:2]] == ["x", "i"]
    assert [op.attribs for op in graph.operations[:2]] == [
        {"shape": [2, 3], "dtype": np.float32},
        {"shape": [4], "dtype": np.int64},
    ]
    assert all(isinstance(op.inputs, tuple) for op in graph.operations)
    verify(graph)


def test_externals_that_exist_are_kept_and_ordered() -> None:
    graph = bare_graph()
    external = Operation(graph, type="external", attribs={"shape": [4], "dtype": np.int64}, outputs=graph.inputs[1])
    Optimizer()(graph, only_required=True)
    assert [op.type for op in graph.operations] == ["external", "external", "neg"]
    assert graph.operations[1] is external


def test_an_input_of_unknown_shape_is_refused() -> None:
    graph = bare_graph()
    graph.inputs[0].shape = (None, 3)
    with pytest.raises(ShapeError, match=r"'x'.*not known"):
        Optimizer()(graph, only_required=True)


@pytest.mark.parametrize("only_required", [True, False])
def test_outputs_become_tensors_of_their_own(only_required: bool) -> None:
    graph = bare_graph()
    x, y = graph.inputs[0], graph.outputs[0]
    graph.outputs = [y, x, y, y]
    Optimizer()(graph, only_required=only_required)
    assert [op.type for op in graph.operations] == ["external", "external", "neg", "copy", "copy", "copy"]
    assert names(graph.outputs) == ["y", "copy1", "copy2", "copy3"]
    assert [t.producer.input if t is not y else None for t in graph.outputs] == [None, x, y, y]
    assert graph.outputs[1].producer.attribs == {"dtype": np.float32}
    verify(graph)


def test_names_may_be_dropped() -> None:
    graph = bare_graph()
    Optimizer(keep_tensor_names=False)(graph)
    assert names(graph.tensors) == ["external1", "external2", "neg1"]


@pytest.mark.parametrize("keep", [True, False])
def test_facts_follow_their_tensors(net: Net, keep: bool) -> None:
    """A new variable, where a number is free, must not get the facts of the one that had it."""
    x, weights = net.external(2, 4, name="x"), net.variable((6, 4), label="w")
    weights.name = "variable1"
    unused = net.neg(net.variable((1, 3), label="u"), name="variable2")
    y = net.linear(x, weights, net.variable((1, 6), label="b"))
    scaled = net.mul(net.linear(x, weights), 3.0)
    graph = net.done(net.relu(y, name="y"), net.relu(scaled, name="z"))
    graph.metadata["tensors"] = {"variable1": {"source": "W"}, unused.name: {"source": "U"}, "x": {"source": "X"}}
    Optimizer(keep_tensor_names=keep)(graph)
    facts = graph.metadata["tensors"]
    assert {tensor.name: facts[tensor.name]["source"] for tensor in graph.tensors if tensor.name in facts} == {
        weights.name: "W",
        x.name: "X",
    }
    assert len(facts) == 2 and (weights.name == "variable1") and (x.name == ("x" if keep else "external1"))
    assert [op.attribs["label"] for op in graph.operations if op.type == "variable"] == ["w", "b", "w_1"]


# dequantization

ZERO_POINT = {
    "op-name": "zero_point_linear_quantize",
    "zero_point": 10,
    "scale": 0.5,
    "bits": 8,
    "signed": False,
    "symmetric": False,
    "ignored": None,
}


def quantized(net: Net, data: Array, quant: dict[str, Any]) -> tuple[Graph | Tensor, ...]:
    v = net.variable(data)
    v.quant = quant
    graph = net.done(net.add(net.external(*data.shape), v))
    graph.outputs[0].quant = {"op-name": "zero_point_linear_quantize"}
    return graph, v


@pytest.mark.parametrize(
    ("data", "quant", "expected"),
    [
        (np.array([0, 10, 255], np.uint8), ZERO_POINT, [-5, 0, 122.5]),
        (np.array([-100, 0.25, 3.3, 200], np.float32), ZERO_POINT, [-5, 0.5, 3.5, 122.5]),
        (
            np.array([[0, 1], [0, 2]], np.int8),
            {**ZERO_POINT, "zero_point": [0, 1], "scale": [1.0, 0.5], "signed": True},
            [[0, 1], [-0.5, 0.5]],
        ),
        (
            np.array([-128, -64, 0, 127], np.int8),
            {
                "op-name": "min_max_linear_quantize",
                "min": -1.0,
                "max": 1.0,
                "bits": 8,
                "signed": True,
                "symmetric": False,
            },
            [-1, -0.498039, 0.0039216, 1],
        ),
    ],
)
def test_quantized_variables_become_real(net: Net, data: Array, quant: dict[str, Any], expected: list[Any]) -> None:
    graph, v = quantized(net, data, quant)
    optimizer = Optimizer(dequantize=True, debug=True)
    optimizer(graph)
    np.testing.assert_allclose(v.data, expected, atol=1e-6)
    assert v.data.dtype == np.float32 and v.dtype is np.float32 and v.producer.attribs["dtype"] is np.float32
    assert not v.quant and graph.outputs[0].quant
    assert optimizer.results[0].name == "dequantize" and optimizer.results[0].count == 1


def test_quantized_variables_stay_otherwise(net: Net) -> None:
    graph, v = quantized(net, np.zeros(3, np.uint8), ZERO_POINT)
    Optimizer()(graph)
    assert v.data.dtype == np.uint8 and v.quant == ZERO_POINT


@pytest.mark.parametrize(
    ("quant", "error", "message"),
    [
        ({"op-name": "my_quantize", "bits": 8}, Unsupported, "my_quantize"),
        ({"op-name": "zero_point_linear_quantize", "bits": 8}, FormatError, "lacks"),
        ({"op-name": "zero_point_linear_quantize", "zero_point": 1, "scale": 1.0}, FormatError, "lacks"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_quantization_that_is_not_understood(
    net: Net, quant: dict[str, Any], error: type[Any], message: str, dtype: type[Any]
) -> None:
    graph, _ = quantized(net, np.zeros(3, dtype), quant)
    with pytest.raises(error, match=message):
        Optimizer(dequantize=True)(graph)


# custom chains


def shuffle(first: Operation, last: Operation) -> None:
    graph = first.graph
    middle = Tensor(graph, None, first.output.shape, np.float32)
    Operation(graph, type="shuffle", inputs=first.input, outputs=middle, attribs={"groups": 2}, custom=True)
    Operation(graph, type="tail", inputs=middle, outputs=last.output, custom=True)


def test_custom_chains_see_optimized_graphs_and_new_tensors_are_named(net: Net) -> None:
    y = net.sigmoid(net.copy(net.relu(net.external(2, 3))))
    graph = net.done(net.tanh(net.mul(y, 1.0)))
    optimizer = Optimizer(custom_optimizers={("relu", frozenset({"sigmoid", "tanh"})): shuffle}, debug=True)
    optimizer(graph)
    assert types(graph) == ["shuffle", "tail", "tanh"]
    assert graph.operations[1].output.name == "shuffle1" and graph.operations[1].custom
    assert optimizer.results[-1].name == "custom optimizer relu > sigmoid|tanh"
    assert optimizer.results[-1].difference == {"relu": -1, "shuffle": 1, "sigmoid": -1, "tail": 1}
    verify(graph)


def test_passes_and_chains_repeat_until_nothing_changes(net: Net) -> None:
    def drop_foo(foo: Operation) -> None:
        Operation(foo.graph, type="neg", inputs=foo.inputs, outputs=foo.outputs)

    y = net.exp(net.external(2))
    for type in ("neg", "foo", "foo", "neg"):
        if type == "foo":
            result = net.tensor((2,), np.float32)
            Operation(net.graph, type=type, inputs=y, outputs=result)
            y = result
        else:
            y = net.op(type, y)
    graph = net.done(net.sin(y))
    Optimizer(custom_optimizers={("foo",): drop_foo}, debug=True)(graph)
    assert types(graph) == ["exp", "sin"]


def test_custom_chains_are_not_run_if_only_the_required_is_wanted(net: Net) -> None:
    graph = net.done(net.sigmoid(net.relu(net.external(2))))
    Optimizer(custom_optimizers={("relu", "sigmoid"): shuffle})(graph, only_required=True)
    assert types(graph) == ["relu", "sigmoid"]


def test_a_name_that_exists_already_is_given_up(net: Net) -> None:
    def renamed(first: Operation, last: Operation) -> None:
        middle = Tensor(first.graph, "x", (2,), np.float32)
        Operation(first.graph, type="foo", inputs=first.input, outputs=middle)
        Operation(first.graph, type="bar", inputs=middle, outputs=last.output)

    graph = net.done(net.sigmoid(net.relu(net.external(2, name="x"))))
    Optimizer(custom_optimizers={("relu", "sigmoid"): renamed})(graph)
    assert names(graph.tensors)[0] == "x" and graph.operations[1].output.name == "foo1"
    verify(graph)


def crashing(first: Operation, last: Operation) -> Any:
    return first.attribs["missing"]


def forgetful(first: Operation, last: Operation) -> Any:
    return None


def looping(first: Operation, last: Operation) -> None:
    for type, op in (("relu", first), ("sigmoid", last)):
        if op is first:
            middle = Tensor(op.graph, None, (2,), np.float32)
            Operation(op.graph, type=type, inputs=op.input, outputs=middle)
        else:
            Operation(op.graph, type=type, inputs=middle, outputs=op.output)


def breaking(first: Operation, last: Operation) -> None:
    Operation(first.graph, type="foo", inputs=Tensor(first.graph, "nothing"), outputs=last.output)


def refusing(first: Operation, last: Operation) -> None:
    raise UsageError("not for me")


@pytest.mark.parametrize(
    ("function", "messages"),
    [
        (crashing, ["relu > sigmoid", "crashing", "KeyError: 'missing'"]),
        (forgetful, ["relu, sigmoid", "forgetful", "return False"]),
        (looping, ["relu > sigmoid", "looping", "does not come to an end"]),
        (breaking, ["relu > sigmoid", "breaking", "'nothing' is used but neither"]),
    ],
)
def test_faulty_functions_are_named(net: Net, function: Callable[..., Any], messages: list[str]) -> None:
    graph = net.done(net.exp(net.sigmoid(net.relu(net.external(2)))))
    with pytest.raises(PluginError) as caught:
        Optimizer(custom_optimizers={("relu", "sigmoid"): function})(graph)
    assert all(message in str(caught.value) for message in messages), str(caught.value)


def test_errors_of_the_package_pass_through(net: Net) -> None:
    graph = net.done(net.exp(net.sigmoid(net.relu(net.external(2)))))
    with pytest.raises(UsageError, match="not for me"):
        Optimizer(custom_optimizers={("relu", "sigmoid"): refusing})(graph)


def test_chains_that_undo_each_other_come_to_an_end(net: Net) -> None:
    def to(type: str) -> Callable[..., Any]:
        return lambda op: Operation(op.graph, type=type, inputs=op.inputs, outputs=op.outputs) and None

    graph = net.done(net.exp(net.relu(net.external(2))))
    with pytest.raises(PluginError, match=str(MAX_PLUGIN_ROUNDS)):
        Optimizer(custom_optimizers={("relu",): to("elu"), ("elu",): to("relu")})(graph)


@pytest.mark.parametrize(
    "optimizers", [{"relu": shuffle}, {(): shuffle}, {("relu", 3): shuffle}, {("relu",): "no function"}]
)
def test_malformed_optimizers_are_refused(optimizers: dict[Any, Any]) -> None:
    with pytest.raises(PluginError):
        Optimizer(custom_optimizers=optimizers)


# ONNX


def onnx_graph() -> Graph:
    graph = Graph("net")
    x = Tensor(graph, "x", (2,), np.float32)
    y, z = (Tensor(graph, name, (2,), np.float32) for name in "yz")
    Operation(graph, type="Relu", inputs=x, outputs=y)
    Operation(graph, type="Sigmoid", inputs=y, outputs=z)
    graph.inputs, graph.outputs = [x], [z]
    return graph


def test_onnx_runs_each_chain_once() -> None:
    graph = onnx_graph()
    optimizer = onnx_optimizer.Optimizer(custom_optimizers={("Relu", "Sigmoid"): shuffle}, debug=True)
    assert optimizer(graph) is graph
    assert [op.type for op in graph.operations] == ["shuffle", "tail"]
    assert graph.operations[0].output.name == "shuffle1"
    assert [result.count for result in optimizer.results] == [1]


def test_onnx_needs_nothing() -> None:
    graph = onnx_graph()
    before = list(graph.operations)
    onnx_optimizer.Optimizer(custom_optimizers={("Relu", "Sigmoid"): shuffle})(graph, only_required=True)
    onnx_optimizer.Optimizer()(graph)
    assert list(graph.operations) == before


# the contract of passes


def test_a_result_tells_what_changed(net: Net) -> None:
    graph = net.done(net.copy(net.neg(net.external(2))))
    result = run_pass(graph, PASSES[0], debug=True)
    assert (result.name, result.count, result.difference, result.modified) == (
        "remove-identities",
        1,
        {"copy": -1},
        True,
    )


def test_debug_mode_finds_a_pass_that_breaks_the_graph(net: Net) -> None:
    graph = net.done(net.exp(net.neg(net.external(2))))

    def swap(graph: Graph) -> int:
        graph.move_operation(1, 2)
        return 1

    with pytest.raises(NnefToolsError, match="'swap' breaks the graph"):
        run_passes(graph, [Pass("swap", swap)], debug=True)


def test_debug_mode_finds_a_pass_that_hides_its_changes(net: Net) -> None:
    graph = net.done(net.exp(net.neg(net.external(2))))

    def edit(graph: Graph) -> int:
        graph.operations[-1].type = "sin"
        return 0

    with pytest.raises(NnefToolsError, match="'edit' changes the graph but reports no rewrite"):
        run_passes(graph, [Pass("edit", edit)], debug=True)


def test_cost_grows_linearly(net: Net) -> None:
    """Calls of functions in the pass over graphs of two sizes, with something to do at each operation."""
    import sys

    def cost(length: int) -> Any:
        net.__init__()
        y = net.external(1, 2, 3, 3)
        for _ in range(length):
            y = net.mul(net.conv(net.copy(y), net.variable((2, 2, 1, 1)), padding=[(0, 0)] * 2), 2.0)
            y = net.relu(net.neg(net.neg(net.add(y, net.variable((1, 2))))))
        graph = net.done(y)
        count = 0

        def profile(frame: Any, event: Any, argument: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            Optimizer()(graph)
        finally:
            sys.setprofile(None)
        assert sum(op.type == "conv" for op in graph.operations) == length
        assert sum(op.type in ("mul", "add", "copy", "neg") for op in graph.operations) == 0
        return count

    assert cost(400) < 4.6 * cost(100)


def test_operations_without_default_attributes(net: Net) -> None:
    """As plugins create them."""

    def bare(type: str, *inputs: Tensor, **attribs: list[Any]) -> Tensor:
        result = net.tensor(inputs[0].shape, np.float32)
        Operation(net.graph, type=type, inputs=inputs, outputs=result, attribs=attribs)
        return result

    x = net.external(1, 3, 4, 4)
    y = bare("pad", x, padding=[(0, 0)] * 4)
    y = bare("max_pool", y, size=[1, 1, 1, 1])
    y = bare("conv", bare("mul", y, net.literal(2.0)), net.variable((3, 3, 1, 1)))
    y = bare("reshape", bare("slice", y, axes=[1], begin=[0], end=[3]), shape=[1, 3, 4, 4])
    graph = Optimizer(debug=True)(net.done(bare("relu", y)))
    assert types(graph) == ["conv", "relu"]


def test_an_operation_that_lacks_an_attribute_is_named(net: Net) -> None:
    y = net.tensor((2,), np.float32, name="y")
    Operation(net.graph, type="transpose", inputs=net.external(2), outputs=y)
    with pytest.raises(FormatError, match=r"transpose.*y.*'axes'"):
        Optimizer()(net.done(net.exp(y)))

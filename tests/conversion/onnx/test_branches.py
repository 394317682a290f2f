"""NNEF to ONNX: what only one value of a condition needs becomes a branch of an If, and everything else stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto

from nnef_tools.conversion.nnef_to_onnx import Converter
from nnef_tools.execution.onnxruntime.nnef import NnefOnnxExecutor
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.io.onnx.writer import Layout, build_message
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import verify
from nnef_tools.optimization.onnx.branches import DEPTH, restore_branches

from ...support.nnef_models import nnef_graph
from ...support.onnx_models import run_onnx, text_model
from .checks import check, check_back, convert, to_onnx

Array = np.ndarray[Any, Any]

X = "c = external<logical>(shape = {shape}); x = external(shape = [4, 4]); w = external(shape = [4, 4]); "
HEAVY = "h = matmul(x, w); a = relu(h); "


def inputs(shape: Sequence[int] = (), names: str = "c") -> Iterator[dict[str, Array]]:
    """Random numbers, for all values of the conditions."""
    random = np.random.default_rng(0)
    x, w = random.standard_normal((2, 4, 4)).astype(np.float32)
    for bits in range(2 ** len(names)):
        values = {name: np.full(shape, bool(bits >> k & 1)) for k, name in enumerate(names)}
        yield {**values, "x": x, "w": w}


def checked(body: str, outputs: Sequence[str] = ("y",), shape: Sequence[int] = (), names: str = "c") -> ModelProto:
    """The model of NNEF statements, correct for all values of the conditions `names`, also when it is read again."""
    header = X.format(shape=list(shape)) + "".join(f"{n} = external<logical>(shape = []); " for n in names[1:])
    graph = nnef_graph(header + body, outputs)
    converted = Converter()(graph)
    verify(converted)
    for feeds in inputs(shape, names):
        model = check_back(graph, feeds)
        again = convert(model, [feeds[t.name or ""] for t in graph.inputs])
        for actual, wanted in zip(again.outputs, run_onnx(model, feeds), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)
    assert len(set(all_names(model.graph))) == len(list(all_names(model.graph)))
    return model


def all_names(graph: GraphProto) -> Iterator[str]:
    """Of initializers and results, in all graphs."""
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from node.output
        for branch in branches(node).values():
            yield from all_names(branch)


def branches(node: onnx.NodeProto) -> dict[str, GraphProto]:
    return {
        attribute.name.removesuffix("_branch"): attribute.g for attribute in node.attribute if attribute.HasField("g")
    }


def ops(graph: GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def structure(graph: GraphProto) -> list[Any]:
    """Types of operators; an If is a pair of structures."""
    return [
        (structure(branches(node)["then"]), structure(branches(node)["else"])) if node.op_type == "If" else node.op_type
        for node in graph.node
    ]


def test_then_only() -> None:
    model = checked(HEAVY + "y = select(c, a, x);")
    assert structure(model.graph) == [(["MatMul", "Relu"], ["Identity"])]
    (node,) = model.graph.node
    assert (list(node.input), list(node.output)) == (["c"], ["y"])
    assert [info.name for info in branches(node)["then"].output] == ["a"]


def test_else_only() -> None:
    model = checked(HEAVY + "y = select(c, x, a);")
    assert structure(model.graph) == [(["Identity"], ["MatMul", "Relu"])]


def test_both_sides() -> None:
    model = checked(HEAVY + "b = neg(x); y = select(c, a, b);")
    assert structure(model.graph) == [(["MatMul", "Relu"], ["Neg"])]


def test_several_results_are_one_if() -> None:
    body = HEAVY + "b = exp(x); y = select(c, a, b); z = select(c, x, abs(b)); u = neg(z);"
    model = checked(body, ["y", "u"])
    assert structure(model.graph) == [(["MatMul", "Relu", "Identity"], ["Exp", "Abs"]), "Neg"]
    assert list(model.graph.node[0].output) == ["y", "z"]


def test_one_tensor_as_two_results() -> None:
    """A graph of ONNX cannot have the same result twice."""
    model = checked(HEAVY + "y = select(c, a, x); z = select(c, a, w);", ["y", "z"])
    assert structure(model.graph) == [(["MatMul", "Relu", "Identity"], ["Identity", "Identity"])]


def test_nested() -> None:
    body = HEAVY + "b = matmul(w, x); i = select(d, a, b); y = select(c, exp(i), x);"
    model = checked(body, names="cd")
    assert structure(model.graph) == [([(["MatMul", "Relu"], ["MatMul"]), "Exp"], ["Identity"])]


def test_a_computed_condition_inside_of_a_branch() -> None:
    body = (
        "s = sum_reduce(x, axes = [0, 1]); d = gt(s, 0.0); h = matmul(x, w); i = select(d, h, x); y = select(c, i, w);"
    )
    model = checked(body)
    inner = (["MatMul"], ["Identity"])
    assert structure(model.graph) == [(["ReduceSum", "Greater", inner], ["Identity"])]


def test_operators_that_are_needed_elsewhere_stay_outside() -> None:
    body = HEAVY + "y = select(c, exp(a), neg(a)); z = matmul(x, a); u = select(c, z, x); v = copy(z);"
    model = checked(body, ["y", "u", "v"])
    assert ops(model.graph)[:2] == ["MatMul", "Relu"]
    assert "MatMul" in ops(model.graph)[2:]  # z is a result of the model
    assert {"If"}.isdisjoint(ops(model.graph))  # what is left to skip are an Exp and a Neg


def test_results_of_the_model_stay_outside() -> None:
    model = checked(HEAVY + "b = matmul(a, w); y = select(c, b, x);", ["y", "a"])
    assert structure(model.graph) == ["MatMul", "Relu", (["MatMul"], ["Identity"])]


def test_a_condition_that_depends_on_a_value() -> None:
    model = checked(HEAVY + "d = gt(sum_reduce(a, axes = [0, 1]), 1.0); y = select(d, matmul(a, a), x);")
    assert structure(model.graph) == ["MatMul", "Relu", "ReduceSum", "Greater", (["MatMul"], ["Identity"])]


@pytest.mark.parametrize("shape", [[], [1], [1, 1]])
def test_shapes_of_the_condition(shape: list[int]) -> None:
    model = checked(HEAVY + "y = select(c, a, x);", shape=shape)
    assert structure(model.graph) == [(["MatMul", "Relu"], ["Identity"])]
    assert list(model.graph.node[0].input) == ["c"]


def test_changes_of_rank_of_the_condition_are_left_out() -> None:
    body = HEAVY + "d = not(c); e = reshape(d, shape = [1, 1]); y = select(e, a, x); z = select(d, a, w);"
    model = checked(body, ["y", "z"])
    assert structure(model.graph) == ["Not", (["MatMul", "Relu", "Identity"], ["Identity", "Identity"])]
    assert not model.graph.initializer


def test_a_changed_rank_that_is_used_elsewhere() -> None:
    body = HEAVY + "e = reshape(c, shape = [1, 1]); y = select(e, a, x); q = not(e);"
    model = checked(body, ["y", "q"])
    assert sorted(map(str, structure(model.graph))) == sorted(
        map(str, ["Reshape", "Not", (["MatMul", "Relu"], ["Identity"])])
    )


@pytest.mark.parametrize(
    "body",
    [
        "y = select(c, exp(x), neg(w));",
        "y = select(c, x, w);",
        "y = select(c, matmul(x, w), 0.0);",
        "m = external<logical>(shape = [4, 4]); y = select(m, matmul(x, w), x);",
        "y = select(c, matmul(x, w), sum_reduce(x, axes = [1]));",
    ],
    ids=["cheap", "nothing", "a number", "a condition for each item", "a broadcast operand"],
)
def test_what_stays(body: str) -> None:
    graph = nnef_graph(X.format(shape=[]) + body)
    for taken in (False, True):
        feeds = next(inputs())
        feeds["c"] = np.array(taken)
        if "m = " in body:
            feeds["m"] = feeds["x"] > 0
        model = check_back(graph, feeds)
    assert ops(model.graph)[-1] == "Where" and "If" not in ops(model.graph)


def test_many_items_are_worth_it() -> None:
    text = "c = external<logical>(shape = []); x = external(shape = [{n}]); y = select(c, exp(x), x);"
    for n, wanted in ((4095, ["Exp", "Where"]), (4096, ["If"])):
        for taken in (False, True):
            feeds = {"c": np.array(taken), "x": np.linspace(0, 1, n, dtype=np.float32)}
            check_back(nnef_graph(text.format(n=n)), feeds, ops=wanted)


def test_constants_as_results() -> None:
    """Without their leading axes as operand of Where, with them as result of a branch."""
    body = "k = [[0.5, 1.0, 1.5, 2.0]]; s = sum_reduce(matmul(x, w), axes = [0]); y = select(c, s, k); "
    text = X.format(shape=[]) + body.replace(
        "k = [[0.5, 1.0, 1.5, 2.0]]", "k = constant(shape = [1, 4], value = [0.5, 1.0, 1.5, 2.0])"
    )
    axes = {"constant_result": [1]}
    for outputs, more in ((["y"], ""), (["y", "z"], "z = select(c, neg(s), k);"), (["y", "z"], "z = add(x, k);")):
        graph = nnef_graph(text + more, outputs)
        for feeds in inputs():
            model = check_back(graph, feeds)
        assert "If" in ops(model.graph)
        shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
        assert shapes == {"k": [4], "k_1": [1, 4], **axes} if "add" in more else {"k": [1, 4], **axes}


def test_selections_that_depend_on_each_other() -> None:
    """Two of one condition, the second of which needs the first one's result on both sides, cannot be one If."""
    body = "a = select(c, matmul(x, w), x); y = select(c, matmul(a, x), matmul(w, a));"
    model = checked(body)
    assert structure(model.graph) == [(["MatMul"], ["Identity"]), (["MatMul"], ["MatMul"])]


def test_groups_that_depend_on_each_other() -> None:
    """a1 -> b1 and b2 -> a2: if both groups became one If, each would wait for the other."""
    body = """
        a1 = select(c, matmul(x, w), x); b1 = select(d, matmul(a1, w), w);
        b2 = select(d, matmul(w, w), x); a2 = select(c, matmul(b2, x), w);
        y = add(b1, a1); z = add(a2, b2);"""
    model = checked(body, ["y", "z"], names="cd")
    assert Counter(ops(model.graph)) == {"If": 3, "Add": 2}


def test_one_condition_in_different_places() -> None:
    """What is only needed where d holds is not computed for c alone."""
    body = "a = select(c, matmul(x, w), x); b = select(c, matmul(w, x), w); y = select(d, exp(a), x); z = neg(b);"
    model = checked(body, ["y", "z"], names="cd")
    inner = (["MatMul"], ["Identity"])
    assert structure(model.graph) == [inner, "Neg", ([inner, "Exp"], ["Identity"])]


def test_depth_is_limited() -> None:
    """Parsers of messages accept so many levels."""
    count = DEPTH + 10
    conditions = "".join(f"c{k} = external<logical>(shape = []); " for k in range(count))
    chain = "".join(f"x{k + 1} = select(c{k}, matmul(x{k}, w), x); " for k in range(count))
    text = f"{conditions} x = external(shape = [4, 4]); w = external(shape = [4, 4]); x0 = copy(x); {chain}"
    graph = nnef_graph(text, [f"x{count}"])
    random = np.random.default_rng(0)
    for last in (count, DEPTH + 2, 3):
        feeds: dict[str, Array] = {f"c{k}": np.array(k < last) for k in range(count)}
        feeds |= {name: random.standard_normal((4, 4)).astype(np.float32) / 4 for name in ("x", "w")}
        model = check_back(graph, feeds)
    depth, inner = 0, model.graph
    while "If" in ops(inner):
        depth, inner = depth + 1, branches(next(node for node in inner.node if node.op_type == "If"))["then"]
    assert depth == DEPTH
    convert(model, list(feeds.values()))


def test_random_models() -> None:
    """Operators and selections in any order."""
    count = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        values, lines = ["x", "w"], []
        for k in range(int(random.integers(6, 24))):
            first, second, third = random.choice(values[-5:], 3)
            kind = random.integers(0, 6)
            if kind < 3:
                lines.append(f"v{k} = select({random.choice(['c', 'd', 'e'])}, {first}, {second});")
            elif kind < 5:
                lines.append(f"v{k} = matmul({first}, {second});")
            else:
                lines.append(f"v{k} = tanh(add({first}, {third}));")
            values.append(f"v{k}")
        outputs = sorted({str(random.choice(values[2:])), values[-1]})
        count += number_of_ifs(lines, outputs)
    assert count > 40


def number_of_ifs(lines: list[str], outputs: list[str]) -> int:
    """In the model of these statements, which is correct."""
    header = X.format(shape=[]) + "d = external<logical>(shape = []); e = external<logical>(shape = []); "
    graph = nnef_graph(header + " ".join(line.replace("matmul", "0.25 * matmul") for line in lines), outputs)
    verify(Converter()(graph))
    for feeds in list(inputs(names="cde"))[::3]:
        model = check_back(graph, feeds)
    return count_ifs(model.graph)


def count_ifs(graph: GraphProto) -> int:
    return sum(1 + sum(map(count_ifs, branches(node).values())) for node in graph.node if node.op_type == "If")


def test_names_and_mapping() -> None:
    """Tensors inside of branches have their names, but cannot be observed in ONNX."""
    graph = nnef_graph(
        X.format(shape=[]) + HEAVY + "t = neg(x); b = add(a, t); y = select(c, b, t); z = exp(t);", ["y", "z"]
    )
    converter = Converter()
    converted = converter(graph)
    (node,) = (op for op in converted.operations if op.type == "If")
    assert {"h", "a"} <= {t.name for t in node.attribs["then_branch"].tensors}
    assert converter.tensor_mapping() == {name: name for name in ("c", "x", "w", "t", "y", "z")}


def test_asking_for_tensors_of_branches() -> None:
    graph = nnef_graph(X.format(shape=[]) + HEAVY + "y = select(c, neg(a), x);")
    executor = NnefOnnxExecutor(graph)
    for feeds in inputs():
        h = feeds["x"] @ feeds["w"]
        expected = {"h": h, "a": np.maximum(h, 0), "y": -np.maximum(h, 0) if feeds["c"] else feeds["x"]}
        np.testing.assert_allclose(executor.run(feeds)["y"], expected["y"], rtol=1e-5)
        results = executor.run(feeds, output_names=["h", "a", "y"])
        for name, value in expected.items():
            np.testing.assert_allclose(results[name], value, rtol=1e-5)
        seen: dict[str, Array] = {}
        executor.run(feeds, observe=seen.__setitem__)
        np.testing.assert_allclose(seen["a"], expected["a"], rtol=1e-5)


def test_messages_without_descriptions() -> None:
    """As the runtime gets them: no types of intermediate results, in no graph."""
    graph = nnef_graph(X.format(shape=[]) + HEAVY + "y = select(c, a, x);")
    model = onnx.load_model_from_string(
        Layout(build_message(Converter()(graph), describe_results=False), {}).to_bytes()
    )
    onnx.checker.check_model(model, full_check=True)
    then = branches(model.graph.node[0])["then"]
    assert not model.graph.value_info and not then.value_info
    described = to_onnx(graph)[1]
    assert [info.name for info in branches(described.graph.node[0])["then"].value_info] == ["h"]


def test_domains_inside_of_branches_are_imported() -> None:
    graph = nnef_graph(X.format(shape=[]) + HEAVY + "y = select(c, a, x);")
    converted = Converter()(graph)
    (node,) = converted.operations
    inner = node.attribs["then_branch"].operations[-1]
    inner.type, inner.domain = "Mystery", "far.away"
    imports = {item.domain: item.version for item in build_message(converted).model.opset_import}
    assert imports == {"": 21, "far.away": 1}


def quantized(graph: Graph) -> Array:
    """Gives the variable of a graph codes; their real values."""
    (variable,) = (op.output for op in graph.operations if op.type == "variable")
    variable.data, variable.dtype = np.arange(-8, 8, dtype=np.int8).reshape(4, 4), np.int8
    variable.quant = {"op-name": "zero_point_linear_quantize", "zero_point": 0, "scale": 0.5, "bits": 8,
                      "signed": True, "symmetric": False}  # fmt: skip
    return variable.data * np.float32(0.5)


def test_quantized_operators_move_too() -> None:
    """With their codes: onnxruntime, which here rounds the other matrix too, wants them in the same graph."""
    graph = nnef_graph(
        X.format(shape=[]) + "k = variable(shape = [4, 4], label = 'k'); y = select(c, matmul(x, k), w);"
    )
    weights = quantized(graph)
    _, model = to_onnx(graph)
    assert structure(model.graph) == [(["DequantizeLinear", "MatMul"], ["Identity"])]
    assert not model.graph.initializer
    assert branches(model.graph.node[0])["then"].initializer[0].name == "k"
    for feeds in inputs():
        wanted = feeds["x"] @ weights if feeds["c"] else feeds["w"]
        np.testing.assert_allclose(run_onnx(model, feeds)[0], wanted, atol=0.05)


def test_quantized_weights_of_both_sides() -> None:
    graph = nnef_graph(
        X.format(shape=[])
        + "k = variable(shape = [4, 4], label = 'k'); y = select(c, matmul(x, k), matmul(k, x)); z = neg(w);",
        ["y", "z"],
    )
    weights = quantized(graph)
    _, model = to_onnx(graph)
    assert structure(model.graph) == ["DequantizeLinear", "Neg", (["MatMul"], ["MatMul"])]
    for feeds in inputs():
        wanted = feeds["x"] @ weights if feeds["c"] else weights @ feeds["x"]
        np.testing.assert_allclose(run_onnx(model, feeds)[0], wanted, atol=0.05)


@pytest.mark.parametrize("kind", ["one condition", "many conditions"])
def test_large_models_take_linear_time(kind: str) -> None:
    """5000 selections in a chain: a pass over all operators for each would not end in sensible time."""
    graph = Graph("g")
    x, c = Tensor(graph, "x", (2, 2), np.float32), Tensor(graph, "c", (), np.bool_)
    graph.inputs = [x, c]
    value = x
    for k in range(5000):
        if kind == "many conditions":
            c = Tensor(graph, f"c{k}", (), np.bool_)
            Operation(graph, "RandomCondition", inputs=value, outputs=c)
        sides = [Tensor(graph, f"{side}{k}", (2, 2), np.float32) for side in "ab"]
        for side, type in zip(sides, ("MatMul", "Gemm"), strict=True):
            Operation(graph, type, inputs=(value, value), outputs=side)
        before, value = value, Tensor(graph, f"v{k}", (2, 2), np.float32)
        Operation(graph, "Where", inputs=(c, *sides), outputs=value)
    graph.outputs = [value]
    assert restore_branches(graph) == 5000
    assert Counter(op.type for op in graph.operations)["If"] == 5000
    assert before.graph is graph


def test_there_and_back_again() -> None:
    """Ifs of ONNX come back as they were, and once more."""
    model = text_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (bool a, bool b, float[4,4] x) => (float[4,4] y, float[4,4] z) {
        u = Neg(x)
        y, z = If (a) <
            then_branch = t () => (float[4,4] r, float[4,4] s) {
                v = MatMul(u, x)
                r = If (b) <
                    then_branch = tt () => (float[4,4] q) { q = MatMul(u, v) },
                    else_branch = te () => (float[4,4] q) { q = Identity(v) }
                >
                s = Abs(v)
            },
            else_branch = e () => (float[4,4] r, float[4,4] s) { r = Identity(x) s = MatMul(x, u) }
        >
    }""")
    x = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    inner = (["MatMul"], ["Identity"])
    for a in (False, True):
        for b in (False, True):
            feeds: list[Array] = [np.array(a), np.array(b), x]
            once = model
            for _ in range(2):
                graph = check(once, feeds).graph
                back = to_onnx(graph)[1]
                assert [sorted(map(str, part)) for part in structure(back.graph)[1]] == [
                    sorted(map(str, [inner, "Abs", "MatMul"])), ["Identity", "MatMul"],
                ]  # fmt: skip
                for actual, wanted in zip(
                    run_onnx(back, named(back, feeds)), run_onnx(model, named(model, feeds)), strict=True
                ):
                    np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)
                once = back
            names = set(all_names(back.graph))
            assert {"u", "v", "y", "z"} <= names


def named(model: ModelProto, feeds: Sequence[Array]) -> Mapping[str, Array]:
    return dict(zip((info.name for info in model.graph.input), feeds, strict=True))


def test_the_graph_that_was_read_has_the_same_form() -> None:
    """What the converter makes and what the reader gives have captured tensors in common."""
    graph = nnef_graph(X.format(shape=[]) + HEAVY + "y = select(c, a, x);")
    converted, model = to_onnx(graph)
    read = onnx_model_to_graph(model)

    def captures(graph: Graph) -> list[tuple[str | None, bool]]:
        (node,) = graph.operations
        return [(tensor.name, tensor.graph is graph) for tensor in node.captures]

    assert captures(converted) == captures(read) == [("x", True), ("w", True)]

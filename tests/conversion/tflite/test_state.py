"""Resource variables and control flow of TensorFlow Lite against LiteRT, over several runs and through every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, load_model
from nnef_tools.conversion.tflite.to_nnef.converter import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor

from ...support.onnx_models import onnx_session

pytest.importorskip("ai_edge_litert")

QUANT = {"min": None, "max": None, "scale": 0.5, "zero_point": -3, "quantized_dimension": 0}
OTHER = {**QUANT, "scale": 0.25}
SHAPE = (1, 3)

COMPOSITE = {"name": "odml.example", "version": 1, "composite_attributes": np.array([0, 0, 1, 0, 0, 36, 1], np.uint8)}
"""The options of a STABLEHLO_COMPOSITE; the attributes are an empty map in FlexBuffer's form."""


class Net:
    """A graph of io.tf.lite, made operator by operator."""

    def __init__(self, name: str = "main", dtype: Any = np.float32, quant: dict[str, Any] | None = None) -> None:
        self.graph = Graph(name)
        self.dtype = dtype
        self.quant = quant or {}
        self._count = 0

    def tensor(self, shape: Sequence[int] = SHAPE, dtype: Any = None, quant: Any = None) -> Tensor:
        self._count += 1
        given = self.quant if quant is None and dtype is None else quant or {}
        return Tensor(self.graph, f"{self.graph.name}{self._count}", tuple(shape), dtype or self.dtype, quant=given)

    def constant(self, value: Any, dtype: Any = None) -> Tensor:
        array = np.asarray(value, dtype or self.dtype)
        tensor = self.tensor(array.shape, dtype)
        tensor.data = array
        return tensor

    def op(self, type: str, *inputs: Tensor, outputs: Sequence[Tensor] | None = None, **attribs: Any) -> Tensor:
        results = [self.tensor()] if outputs is None else outputs
        Operation(self.graph, type=type, attribs=attribs, inputs=inputs, outputs=tuple(results))
        return results[0] if results else Tensor(Graph())

    def handle(self, name: str = "memory/state") -> Tensor:
        return self.op("VAR_HANDLE", outputs=[self.tensor((), np.void)], container="", shared_name=name)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return self.op("ADD", x, y, fused_activation_function="NONE", pot_scale_int16=False)

    def finish(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Graph:
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        return self.graph


def initial(value: Any, **options: Any) -> Graph:
    """The subgraph that gives the variable its first value."""
    net = Net("init", **options)
    net.op("ASSIGN_VARIABLE", net.handle(), net.constant(value), outputs=[])
    return net.finish([], [])


def accumulator(value: Any = ((1, 2, -1),), **options: Any) -> Graph:
    """The state, before and after it is increased by the input, and what is read then."""
    net = Net(**options)
    x, handle = net.tensor(), net.handle()
    net.op("CALL_ONCE", outputs=[], init_subgraph=initial(value, **options))
    before = net.op("READ_VARIABLE", handle)
    after = net.add(before, x)
    net.op("ASSIGN_VARIABLE", handle, after, outputs=[])
    again = net.op("READ_VARIABLE", handle)
    return net.finish([x], [net.add(before, before), after, again])


def agree(graph: Graph, tmp_path: Path, runs: int = 4) -> Path:
    """Compares several runs with LiteRT: NNEF in three runtimes, ONNX, and TensorFlow Lite again, made of NNEF or ONNX.

    After a reset, they begin again.
    """
    path = tmp_path / "model.tflite"
    Writer()(graph, path)
    quant = dict(graph.inputs[0].quant or {})
    for target in ("m.nnef",) if quant else ("m.nnef", "m.onnx"):
        convert_model(path, tmp_path / target, verify=not quant)
    reference = make_executor(path, format="tflite", backend="litert-reference")
    executors = [make_executor(tmp_path / "m.nnef", backend=backend) for backend in ("numpy", "torch", "onnxruntime")]
    executors += [] if quant else [make_executor(tmp_path / "m.onnx", format="onnx")]
    for source in ("m.nnef",) if quant else ("m.nnef", "m.onnx"):
        back = tmp_path / f"from_{source}.tflite"
        convert_model(tmp_path / source, back, verify=True)
        executors.append(make_executor(back, format="tflite", backend="litert-reference"))
    random = np.random.default_rng(1)
    for k in range(2 * runs):
        if k == runs:
            reference.reset()
            for executor in executors:
                executor.reset()
        x = random.integers(-9, 10, graph.inputs[0].shape).astype(graph.inputs[0].dtype)
        wanted = reference.run({reference.inputs[0].name: x})
        real = (x - quant["zero_point"]).astype(np.float32) * np.float32(quant["scale"]) if quant else x
        for executor in executors:
            given = x if executor.inputs[0].dtype == x.dtype else real
            found = executor.run({executor.inputs[0].name: given})
            for a, b in zip(wanted.values(), found.values(), strict=True):
                if quant and b.dtype != a.dtype:
                    a = (a - quant["zero_point"]) * np.float32(quant["scale"])
                np.testing.assert_allclose(b, a, rtol=1e-6)
    return path


def test_resource_variables(tmp_path: Path) -> None:
    path = agree(accumulator(), tmp_path)
    graph = load_model(tmp_path / "m.nnef")
    assert [op.attribs["label"] for op in graph.operations if op.type == "variable"] == ["memory/state"]
    assert [op.type for op in graph.operations].count("update") == 1
    session = onnx_session(tmp_path / "m.onnx")
    x, state = np.ones(SHAPE, np.float32), np.array([[1, 2, -1]], np.float32)
    reference = make_executor(path, format="tflite", backend="litert-reference")
    for _ in range(3):
        wanted = list(reference.run({reference.inputs[0].name: x}).values())
        *found, state = session.run(None, {session.get_inputs()[0].name: x, "memory/state": state})
        for a, b in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_variables_of_integers(tmp_path: Path) -> None:
    agree(accumulator(dtype=np.int32), tmp_path)


def test_variables_of_truth_values(tmp_path: Path) -> None:
    net = Net(dtype=np.bool_)
    x, handle = net.tensor(), net.handle()
    net.op("CALL_ONCE", outputs=[], init_subgraph=initial([[True, False, False]], dtype=np.bool_))
    before = net.op("READ_VARIABLE", handle)
    net.op("ASSIGN_VARIABLE", handle, net.op("LOGICAL_OR", before, x), outputs=[])
    agree(net.finish([x], [before]), tmp_path)
    convert_model(tmp_path / "m.onnx", tmp_path / "back.nnef", verify=True)
    assert make_executor(tmp_path / "back.nnef").has_state


def test_quantized_variables_store_codes(tmp_path: Path) -> None:
    agree(accumulator([[1, 2, -7]], dtype=np.int8, quant=QUANT), tmp_path)
    graph = load_model(tmp_path / "m.nnef")
    (variable,) = [op.output for op in graph.operations if op.type == "variable"]
    assert (variable.data.dtype, variable.data.tolist()) == (np.int8, [[1, 2, -7]])


def test_the_last_assignment_counts(tmp_path: Path) -> None:
    net = Net()
    x, handle = net.tensor(), net.handle()
    net.op("CALL_ONCE", outputs=[], init_subgraph=initial([[0, 0, 0]]))
    net.op("ASSIGN_VARIABLE", handle, net.add(net.op("READ_VARIABLE", handle), x), outputs=[])
    second = net.handle()  # of the same variable
    y = net.op("READ_VARIABLE", second)
    net.op("ASSIGN_VARIABLE", second, net.add(y, y), outputs=[])
    agree(net.finish([x], [y]), tmp_path)


def test_a_variable_for_one_run_only(tmp_path: Path) -> None:
    net = Net()
    x, handle = net.tensor(), net.handle()
    net.op("ASSIGN_VARIABLE", handle, x, outputs=[])
    converted = Converter()(net.finish([x], [net.op("READ_VARIABLE", handle)]))
    assert "variable" not in [op.type for op in converted.operations]


def test_a_variable_that_is_never_assigned_is_a_constant(tmp_path: Path) -> None:
    net = Net()
    x, handle = net.tensor(), net.handle()
    net.op("CALL_ONCE", outputs=[], init_subgraph=initial([[1, 2, 3]]))
    agree(net.finish([x], [net.add(x, net.op("READ_VARIABLE", handle))]), tmp_path)
    assert not make_executor(tmp_path / "m.nnef").has_state


def refused(build: Callable[[Net, Tensor, Tensor], Tensor], match: str, init: Any = None) -> None:
    net = Net()
    x, handle = net.tensor(), net.handle()
    if init is not None:
        net.op("CALL_ONCE", outputs=[], init_subgraph=initial(init))
    with pytest.raises(ConversionError, match=match):
        Converter()(net.finish([x], [build(net, x, handle)]))


def test_refusals() -> None:
    refused(lambda net, x, handle: net.op("READ_VARIABLE", handle), "is read before it has a value")

    def assigned(net: Net, x: Tensor, handle: Tensor) -> Tensor:
        net.op("ASSIGN_VARIABLE", handle, x, outputs=[])
        return net.add(x, x)

    refused(assigned, "changes its shape or type", [[0, 0]])
    net = Net(dtype=np.int8, quant=QUANT)
    x, handle = net.tensor(), net.handle()
    net.op("CALL_ONCE", outputs=[], init_subgraph=initial([[0, 0, 0]], dtype=np.int8, quant=OTHER))
    with pytest.raises(ConversionError, match="codes of another quantization"):
        Converter()(net.finish([x], [assigned(net, x, handle)]))


# control flow


def branch(name: str, type: str, y: float | None = None) -> Graph:
    net = Net(name)
    x = net.tensor()
    operand = x if y is None else net.constant([[y] * 3])
    return net.finish([x], [net.op(type, x, operand, fused_activation_function="NONE")])


def test_if_with_a_computed_condition(tmp_path: Path) -> None:
    net = Net()
    x = net.tensor()
    sum = net.op("SUM", x, net.constant([0, 1], np.int32), outputs=[net.tensor(())], keep_dims=False)
    condition = net.op("GREATER", sum, net.constant(0.0), outputs=[net.tensor((), np.bool_)])
    results = [net.tensor()]
    net.op("IF", condition, x, outputs=results, then_subgraph=branch("a", "MUL"), else_subgraph=branch("b", "ADD", 5))
    agree(net.finish([x], results), tmp_path)


def test_if_with_a_constant_condition(tmp_path: Path) -> None:
    net = Net()
    x, results = net.tensor(), [net.tensor()]
    condition = net.constant(True, np.bool_)
    net.op("IF", condition, x, outputs=results, then_subgraph=branch("a", "MUL"), else_subgraph=branch("b", "ADD", 5))
    agree(net.finish([x], results), tmp_path)
    converted = Converter()(Reader()(tmp_path / "model.tflite"))
    assert [op.type for op in converted.operations] == ["external", "mul"]


def counted(limit: int) -> tuple[Graph, Graph]:
    """The condition and the body of a loop over a counter and a tensor."""
    condition = Net("cond")
    k, x = condition.tensor((), np.int32), condition.tensor()
    less = condition.op("LESS", k, condition.constant(limit, np.int32), outputs=[condition.tensor((), np.bool_)])
    body = Net("body")
    j, y = body.tensor((), np.int32), body.tensor()
    options = {"fused_activation_function": "NONE", "pot_scale_int16": False}
    following = body.op("ADD", j, body.constant(1, np.int32), outputs=[body.tensor((), np.int32)], **options)
    return condition.finish([k, x], [less]), body.finish([j, y], [following, body.add(y, body.constant([[1, 2, 3]]))])


def test_while(tmp_path: Path) -> None:
    net = Net()
    x, (condition, body) = net.tensor(), counted(3)
    results = [net.tensor((), np.int32), net.tensor()]
    net.op("WHILE", net.constant(0, np.int32), x, outputs=results, cond_subgraph=condition, body_subgraph=body)
    agree(net.finish([x], results[1:]), tmp_path)


def test_while_that_depends_on_data() -> None:
    net = Net()
    x, (condition, body) = net.tensor(), counted(3)
    count = net.tensor((), np.int32)
    results = [net.tensor((), np.int32), net.tensor()]
    net.op("WHILE", count, x, outputs=results, cond_subgraph=condition, body_subgraph=body)
    with pytest.raises(ConversionError, match="the number of iterations depends on the data"):
        Converter()(net.finish([count, x], results[1:]))


def test_assignments_in_branches_are_refused() -> None:
    inner = Net("then")
    y = inner.tensor()
    inner.op("ASSIGN_VARIABLE", inner.handle(), y, outputs=[])
    then = inner.finish([y], [inner.add(y, y)])

    net = Net()
    x, condition, result = net.tensor(), net.tensor((), np.bool_), net.tensor()
    net.op("CALL_ONCE", outputs=[], init_subgraph=initial([[0, 0, 0]]))
    net.op("IF", condition, x, outputs=[result], then_subgraph=then, else_subgraph=branch("b", "ADD"))
    with pytest.raises(ConversionError, match="assigned in a loop, or on a condition"):
        Converter()(net.finish([condition, x], [result]))


@pytest.mark.parametrize("type", ["CALL", "STABLEHLO_COMPOSITE"])
def test_calls(type: str, tmp_path: Path) -> None:
    net = Net()
    x, results = net.tensor(), [net.tensor()]
    key = "subgraph" if type == "CALL" else "decomposition_subgraph"
    further = {} if type == "CALL" else COMPOSITE
    net.op(type, x, outputs=results, **{key: branch("inner", "MUL", 2)}, **further)
    graph = net.finish([x], results)
    if type == "STABLEHLO_COMPOSITE":
        agree(graph, tmp_path)
    else:  # LiteRT has no kernel for CALL
        converted = Converter()(graph)
        assert [op.type for op in converted.operations if op.type != "variable"] == ["external", "mul"]


def test_quantized_tensors_in_subgraphs(tmp_path: Path) -> None:
    inner = Net("inner", dtype=np.int8, quant=QUANT)
    y = inner.tensor()
    decomposition = inner.finish([y], [inner.add(y, inner.constant([[1, 2, 3]]))])
    net = Net(dtype=np.int8, quant=QUANT)
    x, results = net.tensor(), [net.tensor()]
    net.op("STABLEHLO_COMPOSITE", x, outputs=results, decomposition_subgraph=decomposition, **COMPOSITE)
    agree(net.finish([x], results), tmp_path)

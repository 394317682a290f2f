"""Recurrent operators of TensorFlow Lite against LiteRT's reference kernels, over several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model
from nnef_tools.conversion.nnef_to_tflite import Converter as NnefConverter
from nnef_tools.conversion.tflite.to_nnef.converter import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.optimization.tflite.layout import run_layout

from ...support.arrays import Array
from ...support.graphs import all_types

pytest.importorskip("ai_edge_litert")

N, T, I, H, P = 2, 5, 3, 4, 3  # noqa: E741
RUNS = 3


class Model:
    """A model of one operator, made input by input."""

    def __init__(self, x: Sequence[int]) -> None:
        self.graph = Graph("main")
        self.graph.metadata["variables"] = []
        self.x = Tensor(self.graph, "x", tuple(x), np.float32)
        self.random = np.random.default_rng(7)
        self._missing = Tensor(self.graph, "", (), np.float32, np.zeros((), np.float32))

    def weights(self, *shape: int) -> Tensor:
        data = self.random.normal(0, 0.6, shape).astype(np.float32)
        return Tensor(self.graph, f"w{len(list(self.graph.tensors))}", shape, np.float32, data)

    def missing(self) -> Tensor:
        return self._missing

    def state(self, *shape: int) -> Tensor:
        name = f"state{len(list(self.graph.tensors))}"
        self.graph.metadata["variables"].append(name)
        return Tensor(self.graph, name, shape, np.float32)

    def finish(self, type: str, inputs: Sequence[Tensor], *outputs: Sequence[int], **attribs: Any) -> Graph:
        results = [Tensor(self.graph, f"y{k}", tuple(shape), np.float32) for k, shape in enumerate(outputs)]
        Operation(self.graph, type=type, attribs=attribs, inputs=tuple(inputs), outputs=tuple(results))
        self.graph.inputs, self.graph.outputs = [self.x], results
        return self.graph


def lstm_weights(
    model: Model, *, cifg: bool = False, peepholes: bool = False, projected: bool = False, normalized: bool = False
) -> list[Tensor]:
    """The 17 weights of an LSTM."""
    out = P if projected else H

    def gates(count: int, *shape: int) -> list[Tensor]:
        return [model.missing() if cifg and k == 0 else model.weights(*shape) for k in range(count)]

    weights = [*gates(4, H, I), *gates(4, H, out)]
    weights += gates(3, H) if peepholes else [model.missing()] * 3
    weights += gates(4, H)
    weights += [model.weights(P, H), model.weights(P)] if projected else [model.missing()] * 2
    return weights


def lstm(type: str, x: Sequence[int], options: dict[str, Any], **forms: bool) -> Graph:
    model = Model(x)
    out = P if forms.get("projected") else H
    inputs = [model.x, *lstm_weights(model, **forms), model.state(N, out), model.state(N, H)]
    if forms.get("normalized"):
        inputs += [model.missing() if forms.get("cifg") and k == 0 else model.weights(H) for k in range(4)]
    return model.finish(type, inputs, (*x[:-1], out), **options)


def agree(
    graph: Graph, tmp_path: Path, types: set[str] | None = None, tolerance: float = 2e-6, *, same: bool = False
) -> Graph:
    """Converts, and compares the outputs of several runs with those of LiteRT, before and after a reset.

    The way back is compared, too. types: that must be in the NNEF graph. same: does the operator come back?
    """
    path = tmp_path / "model.tflite"
    Writer()(graph, path)
    converter = Converter()
    converted = converter(Reader()(path))
    assert types is None or types <= set(all_types(converted))
    reference = make_executor(path, format="tflite", backend="litert-reference")
    executors = [make_executor(converted, backend=backend) for backend in ("numpy", "onnxruntime")]
    back = NnefConverter()(converted)
    run_layout(back)
    Writer()(back, tmp_path / "back.tflite")
    if same or types is not None:
        assert [op.type for op in back.operations] == [op.type for op in graph.operations]
    executors.append(make_executor(tmp_path / "back.tflite", format="tflite", backend="litert-reference"))
    random = np.random.default_rng(3)
    first: list[Array] = []
    inputs = [random.normal(size=graph.inputs[0].shape or ()).astype(np.float32) for _ in range(RUNS)]
    for k, x in enumerate([*inputs, inputs[0]]):
        if k == RUNS:
            for executor in (reference, *executors):
                executor.reset()
        wanted = list(reference.run({"x": x}).values())
        first = first or wanted
        if k == RUNS:
            for one, other in zip(first, wanted, strict=True):
                np.testing.assert_array_equal(one, other)
        for executor in executors:
            found = list(executor.run({executor.inputs[0].name: x}).values())
            for a, b in zip(wanted, found, strict=True):
                np.testing.assert_allclose(b, a, rtol=1e-5, atol=tolerance)
    return converted


TANH = {"fused_activation_function": "TANH", "cell_clip": 0.0, "proj_clip": 0.0}
FORMS: list[dict[str, bool]] = [
    {},
    {"cifg": True},
    {"peepholes": True},
    {"peepholes": True, "cifg": True},
    {"projected": True},
    {"normalized": True},
    {"normalized": True, "peepholes": True, "projected": True, "cifg": True},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form) or "plain")
def test_lstm(form: dict[str, bool], tmp_path: Path) -> None:
    graph = lstm("LSTM", (N, I), {**TANH, "kernel_type": "FULL"}, **form)
    agree(graph, tmp_path, {"lstm_layer"} if not form else None)


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form) or "plain")
def test_lstm_sequence(form: dict[str, bool], time_major: bool, tmp_path: Path) -> None:
    shape = (T, N, I) if time_major else (N, T, I)
    graph = lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", shape, {**TANH, "time_major": time_major}, **form)
    agree(graph, tmp_path, {"lstm_layer"} if not form else None)


@pytest.mark.parametrize("options", [{"cell_clip": 0.3}, {"fused_activation_function": "RELU"}])
def test_lstm_options(options: dict[str, Any], tmp_path: Path) -> None:
    agree(lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", (N, T, I), {**TANH, "time_major": False, **options}), tmp_path)


def test_projection_is_clipped(tmp_path: Path) -> None:
    options = {**TANH, "time_major": False, "proj_clip": 0.2}
    agree(lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", (N, T, I), options, projected=True), tmp_path)


def test_basic_lstm(tmp_path: Path) -> None:
    model = Model((N, I))
    inputs = [model.x, model.state(N, H), model.weights(4 * H, I + H), model.weights(4 * H), model.state(N, H)]
    shapes = [(N, H), (N, H), (N, I + H), (N, 4 * H)]
    graph = model.finish("LSTM", inputs, *shapes, **{**TANH, "kernel_type": "BASIC"})
    graph.outputs = graph.outputs[:2]
    agree(graph, tmp_path)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("form", [{}, {"peepholes": True, "projected": True}], ids=["plain", "peepholes"])
def test_bidirectional_lstm(form: dict[str, bool], merged: bool, tmp_path: Path) -> None:
    """Steps come first where outputs are merged: with batches first, LiteRT gives wrong values from the second on."""
    shape = (T, N) if merged else (N, T)
    model, out = Model((*shape, I)), P if form else H
    inputs = [model.x, *lstm_weights(model, **form), *lstm_weights(model, **form)]
    inputs += [model.state(N, out), model.state(N, H), model.state(N, out), model.state(N, H)]
    inputs += [model.missing()] * 9
    shapes = [(*shape, 2 * out)] if merged else [(*shape, out)] * 2
    options = {**TANH, "merge_outputs": merged, "time_major": merged}
    agree(model.finish("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, *shapes, **options), tmp_path, same=not form)


def test_merged_results_with_the_batch_first(tmp_path: Path) -> None:
    """They stay apart where LiteRT would mix them up, and are one result for one sequence."""
    for batch, types in ((1, []), (2, ["CONCATENATION"])):
        model = Model((batch, T, I))
        states = [model.state(batch, H) for _ in range(4)]
        inputs = [model.x, *lstm_weights(model), *lstm_weights(model), *states, *[model.missing()] * 9]
        options = {**TANH, "merge_outputs": True, "time_major": False}
        graph = model.finish("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, (batch, T, 2 * H), **options)
        back = NnefConverter()(Converter()(graph))
        run_layout(back)
        assert [op.type for op in back.operations] == ["BIDIRECTIONAL_SEQUENCE_LSTM", *types]
        assert back.operations[0].attribs["merge_outputs"] is (batch == 1)
    agree(back, tmp_path)


def rnn_inputs(model: Model) -> list[Tensor]:
    return [model.weights(H, I), model.weights(H, H), model.weights(H), model.state(N, H)]


@pytest.mark.parametrize("function", ["TANH", "RELU", "RELU6"])
def test_rnn(function: str, tmp_path: Path) -> None:
    model = Model((N, I))
    graph = model.finish("RNN", [model.x, *rnn_inputs(model)], (N, H), fused_activation_function=function)
    agree(graph, tmp_path, {"rnn_layer"} if function != "RELU6" else None)


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("function", ["TANH", "RELU", "NONE"])
def test_rnn_sequence(function: str, time_major: bool, tmp_path: Path) -> None:
    shape = (T, N) if time_major else (N, T)
    model = Model((*shape, I))
    options = {"fused_activation_function": function, "time_major": time_major}
    inputs = [model.x, *rnn_inputs(model)]
    agree(model.finish("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, (*shape, H), **options), tmp_path, tolerance=1e-4)


@pytest.mark.parametrize("merged", [False, True])
def test_bidirectional_rnn(merged: bool, tmp_path: Path) -> None:
    model = Model((N, T, I))
    inputs = [model.x, *rnn_inputs(model), *rnn_inputs(model), *[model.missing()] * 3]
    shapes = [(N, T, 2 * H)] if merged else [(N, T, H)] * 2
    options = {"fused_activation_function": "TANH", "time_major": False, "merge_outputs": merged}
    agree(model.finish("BIDIRECTIONAL_SEQUENCE_RNN", inputs, *shapes, **options), tmp_path, same=True)


@pytest.mark.parametrize(
    ("rank", "memory", "bias", "function"), [(1, 4, True, "RELU"), (2, 3, False, "NONE"), (1, 1, True, "TANH")]
)
def test_svdf(rank: int, memory: int, bias: bool, function: str, tmp_path: Path) -> None:
    model, filters = Model((N, I)), rank * H
    inputs = [model.x, model.weights(filters, I), model.weights(filters, memory)]
    inputs += [model.weights(H) if bias else model.missing(), model.state(N, filters * memory)]
    agree(model.finish("SVDF", inputs, (N, H), rank=rank, fused_activation_function=function), tmp_path)


def test_a_state_that_is_read_after_its_operator(tmp_path: Path) -> None:
    graph = lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", (N, T, I), {**TANH, "time_major": False})
    (op,) = graph.operations
    doubled = Tensor(graph, "doubled", (N, H), np.float32)
    options = {"fused_activation_function": "NONE", "pot_scale_int16": False}
    cell = op.inputs[19]
    Operation(graph, type="ADD", attribs=options, inputs=(cell, cell), outputs=(doubled,))
    graph.outputs = [*graph.outputs, doubled]
    agree(graph, tmp_path)


def test_a_state_of_two_operators(tmp_path: Path) -> None:
    model = Model((N, I))
    inputs = [model.x, *rnn_inputs(model)]
    graph = model.finish("RNN", inputs, (N, H), fused_activation_function="TANH")
    second = Tensor(graph, "second", (N, H), np.float32)
    Operation(graph, type="RNN", attribs={"fused_activation_function": "TANH"}, inputs=tuple(inputs), outputs=(second,))
    graph.outputs = [*graph.outputs, second]
    with pytest.raises(ConversionError, match="a state is not a variable"):
        Converter()(graph)


def quantized(scale: float, zero_point: int = 0) -> dict[str, Any]:
    return {"min": None, "max": None, "scale": scale, "zero_point": zero_point, "quantized_dimension": 0}


def test_integer_svdf(tmp_path: Path) -> None:
    """Codes of 8 bits, with a state and filters of 16 bits."""
    rank, memory, filters = 2, 5, 2 * H
    model, random = Model((N, I)), np.random.default_rng(0)

    def codes(dtype: Any, limit: int, scale: float, *shape: int) -> Tensor:
        tensor = model.weights(*shape)
        tensor.data = random.integers(-limit, limit, shape).astype(dtype)
        tensor.dtype, tensor.quant = dtype, quantized(scale)
        return tensor

    inputs = [model.x, codes(np.int8, 127, 0.01, filters, I), codes(np.int16, 32000, 2e-5, filters, memory)]
    inputs += [codes(np.int32, 2000, 2e-8, H), model.state(N, filters * memory)]
    for tensor, dtype, scale in ((model.x, np.int8, 0.02), (inputs[-1], np.int16, 1e-3)):
        tensor.dtype, tensor.quant = dtype, quantized(scale)
    graph = model.finish("SVDF", inputs, (N, H), rank=rank, fused_activation_function="RELU")
    graph.outputs[0].dtype, graph.outputs[0].quant = np.int8, quantized(0.05, -10)
    path = tmp_path / "model.tflite"
    Writer()(graph, path)
    converted = Converter()(Reader()(path))
    reference = make_executor(path, format="tflite", backend="litert-reference")
    executors = [make_executor(converted, backend=backend) for backend in ("numpy", "onnxruntime")]
    for _ in range(8):
        x = random.integers(-128, 128, (N, I)).astype(np.int8)
        wanted = reference.run({"x": x})["y0"].astype(int)
        for executor in executors:
            (found,) = executor.run({executor.inputs[0].name: x * np.float32(0.02)}).values()
            assert np.abs(np.round(found / 0.05) - 10 - wanted).max() <= 1


def test_a_state_must_be_a_variable(tmp_path: Path) -> None:
    model = Model((N, I))
    inputs = [model.x, *rnn_inputs(model)[:3], model.weights(N, H)]
    graph = model.finish("RNN", inputs, (N, H), fused_activation_function="TANH")
    with pytest.raises(ConversionError, match="a state is not a variable"):
        Converter()(graph)


def test_states_are_reported(tmp_path: Path) -> None:
    model = Model((N, I))
    converter = Converter()
    converter(model.finish("RNN", [model.x, *rnn_inputs(model)], (N, H), fused_activation_function="TANH"))
    assert any("keep their values from run to run" in warning for warning in converter.warnings)


@pytest.mark.parametrize("type", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"])
def test_layers_come_back_by_way_of_onnx(type: str, tmp_path: Path) -> None:
    if type.endswith("LSTM"):
        graph = lstm(type, (N, T, I), {**TANH, "time_major": False})
    else:
        model = Model((N, T, I))
        options = {"fused_activation_function": "TANH", "time_major": False}
        graph = model.finish(type, [model.x, *rnn_inputs(model)], (N, T, H), **options)
    Writer()(graph, tmp_path / "model.tflite")
    convert_model(tmp_path / "model.tflite", tmp_path / "model.onnx", verify=True)
    convert_model(tmp_path / "model.onnx", tmp_path / "back.tflite", verify=True)
    assert [op.type for op in Reader()(tmp_path / "back.tflite").operations] == [type]


def test_layers_that_begin_anew_are_steps(tmp_path: Path) -> None:
    """The operators of TensorFlow Lite would go on with the states of the run before."""
    graph = lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", (N, T, I), {**TANH, "time_major": False})
    converted = Converter()(graph)
    for op in list(converted.operations):
        if op.type == "update":
            converted.remove_operation(op, unlink=True)
    back = NnefConverter()(converted)
    run_layout(back)
    assert not back.metadata.get("variables")
    assert "ASSIGN_VARIABLE" not in [op.type for op in back.operations]
    Writer()(back, tmp_path / "back.tflite")
    first, lite = make_executor(converted, backend="numpy"), make_executor(tmp_path / "back.tflite", format="tflite")
    x = np.random.default_rng(0).normal(size=(N, T, I)).astype(np.float32)
    for _ in range(2):
        (wanted,) = first.run({first.inputs[0].name: x}).values()
        (found,) = lite.run({lite.inputs[0].name: x}).values()
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6)

"""Recurrent layers: the kernels of numpy and torch against torch.nn and the definitions that parsers expand."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import nnef
import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.execution.kernels.torch_operators import OPERATORS
from nnef_tools.io.nnef import Reader
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse
from nnef_tools.ops.fragments import called_fragments, extension_fragments
from nnef_tools.ops.registry import find

from .kernels import infer, run_op

WIDTH, HIDDEN = 3, 4
GATES = {"lstm_layer": [0, 3, 1, 2], "gru_layer": [1, 0, 2], "rnn_layer": [0]}
"""For each row of gates of ours, which one it is in torch: LSTM i, f, g, o; GRU r, z, n."""

DIRECTIONS: list[dict[str, Any]] = [{}, {"reverse": True}, {"bidirectional": True}]
LAYERS: list[tuple[str, dict[str, Any]]] = [
    *product(["lstm_layer", "rnn_layer"], DIRECTIONS),
    ("rnn_layer", {"rectified": True, "bidirectional": True}),
    *product(["gru_layer"], [{**d, "linear_before_reset": True} for d in DIRECTIONS]),
]
ALL = [*LAYERS, *product(["gru_layer"], DIRECTIONS)]


def torch_layer(name: str, *, reverse: bool = False, bidirectional: bool = False, **options: Any) -> torch.nn.RNNBase:
    """The layer of torch; it runs forward where only `reverse` is wanted, so that the caller turns its input."""
    torch.manual_seed(0)
    if name == "rnn_layer":
        kind = "relu" if options.get("rectified") else "tanh"
        return torch.nn.RNN(WIDTH, HIDDEN, nonlinearity=kind, bidirectional=bidirectional)
    return {"lstm_layer": torch.nn.LSTM, "gru_layer": torch.nn.GRU}[name](WIDTH, HIDDEN, bidirectional=bidirectional)


def weights(name: str, layer: torch.nn.RNNBase) -> list[torch.Tensor]:
    """w, r and bias of ours, for the parameters of a layer of torch."""

    def rows(kind: str, suffix: str) -> torch.Tensor:
        parameter = getattr(layer, f"{kind}_l0{suffix}")
        parts = parameter.reshape(len(GATES[name]), HIDDEN, *parameter.shape[1:])
        return parts[GATES[name]].reshape(parameter.shape)

    suffixes = ["", "_reverse"] if layer.bidirectional else [""]
    both = [torch.cat([rows("bias_ih", s), rows("bias_hh", s)]) for s in suffixes]
    return [torch.stack([rows(kind, s) for s in suffixes]) for kind in ("weight_ih", "weight_hh")] + [torch.stack(both)]


def case(name: str, attribs: dict[str, Any], steps: int) -> tuple[torch.nn.RNNBase, list[torch.Tensor]]:
    """A layer of torch and the inputs of ours: x, w, r, bias and the first states."""
    layer = torch_layer(name, **attribs)
    shape = (2 if attribs.get("bidirectional") else 1, 2, HIDDEN)
    states = [torch.randn(shape) for _ in range(2 if name == "lstm_layer" else 1)]
    return layer, [torch.randn(steps, 2, WIDTH), *weights(name, layer), *states]


def by_torch(layer: torch.nn.RNNBase, inputs: list[torch.Tensor], reverse: bool) -> list[torch.Tensor]:
    """What torch computes, in the form of our results."""
    x, states = inputs[0].flip(0) if reverse else inputs[0], inputs[4:]
    y, last = layer(x, tuple(states) if len(states) == 2 else states[0])
    y = y.flip(0) if reverse else y
    steps, batch, _ = y.shape
    y = y.reshape(steps, batch, -1, HIDDEN).transpose(1, 2)
    return [y, *(last if isinstance(last, tuple) else [last])]


def arrays(tensors: list[torch.Tensor]) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("name", "attribs"), LAYERS)
def test_kernels_against_torch(name: str, attribs: dict[str, Any], steps: int) -> None:
    layer, inputs = case(name, attribs, steps)
    expected = by_torch(layer, inputs, attribs.get("reverse", False))
    results = run_op(name, *arrays(inputs), steps=steps, **attribs)
    ours = OPERATORS[name](*inputs, steps=steps, **attribs)
    for wanted, of_numpy, of_torch in zip(arrays(expected), results, arrays(ours), strict=True):
        np.testing.assert_allclose(of_numpy, wanted, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(of_torch, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "attribs"), LAYERS)
def test_gradients(name: str, attribs: dict[str, Any]) -> None:
    layer, inputs = case(name, attribs, 3)
    for tensor in (inputs[0], *inputs[4:]):
        tensor.requires_grad_()
    leaves = [*layer.parameters(), inputs[0], *inputs[4:]]
    results = by_torch(layer, inputs, attribs.get("reverse", False)), OPERATORS[name](*inputs, steps=3, **attribs)
    expected, ours = (torch.autograd.grad(sum(r.square().sum() for r in each), leaves) for each in results)
    for actual, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-5)


def model(folder: Any, name: str, attribs: dict[str, Any], steps: int) -> str:
    """The text of a model of one layer, all of whose tensors are inputs; also written into a folder."""
    d, g = 2 if attribs.get("bidirectional") else 1, len(GATES[name])
    shapes = {
        "x": [steps, 2, WIDTH],
        "w": [d, g * HIDDEN, WIDTH],
        "r": [d, g * HIDDEN, HIDDEN],
        "b": [d, 2 * g * HIDDEN],
    }
    shapes |= {key: [d, 2, HIDDEN] for key in ("hc" if name == "lstm_layer" else "h")}
    results = ["y", "hn", "cn"][: len(shapes) - 3]
    options = "".join(f", {key} = {str(value).lower()}" for key, value in attribs.items())
    fragments = "\n".join(extension_fragments()[each].text for each in (*called_fragments()[name], name))
    text = "version 1.0;\nextension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"
    text += f"{fragments}\ngraph g({', '.join(shapes)}) -> ({', '.join(results)})\n{{\n"
    text += "".join(f"    {key} = external(shape = {shape});\n" for key, shape in shapes.items())
    text += f"    {', '.join(results)} = {name}({', '.join(shapes)}, steps = {steps}{options});\n}}\n"
    folder.mkdir()
    (folder / "graph.nnef").write_text(text)
    return text


def run_graph(graph: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph, by the kernels."""
    values: dict[Any, Any] = {}
    feeds = iter(inputs)
    for op in graph.operations:
        if op.type == "external":
            values[op.output] = next(feeds)
            continue
        definition = find(op.type)
        given = [values.get(t, t.data) for t in op.inputs]
        result = definition.run(
            *(given if isinstance(op.inputs, tuple) else [given]), **definition.complete(op.attribs)
        )
        values.update(zip(op.outputs, [result] if isinstance(result, np.ndarray) else result, strict=True))
    return [values[t] for t in graph.outputs]


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize(("name", "attribs"), ALL)
def test_definitions(name: str, attribs: dict[str, Any], steps: int, tmp_path: Any) -> None:
    """The body computes what the kernel does, here and in the reference parser; read as it is, it is one operation."""
    text = model(tmp_path / "m", name, attribs, steps)
    inputs = arrays(case(name, attribs, steps)[1])
    whole, expanded = Reader()(tmp_path / "m"), Reader(decomposed=[name])(tmp_path / "m")
    assert [op.type for op in whole.operations if op.type != "external"] == [name]
    assert not {str(op.type) for op in expanded.operations} & {*extension_fragments()}
    for actual, expected in zip(run_graph(expanded, inputs), run_graph(whole, inputs), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    names = [name, *called_fragments()[name]]
    reference = nnef.parse_string(text, lowered=names)
    nnef.infer_shapes(reference)
    assert [reference.tensors[t].shape for t in reference.outputs] == [list(t.shape) for t in whole.outputs]
    tensors, operations = reference.tensors, reference.operations
    written = nnef.format_graph(reference.name, reference.inputs, reference.outputs, operations, tensors)
    again = build_graph(parse(f"version 1.0;\n{written}"))
    for actual, expected in zip(run_graph(again, inputs), run_graph(expanded, inputs), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_types(dtype: Any) -> None:
    """Half precision is rounded once, at the end."""
    inputs = [array.astype(dtype) for array in arrays(case("lstm_layer", {}, 5)[1])]
    results = run_op("lstm_layer", *inputs, steps=5)
    exact = run_op("lstm_layer", *(array.astype(np.float32) for array in inputs), steps=5)
    for result, expected in zip(results, exact, strict=True):
        assert result.dtype == dtype
        np.testing.assert_allclose(
            result.astype(np.float64), expected.astype(dtype).astype(np.float64), rtol=1e-5, atol=1e-7
        )


def test_saturated_gates() -> None:
    inputs = arrays(case("lstm_layer", {}, 2)[1])
    y, _, cell = run_op("lstm_layer", inputs[0], inputs[1], inputs[2], inputs[3] * 0 - 1e5, *inputs[4:], steps=2)
    assert not y.any() and not cell.any()


def test_macs() -> None:
    shapes = [[5, 2, 3], [2, 16, 3], [2, 16, 4]]
    assert find("lstm_layer").macs(shapes, [], {}) == 5 * 2 * 2 * 16 * (3 + 4)


@pytest.mark.parametrize(
    ("changed", "attribs", "message"),
    [
        ({0: [5, 3]}, {}, "'x' must have rank 3"),
        ({}, {"steps": 4}, "'steps' must be the first extent of 'x', 5, and positive: 4"),
        ({1: [1, 12, 3]}, {}, "'w' must have shape \\[1, 16, 3\\], got \\[1, 12, 3\\]"),
        ({}, {"bidirectional": True}, "'w' must have shape \\[2, 16, 3\\]"),
        ({}, {"bidirectional": True, "reverse": True}, "'reverse' must be false"),
        ({3: [1, 16]}, {}, "'bias' must have shape \\[1, 32\\]"),
        ({5: [1, 1, 4]}, {}, "'c' must have shape \\[1, 2, 4\\]"),
    ],
)
def test_errors(changed: dict[int, list[int]], attribs: dict[str, Any], message: str) -> None:
    shapes = [[5, 2, 3], [1, 16, 3], [1, 16, 4], [1, 32], [1, 2, 4], [1, 2, 4]]
    shapes = [changed.get(k, shape) for k, shape in enumerate(shapes)]
    with pytest.raises(ShapeError, match=message):
        infer("lstm_layer", *shapes, **{"steps": 5, **attribs})

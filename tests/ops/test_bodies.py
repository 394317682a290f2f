"""A compound operation computes what its definition in the standard computes when it is expanded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.ops.registry import find

X = "x = external(shape = [2, 3, 4, 5]);"
W = "w = external(shape = [1, 3]);"
CASES = {
    "relu(x)": X,
    "sigmoid(x)": X,
    "softplus(x)": X,
    "elu(x, alpha = 0.7)": X,
    "selu(x, alpha = 1.5, lambda = 1.2)": X,
    "gelu(x)": X,
    "silu(x)": X,
    "leaky_relu(x, alpha = 0.1)": X,
    "prelu(x, w)": X + W,
    "softmax(x)": X,
    "softmax(x, axes = [1, 3])": X,
    "mean_reduce(x, axes = [0, 2])": X,
    "local_response_normalization(x, size = [1, 3, 1, 1], alpha = 0.5, beta = 0.7, bias = 2.0)": X,
    "local_mean_normalization(x, size = [1, 1, 3, 2])": X,
    "local_variance_normalization(x, size = [1, 1, 3, 2], bias = 0.1, epsilon = 0.5)": X,
    "local_contrast_normalization(x, size = [1, 3, 2, 1], bias = 0.1, epsilon = 0.5)": X,
    "l1_normalization(x, axes = [1], bias = 0.1, epsilon = 0.3)": X,
    "l2_normalization(x, axes = [2, 3], bias = 0.1, epsilon = 0.3)": X,
    "batch_normalization(x, w, v, w, v, epsilon = 0.1)": X + W + "v = external(shape = [1, 3]);",
    "linear(x, w, b)": "x = external(shape = [4, 3]); w = external(shape = [5, 3]); b = external(shape = [1, 5]);",
    "add_n([x, x, z])": X + "z = external(shape = [2, 3, 4, 5]);",
}


def evaluate(text: str, decomposed: tuple[str, ...], feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """The output of a graph and the number of its operations."""
    graph = build_graph(parse(text), decomposed=decomposed)
    values: dict[Any, np.ndarray] = {}

    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(part) for part in item]
        return values.get(item, item.data)

    for op in graph.operations:
        if op.type == "external":
            values[op.outputs[0]] = feeds[op.outputs[0].name]
            continue
        definition = find(op.type)
        inputs = op.inputs if isinstance(op.inputs, tuple) else [list(op.inputs)]
        result = definition.run(*map(value, inputs), **definition.complete(op.attribs))
        values.update(zip(op.outputs, [result] if isinstance(result, np.ndarray) else result, strict=True))
    return values[graph.outputs[0]], len(graph.operations)


@pytest.mark.parametrize("call", CASES)
def test_body(call: str, rng: np.random.Generator) -> None:
    declarations = CASES[call]
    names = [part.split("=")[0].strip() for part in declarations.split(";") if part.strip()]
    text = f"version 1.0; graph g({', '.join(names)}) -> (y) {{ {declarations} y = {call}; }}"
    graph = build_graph(parse(text))
    feeds = {
        op.outputs[0].name: (np.abs if op.outputs[0].name != "x" else np.asarray)(
            rng.normal(size=op.attribs["shape"])
        ).astype(np.float32)
        for op in graph.operations
        if op.type == "external"
    }
    compounds = tuple(name for name, fragment in standard_fragments().items() if fragment.is_compound)
    atomic, count = evaluate(text, (), feeds)
    expanded, more = evaluate(text, compounds, feeds)
    assert count == len(names) + 1
    assert more > count or call.startswith("mean_reduce")
    np.testing.assert_allclose(atomic, expanded, rtol=1e-4, atol=1e-5)

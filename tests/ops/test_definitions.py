"""Compound operations compute what their definition in the standard computes, expanded into primitives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.language.elaborate import decompose
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.model.graph import Graph, Operation, Tensor
from nnef_tools.ops.bind import group_arguments
from nnef_tools.ops.inference import evaluate, flat_results, infer_graph, result_dtypes
from nnef_tools.ops.registry import find

from ..support.arrays import Array

COMPOUNDS = [name for name, fragment in standard_fragments().items() if fragment.is_compound]


def run_expanded(name: str, inputs: list[Array], attribs: dict[str, Any]) -> list[Array]:
    """Expands the operation, and all compound ones that this yields, and runs what is left."""
    graph = Graph("g")
    tensors = [Tensor(graph, f"x{k}", shape=a.shape, dtype=a.dtype.type) for k, a in enumerate(inputs)]
    for tensor in tensors:
        external = {"shape": list(tensor.shape), "dtype": tensor.dtype}
        Operation(graph, "external", attribs=external, outputs=tensor)
    fragment = standard_fragments()[name]
    count = len(result_dtypes(fragment, []))
    outputs = tuple(Tensor(graph, f"y{k}") for k in range(count))
    Operation(graph, name, attribs=find(name).complete(attribs), inputs=tuple(tensors), outputs=outputs)
    graph.inputs, graph.outputs = tensors, outputs
    decompose(graph, COMPOUNDS)
    assert not any(op.type in COMPOUNDS for op in graph.operations)
    infer_graph(graph)
    values = dict(zip(tensors, inputs, strict=True))
    for op in graph.operations:
        if op.type != "external":
            known = {t: t.data if t.data is not None else values[t] for t in op.inputs}
            arguments = group_arguments(op.inputs, find(op.type).fragment)
            arrays = [[known[t] for t in a] if isinstance(a, list) else known[a] for a in arguments]
            results = list(flat_results(evaluate(op.type, arrays, op.attribs)))
            values.update(zip(op.outputs, results, strict=True))
            for tensor in op.outputs:
                assert tensor.shape == values[tensor].shape and tensor.dtype == values[tensor].dtype.type
    return [values[output] for output in outputs]


rng = np.random.default_rng(0)
X = rng.normal(size=(2, 3, 6, 8))
P = np.abs(rng.normal(size=(2, 3, 4))) + 0.1
C = rng.normal(size=(1, 3))
ROIS, BATCH = np.array([[1.0, 2, 5, 7], [0, 0, 6, 8.0]]), np.array([[1], [0]])
WINDOW = {"size": [1, 1, 3, 2], "stride": [1, 1, 2, 1]}
PLANE, POINT, BIAS = rng.normal(size=(6, 1, 3, 2)), rng.normal(size=(4, 6, 1, 1)), rng.normal(size=(1, 4))
RATES = {"output_size": [2, 2], "sampling_rate": [2, 3]}
BITS = {"bits": 4, "signed": True, "symmetric": False}

CASES = [
    *((name, [P], {}) for name in ("sqr", "sqrt", "rsqr", "rsqrt", "log2")),
    ("min", [X, C], {}),
    ("max", [X, C], {}),
    ("clamp", [X, C - 0.5, C + 0.5], {}),
    ("separable_conv", [X, PLANE, POINT, BIAS], {"stride": [2, 1], "padding": [(1, 0), (0, 1)]}),
    ("separable_deconv", [X[:, :, :4], PLANE[:4], rng.normal(size=(3, 4, 1, 1)), BIAS], {"stride": [2, 2]}),
    *(
        (name, [X], {**WINDOW, "border": border})
        for name in ("max_pool", "avg_pool", "rms_pool", "max_pool_with_index")
        for border in ("constant", "ignore", "replicate", "reflect-even")
    ),
    ("nearest_downsample", [X], {"factor": [3, 2]}),
    ("area_downsample", [X], {"factor": [3, 2]}),
    ("nearest_upsample", [X], {"factor": [3, 2]}),
    *(
        (name, [X, ROIS, BATCH], {**RATES, "resize_method": method})
        for name in ("avg_roi_align", "max_roi_align")
        for method in ("symmetric", "aligned")
    ),
    ("min_max_linear_quantize", [X, C - 1, C + 1.5], BITS),
    ("min_max_linear_quantize", [X, C - 1, C + 1.5], {**BITS, "symmetric": True}),
    ("min_max_linear_quantize", [X, C - 1, C + 1.5], {**BITS, "signed": False}),
    ("linear_quantize", [X, C - 1, C + 1.5], {"bits": 5}),
    ("zero_point_linear_quantize", [X, np.array([[1, -2, 3]]), np.abs(C) / 8], BITS),
    ("zero_point_linear_quantize", [X, np.array([[1, -2, 3]]), np.abs(C) / 8], {**BITS, "symmetric": True}),
    ("zero_point_linear_quantize", [X, np.array([[1, -2, 3]]), np.abs(C) / 8], {**BITS, "signed": False}),
    ("logarithmic_quantize", [X, np.abs(C) + 1], {"bits": 3}),
]


@pytest.mark.parametrize(("name", "inputs", "attribs"), CASES)
def test_definition(name: str, inputs: list[Array], attribs: dict[str, Any]) -> None:
    direct = list(flat_results(evaluate(name, inputs, attribs)))
    for array, expanded in zip(direct, run_expanded(name, inputs, attribs), strict=True):
        assert array.dtype == expanded.dtype
        np.testing.assert_allclose(array, expanded, rtol=1e-7, atol=1e-7)

"""Shapes and values against the reference parser and interpreter (the `nnef` package, used as a black box).

Left out is where it is known to deviate from the standard: rounding of ties, argmax results, normalization of debox,
borders of conv, and what it cannot run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.ops.inference import evaluate, infer_shapes

nnef = pytest.importorskip("nnef")


def text(value: int | list[int]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        items = ", ".join(text(item) for item in value)
        return f"[{items}]" if isinstance(value, list) else f"({items})"
    return repr(value)


def write_model(folder: Path, name: str, shapes: list[list[int]], attribs: dict[str, Any]) -> None:
    inputs = [f"x{k}" for k in range(len(shapes))]
    externals = "".join(f"{i} = external(shape = {text(s)});\n" for i, s in zip(inputs, shapes, strict=True))
    arguments = ", ".join([*inputs, *(f"{key} = {text(value)}" for key, value in attribs.items())])
    graph = f"graph g({', '.join(inputs)}) -> (y)\n{{\n{externals}y = {name}({arguments});\n}}\n"
    (folder / "graph.nnef").write_text(f"version 1.0;\n{graph}")


# What it runs only in its expanded form.
LOWERED = ["separable_conv", "rms_pool", "nearest_downsample", "area_downsample", "nearest_upsample", "clamp"]

X1, X2, X3 = [2, 4, 9], [2, 4, 9, 8], [1, 2, 5, 6, 5]
POOL = {"size": [1, 1, 3, 2], "stride": [1, 1, 2, 2]}
CASES = [
    ("conv", [X2, [6, 4, 3, 3], [1, 6]], {}),
    ("conv", [X2, [6, 4, 3, 2], [1, 6]], {"stride": [2, 3], "dilation": [2, 1]}),
    ("conv", [X2, [6, 2, 3, 3], [1, 6]], {"groups": 2, "padding": [(1, 2), (0, 3)], "stride": [2, 1]}),
    ("conv", [X2, [8, 1, 3, 3], [1, 8]], {"groups": 0, "stride": [2, 2]}),
    ("conv", [X3, [3, 2, 2, 3, 1], [1, 3]], {"stride": [1, 2, 2]}),
    ("deconv", [X2, [4, 6, 3, 3], [1, 6]], {"stride": [2, 2]}),
    ("deconv", [X2, [4, 3, 3, 2], [1, 6]], {"groups": 2, "padding": [(1, 0), (0, 1)], "stride": [3, 2]}),
    ("deconv", [X2, [4, 6, 3, 3], [1, 6]], {"padding": [(1, 1), (1, 1)], "dilation": [2, 1], "stride": [2, 1]}),
    ("deconv", [X1, [4, 1, 3], [1, 4]], {"groups": 0, "stride": [2], "output_shape": [2, 4, 17]}),
    ("separable_conv", [X2, [8, 1, 3, 3], [5, 8, 1, 1], [1, 5]], {"stride": [2, 2]}),
    ("box", [X2], POOL),
    ("box", [X2], {**POOL, "normalize": True, "border": "ignore"}),
    ("box", [X2], {**POOL, "padding": [(0, 0), (0, 0), (1, 2), (1, 0)], "dilation": [1, 1, 2, 1]}),
    ("debox", [X2], POOL),
    ("debox", [X2], {**POOL, "padding": [(0, 0), (0, 0), (1, 0), (0, 0)]}),
    ("max_pool", [X2], {**POOL, "border": "ignore"}),
    ("max_pool", [X2], POOL),
    ("max_pool", [X3], {"size": [1, 1, 2, 2, 3], "border": "ignore"}),
    ("avg_pool", [X2], {**POOL, "border": "constant"}),
    ("avg_pool", [X1], {"size": [1, 1, 3], "border": "ignore"}),
    ("rms_pool", [X2], POOL),
    ("nearest_downsample", [[1, 2, 4, 6]], {"factor": [2, 3]}),
    ("area_downsample", [[1, 2, 4, 6]], {"factor": [2, 3]}),
    ("nearest_upsample", [[1, 2, 4, 6]], {"factor": [2, 3]}),
    ("multilinear_upsample", [[1, 2, 4, 5]], {"factor": [2, 2]}),
    ("multilinear_upsample", [[1, 2, 4, 5]], {"factor": [2, 2], "method": "asymmetric"}),
    ("multilinear_upsample", [[1, 2, 4, 5]], {"factor": [2, 2], "border": "constant"}),
    ("add", [X2, [2, 4]], {}),
    ("div", [[1, 4], [2, 1, 3]], {}),
    ("max", [X1, [1, 4]], {}),
    ("pow", [X1, [1]], {}),
    ("clamp", [X1, [1, 4], [1, 1, 9]], {}),
    ("sqrt", [X1], {}),
    ("rsqrt", [X1], {}),
    ("log2", [X1], {}),
]


@pytest.mark.parametrize(("name", "shapes", "attribs"), CASES)
def test_same_as_the_reference(tmp_path: Path, name: str, shapes: list[list[int]], attribs: dict[str, Any]) -> None:
    write_model(tmp_path, name, shapes, attribs)
    graph = nnef.parse_file(str(tmp_path / "graph.nnef"))
    nnef.infer_shapes(graph)
    expected = graph.tensors["y"].shape
    assert infer_shapes(name, shapes, attribs) == expected
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=shape) * (1 if name != "pow" else 0.5)).astype(np.float32) for shape in shapes]
    if name in ("pow", "sqrt", "rsqrt", "log2"):
        arrays[0] = np.abs(arrays[0]) + 0.1
    session = nnef.Session(str(tmp_path), lowered=LOWERED)
    (y,) = session(*arrays)
    np.testing.assert_allclose(evaluate(name, arrays, attribs), y, rtol=1e-4, atol=1e-5)

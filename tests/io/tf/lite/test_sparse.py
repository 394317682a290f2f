"""Sparse constants: the dense array is that of LiteRT's DENSIFY, in every order, with and without blocks."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import FormatError
from nnef_tools.io.tf.lite.flatbuffer import Table

from .models import model, operators, read_tables, run, tensor, write_tables

Array = np.ndarray[Any, Any]
VECTORS = {1: "<i4", 2: "<u2", 3: "u1"}


def sparse(dense: Array, order: tuple[int, ...], blocks: dict[int, int], rows: set[int], kind: int = 1) -> Any:
    """The stored items, and how they lie: blocks: dimension -> size; rows: levels of `order` that are compressed."""
    shape: list[int] = []
    axes, inner = [], []
    for axis, extent in enumerate(dense.shape):
        axes.append(len(shape))
        if axis in blocks:
            inner.append(len(shape) + 1)
            shape += [extent // blocks[axis], blocks[axis]]
        else:
            shape.append(extent)
    items = dense.reshape(shape).transpose(axes + inner).transpose(order)
    places: list[tuple[int, ...]] = [()]
    dims: list[Table] = []
    for level, extent in enumerate(items.shape):
        if level not in rows:
            places = [(*place, k) for place in places for k in range(extent)]
            dims.append({"format": 0, "dense_size": extent})
            continue
        kept = [[(*place, k) for k in range(extent) if np.any(items[(*place, k)])] for place in places]
        segments = np.cumsum([0, *map(len, kept)])
        places = [place for group in kept for place in group]
        vectors = [{"values": np.array(v, VECTORS[kind])} for v in (segments, [place[-1] for place in places])]
        dims.append(
            {
                "format": 1,
                "array_segments_type": kind,
                "array_segments": vectors[0],
                "array_indices_type": kind,
                "array_indices": vectors[1],
            }
        )
    values = np.array([items[place] for place in places], dense.dtype)
    return values, {"traversal_order": list(order), "block_map": list(blocks) or None, "dim_metadata": dims}


def densify(values: Array, sparsity: Table, shape: tuple[int, ...], type: str) -> Table:
    """A model that makes the array dense, and adds nothing to it."""
    graph = {
        "tensors": [
            tensor("sparse", shape, type, buffer=1, sparsity=sparsity),
            tensor("dense", shape, type),
        ],
        "inputs": [],
        "outputs": [1],
        "operators": [{"opcode_index": 0, "inputs": [0], "outputs": [1]}],
    }
    tables = model(graph, operators("DENSIFY"))
    tables["buffers"].append({"data": values.reshape(-1).view(np.uint8)})
    return tables


def cases() -> list[Any]:
    found = []
    for order in permutations(range(2)):
        found += [((5, 7), order, {}, rows) for rows in ({1}, {0}, {0, 1}, set())]
    found += [((3, 4, 5), order, {}, {2}) for order in permutations(range(3))]
    found += [((8, 6), (0, 1, 2, 3), {0: 4, 1: 2}, {1}), ((8, 6), (1, 0, 2, 3), {0: 4, 1: 2}, {1})]
    found += [
        ((8, 6), (0, 1, 2), {0: 4}, {1}),
        ((8, 6), (0, 1, 2), {1: 3}, {1}),
        ((8, 8), (0, 1, 3, 2), {0: 4, 1: 4}, {1}),
    ]
    found += [((4, 2, 3, 8), (0, 1, 2, 3, 4), {3: 4}, {3}), ((4, 2, 3, 8), (0, 1, 2, 3), {}, {3})]
    return found


@pytest.mark.parametrize("type", ["FLOAT32", "FLOAT16", "INT8"])
def test_all_forms(type: str, tmp_path: Path) -> None:
    dtype = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8}[type]
    for number, (shape, order, blocks, rows) in enumerate(cases()):
        rng = np.random.default_rng(number)
        dense = (rng.integers(1, 100, shape) * (rng.random(shape) < 0.3)).astype(dtype)
        for kind in VECTORS:
            values, sparsity = sparse(dense, order, blocks, rows, kind)
            path = write_tables(tmp_path / "m.tflite", densify(values, sparsity, shape, type))
            graph = read_tables(path, densify(values, sparsity, shape, type))
            assert np.array_equal(graph.outputs[0].data, dense), (shape, order, blocks, rows)
            if blocks or rows:
                assert np.array_equal(run(path)[0], dense), (shape, order, blocks, rows)


def test_bad_forms(tmp_path: Path) -> None:
    dense = np.eye(4, dtype=np.float32)
    values, sparsity = sparse(dense, (0, 1), {}, {1})
    for change in (
        {"traversal_order": [0, 0]},
        {"traversal_order": [0]},
        {"block_map": [7]},
        {"dim_metadata": sparsity["dim_metadata"][:1]},
        {"dim_metadata": [{"format": 0, "dense_size": 1 << 30}, sparsity["dim_metadata"][1]]},
        {"dim_metadata": [{"format": 5, "dense_size": 4}, sparsity["dim_metadata"][1]]},
        {"dim_metadata": [sparsity["dim_metadata"][1], sparsity["dim_metadata"][0]]},
    ):
        with pytest.raises(FormatError, match="sparse"):
            read_tables(tmp_path / "m.tflite", densify(values, {**sparsity, **change}, (4, 4), "FLOAT32"))
    with pytest.raises(FormatError, match="out of proportion"):
        read_tables(tmp_path / "m.tflite", densify(values, sparsity, (1 << 20, 1 << 20), "FLOAT32"))
    with pytest.raises(FormatError, match="outside of its shape"):
        read_tables(tmp_path / "m.tflite", densify(values, sparsity, (4, 2), "FLOAT32"))

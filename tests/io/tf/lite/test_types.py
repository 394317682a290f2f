"""Constants of all types: as they are stored, and as LiteRT takes them."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import FormatError
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.io.tf.lite.types import ITEM_TYPES, PACKED
from nnef_tools.model.graph import Graph, Operation, Tensor

from .models import model, official, read_tables, run, tensor

NUMBERS = [name for name in ITEM_TYPES if name not in ("STRING", "RESOURCE", "VARIANT")]


def constant(type: str, shape: tuple[int, ...]) -> Graph:
    graph = Graph()
    rng = np.random.default_rng(0)
    low, high = (-2, 2) if type == "INT2" else (-8, 8) if type == "INT4" else (0, 2) if type == "BOOL" else (0, 8)
    data = rng.integers(low, high, shape).astype(ITEM_TYPES[type])
    graph.outputs = [Tensor(graph, "c", shape, ITEM_TYPES[type], data)]
    return graph


@pytest.mark.parametrize("type", NUMBERS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0, 2)])
def test_numbers(type: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    Writer()(constant(type, shape), path)
    back = Reader()(path).outputs[0]
    wanted = constant(type, shape).outputs[0]
    assert (back.dtype, back.shape) == (wanted.dtype, shape)
    assert back.data.dtype == wanted.data.dtype
    assert np.array_equal(back.data, wanted.data)
    if wanted.data.size and type not in PACKED:
        stored = official(path)
        assert bytes(stored.buffers[stored.subgraphs[0].tensors[0].buffer].data) == wanted.data.tobytes()


def test_strings(tmp_path: Path) -> None:
    graph = Graph()
    texts = np.array([b"a", "ä€".encode(), b"", b"\xff\x00"], object).reshape(2, 2)
    graph.outputs = [Tensor(graph, "s", (2, 2), np.str_, texts)]
    path = tmp_path / "m.tflite"
    Writer()(graph, path)
    assert Reader()(path).outputs[0].data.tolist() == texts.tolist()
    assert run(path)[0].tolist() == texts.tolist()


def test_items_of_four_bits_are_those_of_litert(tmp_path: Path) -> None:
    graph = constant("INT4", (3, 5))
    c = graph.outputs[0]
    c.quant = {"scale": 0.5, "zero_point": 0}
    y = Tensor(graph, "y", (3, 5), np.float32)
    Operation(graph, "DEQUANTIZE", inputs=(c,), outputs=(y,))
    graph.outputs = [y]
    path = tmp_path / "m.tflite"
    Writer()(graph, path)
    assert np.array_equal(run(path)[0], c.data.astype(np.float32) * 0.5)


@pytest.mark.parametrize(
    ("type", "shape", "size", "message"),
    [
        ("FLOAT32", (3,), 8, "8 bytes are no FLOAT32"),
        ("INT4", (5,), 2, "2 bytes are no INT4"),
        ("BOOL", (2,), 2, "other than 0 and 1"),
        ("STRING", (1 << 20,), 8, "cut off|proportion"),
        ("RESOURCE", (), 4, "constant"),
        ("FLOAT32", (1 << 30, 1 << 30), 8, "are no FLOAT32"),
        ("FLOAT32", (1,) * 99, 4, "rank 99"),
    ],
)
def test_bad_contents(type: str, shape: tuple[int, ...], size: int, message: str, tmp_path: Path) -> None:
    graph = {"tensors": [tensor("c", shape, type, buffer=1)], "inputs": [], "outputs": [0], "operators": []}
    tables = model(graph)
    tables["buffers"].append({"data": np.full(size, 7, np.uint8)})
    with pytest.raises(FormatError, match=message) as caught:
        read_tables(tmp_path / "m.tflite", tables)
    assert "tensor 'c'" in str(caught.value)


def test_values_of_another_type(tmp_path: Path) -> None:
    graph = Graph()
    c = Tensor(graph, "c", (2,), np.int8, np.array([1, 2]))
    graph.outputs = [c]
    Writer()(graph, tmp_path / "m.tflite")
    assert Reader()(tmp_path / "m.tflite").outputs[0].data.tolist() == [1, 2]
    c.data = np.array([1, 300])
    with pytest.raises(FormatError, match="values of type int64 are no INT8"):
        Writer()(graph, tmp_path / "m.tflite")
    c.dtype, c.data = ml_dtypes.float8_e4m3b11fnuz, np.zeros(2, ml_dtypes.float8_e4m3b11fnuz)
    with pytest.raises(FormatError, match="a type that TFLite does not have"):
        Writer()(graph, tmp_path / "m.tflite")

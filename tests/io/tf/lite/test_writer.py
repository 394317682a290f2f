"""Written files: LiteRT and its own classes read them, and they are the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.dialects.tflite.schema import NUMBERS, tflite_schema
from nnef_tools.errors import FormatError, UsageError
from nnef_tools.io.tf.lite import Reader, Writer, writer
from nnef_tools.io.tf.lite.flatbuffer import _Decoder
from nnef_tools.model.graph import Graph, Operation, Tensor

from .models import official, rewritten, run, sample, unary

X = np.random.default_rng(1).standard_normal((1, 5, 4, 2)).astype(np.float32)


def test_sample(tmp_path: Path) -> None:
    path, second = tmp_path / "m.tflite", tmp_path / "n.tflite"
    Writer()(sample(), path)
    Writer()(sample(), second)
    assert path.read_bytes() == second.read_bytes()
    assert rewritten(path).read_bytes() == path.read_bytes()
    assert run(path, X)[0].shape == (1, 3)
    found = official(path)
    assert [tensor.name for tensor in found.subgraphs[0].tensors] == [str(t.name).encode() for t in sample().tensors]
    assert found.subgraphs[0].tensors[0].shapeSignature.tolist() == [-1, 5, 4, 2]
    assert [op.fusedActivationFunction for op in (found.subgraphs[0].operators[0].builtinOptions,)] == [1]
    assert [graph.name for graph in found.subgraphs] == [b"main", b"tanh", b"neg"]
    signature = found.signatureDefs[0]
    assert (signature.signatureKey, signature.inputs[0].name, signature.outputs[0].name) == (
        b"run",
        b"image",
        b"result",
    )


def test_values_behind_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in files above 2 GB."""
    path, outside = tmp_path / "m.tflite", tmp_path / "outside.tflite"
    Writer()(sample(), path)
    monkeypatch.setattr(writer, "MAX_SIZE", path.stat().st_size - 200)
    Writer()(sample(), outside)
    assert any(buffer.offset > 1 for buffer in official(outside).buffers)
    assert all(buffer.data is None for buffer in official(outside).buffers)
    assert np.array_equal(run(outside, X)[0], run(path, X)[0])
    a, b = Reader()(path), Reader()(outside)
    assert a.metadata == b.metadata
    for first, second in zip(a.tensors, b.tensors, strict=True):
        assert (first.data is None) == (second.data is None)
        assert first.data is None or np.array_equal(first.data, second.data)
    monkeypatch.setattr(writer, "MAX_SIZE", 100)
    with pytest.raises(FormatError, match="without its constants"):
        Writer()(sample(), outside)


def test_the_same_memory_is_written_once(tmp_path: Path) -> None:
    graph = Graph()
    data = np.arange(24, dtype=np.float32)
    shapes = [(24,), (4, 6), (4, 6)]
    graph.outputs = [Tensor(graph, f"c{k}", shape, np.float32, data.reshape(shape)) for k, shape in enumerate(shapes)]
    turned = Tensor(graph, "turned", (6, 4), np.float32, data.reshape(4, 6).T)
    graph.outputs = [*graph.outputs, turned]
    Writer()(graph, tmp_path / "m.tflite")
    assert [t.buffer for t in official(tmp_path / "m.tflite").subgraphs[0].tensors] == [1, 1, 1, 2]
    assert np.array_equal(Reader()(tmp_path / "m.tflite").outputs[3].data, turned.data)


def test_values_that_are_made_for_writing(tmp_path: Path) -> None:
    """Each is another one, although it may be at the place in memory of one that is gone."""

    class Lazy:
        def __init__(self, value: int) -> None:
            self.value = value

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:  # type: ignore[type-arg]
            return np.full((3, 4), self.value, np.float64)

    graph = Graph()
    graph.outputs = [Tensor(graph, f"c{k}", (3, 4), np.float32, Lazy(k)) for k in range(50)]
    Writer()(graph, tmp_path / "m.tflite")
    assert [t.data[0, 0] for t in Reader()(tmp_path / "m.tflite").outputs] == list(range(50))


def test_signature_names_all_inputs_and_outputs(tmp_path: Path) -> None:
    graph = Graph()
    a, b, y = (Tensor(graph, name, (2,), np.float32) for name in ("a", "b", None))
    Operation(graph, "ADD", inputs=(a, b), outputs=(y,))
    graph.inputs, graph.outputs = [a, b], [y]
    graph.metadata = {"signature": "s", "signature_inputs": {"first": "a", "alias": "a", "gone": "z"}}
    Writer()(graph, tmp_path / "m.tflite")
    found = official(tmp_path / "m.tflite").signatureDefs[0]
    assert [(item.name, item.tensorIndex) for item in found.inputs] == [(b"first", 0), (b"alias", 0), (b"b", 1)]
    assert [(item.name, item.tensorIndex) for item in found.outputs] == [(b"tensor_2", 2)]


def test_metadata_of_other_types_counts_as_missing(tmp_path: Path) -> None:
    """Somebody may have edited the file that it is from."""
    graph = sample()
    names = ("signature_inputs", "variables", "original_names", "open_extents", "description")
    for value in (5, "x", [[1]], {"x": 5, "y": [1]}, None):
        graph.metadata.update(dict.fromkeys(names, value))
        Writer()(graph, tmp_path / "m.tflite")
        assert run(tmp_path / "m.tflite", X)[0].shape == (1, 3)
    graph.metadata["tflite_metadata"] = {"about": "no base64"}
    with pytest.raises(UsageError, match="base64"):
        Writer()(graph, tmp_path / "m.tflite")


def test_changed_options_of_custom_operators(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    Writer()(unary("my_op", (2,), {"alpha": 0.5, "names": ["a", "b"]}, custom=True), path)
    graph = Reader()(path)
    graph.operations[0].attribs["alpha"] = 0.25
    Writer()(graph, path)
    attribs = Reader()(path).operations[0].attribs
    assert (attribs["alpha"], attribs["names"]) == (0.25, ["a", "b"])
    Writer()(unary("my_op", (2,), {"custom_options": "0a0b"}, custom=True), path)
    assert Reader()(path).operations[0].attribs == {"custom_options": b"\x0a\x0b"}


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (unary("NO_OPERATOR", (2,)), "no operator 'NO_OPERATOR'"),
        (unary("SOFTMAX", (2,), {"gamma": 1}), "SOFTMAX has no option 'gamma'"),
        (unary("SOFTMAX", (2,), {"beta": 1e300}), "'beta' cannot be 1e\\+300"),
        (unary("L2_POOL_2D", (2,), {"padding": "FULL"}), "'padding' is one of SAME, VALID"),
        (unary("CONV_2D", (2,)), "CONV_2D cannot have only 1 inputs"),
        (unary("my_op", (2,), {"x": object()}, custom=True), "no place in a FlexBuffer"),
        (unary("my_op", (2,), {"custom_options": "xyz"}, custom=True), "no hexadecimal number"),
    ],
)
def test_what_has_no_file(graph: Graph, message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        Writer()(graph, tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()


class Strict(_Decoder):
    """Checks what the verifier of FlatBuffers checks beside offsets: alignment, and the zero behind strings."""

    def _number(self, position: int, type: str) -> Any:
        assert position % np.dtype(type).itemsize == 0, (position, type)
        return super()._number(position, type)

    def _string(self, position: int) -> str:
        text = super()._string(position)
        assert self._data[position + 4 + len(text.encode())] == 0
        return text

    def _vector(self, position: int, type: str) -> Any:
        assert type not in NUMBERS or (position + 4) % np.dtype(type).itemsize == 0, (position, type)
        return super()._vector(position, type)


def test_everything_is_aligned(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    graph = sample()
    graph.tensors[1].quant = {"scale": 0.5, "zero_point": 3}
    Writer()(graph, path)
    data = memoryview(path.read_bytes())
    decoder = Strict(data, tflite_schema())
    model = decoder.table(decoder.reference(0), "Model")
    assert model["signature_defs"][0]["signature_key"] == "run"
    constants = [buffer["data"] for buffer in model["buffers"] if buffer["data"] is not None]
    base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    assert constants
    assert all((constant.__array_interface__["data"][0] - base) % 16 == 0 for constant in constants)

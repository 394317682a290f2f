"""TensorProto -> array, against onnx.numpy_helper.to_array."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from nnef_tools.conversion.onnx_to_nnef import Converter as OnnxToNnef
from nnef_tools.dialects.onnx.types import ELEMENT_TYPES
from nnef_tools.errors import FileError, FormatError
from nnef_tools.io.onnx.reader import Reader, read_tensor
from nnef_tools.io.onnx.tensors import value_field

from .models import read_message

NUMERIC = [t for t in TensorProto.DataType.values() if t not in (TensorProto.UNDEFINED, TensorProto.STRING)]


def test_all_element_types_are_known() -> None:
    assert set(ELEMENT_TYPES) == set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
    for number, element in ELEMENT_TYPES.items():
        known = helper.tensor_dtype_to_np_dtype(number)
        assert element.dtype is (np.str_ if number == TensorProto.STRING else known.type)
        assert element.itemsize == known.itemsize


def _random(data_type: int, shape: tuple[int, ...], raw: bool) -> TensorProto:
    element = ELEMENT_TYPES[data_type]
    count = int(np.prod(shape))
    random = np.random.default_rng(data_type)
    tensor = TensorProto(data_type=data_type, dims=shape, name="t")
    size = -(-count * element.bits // 8)
    if raw:
        tensor.raw_data = random.integers(0, 2 if data_type == TensorProto.BOOL else 256, size, np.uint8).tobytes()
    elif value_field(element) in ("float_data", "double_data"):
        getattr(tensor, value_field(element)).extend(
            random.standard_normal(count * (2 if np.issubdtype(element.dtype, np.complexfloating) else 1))
        )
    else:
        limit = {6: 64, 2: 256, 4: 256}.get(element.bits, 2 ** min(element.bits, 31))
        if data_type == TensorProto.BOOL:
            limit = 2
        items = size if element.bits in (2, 4) else count
        getattr(tensor, value_field(element)).extend(random.integers(0, limit, items).tolist())
    return tensor


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "values"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (7,), (2, 1, 4)], ids=str)
@pytest.mark.parametrize("data_type", NUMERIC, ids=TensorProto.DataType.Name)
def test_every_element_type(data_type: int, shape: tuple[int, ...], raw: bool) -> None:
    tensor = _random(data_type, shape, raw)
    array, expected = read_message(tensor), numpy_helper.to_array(tensor)
    assert array.dtype == expected.dtype and array.shape == shape == expected.shape
    assert not array.flags.writeable
    assert array.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("data_type", [TensorProto.INT2, TensorProto.UINT4, TensorProto.FLOAT6E2M3])
def test_long_packed_items(data_type: int) -> None:
    tensor = _random(data_type, (3_000_001,), True)
    assert read_message(tensor).tobytes() == numpy_helper.to_array(tensor).tobytes()


def test_strings() -> None:
    tensor = helper.make_tensor("s", TensorProto.STRING, [2, 2], ["a", "ä", "", "xyz"])
    array = read_message(tensor)
    assert array.tolist() == [["a", "ä"], ["", "xyz"]] and array.dtype == np.object_
    with pytest.raises(FormatError, match="UTF-8"):
        read_message(TensorProto(data_type=TensorProto.STRING, dims=[1], string_data=[b"\xff"]))


def test_bool_bytes_are_normalized() -> None:
    array = read_message(TensorProto(data_type=TensorProto.BOOL, dims=[3], raw_data=b"\0\1\7"))
    assert array.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "fields",
    [
        {"dims": [3], "data_type": 1, "raw_data": bytes(8)},
        {"dims": [3], "data_type": 1, "raw_data": bytes(16)},
        {"dims": [-3], "data_type": 1},
        {"dims": [2**62, 2**62], "data_type": 1},
        {"dims": [0, 2**62, 2**62], "data_type": 1},
        {"dims": [1 << 40], "data_type": 21, "raw_data": b"x"},
        {"dims": [1] * 100, "data_type": 1, "raw_data": bytes(4)},
        {"dims": [1], "data_type": 99, "raw_data": b"x"},
        {"dims": [1], "data_type": 0},
        {"dims": [2], "data_type": 1, "float_data": [1]},
        {"dims": [1], "data_type": 1, "float_data": [1], "segment": TensorProto.Segment(begin=0, end=1)},
        {"dims": [1], "data_type": 1, "data_location": 1},
        {"dims": [2], "data_type": 8, "string_data": [b"x"]},
    ],
)
def test_invalid(fields: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        read_message(TensorProto(**fields))  # type: ignore[arg-type]


def _sparse(indices: object, dims: list[int], values: object = (5.0, 7.0)) -> SparseTensorProto:
    return helper.make_sparse_tensor(
        numpy_helper.from_array(np.array(values, np.float32), "s"),
        numpy_helper.from_array(np.array(indices, np.int64)),
        dims,
    )


def test_sparse() -> None:
    assert read_message(_sparse([1, 5], [2, 3])).tolist() == [[0, 5, 0], [0, 0, 7]]
    assert read_message(_sparse([[0, 1], [1, 2]], [2, 3])).tolist() == [[0, 5, 0], [0, 0, 7]]


@pytest.mark.parametrize(
    "indices, dims",
    [([1, 6], [2, 3]), ([-1, 2], [2, 3]), ([1], [2, 3]), ([[0], [1]], [2, 3]), ([[0, 3], [1, 2]], [2, 3]),
     ([1, 2], [1 << 30, 1 << 10])],
)  # fmt: skip
def test_sparse_invalid(indices: object, dims: list[int]) -> None:
    with pytest.raises(FormatError):
        read_message(_sparse(indices, dims))


def test_read_tensor(tmp_path: Path) -> None:
    tensor = _random(TensorProto.FLOAT, (50, 60), True)
    path = tmp_path / "input_0.pb"
    path.write_bytes(tensor.SerializeToString())
    expected = numpy_helper.to_array(tensor)
    np.testing.assert_array_equal(read_tensor(path), expected)
    with path.open("rb") as file:
        np.testing.assert_array_equal(Reader().read_tensor(file), expected)
    path.write_bytes(b"\x0a\xff")
    with pytest.raises(FormatError, match=r"input_0\.pb"):
        read_tensor(path)
    with pytest.raises(FileError):
        read_tensor(tmp_path / "none.pb")


def _external(folder: Path, *, size_threshold: int = 0, **entries: str) -> Path:
    """A model file whose weights are in 'w.bin'; entries replace those of the first tensor."""
    from .models import linear_model

    path = folder / "model.onnx"
    onnx.save_model(
        linear_model(40, 50), path, save_as_external_data=True, location="w.bin", size_threshold=size_threshold
    )
    model = onnx.load(path, load_external_data=False)
    for key, value in entries.items():
        found = [entry for entry in model.graph.initializer[0].external_data if entry.key == key]
        (found[0] if found else model.graph.initializer[0].external_data.add(key=key)).value = value
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data(tmp_path: Path) -> None:
    from .models import linear_model

    graph = Reader()(_external(tmp_path))
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for initializer in linear_model(40, 50).graph.initializer:
        np.testing.assert_array_equal(tensors[initializer.name].data, numpy_helper.to_array(initializer))


@pytest.mark.parametrize(
    "entries",
    [{"location": "../w.bin"}, {"location": "/etc/passwd"}, {"location": "a/../../w.bin"}, {"location": ""},
     {"location": "."}, {"location": "a\0b"}, {"location": "..\\w.bin"}, {"offset": "100000"}, {"offset": "-4"},
     {"offset": "99999999999999999999999"}, {"length": "7"}, {"length": "1e3"},
     {"location": "\0this file", "9": "0:1"}],
)  # fmt: skip
def test_external_data_outside(tmp_path: Path, entries: dict[str, str]) -> None:
    with pytest.raises(FormatError):
        Reader()(_external(tmp_path, **entries))


def test_external_data_missing(tmp_path: Path) -> None:
    path = _external(tmp_path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(FileError, match=r"w\.bin"):
        Reader()(path)


def test_external_data_links(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = _external(folder)
    outside = tmp_path / "outside.bin"
    (folder / "w.bin").rename(outside)
    (folder / "w.bin").symlink_to(outside)
    with pytest.raises(FormatError, match="link"):
        Reader()(path)
    # A download cache: both files are links to neighbors in another folder.
    path.rename(tmp_path / "blob")
    path.symlink_to(tmp_path / "blob")
    Reader()(path)
    os.remove(folder / "w.bin")  # noqa: PTH107
    os.mkfifo(folder / "w.bin")
    with pytest.raises(FormatError, match="regular"):
        Reader()(path)


def test_small_external_data_says_shapes(tmp_path: Path) -> None:
    from ...support.onnx_models import text_model

    model = text_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[2,6] x) => (float[a,b,c] y) <int64[3] shape = {3, 2, 2}> { y = Reshape (x, shape) }"""
    )
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([3, 2, 2]), "shape"))
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert onnx.load(path, load_external_data=False).graph.initializer[0].data_location == TensorProto.EXTERNAL
    assert OnnxToNnef()(Reader()(path)).outputs[0].shape == (3, 2, 2)

"""The skeleton of a file: what onnx parses from it, and that nothing large is in it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nnef_tools.errors import FormatError
from nnef_tools.io.onnx.schema import parse_tensor
from nnef_tools.io.onnx.storage import Storage
from nnef_tools.io.onnx.tensors import to_array
from nnef_tools.io.onnx.wire import MAX_INLINE_BYTES, TENSOR, THIS_FILE, skeleton

from .models import linear_model


def test_small_model_is_copied() -> None:
    data = linear_model(3, 4).SerializeToString()
    assert skeleton(memoryview(data)) == data


def test_large_values_stay_in_the_file() -> None:
    model = linear_model(300, 50)
    data = model.SerializeToString()
    small = skeleton(memoryview(data))
    assert len(small) < 1000
    parsed = ModelProto.FromString(small)
    weights = parsed.graph.initializer[0]
    assert weights.data_location == TensorProto.EXTERNAL
    assert weights.external_data[0].value == THIS_FILE
    offset, length = map(int, weights.external_data[1].value.split(":"))
    assert data[offset : offset + length] == model.graph.initializer[0].raw_data
    # Apart from the value, the message is the same.
    weights.ClearField("data_location")
    del weights.external_data[:]
    weights.raw_data = model.graph.initializer[0].raw_data
    assert parsed == model


@pytest.mark.parametrize("depth", [1, 3])
def test_tensors_in_nested_graphs(depth: int) -> None:
    value = numpy_helper.from_array(np.arange(5000, dtype=np.float32), "v")
    graph = helper.make_graph([helper.make_node("Constant", [], ["c"], value=value)], "inner", [], [])
    for _ in range(depth):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "outer", [], [])
    data = helper.make_model(graph).SerializeToString()
    assert len(data) > 20000 * 2**depth
    assert len(skeleton(memoryview(data))) < 2000 * 2**depth


@pytest.mark.parametrize(
    "dtype, field",
    [(TensorProto.INT64, "int64_data"), (TensorProto.INT32, "int32_data"), (TensorProto.FLOAT, "float_data"),
     (TensorProto.DOUBLE, "double_data"), (TensorProto.UINT64, "uint64_data"), (TensorProto.FLOAT16, "int32_data"),
     (TensorProto.COMPLEX64, "float_data"), (TensorProto.BOOL, "int32_data"), (TensorProto.INT4, "int32_data")],
)  # fmt: skip
def test_packed_values(dtype: int, field: str) -> None:
    count = 3 * MAX_INLINE_BYTES
    random = np.random.default_rng(1)
    if field in ("float_data", "double_data"):
        values = random.standard_normal(count).tolist()
    elif field == "uint64_data":
        values = (
            random.integers(0, 2**63, count).astype(np.uint64) >> random.integers(0, 63, count).astype(np.uint64)
        ).tolist()
    elif field == "int64_data":
        values = (random.integers(-(2**63), 2**63, count) >> random.integers(0, 63, count)).tolist()
    else:
        values = random.integers(0, 2 if dtype == TensorProto.BOOL else 256, count).tolist()
        if dtype == TensorProto.INT32:
            values = (random.integers(-(2**31), 2**31, count) >> random.integers(0, 31, count)).tolist()
    items = {TensorProto.COMPLEX64: count // 2, TensorProto.INT4: 2 * count - 1}.get(dtype, count)
    tensor = TensorProto(dims=[items], data_type=dtype, name="t")
    getattr(tensor, field).extend(values)
    data = tensor.SerializeToString()
    small = skeleton(memoryview(data), TENSOR)
    assert len(small) < 200
    array = to_array(parse_tensor(small), Storage(np.frombuffer(data, np.uint8)))
    expected = numpy_helper.to_array(tensor)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_packed_field_in_pieces() -> None:
    """Protobuf may split a packed field, and mix it with single items."""
    pieces = [TensorProto(int64_data=range(k, k + 5000)) for k in (0, 5000)]
    single = b"\x38\x07"  # field 7, varint
    head = TensorProto(dims=[10001], data_type=TensorProto.INT64).SerializeToString()
    data = head + pieces[0].SerializeToString() + single + pieces[1].SerializeToString()
    array = to_array(parse_tensor(skeleton(memoryview(data), TENSOR)), Storage(np.frombuffer(data, np.uint8)))
    np.testing.assert_array_equal(array, numpy_helper.to_array(TensorProto.FromString(data)))
    assert array[5000] == 7


def test_unpacked_field_is_copied() -> None:
    data = TensorProto(dims=[3000], data_type=TensorProto.INT64).SerializeToString() + b"\x38\x07" * 3000
    assert skeleton(memoryview(data), TENSOR) == data


@pytest.mark.parametrize(
    "data",
    [b"\x3a\xff\xff\xff\xff\x7f" + bytes(MAX_INLINE_BYTES), b"\xff" * 5000,
     b"\x3b" + bytes(5000), b"\x02" + bytes(5000),
     b"\x3a\x88\x80\x01" + b"\xff" * 16392],
    ids=["length", "varint", "group", "field 0", "nested"],
)  # fmt: skip
def test_malformed(data: bytes) -> None:
    with pytest.raises(FormatError):
        skeleton(memoryview(data))


def test_nesting_is_bounded() -> None:
    payload = bytes(MAX_INLINE_BYTES + 1)
    for k in range(300):
        number = (6, 5, 1)[k % 3]  # AttributeProto.g, NodeProto.attribute, GraphProto.node
        size = len(payload)
        payload = bytes([number << 3 | 2, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + payload
    size = len(payload)
    data = bytes([7 << 3 | 2, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + payload
    with pytest.raises(FormatError, match="nested"):
        skeleton(memoryview(data))

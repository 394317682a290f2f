"""Our custom operations against scipy, onnxruntime and the reference evaluator of onnx."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

import nnef_tools.language.stdlib
from nnef_tools.errors import ExecutionError, ShapeError
from nnef_tools.ops.fragments import called_fragments, extension_fragments, helper_fragments
from nnef_tools.ops.registry import find

from .kernels import infer, run_op


def onnx_model(op: str, inputs: list[Any], outputs: int = 1, opset: int = 20, **attribs: Any) -> onnx.ModelProto:
    def info(name: str, array: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attribs)
    graph = helper.make_graph(
        [node],
        "g",
        [info(name, array) for name, array in zip(names, inputs, strict=True) if name],
        [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outputs)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run_ort(op: str, inputs: list[Any], **more: Any) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = onnx_model(op, inputs, **more)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {f"x{i}": array for i, array in enumerate(inputs) if array is not None})


def test_every_declared_operation_is_implemented() -> None:
    called = {other for others in called_fragments().values() for other in others}
    assert helper_fragments() == called
    for name, fragment in extension_fragments().items():
        assert (find(name) is not None) == (name not in called), name
        assert name in called or not find(name).standard
        assert fragment.text.lstrip().startswith("fragment ")
        assert name not in nnef_tools.language.stdlib.standard_fragments()


def test_the_reference_parser_reads_the_declarations() -> None:
    import nnef

    text = "version 1.0;\nextension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"
    text += "\n".join(fragment.text for fragment in extension_fragments().values())
    text += """
graph g( x ) -> ( y, values, indices )
{
    x = external(shape = [1, 2, 4, 4]);
    e = erf(x);
    y = resize(e, output_size = [8, 8], mode = 'linear');
    values, indices = top_k(x, k = 2, axis = 3);
}
"""
    graph = nnef.parse_string(text)
    assert [op.name for op in graph.operations] == ["external", "erf", "resize", "top_k"]


def test_erf() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-7, 7, 20001), [np.inf, -np.inf, np.nan, 1e-300, -0.0]])
    np.testing.assert_allclose(run_op("erf", x), special.erf(x), rtol=2e-15)
    narrow = x.astype(np.float32)
    result = run_op("erf", narrow)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, special.erf(narrow.astype(np.float64)), rtol=1e-7)
    assert run_op("erf", x.astype(ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16
    assert run_op("erf", np.float32(0.5)).shape == ()
    assert run_op("erf", np.zeros((0, 2), np.float32)).shape == (0, 2)
    np.testing.assert_array_equal(run_op("erf", narrow[:10].reshape(2, 5).T), result[:10].reshape(2, 5).T)


@pytest.mark.parametrize("axes", [[0], [1, 2], []])
def test_product_reduce(axes: list[int], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    if axes:
        expected = run_ort("ReduceProd", [x, np.array(axes)])[0]
    else:
        expected = x
    np.testing.assert_allclose(run_op("product_reduce", x, axes=axes), expected, rtol=1e-5)


@pytest.mark.parametrize(("exclusive", "reverse"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_cum_sum(dtype: type[Any], axis: int, exclusive: bool, reverse: bool, rng: np.random.Generator) -> None:
    x = rng.integers(-9, 9, (3, 4)).astype(dtype)
    expected = run_ort("CumSum", [x, np.array(axis)], exclusive=int(exclusive), reverse=int(reverse))[0]
    result = run_op("cum_sum", x, axis=axis, exclusive=exclusive, reverse=reverse)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_cum_sum_of_halves_and_infinities() -> None:
    result = run_op("cum_sum", np.full(4096, 1, np.float16), axis=0)
    assert result.dtype == np.float16
    assert result[-1] == 4096
    x = np.array([np.inf, 1.0], np.float32)
    assert run_op("cum_sum", x, axis=0, exclusive=True).tolist() == [0.0, np.inf]
    assert x.tolist() == [np.inf, 1.0]


@pytest.mark.parametrize(("exclusive", "reverse"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_cum_prod(dtype: type[Any], axis: int, exclusive: bool, reverse: bool, rng: np.random.Generator) -> None:
    x = rng.integers(-3, 4, (3, 4)).astype(dtype)
    flip = (lambda a: np.flip(a, axis)) if reverse else (lambda a: a)
    values = flip(x)
    expected = np.ones_like(x)
    for k in range(x.shape[axis]):
        factors = np.take(values, range(k if exclusive else k + 1), axis)
        np.moveaxis(expected, axis, 0)[k] = np.prod(factors, axis)
    result = run_op("cum_prod", x, axis=axis, exclusive=exclusive, reverse=reverse)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, flip(expected))


def test_inverse(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 3)).astype(np.float32)
    expected = torch.linalg.inv(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run_op("inverse", x), expected, rtol=1e-3, atol=1e-5)
    singular = np.stack([np.ones((2, 2), np.float32), 2 * np.eye(2, dtype=np.float32)])
    result = run_op("inverse", singular)
    assert np.isnan(result[0]).all() and result[1].tolist() == [[0.5, 0], [0, 0.5]]


def test_fmod() -> None:
    x = np.array([7.5, -7.5, 1e30, 0.3, 5, np.inf, 3], np.float32)
    y = np.array([2, 2, 0.7, 0.1, np.inf, 2, 0], np.float32)
    expected = torch.fmod(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    np.testing.assert_array_equal(run_op("fmod", x, y), expected)
    assert run_op("fmod", x[:2], y[:2]).tolist() == [1.5, -1.5]
    assert run_op("fmod", np.full((2, 3), 5, np.float32), np.array([2, 3], np.float32)).tolist() == [[1] * 3, [2] * 3]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_top_k(dtype: type[Any], axis: int, largest: bool, rng: np.random.Generator) -> None:
    x = rng.integers(0, 6, (4, 5, 6)).astype(dtype)
    values, indices = run_op("top_k", x, k=3, axis=axis, largest=largest)
    expected = run_ort("TopK", [x, np.array([3])], outputs=2, axis=axis, largest=int(largest))
    assert (values.dtype, indices.dtype) == (dtype, np.int64)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_array_equal(np.take_along_axis(x, indices, axis), values)


def test_top_k_of_half_precision() -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16):
        values, indices = run_op("top_k", np.array([1, 3, 2, 3], dtype), k=3, axis=0)
        assert (values.dtype, values.tolist(), indices.tolist()) == (dtype, [3, 3, 2], [1, 3, 2])


def test_det(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(run_op("det", x), torch.linalg.det(torch.from_numpy(x)).numpy(), rtol=1e-3, atol=1e-5)
    assert run_op("det", np.eye(3, dtype=np.float32)).shape == ()
    assert run_op("det", np.eye(3, dtype=np.float16)).dtype == np.float16


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_bits(dtype: type[Any], rng: np.random.Generator) -> None:
    info = np.iinfo(dtype)
    x, y = (rng.integers(info.min, info.max, (3, 4), dtype=dtype, endpoint=True) for _ in range(2))
    for ours, theirs in {"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor"}.items():
        result = run_op(ours, x, y)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, run_ort(theirs, [x, y])[0])
    np.testing.assert_array_equal(run_op("bitwise_not", x), run_ort("BitwiseNot", [x])[0])
    assert run_op("bitwise_and", x, np.int64(1)).dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64])
def test_shifts(dtype: type[Any], rng: np.random.Generator) -> None:
    x = rng.integers(0, np.iinfo(dtype).max, (3, 4), dtype=dtype)
    y = rng.integers(0, np.iinfo(dtype).bits, (3, 4), dtype=dtype)
    for name, direction in (("shift_left", "LEFT"), ("shift_right", "RIGHT")):
        expected = run_ort("BitShift", [x, y], direction=direction)[0]
        np.testing.assert_array_equal(run_op(name, x, y), expected)
    assert run_op("shift_right", np.array([-8]), np.array([1])).tolist() == [-4]


def test_bits_broadcast_from_the_left() -> None:
    result = run_op("bitwise_or", np.array([[1, 2], [1, 2]]), np.array([0, 4]))
    assert result.tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_])
def test_gather_elements(dtype: type[Any], axis: int, rng: np.random.Generator) -> None:
    x = rng.integers(0, 2, (3, 4, 5)).astype(dtype)
    shape = [3, 4, 5]
    shape[axis] = 7
    indices = rng.integers(-x.shape[axis], x.shape[axis], shape)
    expected = run_ort("GatherElements", [x, indices], axis=axis)[0]
    result = run_op("gather_elements", x, indices, axis=axis)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_gather_elements_of_a_part(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 5)).astype(np.float32)
    indices = rng.integers(0, 5, (2, 3))
    expected = torch.gather(torch.from_numpy(x), 1, torch.from_numpy(indices)).numpy()
    np.testing.assert_array_equal(run_op("gather_elements", x, indices, axis=1), expected)


@pytest.mark.parametrize(
    ("batch", "items", "lead"), [(0, 1, (2,)), (0, 2, (2, 3)), (0, 3, ()), (1, 1, (6,)), (1, 2, (2, 2)), (2, 1, ())]
)
def test_gather_nd(batch: int, items: int, lead: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    parts = [rng.integers(-n, n, (*x.shape[:batch], *lead)) for n in x.shape[batch : batch + items]]
    indices = np.stack(parts, axis=-1)
    expected = run_ort("GatherND", [x, indices], batch_dims=batch)[0]
    np.testing.assert_array_equal(run_op("gather_nd", x, indices, batch_dims=batch), expected)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_elements(axis: int, dtype: type[Any], reduction: str, rng: np.random.Generator) -> None:
    x = rng.integers(1, 5, (4, 5)).astype(dtype)
    original = x.copy()
    indices = np.argsort(rng.random((4, 5)), axis=axis)
    indices = (indices if reduction == "none" else indices // 2)[:3, :4] % x.shape[axis]
    if reduction == "none":
        indices = np.argsort(np.argsort(indices, axis=axis), axis=axis) - x.shape[axis]
    updates = rng.integers(1, 5, indices.shape).astype(dtype)
    expected = run_ort("ScatterElements", [x, indices, updates], axis=axis, reduction=reduction)[0]
    result = run_op("scatter_elements", x, indices, updates, axis=axis, reduction=reduction)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(x, original)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
@pytest.mark.parametrize("items", [1, 2, 3])
def test_scatter_nd(items: int, reduction: str, rng: np.random.Generator) -> None:
    x = rng.integers(1, 5, (3, 4, 5)).astype(np.float32)
    if reduction == "none":
        places = rng.permutation(int(np.prod(x.shape[:items])))[:2]
        indices = np.stack(np.unravel_index(places, x.shape[:items]), axis=-1)
    else:
        indices = np.stack([rng.integers(-n, n, (6,)) for n in x.shape[:items]], axis=-1)
    updates = rng.integers(1, 5, (len(indices), *x.shape[items:])).astype(np.float32)
    expected = run_ort("ScatterND", [x, indices, updates], opset=18, reduction=reduction)[0]
    np.testing.assert_array_equal(run_op("scatter_nd", x, indices, updates, reduction=reduction), expected)


def test_scatter_of_halves_adds_in_float32() -> None:
    x = np.zeros(1, np.float16)
    result = run_op("scatter_nd", x, np.zeros((4096, 1), np.int64), np.ones(4096, np.float16), reduction="add")
    assert result.dtype == np.float16
    assert result.tolist() == [4096.0]
    replaced = run_op("scatter_nd", np.array([True, False]), np.array([[0]]), np.array([False]))
    assert (replaced.dtype, replaced.tolist()) == (np.bool_, [False, False])


ERRORS = [
    ("cum_sum", ([2],), {"axis": 1}, "'axis' must lie in \\[-1, 1\\), got 1"),
    ("top_k", ([2, 3],), {"k": 4, "axis": 1}, "'k' must lie in \\[1, 3\\] for axis 1 of shape \\[2, 3\\], got 4"),
    ("top_k", ([2, 3],), {"k": 0, "axis": 1}, "'k' must lie in"),
    ("det", ([2, 3],), {}, "square matrices"),
    ("det", ([2],), {}, "square matrices"),
    ("bitwise_and", ([2, 3], [3]), {}, "do not broadcast"),
    ("gather_elements", ([2, 3], [2]), {"axis": 0}, "rank of the input"),
    ("gather_elements", ([2, 3], [2, 4]), {"axis": 0}, "no larger extents except along axis"),
    ("gather_nd", ([2, 3], [2, 3]), {}, "must have 1 to 2 items"),
    ("gather_nd", ([2, 3], [3, 1]), {"batch_dims": 1}, "'batch_dims' 1"),
    ("gather_nd", ([2, 3], []), {}, "'indices' must have rank 1 at least"),
    ("scatter_elements", ([2, 3], [1, 3], [1, 2]), {"axis": 0}, "'updates' must have shape \\[1, 3\\], got \\[1, 2\\]"),
    ("scatter_elements", ([2], [1], [1]), {"axis": 0, "reduction": "sum"}, "'reduction' must be one of"),
    ("scatter_nd", ([2, 3], [4, 1], [4]), {}, "'updates' must have shape \\[4, 3\\]"),
]


@pytest.mark.parametrize(("name", "shapes", "attribs", "message"), ERRORS)
def test_errors(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)


@pytest.mark.parametrize("index", [-4, 3])
def test_indices_out_of_range(index: int) -> None:
    x, updates = np.zeros((3, 3), np.float32), np.zeros((1, 1), np.float32)
    indices = np.array([[index]])
    for name, inputs, attribs in (
        ("gather_elements", [x, indices], {"axis": 1}),
        ("gather_nd", [x, indices], {}),
        ("scatter_elements", [x, indices, updates], {"axis": 1}),
        ("scatter_nd", [x, indices, x[:1]], {}),
    ):
        with pytest.raises(ExecutionError, match=f"index {index} is out of range \\[-3, 3\\)"):
            run_op(name, *inputs, **attribs)

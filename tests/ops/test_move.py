"""Shape and data movement: golden vectors, numpy and torch as oracles, element types, errors."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from nnef_tools.errors import ExecutionError, ShapeError
from nnef_tools.ops.registry import find

from ..support.arrays import Array
from .kernels import infer, run_op

TYPES = [np.float32, np.float16, ml_dtypes.bfloat16, np.float64, np.int8, np.uint64, np.bool_]


def counted(*shape: int, dtype: type[Any] = np.float32) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("attribs", "shape"),
    [
        ({"shape": [0, -1]}, [2, 12]),
        ({"shape": [12], "axis_start": 1, "axis_count": 2}, [2, 12]),
        ({"shape": [-1]}, [24]),
        ({"shape": [4, 3, 2]}, [4, 3, 2]),
        ({"shape": [0, 0, 2, -1]}, [2, 3, 2, 2]),
        ({"shape": [3, 1], "axis_start": 1, "axis_count": 1}, [2, 3, 1, 4]),
        ({"shape": [0, -1], "axis_start": 1}, [2, 3, 4]),
        ({"shape": [1, 1], "axis_start": 1, "axis_count": 0}, [2, 1, 1, 3, 4]),
        ({"shape": [1], "axis_start": 3}, [2, 3, 4, 1]),
        ({"shape": [], "axis_start": 3, "axis_count": 0}, [2, 3, 4]),
    ],
)
def test_reshape(attribs: dict[str, Any], shape: list[int]) -> None:
    x = counted(2, 3, 4)
    result = run_op("reshape", x, **attribs)
    np.testing.assert_array_equal(result, x.reshape(shape))
    assert np.shares_memory(result, x)


def test_reshape_of_single_values() -> None:
    assert run_op("reshape", np.float32(3), shape=[1, 1]).tolist() == [[3]]
    assert run_op("reshape", np.ones((1, 1), np.float32), shape=[]).tolist() == 1
    assert run_op("reshape", np.ones((0, 3), np.float32), shape=[-1, 3]).shape == (0, 3)


def test_squeeze_unsqueeze() -> None:
    x = counted(1, 3, 1, 4)
    assert run_op("squeeze", x, axes=[0, 2]).shape == (3, 4)
    assert run_op("squeeze", x, axes=[2]).shape == (1, 3, 4)
    assert run_op("squeeze", x, axes=[]).shape == x.shape
    y = counted(3, 4)
    assert run_op("unsqueeze", y, axes=[0, 2]).shape == (1, 3, 1, 4)
    assert run_op("unsqueeze", y, axes=[3, 2]).shape == (3, 4, 1, 1)
    assert run_op("unsqueeze", np.float32(1), axes=[0, 1]).shape == (1, 1)


@pytest.mark.parametrize("axes", [list(p) for n in range(4) for p in permutations(range(n))])
def test_transpose(axes: list[int]) -> None:
    x = counted(2, 3, 4)
    full = [*axes, *range(len(axes), 3)]
    np.testing.assert_array_equal(run_op("transpose", x, axes=axes), torch.from_numpy(x).permute(full).numpy())


def test_transpose_golden() -> None:
    result = run_op("transpose", counted(2, 3, 1), axes=[1, 0])
    assert result.shape == (3, 2, 1)
    assert result.ravel().tolist() == [0, 3, 1, 4, 2, 5]
    assert run_op("transpose", np.float32(2), axes=[]).tolist() == 2


def test_split() -> None:
    first, second = run_op("split", counted(6), axis=0, ratios=[1, 2])
    assert first.tolist() == [0, 1]
    assert second.tolist() == [2, 3, 4, 5]
    x = counted(2, 12, 3)
    for part, expected in zip(
        run_op("split", x, axis=1, ratios=[2, 3, 1]), torch.split(torch.from_numpy(x), [4, 6, 2], 1), strict=True
    ):
        np.testing.assert_array_equal(part, expected.numpy())
        assert np.shares_memory(part, x)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_joins(axis: int, rng: np.random.Generator) -> None:
    shapes = [[2, 3, 4] for _ in range(3)]
    shapes[1][axis] = 5
    parts = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    np.testing.assert_array_equal(
        run_op("concat", parts, axis=axis), torch.cat([torch.from_numpy(p) for p in parts], axis).numpy()
    )
    np.testing.assert_array_equal(run_op("concat", parts[:1], axis=axis), parts[0])
    same = [parts[0], parts[2]]
    stacked = run_op("stack", same, axis=axis)
    np.testing.assert_array_equal(stacked, torch.stack([torch.from_numpy(p) for p in same], axis).numpy())
    for item, expected in zip(run_op("unstack", stacked, axis=axis), same, strict=True):
        np.testing.assert_array_equal(item, expected)


def test_stack_at_the_end_and_of_single_values() -> None:
    assert run_op("stack", [counted(2), counted(2)], axis=1).tolist() == [[0, 0], [1, 1]]
    assert run_op("stack", [np.float32(1), np.float32(2)], axis=0).tolist() == [1, 2]
    assert [item.tolist() for item in run_op("unstack", counted(3), axis=0)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("begin", "end", "stride", "expected"),
    [
        (0, 5, 2, [0, 2, 4]),
        (-1, -6, -1, [4, 3, 2, 1, 0]),
        (4, 0, -2, [4, 2]),
        (1, 0, None, [1, 2, 3, 4]),
        (1, 0, 1, [1, 2, 3, 4]),
        (2, 2, None, []),
        (0, 0, None, [0, 1, 2, 3, 4]),
        (-2, 0, None, [3, 4]),
        (-3, -1, None, [2, 3]),
        (1, 100, 3, [1, 4]),
        (4, -100, -3, [4, 1]),
        (0, 4, 3, [0, 3]),
        (0, 0, 2, []),
        (3, 3, -1, []),
        (5, 5, None, []),
    ],
)
def test_slice(begin: int, end: int, stride: int | None, expected: list[int]) -> None:
    more = {} if stride is None else {"stride": [stride]}
    x = counted(5)
    assert run_op("slice", x, axes=[0], begin=[begin], end=[end], **more).tolist() == expected
    y = np.stack([x, x + 10], axis=1)
    result = run_op("slice", y, axes=[0], begin=[begin], end=[end], **more)
    assert result.tolist() == [[i, i + 10] for i in expected]


def test_slice_end_zero_is_taken_literally_if_any_stride_is_not_1() -> None:
    x = counted(2, 5)
    result = run_op("slice", x, axes=[0, 1], begin=[0, 1], end=[2, 0], stride=[1, -1])
    assert result.tolist() == [[1], [6]]
    assert run_op("slice", x, axes=[1, 0], begin=[3, 0], end=[0, 1]).tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("padding", "border", "value", "expected"),
    [
        ((2, 2), "reflect", 0.0, [2, 1, 0, 1, 2, 3, 2, 1]),
        ((2, 2), "reflect-even", 0.0, [1, 0, 0, 1, 2, 3, 3, 2]),
        ((2, 2), "replicate", 0.0, [0, 0, 0, 1, 2, 3, 3, 3]),
        ((1, 2), "constant", 7.0, [7, 0, 1, 2, 3, 7, 7]),
        ((-1, -1), "constant", 7.0, [1, 2]),
        ((-1, 2), "reflect", 0.0, [1, 2, 3, 2, 1]),
        ((2, -3), "constant", 7.0, [7, 7, 0]),
        ((-5, 3), "constant", 7.0, [7, 7]),
        ((3, -5), "constant", 7.0, [7, 7]),
        ((-2, -2), "constant", 7.0, []),
        ((3, 3), "reflect", 0.0, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]),
        ((4, 0), "reflect-even", 0.0, [3, 2, 1, 0, 0, 1, 2, 3]),
    ],
)
def test_pad(padding: tuple[int, ...], border: str, value: float, expected: list[int]) -> None:
    assert run_op("pad", counted(4), padding=[padding], border=border, value=value).tolist() == expected


@pytest.mark.parametrize(
    ("border", "mode"), [("constant", "constant"), ("replicate", "replicate"), ("reflect", "reflect")]
)
def test_pad_of_images(border: str, mode: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 5, 6)).astype(np.float32)
    expected = torch.nn.functional.pad(torch.from_numpy(x), (3, 1, 2, 4), mode=mode).numpy()
    result = run_op("pad", x, padding=[(0, 0), (0, 0), (2, 4), (3, 1)], border=border)
    np.testing.assert_array_equal(result, expected)


def test_tile() -> None:
    x = counted(2, 1, 3)
    np.testing.assert_array_equal(run_op("tile", x, repeats=[2, 3, 1]), torch.from_numpy(x).repeat(2, 3, 1).numpy())


def test_gather_golden() -> None:
    x = counted(2, 3)
    result = run_op("gather", x, np.array([[0, 2], [1, 1]]), axis=1)
    assert result.tolist() == [[[0, 2], [1, 1]], [[3, 5], [4, 4]]]
    assert run_op("gather", x, np.array(1), axis=0).tolist() == [3, 4, 5]
    assert run_op("gather", x, np.array(2), axis=1).tolist() == [2, 5]
    assert run_op("gather", x, np.zeros((0,), np.int64), axis=1).shape == (2, 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather(axis: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 5, 6)).astype(np.float32)
    indices = rng.integers(0, 4, (2, 3)).astype(np.int32)
    expected = torch.stack([torch.from_numpy(x).select(axis, int(i)) for i in indices.ravel()], axis)
    np.testing.assert_array_equal(run_op("gather", x, indices, axis=axis), expected.unflatten(axis, (2, 3)).numpy())


@pytest.mark.parametrize("dtype", TYPES)
def test_types_pass_through(dtype: type[Any]) -> None:
    x = (counted(2, 3) % 2).astype(dtype)
    results = [
        run_op("reshape", x, shape=[-1]),
        run_op("transpose", x, axes=[1, 0]),
        run_op("concat", [x, x], axis=0),
        run_op("stack", [x, x], axis=0),
        run_op("slice", x, axes=[1], begin=[2], end=[-4], stride=[-1]),
        run_op("pad", x, padding=[(1, 1), (0, 2)]),
        run_op("pad", x, padding=[(1, 1), (0, 2)], border="reflect"),
        run_op("tile", x, repeats=[2, 2]),
        run_op("gather", x, np.array([0, 1]), axis=1),
        *run_op("split", x, axis=1, ratios=[1, 2]),
        *run_op("unstack", x, axis=0),
    ]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


def test_big_integers_are_not_rounded() -> None:
    x = np.array([2**62 + 1, -(2**62) - 1])
    assert run_op("concat", [x, x], axis=0).tolist() == [*x, *x]
    assert run_op("pad", x, padding=[(0, 1)]).tolist() == [*x, 0]


@pytest.mark.parametrize(
    ("values", "source", "target", "expected"),
    [
        ([-1.7, -0.2, 0.9, 2.5], np.float32, np.int64, [-1, 0, 0, 2]),
        ([-1.7, 300.0], np.float32, np.int16, [-1, 300]),
        ([0.0, 0.1, -2.0, np.nan], np.float32, np.bool_, [False, True, True, True]),
        ([0, 3], np.int32, np.bool_, [False, True]),
        ([False, True], np.bool_, np.float32, [0.0, 1.0]),
        ([False, True], np.bool_, np.uint8, [0, 1]),
        ([2**53 + 1], np.int64, np.int64, [2**53 + 1]),
        ([1.0, 1e6], np.float32, np.float16, [1.0, np.inf]),
        ([1.5, 2.7], ml_dtypes.bfloat16, np.int32, [1, 2]),
        ([1, 2], np.int8, ml_dtypes.bfloat16, [1.0, 2.0]),
        ([300], np.int32, np.uint8, [44]),
    ],
)
def test_cast(values: list[Any], source: type[Any], target: type[Any], expected: list[Any]) -> None:
    result = run_op("cast", np.array(values, source), dtype=target)
    assert result.dtype == target
    assert result.tolist() == expected


def test_cast_to_text_is_refused() -> None:
    with pytest.raises(ShapeError, match="cannot cast"):
        find("cast").run(np.ones(2), dtype=np.str_)


ERRORS = [
    ("reshape", ([2, 3],), {"shape": [-2, -2]}, "items of 'shape' must be -1, 0 or positive, got \\[-2, -2\\]"),
    ("reshape", ([2, 3],), {"shape": [-1, -1]}, "-1 once only"),
    ("reshape", ([2, 0],), {"shape": [0, 0, 0]}, "item 2 of 'shape' \\[0, 0, 0\\] copies dimension 2"),
    ("reshape", ([2, 0],), {"shape": [-1, 0]}, "cannot be inferred"),
    ("reshape", ([2, 3],), {"shape": [4, -1]}, "does not divide the 6 elements"),
    ("reshape", ([2, 3],), {"shape": [5]}, "has 5 elements"),
    ("reshape", ([2, 3],), {"shape": [6], "axis_start": 3}, "'axis_start' must lie in \\[0, 2\\]"),
    ("reshape", ([2, 3],), {"shape": [6], "axis_start": -1}, "'axis_start'"),
    ("reshape", ([2, 3],), {"shape": [3], "axis_start": 1, "axis_count": 2}, "'axis_count' must be -1 or lie in"),
    ("reshape", ([2, 3],), {"shape": [6], "axis_count": -2}, "'axis_count'"),
    ("squeeze", ([1, 3],), {"axes": [1]}, "must be 1, but the input shape is \\[1, 3\\]"),
    ("squeeze", ([1, 1],), {"axes": [0, 0]}, "'axes' must be unique"),
    ("squeeze", ([1],), {"axes": [1]}, "'axes' must lie in"),
    ("unsqueeze", ([3],), {"axes": [0, 0]}, "'axes' must be unique"),
    ("unsqueeze", ([3],), {"axes": [3, 1]}, "'axes' must lie in \\[0, 3\\)"),
    ("transpose", ([2],), {"axes": [1, 0]}, "more items than the input shape \\[2\\]"),
    ("transpose", ([],), {"axes": [0]}, "more items than"),
    ("transpose", ([2, 3, 4],), {"axes": [0, 2]}, "permutation of 0 to 1"),
    ("transpose", ([2, 3],), {"axes": [0, 0]}, "permutation"),
    ("split", ([6],), {"axis": 0, "ratios": []}, "'ratios' must not be empty"),
    ("split", ([6],), {"axis": 0, "ratios": [1, 0]}, "'ratios' must be positive"),
    ("split", ([6],), {"axis": 0, "ratios": [1, 3]}, "\\(4\\) must divide the extent 6"),
    ("split", ([6],), {"axis": 1, "ratios": [1]}, "'axis' must lie in \\[0, 1\\), got 1"),
    ("concat", ([],), {"axis": 0}, "'values' must not be empty"),
    ("concat", ([[2], [2, 1]],), {"axis": 0}, "equal ranks"),
    ("concat", ([[2, 3], [2, 4]],), {"axis": 0}, r"equal extents except along axis 0; got shapes \[2, 3\], \[2, 4\]"),
    ("concat", ([[], []],), {"axis": 0}, "'axis' must lie in \\[0, 0\\)"),
    ("stack", ([],), {"axis": 0}, "'values' must not be empty"),
    ("stack", ([[2], [3]],), {"axis": 0}, "equal shapes"),
    ("stack", ([[2], [2]],), {"axis": 2}, "'axis' must lie in \\[0, 2\\), got 2"),
    ("unstack", ([2],), {"axis": 1}, "'axis' must lie in"),
    ("slice", ([5],), {"axes": [0], "begin": [1, 2], "end": [3]}, "as many items as 'axes'"),
    ("slice", ([5],), {"axes": [0], "begin": [1], "end": [3], "stride": [1, 1]}, "as many items as 'axes'"),
    ("slice", ([5],), {"axes": [0], "begin": [1], "end": [3], "stride": [0]}, "must not be 0"),
    ("slice", ([5],), {"axes": [1], "begin": [1], "end": [3]}, "'axes' must lie in"),
    ("slice", ([5],), {"axes": [0, 0], "begin": [1, 1], "end": [3, 3]}, "'axes' must be unique"),
    ("slice", ([5],), {"axes": [0], "begin": [3], "end": [1]}, "'begin' 3, 'end' 1 and 'stride' 1 make no range"),
    ("slice", ([5],), {"axes": [0], "begin": [-7], "end": [1]}, "make no range"),
    ("slice", ([5],), {"axes": [0], "begin": [5], "end": [1], "stride": [-1]}, "make no range"),
    ("slice", ([5],), {"axes": [0], "begin": [1], "end": [3], "stride": [-1]}, "make no range"),
    ("pad", ([4],), {"padding": [(1, 1), (0, 0)]}, "a pair for each dimension"),
    ("pad", ([4],), {"padding": [(-3, -2)]}, "crops more than the extent 4 of dimension 0"),
    ("pad", ([4],), {"padding": [(4, 0)], "border": "reflect"}, "'reflect'"),
    ("pad", ([4],), {"padding": [(0, 5)], "border": "reflect-even"}, "'reflect-even'"),
    ("pad", ([4],), {"padding": [(0, 1)], "border": "ignore"}, "'border' must be one of .*; got 'ignore'"),
    ("pad", ([0],), {"padding": [(0, 1)], "border": "replicate"}, "nothing to repeat"),
    ("tile", ([2, 3],), {"repeats": [2]}, "an item for each dimension"),
    ("tile", ([2],), {"repeats": [0]}, "'repeats' must be positive, got \\[0\\]"),
    ("gather", ([2, 3], [4]), {"axis": 2}, "'axis' must lie in \\[0, 2\\), got 2"),
    ("gather", ([2, 3], [4]), {"axis": -1}, "'axis' must lie in"),
    ("gather", ([], [4]), {"axis": 0}, "'axis' must lie in"),
]


@pytest.mark.parametrize(("name", "shapes", "attribs", "message"), ERRORS)
def test_errors(name: str, shapes: tuple[Any, ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)


@pytest.mark.parametrize("index", [-1, 3, 10**12])
def test_gather_index_out_of_range(index: int) -> None:
    with pytest.raises(
        ExecutionError, match=f"index {index} is out of range \\[0, 3\\) for axis 1 of shape \\[2, 3\\]"
    ):
        run_op("gather", counted(2, 3), np.array([0, index]), axis=1)

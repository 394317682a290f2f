"""The convolution family against the formulas written as loops, and against torch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.inference import evaluate, infer_shapes
from nnef_tools.ops.registry import find

from ..support.arrays import Array

BORDERS = ("constant", "replicate", "reflect", "reflect-even")


def source(i: int, extent: int, border: str) -> int | None:
    """The position that is read for position i, or None."""
    if 0 <= i < extent:
        return i
    if border == "replicate":
        return 0 if i < 0 else extent - 1
    if border == "reflect":
        return -i if i < 0 else 2 * extent - 2 - i
    if border == "reflect-even":
        return -i - 1 if i < 0 else 2 * extent - 1 - i
    return None


def read(plane: Array, index: list[int], border: str) -> Any:
    places = [source(i, extent, border) for i, extent in zip(index, plane.shape, strict=True)]
    return 0.0 if None in places else plane[tuple(places)]


def conv_loops(
    x: Array,
    w: Array,
    bias: Array,
    border: str,
    padding: list[tuple[int, ...]],
    stride: list[int],
    dilation: list[int],
    groups: int,
) -> Array:
    span = [(f - 1) * d + 1 for f, d in zip(w.shape[2:], dilation, strict=True)]
    out = [(X + p + q - f) // s + 1 for X, (p, q), f, s in zip(x.shape[2:], padding, span, stride, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for b, k, *i in np.ndindex(*y.shape):
        total = bias[k]
        for c, *j in np.ndindex(*w.shape[1:]):
            index = [a * s + e * d - p for a, s, e, d, (p, _) in zip(i, stride, j, dilation, padding, strict=True)]
            total += read(x[b, k // per_out * per_in + c], index, border) * w[(k, c, *j)]
        y[(b, k, *i)] = total
    return y


def deconv_loops(
    x: Array,
    w: Array,
    bias: Array,
    border: str,
    padding: list[tuple[int, ...]],
    stride: list[int],
    dilation: list[int],
    groups: int,
    extents: list[int],
) -> Array:
    per_in, per_out = w.shape[0] // groups, w.shape[1]
    y = np.zeros((x.shape[0], per_out * groups, *extents))
    for b, K, *i in np.ndindex(*y.shape):
        total = bias[K]
        group = K // per_out
        for c, *j in np.ndindex(per_in, *w.shape[2:]):
            k = group * per_in + c
            scaled = [a + p - e * d for a, (p, _), e, d in zip(i, padding, j, dilation, strict=True)]
            if all(v % s == 0 for v, s in zip(scaled, stride, strict=True)):
                index = [v // s for v, s in zip(scaled, stride, strict=True)]
                total += read(x[b, k], index, border) * w[(k, K % per_out, *j)]
        y[(b, K, *i)] = total
    return y


def random_window(rng: np.random.Generator, dims: int) -> tuple[list[Any], ...]:
    return (
        [int(v) for v in rng.integers(1, 4, dims)],
        [int(v) for v in rng.integers(1, 4, dims)],
        [int(v) for v in rng.integers(1, 3, dims)],
        [(int(p), int(q)) for p, q in rng.integers(-1, 3, (dims, 2))],
    )


def automatic(extents: list[int], size: list[int], stride: list[int], dilation: list[int]) -> list[tuple[int, ...]]:
    pairs = []
    for X, f, s, d in zip(extents, size, stride, dilation, strict=True):
        total = max((-(-X // s) - 1) * s + (f - 1) * d + 1 - X, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs


@pytest.mark.parametrize(("seed", "border"), list(itertools.product(range(15), BORDERS)))
def test_conv_is_the_formula(seed: int, border: str) -> None:
    rng = np.random.default_rng(seed)
    dims = 1 + seed % 3
    size, stride, dilation, padding = random_window(rng, dims)
    groups, per_in, multiplier = (int(v) for v in rng.integers(1, 4, 3))
    extents = [int(v) + (f - 1) * d + 3 for v, f, d in zip(rng.integers(0, 3, dims), size, dilation, strict=True)]
    is_automatic = seed % 4 == 0
    if is_automatic:
        padding = automatic(extents, size, stride, dilation)
    x = rng.normal(size=(2, groups * per_in, *extents))
    w = rng.normal(size=(groups * multiplier, per_in, *size))
    bias = rng.normal(size=(1, groups * multiplier))
    attribs = {
        "border": border,
        "padding": [] if is_automatic else padding,
        "stride": stride,
        "dilation": dilation,
        "groups": 0 if per_in == 1 and seed % 2 else groups,
    }
    expected = conv_loops(x, w, bias[0], border, padding, stride, dilation, groups)
    result = evaluate("conv", [x, w, bias], attribs)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)
    single = evaluate("conv", [x.astype(np.float32), w.astype(np.float32), bias.astype(np.float32)], attribs)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("seed", "border"), list(itertools.product(range(15), BORDERS)))
def test_deconv_is_the_formula(seed: int, border: str) -> None:
    rng = np.random.default_rng(100 + seed)
    dims = 1 + seed % 3
    size, stride, dilation, padding = random_window(rng, dims)
    groups, per_in, per_out = (int(v) for v in rng.integers(1, 4, 3))
    counts = [int(v) for v in rng.integers(6, 8, dims)]
    if seed % 4 == 0:
        extents = [x * s for x, s in zip(counts, stride, strict=True)]
        padding = automatic(extents, size, stride, dilation)
        given = []
    else:
        extents = [
            (x - 1) * s + (f - 1) * d + 1 - sum(pair) + int(rng.integers(0, s)) * (seed % 4 == 1)
            for x, s, f, d, pair in zip(counts, stride, size, dilation, padding, strict=True)
        ]
        given = padding
    x = rng.normal(size=(2, groups * per_in, *counts))
    w = rng.normal(size=(groups * per_in, per_out, *size))
    bias = rng.normal(size=(1, groups * per_out))
    attribs = {
        "border": border,
        "padding": given,
        "stride": stride,
        "dilation": dilation,
        "groups": groups,
        "output_shape": [2, groups * per_out, *extents] if seed % 4 == 1 else [],
    }
    expected = deconv_loops(x, w, bias[0], border, padding, stride, dilation, groups, extents)
    np.testing.assert_allclose(evaluate("deconv", [x, w, bias], attribs), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(24))
def test_conv_and_deconv_are_those_of_torch(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    dims = 1 + seed % 3
    size, stride, dilation, _ = random_window(rng, dims)
    pads = [int(v) for v in rng.integers(0, 3, dims)]
    groups, per_in, per_out = (int(v) for v in rng.integers(1, 5, 3))
    extents = [int(v) for v in rng.integers(7, 12, dims)]
    x = rng.normal(size=(3, groups * per_in, *extents)).astype(np.float32)
    w = rng.normal(size=(groups * per_out, per_in, *size)).astype(np.float32)
    bias = rng.normal(size=groups * per_out).astype(np.float32)
    attribs = {"padding": [(p, p) for p in pads], "stride": stride, "dilation": dilation, "groups": groups}
    conv = getattr(torch.nn.functional, f"conv{dims}d")
    torch_window = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups}
    y = conv(*(torch.from_numpy(a) for a in (x, w, bias)), **torch_window).numpy()
    np.testing.assert_allclose(evaluate("conv", [x, w, bias[None]], attribs), y, rtol=1e-4, atol=1e-4)

    back = getattr(torch.nn.functional, f"conv_transpose{dims}d")
    extra = [
        (X + 2 * p - (f - 1) * d - 1) % s for X, p, f, d, s in zip(extents, pads, size, dilation, stride, strict=True)
    ]
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        return
    z = back(torch.from_numpy(y), torch.from_numpy(w), output_padding=extra, **torch_window).numpy()
    assert z.shape == x.shape
    result = evaluate("deconv", [y, w, np.float32(0)], {**attribs, "output_shape": list(x.shape)})
    np.testing.assert_allclose(result, z, rtol=1e-4, atol=1e-3)


def test_large_input_is_worked_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnef_tools.ops import conv as module

    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 6, 17, 9)), rng.normal(size=(4, 3, 3, 3))
    attribs = {"stride": [2, 1], "groups": 2}
    whole = evaluate("conv", [x, w, 0.0], attribs)
    monkeypatch.setattr(module, "_CHUNK_ITEMS", 700)
    np.testing.assert_allclose(evaluate("conv", [x, w, 0.0], attribs), whole, rtol=1e-12)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_separable_conv_is_two_torch_convolutions(groups: int, multiplier: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 9, 8)).astype(np.float32)
    plane = rng.normal(size=(4 * multiplier, 1, 3, 3)).astype(np.float32)
    point = rng.normal(size=(6, 4 * multiplier // groups, 1, 1)).astype(np.float32)
    bias = rng.normal(size=(1, 6)).astype(np.float32)
    attribs = {"padding": [(1, 1), (0, 0)], "stride": [2, 1], "groups": groups}
    t = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(plane), stride=(2, 1), padding=(1, 0), groups=4)
    t = torch.nn.functional.conv2d(t, torch.tensor(point), torch.tensor(bias[0]), groups=groups).numpy()
    np.testing.assert_allclose(evaluate("separable_conv", [x, plane, point, bias], attribs), t, rtol=1e-4, atol=1e-4)
    planes, points = 2 * 4 * multiplier * 5 * 6, 2 * 6 * 5 * 6
    macs = find("separable_conv").macs([x.shape, plane.shape, point.shape, bias.shape], [t.shape], attribs)
    assert macs == planes * 9 + points * 4 * multiplier // groups


def test_separable_deconv_is_two_torch_convolutions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 4, 5)).astype(np.float32)
    plane = rng.normal(size=(4, 1, 3, 3)).astype(np.float32)
    point = rng.normal(size=(6, 2, 1, 1)).astype(np.float32)
    bias = rng.normal(size=(1, 4)).astype(np.float32)
    attribs = {"padding": [(1, 1), (0, 0)], "stride": [2, 1], "groups": 2}
    t = torch.nn.functional.conv_transpose2d(torch.tensor(x), torch.tensor(point), groups=2)
    t = torch.nn.functional.conv_transpose2d(
        t, torch.tensor(plane), torch.tensor(bias[0]), stride=(2, 1), padding=(1, 0), groups=4
    ).numpy()
    np.testing.assert_allclose(evaluate("separable_deconv", [x, plane, point, bias], attribs), t, rtol=1e-4, atol=1e-4)
    macs = find("separable_deconv").macs([x.shape, plane.shape, point.shape, bias.shape], [t.shape], attribs)
    assert macs == 2 * 6 * 20 * 2 + 2 * 4 * 20 * 9


def test_depthwise_deconv_with_multiplier_needs_output_shape() -> None:
    # Four planes of the down-scaled side belong to two of the up-scaled one.
    x = np.arange(1.0, 5.0).reshape(1, 4, 1)
    w = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(4, 1, 1)
    result = evaluate("deconv", [x, w, 0.0], {"groups": 0, "output_shape": [1, 2, 1]})
    assert result.ravel().tolist() == [21.0, 4300.0]
    assert evaluate("deconv", [x, w, 0.0], {"groups": 0}).ravel().tolist() == [1.0, 20.0, 300.0, 4000.0]


@pytest.mark.parametrize("bias", [0.5, [[0.5]], [0.5], [[0.5, 0.5]], [0.5, 0.5], [[[0.5], [0.5]]]])
def test_forms_of_bias(bias: float | list[Any]) -> None:
    x, w = np.ones((3, 2, 4)), np.ones((2, 2, 1))
    assert np.all(evaluate("conv", [x, w, np.array(bias)], {}) == 2.5)


def test_macs() -> None:
    conv, deconv = find("conv").macs, find("deconv").macs
    assert conv([[2, 6, 8, 8], [9, 2, 3, 3], []], [[2, 9, 8, 8]], {"groups": 3}) == 2 * 9 * 64 * 18
    assert deconv([[2, 6, 8, 8], [6, 2, 3, 3], []], [[2, 6, 16, 16]], {"groups": 3}) == 2 * 6 * 64 * 18


@pytest.mark.parametrize(
    ("shapes", "attribs", "message"),
    [
        (([1, 3], [4, 3], []), {}, "spatial dimensions"),
        (([1], [1], []), {}, "spatial dimensions"),
        (([], [], []), {}, "spatial dimensions"),
        (([1, 3, 8], [], []), {}, "rank of 'input'"),
        (([1, 3, 8, 8], [4, 3, 3], []), {}, "rank of 'input'"),
        (([1, 3, 8], [4, 2, 3], []), {}, r"needs 2 channels, but 'input' \[1, 3, 8\] has 3"),
        (([1, 4, 8], [3, 2, 3], []), {"groups": 2}, "'groups' 2 does not divide the 3 channels"),
        (([1, 3, 8], [4, 3, 3], []), {"groups": -1}, "'groups' must not be negative"),
        (([1, 3, 8], [4, 3, 3], [1, 3]), {}, r"'bias' must have shape \[1, 4\]"),
        (([4, 3, 8], [4, 3, 3], [4, 1]), {}, r"'bias' must have shape \[1, 4\]"),
        (([1, 3, 8], [4, 3, 0], []), {}, "'filter' must not be empty"),
        (([1, 3, 8], [4, 3, 9], []), {"padding": [(0, 0)]}, "window of size 9"),
        (([1, 3, 8], [4, 3, 3], []), {"padding": [(-3, -3)]}, "does not fit into extent 8"),
        (([1, 3, 8], [4, 3, 3], []), {"border": "foo"}, "'border' must be one of constant"),
        (([1, 3, 8], [4, 3, 3], []), {"border": "ignore"}, "'border' must be one of constant"),
        (([1, 3, 8], [4, 3, 3], []), {"border": "reflect", "padding": [(8, 0)]}, "border 'reflect': at most 7"),
        (([1, 3, 8], [4, 3, 3], []), {"stride": [1, 1]}, "'stride' must be empty or have 1 items"),
        (([1, 3, 8], [4, 3, 3], []), {"stride": [0]}, "'stride' must be positive"),
    ],
)
def test_conv_that_does_not_fit(shapes: tuple[Any, ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message) as error:
        infer_shapes("conv", shapes, attribs)
    assert str(error.value).startswith("conv: ")


@pytest.mark.parametrize(
    ("shapes", "attribs", "message"),
    [
        (([1, 3, 8], [4, 3, 3], []), {}, "needs 4 channels"),
        (([1, 3, 8], [3, 2, 3], []), {"groups": 2}, "does not divide the 3 channels"),
        (([1, 3, 8], [3, 2, 3], [1, 3]), {}, r"'bias' must have shape \[1, 2\]"),
        (([1, 3, 8], [3, 2, 3], []), {"output_shape": [8]}, "'output_shape' must be empty or have 3 items"),
        (([1, 3, 8], [3, 2, 3], []), {"output_shape": [2, 2, 8]}, "must have batch 1 and 2 channels"),
        (([1, 3, 8], [3, 2, 3], []), {"output_shape": [1, 3, 8]}, "must have batch 1 and 2 channels"),
        (([1, 3, 8], [3, 2, 3], []), {"output_shape": [1, 2, 9]}, "scales down to"),
        (([1, 3, 8], [3, 1, 3], []), {"groups": 0, "output_shape": [1, 2, 8]}, "'groups' 2 does not divide the 3"),
        (([1, 3, 1], [3, 1, 3], []), {"padding": [(2, 1)]}, "'padding' leaves extent 0"),
        (([1, 3, 1], [3, 1, 3], []), {"border": "reflect"}, "border 'reflect': at most 0"),
    ],
)
def test_deconv_that_does_not_fit(shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer_shapes("deconv", shapes, attribs)


def test_separable_filters_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="'plane_filter' must have extent 1"):
        infer_shapes("separable_conv", ([1, 4, 8], [4, 2, 3], [6, 4, 1], []), {})
    with pytest.raises(ShapeError, match="'point_filter' must have spatial extents 1"):
        infer_shapes("separable_conv", ([1, 4, 8], [4, 1, 3], [6, 4, 3], []), {})
    with pytest.raises(ShapeError, match="needs 5 channels"):
        infer_shapes("separable_conv", ([1, 4, 8], [4, 1, 3], [6, 5, 1], []), {})

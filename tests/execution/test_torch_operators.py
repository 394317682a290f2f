"""The torch operators, but those with windows, against the numpy kernels (written independently),
plain torch, and hand-computed vectors.
"""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nnef_tools.errors import ShapeError
from nnef_tools.execution.kernels.torch import TorchKernels, find_operator
from nnef_tools.interpreter.pytorch.nnef_operators import Operators
from nnef_tools.ops import registry

from .torch_agreement import BORDERS, agree, random, to_torch

NOT_COMPUTED = {"external", "variable", "constant"}


def test_every_operation_has_a_torch_function() -> None:
    missing = set(registry.operations()) - NOT_COMPUTED - set(Operators)
    assert not missing


UNARY = ["copy", "neg", "rcp", "exp", "abs", "sign", "floor", "ceil", "round", "sin", "cos", "tan", "atan", "sinh",
         "cosh", "tanh", "asinh", "sqr", "rsqr", "relu", "sigmoid", "softplus", "gelu", "silu", "elu", "selu",
         "erf"]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    x = random(3, 4, 5)
    x[0, 0, :4] = [0.5, -0.5, 1.5, 40.0 if name == "softplus" else -1.5]
    agree(name, x)


@pytest.mark.parametrize("name", ["log", "sqrt", "rsqrt", "log2"])
def test_unary_of_positive(name: str) -> None:
    agree(name, random(3, 4, positive=True))


@pytest.mark.parametrize("name", ["asin", "acos", "atanh", "acosh"])
def test_unary_of_limited_domain(name: str) -> None:
    x = np.linspace(-0.9, 0.9, 19, dtype=np.float32)
    agree(name, x + 2 if name == "acosh" else x)


def test_round_is_half_up() -> None:
    x = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997])
    assert Operators["round"](x).tolist() == [-2, -1, 0, 1, 2, 3, 0]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "min", "max", "lt", "gt", "le", "ge", "eq", "ne"])
@pytest.mark.parametrize("shapes", [((2, 3), (2,)), ((2, 3), (1, 3)), ((4, 1), (1, 6)), ((2, 3), ()), ((), (2, 3, 4)),
                                    ((1, 8, 5, 5), (1, 8)), ((2,), (2, 3, 4))])  # fmt: skip
def test_binary_is_aligned_left(name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    x, y = (np.round(random(*shape, seed=k, positive=True) * 2) / 2 + np.float32(0.5) for k, shape in enumerate(shapes))
    agree(name, x, y)


def test_left_alignment_by_hand() -> None:
    z = Operators["add"](torch.tensor([[0.0, 1, 2], [3, 4, 5]]), torch.tensor([10.0, 20]))
    assert z.tolist() == [[10, 11, 12], [23, 24, 25]]
    with pytest.raises(RuntimeError):
        Operators["add"](torch.zeros(2, 3), torch.zeros(3))


@pytest.mark.parametrize("name", ["and", "or"])
def test_logical(name: str) -> None:
    x, y = random(2, 3) > 0, random(2, seed=1) > 0
    agree(name, x, y)
    agree("not", x)


def test_select_and_clamp() -> None:
    condition, a, b = random(2, 1) > 0, random(2, 3, seed=1), random(2, seed=2)
    agree("select", condition, a, b)
    agree("clamp", random(2, 3), np.float32(-0.5), np.float32(0.5))
    agree("clamp", random(2, 3), random(2, seed=3), np.float32(0.5))
    agree("prelu", random(2, 3, 4), random(1, 3, seed=1))
    agree("leaky_relu", random(2, 3), alpha=0.1)
    agree("elu", random(2, 3), alpha=0.7)
    assert torch.allclose(
        Operators["selu"](torch.tensor([-1.0]), alpha=2.0, _lambda_=3.0), 6 * torch.expm1(torch.tensor([-1.0]))
    )


@pytest.mark.parametrize("axes", [[1], [0], [1, 2], [0, 2]])
def test_softmax(axes: list[int]) -> None:
    agree("softmax", random(2, 3, 4) * 20, axes=axes)


@pytest.mark.parametrize("axes", [[], [0], [2], [1, 2], [2, 0], [0, 1, 2]])
@pytest.mark.parametrize(
    "name",
    [
        "sum_reduce",
        "mean_reduce",
        "max_reduce",
        "min_reduce",
        "argmax_reduce",
        "argmin_reduce",
        "moments",
        "any_reduce",
        "all_reduce",
        "product_reduce",
        "l1_normalization",
        "l2_normalization",
    ],
)
def test_reduce(name: str, axes: list[int]) -> None:
    x = random(3, 4, 5)
    x[:, 1, 2] = x[:, 1, 3] = 5.0  # ties
    agree(name, x > 0 if name in ("any_reduce", "all_reduce") else x, axes=axes)
    if name == "sum_reduce":
        agree(name, x, axes=axes, normalize=True)


@pytest.mark.parametrize(
    "shape, attribs",
    [
        ((2, 3, 4), {"shape": [0, -1]}),
        ((2, 3, 4), {"shape": [12], "axis_start": 1, "axis_count": 2}),
        ((2, 3, 4), {"shape": [-1, 2], "axis_start": 1}),
        ((2, 3), {"shape": [1, 1], "axis_start": 1, "axis_count": 0}),
        ((1,), {"shape": []}),
    ],
)
def test_reshape(shape: tuple[int, ...], attribs: dict[str, Any]) -> None:
    agree("reshape", random(*shape), **attribs)


def test_moves() -> None:
    x = random(2, 1, 3, 1)
    agree("squeeze", x, axes=[1, 3])
    with pytest.raises(ShapeError):
        Operators["squeeze"](to_torch(x), axes=[0])
    agree("unsqueeze", random(2, 3), axes=[0, 2, 4])
    agree("transpose", random(2, 3, 4), axes=[1, 0])
    agree("transpose", random(2, 3, 4), axes=[2, 0, 1])
    agree("split", random(2, 6), axis=1, ratios=[1, 2])
    agree("concat", [random(2, 3), random(2, 1)], axis=1)
    agree("stack", [random(2, 3), random(2, 3, seed=1)], axis=2)
    agree("unstack", random(2, 3), axis=1)
    agree("tile", random(2, 3), repeats=[2, 3])
    agree("gather", random(2, 3, 4), np.array([[0, 2], [1, 1]]), axis=1)
    agree("gather", random(2, 3, 4), np.array(1), axis=2)
    agree("gather", random(3), np.array(1), axis=0)
    agree("copy_n", random(2, 3), times=3)
    agree("add_n", [random(2, 3), random(2, 3, seed=1), random(2, 3, seed=2)])
    agree("update", random(2, 3), random(2, 3, seed=1))


@pytest.mark.parametrize(
    "begin, end, stride, expected",
    [
        (0, 5, 2, [0, 2, 4]),
        (-1, -6, -1, [4, 3, 2, 1, 0]),
        (4, 0, -2, [4, 2]),
        (1, 0, None, [1, 2, 3, 4]),
        (2, 2, 1, []),
        (-3, -1, 1, [2, 3]),
        (3, 100, 1, [3, 4]),
    ],
)
def test_slice(begin: int, end: int, stride: int | None, expected: list[int]) -> None:
    attribs = {"axes": [0], "begin": [begin], "end": [end], **({"stride": [stride]} if stride else {})}
    assert Operators["slice"](torch.arange(5.0), **attribs).tolist() == expected
    agree("slice", np.arange(5, dtype=np.float32), **attribs)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("padding", [[(0, 0), (2, 2)], [(1, 0), (0, 3)], [(-1, 0), (1, -2)]])
def test_pad(border: str, padding: list[tuple[int, ...]]) -> None:
    agree("pad", random(3, 4), padding=padding, border=border, value=7.0 if border == "constant" else 0.0)


def test_pad_with_the_smallest_number() -> None:
    for value in (-3.4028235e38, 3.4028235e38, -np.inf, 1e39):
        agree("pad", random(2, 3), padding=[(1, 0), (0, 2)], border="constant", value=value)


def test_cast() -> None:
    x = np.array([-1.7, 0.0, 0.4, 2.9], np.float32)
    assert find_operator("cast")(to_torch(x), dtype=np.int64).tolist() == [-1, 0, 0, 2]
    assert find_operator("cast")(to_torch(x), dtype=np.bool_).tolist() == [True, False, True, True]
    assert find_operator("cast")(torch.tensor([True, False]), dtype=np.float32).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("a, b", [(False, False), (False, True), (True, False), (True, True)])
def test_matmul(a: bool, b: bool) -> None:
    left, right = random(2, 1, 4, 3), random(1, 5, 3, 6, seed=1)
    left, right = (left.swapaxes(-1, -2) if a else left), (right.swapaxes(-1, -2) if b else right)
    agree("matmul", np.ascontiguousarray(left), np.ascontiguousarray(right), transposeA=a, transposeB=b)


def test_linear() -> None:
    agree("linear", random(2, 3), random(4, 3, seed=1), random(1, 4, seed=2))
    agree("linear", random(2, 3), random(4, 3, seed=1), np.float32(0))


@pytest.mark.parametrize("size", [[1, 5, 1, 1], [1, 2, 3, 1]])
@pytest.mark.parametrize(
    "name, attribs",
    [
        ("local_response_normalization", {"alpha": 0.3, "beta": 0.75, "bias": 2.0}),
        ("local_mean_normalization", {}),
        ("local_variance_normalization", {"bias": 0.1, "epsilon": 0.2}),
        ("local_contrast_normalization", {"bias": 0.1, "epsilon": 0.2}),
    ],
)
def test_local_normalization(name: str, attribs: dict[str, Any], size: list[int]) -> None:
    agree(name, random(2, 6, 4, 3), size=size, **attribs)


def test_batch_normalization() -> None:
    x = random(2, 3, 4, 4)
    mean, variance, offset, scale = (
        random(1, 3),
        random(1, 3, positive=True),
        random(1, 3, seed=1),
        random(1, 3, seed=2),
    )
    agree("batch_normalization", x, mean, variance, offset, scale, epsilon=1e-3)
    agree("batch_normalization", x, mean, variance, np.float32(0), np.float32(1), epsilon=1e-3)
    result = Operators["batch_normalization"](*map(to_torch, (x, mean, variance, offset, scale)), epsilon=1e-3)
    flat = [to_torch(item[0]) for item in (mean, variance, scale, offset)]
    assert torch.allclose(result, F.batch_norm(to_torch(x), *flat, eps=1e-3), atol=1e-5)


@pytest.mark.parametrize("signed, symmetric", [(False, False), (True, False), (True, True)])
def test_quantize(signed: bool, symmetric: bool) -> None:
    x = random(2, 3, 8) * 3
    attribs = {"bits": 8, "signed": signed, "symmetric": symmetric}
    agree("min_max_linear_quantize", x, np.float32(-1), np.float32(1), **attribs)
    agree("zero_point_linear_quantize", x, np.array([[3, 4, 5]]), np.array([[0.1, 0.2, 0.3]], np.float32), **attribs)
    agree("linear_quantize", x, np.float32(-1), np.array([1, 2], np.float32), bits=4)
    x[0, 0, 0] = 0
    agree("logarithmic_quantize", x, np.float32(4), bits=2)


def test_quantize_by_hand() -> None:
    x = torch.tensor([-100, -0.25, 0.25, 3.3, 200])
    y = Operators["zero_point_linear_quantize"](
        x, torch.tensor(10), torch.tensor(0.5), bits=8, signed=False, symmetric=False
    )
    assert y.tolist() == [-5, 0, 0.5, 3.5, 122.5]
    y = Operators["logarithmic_quantize"](torch.tensor([0, 0.4, 1.5, 3, -100]), torch.tensor(4.0), bits=2)
    assert y.tolist() == [0, 0.5, 2, 4, -4]


@pytest.mark.parametrize("name", ["avg_roi_pool", "max_roi_pool", "roi_resample"])
def test_roi(name: str) -> None:
    x, rois = random(2, 3, 8, 8), np.array([[0, 0, 5, 6], [1, 2, 7, 8], [2.3, 1.6, 6.2, 7.9]], np.float32)
    agree(name, x, rois, np.array([0, 1, 1]), output_size=[3, 2])
    agree(name, x, rois, np.array([[0], [1], [1]]), output_size=[7, 9])
    outside = np.array([[-3, -2, 12, 9], [3, 3, 3, 3]], np.float32)
    agree(name, x, outside, np.array([0, 0]), output_size=[3, 4])
    if name == "roi_resample":
        for method in ("asymmetric", "aligned"):
            agree(name, x, rois, np.array([0, 1, 1]), output_size=[3, 5], method=method)
    with pytest.raises(ShapeError):
        Operators[name](*map(to_torch, (x, rois, np.array([0, 1, 2]))), output_size=[3, 2])


@pytest.mark.parametrize("name", ["avg_roi_align", "max_roi_align"])
def test_roi_align(name: str) -> None:
    x, rois = random(2, 3, 8, 8), np.array([[0, 0, 5, 6], [1, 2, 7, 8], [2.3, 1.6, 6.2, 7.9]], np.float32)
    agree(name, x, rois, np.array([0, 1, 1]), output_size=[3, 2], sampling_rate=[2, 2])


def test_extensions() -> None:
    x = random(3, 4, 5)
    for exclusive, reverse in product([False, True], repeat=2):
        agree("cum_sum", x, axis=1, exclusive=exclusive, reverse=reverse)
        agree("cum_prod", x, axis=1, exclusive=exclusive, reverse=reverse)
    agree("inverse", random(2, 3, 3))
    agree("fmod", x * 10, random(3, 4))
    ties = np.round(x)
    for largest in (False, True):
        agree("top_k", ties, k=3, axis=-1, largest=largest)
    agree("det", random(2, 3, 3))
    agree(
        "multiclass_nms",
        random(2, 1, 6, 4),
        random(2, 3, 6),
        score_threshold=0.1,
        iou_threshold=0.4,
        candidates=5,
        kept=4,
    )
    agree("non_max_suppression", random(2, 6, 4), random(2, 3, 6), max_boxes=4, positions=6, iou_threshold=0.2)
    a, b = np.random.default_rng(0).integers(0, 20, (2, 3, 4))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        agree(name, a, b[:, 0])
    agree("bitwise_not", a)
    agree("shift_left", a, np.array(2))
    agree("shift_right", a, np.array(2))


def test_index_extensions() -> None:
    x, rng = random(3, 4, 5), np.random.default_rng(0)
    index = rng.integers(-4, 4, (3, 6, 5))
    agree("gather_elements", x, index, axis=1)
    with pytest.raises(ShapeError):
        Operators["gather_elements"](to_torch(x), to_torch(index + 20), axis=1)
    for reduction in ("none", "add", "mul", "min", "max"):
        agree("scatter_elements", x, index, random(3, 6, 5, seed=1), axis=1, reduction=reduction)
        pairs = np.stack([rng.integers(0, 3, (7,)), rng.integers(-4, 4, (7,))], -1)
        agree("scatter_nd", x, pairs, random(7, 5, seed=2), reduction=reduction)
    agree("gather_nd", x, np.stack([rng.integers(0, 3, (2, 6)), rng.integers(-4, 4, (2, 6))], -1))
    agree("gather_nd", x, rng.integers(-4, 4, (3, 2, 1)), batch_dims=1)
    agree("gather_nd", random(3), np.array([1]))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample(mode: str, padding_mode: str, align_corners: bool) -> None:
    for spatial in (1, 2, 3):
        grid = random(2, *[4] * spatial, spatial, seed=1) * np.float32(0.7)
        attribs = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        agree("grid_sample", random(2, 3, *[4] * spatial), grid, tolerance=1e-4, **attribs)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "coordinate_mode",
    [
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_half_pixel_for_nn",
        "tf_crop_and_resize",
    ],
)
def test_resize(mode: str, coordinate_mode: str) -> None:
    x = random(2, 3, 5, 6)
    roi = {"roi": [0.1, 0.0, 0.8, 1.2]} if coordinate_mode == "tf_crop_and_resize" else {}
    for size in ([10, 3], [7, 6], [1, 12]):
        agree("resize", x, output_size=size, mode=mode, coordinate_mode=coordinate_mode, **roi)
    agree("resize", x, output_size=[12, 9], scales=[2.5, 1.5], mode=mode, coordinate_mode=coordinate_mode, **roi)


def test_resize_of_long_axes() -> None:
    x = random(2, 1, 100_000)
    agree("resize", x, output_size=[150_000], mode="cubic")
    agree("resize", x, output_size=[20_000], mode="linear", antialias=True)


def test_what_is_not_finite_stays_where_it_is() -> None:
    """A product with a matrix of weights would give NaN everywhere: 0 * inf."""
    x = np.arange(12, dtype=np.float32)
    x[3] = np.inf
    agree("resize", x, output_size=[24], mode="cubic")
    result = Operators["resize"](torch.from_numpy(x), output_size=[24], mode="cubic")
    assert int(torch.isfinite(result).sum()) == 16


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_resize_keeps_the_float_type(dtype: torch.dtype) -> None:
    x = torch.rand(2, 3, 8, 5)
    expected = Operators["resize"](x, output_size=[5, 9], mode="cubic")
    result = Operators["resize"](x.to(dtype), output_size=[5, 9], mode="cubic")
    assert result.dtype is dtype
    assert torch.allclose(result.float(), expected, atol=0.02)
    assert Operators["resize"](x[:0], output_size=[5, 9], mode="cubic").shape == (0, 3, 5, 9)


def test_resize_against_torch() -> None:
    x = torch.rand(1, 2, 5, 6)
    result = Operators["resize"](x, output_size=[8, 9], mode="linear")
    assert torch.allclose(result, F.interpolate(x, size=[8, 9], mode="bilinear"), atol=1e-5)
    result = Operators["resize"](x, output_size=[3, 4], mode="linear", antialias=True, exclude_outside=True)
    assert torch.allclose(result, F.interpolate(x, size=[3, 4], mode="bilinear", antialias=True), atol=1e-5)


@pytest.mark.parametrize("name", ["conv", "max_pool", "box", "softmax", "resize", "multilinear_upsample"])
def test_gradients_flow(name: str) -> None:
    inputs = {"conv": [torch.rand(1, 2, 4, 4), torch.rand(2, 2, 3, 3)]}.get(name, [torch.rand(1, 2, 4, 4)])
    attribs: dict[str, Any] = {
        "max_pool": {"size": [1, 1, 2, 2]},
        "box": {"size": [1, 1, 2, 2], "border": "reflect-even"},
        "resize": {"output_size": [3, 3], "mode": "linear"},
        "multilinear_upsample": {"factor": [2, 2]},
    }.get(name, {})
    for item in inputs:
        item.requires_grad_()
    Operators[name](*inputs, **attribs).square().sum().backward()
    assert all(item.grad is not None and bool(item.grad.abs().sum() > 0) for item in inputs)


def test_read_only_constants_are_shared() -> None:
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    kernels = TorchKernels()
    copied = kernels.constant(weights)
    weights.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shared = kernels.constant(weights)
    assert shared.data_ptr() == weights.ctypes.data
    assert kernels.from_numpy(weights).data_ptr() != weights.ctypes.data
    assert kernels.constant(weights[:, ::-1]).tolist() == weights[:, ::-1].tolist()
    assert copied.tolist() == shared.tolist() == weights.tolist()

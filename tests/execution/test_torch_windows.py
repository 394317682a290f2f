"""Torch operators with windows against the numpy kernels (written independently), plain torch, and hand-computed
vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nnef_tools.errors import ShapeError
from nnef_tools.interpreter.pytorch.nnef_operators import Operators
from nnef_tools.ops import registry

from .torch_agreement import BORDERS, agree, random, to_torch


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", [[], [(0, 0)], [(1, 1)], [(2, 0)], [(0, 1)], [(-1, 1)]])
@pytest.mark.parametrize(
    "stride, dilation, groups", [([], [], 1), ([2], [], 1), ([], [2], 1), ([2], [2], 2), ([3], [1], 0)]
)
@pytest.mark.parametrize("border", BORDERS)
def test_conv(
    rank: int, padding: list[tuple[int, ...]], stride: list[int], dilation: list[int], groups: int, border: str
) -> None:
    x = random(2, 4, *[7, 6, 5][:rank])
    w = random(8, 4 // (groups or 4), *[3, 2, 2][:rank], seed=1)
    bias = random(1, 8, seed=2)
    attribs = {"padding": padding * rank, "stride": stride * rank, "dilation": dilation * rank}
    agree("conv", x, w, bias, border=border, groups=groups, tolerance=1e-4, **attribs)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", [[], [(0, 0)], [(1, 1)], [(1, 0)], [(0, 1)], [(-1, 1)]])
@pytest.mark.parametrize(
    "stride, dilation, groups", [([], [], 1), ([2], [], 1), ([], [2], 1), ([2], [2], 2), ([3], [1], 0)]
)
@pytest.mark.parametrize("border", BORDERS)
def test_deconv(
    rank: int, padding: list[tuple[int, ...]], stride: list[int], dilation: list[int], groups: int, border: str
) -> None:
    x = random(2, 4, *[5, 4, 5][:rank])
    w = random(4, 1 if groups == 0 else 3, *[3, 2, 2][:rank], seed=1)
    bias = random(1, w.shape[1] * (groups or 4), seed=2)
    attribs = {"padding": padding * rank, "stride": stride * rank, "dilation": dilation * rank}
    agree("deconv", x, w, bias, border=border, groups=groups, tolerance=1e-4, **attribs)


@pytest.mark.parametrize("extent", [9, 10])
@pytest.mark.parametrize("border", ["constant", "replicate"])
def test_deconv_with_output_shape(extent: int, border: str) -> None:
    x, w = random(1, 2, 5), random(2, 3, 3, seed=1)
    attribs = {"padding": [(1, 1)], "stride": [2], "output_shape": [1, 3, extent]}
    agree("deconv", x, w, np.float32(0.5), border=border, **attribs)
    with pytest.raises(ShapeError):
        Operators["deconv"](*map(to_torch, (x, w)), **{**attribs, "output_shape": [1, 3, 12]})


@pytest.mark.parametrize(
    "attribs, expected",
    [
        ({}, [100, 210, 321, 432, 43]),
        ({"stride": [2]}, [100, 321, 43]),
        ({"padding": [(0, 0)]}, [210, 321, 432]),
        ({"padding": [(0, 0)], "dilation": [2]}, [420]),
        ({"dilation": [2]}, [200, 310, 420, 31, 42]),
        ({"border": "replicate"}, [100, 210, 321, 432, 443]),
        ({"border": "reflect"}, [101, 210, 321, 432, 343]),
    ],
)
def test_conv_by_hand(attribs: dict[str, Any], expected: list[int]) -> None:
    x, w = torch.arange(5.0).reshape(1, 1, 5), torch.tensor([1.0, 10, 100]).reshape(1, 1, 3)
    assert Operators["conv"](x, w, torch.tensor(0.0), **attribs).reshape(-1).tolist() == expected


@pytest.mark.parametrize(
    "attribs, expected",
    [
        ({"stride": [2]}, [0, 0, 1, 10, 102, 20]),
        ({"stride": [2], "padding": [(0, 0)]}, [0, 0, 1, 10, 102, 20, 200]),
        ({"stride": [2], "padding": [(1, 0)]}, [0, 1, 10, 102, 20, 200]),
        ({"stride": [2], "padding": [(0, 0)], "output_shape": [1, 1, 8]}, [0, 0, 1, 10, 102, 20, 200, 0]),
    ],
)
def test_deconv_by_hand(attribs: dict[str, Any], expected: list[int]) -> None:
    x, w = torch.arange(3.0).reshape(1, 1, 3), torch.tensor([1.0, 10, 100]).reshape(1, 1, 3)
    assert Operators["deconv"](x, w, torch.tensor(0.0), **attribs).reshape(-1).tolist() == expected


@pytest.mark.parametrize("shape", [(), (1, 1), (1, 4), (4,)])
def test_conv_accepts_these_biases(shape: tuple[int, ...]) -> None:
    x, w, bias = torch.rand(1, 3, 5, 5), torch.rand(4, 3, 3, 3), torch.rand(shape)
    expected = F.conv2d(x, w, bias.reshape(-1).expand(4), padding=1)
    assert torch.allclose(Operators["conv"](x, w, bias, padding=[(1, 1), (1, 1)]), expected, atol=1e-6)
    with pytest.raises(ShapeError):
        Operators["conv"](x, w, torch.rand(1, 3))


def test_conv_of_four_spatial_dimensions_and_of_none() -> None:
    agree("conv", random(1, 2, 3, 3, 3, 3), random(2, 2, 2, 2, 2, 2, seed=1), np.float32(1), padding=[(0, 0)] * 4)
    agree("deconv", random(1, 2, 3, 3, 3, 3), random(2, 2, 2, 2, 2, 2, seed=1), np.float32(1), padding=[(0, 0)] * 4)
    x, w = torch.rand(2, 3), torch.rand(4, 3)
    assert torch.allclose(Operators["conv"](x, w), x @ w.T)


def test_separable() -> None:
    x, plane, point = random(1, 3, 6, 6), random(6, 1, 3, 3, seed=1), random(4, 6, 1, 1, seed=2)
    agree("separable_conv", x, plane, point, random(1, 4, seed=3), stride=[2, 2], tolerance=1e-4)
    x, plane, point = random(1, 4, 4, 4), random(6, 1, 3, 3, seed=1), random(4, 6, 1, 1, seed=2)
    agree("separable_deconv", x, plane, point, random(1, 6, seed=3), stride=[2, 2], tolerance=1e-4)


POOL_WINDOWS = [
    {"size": [1, 1, 3, 2]},
    {"size": [1, 1, 3, 2], "stride": [1, 1, 2, 2]},
    {"size": [1, 1, 2, 2], "padding": [(0, 0), (0, 0), (1, 0), (0, 1)], "dilation": [1, 1, 2, 1]},
    {"size": [1, 3, 1, 1]},
    {"size": [2, 1, 1, 3], "padding": [(0, 0)] * 4},
    {"size": [1, 2, 2, 2], "padding": [(0, 0), (1, 1), (0, 0), (1, 1)], "stride": [1, 2, 1, 2]},
    {"size": [1, 1, 1, 1], "padding": [(0, 0)] * 4, "stride": [1, 1, 2, 3]},
    {"size": [1, 1, 2, 2], "padding": [(0, 0), (0, 0), (-1, 0), (0, -1)]},
]


@pytest.mark.parametrize("window", POOL_WINDOWS)
@pytest.mark.parametrize("border", [*BORDERS, "ignore"])
@pytest.mark.parametrize("name", ["box", "avg_pool", "rms_pool", "max_pool", "argmax_pool", "max_pool_with_index"])
def test_pool(name: str, window: dict[str, Any], border: str) -> None:
    agree(name, random(2, 3, 6, 5), border=border, **window)


@pytest.mark.parametrize("size", [[2, 2, 2, 2], [1, 2, 2, 2, 2], [2, 2, 2, 2, 2]])
@pytest.mark.parametrize("name", ["box", "max_pool", "debox"])
def test_pool_over_many_dimensions(name: str, size: list[int]) -> None:
    agree(name, random(*[3] * len(size)), size=size, padding=[(0, 0)] * len(size))


def test_argmax_pool_over_four_dimensions() -> None:
    agree("argmax_pool", random(3, 3, 3, 3), size=[2, 2, 2, 2], padding=[(0, 0)] * 4)


def test_pool_with_windows_outside() -> None:
    attribs = {"size": [1, 1, 2], "padding": [(0, 0), (0, 0), (3, 3)], "border": "ignore"}
    for name in ("max_pool", "avg_pool", "argmax_pool", "max_pool_with_index"):
        agree(name, random(1, 2, 4), **attribs)
    agree(
        "max_pool",
        random(1, 1, 2) - 3,
        size=[1, 1, 2],
        padding=[(0, 0), (0, 0), (1, 1)],
        dilation=[1, 1, 3],
        border="ignore",
    )


def test_pool_against_torch() -> None:
    x = torch.rand(2, 3, 9, 9) - 0.5
    pads = [(0, 0), (0, 0), (1, 1), (1, 1)]
    window = {"size": [1, 1, 3, 3], "stride": [1, 1, 2, 2], "padding": pads, "border": "ignore"}
    assert torch.equal(Operators["max_pool"](x, **window), F.max_pool2d(x, 3, 2, 1))
    assert torch.allclose(Operators["avg_pool"](x, **window), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
    window["border"] = "constant"
    assert torch.allclose(Operators["avg_pool"](x, **window), F.avg_pool2d(x, 3, 2, 1))


def test_pool_by_hand() -> None:
    def run(name: str, values: list[float], size: int, **attribs: Any) -> list[Any]:
        x = torch.tensor(values).reshape(1, 1, -1)
        return Operators[name](x, size=[1, 1, size], **attribs).reshape(-1).tolist()

    assert run("box", [0.0, 1, 2, 3], 3) == [1, 3, 6, 5]
    assert run("box", [0.0, 1, 2, 3], 3, normalize=True, border="ignore") == [0.5, 1, 2, 2.5]
    assert run("max_pool", [-10.0, -9, -8, -7], 3) == [0, -8, -7, 0]
    assert run("max_pool", [-10.0, -9, -8, -7], 3, border="ignore") == [-9, -8, -7, -7]
    assert run("max_pool", [0.0, 1, 2, 3, 4], 2, stride=[1, 1, 2]) == [1, 3, 4]
    cells = {"stride": [1, 1, 2], "padding": [(0, 0)] * 3}
    assert run("argmax_pool", [1.0, 3, 3, -1, -2, -5], 2, **cells) == [1, 0, 0]
    wide = {"stride": [1, 1, 2], "padding": [(0, 0), (0, 0), (1, 1)]}
    assert run("argmax_pool", [1.0, 3, 3, -1, -2, -5], 3, **wide) == [2, 0, 0]
    values, index = torch.tensor([10.0, 20, 30]).reshape(1, 1, 3), torch.tensor([2, 0, 0]).reshape(1, 1, 3)
    result = Operators["desample"](values, index, size=[1, 1, 3], output_shape=[1, 1, 6], **wide)
    assert result.reshape(-1).tolist() == [0, 30, 0, 30, 0, 0]


@pytest.mark.parametrize("window", POOL_WINDOWS)
@pytest.mark.parametrize("border", BORDERS)
def test_sample(window: dict[str, Any], border: str) -> None:
    x = random(2, 3, 6, 5)
    index = registry.find("argmax_pool").run(x, **window)
    other = np.random.default_rng(1).integers(0, np.prod(window["size"]), index.shape)
    agree("sample", x, index, border=border, **window)
    agree("sample", x, other, border=border, **window)


DEBOX_WINDOWS = [
    {"size": [1, 1, 3, 2]},
    {"size": [1, 1, 3, 2], "stride": [1, 1, 2, 2]},
    {"size": [1, 1, 2, 2], "padding": [(0, 0), (0, 0), (1, 0), (0, 1)], "dilation": [1, 1, 2, 1]},
    {"size": [1, 2, 1, 3], "padding": [(0, 0)] * 4, "stride": [1, 3, 1, 2]},
    {"size": [1, 1, 2, 2], "padding": [(0, 0)] * 4, "stride": [1, 1, 3, 3], "output_shape": [2, 3, 16, 15]},
]


@pytest.mark.parametrize("window", DEBOX_WINDOWS)
@pytest.mark.parametrize("border", [*BORDERS, "ignore"])
@pytest.mark.parametrize("normalize", [False, True])
def test_debox(window: dict[str, Any], border: str, normalize: bool) -> None:
    x = random(2, 3, 6, 5)
    if "output_shape" in window:
        x = x[:, :, :5]
        window = {**window, "output_shape": [2, 3, 15, 15]}
    agree("debox", x, border=border, normalize=normalize, **window)


@pytest.mark.parametrize("window", DEBOX_WINDOWS[:4])
def test_desample(window: dict[str, Any]) -> None:
    x = random(2, 3, 6, 5)
    index = np.random.default_rng(1).integers(0, np.prod(window["size"]), x.shape)
    agree("desample", x, index, **window)


@pytest.mark.parametrize("factor", [[1, 1], [2, 2], [3, 2], [5, 4]])
@pytest.mark.parametrize("method", ["symmetric", "asymmetric", "aligned"])
@pytest.mark.parametrize("border", BORDERS)
def test_multilinear_upsample(factor: list[int], method: str, border: str) -> None:
    agree("multilinear_upsample", random(2, 3, 4, 5), factor=factor, method=method, border=border)


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_upsample_of_other_ranks(rank: int) -> None:
    x = random(1, 2, *[2] * rank)
    agree("multilinear_upsample", x, factor=[2] * rank)
    agree("nearest_upsample", x, factor=[2] * rank)
    agree("nearest_downsample", x, factor=[2] * rank)
    agree("area_downsample", x, factor=[2] * rank)


def test_upsample_by_hand() -> None:
    x = torch.tensor([1.0, 2, 4]).reshape(1, 1, 3)

    def run(method: str, border: str, factor: int = 2) -> torch.Tensor:
        return Operators["multilinear_upsample"](x, factor=[factor], method=method, border=border).reshape(-1)

    assert torch.allclose(run("symmetric", "replicate"), torch.tensor([1, 1.25, 1.75, 2.5, 3.5, 4]))
    assert torch.allclose(run("symmetric", "constant"), torch.tensor([0.75, 1.25, 1.75, 2.5, 3.5, 3]))
    assert torch.allclose(run("asymmetric", "constant"), torch.tensor([1, 1.5, 2, 3, 4, 2]))
    assert torch.allclose(run("aligned", "replicate"), torch.tensor([1, 1.4, 1.8, 2.4, 3.2, 4]))


@pytest.mark.parametrize("border", ["constant", "ignore"])
@pytest.mark.parametrize("name", ["box", "avg_pool", "max_pool", "argmax_pool", "debox"])
def test_windows_far_larger_than_the_input(name: str, border: str) -> None:
    agree(name, random(2, 6), size=[1, 10**9], border=border)
    agree(name, random(2, 6), size=[1, 9], padding=[(0, 0), (5, 12)], border=border)

"""Activations and normalizations against torch, golden vectors and direct sums."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  (its usual name)

from nnef_tools.errors import ShapeError
from nnef_tools.ops.registry import find

from ..support.arrays import Array
from .kernels import infer, run_op

ACTIVATIONS = {
    "relu": ({}, F.relu),
    "sigmoid": ({}, torch.sigmoid),
    "softplus": ({}, lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "elu": ({"alpha": 0.7}, lambda x: F.elu(x, alpha=0.7)),
    "selu": ({}, F.selu),
    "gelu": ({}, lambda x: x * torch.sigmoid(1.702 * x)),
    "silu": ({}, F.silu),
    "leaky_relu": ({"alpha": 0.1}, lambda x: F.leaky_relu(x, 0.1)),
}
EXTREMES = np.array([-1e30, -200, -88, -20, -1, -1e-8, -0.0, 0, 1e-8, 1, 20, 88, 200, 1e30], np.float32)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (1, 2, 3, 4, 5)])
def test_activation(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    attribs, reference = ACTIVATIONS[name]
    x = rng.normal(0, 3, shape).astype(np.float32)
    result = run_op(name, x, **attribs)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, reference(torch.from_numpy(np.asarray(x))).numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_of_extreme_values(name: str) -> None:
    attribs, reference = ACTIVATIONS[name]
    expected = reference(torch.from_numpy(EXTREMES).double()).numpy()
    np.testing.assert_allclose(run_op(name, EXTREMES, **attribs), expected, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_float_types(name: str, dtype: type[Any], rng: np.random.Generator) -> None:
    attribs, reference = ACTIVATIONS[name]
    x = rng.normal(size=(3, 4)).astype(dtype)
    result = run_op(name, x, **attribs)
    assert result.dtype == dtype
    expected = reference(torch.from_numpy(x.astype(np.float64))).numpy()
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=float(ml_dtypes.finfo(dtype).eps), atol=1e-6)


def test_selu_parameters() -> None:
    x = np.array([-1.0, 2.0], np.float32)
    result = run_op("selu", x, **{"alpha": 2.0, "lambda": 3.0})
    np.testing.assert_allclose(result, [6 * np.expm1(-1), 6], rtol=1e-6)


@pytest.mark.parametrize("alpha_shape", [(), (1,), (1, 3), (1, 3, 1, 1), (2, 1, 4)])
def test_prelu(alpha_shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    alpha = rng.random(alpha_shape).astype(np.float32)
    factor = alpha.reshape(alpha_shape + (1,) * (4 - len(alpha_shape)))
    np.testing.assert_allclose(run_op("prelu", x, alpha), np.where(x < 0, factor * x, x), rtol=1e-6)
    if alpha_shape == (1, 3):
        expected = F.prelu(torch.from_numpy(x), torch.from_numpy(alpha[0])).numpy()
        np.testing.assert_allclose(run_op("prelu", x, alpha), expected, rtol=1e-6)


@pytest.mark.parametrize(("shape", "axes"), [((2, 5), [1]), ((3, 4, 5), [2]), ((3, 4, 5), [0]), ((3, 4, 5), [1, 2])])
def test_softmax(shape: tuple[int, ...], axes: list[int], rng: np.random.Generator) -> None:
    x = rng.normal(0, 100, shape).astype(np.float32)
    t = torch.from_numpy(x)
    expected = torch.exp(t - torch.logsumexp(t, axes, keepdim=True)).numpy()
    np.testing.assert_allclose(run_op("softmax", x, axes=axes), expected, rtol=1e-4, atol=1e-7)
    if axes == [1]:
        np.testing.assert_array_equal(run_op("softmax", x), run_op("softmax", x, axes=axes))


def box_mean(x: Array, size: list[int]) -> Array:
    """Mean over the centered window, the surplus of an even size at the end, zeros beyond the border."""
    result = np.zeros(x.shape, np.float64)
    for where in np.ndindex(*x.shape):
        for offset in product(*(range(f) for f in size)):
            source = tuple(i + o - (f - 1) // 2 for i, o, f in zip(where, offset, size, strict=True))
            if all(0 <= s < n for s, n in zip(source, x.shape, strict=True)):
                result[where] += x[source]
    return result / np.prod(size)


WINDOWS = [((2, 5, 3), (1, 3, 1)), ((1, 4, 3, 4), (1, 1, 3, 2)), ((2, 3), (1, 7)), ((5,), (4,)), ((2, 3), (1, 1))]


@pytest.mark.parametrize(("shape", "size"), WINDOWS)
def test_local_normalizations(shape: tuple[int, ...], size: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=shape).astype(np.float32)
    wide = x.astype(np.float64)
    close = {"rtol": 1e-4, "atol": 1e-5}
    size = list(size)
    np.testing.assert_allclose(
        run_op("local_response_normalization", x, size=size, alpha=0.3, beta=0.75, bias=2.0),
        wide / (2.0 + 0.3 * box_mean(wide**2, size)) ** 0.75,
        **close,
    )
    centered = wide - box_mean(wide, size)
    np.testing.assert_allclose(run_op("local_mean_normalization", x, size=size), centered, **close)
    for name, source in (("local_variance_normalization", wide), ("local_contrast_normalization", centered)):
        np.testing.assert_allclose(
            run_op(name, x, size=size, bias=0.1, epsilon=0.4),
            source / np.maximum(np.sqrt(box_mean(source**2, size)) + 0.1, 0.4),
            **close,
        )


def test_local_response_golden_and_torch(rng: np.random.Generator) -> None:
    result = run_op("local_response_normalization", np.array([[0.0, 1.0]], np.float32), size=[1, 3])
    np.testing.assert_allclose(result, [[0, 0.8660254]], rtol=1e-6)
    x = rng.normal(size=(2, 7, 3, 4)).astype(np.float32)
    expected = F.local_response_norm(torch.from_numpy(x), 5, alpha=0.2, beta=0.6, k=1.5).numpy()
    result = run_op("local_response_normalization", x, size=[1, 5, 1, 1], alpha=0.2, beta=0.6, bias=1.5)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("axes", [[1], [0, 2], []])
def test_axis_normalizations(axes: list[int], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    for name, norm in (("l1_normalization", 1), ("l2_normalization", 2)):
        t = torch.from_numpy(x)
        length = torch.linalg.vector_norm(t, norm, dim=axes, keepdim=True) if axes else t.abs()
        expected = (t / torch.clamp(length + 0.1, min=0.5)).numpy()
        np.testing.assert_allclose(run_op(name, x, axes=axes, bias=0.1, epsilon=0.5), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_batch_normalization(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=shape).astype(np.float32)
    mean, offset, scale = (rng.normal(size=(1, 3)).astype(np.float32) for _ in range(3))
    variance = rng.random((1, 3)).astype(np.float32)
    expected = F.batch_norm(
        *(torch.from_numpy(a) for a in (x, mean[0], variance[0])),
        torch.from_numpy(scale[0]),
        torch.from_numpy(offset[0]),
        eps=1e-3,
    ).numpy()
    result = run_op("batch_normalization", x, mean, variance, offset, scale, epsilon=1e-3)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    plain = run_op("batch_normalization", x, mean, variance, np.float32(0), np.float32(1), epsilon=0.0)
    np.testing.assert_allclose(
        plain, F.batch_norm(torch.from_numpy(x), torch.from_numpy(mean[0]), torch.from_numpy(variance[0]), eps=0.0),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("softmax", ([4],), {}, "'axes' must lie in \\[0, 1\\), got \\[1\\]"),
        ("softmax", ([4, 4],), {"axes": [0, 0]}, "'axes' must be unique"),
        ("prelu", ([2, 3], [3]), {}, "of shape \\[3\\] does not broadcast to the input shape \\[2, 3\\]"),
        ("prelu", ([2, 3], [1, 3, 4]), {}, "does not broadcast"),
        ("prelu", ([1, 3], [2, 3]), {}, "does not broadcast"),
        ("batch_normalization", ([1, 3, 4], [3], [3], [3], [3]), {"epsilon": 0.0}, "have shape \\[1, C\\]"),
        ("local_response_normalization", ([1, 3, 4],), {"size": [5]}, "'size' must have an item for each dimension"),
        ("local_mean_normalization", ([1, 3],), {"size": [1, 0]}, "'size' must be positive"),
        ("l2_normalization", ([1, 3],), {"axes": [2]}, "'axes' must lie in"),
    ],
)
def test_errors(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)


def test_macs() -> None:
    shape = [[2, 3, 4, 4]]
    assert find("local_response_normalization").macs(shape, shape, {"size": [1, 5, 1, 1]}) == 96 * 5
    for name in ("l1_normalization", "l2_normalization", "batch_normalization"):
        assert find(name).macs(shape, shape, {}) == 96
        assert find(name).macs_group == "normalization"
    assert find("relu").macs is None

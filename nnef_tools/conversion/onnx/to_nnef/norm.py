"""Normalizations and dropout."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import Bool, to_nnef
from ..common import channels, positive, right_aligned, shape


def _check_inference(b: Builder, name: str, is_test: int | None) -> None:
    """Refuses training mode, which is_test tells up to version 6; warns where it is not set (which means training)."""
    if is_test is None:
        b.warnings[f"{name} does not set is_test, but is converted for inference"] = None
    elif not is_test:
        raise Unsupported("is_test = 0 (training)")


@to_nnef("onnx", "BatchNormalization")
def batch_normalization_tested(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    is_test: int | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """BatchNormalization-1 and -6: is_test tells the mode."""
    _check_inference(b, "BatchNormalization", is_test)
    return batch_normalization(b, x, scale, offset, mean, variance, epsilon=epsilon, spatial=spatial)


@to_nnef("onnx", "BatchNormalization", since=7)
def batch_normalization(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
) -> Tensor | tuple[Tensor, ...]:
    """BatchNormalization -> batch_normalization with parameters [1, C].

    In training mode (version 14) the statistics of the batch are used, and running ones are given beside the result.
    Before, results beside the first tell that it trains.
    """
    if not spatial:
        raise Unsupported("spatial = 0 (statistics for each activation)")
    if b.version < 14 and any(b.wanted[1:]):
        raise Unsupported("training mode of an old version")
    parameters = [channels(b, p) for p in (offset, scale)]
    if not training_mode:
        return b.batch_normalization(x, channels(b, mean), channels(b, variance), *parameters, epsilon=epsilon)
    axes = [k for k in range(len(shape(x))) if k != 1]
    batch_mean, batch_variance = b.moments(x, axes=axes)
    y = b.batch_normalization(x, batch_mean, batch_variance, *parameters, epsilon=epsilon)
    running = [
        b.add(b.mul(old, momentum), b.mul(b.squeeze(new, axes=axes), 1.0 - momentum))
        for old, new in ((mean, batch_mean), (variance, batch_variance))
    ]
    return (y, *running)


@to_nnef("onnx", "InstanceNormalization")
def instance_normalization(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    *,
    epsilon: float = 1e-5,
) -> Tensor:
    """InstanceNormalization: batch_normalization with the moments of each channel of each item."""
    mean, variance = b.moments(x, axes=list(range(2, len(shape(x)))))
    return b.batch_normalization(x, mean, variance, channels(b, offset), channels(b, scale), epsilon=epsilon)


@to_nnef("onnx", "LayerNormalization", since=17)
@to_nnef("onnx", "LayerNormalization")
def layer_normalization(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """LayerNormalization over the axes from `axis` on; also gives the mean and the inverse deviation.

    stash_type is the type of these; they are computed in float32 or wider here.
    """
    rank = len(shape(x))
    axes = list(range(positive(axis, rank), rank))
    mean, variance = b.moments(x, axes=axes)
    inverse = b.rsqrt(b.add(variance, epsilon))
    y = b.mul(b.mul(b.sub(x, mean), inverse), right_aligned(b, scale, rank))
    if offset is not None:
        y = b.add(y, right_aligned(b, offset, rank))
    return y, mean, inverse


@to_nnef("onnx", "LRN")
def local_response_normalization(
    b: Builder, x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """LRN -> local_response_normalization across channels; alpha is per window in both."""
    window = [1, size] + [1] * (len(shape(x)) - 2)
    return b.local_response_normalization(x, size=window, alpha=alpha, beta=beta, bias=bias)


@to_nnef("onnx", "LpNormalization")
def lp_normalization(b: Builder, x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """LpNormalization: x / norm; a norm of zero gives zero, as onnxruntime does."""
    axes = [positive(axis, len(shape(x)))]
    if p not in (1, 2):
        raise Unsupported(f"p = {p}")
    norm = b.sum_reduce(b.abs(x), axes=axes) if p == 1 else b.sqrt(b.sum_reduce(b.sqr(x), axes=axes))
    return b.div(x, b.select(b.eq(norm, 0.0), 1.0, norm))


@to_nnef("onnx", "Dropout")
def dropout_tested(
    b: Builder, x: Tensor, *, ratio: float = 0.5, is_test: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Dropout-1 and -6: is_test tells the mode."""
    _check_inference(b, "Dropout", is_test)
    return dropout_attribute(b, x)


@to_nnef("onnx", "Dropout", since=7)
def dropout_attribute(b: Builder, x: Tensor, *, ratio: float = 0.5) -> tuple[Tensor, Tensor | None]:
    """Dropout-7 and -10: the identity."""
    return x, _kept(b, x)


@to_nnef("onnx", "Dropout", since=12)
def dropout(
    b: Builder, x: Tensor, ratio: Tensor | None = None, training_mode: Bool | None = None, *, seed: int = 0
) -> tuple[Tensor, Tensor | None]:
    """Dropout: the identity, unless in training mode with a ratio that is not zero."""
    value = None if ratio is None else b.value(ratio)
    if training_mode and (value is None or float(value) != 0.0):
        raise Unsupported("training mode drops at random")
    return x, _kept(b, x)


def _kept(b: Builder, x: Tensor) -> Tensor | None:
    """The mask output: everything is kept."""
    return b.constant(np.broadcast_to(np.True_, shape(x))) if any(b.wanted[1:]) else None

"""Operators of com.microsoft that onnxruntime's optimizer writes for diffusion models."""

from __future__ import annotations

import math

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import gelu
from ...engine.rules import to_nnef
from ..common import reshape, shape, unsqueeze

MICROSOFT = "com.microsoft"
SILU = 1
"""The value of `activation` that stands for x * sigmoid(x); 0 is none."""


@to_nnef("onnx", "BiasAdd", domain=MICROSOFT)
def bias_add(b: Builder, x: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    """BiasAdd: x + bias + skip; the bias is per channel, the last axis."""
    return b.add(b.add(x, _per_channel(b, bias, x, len(shape(x)) - 1)), skip)


@to_nnef("onnx", "BiasSplitGelu", domain=MICROSOFT)
def bias_split_gelu(b: Builder, x: Tensor, bias: Tensor) -> Tensor:
    """BiasSplitGelu: of the halves of x + bias along the last axis, left * gelu(right)."""
    last = len(shape(x)) - 1
    if shape(x)[last] % 2:
        raise Unsupported(f"{shape(x)[last]} channels have no halves")
    left, right = b.split(b.add(x, _per_channel(b, bias, x, last)), axis=last, ratios=[1, 1])
    return b.mul(left, gelu(b, right))


@to_nnef("onnx", "GroupNorm", domain=MICROSOFT)
def group_norm(
    b: Builder,
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    *,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 1e-5,
) -> Tensor:
    """GroupNorm: (x - mean) / sqrt(variance + epsilon) * gamma + beta, then silu; moments are those of channel groups.

    Channels are the last axis, or the second one.
    """
    if activation not in (0, SILU):
        raise Unsupported(f"activation = {activation} is not known")
    extents = shape(x)
    axis = len(extents) - 1 if channels_last else 1
    if groups < 1 or extents[axis] % groups:
        raise Unsupported(f"{extents[axis]} channels do not divide by {groups} groups")
    parts = [groups, extents[axis] // groups]
    points = math.prod(extents[1:]) // extents[axis]
    grouped = reshape(b, x, [extents[0], points, *parts] if channels_last else [extents[0], *parts, points])
    mean, variance = b.moments(grouped, axes=[1, 3] if channels_last else [2, 3])
    normalized = b.mul(b.sub(grouped, mean), b.rsqrt(b.add(variance, epsilon)))
    scaled = b.mul(reshape(b, normalized, extents), _per_channel(b, gamma, x, axis))
    y = b.add(scaled, _per_channel(b, beta, x, axis))
    return b.silu(y) if activation == SILU else y


@to_nnef("onnx", "SkipGroupNorm", domain=MICROSOFT)
def skip_group_norm(
    b: Builder,
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    skip: Tensor,
    bias: Tensor | None = None,
    *,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """SkipGroupNorm: GroupNorm of x + skip + bias; also that sum. skip: like x, or one number for each channel."""
    extents = shape(x)
    axis = len(extents) - 1 if channels_last else 1
    if shape(skip) != extents:
        single = [extents[0], *[extents[k] if k == axis else 1 for k in range(1, len(extents))]]
        if shape(skip) not in (single, [extents[0], extents[axis]]):
            raise Unsupported(f"skip of shape {shape(skip)} for an input of shape {extents}")
        skip = reshape(b, skip, single)
    total = b.add(x, skip)
    if bias is not None:
        total = b.add(total, _per_channel(b, bias, x, axis))
    y = group_norm(b, total, gamma, beta, activation=activation, groups=groups, channels_last=channels_last,
                   epsilon=epsilon)  # fmt: skip
    return y, total


def _per_channel(b: Builder, parameter: Tensor, x: Tensor, axis: int) -> Tensor:
    """[channels] aligned with the axis of x."""
    if shape(parameter) != [shape(x)[axis]]:
        raise Unsupported(f"a parameter of shape {shape(parameter)} for {shape(x)[axis]} channels")
    return unsqueeze(b, parameter, range(axis))

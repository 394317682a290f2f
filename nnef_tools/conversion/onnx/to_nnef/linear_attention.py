"""Operators of com.microsoft for layers that keep a state: linear attention, causal convolutions, and their gates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import expand_to, slice_axes
from ...engine.rules import to_nnef
from ...maths.generated import filled
from ..common import channels, reshape, right_aligned, shape, transpose
from .microsoft import rms_normalized

MICROSOFT = "com.microsoft"
RULES = ("linear", "gated", "delta", "gated_delta")


def _repeated(b: Builder, x: Tensor, heads: int) -> Tensor:
    """[batch, fewer heads, ..] -> [batch, heads, ..]; each head serves consecutive ones."""
    batch, own, *rest = shape(x)
    if own == heads:
        return x
    if heads % own:
        raise Unsupported(f"{heads} heads do not divide by {own}")
    many = expand_to(b, reshape(b, x, [batch, own, 1, *rest]), [batch, own, heads // own, *rest])
    return reshape(b, many, [batch, heads, *rest])


def _by_steps(b: Builder, x: Tensor, heads: int) -> list[Tensor]:
    """[batch, steps, heads * size] -> [batch, heads, size, 1] for each step."""
    batch, steps, width = shape(x)
    if width % heads:
        raise Unsupported(f"a width of {width} does not divide by {heads} heads")
    return list(b.unstack(reshape(b, x, [batch, steps, heads, width // heads, 1]), axis=1))


@to_nnef("onnx", "LinearAttention", domain=MICROSOFT)
def linear_attention(
    b: Builder,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past_state: Tensor | None = None,
    decay: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    q_num_heads: int,
    kv_num_heads: int,
    chunk_size: int = 64,
    scale: float = 0.0,
    state_window: int = 0,
    update_rule: str = "gated_delta",
) -> tuple[Tensor, Tensor]:
    """LinearAttention, step by step, and the last state [batch, heads, key size, value size].

    S = exp(decay) * S; S = S + key * beta * (value - S^T key), or S + key * value; the result is scale * S^T query.
    """
    if update_rule not in RULES or state_window:
        raise Unsupported(f"update_rule = '{update_rule}', state_window = {state_window}")
    if ("gated" in update_rule) != (decay is not None) or ("delta" in update_rule) != (beta is not None):
        raise Unsupported(f"update_rule = '{update_rule}' with decay and beta that do not fit it")
    size = shape(query)[2] // q_num_heads
    b.steps.take(shape(query)[1])
    q, v = _by_steps(b, query, q_num_heads), _by_steps(b, value, kv_num_heads)
    k = [_repeated(b, x, kv_num_heads) for x in _by_steps(b, key, shape(key)[2] // size)]
    factors = [] if decay is None else _by_steps(b, b.exp(decay), kv_num_heads)
    rates = [] if beta is None else [_repeated(b, x, kv_num_heads) for x in _by_steps(b, beta, shape(beta)[2])]
    batch, depth = shape(query)[0], shape(v[0])[2]
    state = b.constant(filled([batch, kv_num_heads, size, depth], 0, np.float32)) if past_state is None else past_state
    heads = max(q_num_heads, kv_num_heads)
    outputs = []
    for t in range(shape(query)[1]):
        state = b.mul(state, factors[t]) if factors else state
        row = transpose(b, v[t], [0, 1, 3, 2])
        if rates:
            row = b.mul(b.sub(row, b.matmul(k[t], state, transposeA=True)), rates[t])
        state = b.add(state, b.mul(k[t], row))
        outputs.append(_read(b, q[t], state, heads))
    y = b.mul(b.stack(outputs, axis=1), scale or 1.0 / math.sqrt(size))
    return y, state


def _read(b: Builder, q: Tensor, state: Tensor, heads: int) -> Tensor:
    """S^T q: [batch, heads * value size], for as many heads as there are queries or states."""
    batch, states, size, depth = shape(state)
    if shape(q)[1] < states:
        q = _repeated(b, q, states)
    grouped = reshape(b, q, [batch, states, heads // states, size])
    return reshape(b, b.matmul(grouped, state), [batch, heads * depth])


@to_nnef("onnx", "CausalConvWithState", domain=MICROSOFT)
def causal_conv_with_state(
    b: Builder,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    past_state: Tensor | None = None,
    *,
    activation: str = "none",
    channels_last: int = 0,
    dilation: int = 1,
    ndim: int = 1,
    state_window: int = 0,
    state_update_capacity: int = 0,
    state_channels_last: int = -1,
    state_length: int = 0,
    input_channel_offset: int = 0,
    input_channels: int = 0,
) -> tuple[Tensor, Tensor]:
    """CausalConvWithState: a convolution of each channel with its past, and the past for the next run."""
    extended: list[Any] = [state_window, state_update_capacity, state_length, input_channel_offset, input_channels]
    if ndim != 1 or any(extended) or state_channels_last != -1 or activation not in ("none", "silu", "swish"):
        raise Unsupported(f"ndim = {ndim}, activation = '{activation}', or states and channels that only CUDA has")
    count, _, taps = shape(weight)
    before, own = (taps - 1) * dilation, shape(x)
    state = None if past_state is None else past_state
    if channels_last:
        x = transpose(b, reshape(b, x, [*own[:2], count]), [0, 2, 1])
        state = None if state is None else transpose(b, reshape(b, state, [own[0], before, count]), [0, 2, 1])
    if state is None:
        state = b.constant(filled([own[0], count, before], 0, np.float32))
    joined = b.concat([state, x], axis=2) if before else x
    y = b.conv(joined, weight, 0.0 if bias is None else channels(b, bias), padding=[(0, 0)], stride=[1],
               dilation=[dilation], groups=count)  # fmt: skip
    y = y if activation == "none" else b.silu(y)
    extent = shape(joined)[2]
    present = slice_axes(b, joined, [extent - before], [extent], [2], [1])
    if channels_last:
        y = reshape(b, transpose(b, y, [0, 2, 1]), own)
        present = reshape(b, transpose(b, present, [0, 2, 1]), [own[0], before, *own[2:]])
    return y, present


@to_nnef("onnx", "GatedRMSNorm", domain=MICROSOFT)
def gated_rms_norm(
    b: Builder, x: Tensor, scale: Tensor, gate: Tensor, *, activation: str = "silu", epsilon: float = 1e-5
) -> Tensor:
    """GatedRMSNorm: the RMS norm of parts of the last axis, times the silu, or sigmoid, of a gate."""
    if activation not in ("silu", "swish", "sigmoid"):
        raise Unsupported(f"activation = '{activation}' is not known")
    own, size = shape(x), shape(scale)[0]
    parts = reshape(b, x, [*own[:-1], own[-1] // size, size])
    normed = reshape(b, rms_normalized(b, parts, scale, [len(own)], epsilon)[0], own)
    return b.mul(normed, b.sigmoid(gate) if activation == "sigmoid" else b.silu(gate))


@to_nnef("onnx", "GatedAdd", domain=MICROSOFT)
def gated_add(b: Builder, x: Tensor, y: Tensor, gate: Tensor, gate_weight: Tensor | None = None) -> Tensor:
    """GatedAdd: x + y * gate."""
    if gate_weight is not None:
        raise Unsupported("input 'gate_weight': it rounds to bfloat16 between steps")
    return b.add(x, b.mul(y, gate))


@to_nnef("onnx", "ScaledSiLU", domain=MICROSOFT)
def scaled_silu(b: Builder, x: Tensor, scale: Tensor | None = None, *, alpha: float = 1.0) -> Tensor:
    """ScaledSiLU: silu of alpha * x, or scale * x."""
    return b.silu(b.mul(x, alpha if scale is None else reshape(b, scale, [])))


@to_nnef("onnx", "SwiGLU", domain=MICROSOFT)
def swiglu(
    b: Builder,
    gate: Tensor,
    up: Tensor | None = None,
    *,
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    limit: float = 0.0,
    round_activation: int = 0,
) -> Tensor:
    """SwiGLU: gate * sigmoid(alpha * gate) * (up + beta); gate and up may be the halves of one tensor."""
    if up is None:
        gate, up = b.split(gate, axis=len(shape(gate)) - 1, ratios=[1, 1])
    return gated_product(b, gate, up, activation_alpha, activation_beta, limit if limit > 0 else None)


def gated_product(b: Builder, gate: Tensor, up: Tensor, alpha: float, beta: float, limit: float | None) -> Tensor:
    """G * sigmoid(alpha * G) * (L + beta) with G = min(gate, limit) and L = clamp(up, -limit, limit)."""
    if limit is not None:
        gate, up = b.min(gate, limit), b.clamp(up, -limit, limit)
    activated = b.silu(gate) if alpha == 1.0 else b.mul(gate, b.sigmoid(b.mul(gate, alpha)))
    return b.mul(activated, b.add(up, beta) if beta else up)


@to_nnef("onnx", "BranchwiseRMSNorm", domain=MICROSOFT)
def branchwise_rms_norm(
    b: Builder, x: Tensor, scale: Tensor | None = None, *, epsilon: float = 1e-5, num_branches: int = 0
) -> Tensor:
    """BranchwiseRMSNorm: the RMS norm of each of the branches of the last axis, or of the last axis."""
    own = shape(x)
    if num_branches:
        x = reshape(b, x, [*own[:-1], num_branches, own[-1] // num_branches])
    axis = len(shape(x)) - 1
    y = b.mul(x, b.rsqrt(b.add(b.mean_reduce(b.sqr(x), axes=[axis]), epsilon)))
    if scale is not None:
        branches = shape(x)[-2:] if scale.volume != shape(x)[-1] else shape(x)[-1:]
        y = b.mul(y, right_aligned(b, reshape(b, scale, branches), axis + 1))
    return reshape(b, y, own)

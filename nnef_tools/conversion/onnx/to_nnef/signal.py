"""Spectra: discrete Fourier transforms as products with constant matrices.

Complex numbers are pairs in the last dimension: real part, imaginary part.
"""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.complex_pairs import ComplexPair, real_pair
from ...building.nnef import Builder
from ...compose.axis_maps import Array
from ...compose.fourier import framed, inverse, is_in_two_steps, real_inverse, transformed, waves
from ...engine.rules import Float, Int, to_nnef
from ...maths.generated import filled, positions
from ..common import dtype_of, positive, reshape, shape, squeeze, transpose, unsqueeze


def _dft(b: Builder, x: Tensor, length: int | None, axis: int, inverted: bool, onesided: bool) -> Tensor:
    own = shape(x)
    k, last = positive(axis, len(own)), len(own) - 1
    if k == last or own[-1] not in (1, 2):
        raise Unsupported(f"axis {axis} of an input of shape {own}, whose last dimension must have extent 1 or 2")
    if length is None:
        length = 2 * (own[k] - 1) if inverted and onesided else own[k]
    if length < 1:
        raise Unsupported(f"dft_length = {length}")
    if onesided and not inverted and own[-1] == 2:
        raise Unsupported("onesided = 1 is defined for real signals only")
    parts = [x] if own[-1] == 1 else b.split(x, axis=last, ratios=[1, 1])
    re, *others = (squeeze(b, part, [last]) for part in parts)
    z = ComplexPair(re, others[0]) if others else real_pair(b, re)
    if inverted and onesided:
        return unsqueeze(b, real_inverse(b, z, k, length), [last])
    y = inverse(b, z, k, length) if inverted else transformed(b, z, k, length, length // 2 + 1 if onesided else None)
    return b.stack([y.re, y.im], axis=last)


@to_nnef("onnx", "DFT", since=17)
def dft_axis_attribute(
    b: Builder, x: Tensor, dft_length: Int | None = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> Tensor:
    """DFT-17: the axis is an attribute."""
    return _dft(b, x, dft_length, axis, bool(inverse), bool(onesided))


@to_nnef("onnx", "DFT", since=20)
def dft(
    b: Builder,
    x: Tensor,
    dft_length: Int | None = None,
    axis: Int | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Tensor:
    """DFT: matmul with cosines and sines; shorter and longer signals are cut and zero-padded by the matrix."""
    return _dft(b, x, dft_length, -2 if axis is None else axis, bool(inverse), bool(onesided))


@to_nnef("onnx", "STFT", since=17)
def stft(
    b: Builder,
    signal: Tensor,
    frame_step: Int,
    window: Tensor | None = None,
    frame_length: Int | None = None,
    *,
    onesided: int = 1,
) -> Tensor:
    """STFT -> conv: a filter for each real and imaginary part of each frequency, times the window.

    Long frames are gathered, and transformed in two steps.
    """
    own = shape(signal)
    if len(own) == 2:
        own = [*own, 1]
    batch, extent, parts = own
    if onesided and parts == 2:
        raise Unsupported("onesided = 1 is defined for real signals only")
    length = frame_length or (extent if window is None else shape(window)[0])
    if window is not None and shape(window) != [length]:
        raise Unsupported(f"a window of shape {shape(window)} does not fit frames of {length}")
    if not 1 <= length <= extent or frame_step < 1:
        raise Unsupported(f"frames of {length} in steps of {frame_step} in a signal of {extent}")
    bins = length // 2 + 1 if onesided else length
    if is_in_two_steps(length, bins):
        frames = [squeeze(b, part, [2]) for part in b.split(signal, axis=2, ratios=[1, 1])] if parts == 2 else [signal]
        return _spectra_of_frames(b, [reshape(b, x, [batch, extent]) for x in frames], length, frame_step, bins, window)
    cos, sin = waves(bins, length, length)
    rows = [np.stack([cos, sin][:parts], axis=1), np.stack([-sin, cos][:parts], axis=1)]
    filters = np.concatenate(rows, axis=0)  # [2 * bins, parts, length]
    channels_first = transpose(b, signal, [0, 2, 1]) if parts == 2 else reshape(b, signal, [batch, 1, extent])
    spectra = b.conv(
        channels_first,
        _windowed(b, filters, window, signal),
        0.0,
        stride=[frame_step],
        dilation=[1],
        padding=[(0, 0)],
    )
    return transpose(b, reshape(b, spectra, [batch, 2, bins, shape(spectra)[2]]), [0, 3, 2, 1])


def _spectra_of_frames(
    b: Builder, parts: list[Tensor], length: int, step: int, bins: int, window: Tensor | None
) -> Tensor:
    """`[batch, extent]` of the real part, or of both -> `[batch, frames, bins, 2]`."""
    frames = [framed(b, x, length, step) for x in parts]
    if window is not None:
        frames = [b.mul(x, reshape(b, window, [1, 1, length])) for x in frames]
    z = ComplexPair(*frames) if len(frames) == 2 else real_pair(b, frames[0])
    y = transformed(b, z, 2, length, bins)
    return b.stack([y.re, y.im], axis=3)


def _windowed(b: Builder, filters: Array, window: Tensor | None, signal: Tensor) -> Tensor:
    value = None if window is None else b.value(window)
    if window is None or value is not None:
        return b.constant(filters if value is None else filters * value, signal.dtype)
    return b.mul(b.constant(filters, signal.dtype), reshape(b, window, [1, 1, shape(window)[0]]))


@to_nnef("onnx", "MelWeightMatrix", since=17)
def mel_weight_matrix(
    b: Builder,
    num_mel_bins: Int,
    dft_length: Int,
    sample_rate: Int,
    lower_edge_hertz: Float,
    upper_edge_hertz: Float,
    *,
    output_datatype: int = 1,
) -> Tensor:
    """MelWeightMatrix: a constant `[dft_length // 2 + 1, num_mel_bins]` of triangles that are equally wide in mel."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (lower_edge_hertz, upper_edge_hertz))
    mel = low + positions(num_mel_bins + 2) * (high - low) / (num_mel_bins + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    edges = ((dft_length + 1) * hertz // sample_rate).astype(np.int64)
    matrix = filled([dft_length // 2 + 1, num_mel_bins], 0, np.float64)
    bins = np.arange(len(matrix))
    for k, (left, center, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising = (bins >= left) & (bins <= center)
        falling = (bins >= center) & (bins < right)
        matrix[rising, k] = (bins[rising] - left) / (center - left) if center > left else 1.0
        matrix[falling, k] = (right - bins[falling]) / max(right - center, 1)
    return b.constant(matrix, dtype_of(output_datatype))

"""Fourier transforms, and the front ends of speech models that begin with one.

Complex values are pairs of tensors while converting, see complex_values.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.complex_pairs import ComplexPair, magnitude, real_pair, squared_magnitude
from ...building.nnef import Builder
from ...building.shapes import positive, reshape, shape, transpose
from ...compose.axis_maps import apply_matrix
from ...compose.cepstra import cosine_matrix, mel_bands
from ...compose.fourier import inverse, real_inverse, transformed, waves
from ...engine.rules import Int, Ints, to_nnef
from .complex_values import complex_only


def _last_axes(x: Tensor, count: int) -> list[int]:
    rank = len(shape(x))
    if rank < count:
        raise Unsupported(f"a Fourier transform over {count} axes of a tensor of rank {rank}")
    return list(range(rank - count, rank))


def _forward(b: Builder, z: ComplexPair, axes: list[int], lengths: list[int]) -> ComplexPair:
    for axis, length in zip(axes, lengths, strict=True):
        z = transformed(b, z, axis, length)
    return z


def _backward(b: Builder, z: ComplexPair, axes: list[int], lengths: list[int]) -> ComplexPair:
    for axis, length in zip(axes, lengths, strict=True):
        z = inverse(b, z, axis, length)
    return z


def _forward_real(b: Builder, x: Tensor, axes: list[int], lengths: list[int]) -> ComplexPair:
    """The half along the last of the axes, then all along the others."""
    half = transformed(b, real_pair(b, x), axes[-1], lengths[-1], lengths[-1] // 2 + 1)
    return _forward(b, half, axes[:-1], lengths[:-1])


def _backward_real(b: Builder, z: ComplexPair, axes: list[int], lengths: list[int]) -> Tensor:
    return real_inverse(b, _backward(b, z, axes[:-1], lengths[:-1]), axes[-1], lengths[-1])


def _register(count: int, suffix: str) -> None:
    """The operators on the last axes of a tensor, as many as the suffix says."""

    @complex_only(f"FFT{suffix}")
    def fft(b: Builder, z: ComplexPair) -> ComplexPair:
        """FFT, FFT2D, FFT3D: matmul with cosines and sines along the last axes."""
        axes = _last_axes(z.re, count)
        return _forward(b, z, axes, [shape(z.re)[axis] for axis in axes])

    @complex_only(f"IFFT{suffix}")
    def ifft(b: Builder, z: ComplexPair) -> ComplexPair:
        """IFFT, IFFT2D, IFFT3D: matmul with cosines and sines along the last axes."""
        axes = _last_axes(z.re, count)
        return _backward(b, z, axes, [shape(z.re)[axis] for axis in axes])

    @complex_only(f"RFFT{suffix}")
    def rfft(b: Builder, x: Tensor, fft_length: Ints, *, Treal: Any = None, Tcomplex: Any = None) -> ComplexPair:
        """RFFT, RFFT2D, RFFT3D: the first half along the last axis; x is cut or zero-padded."""
        return _forward_real(b, x, _last_axes(x, count), fft_length)

    @complex_only(f"IRFFT{suffix}")
    def irfft(b: Builder, z: ComplexPair, fft_length: Ints, *, Treal: Any = None, Tcomplex: Any = None) -> Tensor:
        """IRFFT, IRFFT2D, IRFFT3D: the real signal of half a spectrum, which is cut or zero-padded."""
        return _backward_real(b, z, _last_axes(z.re, count), fft_length)


for _count, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    _register(_count, _suffix)


def _chosen(x: Tensor, lengths: list[int], axes: list[int]) -> list[int]:
    """The axes, counted from the first one."""
    rank = len(shape(x))
    chosen = [positive(axis, rank) for axis in axes]
    if len(chosen) != len(lengths) or not chosen or len(set(chosen)) != len(chosen):
        raise Unsupported(f"fft_length {lengths} and axes {axes} do not fit rank {rank}")
    return chosen


@complex_only("FFTND")
def fft_nd(b: Builder, z: ComplexPair, fft_length: Ints, axes: Ints) -> ComplexPair:
    """FFTND: along the given axes."""
    return _forward(b, z, _chosen(z.re, fft_length, axes), fft_length)


@complex_only("IFFTND")
def ifft_nd(b: Builder, z: ComplexPair, fft_length: Ints, axes: Ints) -> ComplexPair:
    """IFFTND: along the given axes."""
    return _backward(b, z, _chosen(z.re, fft_length, axes), fft_length)


@complex_only("RFFTND")
def rfft_nd(b: Builder, x: Tensor, fft_length: Ints, axes: Ints, *, Treal: Any = None, Tcomplex: Any = None) -> Any:
    """RFFTND: half along the last of the given axes."""
    return _forward_real(b, x, _chosen(x, fft_length, axes), fft_length)


@complex_only("IRFFTND")
def irfft_nd(
    b: Builder, z: ComplexPair, fft_length: Ints, axes: Ints, *, Treal: Any = None, Tcomplex: Any = None
) -> Tensor:
    """IRFFTND: the spectrum is half along the last of the given axes."""
    return _backward_real(b, z, _chosen(z.re, fft_length, axes), fft_length)


# speech


@to_nnef("tf", "AudioSpectrogram")
def audio_spectrogram(
    b: Builder, x: Tensor, *, window_size: int, stride: int, magnitude_squared: bool = False
) -> Tensor:
    """AudioSpectrogram `[samples, channels]` -> `[channels, frames, bins]`: conv with waves times a Hann window.

    The transform has the next power of two as length (spectrogram.cc).
    """
    samples, count = shape(x)
    if window_size < 2 or stride < 1:
        raise Unsupported(f"windows of {window_size} samples in steps of {stride}")
    if window_size > samples:
        raise Unsupported(f"the result is empty: there is no window of {window_size} in {samples} samples")
    length = 1 << (window_size - 1).bit_length()
    bins = length // 2 + 1
    matrices = waves(bins, window_size, length)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_size) / window_size)
    filters = [(wave * window)[:, None, :] for wave in matrices]
    signal = reshape(b, transpose(b, x, [1, 0]), [count, 1, samples])
    re, im = (
        b.conv(signal, b.constant(part, x.dtype), 0.0, stride=[stride], dilation=[1], padding=[(0, 0)])
        for part in filters
    )
    z = ComplexPair(re, im)
    return transpose(b, squared_magnitude(b, z) if magnitude_squared else magnitude(b, z), [0, 2, 1])


@to_nnef("tf", "Mfcc")
def mfcc(
    b: Builder,
    spectrogram: Tensor,
    sample_rate: Int,
    *,
    upper_frequency_limit: float = 4000.0,
    lower_frequency_limit: float = 20.0,
    filterbank_channel_count: int = 40,
    dct_coefficient_count: int = 13,
) -> Tensor:
    """Mfcc of squared magnitudes: matmul with mel bands, log of at least 1e-12, matmul with cosines."""
    rank = len(shape(spectrogram))
    bands = mel_bands(
        shape(spectrogram)[-1], sample_rate, lower_frequency_limit, upper_frequency_limit, filterbank_channel_count
    )
    energies = apply_matrix(b, b.sqrt(spectrogram), rank - 1, bands.T)
    cosines = cosine_matrix(filterbank_channel_count, dct_coefficient_count)
    return apply_matrix(b, b.log(b.max(energies, 1e-12)), rank - 1, cosines.T)

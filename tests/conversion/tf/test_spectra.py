"""Fourier transforms, arithmetic on complex numbers, and audio front ends against TensorFlow and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_tools

from ...support.arrays import Array, random
from ...support.tf_programs import freeze, raw, tf
from .checks import check, refusal

signal = tf.signal
SCALED = {"rtol": 0.0, "atol": 2e-5}
"""Results of transforms: errors are relative to the largest item, which is around 10."""

X, Y = random(2, 12), random(2, 12, seed=1)
A, B = random(3, 5, 6), random(3, 5, 6, seed=1)


def parts(z: Any) -> tuple[Any, Any]:
    return tf.math.real(z), tf.math.imag(z)


# transforms


@pytest.mark.parametrize("length", [1, 2, 5, 12, 15])
def test_transforms_of_a_length(length: int) -> None:
    check(lambda x: parts(signal.rfft(x, [length])), X, **SCALED)
    check(lambda x, y: signal.irfft(tf.complex(x, y), [length]), X, Y, **SCALED)


@pytest.mark.parametrize(
    "program",
    [signal.fft, signal.ifft, signal.fft2d, signal.ifft2d, signal.fft3d, signal.ifft3d],
    ids=["fft", "ifft", "fft2d", "ifft2d", "fft3d", "ifft3d"],
)
def test_complex_transforms(program: Callable[[Any], Any]) -> None:
    check(lambda x, y: parts(program(tf.complex(x, y))), A, B, **SCALED)
    check(lambda x: parts(program(tf.cast(x, tf.complex64))), A, **SCALED)


def test_real_transforms_of_several_axes() -> None:
    check(lambda x: parts(signal.rfft2d(x)), A, **SCALED)
    check(lambda x: parts(signal.rfft2d(x, [4, 9])), A, **SCALED)
    check(lambda x: parts(signal.rfft3d(x)), A, **SCALED)
    check(lambda x, y: signal.irfft2d(tf.complex(x, y)), A, B, **SCALED)
    check(lambda x, y: signal.irfft2d(tf.complex(x, y), [4, 9]), A, B, **SCALED)
    check(lambda x, y: signal.irfft3d(tf.complex(x, y)), A, B, **SCALED)


def test_transforms_of_chosen_axes() -> None:
    """TensorFlow has no kernels for these on the CPU."""
    z = (A + 1j * B).astype(np.complex64)
    for axes in ([0, 1], [2, 0], [-2]):
        lengths = [4 + k for k in range(len(axes))]
        chosen = {"fft_length": lengths, "axes": axes}
        found = np.fft.fftn(z, lengths, axes), np.fft.ifftn(z, lengths, axes), np.fft.rfftn(A, lengths, axes)
        expected = [part.astype(np.float32) for value in found for part in (value.real, value.imag)]
        expected.append(np.fft.irfftn(z, lengths, axes).astype(np.float32))

        def program(x: Any, y: Any, chosen: Any = chosen) -> list[Any]:
            z = tf.complex(x, y)
            spectra = raw.FFTND(input=z, **chosen), raw.IFFTND(input=z, **chosen), raw.RFFTND(input=x, **chosen)
            return [*(part for value in spectra for part in parts(value)), raw.IRFFTND(input=z, **chosen)]

        check(program, A, B, expected=expected, **SCALED)


def test_real_signal_of_half_a_spectrum() -> None:
    check(lambda x: parts(signal.rfft(x)), X, ops=["matmul", "matmul"])
    check(lambda x, y: signal.irfft(tf.complex(x, y)), X, Y, ops=["matmul", "matmul", "sub"])
    check(lambda x: parts(signal.rfft(x)), random(9), **SCALED)


def test_double_precision() -> None:
    x = np.random.default_rng(0).standard_normal((2, 9))
    check(lambda x: parts(signal.rfft(x)), x, rtol=1e-12, atol=1e-12)
    check(lambda x: parts(signal.ifft(tf.cast(x, tf.complex128))), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [2048, 1030, 3000])
def test_long_transforms_have_small_matrices(length: int) -> None:
    x, y = random(2, length), random(2, length, seed=1)
    half, other = random(2, length // 2 + 1), random(2, length // 2 + 1, seed=1)
    exact = np.fft.fft(x.astype(np.float64) + 1j * y)
    scale = 1e-6 * float(np.abs(exact).max())
    forward = [exact.real.astype(np.float32), exact.imag.astype(np.float32)]
    found = check(lambda x, y: parts(signal.fft(tf.complex(x, y))), x, y, expected=forward, rtol=0.0, atol=scale)
    check(lambda x: parts(signal.rfft(x)), x, rtol=0.0, atol=scale)
    check(lambda x, y: parts(signal.ifft(tf.complex(x, y))), x, y, rtol=0.0, atol=1e-6)
    check(lambda x, y: signal.irfft(tf.complex(x, y), [length]), half, other, rtol=0.0, atol=1e-6)
    check(lambda x: parts(signal.rfft(x, [length])), random(2, 2 * length), rtol=0.0, atol=2 * scale)
    stored = sum(op.output.volume or 0 for op in found.graph.operations if op.type == "variable")
    assert stored <= 1 << 20


def test_zeros_of_the_spectrum_of_a_real_signal_are_exact() -> None:
    """The angle would be plus or minus pi by the sign of an error."""
    check(lambda x: tf.math.angle(signal.rfft(x)), random(5, 16), **SCALED)


# arithmetic


def _z(x: Any, y: Any) -> Any:
    return tf.complex(x, y)


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "mul": lambda x, y: _z(x, y) * _z(y, x)[:, :1],
    "mul by constant": lambda x, y: _z(x, y) * (2 - 3j),
    "mul by 1j": lambda x, y: _z(x, y) * 1j,
    "mul of real ones": lambda x, y: tf.cast(x, tf.complex64) * tf.cast(y, tf.complex64),
    "div": lambda x, y: _z(x, y) / _z(y, x),
    "div by real": lambda x, y: _z(x, y) / tf.cast(y, tf.complex64),
    "add": lambda x, y: _z(x, y)[:1] + tf.cast(y, tf.complex64),
    "sub": lambda x, y: tf.constant(1 + 2j, tf.complex64) - _z(x, y),
    "neg": lambda x, y: -_z(x, y),
    "conj": lambda x, y: tf.math.conj(_z(x, y)),
    "square": lambda x, y: tf.square(_z(x, y)),
    "pow": lambda x, y: tf.pow(_z(x, y), 3),
    "squared difference": lambda x, y: tf.math.squared_difference(_z(x, y), _z(y, x)),
    "exp": lambda x, y: tf.exp(_z(x, y)),
    "exp of imaginary": lambda x, y: tf.exp(1j * tf.cast(x, tf.complex64)),
    "log": lambda x, y: tf.math.log(_z(x, y)),
    "sign": lambda x, y: tf.sign(tf.concat([_z(x, y), tf.zeros_like(_z(x, y))], 0)),
    "reciprocal": lambda x, y: tf.math.reciprocal(_z(x, y)),
    "cast": lambda x, y: tf.cast(_z(x, y), tf.complex128),
    "matmul": lambda x, y: tf.matmul(_z(x, y), _z(y, x), adjoint_b=True),
    "matmul transposed": lambda x, y: tf.matmul(_z(x, y), _z(y, x), transpose_a=True),
    "batch matmul": lambda x, y: tf.matmul(_z(x, y)[None], _z(y, x)[None], adjoint_a=True),
    "einsum": lambda x, y: tf.einsum("bi,bj->ij", _z(x, y), _z(y, x)),
    "adjoint": lambda x, y: tf.linalg.adjoint(_z(x, y)),
    "sum": lambda x, y: tf.reduce_sum(_z(x, y), 1, keepdims=True),
    "mean": lambda x, y: tf.reduce_mean(_z(x, y)),
    "cumsum": lambda x, y: tf.cumsum(_z(x, y), 1),
    "add_n": lambda x, y: tf.add_n([_z(x, y), _z(y, x), _z(x, x)]),
    "where": lambda x, y: tf.where(x > 0, _z(x, y), _z(y, x)),
    "ones": lambda x, y: tf.zeros_like(_z(x, y)) + tf.ones_like(_z(x, y)) * tf.cast(x, tf.complex64),
    "cond": lambda x, y: tf.cond(tf.reduce_sum(x) > 0, lambda: _z(x, y), lambda: _z(y, x)),
    "loop": lambda x, y: tf.while_loop(lambda k, z: k < 3, lambda k, z: (k + 1, z * _z(x, y)), [0, _z(y, x)])[1],
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name: str) -> None:
    check(lambda x, y: parts(ARITHMETIC[name](x, y)), X, Y, rtol=1e-5, atol=2e-5)


MOVES: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda z: tf.reshape(z, tf.stack([tf.shape(z)[1], -1])),
    "slices": lambda z: tf.concat([tf.transpose(z), tf.transpose(z) * 2], 1)[1:5, ::2][..., None],
    "squeeze": lambda z: tf.squeeze(tf.expand_dims(z, 1), 1),
    "pack": lambda z: tf.stack([z, z], 1),
    "unpack": lambda z: tf.unstack(z)[1],
    "split": lambda z: tf.split(z, 3, 1)[1],
    "pad": lambda z: tf.pad(z, [[0, 1], [2, 0]]),
    "pad with a value": lambda z: tf.pad(z, [[0, 1], [2, 0]], constant_values=1 + 2j),
    "gather": lambda z: tf.gather(z, [3, 1], axis=1),
    "tile": lambda z: tf.tile(z, [1, 2]),
    "reverse": lambda z: tf.reverse(z, [1]),
    "roll": lambda z: signal.fftshift(z),
    "broadcast": lambda z: tf.broadcast_to(z[:1], [3, 12]),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves(name: str) -> None:
    check(lambda x, y: parts(MOVES[name](tf.complex(x, y))), X, Y)


def test_magnitude_and_comparison() -> None:
    check(lambda x, y: tf.abs(tf.complex(x, y)), X, Y, ops=["sqr", "sqr", "add", "sqrt"])
    check(lambda x: tf.abs(tf.cast(x, tf.complex64)), X, ops=["abs"])
    check(lambda x, y: tf.math.angle(tf.complex(x, y)), X, Y)
    check(lambda x, y: tf.equal(tf.complex(x, y), tf.complex(y, x)), X, np.where(Y > 0, X, Y).astype(np.float32))
    check(lambda x, y: tf.not_equal(tf.complex(x, y), tf.complex(x, x)), X, np.where(Y > 0, X, Y).astype(np.float32))


def test_analytic_signal() -> None:
    """A filter that is a complex constant, as in scipy.signal.hilbert."""
    weights = np.asarray([1, 2, 2, 2, 1, 0, 0, 0], np.complex64)
    check(lambda x: tf.abs(signal.ifft(signal.fft(tf.cast(x, tf.complex64)) * weights)), random(3, 8), **SCALED)


def test_lists_of_complex_numbers() -> None:
    """The items of a loop over rows."""
    program = lambda r: signal.fft(tf.cast(r, tf.complex64))  # noqa: E731
    check(lambda x: tf.abs(tf.map_fn(program, x, fn_output_signature=tf.complex64)), random(3, 8), **SCALED)
    mapped = lambda z: tf.map_fn(tf.math.conj, z)  # noqa: E731
    check(lambda x, y: parts(mapped(tf.complex(x, y))), X, Y)


# tf.signal


@pytest.mark.parametrize("window", [None, signal.hann_window, signal.vorbis_window], ids=["none", "hann", "vorbis"])
@pytest.mark.parametrize("size", [(16, 8, 16), (12, 7, None), (10, 3, 15)], ids=str)
def test_short_time_transform(window: Any, size: tuple[int, int, int | None]) -> None:
    check(lambda x: parts(signal.stft(x, *size, window_fn=window)), random(2, 64), **SCALED)
    check(lambda x: tf.abs(signal.stft(x, *size, window_fn=window, pad_end=True)), random(60), **SCALED)


@pytest.mark.parametrize("size", [(16, 8, 16), (16, 4, 32), (12, 6, 16)], ids=str)
def test_inverse_short_time_transform(size: tuple[int, int, int]) -> None:
    window = signal.inverse_stft_window_fn(size[1])
    check(lambda x: signal.inverse_stft(signal.stft(x, *size), *size, window_fn=window), random(2, 64), **SCALED)


@pytest.mark.parametrize("type", [1, 2, 3, 4])
def test_cosine_transforms(type: int) -> None:
    x = random(2, 3, 8)
    for norm in (None,) if type == 1 else (None, "ortho"):
        check(lambda x, norm=norm: signal.dct(x, type=type, norm=norm), x, **SCALED)
        check(lambda x, norm=norm: signal.idct(x, type=type, norm=norm), x, **SCALED)
        check(lambda x, norm=norm: signal.dct(x, type=type, norm=norm, n=11), x, **SCALED)


def test_modified_cosine_transform() -> None:
    check(lambda x: signal.mdct(x, 8), random(2, 32), **SCALED)
    check(lambda x: signal.inverse_mdct(signal.mdct(x, 8, norm="ortho"), norm="ortho"), random(2, 32), **SCALED)


def test_frames() -> None:
    check(lambda x: signal.frame(x, 5, 3, pad_end=True, pad_value=2.0), random(2, 20))
    check(lambda x: signal.frame(x, 4, 2, axis=1), random(2, 9, 3))
    check(lambda x: signal.overlap_and_add(x, 3), random(2, 4, 5))


def test_cepstra() -> None:
    def program(x: Any) -> Any:
        bands = signal.linear_to_mel_weight_matrix(10, 33, 16000, 80.0, 7600.0)
        energies = tf.tensordot(tf.abs(signal.stft(x, 64, 32)), bands, 1)
        return signal.mfccs_from_log_mel_spectrograms(tf.math.log(energies + 1e-6))[..., :5]

    check(program, random(2, 256), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("target", ["onnx", "tflite", "pb"])
def test_front_end_in_other_formats(target: str, tmp_path: Path) -> None:
    def program(x: Any) -> Any:
        energies = tf.abs(signal.stft(x, 24, 16, 32)) ** 2
        return tf.math.log(tf.tensordot(energies, signal.linear_to_mel_weight_matrix(6, 17, 8000, 20.0, 3900.0), 1) + 1)

    (tmp_path / "model.pb").write_bytes(freeze(program, (1, 100)).graph_def.SerializeToString())
    nnef_tools.convert_model(tmp_path / "model.pb", tmp_path / "model.nnef")
    nnef_tools.convert_model(tmp_path / "model.nnef", tmp_path / f"back.{target}", verify=1)


# operators for speech


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("size", [(64, 16, 8), (100, 30, 7), (33, 33, 50)], ids=str)
def test_audio_spectrogram(squared: bool, size: tuple[int, int, int]) -> None:
    samples, window, stride = size
    options = {"window_size": window, "stride": stride, "magnitude_squared": squared}
    check(lambda x: raw.AudioSpectrogram(input=x, **options), random(samples, 2), rtol=1e-5, atol=1e-4)
    assert "the result is empty" in refusal(lambda x: raw.AudioSpectrogram(input=x, **options), random(8, 1))


@pytest.mark.parametrize(
    "size", [(257, 16000, 20.0, 4000.0, 40, 13), (129, 8000, 0.0, 3999.5, 23, 23), (60, 22050, 300.5, 7600.0, 50, 4)]
)
def test_mfcc(size: tuple[Any, ...]) -> None:
    bins, rate, low, high, bands, count = size
    spectra = np.square(random(2, 3, bins))
    spectra[0, 0] = 0
    check(
        lambda x: raw.Mfcc(
            spectrogram=x,
            sample_rate=rate,
            lower_frequency_limit=low,
            upper_frequency_limit=high,
            filterbank_channel_count=bands,
            dct_coefficient_count=count,
        ),
        spectra,
        rtol=2e-6,
        atol=5e-5,
    )


def test_mfcc_of_limits_beyond_the_spectrum() -> None:
    program = lambda x: raw.Mfcc(spectrogram=x, sample_rate=100)  # noqa: E731
    assert "a spectrum of 60 elements at 100 hertz ends below 4000.0 hertz" in refusal(program, random(1, 2, 60))


# refusals


def test_long_transforms_ask_the_budget() -> None:
    reason = refusal(lambda x: tf.abs(signal.rfft(x, [2**31 - 1])), random(8))
    assert "more than the limit of 67,108,864" in reason
    reason = refusal(lambda x: tf.abs(signal.rfft(x, [2 * 16381])), random(2 * 16381))
    assert "its matrix would be a constant of" in reason


def _complex(*shape: int) -> Array:
    return random(*shape).astype(np.complex64)


def test_complex_inputs_and_outputs() -> None:
    assert "input 'x0' is complex, which NNEF tensors are not" in refusal(tf.abs, _complex(4))
    assert "output 'y0' is complex, which NNEF tensors are not" in refusal(signal.rfft, random(8))


def test_operators_without_a_rule_for_complex_numbers() -> None:
    reason = refusal(lambda x: tf.math.real(tf.sin(signal.rfft(x))), random(8))
    assert "there is no rule for Sin of complex numbers" in reason
    assert "1 operator(s)" in reason
    assert "exponent" in refusal(lambda x: tf.math.real(tf.pow(signal.rfft(x), 0.5)), random(8))

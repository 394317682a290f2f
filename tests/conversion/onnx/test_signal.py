"""Fourier transforms and windows, compared with the reference of onnx and with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from onnx.reference import ReferenceEvaluator

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import Const, const, node_model
from .checks import check, check_node, convert

Random = Callable[..., Array]


def reference(model: ModelProto, *inputs: Array) -> list[Array]:
    feeds = {info.name: array for info, array in zip(model.graph.input, inputs, strict=True)}
    return list(ReferenceEvaluator(model).run(None, feeds))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("length", [None, 4, 5, 9])
def test_dft(random: Random, parts: int, inverse: int, length: int | None) -> None:
    x = random(2, 5, 6, parts)
    count = None if length is None else const(length)
    for axis in (1, 2, -2):
        new = node_model("DFT", [x, count, const(axis)], opset=20, inverse=inverse)
        old = node_model("DFT", [x, count], opset=17, inverse=inverse, axis=axis)
        for model in (new, old):
            expected = reference(node_model("DFT", [x, count, const(axis)], opset=20, inverse=inverse), x)
            check(model, [x], expected=expected, rtol=1e-4, atol=1e-5)


def test_dft_defaults_to_another_axis_since_20(random: Random) -> None:
    x = random(2, 3, 4, 1)
    np_fft = [np.fft.fft(x[..., 0], axis=axis) for axis in (1, 2)]
    for opset, result in zip((17, 20), np_fft, strict=True):
        expected = np.stack([result.real, result.imag], axis=-1).astype(np.float32)
        check_node("DFT", [x], opset=opset, expected=[expected], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [None, 3, 6, 11])
def test_onesided_dft(random: Random, length: int | None) -> None:
    count = None if length is None else const(length)
    x = random(2, 8, 1)
    model = node_model("DFT", [x, count], opset=20, onesided=1)
    check(model, [x], expected=reference(model, x), rtol=1e-4, atol=1e-5, ops=["squeeze", "matmul", "matmul", "stack"])
    spectrum = random(2, 5, 2)
    model = node_model("DFT", [spectrum, count], opset=20, onesided=1, inverse=1)
    check(model, [spectrum], expected=reference(model, spectrum), rtol=1e-4, atol=1e-5)


def test_long_dft_is_exact(random: Random) -> None:
    x = random(1, 1000, 1)
    spectrum = np.fft.fft(x[..., 0].astype(np.float64))
    expected = np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)
    check_node("DFT", [x], opset=20, expected=[expected], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("onesided", [0, 1])
def test_stft(random: Random, onesided: int) -> None:
    signal, window = random(2, 30, 1), np.abs(random(8))
    ops = ["reshape", "conv", "reshape", "transpose"]
    for inputs in (
        [signal, const(3), const(window, np.float32), const(8)],
        [signal, const(4), const(window, np.float32)],
        [signal, const(5), None, const(7)],
    ):
        check_node("STFT", inputs, opset=17, onesided=onesided, rtol=1e-4, atol=1e-5, ops=ops)
    check_node("STFT", [signal, const(3), window, const(8)], opset=17, onesided=onesided, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("parts", "step"), [(1, 256), (1, 300), (2, 1024)])
def test_stft_of_long_frames(random: Random, parts: int, step: int) -> None:
    """Made of short transforms: a filter for each frequency would take megabytes."""
    signal, window = random(2, 3100, parts), np.abs(random(1024))
    starts = range(0, 3100 - 1024 + 1, step)
    frames = np.stack([signal[:, k : k + 1024] for k in starts], axis=1).astype(np.float64) * window[:, None]
    spectra = np.fft.fft(frames[..., 0] + (1j * frames[..., 1] if parts == 2 else 0))
    spectra = spectra if parts == 2 else spectra[..., :513]
    expected = np.stack([spectra.real, spectra.imag], axis=-1).astype(np.float32)
    for given in (const(window, np.float32), window):
        inputs = [signal, const(step), given, const(1024)]
        found = check_node("STFT", inputs, opset=17, onesided=2 - parts, expected=[expected], rtol=0, atol=2e-4)
    stored = sum(op.output.volume or 0 for op in found.graph.operations if op.type == "variable")
    assert stored < 20000


def test_stft_of_a_complex_signal(random: Random) -> None:
    signal = random(1, 12, 2)
    model = node_model("STFT", [signal, const(4), None, const(4)], opset=17, onesided=0)
    frames = (signal[..., 0] + 1j * signal[..., 1]).reshape(1, 3, 4)
    spectrum = np.fft.fft(frames, axis=-1)
    check(model, [signal], expected=[np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)], atol=1e-5)


def times_input(op: str, inputs: Sequence[Const], shape: Sequence[int], **attribs: Any) -> ModelProto:
    """An operator on constants, multiplied by an input, as NNEF has no graphs without inputs."""
    model = node_model(op, inputs, opset=17, **attribs)
    model.graph.node.append(helper.make_node("Mul", ["y0", "x"], ["z"]))
    del model.graph.output[:]
    for values, name in ((model.graph.input, "x"), (model.graph.output, "z")):
        values.append(helper.make_tensor_value_info(name, 1, shape))
    return model


@pytest.mark.parametrize("op", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows_of_constant_size_are_constants(random: Random, op: str, periodic: int) -> None:
    x = random(10)
    model = times_input(op, [const(10)], [10], periodic=periodic)
    check(model, [x], expected=reference(model, x), ops=["mul"], atol=1e-5)


@pytest.mark.parametrize("edges", [(8, 16, 8192, 0.0, 4096.0), (5, 64, 16000, 100.0, 7000.0)])
def test_mel_weight_matrix(random: Random, edges: tuple[int, int, int, float, float]) -> None:
    bins, length, rate, low, high = edges
    inputs = [const(bins), const(length), const(rate), const(low, np.float32), const(high, np.float32)]
    extents = [length // 2 + 1, bins]
    check(times_input("MelWeightMatrix", inputs, extents), [random(*extents)], ops=["mul"])


def test_refusals(random: Random) -> None:
    x = random(2, 8, 2)
    with pytest.raises(ConversionError, match="real signals only"):
        convert(node_model("DFT", [x], opset=20, onesided=1), [x])
    length = np.asarray(4, np.int64)
    with pytest.raises(ConversionError, match=r"'dft_length'.*must be a constant"):
        convert(node_model("DFT", [x, length], opset=20), [x, length])

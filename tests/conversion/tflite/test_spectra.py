"""Spectra and audio front ends of TensorFlow Lite against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.conversion.tflite_to_nnef import Converter
from nnef_tools.model import Graph, Operation, Tensor

from ...support.arrays import random
from ...support.conversions import assert_computes, convert_to_nnef
from ...support.lite_models import Fixed, read_back, run_litert
from .checks import check


def _model(shape: tuple[int, ...], lengths: list[int]) -> Graph:
    """RFFT2D, in another shape, and what is real of it."""
    graph = Graph("main")
    x = Tensor(graph, "x", shape, np.float32)
    half = (*shape[:-2], lengths[0], lengths[1] // 2 + 1)
    flat = (int(np.prod(half)),)
    spectrum, reshaped = Tensor(graph, "z", half, np.complex64), Tensor(graph, "flat", flat, np.complex64)
    constants = [
        Tensor(graph, name, (len(value),), np.int32, np.asarray(value, np.int32))
        for name, value in (("lengths", lengths), ("new", flat))
    ]
    Operation(graph, "RFFT2D", inputs=(x, constants[0]), outputs=(spectrum,))
    Operation(graph, "RESHAPE", inputs=(spectrum, constants[1]), outputs=(reshaped,))
    outputs = []
    for type, source in (("COMPLEX_ABS", reshaped), ("REAL", spectrum), ("IMAG", reshaped)):
        outputs.append(Tensor(graph, type.lower(), source.shape, np.float32))
        Operation(graph, type, inputs=(source,), outputs=(outputs[-1],))
    graph.inputs, graph.outputs = [x], outputs
    return graph


@pytest.mark.parametrize(("shape", "lengths"), [((2, 8, 16), [8, 16]), ((1, 3, 4, 8), [4, 4]), ((1, 12), [1, 16])])
def test_parts_of_a_spectrum(shape: tuple[int, ...], lengths: list[int]) -> None:
    graph, x = _model(shape, lengths), random(*shape)
    result = convert_to_nnef(Converter(), read_back(graph), [x])
    assert_computes(result, run_litert(graph, [x]), ops=None, rtol=1e-5, atol=2e-5)


def test_custom_operators_for_speech() -> None:
    options = {"window_size": 48, "stride": 20, "magnitude_squared": True}
    check("AudioSpectrogram", random(200, 1), custom=True, tolerance=1e-6, **options)
    limits = {"upper_frequency_limit": 4000.0, "lower_frequency_limit": 20.0}
    counts = {"filterbank_channel_count": 12, "dct_coefficient_count": 6}
    spectra = np.square(random(1, 5, 33))
    check("Mfcc", spectra, Fixed(np.int32(16000)), custom=True, tolerance=2e-6, **limits, **counts)

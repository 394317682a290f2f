"""Does a converted model compute what onnxruntime computes of its source?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nnef_tools.pipeline import convert_model

from ..support.arrays import Array
from ..support.nnef_models import run_nnef
from ..support.onnx_models import run_onnx

TOLERANCE = 1e-4
"""Of the largest error of an output, relative to the largest magnitude in it."""


def check(
    model: Path, inputs: Mapping[str, Array], folder: Path, backends: Sequence[str] = ("auto", "torch", "numpy")
) -> None:
    """Converts a model to a folder, runs it from there on the backends, and compares all outputs with onnxruntime's."""
    expected = run_onnx(model, inputs, optimized=False, threads=0)
    target = folder / "model.nnef"
    convert_model(model, target, output_format="nnef", input_shapes={name: x.shape for name, x in inputs.items()})
    for backend in backends:
        results = run_nnef(target, list(inputs.values()), backend=backend)
        for k, (result, wanted) in enumerate(zip(results, expected, strict=True)):
            assert_close(result, wanted, f"{backend}: output {k}")


def assert_close(result: Array, expected: Array, what: str) -> None:
    """Equal shapes, finite values, errors within the tolerance; and an expected value that can tell errors."""
    assert result.shape == expected.shape, what
    a, b = result.astype(np.float64), expected.astype(np.float64)
    assert np.isfinite(b).all() and b.any(), f"{what}: useless reference"
    error, scale = np.abs(a - b).max(), np.abs(b).max()
    assert error <= TOLERANCE * scale, f"{what}: error {error:.3g} at scale {scale:.3g}"

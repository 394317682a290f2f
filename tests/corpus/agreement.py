"""Does a converted model compute what onnxruntime computes of its source?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.execution import make_executor
from nnef_tools.execution.onnxruntime.onnx import open_session, providers
from nnef_tools.pipeline import convert_model

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-4
"""Of the largest error of an output, relative to the largest magnitude in it."""


def check(
    model: Path, inputs: Mapping[str, Array], folder: Path, backends: Sequence[str] = ("auto", "torch", "numpy")
) -> None:
    """Converts a model to a folder, runs it from there on the backends, and compares all outputs with onnxruntime's."""
    expected = run_onnxruntime(model, inputs)
    target = folder / "model.nnef"
    convert_model(model, target, output_format="nnef", input_shapes={name: x.shape for name, x in inputs.items()})
    for backend in backends:
        executor = make_executor(target, backend=backend)
        feeds = {info.name: array for info, array in zip(executor.inputs, inputs.values(), strict=True)}
        results = executor.run(feeds)
        for info, wanted in zip(executor.outputs, expected, strict=True):
            assert_close(results[info.name], wanted, f"{backend}: {info.name}")


def assert_close(result: Array, expected: Array, what: str) -> None:
    """Equal shapes, finite values, errors within the tolerance; and an expected value that can tell errors."""
    assert result.shape == expected.shape, what
    a, b = result.astype(np.float64), expected.astype(np.float64)
    assert np.isfinite(b).all() and b.any(), f"{what}: useless reference"
    error, scale = np.abs(a - b).max(), np.abs(b).max()
    assert error <= TOLERANCE * scale, f"{what}: error {error:.3g} at scale {scale:.3g}"


def run_onnxruntime(model: Path, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of the source model in their order, computed without optimizations."""
    session = open_session(str(model), str(model), optimized=False, providers=providers("cpu"))
    return list(session.run(None, dict(inputs)))

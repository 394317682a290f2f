"""Graphs of TensorFlow are converted without it, and without any package but numpy and ml_dtypes.

What TensorFlow computes of them was recorded by tests/data/tf/generate.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model, run_model
from nnef_tools.io.tf.graphdef import Reader

from ..support.arrays import channels_second
from ..support.tf_examples import FOLDER, recorded

GRAPHS = sorted(FOLDER.glob("*.pb"))
PACKAGES = ("tensorflow", "keras", "google.protobuf", "onnx", "onnxruntime", "torch")


def test_there_are_graphs() -> None:
    assert len(GRAPHS) > 10


@pytest.mark.parametrize("io_transpose", [False, True], ids=["plain", "io-transpose"])
@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_results_are_those_of_tensorflow(path: Path, io_transpose: bool, tmp_path: Path) -> None:
    inputs, expected = recorded(path)
    shapes = {f"input_{k}": array.shape for k, array in enumerate(inputs)}
    target = tmp_path / "model.nnef"
    convert_model(path, target, input_shapes=shapes, io_transpose=io_transpose)
    if io_transpose:
        inputs, expected = [*map(channels_second, inputs)], [*map(channels_second, expected)]
    results = run_model(target, inputs, backend="numpy")
    for result, wanted in zip(results.values(), expected, strict=True):
        assert result.shape == wanted.shape
        assert np.abs(result - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_there_and_back(tmp_path: Path) -> None:
    """A graph that is written and read again is the same."""
    for path in GRAPHS:
        given, expected = recorded(path)
        shapes = {f"input_{k}": array.shape for k, array in enumerate(given)}
        first, second = tmp_path / "first.nnef", tmp_path / "second.nnef"
        convert_model(path, first, input_shapes=shapes)
        convert_model(first, tmp_path / "back.pb")
        convert_model(tmp_path / "back.pb", second)
        assert len(Reader()(tmp_path / "back.pb").outputs) == len(expected)
        for a, b in zip(
            run_model(first, given, backend="numpy").values(),
            run_model(second, given, backend="numpy").values(),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_no_package_is_imported(tmp_path: Path) -> None:
    """None of those that may be installed is even asked for."""
    program = f"""
import sys
for package in {PACKAGES}:
    sys.modules[package] = None
from nnef_tools.cli.main import main
sys.exit(main(["convert", {str(GRAPHS[0])!r}, {str(tmp_path / "model.nnef")!r}, "--shape", "input_0:2,6,9,8,2"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

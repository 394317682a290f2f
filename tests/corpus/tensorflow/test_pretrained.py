"""Pre-trained TensorFlow models compute the same in NNEF, and back in TensorFlow."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.execution import make_executor
from nnef_tools.io.tf.saved_model import freeze_file

from ...support.packages import member
from .agreement import Frozen, check_conversion, freeze

NMP = "basic_pitch/saved_models/icassp_2022/nmp"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    """A SavedModel that Keras 2 has saved with its optimizer, frozen once for all tests."""
    for file in ("variables/variables.data-00000-of-00001", "variables/variables.index"):
        member("basic-pitch", f"{NMP}/{file}")
    folder = member("basic-pitch", f"{NMP}/saved_model.pb").parent
    path = tmp_path_factory.mktemp("notes") / "nmp.pb"
    path.write_bytes(freeze_file(folder)[0])
    audio = 0.1 * np.random.default_rng(0).standard_normal((1, 43844, 1)).astype(np.float32)
    executor = make_executor(path, format="tf")
    assert [info.name for info in executor.inputs] == ["serving_default_input_2:0"]
    inputs = {"serving_default_input_2": audio}
    return Frozen(path, inputs, executor.run(inputs))


@pytest.mark.parametrize("io_transpose", [False, True])
def test_basic_pitch(notes: Frozen, io_transpose: bool, tmp_path: Path) -> None:
    assert list(notes.outputs) == ["contour:0", "note:0", "onset:0"]
    report = check_conversion(notes, tmp_path, io_transpose=io_transpose)
    inside = [place for place in report.transposes or () if "to output" not in place]
    assert len(inside) == 1  # time and pitch change places


def test_optimized_basic_pitch(notes: Frozen, tmp_path: Path) -> None:
    plain = check_conversion(notes, tmp_path)
    report = check_conversion(notes, tmp_path, optimize=True)
    assert sum(report.target.operations.values()) < sum(plain.target.operations.values())


@pytest.mark.parametrize("name, shape", [("PNet", (1, 41, 60, 3)), ("RNet", (3, 24, 24, 3)), ("ONet", (2, 48, 48, 3))])
def test_mtcnn(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    tools = pytest.importorskip("mtcnn.utils.tensorflow", reason="the package builds the networks")
    model = getattr(importlib.import_module(f"mtcnn.network.{name.lower()}"), name)()
    model.build((None, *(shape[1:3] if name != "PNet" else (None, None)), 3))
    model.set_weights(tools.load_weights(f"{name.lower()}.lz4"))
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    frozen = freeze(model, tmp_path / "model.pb", [image], any_batch=True)
    for io_transpose in (False, True):
        report = check_conversion(frozen, tmp_path, io_transpose=io_transpose)
        assert all("from input" in place or "to output" in place for place in report.transposes or ())

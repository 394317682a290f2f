"""Caffe nets are converted and run without Caffe, and without any package but numpy and ml_dtypes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model, run_model

from ..support.caffe_nets import SSD, recorded_net

PACKAGES = ("caffe", "cv2", "google.protobuf", "onnx", "onnxruntime", "tensorflow", "torch")


@pytest.mark.parametrize("name", ["alexnet", "captioner", "unet", "v0"])
def test_results_are_those_of_caffe(name: str, tmp_path: Path) -> None:
    net = recorded_net(name, tmp_path)
    target = tmp_path / "model.nnef"
    convert_model(net.path, target, optimize=True, verify=1)
    results = run_model(target, list(net.inputs.values()), backend="numpy")
    for result, wanted in zip(results.values(), net.outputs.values(), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-5 * float(np.abs(wanted).max()))


def test_no_package_is_imported(tmp_path: Path) -> None:
    net = recorded_net("ssd_few", tmp_path, SSD)
    code = (
        "import sys, nnef_tools;"
        f"nnef_tools.convert_model({str(net.path)!r}, {str(tmp_path / 'model.nnef')!r});"
        f"found = set({PACKAGES!r}) & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])

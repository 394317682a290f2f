"""A trained Caffe net from a package: what Caffe computes of it was recorded by tests/data/caffe/record_nsfw.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model, run_model

from ..support.arrays import Array, assert_agree
from ..support.packages import member

RECORDED = Path(__file__).parents[1] / "data" / "caffe" / "nsfw.npz"
SHAPE = (1, 3, 224, 224)


@pytest.fixture(scope="module")
def net() -> Path:
    member("nsfw", "nsfw/resnet_50_1by2_nsfw.caffemodel")
    return member("nsfw", "nsfw/deploy.prototxt")


def image(k: int) -> Array:
    """The image number k of the recording."""
    place = np.arange(np.prod(SHAPE), dtype=np.float64)
    return (100 * np.sin(place * (0.013 + 0.007 * k)) * np.cos(place / 997)).astype(np.float32).reshape(SHAPE)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize(
    ("suffix", "package"), [(".nnef", "numpy"), (".onnx", "onnxruntime"), (".tflite", "ai_edge_litert")]
)
def test_it_computes_what_caffe_does(net: Path, suffix: str, package: str, optimize: bool, tmp_path: Path) -> None:
    pytest.importorskip(package)
    target = tmp_path / f"model{suffix}"
    names = ["pool", "fc_nsfw", "prob"]
    report = convert_model(net, target, optimize=optimize, output_names=names, keep_io_names=True)
    assert [text for text in report.warnings if "weights are taken" not in text] == []
    recorded = np.load(RECORDED)
    for k in range(3):
        results = run_model(target, [image(k)])
        for name, result in zip(names, results.values(), strict=True):
            expected = recorded[f"{k}/{name}"]
            assert_agree(result.reshape(expected.shape), expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))

"""OpenCV's dnn module as a second opinion on Caffe nets; skipped without a version that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model
from nnef_tools.execution.executor import EngineError

from ..support.arrays import assert_agree
from ..support.caffe_nets import net_names, recorded_net

cv2 = pytest.importorskip("cv2", reason="it runs the nets")
if int(cv2.__version__.partition(".")[0]) >= 5:
    pytest.skip("OpenCV 5 does not read Caffe nets", allow_module_level=True)

DEGENERATE = "pool_max_sparse"
"""A window that lies behind the image: Caffe gives the lowest number there."""


@pytest.mark.parametrize("name", net_names())
def test_it_agrees_with_caffe_or_refuses(name: str, tmp_path: Path) -> None:
    from nnef_tools.execution.opencv import OpenCvExecutor

    net = recorded_net(name, tmp_path)
    try:
        executor = OpenCvExecutor(net.path)
        results = executor.run(net.inputs)
    except EngineError:
        return
    for result, expected in zip(results.values(), net.outputs.values(), strict=True):
        if name != DEGENERATE and result.shape == expected.shape:
            assert_agree(result, expected, rtol=0, atol=1e-4 * max(float(np.abs(expected).max()), 1e-3))


def test_verification_runs_the_source_in_it(tmp_path: Path) -> None:
    net = recorded_net("googlenet", tmp_path)
    verification = convert_model(net.path, tmp_path / "net.nnef", verify=1).verification
    assert verification is not None
    assert "the source ran in opencv" in verification.summary()
    net = recorded_net("lrn_k", tmp_path)
    verification = convert_model(net.path, tmp_path / "net.nnef", verify=1).verification
    assert verification is not None
    assert "opencv does not run this model (OpenCV computes LRN with k otherwise than Caffe)" in verification.summary()

"""Models of a format without a runtime are run as NNEF, under the names of the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools import compare_models, convert_model, run_model
from nnef_tools.errors import UsageError
from nnef_tools.execution.kernels.loading import ModelWarning
from nnef_tools.execution.session import open_executor

from ..support.arrays import assert_agree
from ..support.caffe2_models import recorded
from ..support.caffe_nets import RecordedNet, recorded_net


@pytest.fixture
def net(tmp_path: Path) -> RecordedNet:
    return recorded_net("googlenet", tmp_path)


def test_tensors_have_the_names_of_the_source(net: RecordedNet) -> None:
    executor = open_executor(net.path, backend="numpy")
    assert executor.note == "Caffe has no runtime: run as NNEF"
    assert [info.name for info in executor.inputs] == ["data"]
    assert "inception_3a/pool_proj" in executor.tensor_names
    seen = {}
    results = executor.run(
        net.inputs, output_names=["pool5", "prob"], observe=lambda name, value: seen.update({name: value.shape})
    )
    assert results["pool5"].shape == (1, 12, 1, 1)
    assert_agree(results["prob"], net.outputs["prob"], rtol=1e-5, atol=1e-7)
    assert seen["inception_4a/output"] == (1, 12, 4, 4)
    with pytest.raises(UsageError, match="no tensor 'pool6'"):
        executor.run(net.inputs, output_names=["pool6"])


def test_from_python(net: RecordedNet) -> None:
    weights = net.path.with_suffix(".caffemodel").rename(net.path.with_name("w.bin"))
    results = run_model(net.path, net.inputs, backend="numpy", weights=weights)
    assert_agree(results["prob"], net.outputs["prob"], rtol=1e-5, atol=1e-7)
    target = net.path.with_suffix(".nnef")
    convert_model(net.path, target, weights=weights)
    weights.rename(net.path.with_suffix(".caffemodel"))
    assert compare_models(net.path, target, inputs=net.inputs).ok
    with pytest.raises(UsageError, match="NNEF models have no option weights"):
        run_model(target, net.inputs, weights=weights)


def test_it_warns_of_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""input: "x" input_shape { dim: 1 dim: 4 } input: "label" input_shape { dim: 1 }
    layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "l" }""")
    with pytest.warns(ModelWarning, match="SoftmaxWithLoss"):
        open_executor(path, backend="numpy")


def test_verification_says_what_it_compares(net: RecordedNet) -> None:
    verification = convert_model(net.path, net.path.with_suffix(".nnef"), verify=1).verification
    assert verification is not None
    assert verification.passed
    assert "Caffe has no runtime" in verification.summary()


def test_outputs_that_are_codes_stay_codes(tmp_path: Path) -> None:
    """As NNEF they are real numbers."""
    model = recorded("int8_network")
    source = model.write(tmp_path)
    executor = open_executor(source, backend="numpy")
    assert [(info.name, info.dtype) for info in executor.outputs] == [("r", np.uint8), ("y", np.float32)]
    results = executor.run(model.inputs)
    assert np.abs(results["r"].astype(int) - model.outputs["r"].astype(int)).max() <= 1
    verification = convert_model(source, tmp_path / "model.onnx", verify=1).verification
    assert verification is not None
    assert verification.passed

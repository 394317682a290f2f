"""Tiny nets with all types of layers, and the classic architectures: they compute what Caffe has computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model
from nnef_tools.execution.executor import Executor
from nnef_tools.execution.session import open_executor

from ...support.arrays import Array, assert_agree
from ...support.caffe_nets import RecordedNet, net_names, recorded_net

pytestmark = pytest.mark.filterwarnings("ignore::nnef_tools.execution.kernels.loading.ModelWarning")

CLASSIC = ("alexnet", "captioner", "fcn", "googlenet", "mobilenet_v2", "resnet", "sppnet", "unet", "v0", "v1")


@pytest.fixture(params=net_names())
def net(request: pytest.FixtureRequest, tmp_path: Path) -> RecordedNet:
    return recorded_net(request.param, tmp_path)


def assert_computes(results: Mapping[str, Array], net: RecordedNet) -> None:
    assert len(results) == len(net.outputs)
    for result, expected in zip(results.values(), net.outputs.values(), strict=True):
        assert_agree(result, expected, rtol=0, atol=1e-5 * max(float(np.abs(expected).max()), 1e-3))


def run(executor: Executor, net: RecordedNet) -> dict[str, Array]:
    """Inputs correspond by their order."""
    assert len(executor.inputs) == len(net.inputs)
    given = zip(executor.inputs, net.inputs.values(), strict=True)
    return executor.run({info.name: value for info, value in given})


def test_they_compute_what_caffe_does(net: RecordedNet) -> None:
    assert_computes(run(open_executor(net.path, backend="numpy"), net), net)


def test_so_do_onnx_files(net: RecordedNet) -> None:
    pytest.importorskip("onnxruntime")
    target = net.path.with_suffix(".onnx")
    convert_model(net.path, target)
    assert_computes(run(open_executor(target), net), net)


@pytest.mark.parametrize("name", CLASSIC)
def test_so_do_tensorflow_and_lite_files(name: str, tmp_path: Path) -> None:
    net = recorded_net(name, tmp_path)
    for suffix, package in ((".pb", "tensorflow"), (".tflite", "ai_edge_litert")):
        pytest.importorskip(package)
        target = net.path.with_suffix(suffix)
        convert_model(net.path, target, optimize=True)
        assert_computes(run(open_executor(target), net), net)

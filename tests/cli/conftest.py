"""Fixtures: small ONNX models with seeded weights, and a way to run commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ..support.arrays import Array
from ..support.commands import Run, runner
from .models import conv_nodes, save


@pytest.fixture
def weights() -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {
        "w": rng.uniform(-1, 1, (4, 3, 3, 3)).astype(np.float32),
        "b": rng.uniform(-1, 1, (4,)).astype(np.float32),
    }


@pytest.fixture
def model(tmp_path: Path, weights: dict[str, Array]) -> Path:
    """x [1, 3, 8, 8] -> conv -> relu -> max pool -> y [1, 4, 4, 4]."""
    return save(tmp_path / "net.onnx", conv_nodes(), {"x": [1, 3, 8, 8]}, {"y": [1, 4, 4, 4]}, weights)


@pytest.fixture
def dynamic_model(tmp_path: Path, weights: dict[str, Array]) -> Path:
    """The same with an input of open batch and size."""
    return save(tmp_path / "dynamic.onnx", conv_nodes(), {"x": ["N", 3, "H", "W"]}, {"y": ["N", 4, "h", "w"]}, weights)


@pytest.fixture
def custom_model(tmp_path: Path) -> Path:
    """x [2, 5] -> relu -> three custom operators, two of one type -> y."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="act"),
        helper.make_node("Foo", ["r"], ["f"], name="foo1", domain="com.example", alpha=2.0),
        helper.make_node("Foo", ["f"], ["g"], name="foo2", domain="com.example", alpha=3.0),
        helper.make_node("Bar", ["g"], ["y"], name="bar", domain="com.example"),
    ]
    path = save(tmp_path / "custom.onnx", nodes, {"x": [2, 5]}, {"y": [2, 5]})
    proto = onnx.load(path)
    for name in ("f", "g"):
        proto.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 5]))
    onnx.save(proto, path)
    return path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `nnef-tools` with arguments; gives the status and what it printed on standard output and error."""
    return runner(capfd)

"""Small ONNX models with seeded weights, and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnef_tools.cli.main import main


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any] | None],
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """Writes an ONNX model with float32 inputs and outputs."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def conv_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="act"),
        helper.make_node("MaxPool", ["r"], ["y"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]


@pytest.fixture
def weights() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return {
        "w": rng.uniform(-1, 1, (4, 3, 3, 3)).astype(np.float32),
        "b": rng.uniform(-1, 1, (4,)).astype(np.float32),
    }


@pytest.fixture
def model(tmp_path: Path, weights: dict[str, np.ndarray[Any, Any]]) -> Path:
    """x [1, 3, 8, 8] -> conv -> relu -> max pool -> y [1, 4, 4, 4]."""
    return save(tmp_path / "net.onnx", conv_nodes(), {"x": [1, 3, 8, 8]}, {"y": [1, 4, 4, 4]}, weights)


@pytest.fixture
def dynamic_model(tmp_path: Path, weights: dict[str, np.ndarray[Any, Any]]) -> Path:
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
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `nnef-tools` with arguments; gives the status and what it printed on standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return (status, *capfd.readouterr())

    return run

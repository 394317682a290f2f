"""Small ONNX models in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from ..support.arrays import Array
from ..support.onnx_models import Typed, onnx_model


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any] | Typed | None],
    weights: Mapping[str, Array] | None = None,
) -> Path:
    """Writes an ONNX model with float32 inputs and outputs (unless `Typed`), which may use the domain com.example."""
    infos = {name: Typed("float32") if info is None else info for name, info in outputs.items()}
    onnx.save(onnx_model(nodes, inputs, infos, weights, domains=["com.example"]), path)
    return path


def conv_nodes() -> list[onnx.NodeProto]:
    """Conv with parameters `w` and `b`, Relu, MaxPool: from `x` to `y`."""
    return [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="act"),
        helper.make_node("MaxPool", ["r"], ["y"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]

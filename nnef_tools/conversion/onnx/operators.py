"""The operators of ONNX as methods of the builder; `operators.pyi` declares them one by one."""

from __future__ import annotations

from ..building.target import TargetBuilder


class OnnxOperators(TargetBuilder):
    """`b.Conv(x, w, strides=[2, 2])` is `b.op("Conv", x, w, strides=[2, 2])`."""

"""The operators of TensorFlow as methods of the builder; `operators.pyi` declares them one by one."""

from __future__ import annotations

from ..building.target import TargetBuilder


class TfOperators(TargetBuilder):
    """`b.LRN(x, depth_radius=2)` is `b.op("LRN", x, depth_radius=2)`."""

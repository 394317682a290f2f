"""Frozen TensorFlow graphs in tests/data/tf, with recorded results. Needs numpy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .arrays import Array

FOLDER = Path(__file__).parents[1] / "data" / "tf"


def recorded(graph: Path) -> tuple[list[Array], list[Array]]:
    """The inputs, and what TensorFlow computes of them."""
    with np.load(graph.with_suffix(".npz")) as arrays:
        inputs, outputs = ([arrays[name] for name in sorted(arrays) if name.startswith(what)] for what in ("in", "out"))
    return inputs, outputs

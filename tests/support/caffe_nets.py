"""Tiny nets with what Caffe, or OpenCV, computes of them; the scripts in `tests/data/caffe` have made them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .arrays import Array

_FOLDER = Path(__file__).parents[1] / "data" / "caffe"

CAFFE = "nets"
SSD = "ssd"


@cache
def net_names(kind: str = CAFFE) -> list[str]:
    """The names of all nets of a kind."""
    return sorted(path.stem for path in (_FOLDER / kind).glob("*.npz"))


@dataclass(frozen=True)
class RecordedNet:
    """A net in a folder. outputs: by the names of blobs, in Caffe's order."""

    path: Path
    inputs: dict[str, Array]
    outputs: dict[str, Array]


def recorded_net(name: str, folder: Path, kind: str = CAFFE) -> RecordedNet:
    """Writes the files of a net to a folder."""
    parts: dict[str, dict[str, Array]] = {"in": {}, "out": {}}
    with np.load(_FOLDER / kind / f"{name}.npz") as arrays:
        for key in arrays:
            part, _, blob = key.partition("/")
            if part in parts:
                parts[part][blob] = arrays[key]
            else:
                (folder / f"{name}.{part}").write_bytes(arrays[key].tobytes())
    return RecordedNet(folder / f"{name}.prototxt", parts["in"], dict(sorted(parts["out"].items())))

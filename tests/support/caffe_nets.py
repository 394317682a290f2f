"""Tiny nets with what Caffe, or OpenCV, computes of them; the scripts in `tests/data/caffe` have made them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array

_FOLDER = Path(__file__).parents[1] / "data" / "caffe"

CAFFE = "nets.npz"
SSD = "ssd.npz"


@cache
def _archive(file: str) -> Any:
    return np.load(_FOLDER / file)


def net_names(file: str = CAFFE) -> list[str]:
    """The names of all nets."""
    return sorted({key.partition("/")[0] for key in _archive(file).files})


@dataclass(frozen=True)
class RecordedNet:
    """A net in a folder. outputs: by the names of blobs, in Caffe's order."""

    path: Path
    inputs: dict[str, Array]
    outputs: dict[str, Array]


def recorded_net(name: str, folder: Path, file: str = CAFFE) -> RecordedNet:
    """Writes the files of a net to a folder."""
    archive = _archive(file)
    parts: dict[str, dict[str, Array]] = {"in": {}, "out": {}}
    for key in archive.files:
        net, part, *blob = key.split("/", 2)
        if net == name and part in parts:
            parts[part][blob[0]] = archive[key]
    for suffix in ("prototxt", "caffemodel"):
        if f"{name}/{suffix}" in archive.files:
            (folder / f"{name}.{suffix}").write_bytes(archive[f"{name}/{suffix}"].tobytes())
    return RecordedNet(folder / f"{name}.prototxt", parts["in"], dict(sorted(parts["out"].items())))

"""Caffe2 models, with the outputs that Caffe2 computed (tests/data/caffe2/make_fixtures.py)."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from nnef_tools.io.caffe2.arguments import argument
from nnef_tools.io.caffe2.schema import NET, SCHEMA
from nnef_tools.io.protobuf import encode

from .arrays import Array

_FOLDER = Path(__file__).parent.parent / "data" / "caffe2" / "nets"
FILES = ("predict_net.pb", "init_net.pb", "value_info.json")


@dataclass(frozen=True)
class Recorded:
    """A model as its files, and its inputs and outputs by name.

    steps: name of an output that is codes -> scale, zero point.
    """

    name: str
    files: dict[str, bytes]
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    steps: dict[str, tuple[float, int]]

    def write(self, folder: Path) -> Path:
        """Writes the files to a folder of that name in the given one."""
        target = folder / self.name
        target.mkdir()
        for name, data in self.files.items():
            (target / name).write_bytes(data)
        return target


@cache
def names() -> list[str]:
    """The models that are recorded."""
    return sorted(path.stem for path in _FOLDER.glob("*.zip"))


@cache
def recorded(name: str) -> Recorded:
    """A recorded model."""
    with zipfile.ZipFile(_FOLDER / f"{name}.zip") as archive:
        files = {file: archive.read(file) for file in FILES}
        with np.load(io.BytesIO(archive.read("data.npz"))) as data:
            parts = {key: data[key] for key in data}
    by_kind: dict[str, dict[str, Array]] = {"in": {}, "out": {}, "step": {}}
    for key, array in parts.items():
        kind, _, blob = key.partition(":")
        by_kind[kind][blob] = array
    steps = {blob: (float(step[0]), int(step[1])) for blob, step in by_kind["step"].items()}
    return Recorded(name, files, by_kind["in"], by_kind["out"], steps)


def net_bytes(operators: list[tuple[str, str, str, dict[str, object]]], inputs: str = "x", outputs: str = "y") -> bytes:
    """A net of operators (type, inputs, outputs, arguments), blobs separated by spaces."""
    ops = [
        SCHEMA["OperatorDef"](
            type=type,
            input=sources.split(),
            output=results.split(),
            arg=[argument(key, value) for key, value in arguments.items()],
        )
        for type, sources, results, arguments in operators
    ]
    net = NET(name="net", op=ops, external_input=inputs.split(), external_output=outputs.split())
    return b"".join(bytes(chunk) for chunk in encode(net))

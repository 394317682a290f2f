"""Recorded Caffe2 models, damaged in their bytes, or in what their operators say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.io.caffe2.arguments import argument
from nnef_tools.io.caffe2.schema import NET
from nnef_tools.io.protobuf import Message, decode, encode

from ..support.caffe2_models import FILES, names, recorded
from .mutation import damaged, damaged_json

VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 1 << 20, 1 << 31, -(1 << 40), (1 << 63) - 1),
    *(0.0, -1.0, 1e38, float("inf"), float("nan")),
    *("", "NHWC", "NCHW", "x", b"\xff\xfe"),
    *([], [0], [-1, -1], [1 << 40, 1 << 40], [3, 3, 3], [1] * 40, [1.5], ["a"]),
)


def write_damaged(folder: Path, rng: np.random.Generator) -> Path:
    """Writes a model of which one file is damaged."""
    model = recorded(names()[rng.integers(len(names()))])
    files = dict(model.files)
    name = FILES[rng.integers(len(FILES))]
    if rng.integers(3) and name != "value_info.json":
        files[name] = _structure(files[name], rng)
    elif rng.integers(2) and name == "value_info.json":
        files[name] = damaged_json(json.loads(files[name]) or {"x": [1, [1]]}, rng)
    else:
        files[name] = damaged(files[name], rng)
    folder.mkdir()
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return folder


def _structure(data: bytes, rng: np.random.Generator) -> bytes:
    net = decode(memoryview(data), NET)
    for _ in range(int(rng.integers(1, 4))):
        ops = net.get("op", [])
        if ops:
            CHANGES[rng.integers(len(CHANGES))](net, ops[rng.integers(len(ops))], rng)
    return b"".join(bytes(chunk) if not isinstance(chunk, np.ndarray) else chunk.tobytes() for chunk in encode(net))


def _change_argument(net: Message, op: Message, rng: np.random.Generator) -> None:
    arguments = op.setdefault("arg", [])
    if arguments:
        k = int(rng.integers(len(arguments)))
        arguments[k] = argument(arguments[k]["name"], VALUES[rng.integers(len(VALUES))])


def _add_argument(net: Message, op: Message, rng: np.random.Generator) -> None:
    others = [item["name"] for other in net["op"] for item in other["arg"]] or ["axis"]
    name = others[rng.integers(len(others))]
    op.setdefault("arg", []).append(argument(name, VALUES[rng.integers(len(VALUES))]))


def _drop_argument(net: Message, op: Message, rng: np.random.Generator) -> None:
    if op["arg"]:
        del op["arg"][rng.integers(len(op["arg"]))]


def _change_blob(net: Message, op: Message, rng: np.random.Generator) -> None:
    blobs = [*(blob for other in net["op"] for blob in (*other["input"], *other["output"])), "", "nothing"]
    field = ("input", "output")[rng.integers(2)]
    known = op.setdefault(field, [])
    if known and rng.integers(2):
        known[rng.integers(len(known))] = blobs[rng.integers(len(blobs))]
    elif known and rng.integers(2):
        del known[rng.integers(len(known))]
    else:
        known.append(blobs[rng.integers(len(blobs))])


def _change_type(net: Message, op: Message, rng: np.random.Generator) -> None:
    types = [*(other["type"] for other in net["op"]), *TYPES]
    op["type"] = types[rng.integers(len(types))]


def _drop_operator(net: Message, op: Message, rng: np.random.Generator) -> None:
    net["op"] = [other for other in net["op"] if other is not op]


TYPES = (
    "Conv",
    "MaxPool",
    "Reshape",
    "Concat",
    "Split",
    "Slice",
    "FC",
    "LRN",
    "TopK",
    "Int8Conv",
    "Gather",
    "Tile",
    "",
)
CHANGES = (
    _change_argument,
    _change_argument,
    _add_argument,
    _drop_argument,
    _change_blob,
    _change_type,
    _drop_operator,
)

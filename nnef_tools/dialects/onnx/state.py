"""State in ONNX models, which have none of their own: inputs and outputs that the caller connects from run to run.

The entry `nnef_tools.state` of `metadata_props` tells which these are: a JSON list with an object per variable. `label`
is its name in NNEF, `input` takes its value, `output` gives the next one. Before the first run it has the `dtype`,
`shape` and `value` (a number that fills it) or `data` (the items in row-major order, little-endian, in base64).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...errors import FormatError

METADATA_PROPS = "metadata_props"
"""The key of the properties in the metadata of a graph."""

KEY = "nnef_tools.state"
"""The key in `metadata_props`."""

NEXT = "_next"
"""What follows the label in the name of the output."""

_TYPES = ("float32", "float64", "int64", "bool")


class State(NamedTuple):
    """A variable: its label, the names of its input and output, and its first value."""

    label: str
    input: str
    output: str
    initial: np.ndarray[Any, Any]


def write_states(states: Sequence[State]) -> str:
    """The text of the entry."""
    return json.dumps([{"label": s.label, "input": s.input, "output": s.output, **_written(s.initial)} for s in states])


def read_states(props: Mapping[str, str]) -> list[State]:
    """The states that `metadata_props` describe. FormatError if the entry is damaged."""
    text = props.get(KEY)
    if text is None:
        return []
    try:
        found = [
            State(str(item["label"]), str(item["input"]), str(item["output"]), _read(item)) for item in json.loads(text)
        ]
        for names in ([s.label for s in found], [s.input for s in found], [s.output for s in found]):
            if len(set(names)) < len(names):
                raise ValueError("two states have the same name")
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"the metadata '{KEY}' do not describe states: {error}", hint="remove the entry to use plain inputs"
        ) from error


def _written(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    described = {"dtype": array.dtype.name, "shape": list(array.shape)}
    first = array.reshape(-1)[:1]
    if array.size and np.isfinite(first).all() and np.all(array == first) and not np.signbit(float(first[0])):
        return {**described, "value": first[0].item()}
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {**described, "data": base64.b64encode(raw).decode("ascii")}


def _read(item: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    if item["dtype"] not in _TYPES:
        raise ValueError(f"dtype {item['dtype']!r}")
    dtype, shape = np.dtype(item["dtype"]), [int(extent) for extent in item["shape"]]
    if min(shape, default=1) < 1:
        raise ValueError(f"shape {shape}")
    if "value" in item:
        return np.broadcast_to(np.asarray(item["value"], dtype), shape)
    raw = base64.b64decode(item["data"], validate=True)
    if len(raw) != prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(raw)} bytes for shape {shape}")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)

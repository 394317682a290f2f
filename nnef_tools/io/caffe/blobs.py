"""Blobs as arrays, without a copy of single precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...budget import ask_rank
from ...dialects.caffe.layers import Blob
from ...errors import FormatError
from ..protobuf import Message

Array = np.ndarray[Any, Any]

_LEGACY = ("num", "channels", "height", "width")


def to_array(blob: Message, known: Blob | None) -> Array:
    """The values of a blob, float32. FormatError if they do not fit its shape.

    Files of old versions have four extents for every blob; those before the rank of a known one are dropped.
    """
    if "shape" in blob or not any(name in blob for name in _LEGACY):
        shape = list((blob["shape"] or {}).get("dim", []))
    else:
        shape = [blob[name] for name in _LEGACY]
        rank = 4 if known is None or known.rank is None else known.rank
        while len(shape) > rank and shape[0] == 1:
            del shape[0]
    ask_rank(len(shape), "the blob")
    if any(extent < 0 for extent in shape):
        raise FormatError(f"a blob has a negative extent in its shape {shape}")
    values = blob["data"] if len(blob["data"]) else blob["double_data"]
    count = math.prod(shape)
    if count != len(values):
        raise FormatError(f"a blob of shape {shape} has {len(values):,} values, not {count:,}")
    array: Array = np.asarray(values, np.float32).reshape(shape)
    array.flags.writeable = False
    return array

"""uint64 values as int64 with the same bits, as far as that does not change results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import Unsupported
from ..model.dtypes import nnef_dtype
from ..model.graph import Operation
from .broadcast import Array
from .registry import find


def keeps_bits(operation: str, attribs: Mapping[str, Any]) -> bool:
    """Does the operation only move, join or combine the bits of integers, so that their sign does not matter?"""
    if operation == "cast":
        return nnef_dtype(attribs.get("dtype", np.float32)) != "scalar"
    return find(operation) is not None and operation != "top_k" and attribs.get("reduction") not in ("min", "max")


def as_signed(array: Array, readers: Iterable[Operation]) -> Array:
    """The int64 with the bits of a uint64 array; other arrays as they are.

    Unsupported for values from 2**63 on if an operation that reads them does not keep bits.
    """
    if array.dtype != np.uint64:
        return array
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        for op in readers:
            if not keeps_bits(str(op.type), op.attribs):
                raise Unsupported(f"{op.type} cannot take integers above 2**63 - 1: {int(array.max())}")
    return array.astype(np.int64)

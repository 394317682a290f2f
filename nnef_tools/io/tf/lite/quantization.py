"""The quantization parameters of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....errors import FormatError
from ....model.graph import Tensor
from .flatbuffer import Table

_KEYS = ("min", "max", "scale", "zero_point")
_KINDS = ("", "by custom parameters", "in blocks", "along several dimensions")


def quantization(table: Table | None) -> dict[str, Any]:
    """min, max, scale and zero_point as numbers, or arrays per channel; None where they are absent.

    quantized_dimension: the axis of arrays. Empty if the tensor is not quantized. FormatError.
    """
    if table is None:
        return {}
    kind = table["details_type"]
    if kind:
        how = _KINDS[kind] if kind < len(_KINDS) else f"in an unknown way, {kind}"
        raise FormatError(
            f"it is quantized {how}, which is not supported", hint="quantize the model per tensor or per channel"
        )
    found = {key: _parameter(table[key], np.int64 if key == "zero_point" else np.float32) for key in _KEYS}
    if all(value is None for value in found.values()):
        return {}
    if found["zero_point"] is not None and np.size(found["scale"]) != np.size(found["zero_point"]):
        raise FormatError("it has not as many zero points as scales")
    return {**found, "quantized_dimension": table["quantized_dimension"]}


def quantization_table(tensor: Tensor) -> Table | None:
    """The inverse, for the parameters of a tensor. FormatError if TFLite does not have them."""
    quant: Mapping[str, Any] = tensor.quant or {}
    if not quant:
        return None
    surplus = quant.keys() - {*_KEYS, "quantized_dimension"}
    if surplus:
        raise FormatError(f"tensor '{tensor.name}' is quantized with '{min(surplus)}', which TFLite does not have")
    lists = {key: None if quant.get(key) is None else np.atleast_1d(quant[key]).tolist() for key in _KEYS}
    return {**lists, "quantized_dimension": int(quant.get("quantized_dimension") or 0)}


def _parameter(values: Sequence[Any] | None, dtype: Any) -> Any:
    if not values:
        return None
    return np.asarray(values, dtype) if len(values) > 1 else values[0]

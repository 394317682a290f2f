"""Checks that arrays fit the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import UsageError, shape_text
from ...model import Tensor
from ...model.dtypes import integer_of
from ..executor import Array, TensorInfo


def check_inputs(infos: Sequence[TensorInfo], inputs: Mapping[str, Array]) -> list[Array]:
    """The arrays in the order of the inputs, in their item types. UsageError if they do not fit."""
    try:
        given = [inputs[info.name] for info in infos]
    except KeyError:
        given = []
    if len(given) != len(infos) or len(inputs) != len(infos):
        raise _wrong_names([info.name for info in infos], inputs)
    return [_check_input(info, value) for info, value in zip(infos, given, strict=True)]


def _wrong_names(names: Sequence[str], inputs: Mapping[str, Array]) -> UsageError:
    unknown = [name for name in inputs if name not in names]
    missing = [name for name in names if name not in inputs]
    problem = f"the model has no input {unknown[0]!r}" if unknown else f"input {missing[0]!r} is not given"
    return UsageError(problem, hint=f"the inputs are {', '.join(map(repr, names))}")


def _check_input(info: TensorInfo, array: Array) -> Array:
    array = np.asarray(array)
    if info.shape is not None and not fits(info.shape, array.shape):
        raise UsageError(
            f"input '{info.name}' has values of shape {list(array.shape)}, the model wants {shape_text(info.shape)}"
        )
    if info.dtype is None or (array.dtype.type is info.dtype and array.dtype.isnative):
        return array
    if not np.can_cast(array.dtype, info.dtype, "same_kind"):
        wanted = np.dtype(info.dtype).name
        raise UsageError(f"input '{info.name}' has items of type {array.dtype.name}, the model wants {wanted}")
    refuse_codes(info, array)
    items: Array = array.astype(info.dtype)
    if array.dtype.kind in "iu" and items.dtype.kind in "iu" and not np.array_equal(items, array):
        raise UsageError(f"input '{info.name}' has values that do not fit its item type {items.dtype.name}")
    return items


def fits(expected: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Do the extents equal the expected ones, as far as those are known?"""
    return len(expected) == len(shape) and all(a in (None, b) for a, b in zip(expected, shape, strict=True))


def tensor_info(tensor: Tensor) -> TensorInfo:
    """The name, item type and shape of a tensor of a graph."""
    return TensorInfo(tensor.name or "", tensor.dtype, tensor.shape, _codes(tensor.quant or {}))


def _codes(quant: Mapping[str, Any]) -> type | None:
    """The class of the codes of a quantized tensor, unless they are their own values."""
    bits = quant.get("bits")
    are_values = np.all(np.equal(quant.get("scale", 0), 1)) and not np.any(quant.get("zero_point", 0))
    if bits not in (8, 16) or are_values:
        return None
    return integer_of(bits, signed=bool(quant.get("signed")))


def refuse_codes(info: TensorInfo, array: Array) -> None:
    """UsageError for codes that are given for real numbers: as numbers they would be accepted, and wrong."""
    if info.codes is not None and array.dtype.type is info.codes:
        raise UsageError(
            f"input '{info.name}' takes real numbers, but items of type {array.dtype.name} would be codes of them",
            hint="give (code - zero point) * scale, with the numbers in graph.quant; or real numbers of a float type",
        )

"""Checks that arrays fit the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import UsageError, shape_text
from ...model import Tensor
from ...model.dtypes import integer_of
from ...model.facts import tensor_facts
from ..executor import Array, InterfaceCodes, TensorInfo

_WITH_SIGN = ("zero_point_linear_quantize", "min_max_linear_quantize", "linear_quantize")
"""The quantizations whose codes say all of a value; those of `logarithmic_quantize` lack its sign."""

_MAX_BITS = 32  # integers of 64 bits are what numbers of Python become, so these are not taken for codes


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
    items: Array = array.astype(info.dtype)
    if array.dtype.kind in "iu" and items.dtype.kind in "iu" and not np.array_equal(items, array):
        raise UsageError(f"input '{info.name}' has values that do not fit its item type {items.dtype.name}")
    return items


def fits(expected: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Do the extents equal the expected ones, as far as those are known?"""
    return len(expected) == len(shape) and all(a in (None, b) for a, b in zip(expected, shape, strict=True))


def tensor_info(tensor: Tensor) -> TensorInfo:
    """The name, item type, shape and codes of a tensor of a graph."""
    return TensorInfo(tensor.name or "", tensor.dtype, tensor.shape, interface_codes(tensor))


def interface_codes(tensor: Tensor) -> InterfaceCodes | None:
    """The codes of an input or output of an NNEF graph; None if it is not quantized, or has no integer codes."""
    quant = tensor.quant or {}
    bits = quant.get("bits")
    if quant.get("op-name") not in _WITH_SIGN or not isinstance(bits, int) or not 1 <= bits <= _MAX_BITS:
        return None
    dtype = integer_of(bits, signed=bool(quant.get("signed")))
    metadata = {} if tensor.graph is None else tensor.graph.metadata
    at_source = tensor_facts(metadata).get(tensor.name or "", {}).get("dtype") == dtype.__name__
    return InterfaceCodes(dtype, {key: _plain(value) for key, value in quant.items()}, at_source)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def is_codes(info: TensorInfo, array: Array) -> bool:
    """Are the items of an array codes of a quantized input? They are if they have just the type of its codes."""
    return info.codes is not None and array.dtype.type is info.codes.dtype

"""The values of blobs whose operators have them as arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...budget import ask_constant, ask_rank
from ...dialects.caffe2.types import DATA_TYPES, GIVEN
from ...errors import FormatError
from ..protobuf import Message

Array = np.ndarray[Any, Any]


def filled(op: Message) -> Array | None:
    """The value that an operator without inputs gives to its output, read-only; None if its arguments do not tell.

    FormatError if they do not fit together, LimitError for a constant that is too large.
    """
    if len(op["output"]) != 1 or op["input"]:
        return None
    type = op["type"]
    arguments = {argument["name"]: argument for argument in op["arg"]}
    if type in GIVEN:
        array = _given(arguments, GIVEN[type], f"{type} of '{op['output'][0]}'")
    elif type == "ConstantFill":
        array = _constant(arguments, f"{type} of '{op['output'][0]}'")
    else:
        return None
    array.flags.writeable = False
    return array


def item_class(arguments: Mapping[str, Message], default: Any, where: str) -> Any:
    """The class of items that the argument `dtype` names, or else the default."""
    if "dtype" not in arguments:
        return default
    code = arguments["dtype"]["i"]
    if code not in DATA_TYPES:
        raise FormatError(f"unknown data type {code}", where=where)
    return DATA_TYPES[code]


def _shape(arguments: Mapping[str, Message], where: str) -> tuple[int, ...]:
    dims: list[int] = []
    for name in ("shape", "extra_shape"):
        if name in arguments:
            argument = arguments[name]
            dims += [argument["i"]] if "i" in argument else [int(dim) for dim in argument["ints"]]
    ask_rank(len(dims), where)
    if any(dim < 0 for dim in dims):
        raise FormatError(f"negative extent in shape {dims}", where=where)
    return tuple(dims)


def _given(arguments: Mapping[str, Message], default: Any, where: str) -> Array:
    shape = _shape(arguments, where)
    dtype = item_class(arguments, default, where)
    count = math.prod(shape)
    if "values" not in arguments:
        if count:
            raise FormatError("there are no values", where=where)
        return np.zeros(shape, object if dtype is np.str_ else dtype)
    values = _values(arguments["values"], dtype)
    if len(values) != count:
        raise FormatError(f"{len(values)} values for shape {list(shape)}, which has {count}", where=where)
    return values.reshape(shape)


def _values(argument: Message, dtype: Any) -> Array:
    """The items of the field that a type is kept in."""
    if dtype is np.str_:
        texts = [argument["s"]] if "s" in argument else argument["strings"]
        array = np.empty(len(texts), object)
        array[:] = [str(bytes(text), "utf-8", "replace") for text in texts]
        return array
    if dtype is np.uint8 and "s" in argument:
        return np.frombuffer(argument["s"], np.uint8)
    if dtype is np.uint8 and argument["strings"]:
        return np.concatenate([np.frombuffer(text, np.uint8) for text in argument["strings"]])
    single, several = ("f", "floats") if np.dtype(dtype).kind == "f" else ("i", "ints")
    found = np.asarray([argument[single]] if single in argument else argument[several])
    return found.astype(dtype) if found.dtype != dtype else found


def _constant(arguments: Mapping[str, Message], where: str) -> Array:
    shape = _shape(arguments, where)
    ask_constant(math.prod(shape), where)
    value, default = _single(arguments, where)
    dtype = item_class(arguments, default, where)
    if dtype is np.str_ or isinstance(value, str):
        raise FormatError("constants of strings are not supported", where=where)
    try:
        return np.full(shape, value, dtype)
    except (OverflowError, ValueError) as error:
        raise FormatError(f"the value {value} has no form in {dtype.__name__}", where=where) from error


def _single(arguments: Mapping[str, Message], where: str) -> tuple[Any, Any]:
    """The argument `value`, and the class that it has by itself."""
    if "value" not in arguments:
        return 0, np.float32
    argument = arguments["value"]
    if "f" in argument:
        return argument["f"], np.float32
    if "i" in argument:
        return argument["i"], np.int64
    if "s" in argument:
        return str(bytes(argument["s"]), "utf-8", "replace"), np.str_
    raise FormatError("the value is not a single number", where=where)

"""Types and shapes of the values of an ONNX graph: declared, and given by the user."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import UsageError
from ..protobuf import Message
from .schema import SCHEMA
from .tensors import element_class

Shape = tuple[int | None, ...]


def declared_types(graph: Message) -> dict[str, tuple[type | None, Shape | None]]:
    """Name -> numpy scalar class and shape, for the values that a graph declares.

    Both are None for sequences, maps and optionals.
    """
    return {value["name"]: _value_type(value.get("type", {})) for value in _values(graph) if value["name"]}


def _values(graph: Message) -> Iterator[Message]:
    """Declarations; of those of the same name the last one counts."""
    for field in ("value_info", "output", "input"):
        yield from graph[field]


def _value_type(type: Mapping[str, Any]) -> tuple[type | None, Shape | None]:
    tensor = type.get("sparse_tensor_type") or type.get("tensor_type")
    if tensor is None:
        return None, None
    return element_class(tensor["elem_type"]), _shape(tensor["shape"]) if "shape" in tensor else None


def _shape(shape: Message) -> Shape:
    dims = [dim.get("dim_value") for dim in shape["dim"]]
    return tuple([None if dim is None or dim < 0 else dim for dim in dims])


def _dims(value: Message) -> list[Message]:
    """The dimensions of the shape that is declared for a tensor; none for other values."""
    dims: list[Message] = value.get("type", {}).get("tensor_type", {}).get("shape", {}).get("dim", [])
    return dims


def symbols(graph: Message) -> dict[str, list[int | str | None]]:
    """Tensor name -> extents, for each declared shape in which an extent has a name."""
    found: dict[str, list[int | str | None]] = {}
    for field in ("input", "value_info", "output"):
        for value in graph[field]:
            dims = _dims(value)
            if any("dim_param" in dim and dim["dim_param"] for dim in dims):
                extents = _shape(value["type"]["tensor_type"]["shape"])
                found[value["name"]] = [dim["dim_param"] or extent for dim, extent in zip(dims, extents, strict=True)]
    return found


def set_input_shapes(graph: Message, shapes: Mapping[str, Sequence[Any]]) -> bool:
    """Gives extents to the inputs of a graph, in place. Does any replace another one?

    shapes: input name -> an int for each extent, or None to leave it as it is. A named extent that gets a value gets it
    wherever the model declares it, unless values contradict each other. Where an extent that was fixed is replaced, all
    extents that the model declares for other values are forgotten. Raises UsageError for a name that is not an input
    and for a rank that does not fit.
    """
    initializers = {tensor["name"] for tensor in graph["initializer"]}
    inputs = {value["name"]: value for value in graph["input"] if value["name"] not in initializers}
    bound: dict[str, set[int]] = {}
    replaced = False
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(
                f"input shape given for '{name}', which is not an input of the model",
                hint=f"the inputs are: {', '.join(inputs) or 'none'}",
            )
        tensor = inputs[name].get("type", {}).get("tensor_type")
        if tensor is None:
            raise UsageError(f"input shape given for '{name}', which is not a tensor")
        before = _shape(tensor["shape"]) if "shape" in tensor else None
        extents = _extents(name, shape)
        _set_shape(name, tensor, extents, bound)
        pairs = zip(extents, before or extents, strict=True)
        replaced |= any(new is not None and old not in (None, new) for new, old in pairs)
    if replaced:
        _forget_shapes(graph, {"value_info", "output"})
    for value in _values(graph):
        for dim in _dims(value):
            values = bound.get(dim["dim_param"], set())
            if dim["dim_param"] and len(values) == 1:
                dim["dim_value"] = next(iter(values))
    return replaced


def _forget_shapes(graph: Message, fields: Iterable[str]) -> None:
    """Drops the numbers in the shapes of these fields of a graph, and in all of the graphs nested in it."""
    for field in fields:
        for value in graph[field]:
            for dim in _dims(value):
                dim.pop("dim_value", None)
    for node in graph["node"]:
        for attribute in node["attribute"]:
            for inner in [*([attribute["g"]] if "g" in attribute else []), *attribute["graphs"]]:
                _forget_shapes(inner, ("value_info", "output", "input"))


def _extents(name: str, shape: Sequence[Any]) -> list[int | None]:
    try:
        extents = [None if extent is None else operator.index(extent) for extent in shape]
    except TypeError as error:
        raise UsageError(f"shape {shape!r} of input '{name}' is not a sequence of integers") from error
    if any(extent is not None and not 0 <= extent < 1 << 63 for extent in extents):
        raise UsageError(f"shape {shape!r} of input '{name}' has an extent out of range")
    return extents


def _set_shape(name: str, tensor: Message, extents: list[int | None], bound: dict[str, set[int]]) -> None:
    if "shape" not in tensor:
        dim = SCHEMA["TensorShapeProto.Dimension"]
        tensor["shape"] = SCHEMA["TensorShapeProto"](dim=[dim() for _ in extents])
    declared = _shape(tensor["shape"])
    if len(declared) != len(extents):
        raise UsageError(
            f"input '{name}' has rank {len(declared)}, but the given shape {extents} has rank {len(extents)}"
        )
    for dim, extent in zip(tensor["shape"]["dim"], extents, strict=True):
        if extent is None:
            continue
        if dim["dim_param"]:
            bound.setdefault(dim["dim_param"], set()).add(extent)
        dim["dim_value"] = extent

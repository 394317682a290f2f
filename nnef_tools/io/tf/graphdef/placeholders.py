"""Placeholders that become constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....errors import FormatError
from ...input_values import Array, Values, check_names, input_value
from ...protobuf import Message, decode, encode
from .attributes import attribute_message, attribute_values
from .build import UNKNOWN_SHAPE_PRODUCER
from .resolve import INPUTS
from .schema import SCHEMA
from .tensors import tensor_message


def set_placeholders(message: Message, values: Values, shapes: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    """Gives placeholders of a GraphDef a value, in place; returns name -> array. shapes: given for some of them.

    A placeholder with a default may be set, too. UsageError for unknown names and for values that do not fit.
    """
    able = (*INPUTS, "PlaceholderWithDefault")
    nodes = {str(node["name"]): node for node in message["node"] if node["op"] in able}
    check_names(values, list(nodes))
    versions = message["versions"]
    is_old = (versions["producer"] if versions is not None else message["version"]) < UNKNOWN_SHAPE_PRODUCER
    found = {}
    for name, value in values.items():
        node = nodes[name]
        attribs = attribute_values(node["attr"])
        dtype = attribs.get("dtype")
        if not isinstance(dtype, type):
            raise FormatError("the placeholder has no type", where=f"{node['op']} '{name}'")
        shape = shapes.get(name, _shape(attribs, is_old=is_old))
        array = found[name] = input_value(name, value, dtype, shape)
        node.update(op="Const", input=[])
        tensor = decode(memoryview(b"".join(map(bytes, encode(tensor_message(array, dtype))))), SCHEMA["TensorProto"])
        node["attr"] = {"dtype": attribute_message(dtype), "value": SCHEMA["AttrValue"](tensor=tensor)}
    return found


def _shape(attribs: Mapping[str, Any], *, is_old: bool) -> Sequence[int | None] | None:
    """The shape of a placeholder, as far as it is known."""
    shapes = attribs.get("_output_shapes")
    shape = shapes[0] if isinstance(shapes, list) and shapes else attribs.get("shape")
    return None if not isinstance(shape, tuple) or (is_old and not shape) else shape

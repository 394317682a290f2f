"""The messages of Caffe's files; `schema.txt` has the facts."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ..protobuf import MessageType, Schema

FIRST_PARAMETER = 100
"""The number from which on the fields of a layer are parameters of certain types of layers."""

GENERAL = frozenset(("transform_param", "loss_param"))
"""Parameters that many types of layers have."""


@cache
def schema() -> Schema:
    """All messages."""
    text = files(__package__).joinpath("schema.txt").read_text("utf-8")
    lines = [line for line in text.replace(",\n ", ", ").splitlines() if not line.startswith("#")]
    enums = {}
    for line in lines:
        if line.startswith("enum "):
            name, _, values = line.removeprefix("enum ").partition(": ")
            pairs = (item.split("=") for item in values.split(", "))
            enums[name] = {value: int(number) for value, number in pairs}
    return Schema("\n".join(line for line in lines if not line.startswith("enum ")), enums)


@cache
def plain_layer() -> MessageType:
    """A layer without the parameters of its type."""
    result = MessageType("LayerParameter")
    for field in schema()["LayerParameter"].by_number.values():
        if field.number < FIRST_PARAMETER or field.name in GENERAL:
            result.add(field)
    return result

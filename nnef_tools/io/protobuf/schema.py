"""Message types described in a few lines of text, and messages of these types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .wire import BYTES, FIXED32, FIXED64, VARINT

WIRES: Mapping[str, int] = {"float": FIXED32, "double": FIXED64, "string": BYTES, "bytes": BYTES, "message": BYTES}
"""Kind of a field -> wire type; VARINT for all others."""

# Kinds of numbers -> the numpy type of repeated values. Enumerations are int32 on the wire.
NUMBERS: Mapping[str, type] = {
    "int32": np.int32,
    "int64": np.int64,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
    "float": np.float32,
    "double": np.float64,
}
_DEFAULTS: Mapping[str, Any] = {"float": 0.0, "double": 0.0, "bool": False, "string": "", "bytes": b""}


@dataclass(frozen=True, eq=False)
class Field:
    """kind: a key of `NUMBERS`, 'string', 'bytes', 'enum' or 'message'. message, values: of messages and enumerations.

    is_map: a map, whose entries are messages with the fields `key` and `value`. is_list: repeated numbers are a list,
    not an array: most of such fields have a few items.
    """

    number: int
    name: str
    kind: str
    repeated: bool = False
    is_map: bool = False
    message: MessageType | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    is_list: bool = False

    @property
    def item_type(self) -> type | None:
        """The numpy type of a repeated number, None for other fields."""
        return np.int32 if self.kind == "enum" else NUMBERS.get(self.kind)

    @property
    def default(self) -> Any:
        """What a message has that does not set the field; None for a message."""
        if self.is_map:
            return {}
        if self.repeated:
            return () if self.item_type is None or self.is_list else np.empty(0, self.item_type)
        return None if self.kind == "message" else _DEFAULTS.get(self.kind, 0)


@dataclass(eq=False)
class MessageType:
    """The fields of a kind of messages, by number, by name, and by the tags that may precede their values.

    by_tag: field, its name, its kind (or 'packed') and how values are kept: 'one', 'list', 'numbers' or 'map'.
    """

    name: str
    by_number: dict[int, Field] = field(default_factory=dict)
    by_name: dict[str, Field] = field(default_factory=dict)
    by_tag: dict[int, tuple[Field, str, str, str]] = field(default_factory=dict)

    def add(self, field: Field) -> None:
        """Adds a field. Repeated numbers may come one by one or packed."""
        self.by_number[field.number] = self.by_name[field.name] = field
        form = (
            "map" if field.is_map else "one" if not field.repeated else "list" if field.item_type is None else "numbers"
        )
        self.by_tag[field.number << 3 | WIRES.get(field.kind, VARINT)] = (field, field.name, field.kind, form)
        if form == "numbers":
            self.by_tag[field.number << 3 | BYTES] = (field, field.name, "packed", form)

    def __call__(self, **values: Any) -> Message:
        """A new message."""
        return Message(self, values)


class Message(dict[str, Any]):
    """A message: the fields that are set, by name; `message[name]` of another one is its default.

    Values: int, float, bool, str; for `bytes` a memoryview, bytes or array; messages; lists of those; arrays (or lists)
    for repeated numbers; dicts for maps.
    """

    __slots__ = ("type",)

    def __init__(self, type: MessageType, values: Mapping[str, Any] | None = None) -> None:
        if values:  # files have many messages, which are made empty
            self.update(values)
        self.type = type

    def __missing__(self, name: str) -> Any:
        return self.type.by_name[name].default


class Schema:
    """Message types, each a line `Name: number name kind, ...`; the next lines may continue it if they are indented.

    kind: a scalar of protobuf, an enumeration of `enums` or another message type; `kind*` is repeated, `kind+` too,
    with numbers in a list and not in an array, and `map<key,kind>` is a map.
    """

    def __init__(self, text: str, enums: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self._enums = enums or {}
        lines = text.strip().replace("\n ", " ").splitlines()
        entries = dict(line.split(":", 1) for line in lines if line.strip())
        self._types = {name: MessageType(name) for name in entries}
        for name, body in entries.items():
            for entry in body.split(", "):
                number, field_name, kind = entry.split()
                self._add(self._types[name], int(number), field_name, kind)

    def __getitem__(self, name: str) -> MessageType:
        return self._types[name]

    def _add(self, owner: MessageType, number: int, name: str, kind: str) -> None:
        if kind.startswith("map<"):
            key, _, value = kind[4:-1].partition(",")
            entry = MessageType(f"{owner.name}.{name}")
            self._add(entry, 1, "key", key)
            self._add(entry, 2, "value", value)
            result = Field(number, name, "message", repeated=True, is_map=True, message=entry)
        else:
            base = kind.rstrip("*+")
            repeated = base != kind
            if base in self._enums:
                result = Field(number, name, "enum", repeated, values=self._enums[base])
            elif base in self._types:
                result = Field(number, name, "message", repeated, message=self._types[base])
            else:
                assert base in NUMBERS or base in ("string", "bytes"), f"unknown kind '{kind}'"
                result = Field(number, name, base, repeated, is_list=kind[-1] == "+")
        owner.add(result)

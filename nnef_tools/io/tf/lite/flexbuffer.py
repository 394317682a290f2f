"""The options of custom operators: FlexBuffers, maps of names to values without a schema.

A value is stored in 1, 2, 4 or 8 bytes: a number itself, or the distance back to what begins earlier. A vector has its
length before its items, and their types behind them; a map also has, before its length, the vector of its keys. The
last two bytes of a buffer are type and width of the root, which is before them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ....errors import FormatError
from .budget import Budget

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING, _INDIRECT_INT, _INDIRECT_UINT, _INDIRECT_FLOAT, _MAP, _VECTOR = range(11)
_VECTOR_INT, _VECTOR_STRING, _VECTOR_INT2, _BLOB, _BOOL, _VECTOR_BOOL = 11, 15, 16, 25, 26, 36

_WIDTHS = (1, 2, 4, 8)
_CODES = {_INT: "bhiq", _UINT: "BHIQ", _FLOAT: " efd", _BOOL: "BHIQ"}
_MAX_DEPTH = 32
_MAX_INT = (1 << 63) - 1


def decode_map(raw: bytes) -> dict[str, Any] | None:
    """The items of a map, without those whose names begin with `_`; None if the bytes are no such map.

    Values are None, bool, int, float, str, bytes, lists and dicts of these.
    """
    try:
        found = _Decoder(raw).root()
    except (FormatError, struct.error, ValueError):  # the options are of another kind
        return None
    if not isinstance(found, dict):
        return None
    return {key: value for key, value in found.items() if not key.startswith("_")}


class _Decoder:
    """Reads from any bytes; every position is checked, and the work is bounded by their number."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._budget = Budget(len(raw))

    def root(self) -> Any:
        width = self._raw[-1] if self._raw else 0
        if width not in _WIDTHS:
            raise FormatError("no FlexBuffer")
        return self._value(len(self._raw) - 2 - width, width, self._number(len(self._raw) - 2, _UINT, 1), 0)

    def _number(self, position: int, type: int, width: int) -> Any:
        code = _CODES[type][_WIDTHS.index(width)]
        if position < 0 or code == " ":
            raise FormatError("damaged FlexBuffer")
        value = struct.unpack_from(f"<{code}", self._raw, position)[0]
        return bool(value) if type == _BOOL else value

    def _target(self, position: int, width: int) -> int:
        return position - int(self._number(position, _UINT, width))

    def _value(self, position: int, parent: int, packed: int, depth: int) -> Any:
        """The value at a position. parent: its width. packed: its type, and the width of what it refers to."""
        self._budget.spend(1)
        type, width = packed >> 2, _WIDTHS[packed & 3]
        if type == _NULL:
            return None
        if type in _CODES:
            return self._number(position, type, parent)
        start = self._target(position, parent)
        if type == _KEY:
            return self._key(start)
        if _INDIRECT_INT <= type <= _INDIRECT_FLOAT:
            return self._number(start, type - _INDIRECT_INT + _INT, width)
        if type in (_STRING, _BLOB):
            content = self._bytes(start, int(self._number(start - width, _UINT, width)))
            return content if type == _BLOB else content.decode("utf-8")
        if depth == _MAX_DEPTH:
            raise FormatError("a FlexBuffer is nested too deeply")
        return self._container(start, type, width, depth + 1)

    def _container(self, start: int, type: int, width: int, depth: int) -> Any:
        if type == _MAP:
            place = start - 3 * width
            names = self._items(self._target(place, width), _KEY, int(self._number(place + width, _UINT, width)), depth)
            return dict(zip(names, self._items(start, None, width, depth), strict=True))
        if type == _VECTOR:
            return self._items(start, None, width, depth)
        if _VECTOR_INT <= type < _VECTOR_STRING:
            return self._items(start, type - _VECTOR_INT + _INT, width, depth)
        if type in (_VECTOR_STRING, _VECTOR_BOOL):
            return self._items(start, _STRING if type == _VECTOR_STRING else _BOOL, width, depth)
        if _VECTOR_INT2 <= type < _BLOB:
            extra, item = divmod(type - _VECTOR_INT2, 3)
            return self._items(start, item + _INT, width, depth, count=extra + 2)
        raise FormatError(f"{type} is no type of FlexBuffers")

    def _items(self, start: int, type: int | None, width: int, depth: int, count: int | None = None) -> list[Any]:
        """The items of a vector. type: of all of them; None if each has its own. count: None if it is stored."""
        if count is None:
            count = int(self._number(start - width, _UINT, width))
        self._bytes(start, count * width)
        types = self._bytes(start + count * width, count) if type is None else bytes([type << 2]) * count
        return [self._value(start + k * width, width, types[k], depth) for k in range(count)]

    def _bytes(self, start: int, count: int) -> bytes:
        if not 0 <= start <= len(self._raw) - count:
            raise FormatError("damaged FlexBuffer")
        self._budget.spend(count)
        return self._raw[start : start + count]

    def _key(self, start: int) -> str:
        if start < 0:
            raise FormatError("damaged FlexBuffer")
        content = self._raw[start : self._raw.index(b"\0", start)]
        self._budget.spend(len(content))
        return content.decode("utf-8")


def encode_map(items: Mapping[str, Any]) -> bytes:
    """The inverse. ValueError or TypeError if a value has no place in FlexBuffers."""
    encoder = _Encoder()
    return encoder.finished(encoder.stored(items))


class _Stored(NamedTuple):
    """A value: a number, or what was written at a position, with its own width."""

    type: int
    number: Any = 0
    position: int | None = None
    width: int = 1


class _Encoder:
    def __init__(self) -> None:
        self._out = bytearray()
        self._keys: dict[str, _Stored] = {}

    def stored(self, value: Any) -> _Stored:
        """Writes a value, unless it is a number."""
        if value is None:
            return _Stored(_NULL)
        if isinstance(value, bool):
            return _Stored(_BOOL, value)
        if isinstance(value, int):
            return _Stored(_UINT if value > _MAX_INT else _INT, value)
        if isinstance(value, float):
            return _Stored(_FLOAT, value)
        if isinstance(value, (str, bytes)):
            return self._text(value)
        if isinstance(value, Mapping):
            pairs = sorted((_name(key), item) for key, item in value.items())
            keys = self._vector([self._key(key) for key, _ in pairs], _KEY)
            return self._vector([self.stored(item) for _, item in pairs], None, keys)
        if isinstance(value, (list, tuple)):
            return self._vector([self.stored(item) for item in value], None)
        raise TypeError(f"a value of type {type(value).__name__}")

    def _text(self, value: str | bytes) -> _Stored:
        content = value.encode() if isinstance(value, str) else value
        width = _fitting(_UINT, len(content))
        self._append(_UINT, len(content), width)
        position = len(self._out)
        self._out += content if isinstance(value, bytes) else content + b"\0"
        return _Stored(_STRING if isinstance(value, str) else _BLOB, 0, position, width)

    def _key(self, name: str) -> _Stored:
        if name not in self._keys:
            self._keys[name] = _Stored(_KEY, 0, len(self._out))
            self._out += name.encode() + b"\0"
        return self._keys[name]

    def _vector(self, items: Sequence[_Stored], type: int | None, keys: _Stored | None = None) -> _Stored:
        """A vector. type: of all items; None to store that of each. keys: makes it a map."""
        head = 1 if keys is None else 3
        least = max((_fitting(item.type, item.number) for item in items if item.position is None), default=1)
        for width in _WIDTHS[_WIDTHS.index(max(least, _fitting(_UINT, len(items)))) :]:
            start = -(-len(self._out) // width) * width + head * width
            farthest = [start + k * width - item.position for k, item in enumerate(items) if item.position is not None]
            if keys is None or keys.position is None:
                farthest += [0]
            else:
                farthest += [start - 3 * width - keys.position]
            if max(farthest) < 1 << 8 * width:
                break
        self._out += bytes(-len(self._out) % width)
        if keys is not None:
            self._put(keys, width)
            self._append(_UINT, keys.width, width)
        self._append(_UINT, len(items), width)
        for item in items:
            self._put(item, width)
        if type is None:
            self._out += bytes(_packed(item, width) for item in items)
        kind = _VECTOR_INT + _KEY - _INT if type == _KEY else _VECTOR if keys is None else _MAP
        return _Stored(kind, 0, start, width)

    def _put(self, item: _Stored, width: int) -> None:
        if item.position is None:
            self._append(item.type if item.type in _CODES else _UINT, item.number, width)
        else:
            self._append(_UINT, len(self._out) - item.position, width)

    def _append(self, type: int, number: Any, width: int) -> None:
        self._out += struct.pack(f"<{_CODES[type][_WIDTHS.index(width)]}", number)

    def finished(self, root: _Stored) -> bytes:
        assert root.position is not None
        width = next(width for width in _WIDTHS if len(self._out) + width - root.position < 1 << 8 * width)
        self._out += bytes(-len(self._out) % width)
        self._put(root, width)
        self._out += bytes((_packed(root, width), width))
        return bytes(self._out)


def _packed(item: _Stored, parent: int) -> int:
    """The type of an item, and its width: that of the vector that has it, for a number."""
    return item.type << 2 | _WIDTHS.index(parent if item.position is None else item.width)


def _fitting(type: int, number: Any) -> int:
    """The least width of a number. ValueError if it has none."""
    if type not in _CODES:
        return 1
    for width, code in zip(_WIDTHS, _CODES[type], strict=True):
        if type == _FLOAT and width < 4:  # readers may not have numbers of 2 bytes
            continue
        try:
            if type != _FLOAT or struct.unpack(f"<{code}", struct.pack(f"<{code}", number))[0] == number:
                struct.pack(f"<{code}", number)
                return width
        except (struct.error, OverflowError):
            continue
    if type == _FLOAT:  # NaN
        return 4
    raise ValueError(f"{number} is beyond 64 bits")


def _name(key: Any) -> str:
    if not isinstance(key, str) or "\0" in key:
        raise TypeError(f"a name {key!r}")
    return key

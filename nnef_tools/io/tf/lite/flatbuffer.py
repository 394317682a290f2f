"""FlatBuffers by schema: tables as dicts, with every field of the schema, and absent ones at their default.

Nothing that a file says is trusted: every offset and length is checked before it is used, and the work is bounded by
the size of the file, although parts of it may refer to the same place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from ....dialects.tflite.schema import ENUM_NUMBER, NUMBERS, Field, Schema
from ....errors import FormatError
from .budget import Budget

Table = dict[str, Any]
Bytes = Union[bytes, memoryview]

_STRUCTS = {type: struct.Struct(f"<{code}") for type, code in NUMBERS.items()}
_U16, _U32, _I32 = _STRUCTS["uint16"], _STRUCTS["uint32"], _STRUCTS["int32"]
_IDENTIFIER = slice(4, 8)
_BLOB_ALIGNMENT = 16


# reading


def decode(data: memoryview, schema: Schema, root: str, identifier: bytes) -> Table:
    """The root table of a FlatBuffer. FormatError if it is damaged.

    Numbers, strings (bytes that are no UTF-8 as surrogates) and the names of enums are Python values; vectors are
    lists, those of bytes arrays of uint8 on the memory of the file. Absent vectors, strings and tables are None.
    """
    if len(data) < 8 or bytes(data[_IDENTIFIER]) != identifier:
        raise FormatError(f"the file does not begin as {identifier.decode()} files do")
    decoder = _Decoder(data, schema)
    return decoder.table(decoder.reference(0), root)


class _Decoder:
    def __init__(self, data: memoryview, schema: Schema) -> None:
        self._data = data
        self._schema = schema
        self._tables: dict[tuple[int, str], Table] = {}
        self._budget = Budget(len(data))

    def reference(self, position: int) -> int:
        """The position that the offset at a position leads to."""
        return position + int(self._number(position, "uint32"))

    def table(self, position: int, name: str) -> Table:
        """The table at a position; one object if several places refer to it."""
        key = position, name
        if key not in self._tables:
            self._tables[key] = self._read(position, name)
        return self._tables[key]

    def _read(self, position: int, name: str) -> Table:
        start = position - int(self._number(position, "int32"))
        length, size = int(self._number(start, "uint16")), int(self._number(start + 2, "uint16"))
        self._check(start, length)
        self._check(position, size)
        fields = self._schema.tables[name]
        self._budget.spend(len(fields))
        values: Table = {}
        for field in fields:
            place = start + 4 + 2 * field.slot
            offset = int(self._number(place, "uint16")) if place + 2 <= start + length else 0
            if not offset:
                values[field.name] = field.default
                continue
            if offset + self._width(field) > size:
                raise self._damaged(position, f"field '{field.name}' is outside of its table")
            values[field.name] = self._value(position + offset, field, values)
        return values

    def _width(self, field: Field) -> int:
        if field.is_vector or field.type not in NUMBERS:
            return 1 if not field.is_vector and field.type in self._schema.enums else 4
        return _STRUCTS[field.type].size

    def _value(self, position: int, field: Field, values: Table) -> Any:
        if field.is_vector:
            return self._vector(self.reference(position), field.type)
        if field.type in NUMBERS:
            return self._number(position, field.type)
        if field.type in self._schema.enums:
            return self._enum(position, field)
        if field.type == "string":
            return self._string(self.reference(position))
        if field.type in self._schema.unions:
            kinds, number = self._schema.unions[field.type], values[f"{field.name}_type"]
            if not 0 < number < len(kinds):  # none, or one of a later version
                return None
            return self.table(self.reference(position), kinds[number])
        return self.table(self.reference(position), field.type)

    def _enum(self, position: int, field: Field) -> str:
        names, number = self._schema.enums[field.type], int(self._number(position, ENUM_NUMBER))
        if not 0 <= number < len(names):
            raise self._damaged(position, f"{number} is no value of {field.type}")
        return names[number]

    def _string(self, position: int) -> str:
        start, length = self._extent(position, 1)
        self._budget.spend(length)
        return bytes(self._data[start : start + length]).decode("utf-8", "surrogateescape")

    def _vector(self, position: int, type: str) -> Any:
        start, count = self._extent(position, _STRUCTS[type].size if type in NUMBERS else 4)
        if type == "uint8":
            return np.frombuffer(self._data, np.uint8, count, start)
        self._budget.spend(count)
        if type in NUMBERS:
            return list(struct.unpack_from(f"<{count}{NUMBERS[type]}", self._data, start))
        read = self._string if type == "string" else lambda place: self.table(place, type)
        return [read(self.reference(start + 4 * k)) for k in range(count)]

    def _extent(self, position: int, width: int) -> tuple[int, int]:
        """The position of the first item of a vector, and the number of items."""
        count = int(self._number(position, "uint32"))
        self._check(position + 4, count * width)
        return position + 4, count

    def _number(self, position: int, type: str) -> Any:
        form = _STRUCTS[type]
        if not 0 <= position <= len(self._data) - form.size:
            raise self._damaged(position, "an offset leads out of the file")
        return form.unpack_from(self._data, position)[0]

    def _check(self, position: int, length: int) -> None:
        if not 0 <= position <= len(self._data) - length:
            raise self._damaged(position, f"{length} bytes from there are outside of the file")

    def _damaged(self, position: int, what: str) -> FormatError:
        return FormatError(f"the file is damaged: {what}", where=f"byte {position}")


# writing


class Blob(Protocol):
    """Bytes that are written after everything else."""

    @property
    def nbytes(self) -> int: ...

    def write(self, stream: BinaryIO) -> object: ...


class Encoded:
    """A FlatBuffer: `head`, which has all tables, and the blobs that follow it. size: in bytes."""

    def __init__(self, head: bytes, blobs: Sequence[tuple[int, Blob]], size: int) -> None:
        self._head = head
        self._blobs = blobs
        self.size = size

    def write(self, stream: BinaryIO) -> None:
        """Writes it to a stream."""
        stream.write(self._head)
        end = len(self._head)
        for position, blob in self._blobs:
            stream.write(bytes(position - 4 - end) + _U32.pack(blob.nbytes))
            blob.write(stream)
            end = position + blob.nbytes
        stream.write(bytes(self.size - end))


def encode(value: Mapping[str, Any], schema: Schema, root: str, identifier: bytes) -> Encoded:
    """A FlatBuffer of a table as `decode` gives it; fields that are None, at their default or missing are left out.

    A vector of bytes may be a `Blob`. FormatError if a number does not fit its field.
    """
    encoder = _Encoder(schema)
    encoder.out += bytes(4) + identifier
    encoder.refer(0, lambda: encoder.table(value, root))
    return encoder.finish()


class _Encoder:
    """Puts tables one after the other, each followed by what it refers to: offsets lead forward."""

    def __init__(self, schema: Schema) -> None:
        self.out = bytearray()
        self._schema = schema
        self._layouts: dict[bytes, int] = {}  # contents of a vtable -> its position
        self._blobs: list[tuple[int, Blob]] = []  # the place of the offset to each

    def refer(self, place: int, write: Callable[[], int]) -> None:
        """Writes something, and puts the offset to it at a place."""
        position = write()
        _U32.pack_into(self.out, place, position - place)

    def table(self, value: Mapping[str, Any], name: str) -> int:
        """Writes a table and what it refers to; returns its position."""
        present = [(field, item) for field, item in self._present(value, name)]
        widths = [self._width(field) for field, _ in present]
        slots = max((field.slot for field, _ in present), default=-1) + 1
        offsets, end = [0] * slots, 4
        for k in sorted(range(len(present)), key=lambda k: -widths[k]):
            # the table begins at a multiple of 8, so that its widest fields need not be moved
            end = -(-end // widths[k]) * widths[k]
            offsets[present[k][0].slot] = end
            end += widths[k]
        layout = struct.pack(f"<{2 + slots}H", 4 + 2 * slots, end, *offsets)
        if layout not in self._layouts:
            self._align(2)
            self._layouts[layout] = len(self.out)
            self.out += layout
        self._align(8 if 8 in widths else 4)
        position = len(self.out)
        self.out += bytes(end)
        _I32.pack_into(self.out, position, position - self._layouts[layout])
        for field, item in present:
            self._put(position + offsets[field.slot], field, item, value)
        return position

    def _present(self, value: Mapping[str, Any], name: str) -> Iterator[tuple[Field, Any]]:
        fields = self._schema.tables[name]
        for field in fields:
            item = value.get(field.name)
            if item is not None and (field.is_vector or field.default is None or item != field.default):
                yield field, item

    def _width(self, field: Field) -> int:
        if field.is_vector or field.type not in NUMBERS:
            return 1 if not field.is_vector and field.type in self._schema.enums else 4
        return _STRUCTS[field.type].size

    def _put(self, place: int, field: Field, item: Any, owner: Mapping[str, Any]) -> None:
        if field.is_vector:
            self._put_vector(place, field.type, item)
        elif field.type in NUMBERS:
            self._pack(place, field.type, item, field.name)
        elif field.type in self._schema.enums:
            names = self._schema.enums[field.type]
            if item not in names:
                raise FormatError(f"'{field.name}' is one of {', '.join(names)}, not {item}")
            self._pack(place, ENUM_NUMBER, names.index(item), field.name)
        elif field.type == "string":
            self.refer(place, lambda: self._string(item))
        elif field.type in self._schema.unions:
            kind = self._schema.unions[field.type][owner[f"{field.name}_type"]]
            self.refer(place, lambda: self.table(item, kind))
        else:
            self.refer(place, lambda: self.table(item, field.type))

    def _pack(self, place: int, type: str, item: Any, name: str) -> None:
        try:
            _STRUCTS[type].pack_into(self.out, place, item)
        except (struct.error, OverflowError) as error:
            raise FormatError(f"'{name}' cannot be {item}: it is stored as {type}") from error

    def _string(self, text: str) -> int:
        self._align(4)
        position = len(self.out)
        content = text.encode("utf-8", "surrogateescape")
        self.out += _U32.pack(len(content)) + content + b"\0"
        return position

    def _put_vector(self, place: int, type: str, items: Any) -> None:
        if type == "uint8" and hasattr(items, "write"):
            self._blobs.append((place, items))
        elif type in NUMBERS:
            self.refer(place, lambda: self._numbers(type, items))
        else:
            self.refer(place, lambda: self._references(len(items)))
            start = place + _U32.unpack_from(self.out, place)[0] + 4
            for k, item in enumerate(items):
                write = self._string if type == "string" else lambda item: self.table(item, type)
                self.refer(start + 4 * k, lambda write=write, item=item: write(item))  # type: ignore[misc]

    def _numbers(self, type: str, items: Any) -> int:
        width = _STRUCTS[type].size
        self._align(4)
        if (len(self.out) + 4) % width:  # the items are aligned, not their number
            self.out += bytes(4)
        position = len(self.out)
        try:
            content = bytes(items) if type == "uint8" else struct.pack(f"<{len(items)}{NUMBERS[type]}", *items)
        except (struct.error, OverflowError, ValueError) as error:
            raise FormatError(f"a vector of {type} cannot hold {items}") from error
        self.out += _U32.pack(len(items)) + content
        return position

    def _references(self, count: int) -> int:
        self._align(4)
        position = len(self.out)
        self.out += _U32.pack(count) + bytes(4 * count)
        return position

    def _align(self, width: int) -> None:
        self.out += bytes(-len(self.out) % width)

    def finish(self) -> Encoded:
        """The result; blobs start at multiples of 16, so that tensors in them can be used where they are."""
        end, placed = len(self.out), []
        for place, blob in self._blobs:
            position = -(-(end + 4) // _BLOB_ALIGNMENT) * _BLOB_ALIGNMENT
            placed.append((position, blob))
            end = position + blob.nbytes
            if end - place < 1 << 32:
                _U32.pack_into(self.out, place, position - 4 - place)
        return Encoded(bytes(self.out), placed, -(-end // _BLOB_ALIGNMENT) * _BLOB_ALIGNMENT)


def as_array(content: Any) -> NDArray[np.uint8]:
    """A vector of bytes as an array; an absent one is empty."""
    return np.zeros(0, np.uint8) if content is None else np.asarray(content, np.uint8)

"""From the text format of protocol buffers to messages (https://protobuf.dev/reference/protobuf/textformat-spec)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ...errors import FormatError, ParseError
from .decode import merge
from .schema import Field, Message, MessageType
from .wire import MAX_DEPTH

_TOKEN = re.compile(
    r"""(?P<space>(?:[\s]+|\#[^\n]*)+)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>-?\s*(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]?|(?:inf(?:inity)?|nan)\b))
    |(?P<name>[A-Za-z_][A-Za-z0-9_./\-]*)
    |(?P<mark>[{}<>\[\]:,;/-])""",
    re.VERBOSE | re.IGNORECASE,
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_LIMITS = {"int32": (-(1 << 31), 1 << 31), "int64": (-(1 << 63), 1 << 63), "uint32": (0, 1 << 32)}
_BOOLS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}
_CLOSING = {"{": "}", "<": ">"}


def parse_text(
    text: str,
    type: MessageType,
    filename: str = "<input>",
    *,
    skip_unknown: bool = False,
    keep_unknown: bool = False,
) -> Message:
    """The message that a text describes; fields that the schema does not know are an error, skipped, or kept.

    Kept ones are lists of int, float, bool, str and messages of no type, as they are written.
    Raises ParseError with line and column.
    """
    return _Parser(text, filename, skip_unknown or keep_unknown, keep_unknown).message(type, "", 0)


class _Parser:
    def __init__(self, text: str, filename: str, skip_unknown: bool, keep_unknown: bool) -> None:
        self._text = text
        self._filename = filename
        self._skip_unknown = skip_unknown
        self._keep_unknown = keep_unknown
        self._end = 0
        self._advance()

    def _advance(self) -> str:
        """The current token; the next one becomes current."""
        token = getattr(self, "_token", "")
        while True:
            self._start = self._end
            if self._start == len(self._text):
                self._kind, self._token = "end", ""
                return token
            match = _TOKEN.match(self._text, self._start)
            if match is None:
                raise self._error(f"unexpected character {self._text[self._start]!r}")
            self._end = match.end()
            if match.lastgroup != "space":
                self._kind, self._token = match.lastgroup or "", match.group()
                return token

    def _error(self, message: str) -> ParseError:
        line = self._text.count("\n", 0, self._start) + 1
        begin = self._text.rfind("\n", 0, self._start) + 1
        source = self._text[begin : begin + 200].split("\n", 1)[0]
        return ParseError(message, filename=self._filename, line=line, column=self._start - begin + 1, source=source)

    def _take(self, mark: str) -> bool:
        if self._kind == "mark" and self._token == mark:
            self._advance()
            return True
        return False

    def message(self, type: MessageType | None, closing: str, depth: int) -> Message:
        """Fields up to the closing mark ('': the end of the text). type: None for a message that is skipped."""
        if depth > MAX_DEPTH:
            raise self._error(f"messages are nested more than {MAX_DEPTH} deep")
        message = Message(type or _NOTHING)
        numbers: dict[Field, list[Any]] = {}
        while not (self._take(closing) if closing else self._kind == "end"):
            if self._kind != "name":
                what = self._token if self._kind != "end" else "the end of the text"
                raise self._error(f"expected the name of a field, found {what}")
            field = type.by_name.get(self._token) if type else None
            if type is not None and field is None and not self._skip_unknown:
                raise self._error(f"{type.name} has no field '{self._token}'")
            name = self._advance()
            colon = self._take(":")
            for value in self._values(field, colon, depth):
                if field is not None:
                    _add(message, numbers, field, value)
                elif self._keep_unknown:
                    message.setdefault(name, []).append(value)
            _ = self._take(",") or self._take(";")
        for field, values in numbers.items():
            message[field.name] = values if field.is_list else np.array(values, field.item_type)
        return message

    def _values(self, field: Field | None, colon: bool, depth: int) -> list[Any]:
        if not self._take("["):
            return [self._value(field, colon, depth)]
        values: list[Any] = []
        if field is not None and not field.repeated:
            raise self._error(f"'{field.name}' is not repeated")
        while not self._take("]"):
            if values and not self._take(","):
                raise self._error("expected ',' or ']'")
            values.append(self._value(field, True, depth))
        return values

    def _value(self, field: Field | None, colon: bool, depth: int) -> Any:
        if self._kind == "mark" and self._token in _CLOSING:
            if field is not None and field.kind != "message":
                raise self._error(f"'{field.name}' is not a message")
            closing = _CLOSING[self._advance()]
            return self.message(field.message if field is not None else None, closing, depth + 1)
        if field is not None and field.kind == "message":
            raise self._error(f"'{field.name}' is a message")
        if not colon:
            raise self._error("expected ':'")
        if self._kind == "string":
            return self._string(field)
        if self._kind not in ("number", "name"):
            raise self._error("expected a value")
        value = self._unknown() if field is None else self._scalar(field, self._token)
        self._advance()
        return value

    def _string(self, field: Field | None) -> str | bytes:
        if field is not None and field.kind not in ("string", "bytes"):
            raise self._error(f"'{field.name}' is not text")
        data = b""
        while self._kind == "string":
            data += _ESCAPE.sub(_unescape, self._token[1:-1].encode("utf-8", "surrogateescape"))
            self._advance()
        if field is None or field.kind == "bytes":
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self._error(f"'{field.name}' is not UTF-8") from None

    def _scalar(self, field: Field, token: str) -> Any:
        kind = field.kind
        if kind == "bool" and token in _BOOLS:
            return _BOOLS[token]
        if kind == "enum" and token in field.values:
            return field.values[token]
        if self._kind == "number" and kind in ("float", "double") and not re.match(r"-?\s*0[xX]", token):
            return float(re.sub(r"(?<=[0-9.])[fF]$", "", re.sub(r"\s", "", token)))
        if self._kind == "number" and kind in ("int32", "int64", "uint32", "uint64", "enum"):
            value = self._integer(token)
            low, high = _LIMITS.get("int32" if kind == "enum" else kind, (0, 1 << 64))
            if not low <= value < high:
                raise self._error(f"{token} is out of the range of '{field.name}' ({kind})")
            return value
        raise self._error(f"{token} is not a value for '{field.name}' ({kind})")

    def _unknown(self) -> bool | float | str:
        """The value of a field that the schema does not know, by its form."""
        if self._kind == "name":
            return {"true": True, "false": False}.get(self._token, self._token)
        if re.fullmatch(r"-?\s*(\d+|0[xX][0-9a-fA-F]+)", self._token):
            return self._integer(self._token)
        return float(re.sub(r"[fF]$|\s", "", self._token))

    def _integer(self, token: str) -> int:
        digits = re.sub(r"\s", "", token)
        if len(digits) > 40:
            raise self._error("number with too many digits")
        try:
            unsigned = digits.lstrip("-")
            value = int(unsigned, 16 if unsigned[:2] in ("0x", "0X") else 8 if unsigned[:1] == "0" else 10)
        except ValueError:
            raise self._error(f"{token} is not an integer") from None
        return -value if digits.startswith("-") else value


_NOTHING = MessageType("unknown message")


def _add(message: Message, numbers: dict[Field, list[Any]], field: Field, value: Any) -> None:
    if field.is_map:
        message.setdefault(field.name, {})[value["key"]] = value["value"]
    elif field.item_type is not None and field.repeated:
        numbers.setdefault(field, []).append(value)
    elif field.repeated:
        message.setdefault(field.name, []).append(value)
    elif field.kind == "message" and field.name in message:
        merge(message[field.name], value)
    else:
        message[field.name] = value


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, short, long, other = match.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise FormatError(f"not a valid character: {code:#x}")
        return chr(code).encode()
    return _SIMPLE.get(other, other)

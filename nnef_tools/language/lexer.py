"""Text to tokens. A token is a plain string; what it is follows from its first character.

Positions are token indices everywhere in the front end. A line and column are worked out only when an error asks for
them, so reading a correct text costs one pass of one regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from ..errors import ParseError

RESERVED = frozenset(
    ("version", "extension", "graph", "fragment", "tensor", "integer", "scalar", "logical", "string")
    + ("shape_of", "length_of", "range_of", "for", "in", "yield", "if", "else", "true", "false")
)

# Every text matches: skipped text, then a token, any other single character (an error), or the end ('').
_SPACE = r"[ \t\v\f\r\n]*"
_COMMENTS = rf"(?:#[^\r\n]*{_SPACE})*"
COMMENT = r"#[^\r\n]*(?=[\r\n]|\Z)"
STRING = (
    r"'[^'\\\x00-\x08\x0a-\x1f\x7f]*(?:\\[^\x00-\x08\x0a-\x1f\x7f][^'\\\x00-\x08\x0a-\x1f\x7f]*)*'"
    r'|"[^"\\\x00-\x08\x0a-\x1f\x7f]*(?:\\[^\x00-\x08\x0a-\x1f\x7f][^"\\\x00-\x08\x0a-\x1f\x7f]*)*"'
)
_TOKEN = (
    r"[,()\[\];]|=(?!=)"  # the most frequent first
    r"|[A-Za-z_][A-Za-z0-9_]*"
    r"|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
    r"|->|<=|>=|==|!=|&&|\|\||[-+*/^<>!{}:=?]"
    rf"|{STRING}"
)
_LEXER = re.compile(rf"{_SPACE}{_COMMENTS}({_TOKEN}|.|\Z)", re.DOTALL)
_PLAIN_LEXER = re.compile(rf"{_SPACE}({_TOKEN}|.|\Z)", re.DOTALL)  # does not look for comments, which takes time
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-+*/^<>!()[]{}:=,;?&|'\"")
_STRAY = frozenset("&|'\"")
_ESCAPE = re.compile(r"\\(['\"\\])")
_LINE_END = re.compile(r"\r\n|\r|\n")


class Source:
    """A text with its tokens, which are found when they are asked for, and need a `check`."""

    def __init__(self, text: str, filename: str) -> None:
        self.text = text[1:] if text.startswith("\ufeff") else text
        self.filename = filename
        self._lexer = _LEXER if "#" in self.text else _PLAIN_LEXER

    @cached_property
    def tokens(self) -> list[str]:
        """All tokens, and an empty string."""
        return self._lexer.findall(self.text)

    def check(self, start: int = 0) -> None:
        """ParseError if a token from `start` on is none of the language."""
        bad = {token for token in self.distinct if token and (token in _STRAY or token[0] not in _FIRST)}
        at = next((k for k in range(start, len(self.tokens)) if self.tokens[k] in bad), None) if bad else None
        if at is not None:
            self._reject(at)

    @cached_property
    def distinct(self) -> frozenset[str]:
        """The different tokens."""
        return frozenset(self.tokens)

    def _reject(self, index: int) -> None:
        token = self.tokens[index]
        if token in "'\"":
            raise self.error(
                index,
                "string that does not end, or control character in a string",
                hint="a string ends on its line; write the quote and \\ inside it as \\' and \\\\",
            )
        shown = repr(token) if token.isprintable() else f"U+{ord(token):04X}"
        raise self.error(index, f"character {shown} is not allowed here")

    @cached_property
    def offsets(self) -> list[int]:
        """Where each token starts in the text."""
        return [match.start(1) for match in self._lexer.finditer(self.text)]

    def position(self, index: int) -> tuple[int, int, str]:
        """Line and column of a token, from 1, and the text of its line."""
        offset = self.offsets[index]
        start, line = 0, 1
        for match in _LINE_END.finditer(self.text, 0, offset):
            start, line = match.end(), line + 1
        end = _LINE_END.search(self.text, offset)
        return line, offset - start + 1, self.text[start : end.start() if end else len(self.text)]

    def location(self, index: int) -> str:
        """`file:line:column` of a token."""
        line, column, _ = self.position(index)
        return f"{self.filename}:{line}:{column}"

    def error(self, index: int, message: str, *, hint: str | None = None) -> ParseError:
        """An error at a token, with line, column and the source line."""
        line, column, source = self.position(index)
        shown, caret = _window(source, column)
        error = ParseError(message, filename=self.filename, line=line, column=column, source=shown, hint=hint)
        error.details = (shown, caret)
        return error


def find_body(text: str) -> int | None:
    """Where a document goes on behind the `{` of its graph; None if it has none."""
    in_graph = False
    for match in _LEXER.finditer(text, 1 if text.startswith("\ufeff") else 0):
        in_graph = in_graph or match[1] == "graph"
        if in_graph and match[1] == "{":
            return match.end()
    return None


def _window(source: str, column: int, width: int = 120) -> tuple[str, str]:
    """The part of a source line around the column, and a line with a caret below it; tabs become spaces."""
    start = max(0, column - 1 - width // 2) if len(source) > width else 0
    shown = "".join(c if c.isprintable() else " " for c in source[start : start + width])
    return shown, " " * (column - 1 - start) + "^"


def unquote(token: str) -> str:
    """The value of a string token. Only quotes and the backslash are escaped; other backslashes stay."""
    text = token[1:-1]
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def is_identifier(token: str) -> bool:
    """May the token name something?"""
    return token.isidentifier() and token.isascii() and token not in RESERVED


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint with the known name that looks most like `name`, or None."""
    import difflib  # takes milliseconds, and is for errors only

    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{matches[0]}'?" if matches else None

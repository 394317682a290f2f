"""Declarations of operations that are parsed when they are asked for: a conversion needs few of the known ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from .parser import parse_fragments
from .types import Fragment

_DECLARATION = re.compile(r"^fragment ([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE)


class Declarations(Mapping[str, Fragment]):
    """The fragments of a text of this package, by name, in order; each declaration starts a line."""

    def __init__(self, text: str, filename: str) -> None:
        self._text, self._filename = text, filename
        self._starts = {match[1]: match.start() for match in _DECLARATION.finditer(text)}
        self._ends = dict(pairwise((*self._starts.values(), len(text))))
        self._parsed: dict[str, Fragment] = {}

    def __getitem__(self, name: str) -> Fragment:
        fragment = self._parsed.get(name)
        if fragment is None:
            start = self._starts[name]
            above = "\n" * self._text.count("\n", 0, start)  # messages tell the line in the whole text
            fragment = parse_fragments(above + self._text[start : self._ends[start]], self._filename)[name]
            self._parsed[name] = fragment
        return fragment

    def __contains__(self, name: object) -> bool:
        return name in self._starts

    def __iter__(self) -> Iterator[str]:
        return iter(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

"""Identifiers that can be written: legal, not reserved, unique."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, MutableSet

from .lexer import RESERVED

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]+")


def sanitize_identifier(name: str, taken: Container[str] = ()) -> str:
    """An identifier like `name` that is neither reserved nor in `taken`; unchanged if it already is one.

    Runs of other characters become one underscore; a number is appended where that is not enough. The caller adds
    the result to `taken`.
    """
    text = _ILLEGAL.sub("_", name) or "_"
    if text[0].isdigit():
        text = "_" + text
    if text in RESERVED or text in taken:
        number = 1
        while f"{text}_{number}" in taken:
            number += 1
        text = f"{text}_{number}"
    return text


class FreshNames:
    """Names `<stem><k>`, k counted from 1 for each stem, never one that is taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken: MutableSet[str] = set(taken)
        self._counts: dict[str, int] = {}

    def __call__(self, stem: str) -> str:
        number = self._counts.get(stem, 0) + 1
        while f"{stem}{number}" in self._taken:
            number += 1
        self._counts[stem] = number
        name = f"{stem}{number}"
        self._taken.add(name)
        return name

    def distinct(self, name: str) -> str:
        """The name itself, or `<name>_<k>` where it is taken."""
        if name in self._taken:
            return self(f"{name}_")
        self._taken.add(name)
        return name

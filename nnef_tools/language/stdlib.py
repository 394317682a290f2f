"""The standard operations, read from stdlib.nnef."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .declarations import Declarations
from .types import Fragment


@cache
def standard_fragments() -> Mapping[str, Fragment]:
    """The 118 standard operations by name, in the order of their declaration."""
    path = Path(__file__).with_name("stdlib.nnef")
    return Declarations(path.read_text(encoding="ascii"), path.name)

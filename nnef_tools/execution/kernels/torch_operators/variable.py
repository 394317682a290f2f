"""Variables (section 5.1)."""

from __future__ import annotations

from .common import Operator

OPERATORS: dict[str, Operator] = {"update": lambda variable, value: value}

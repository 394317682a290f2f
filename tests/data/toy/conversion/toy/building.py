"""The builder of toy graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from ...errors import Unsupported
from ..building.target import TargetBuilder


def _lacks(*args: Any, **kwargs: Any) -> NoReturn:
    raise Unsupported("toy has no operators that move data")


class ToyBuilder(TargetBuilder):
    """Builds toy operators, none of which moves data."""

    dialect = "toy"
    plain: ClassVar[Mapping[str, str]] = {"relu": "relu", "sigmoid": "sigm", "mul": "mul"}

    pad = _reshape = _unsqueeze = _squeeze = _transpose = _expand = _cast = _identity = _lacks
    _positions = _gather = _slice = _concat = _split = _reduce = _lacks

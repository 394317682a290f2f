"""Operations that plugins may make without declaring them: declarations and bodies are in `plugin_fragments.nnef`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..language.parser import parse_fragments
from ..language.types import Fragment
from .broadcast import same_shape
from .checks import check
from .pool import pool_shape
from .window import Window, by_keywords


@cache
def plugin_fragments() -> Mapping[str, Fragment]:
    """The operations by name, in the order of their declaration."""
    path = Path(__file__).with_name("plugin_fragments.nnef")
    return MappingProxyType(parse_fragments(path.read_text(encoding="ascii"), path.name))


def _space_shape(x: Sequence[int], *, block_size: int, blocks_first: bool = True) -> list[int]:
    check(len(x) == 4, f"'x' must have rank 4, got shape {list(x)}")
    area = block_size**2
    multiple = block_size > 0 and x[1] % area == 0
    check(multiple, f"{x[1]} channels are not a multiple of the area of blocks of {block_size}")
    return [x[0], x[1] // area, x[2] * block_size, x[3] * block_size]


def _depth_shape(x: Sequence[int], *, block_size: int, blocks_first: bool = True) -> list[int]:
    check(len(x) == 4, f"'x' must have rank 4, got shape {list(x)}")
    fits = block_size > 0 and x[2] % block_size == 0 and x[3] % block_size == 0
    check(fits, f"'block_size' {block_size} does not divide the extents {list(x[2:])}")
    return [x[0], x[1] * block_size**2, x[2] // block_size, x[3] // block_size]


def _lp_pool_shape(input: Sequence[int], *, p: float = 2.0, window: Window) -> list[int]:
    check(p > 0, f"'p' must be positive, got {p}")
    return pool_shape(input, window=window)


PLUGIN_SHAPES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "mish": same_shape,
        "depth_to_space": _space_shape,
        "space_to_depth": _depth_shape,
        "lp_pool": by_keywords(_lp_pool_shape),
    }
)
"""The shape functions of these operations."""

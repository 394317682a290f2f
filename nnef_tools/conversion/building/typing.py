"""The types of operations that are built, worked out once for each signature and for each combination of operands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...language.types import ArrayType, Fragment, TensorType, Type
from ...model import Tensor
from ...model.dtypes import is_float, is_integer, nnef_dtype
from ...model.widths import is_literal
from ...ops import registry
from ...ops.definition import OpDef
from ...ops.inference import result_dtypes

Kind = tuple[Any, bool]
"""What of an operand decides about the types of results: its class, and whether it is a literal."""


class Signature(NamedTuple):
    """The signature of an operation. items: item type of each tensor parameter. has_array: is one of them an array?"""

    definition: OpDef
    fragment: Fragment
    items: tuple[str | None, ...]
    has_array: bool
    array_result: bool


class Types(NamedTuple):
    """The types of an operation on operands of some kinds.

    results: their classes. restore: the integer class that scalar results are cast back to, or None. cast_back: which
    results are. plain: are operands and results taken as they are, with nothing to warn of?
    """

    results: tuple[type, ...]
    restore: type | None
    cast_back: tuple[bool, ...]
    plain: bool


@cache
def signature_of(name: str) -> Signature:
    """The signature of a known operation."""
    definition = registry.find(name)
    assert definition is not None, f"no operation '{name}'"
    fragment = definition.fragment
    items = tuple(item_type(parameter.type) for parameter in fragment.tensors)
    return Signature(
        definition, fragment, items, True in fragment.arrays, isinstance(fragment.results[0].type, ArrayType)
    )


def item_type(type: Type) -> str | None:
    """The item type of a tensor or an array of tensors; None for the unbound tensor."""
    while isinstance(type, ArrayType):
        type = type.item
    return type.item if isinstance(type, TensorType) else None


def kinds_of(arguments: Sequence[Tensor | list[Tensor]]) -> tuple[tuple[Kind, ...], ...]:
    """The kinds of the tensors of each argument."""
    return tuple([tuple(map(_kind, a)) if isinstance(a, list) else (_kind(a),) for a in arguments])


def _kind(tensor: Tensor) -> Kind:
    return tensor.dtype, tensor.data is not None and is_literal(tensor)


@lru_cache(4096)
def types_of(name: str, kinds: tuple[tuple[Kind, ...], ...], dtype: Any, count: int) -> Types:
    """The types of an operation with `count` results. dtype: what the generic type `?` stands for, if that is given."""
    signature = signature_of(name)
    fragment = signature.fragment
    flat = [kind for group in kinds for kind in group]
    integers = bool(flat) and all(is_integer(own) for own, _ in flat)
    restore = flat[0][0] if integers and all(item == "scalar" for item in signature.items) else None
    classes = result_dtypes(fragment, _that_count(kinds), dtype)
    if len(classes) != count:
        classes = classes * count
    declared = fragment.results if len(fragment.results) == count else fragment.results[:1] * count
    cast_back = tuple(restore is not None and item_type(result.type) == "scalar" for result in declared)
    fitting = all(
        item in (None, "?") or item == nnef_dtype(own)
        for item, group in zip(signature.items, kinds, strict=False)
        for own, _ in group
    )
    unsigned = any(own is np.uint64 for own, _ in flat)
    results = [restore if restore and back else own for own, back in zip(classes, cast_back, strict=True)]
    return Types(tuple(results), restore, cast_back, restore is None and fitting and not unsigned)


def _that_count(kinds: Sequence[Sequence[Kind]]) -> list[list[Any]]:
    """The classes that count for the width of results: those of real literals do not if there are other reals."""
    others = any(is_float(own) and not literal for group in kinds for own, literal in group)
    return [[None if others and literal and is_float(own) else own for own, literal in group] for group in kinds]

"""Types of Python values, implicit casts between types, common types (sections 2.4 and 2.5 of the digest).

Two types exist only while checking: `EMPTY`, the item type of `[]`, and `Primitive('?')` or `TensorType('?')` inside the
body of a generic fragment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .types import ArrayType, Primitive, TensorType, TupleType, Type

INTEGER = Primitive("integer")
SCALAR = Primitive("scalar")
LOGICAL = Primitive("logical")
STRING = Primitive("string")
GENERIC = Primitive("?")
EMPTY = Primitive("")
EMPTY_ARRAY = ArrayType(EMPTY)

DTYPES: dict[str, type] = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_, "string": np.str_}
_TYPES = {int: INTEGER, float: SCALAR, bool: LOGICAL, str: STRING}


def type_of_value(value: Any) -> Type | None:
    """The type of a literal's Python value; None if the items of an array have no common type."""
    primitive = _TYPES.get(type(value))
    if primitive is not None:
        return primitive
    types = [type_of_value(item) for item in value]
    if isinstance(value, tuple):
        known = [type for type in types if type is not None]
        return TupleType(tuple(known)) if len(known) == len(types) else None
    item: Type | None = EMPTY
    for type_ in types:
        item = common_type(item, type_) if item is not None and type_ is not None else None
    return ArrayType(item) if item is not None else None


def fits(value: Any, type_: Type) -> bool:
    """Can the literal be given to a parameter of the type? (No generic deduction: `?` takes any one primitive.)"""
    own = type_of_value(value)
    return own is not None and castable(own, type_)


def castable(source: Type, target: Type) -> bool:
    """Is there an implicit cast?"""
    if source == target:
        return True
    if isinstance(target, Primitive):
        return target == GENERIC and isinstance(source, Primitive) and source != EMPTY
    if isinstance(target, TensorType):
        if isinstance(source, Primitive):
            return source != EMPTY and target.item in (None, "?", source.name)
        return isinstance(source, TensorType) and target.item in (None, "?")
    if isinstance(target, ArrayType):
        return isinstance(source, ArrayType) and (source.item == EMPTY or castable(source.item, target.item))
    return (
        isinstance(source, TupleType)
        and len(source.items) == len(target.items)
        and all(map(castable, source.items, target.items))
    )


def common_type(a: Type, b: Type) -> Type | None:
    """The type that both cast to: one of the two, or of their items; None if there is none."""
    if a == b or a == EMPTY:
        return b
    if b == EMPTY:
        return a
    if isinstance(a, ArrayType) and isinstance(b, ArrayType):
        item = common_type(a.item, b.item)
        return ArrayType(item) if item is not None else None
    if isinstance(a, TupleType) and isinstance(b, TupleType) and len(a.items) == len(b.items):
        items = [common_type(x, y) for x, y in zip(a.items, b.items)]
        known = [item for item in items if item is not None]
        return TupleType(tuple(known)) if len(known) == len(items) else None
    if castable(a, b):
        return b
    return a if castable(b, a) else None


def bind(type_: Type, item: str) -> Type:
    """The type with `?` replaced by a primitive."""
    if isinstance(type_, Primitive):
        return Primitive(item) if type_.name == "?" else type_
    if isinstance(type_, TensorType):
        return TensorType(item) if type_.item == "?" else type_
    if isinstance(type_, ArrayType):
        return ArrayType(bind(type_.item, item))
    return TupleType(tuple(bind(part, item) for part in type_.items))


def deduce(declared: Type, actual: Type, found: set[str]) -> None:
    """Adds what `?` in the declared type stands for, seen from an argument's type."""
    if isinstance(declared, ArrayType):
        if isinstance(actual, ArrayType) and actual.item != EMPTY:
            deduce(declared.item, actual.item, found)
    elif isinstance(declared, TupleType):
        if isinstance(actual, TupleType):
            for part, actual_part in zip(declared.items, actual.items):
                deduce(part, actual_part, found)
    elif isinstance(declared, Primitive):
        if declared.name == "?" and isinstance(actual, Primitive):
            found.add(actual.name)
    elif declared.item == "?":
        if isinstance(actual, TensorType) and actual.item is not None:
            found.add(actual.item)
        elif isinstance(actual, Primitive):
            found.add(actual.name)

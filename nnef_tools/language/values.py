"""Types of Python values, implicit casts between types, common types (sections 2.4 and 2.5 of the digest).

`EMPTY`, the item type of `[]`, exists only while checking.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..model.dtypes import nnef_dtype
from .types import PRIMITIVES, ArrayType, Primitive, TensorType, TupleType, Type

_interned: dict[Type, Type] = {}

INTEGER, SCALAR, LOGICAL, STRING, EMPTY = map(Primitive, (*PRIMITIVES, ""))
TENSORS: dict[str, Type] = {item: TensorType(item) for item in (*PRIMITIVES, "?")}

DTYPES: dict[str, type] = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_, "string": np.str_}
_PRIMITIVES: dict[type, Type] = {int: INTEGER, float: SCALAR, bool: LOGICAL, str: STRING}
_ARRAYS: dict[type, Type] = {kind: ArrayType(item) for kind, item in _PRIMITIVES.items()}
_interned.update((type_, type_) for type_ in (*_PRIMITIVES.values(), EMPTY, *TENSORS.values(), *_ARRAYS.values()))
INTEGERS = _ARRAYS[int]


def intern(type_: Type) -> Type:
    """The one object that stands for equal types, so that most comparisons are of identities."""
    return _interned.setdefault(type_, type_)


def type_of_value(value: Any) -> Type | None:
    """The type of a literal's Python value; None if the items of an array have no common type."""
    primitive = _PRIMITIVES.get(type(value))
    if primitive is not None:
        return primitive
    if isinstance(value, list):
        kinds = set(map(type, value))
        if len(kinds) == 1:
            array = _ARRAYS.get(next(iter(kinds)))
            if array is not None:
                return array
        alike = kinds == {tuple} and len({tuple(map(type, item)) for item in value}) == 1
        if alike and _PRIMITIVES.keys() >= set(map(type, value[0])):
            value = value[:1]  # as the rows of a padding, all have the type of the first
    types = [type_of_value(item) for item in value]
    if isinstance(value, tuple):
        known = [type for type in types if type is not None]
        return intern(TupleType(tuple(known))) if len(known) == len(types) else None
    item: Type | None = EMPTY
    for type_ in types:
        item = common_type(item, type_) if item is not None and type_ is not None else None
    return intern(ArrayType(item)) if item is not None else None


def fits(value: Any, type_: Type) -> bool:
    """Can the literal be the default of a parameter of the type? Where that is generic, any one primitive will do."""
    own = type_of_value(value)
    return own is type_ or (own is not None and any(castable(own, bind(type_, item)) for item in PRIMITIVES))


def castable(source: Type, target: Type) -> bool:
    """Is there an implicit cast? `?` is a type of its own here, see `bind`."""
    if source is target or source == target:
        return True
    if isinstance(target, TensorType):
        if isinstance(source, Primitive):
            return source != EMPTY and target.item in (None, source.name)
        return isinstance(source, TensorType) and target.item is None
    if isinstance(target, ArrayType):
        return isinstance(source, ArrayType) and (source.item == EMPTY or castable(source.item, target.item))
    return (
        isinstance(target, TupleType)
        and isinstance(source, TupleType)
        and len(source.items) == len(target.items)
        and all(map(castable, source.items, target.items))
    )


def common_type(a: Type, b: Type) -> Type | None:
    """The type that both cast to: one of the two, or made of those of their items; None if there is none."""
    if a is b or b == EMPTY:
        return a
    if a == EMPTY:
        return b
    if isinstance(a, ArrayType) and isinstance(b, ArrayType):
        item = common_type(a.item, b.item)
        return intern(ArrayType(item)) if item is not None else None
    if isinstance(a, TupleType) and isinstance(b, TupleType) and len(a.items) == len(b.items):
        items = [common_type(x, y) for x, y in zip(a.items, b.items, strict=True)]
        known = [item for item in items if item is not None]
        return intern(TupleType(tuple(known))) if len(known) == len(items) else None
    if castable(a, b):
        return b
    return a if castable(b, a) else None


def bind(type_: Type, item: str) -> Type:
    """The type with `?` replaced by a primitive; by `?` itself where a generic fragment passes its own on."""
    if isinstance(type_, Primitive):
        return intern(Primitive(item)) if type_.name == "?" else type_
    if isinstance(type_, TensorType):
        return TENSORS[item] if type_.item == "?" else type_
    if isinstance(type_, ArrayType):
        return intern(ArrayType(bind(type_.item, item)))
    return intern(TupleType(tuple(bind(part, item) for part in type_.items)))


def deduce(declared: Type, actual: Type, found: set[str]) -> None:
    """Adds what `?` in the declared type stands for, seen from an argument's type."""
    if isinstance(declared, ArrayType):
        if isinstance(actual, ArrayType) and actual.item != EMPTY:
            deduce(declared.item, actual.item, found)
    elif isinstance(declared, TupleType):
        if isinstance(actual, TupleType):
            for part, actual_part in zip(declared.items, actual.items, strict=False):
                deduce(part, actual_part, found)
    elif isinstance(declared, Primitive):
        if declared.name == "?" and isinstance(actual, Primitive):
            found.add(actual.name)
    elif declared.item == "?":
        if isinstance(actual, TensorType) and actual.item is not None:
            found.add(actual.item)
        elif isinstance(actual, Primitive):
            found.add(actual.name)


def item_of_dtype(dtype: type | None) -> str:
    """The primitive that a tensor of the numpy (or ml_dtypes) class holds; a scalar if the class is not known."""
    return "scalar" if dtype is None else nnef_dtype(dtype)


def copied(value: Any) -> Any:
    """Lists are copied, so that no operation shares its attributes with another or with a signature."""
    if type(value) is not list:
        return value
    return [copied(item) for item in value] if value and type(value[0]) is list else value[:]

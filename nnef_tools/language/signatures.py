"""Arguments of an operation of a Graph as its signature has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import ShapeError
from .types import REQUIRED, ArrayType, Fragment, TupleType, Type

T = TypeVar("T")


def complete(fragment: Fragment, attribs: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the signature in its order, with defaults; without anything else, such as `dtype`.

    None stands for an attribute that is left out. Those that have no value are missing from the result.
    """
    result = fragment.defaults.copy()
    for name, value in attribs.items():
        if value is not None and name in result:
            result[name] = value
    return {k: v for k, v in result.items() if v is not REQUIRED} if fragment.has_required else result


def regroup(types: Sequence[Type], items: Sequence[T], name: str) -> list[Any]:
    """Splits a flat list of tensors by the types of the parameters or results: an array takes a list.

    Trailing parameters that have nothing left are missing from the result. ShapeError if the signature has two arrays,
    so that the split is not known, or if the counts do not fit.
    """
    arrays = [k for k, type_ in enumerate(types) if isinstance(type_, ArrayType)]
    if not arrays and not any(isinstance(type_, TupleType) for type_ in types):
        if len(items) > len(types):
            raise ShapeError(f"{len(items)} tensors for {len(types)} parameters", where=f"operation '{name}'")
        return list(items)
    singles = len(types) - len(arrays)
    count = len(items) - singles
    if len(arrays) > 1 or any(isinstance(t.item, (ArrayType, TupleType)) for t in types if isinstance(t, ArrayType)):
        raise ShapeError("several arrays of tensors cannot be told apart", where=f"operation '{name}'")
    if any(isinstance(type_, TupleType) for type_ in types) or count < 0:
        raise ShapeError("the tensors do not match the signature", where=f"operation '{name}'")
    k = arrays[0]
    return [*items[:k], list(items[k : k + count]), *items[k + count :]]


class Overlay(Mapping[str, Fragment]):
    """Several sets of declarations as one; the last one that has a name counts."""

    def __init__(self, *layers: Mapping[str, Fragment]) -> None:
        self._layers = layers[::-1]

    def __getitem__(self, name: str) -> Fragment:
        for layer in self._layers:
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(name in layer for layer in self._layers)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for layer in reversed(self._layers) for name in layer))

    def __len__(self) -> int:
        return len(set().union(*self._layers))

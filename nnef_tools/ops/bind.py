"""Binds the inputs and attributes of an operation to its signature: arrays as lists, defaults filled in.

Attributes have the names of the signature here; Python functions get them under those of `python_name`.
"""

from __future__ import annotations

from collections.abc import Sequence
from keyword import iskeyword
from typing import Any, NamedTuple, TypeVar

from ..errors import ShapeError
from ..language.signatures import complete
from ..language.types import Fragment
from ..model.containers import View
from ..model.graph import Operation, Tensor
from .library import Library

T = TypeVar("T")


class BoundCall(NamedTuple):
    """The arguments of an operation according to its signature.

    arguments: a tensor each, or a list for an array; one list of all if a signature with several arrays is ambiguous.
    attribs: those of the signature that have a value. missing: those that have none. surplus: attributes that the
    signature lacks, except for `dtype`; all of them without a signature.
    """

    arguments: list[Tensor | list[Tensor]]
    attribs: dict[str, Any]
    missing: list[str]
    surplus: dict[str, Any]


def bind(op: Operation, library: Library) -> BoundCall:
    """Binds an operation to its signature in the library: the one that is known here, or else the declared one."""
    fragment = library.signature(op.type)
    try:
        arguments = group_arguments(op.inputs, fragment)
    except ShapeError:
        arguments = [list(op.inputs)]
    given, known = op.attribs, {} if fragment is None else fragment.attributes
    attribs = complete(fragment, given) if fragment is not None and known else {}
    missing = [name for name in known if name not in attribs] if len(attribs) < len(known) else []
    surplus = {name: value for name, value in given.items() if name not in known and name != "dtype"}
    return BoundCall(arguments, attribs, missing, surplus)


def group_arguments(inputs: Sequence[T], fragment: Fragment | None = None) -> list[T | list[T]]:
    """The arguments of an operation: a list for an array argument.

    inputs: those of an Operation. Without a signature, a view (or list) is one array argument and a tuple separate
    ones. With a signature that has an array parameter beside others, a flat sequence is divided accordingly.
    ShapeError if that is not possible.
    """
    items = list(inputs)
    if fragment is None:
        return [items] if isinstance(inputs, (View, list)) else [*items]
    arrays = fragment.arrays
    if True not in arrays:
        return [*items]
    length = len(items) - (len(arrays) - 1)
    if sum(arrays) > 1 or length < 0:
        raise ShapeError(
            f"{len(items)} tensors cannot be divided among the parameters of '{fragment.name}'", where=fragment.name
        )
    first = arrays.index(True)
    return [*items[:first], items[first : first + length], *items[first + length :]]


def python_name(name: str) -> str:
    """The name of an attribute as a parameter of a Python function: `_lambda_` for `lambda`."""
    return f"_{name}_" if iskeyword(name) else name

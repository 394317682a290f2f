"""Types, signatures and values of the NNEF language (sections 2.3 to 2.5 of the digest of the standard)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Union

PRIMITIVES = ("integer", "scalar", "logical", "string")


@dataclass(frozen=True)
class Primitive:
    """`integer`, `scalar`, `logical`, `string`, or `?` inside a generic fragment."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class TensorType:
    """`tensor<item>`; item is a primitive's name, `?`, or None for the unbound `tensor<>`."""

    item: str | None

    def __str__(self) -> str:
        return f"tensor<{self.item or ''}>"


@dataclass(frozen=True)
class ArrayType:
    """`item[]`."""

    item: Type

    def __str__(self) -> str:
        return f"{self.item}[]"


@dataclass(frozen=True)
class TupleType:
    """`(a, b, ...)`, at least two items."""

    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type = Union[Primitive, TensorType, ArrayType, TupleType]


def has_tensor(type: Type) -> bool:
    """Does a tensor occur anywhere in the type? Types without are attribute types."""
    if isinstance(type, ArrayType):
        return has_tensor(type.item)
    if isinstance(type, TupleType):
        return any(has_tensor(item) for item in type.items)
    return isinstance(type, TensorType)


def item_name(type: Type) -> str:
    """The item type of a tensor, or of the tensors in an array or tuple; '' for the unbound tensor."""
    if isinstance(type, TensorType):
        return type.item or ""
    if isinstance(type, Primitive):
        return type.name
    return item_name(type.item if isinstance(type, ArrayType) else type.items[0])


class _Required:
    """Marks a parameter without default (None could be a value)."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


class Parameter(NamedTuple):
    """A parameter; `default` is a Python value (int, float, bool, str, list, tuple) or REQUIRED."""

    name: str
    type: Type
    default: Any = REQUIRED


class Result(NamedTuple):
    """A result; its type always contains a tensor."""

    name: str
    type: Type


@dataclass(frozen=True)
class Fragment:
    """The declaration of an operation, with a body (compound) or without (primitive).

    generic: uses the type `?`. default_type: what `?` stands for when the call does not say, or None. body: the
    syntax tree of the assignments, None for a primitive. text: the declaration as it is written, for the printer.
    """

    name: str
    parameters: tuple[Parameter, ...]
    results: tuple[Result, ...]
    generic: bool = False
    default_type: str | None = None
    body: Any = None
    text: str = field(default="", compare=False)

    @cached_property
    def tensors(self) -> tuple[Parameter, ...]:
        """The tensor parameters, in order."""
        return tuple(p for p in self.parameters if has_tensor(p.type))

    @cached_property
    def tensor_items(self) -> tuple[str, ...]:
        """The item types of the tensor parameters."""
        return tuple(item_name(parameter.type) for parameter in self.tensors)

    @cached_property
    def result_items(self) -> tuple[str, ...]:
        """The item types of the results."""
        return tuple(item_name(result.type) for result in self.results)

    @cached_property
    def arrays(self) -> tuple[bool, ...]:
        """Which tensor parameters are arrays of tensors."""
        return tuple(isinstance(parameter.type, ArrayType) for parameter in self.tensors)

    @cached_property
    def attributes(self) -> dict[str, Parameter]:
        """The other parameters, by name, in order."""
        return {p.name: p for p in self.parameters if not has_tensor(p.type)}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """Their defaults, or REQUIRED."""
        return {name: parameter.default for name, parameter in self.attributes.items()}

    @cached_property
    def has_required(self) -> bool:
        """Is there an attribute without default?"""
        return any(default is REQUIRED for default in self.defaults.values())

    @property
    def is_compound(self) -> bool:
        return self.body is not None

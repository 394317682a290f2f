"""Declarations without body for operations that nobody declares, made from the way they are called.

`foo(x, alpha = 0.5)` -> `fragment foo_v1( _I1: tensor<scalar>, alpha: scalar ) -> ( _O1: tensor<scalar> );`
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import FormatError
from ...language.types import ArrayType, Primitive, TensorType, TupleType, Type
from ...model import Graph, Operation, Tensor
from ...model.dtypes import nnef_dtype

_EMPTY = ArrayType(Primitive("?"))  # an empty array literal, which fits all array types; written as integer[]


@contextmanager
def generated_fragments(graph: Graph, types: Container[str], taken: Container[str], version: bool) -> Iterator[str]:
    """Gives the declarations of the operations of these types.

    version: each call gets a declaration of its own, `foo_v1`, `foo_v2`, ..; as long as the block lasts, the operations
    have these types. Without, all calls of an operation have to be of one signature. taken: names not to be used.
    FormatError if an attribute has no NNEF type, or signatures differ.
    """
    operations = [op for op in graph.operations if op.type in types]
    names = {op: str(op.type) for op in operations}
    declared: dict[str, str] = {}
    counts: dict[str, int] = {}
    try:
        for op in operations:
            name = names[op]
            if version:
                op.type = name = _next_version(name, counts, taken)
            text = _declaration(op, name)
            if declared.setdefault(name, text) != text:
                raise FormatError(
                    f"the calls of '{name}' differ, so no single fragment can declare it",
                    [declared[name], text],
                    hint="give each call its own version of the fragment",
                )
        yield "\n".join(text + "\n" for text in declared.values())
    finally:
        for op, name in names.items():
            op.type = name


def _next_version(name: str, counts: dict[str, int], taken: Container[str]) -> str:
    while True:
        counts[name] = counts.get(name, 0) + 1
        candidate = f"{name}_v{counts[name]}"
        if candidate not in taken:
            return candidate


def _declaration(op: Operation, name: str) -> str:
    generic = nnef_dtype(op.attribs["dtype"]) if "dtype" in op.attribs else None
    where = f"{op.type} -> {', '.join(map(repr, op.outputs))}"
    inputs = _tensor_types(op.inputs, generic, where)
    outputs = _tensor_types(op.outputs, generic, where)
    if generic and not any("?" in str(type) for type in (*inputs, *outputs)):
        raise FormatError(f"no tensor has the type '{generic}' that the call gives", where=where)
    parameters = [f"_I{k}: {type}" for k, type in enumerate(inputs, start=1)]
    for key, value in op.attribs.items():
        if key != "dtype":
            parameters.append(f"{key}: {_attribute_type(value, key, where)}".replace("?", "integer"))
    results = [f"_O{k}: {type}" for k, type in enumerate(outputs, start=1)]
    head = f"fragment {name}{'<?>' if generic else ''}"
    return f"{head}( {', '.join(parameters)} ) -> ( {', '.join(results)} );"


def _tensor_types(tensors: Any, generic: str | None, where: str) -> list[Type]:
    types: list[Type] = [_tensor_type(tensor, generic, where) for tensor in tensors]
    if isinstance(tensors, tuple):
        return types
    if len(set(types)) > 1:
        raise FormatError("the tensors of an array have different types", where=where)
    return [ArrayType(types[0] if types else TensorType("scalar"))]


def _tensor_type(tensor: Tensor, generic: str | None, where: str) -> TensorType:
    if tensor.dtype is None:
        raise FormatError(f"the data type of tensor '{tensor!r}' is not known", where=where)
    item = nnef_dtype(tensor.dtype)
    return TensorType("?" if item == generic else item)


def _attribute_type(value: Any, key: str, where: str) -> Type:
    if isinstance(value, (bool, np.bool_)):
        return Primitive("logical")
    if isinstance(value, (int, np.integer)):
        return Primitive("integer")
    if isinstance(value, (float, np.floating)):
        return Primitive("scalar")
    if isinstance(value, (str, type)):  # other classes than `dtype` are written as the name of the type
        return Primitive("string")
    if isinstance(value, tuple) and len(value) > 1:
        return TupleType(tuple(_attribute_type(item, key, where) for item in value))
    if isinstance(value, list):
        return _array_type([_attribute_type(item, key, where) for item in value], key, where)
    raise FormatError(f"attribute '{key}' = {value!r} has no NNEF type, so no fragment can declare it", where=where)


def _array_type(types: list[Type], key: str, where: str) -> Type:
    """The type of an array; items that are empty arrays take the type of the others."""
    kinds = list(dict.fromkeys(type for type in types if type != _EMPTY))
    if len(kinds) > 1 or (len(kinds) == 1 and _EMPTY in types and not isinstance(kinds[0], ArrayType)):
        raise FormatError(f"the items of attribute '{key}' have different types", where=where)
    if kinds:
        return ArrayType(kinds[0])
    return ArrayType(_EMPTY) if types else _EMPTY

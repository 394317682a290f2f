"""Checks graphs that were built or changed in memory as the reader checks models."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ..errors import FormatError
from ..language.attributes import check_attributes
from ..language.stdlib import standard_fragments
from ..language.types import REQUIRED, ArrayType, Fragment, Primitive, TupleType, Type
from ..language.values import fits, item_of_dtype
from ..model import Graph, Operation, Tensor
from ..model.copying import copy_graph
from ..model.verify import verify
from .bind import group_arguments
from .inference import infer_graph
from .library import Library

_VALUES = (bool, int, float, str, list, tuple)


def check_graph(graph: Graph, foreign: Collection[str] = ()) -> Graph:
    """Checks links, names, signatures, values of attributes and shapes of a graph in the NNEF dialect; changes nothing.

    Returns a copy with all shapes that can be inferred.
    foreign: operations that are computed elsewhere, whose signatures are ignored. FormatError or ShapeError.
    """
    verify(graph, unique_names=False)
    library = Library.of(graph, foreign=foreign)
    for op in graph.operations:
        fragment = library.fragments.get(str(op.type))
        problem = None if fragment is None or op.type in foreign else _problem(op, fragment)
        if problem:
            raise FormatError(problem, where=f"operation '{op.type}'")
    inferred = copy_graph(graph)
    infer_graph(inferred, library=library, allow_unknown=True)
    return inferred


def _problem(op: Operation, fragment: Fragment) -> str | None:
    """What is wrong with attributes and operands; None if nothing is. Shape inference counts the operands."""
    given = {name: value for name, value in op.attribs.items() if value is not None}
    item = given.pop("dtype", None)
    if item is None and fragment.generic and fragment.default_type is None and "?" not in fragment.tensor_items:
        return "attribute 'dtype' is missing"
    if not isinstance(item, type | np.dtype | None):
        return f"attribute 'dtype' is {item!r}, which is not an item type"
    unknown = given.keys() - fragment.attributes.keys()
    if unknown:
        return f"there is no attribute '{min(unknown)}'"
    attribs = {name: p.default for name, p in fragment.attributes.items()}
    for name, value in given.items():
        attribs[name] = _plain(value, fragment.attributes[name].type)
        if op.type == "external" and isinstance(attribs[name], list):
            attribs[name] = [1 if n is None or isinstance(n, str) else n for n in attribs[name]]  # open extents
        if not _fits(attribs[name], fragment.attributes[name].type):
            return f"attribute '{name}' is {value!r}, which is not of type {fragment.attributes[name].type}"
    missing = [name for name in attribs if name not in given and fragment.attributes[name].default is REQUIRED]
    if missing:
        return f"attribute '{missing[0]}' is missing"
    illegal = check_attributes(str(op.type), attribs) if op.type in standard_fragments() else None
    return f"attribute '{illegal[0]}': {illegal[1]}" if illegal else _operand_problem(op, fragment)


def _operand_problem(op: Operation, fragment: Fragment) -> str | None:
    groups = zip(group_arguments(op.inputs, fragment), fragment.tensors, fragment.tensor_items, strict=False)
    generic: str | None = None
    for argument, parameter, declared in groups:
        for tensor in argument if isinstance(argument, list) else [argument]:
            own, item = _item(tensor), generic if declared == "?" else declared or None
            if own is not None and item not in (None, own):
                return f"'{parameter.name}' is a tensor of {own}, not of {item}"
            generic = own or generic if declared == "?" else generic
    return None


def _item(tensor: Tensor) -> str | None:
    """The item type of a tensor; None for literals, which take any type."""
    producer = tensor.producer
    if producer is not None and producer.type in ("external", "variable"):  # data may be codes of real numbers
        return item_of_dtype(producer.attribs.get("dtype"))
    return None if producer is None or tensor.dtype is None else item_of_dtype(tensor.dtype)


def _fits(value: Any, type_: Type) -> bool:
    """Does the value have that type of the language?"""
    if isinstance(value, list | tuple):
        return all(isinstance(item, _VALUES) for item in value) and fits(value, type_)
    return isinstance(value, _VALUES) and fits(value, type_)


def _plain(value: Any, type_: Type) -> Any:
    """The value in the form of the language: numpy numbers as Python's, arrays as lists, integers as scalars."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(type_, ArrayType) and isinstance(value, list | tuple):
        return [_plain(item, type_.item) for item in value]
    if isinstance(type_, TupleType) and isinstance(value, list | tuple) and len(value) == len(type_.items):
        return tuple(_plain(item, part) for item, part in zip(value, type_.items, strict=True))
    real = isinstance(type_, Primitive) and type_.name == "scalar"
    return float(value) if real and isinstance(value, int) and not isinstance(value, bool) else value

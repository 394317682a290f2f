"""What the facts about a model may be, key by key: what comes from a file is checked once, and then used as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from .dtypes import ITEM_CLASSES, is_float, nnef_dtype
from .facts import FORMAT, IR_VERSION, OPSET, TENSORS, TIES, Ties, symbolic_extents, tensor_facts, with_tensor_facts
from .graph import Graph, Tensor

_MAX_DEPTH = 32  # of nested lists and objects under a key that this package does not know
_MAX_RANK = 64
_MAX_OPSET = 99_999_999  # some domains number their versions by dates
_NEWEST_IR_VERSION = 14  # runtimes refuse models of versions that they do not know

Fits = Callable[[Any], bool]


@dataclass(frozen=True)
class Table:
    """A JSON object with any names, and values of one kind."""

    values: Kind


@dataclass(frozen=True)
class Record:
    """A JSON object with known names; others do not fit."""

    fields: Mapping[str, Kind]


Kind = Union[Fits, Table, Record]


def is_text(value: Any) -> bool:
    """Is it a string that a file can hold? JSON can also have halves of surrogate pairs."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _integer(low: int, high: int) -> Fits:
    return lambda value: type(value) is int and low <= value <= high


def _is_item_type(value: Any) -> bool:
    return isinstance(value, str) and value in ITEM_CLASSES


def _is_shape(value: Any) -> bool:
    extent = _integer(0, 2**63 - 1)
    return (
        isinstance(value, list)
        and len(value) <= _MAX_RANK
        and all(item is None or extent(item) or is_text(item) for item in value)
    )


def _one_of(*values: Any) -> Fits:
    return lambda value: isinstance(value, str) and value in values


SCHEMA: Mapping[str, Kind] = {
    FORMAT: is_text,
    TENSORS: Table(Record({"source": is_text, "dtype": _is_item_type, "hybrid": _one_of("symmetric", "asymmetric")})),
    TIES: _one_of(*(rule.value for rule in Ties)),
    OPSET: Table(_integer(1, _MAX_OPSET)),
    IR_VERSION: _integer(0, _NEWEST_IR_VERSION),
    "producer": is_text,
    "producer_version": is_text,
    "doc": is_text,
    "metadata_props": Table(is_text),
    "symbolic": Table(_is_shape),
    "versions": Record({"producer": _integer(0, 2**31 - 1), "min_consumer": _integer(0, 2**31 - 1)}),
    "aliases": Table(is_text),
    "description": is_text,
    "signature": is_text,
    "signature_inputs": Table(is_text),
    "signature_outputs": Table(is_text),
    "variables": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "tflite_metadata": Table(is_text),
    "associated_files": Table(is_text),
}
"""Key -> kind of its value. Under other keys, which are those of other programs, there may be anything plain."""


def is_plain(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Can the value be written as JSON again: does it consist of strings, finite numbers of 64 bits, and the like?"""
    if isinstance(value, (list, dict)):
        items = value if isinstance(value, list) else (*value, *value.values())
        return depth > 0 and all(is_plain(item, depth - 1) for item in items)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return value is None or is_text(value)


def checked_facts(facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What of the contents of a file fits the schema, and the places of what does not, as `tensors.x.dtype`."""
    bad: list[str] = []
    kept = {}
    for key, value in facts.items():
        if not is_text(key):
            bad.append(repr(key))
        elif (part := _kept(value, SCHEMA.get(key, is_plain), key, bad)) is not None:
            kept[key] = part
    return kept, bad


def facts_of_graph(facts: dict[str, Any], graph: Graph) -> tuple[dict[str, Any], list[str]]:
    """What of checked facts fits an NNEF graph, as far as it has types and shapes, and the places of what does not."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    known, bad = dict(tensor_facts(facts)), []
    for name, fact in list(known.items()):
        if name not in tensors:
            bad.append(f"{TENSORS}.{name}")
            del known[name]
        elif "dtype" in fact and not _fits_type(fact["dtype"], tensors[name]):
            bad.append(f"{TENSORS}.{name}.dtype")
            known[name] = {"source": fact["source"]} if "source" in fact else {}
    ranks = {known.get(t.name or "", {}).get("source"): t.rank for t in (*graph.inputs, *graph.outputs)}
    symbolic = symbolic_extents(facts)
    wrong = [name for name, extents in symbolic.items() if ranks.get(name) not in (None, len(extents))]
    if not bad and not wrong:
        return facts, []
    if wrong:
        facts = {**facts, "symbolic": {name: item for name, item in symbolic.items() if name not in wrong}}
    return with_tensor_facts(facts, known), [*bad, *(f"symbolic.{name}" for name in wrong)]


def _fits_type(name: str, tensor: Tensor) -> bool:
    """Can the tensor have come from one of the type? Weights that are stored in another form, and codes, may differ."""
    if tensor.dtype is None:
        return True
    dtype = ITEM_CLASSES[name]
    if dtype is not np.float64 and (tensor.quant or tensor.data is not None):
        return True
    return is_float(tensor.dtype) if dtype is np.float64 else nnef_dtype(dtype) == nnef_dtype(tensor.dtype)


def _fits(value: Any, kind: Kind) -> bool:
    """Does all of the value fit?"""
    if isinstance(kind, Table):
        inner = kind.values
        return isinstance(value, dict) and all(is_text(name) and _fits(item, inner) for name, item in value.items())
    if isinstance(kind, Record):
        fields = kind.fields
        return isinstance(value, dict) and all(
            name in fields and _fits(item, fields[name]) for name, item in value.items()
        )
    return kind(value)


def _kept(value: Any, kind: Kind, place: str, bad: list[str]) -> Any:
    """The part of a value that fits, level by level; None for nothing."""
    if _fits(value, kind):
        return value
    if not isinstance(kind, (Table, Record)) or not isinstance(value, dict):
        bad.append(place)
        return None
    kept = {}
    for name, item in value.items():
        inner = kind.values if isinstance(kind, Table) else kind.fields.get(name)
        where = f"{place}.{name}" if name else f"{place}['']"
        if inner is None or not is_text(name):
            bad.append(where)
        elif (part := _kept(item, inner, where, bad)) is not None:
            kept[name] = part
    return kept

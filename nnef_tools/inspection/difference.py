"""What differs between two graphs: operations that were added, removed or changed: attributes, shapes, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import Limits, current, within
from ..errors import NnefToolsError
from ..formats import NNEF, Format, InputShapes, detect_input, load, make_optimizer
from ..language.gc_pause import paused_collector
from ..model import Graph, Operation, Tensor
from ..model.memory import blocks
from ..pipeline.job import Log
from ..pipeline.stages import NO_PLUGINS, open_model
from ..verification.matching import Matching, Side, digest, paired_tensors
from .picture.render import prepare
from .picture.text import clean, dtype_label, shape_label, value_label
from .summary import label_of

ADDED, REMOVED, CHANGED = "added", "removed", "changed"

SHOWN_VALUE = 60


@dataclass(frozen=True)
class Change:
    """One difference. a, b: the operation in the first and the second graph. details: what has changed.

    name: of an input or output of the graphs, if the change is one of these.
    """

    kind: str
    a: Operation | None = None
    b: Operation | None = None
    details: tuple[str, ...] = ()
    name: str = ""

    @property
    def text(self) -> str:
        """The change in a line."""
        operation = self.a or self.b
        what = self.name if operation is None else f"{clean(operation.type or '?')} '{clean(label_of(operation), 80)}'"
        return f"{what}: {'; '.join(self.details)}" if self.details else what


@dataclass(frozen=True)
class Difference:
    """The differences of two graphs. partners: of each operation, its counterpart in the other graph.

    shapes_follow: how many further operations have results of other shapes because their inputs have. dialect: of both.
    """

    a: Graph
    b: Graph
    changes: tuple[Change, ...]
    partners: Mapping[Operation, Operation]
    shapes_follow: int = 0
    dialect: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """Kind of change -> how many there are."""
        found = Counter(change.kind for change in self.changes)
        return {kind: found[kind] for kind in (ADDED, REMOVED, CHANGED)}


def difference_of_files(
    a: str | PathLike[str],
    b: str | PathLike[str],
    *,
    formats: tuple[str | None, str | None] = (None, None),
    input_shapes: InputShapes | None = None,
    signature: str | None = None,
    weights: str | PathLike[str] | None = None,
    limits: Limits | None = None,
) -> Difference:
    """The difference of two models. Those of different dialects are both converted to NNEF, in memory.

    formats: their names, by default recognized. input_shapes: for inputs of either that leave them open. signature,
    weights: of either, see `pipeline.open_graph`. Errors of opening and, for different dialects, ConversionError.
    """
    paths = Path(a), Path(b)
    found = [detect_input(path, name) for path, name in zip(paths, formats, strict=True)]
    reader_options = {"signature": signature, "weights": weights}
    over_nnef = found[0].dialect is not found[1].dialect
    with within(current() if limits is None else limits):
        warnings: list[str] = []
        graphs = []
        for path, format in zip(paths, found, strict=True):
            shapes = format.dialect.by_tensor_name(input_shapes or {})
            log = Log()
            opened = open_model(path, format, shapes, None, None, reader_options, NO_PLUGINS, log)
            graph, more = _as_nnef(opened.graph, format) if over_nnef else (opened.graph, [])
            if not over_nnef:
                prepare(graph, format.dialect)
            warnings += [f"{path}: {text}" for text in (*opened.warnings, *more)]
            graphs.append(graph)
        dialect = NNEF.dialect if over_nnef else found[0].dialect
        result = difference(graphs[0], graphs[1], is_nnef=dialect is NNEF.dialect)
    return replace(result, dialect=dialect.title, warnings=tuple(warnings))


def _as_nnef(graph: Graph, format: Format) -> tuple[Graph, list[str]]:
    """The graph in NNEF, and the warnings of its converter."""
    name = format.dialect.to_nnef
    if name is None:
        return graph, []
    converter = load(name, format)(keep_io_names=True, keep_names=True)
    try:
        with paused_collector():
            result: Graph = converter(graph)
    except NnefToolsError as error:
        error.hint = error.hint or "models of different formats are compared as NNEF"
        raise
    if NNEF.dialect.layout is not None and format.dialect.channels_last != NNEF.dialect.channels_last:
        load(NNEF.dialect.layout).run_layout(result)
    optimizer = make_optimizer(NNEF.dialect)
    if optimizer is not None:
        optimizer(result, only_required=True)
    result.sort()
    return result, list(converter.warnings)


def difference(a: Graph, b: Graph, *, is_nnef: bool = False) -> Difference:
    """The difference of two graphs of one dialect, both sorted; names of inner tensors do not count.

    is_nnef: is it NNEF, whose attributes have known defaults?
    """
    ours, others = Side(a, is_nnef), Side(b, is_nnef)
    matching = Matching(ours, others)
    changes = list(_interface(a, b))
    follow = 0
    ends = paired_tensors(list(a.inputs), list(b.inputs))
    reshaped = {x for x, y in ends if x is not None and y is not None and x.shape != y.shape}
    for x in ours.operations:
        y = matching.partner.get(x)
        if y is None:
            changes.append(Change(REMOVED, a=x))
            continue
        details = [
            *_of_operation(x, y, ours, others),
            *_of_weights(x, y, ours, others),
            *_of_inputs(x, y, ours, others, matching),
        ]
        shapes = [(s, t) for s, t in zip(x.outputs, y.outputs, strict=False) if s.shape != t.shape]
        if shapes and reshaped.isdisjoint(x.inputs):
            details += [f"result {shape_label(s.shape)} -> {shape_label(t.shape)}" for s, t in shapes]
        elif shapes and not details:
            follow += 1
        reshaped.update(s for s, _ in shapes)
        if details:
            changes.append(Change(CHANGED, x, y, tuple(details)))
    changes += [Change(ADDED, b=y) for y in others.operations if y not in matching.partner]
    return Difference(a, b, tuple(changes), matching.partner, follow)


def _interface(a: Graph, b: Graph) -> Iterator[Change]:
    """Changes of inputs and outputs of the graphs."""
    for word, ours, others in (("input", a.inputs, b.inputs), ("output", a.outputs, b.outputs)):
        for x, y in paired_tensors(list(ours), list(others)):
            tensor = x or y
            name = f"{word} '{clean('' if tensor is None else tensor.name or '', 80)}'"
            if x is None or y is None:
                yield Change(ADDED if x is None else REMOVED, name=name)
                continue
            details = [] if x.name == y.name else [f"name -> '{clean(y.name or '', 80)}'"]
            if word == "input" and x.shape != y.shape:
                details.append(f"shape {shape_label(x.shape)} -> {shape_label(y.shape)}")
            if x.dtype != y.dtype:
                details.append(f"type {dtype_label(x.dtype)} -> {dtype_label(y.dtype)}")
            if word == "input":
                details += _of_quantization(x, y)
            if details:
                yield Change(CHANGED, details=tuple(details), name=name)


def _of_operation(x: Operation, y: Operation, ours: Side, others: Side) -> Iterator[str]:
    """Changes of type, attributes, types and quantization of results."""
    if (x.type, x.domain) != (y.type, y.domain):
        yield f"type {clean(x.type or '?')} -> {clean(y.type or '?')}"
    before, after = ours.attributes(x), others.attributes(y)
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if digest(_plain(old)) != digest(_plain(new)):
            same_text = _shown(old) == _shown(new)
            yield f"{clean(key)} {_shown(old)}" + (", which differs inside" if same_text else f" -> {_shown(new)}")
    if len(x.outputs) != len(y.outputs):
        yield f"{len(x.outputs)} results -> {len(y.outputs)}"
    for s, t in zip(x.outputs, y.outputs, strict=False):
        if s.dtype is not None and t.dtype is not None and s.dtype != t.dtype:
            yield f"result {dtype_label(s.dtype)} -> {dtype_label(t.dtype)}"
        yield from _of_quantization(s, t)


def _of_quantization(s: Tensor, t: Tensor) -> Iterator[str]:
    old, new = s.quant or {}, t.quant or {}
    for key in dict.fromkeys((*old, *new)):
        if digest(_plain(old.get(key))) != digest(_plain(new.get(key))):
            yield f"quantization {clean(key)} {_shown(old.get(key))} -> {_shown(new.get(key))}"


def _plain(value: Any) -> Any:
    """A value in which lists and tuples, and numbers of Python and numpy, are the same.

    Fractions are rounded to float32, in which all formats have them.
    """
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    plain = value.item() if isinstance(value, np.generic) else value
    with np.errstate(over="ignore"):
        return float(np.float32(plain)) if isinstance(plain, float) else plain


def _shown(value: Any) -> str:
    return "nothing" if value is None else value_label(value, SHOWN_VALUE)


def _of_weights(x: Operation, y: Operation, ours: Side, others: Side) -> Iterator[str]:
    """Changes of the data that an operation uses, by value."""
    old, new = ours.weights(x), others.weights(y)
    if len(old) != len(new):
        yield f"{len(old)} weights -> {len(new)}"
    for s, t in zip(old, new, strict=False):
        if s.shape != t.shape or s.dtype != t.dtype:
            old_type, new_type = dtype_label(s.dtype), dtype_label(t.dtype)
            yield f"weights {shape_label(s.shape)} {old_type} -> {shape_label(t.shape)} {new_type}"
        elif ours.digest(s) != others.digest(t):
            what = f"weights '{clean(s.name, 80)}'" if s.name else "constant"
            yield f"{what} {_values(s.data, t.data)}"
        yield from _of_quantization(s, t)


def _values(old: Any, new: Any) -> str:
    """How far values are apart."""
    if not (isinstance(old, np.ndarray) and isinstance(new, np.ndarray)) or old.dtype.kind in "OSU":
        return f"{_shown(old)} -> {_shown(new)}"
    if old.shape != new.shape:
        return f"{shape_label(old.shape)} -> {shape_label(new.shape)}"
    if old.size == 1:
        return f"{_shown(old.item())} -> {_shown(new.item())}"
    count, most = 0, 0.0
    for s, t in zip(blocks(old), blocks(new), strict=True):
        s, t = s.astype(np.float64), t.astype(np.float64)
        differs = (s != t) & ~(np.isnan(s) & np.isnan(t))
        count += int(differs.sum())
        if differs.any():
            with np.errstate(invalid="ignore"):
                most = max(most, float(np.nanmax(np.abs(s - t)[differs], initial=0.0)))
    return f"differ in {count} of {old.size} values, by {most:.3g} at most"


def _of_inputs(x: Operation, y: Operation, ours: Side, others: Side, matching: Matching) -> Iterator[str]:
    """Inputs that come from elsewhere, between operations that both graphs have."""
    old, new = ours.values(x), others.values(y)
    if len(old) != len(new):
        yield f"{len(old)} inputs -> {len(new)}"
        return
    for k, (s, t) in enumerate(zip(old, new, strict=True)):
        is_explained = _is_made_by_change(s, ours, matching) or _is_made_by_change(t, others, matching)
        if not is_explained and not matching.is_same(s, t):
            yield f"input {k} from '{clean(s.name or '', 80)}' -> '{clean(t.name or '', 80)}'"


def _is_made_by_change(tensor: Tensor, side: Side, matching: Matching) -> bool:
    """Is the tensor made by an operation that only one graph has?"""
    place = side.places.get(tensor)
    return place is not None and place[0] not in matching.partner

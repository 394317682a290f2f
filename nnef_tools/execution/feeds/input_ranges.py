"""Finds the range of integers that make sense as inputs, from the way in which the graph uses them.

An index has to lie within the axis that it indexes: that is a limit. A length or a position is compared with the
positions along an axis, a mask with zero: such comparisons distinguish only some values, which are called telling. Both
are followed back to the inputs through operations that only move values and through arithmetic with constants. Rows of
items whose sums are lengths or positions are masks of ones before zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import and_, or_
from typing import Any

import numpy as np

from ...errors import NnefToolsError
from ...model import Graph, Operation, Tensor
from ..executor import Array
from ..kernels.constants import constant_data

MAX_CONSTANT_ITEMS = 1 << 24
"""The largest number of items of a constant that is taken into account."""

MASK_FACTOR = 1000.0
"""A factor from which on the other factor is taken for 0 or 1, as in masks that are added before a softmax."""

DEFAULT_HIGHEST = 9
"""The largest integer to draw if nothing else is known, as far as limits allow."""


@dataclass(frozen=True)
class Interval:
    """The numbers between two ends, which are included and may be infinite."""

    low: float = -math.inf
    high: float = math.inf

    def __and__(self, other: Interval) -> Interval:
        return Interval(max(self.low, other.low), min(self.high, other.high))

    def __or__(self, other: Interval) -> Interval:
        return Interval(min(self.low, other.low), max(self.high, other.high))

    @property
    def count(self) -> float:
        """The number of integers in the interval."""
        return max(0.0, self.high - self.low + 1)

    def rounded(self) -> Interval:
        """The interval of the same integers, with integers as ends."""
        return Interval(
            math.ceil(self.low) if math.isfinite(self.low) else self.low,
            math.floor(self.high) if math.isfinite(self.high) else self.high,
        )


ANY = Interval()


@dataclass(frozen=True)
class Use:
    """What the uses of a tensor tell about its values.

    limit: the values for which the model does not fail. divisor: the values by which it may divide. telling: the values
    that a comparison with several positions distinguishes; threshold: those that a comparison with one number does.
    Both are None without such a comparison. ones: how many items of each row of a mask may be 1; None if it is none.
    """

    limit: Interval = ANY
    divisor: Interval = ANY
    telling: Interval | None = None
    threshold: Interval | None = None
    ones: Interval | None = None

    def __and__(self, other: Use) -> Use:
        """The knowledge from two uses of the same tensor."""
        return Use(
            self.limit & other.limit,
            self.divisor & other.divisor,
            _hull(self.telling, other.telling),
            _hull(self.threshold, other.threshold),
            self.ones & other.ones if self.ones and other.ones else self.ones or other.ones,
        )

    def __or__(self, other: Use) -> Use:
        """The knowledge if one of two uses applies, as to the values that a selection takes."""
        return Use(
            self.limit | other.limit,
            self.divisor | other.divisor,
            _hull(self.telling, other.telling),
            _hull(self.threshold, other.threshold),
            self.ones & other.ones if self.ones and other.ones else self.ones or other.ones,
        )

    def map(self, function: Callable[[Interval], Interval]) -> Use:
        """The use of the tensor that this one is computed from. function: maps the ends of intervals."""
        return Use(
            function(self.limit),
            function(self.divisor),
            None if self.telling is None else function(self.telling),
            None if self.threshold is None else function(self.threshold),
        )

    def summed(self, count: int) -> Use:
        """The use of rows of items, of which there are so many, by that of their sums."""
        least, most = max(1.0, self.limit.low), min(float(count), self.limit.high)
        use = self.map(lambda i: Interval(i.low if i.low > 0 else i.low / count, i.high / count))
        return replace(use, ones=Interval(least, most)) if use != NO_USE and least <= most else use

    def interval(self) -> Interval | None:
        """The interval of the integers to draw; None if nothing is known."""
        if self == NO_USE:
            return None
        chosen = self.limit.rounded()
        preferred = self.telling if self.telling is not None or chosen != ANY else self.threshold
        for wish in (preferred, Interval(0, math.inf), self.divisor):  # lengths and positions are not negative
            narrowed = chosen if wish is None else (chosen & wish).rounded()
            chosen = narrowed if narrowed.count >= 2 else chosen
        if chosen == ANY or chosen.count < 1:
            return None
        low = chosen.low if math.isfinite(chosen.low) else min(0.0, chosen.high - DEFAULT_HIGHEST)
        high = chosen.high if math.isfinite(chosen.high) else low + DEFAULT_HIGHEST
        return Interval(low, high)


NO_USE = Use()


def _hull(a: Interval | None, b: Interval | None) -> Interval | None:
    """The smallest interval that contains both; None and empty ones do not count."""
    known = [interval for interval in (a, b) if interval is not None and interval.low <= interval.high]
    return reduce(or_, known) if known else None


@dataclass(frozen=True)
class InputRange:
    """The integers from low to high, both included.

    is_limit: does the model fail for others? ones: of masks, the least and the most ones that a row may begin with.
    """

    low: int
    high: int
    is_limit: bool
    ones: tuple[int, int] | None = None


def input_ranges(graph: Graph) -> list[InputRange | None]:
    """The range of integers that make sense for each input of an NNEF graph with shapes; None where it is not known.

    The operations must be sorted.
    """
    uses = _Uses()
    for op in reversed(graph.operations):
        uses.follow(op)
    found: list[InputRange | None] = []
    for tensor in graph.inputs:
        use = uses.of(tensor)
        interval = use.interval()
        is_limit = use.limit != ANY
        ones = None if use.ones is None or (tensor.rank or 0) < 2 else use.ones.rounded()
        if ones is not None and ones.count >= 1:
            found.append(InputRange(0, 1, is_limit, (int(ones.low), int(ones.high))))
        else:
            found.append(None if interval is None else InputRange(int(interval.low), int(interval.high), is_limit))
    return found


def ranges_by_name(
    inputs: Iterable[tuple[str, Any, bool]], found: Iterable[InputRange | None]
) -> dict[str, InputRange]:
    """Name -> range of the integers that make sense as values of an input, of those that hold integers or indices.

    inputs: name, numpy class (None if not known), and whether it holds codes of quantized values. found: their ranges.
    """
    ranges = {}
    for (name, item_class, is_coded), known in zip(inputs, found, strict=False):
        dtype: np.dtype[Any] = np.dtype(item_class or np.float32)
        if dtype.kind not in "iu":
            if known is not None and known.is_limit:  # floats that are converted to indices
                ranges[name] = known
            continue
        ends = np.iinfo(dtype)
        if known is not None and known.low <= ends.max and known.high >= ends.min:
            ranges[name] = replace(known, low=max(known.low, ends.min), high=min(known.high, ends.max))
        elif dtype.itemsize == 1 or is_coded:  # codes or pixels: every value occurs
            ranges[name] = InputRange(ends.min, ends.max, is_limit=False)
    return ranges


class _Uses:
    """Collects the uses of all tensors, from the last operation to the first.

    Uses that come through a selection are kept with it: each holds only for the items that the selection takes.
    """

    def __init__(self) -> None:
        self._uses: dict[Tensor, dict[Operation | None, Use]] = {}
        self._constants: dict[Tensor, Array | None] = {}

    def of(self, tensor: Tensor) -> Use:
        """The use of a tensor by the operations that were followed so far."""
        return reduce(and_, self._uses.get(tensor, {}).values(), NO_USE)

    def follow(self, op: Operation) -> None:
        """Notes the use of the inputs of an operation, after all readers of its results were followed."""
        rule = _RULES.get(str(op.type))
        if rule is not None:
            for tensor, use in rule(self, op):
                self._note(tensor, None, use)
        chosen = _chosen(op)
        if chosen:
            use = self.of(op.output)
            for tensor in chosen:
                self._note(tensor, op, use)
        for output in op.outputs:
            for selection, use in self._uses.get(output, {}).items():
                for tensor, moved in self._moved(op, use):
                    self._note(tensor, selection, moved)

    def _note(self, tensor: Tensor, selection: Operation | None, use: Use) -> None:
        uses = self._uses.setdefault(tensor, {})
        known = uses.get(selection)
        uses[selection] = use if known is None else known & use if selection is None else known | use

    def constant(self, tensor: Tensor) -> Array | None:
        """The items of a constant, even if it is moved or cast; None if it is computed from inputs, or large."""
        if tensor not in self._constants:
            self._constants[tensor] = self._find_constant(tensor)
        return self._constants[tensor]

    def _find_constant(self, tensor: Tensor) -> Array | None:
        producer = tensor.producer
        if (tensor.volume or 0) > MAX_CONSTANT_ITEMS or (producer is None and tensor.data is None):
            return None
        if producer is not None and producer.type in _MOVES:
            parts = [self.constant(item) for item in producer.inputs]  # the order of items does not matter
            known = [part.reshape(-1) for part in parts if part is not None]
            return np.concatenate(known) if known and len(known) == len(parts) else None
        if producer is not None and producer.type not in ("variable", "constant"):
            return None
        try:
            data = constant_data(tensor)
        except NnefToolsError:
            return None
        return data if data.dtype.kind in "biuf" and data.size else None

    def _moved(self, op: Operation, use: Use) -> Iterator[tuple[Tensor, Use]]:
        if op.type in _MOVES:
            last = 1 if op.type in _FIRST_IS_DATA else len(op.inputs)
            yield from ((tensor, use) for tensor in list(op.inputs)[:last])
        elif op.type in ("sum_reduce", "cum_sum"):
            count = _summed(op)
            if count:
                yield op.inputs[0], use.summed(count)
        elif op.type in _INVERSES:
            inverse = _INVERSES[str(op.type)]
            for k, tensor in enumerate(op.inputs):
                other = self.constant(op.inputs[1 - k]) if len(op.inputs) == 2 else None
                if op.type == "mul" and _is_mask(op.inputs[1 - k]):
                    yield tensor, use
                if other is not None and self.constant(tensor) is None:
                    items = other.astype(np.float64).reshape(-1)
                    yield tensor, use.map(partial(inverse, items=items, place=k))


def _chosen(op: Operation) -> Sequence[Tensor]:
    """The tensors between whose items an operation selects, also as a sum of products with masks."""
    if op.type == "select":
        return op.inputs[1:]
    products = [_before_moves(tensor) for tensor in op.inputs] if op.type == "add" else []
    masked = [item is not None and item.type == "mul" and any(map(_is_mask, item.inputs)) for item in products]
    return tuple(op.inputs) if masked and all(masked) else ()


def _is_mask(tensor: Tensor) -> bool:
    """Is the tensor a logical value as a number?"""
    producer = _before_moves(tensor)
    return producer is not None and producer.type in _LOGICAL


def _before_moves(tensor: Tensor) -> Operation | None:
    producer = tensor.producer
    while producer is not None and producer.type in ("cast", "reshape", "squeeze", "unsqueeze", "copy"):
        producer = producer.input.producer
    return producer


def _summed(op: Operation) -> int:
    shape = op.inputs[0].shape
    axes = op.attribs.get("axes", [op.attribs.get("axis", 0)])
    extents = [shape[axis] for axis in axes] if shape is not None else [None]
    return 0 if any(extent is None for extent in extents) else math.prod(extent or 0 for extent in extents)


def _each(interval: Interval, ends: Callable[[float], Array], decreasing: Array | bool) -> Interval:
    """The numbers that lie in the interval for every item of a constant. ends: maps an end, for each item."""
    with np.errstate(all="ignore"):
        low, high = ends(interval.low), ends(interval.high)
    low, high = np.where(decreasing, high, low), np.where(decreasing, low, high)
    if np.isnan(low).any() or np.isnan(high).any():
        return ANY
    return Interval(float(low.max()), float(high.min()))


def _add(interval: Interval, items: Array, place: int) -> Interval:
    return _each(interval, lambda end: end - items, False)


def _sub(interval: Interval, items: Array, place: int) -> Interval:
    if place == 0:
        return _each(interval, lambda end: end + items, False)
    return _each(interval, lambda end: items - end, True)


def _mul(interval: Interval, items: Array, place: int) -> Interval:
    return _each(interval, lambda end: end / items, items < 0)


def _div(interval: Interval, items: Array, place: int) -> Interval:
    return _each(interval, lambda end: end * items, items < 0) if place == 0 else ANY


def _min(interval: Interval, items: Array, place: int) -> Interval:
    return Interval(interval.low, math.inf if float(items.max()) <= interval.high else interval.high)


def _max(interval: Interval, items: Array, place: int) -> Interval:
    return Interval(-math.inf if float(items.min()) >= interval.low else interval.low, interval.high)


_INVERSES: Mapping[str, Callable[..., Interval]] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "min": _min, "max": _max,
}  # fmt: skip

_MOVES = frozenset({
    "copy", "cast", "reshape", "transpose", "squeeze", "unsqueeze", "slice", "concat", "stack", "split", "unstack",
    "tile", "pad", "gather", "gather_elements", "gather_nd", "floor", "ceil", "round",
})  # fmt: skip

_LOGICAL = frozenset({"lt", "gt", "le", "ge", "eq", "ne", "not", "and", "or"})

_FIRST_IS_DATA = frozenset({"gather", "gather_elements", "gather_nd"})

Rule = Callable[[_Uses, Operation], Iterator[tuple[Tensor, Use]]]


def _indexed(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    """The rule for indices along an axis of the first input."""
    shape, axis = op.inputs[0].shape, op.attribs.get("axis", 0)
    extent = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    if extent:
        yield op.inputs[1], Use(limit=Interval(0, extent - 1))


def _indexed_by_tuples(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    """The rule for tuples of indices: the smallest of the extents limits all."""
    shape, tuples = op.inputs[0].shape, op.inputs[1].shape
    first = int(op.attribs.get("batch_dims", 0))
    extents = None if shape is None or not tuples else shape[first : first + (tuples[-1] or 0)]
    known = [extent for extent in extents or () if extent]
    if extents and len(known) == len(extents):
        yield op.inputs[1], Use(limit=Interval(0, min(known) - 1))


def _shifted(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    yield op.inputs[1], Use(limit=Interval(0, 7))


def _divided(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    yield op.inputs[1], Use(divisor=Interval(1, math.inf))
    items = uses.constant(op.inputs[1])
    if items is not None and items.size == 1 and float(items.reshape(-1)[0]) > 1:
        yield op.inputs[0], Use(threshold=Interval(0, DEFAULT_HIGHEST * float(items.reshape(-1)[0])))


def _compared(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    for tensor, other in (tuple(op.inputs), tuple(op.inputs)[::-1]):
        items = uses.constant(other)
        if items is not None and np.isfinite(items).all():
            low, high = float(items.min()), float(items.max())
            within = Interval(low, high if low < high and op.type in ("eq", "ne") else high + 1)
            yield tensor, Use(telling=within) if low < high else Use(threshold=within)


def _clamped(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    low, high = (uses.constant(tensor) for tensor in op.inputs[1:])
    if low is not None and high is not None and float(low.min()) < float(high.max()):
        yield op.inputs[0], Use(telling=Interval(float(low.min()), float(high.max())))


def _scaled(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    for tensor, other in (tuple(op.inputs), tuple(op.inputs)[::-1]):
        items = uses.constant(other)
        if items is not None and items.size == 1 and abs(float(items.reshape(-1)[0])) >= MASK_FACTOR:
            yield tensor, Use(threshold=Interval(0, 1))


def _cast(uses: _Uses, op: Operation) -> Iterator[tuple[Tensor, Use]]:
    if op.attribs.get("dtype") is np.bool_ or op.output.dtype is np.bool_:
        yield op.inputs[0], Use(threshold=Interval(0, 1))


_RULES: Mapping[str, Rule] = {
    "gather": _indexed, "gather_elements": _indexed, "scatter_elements": _indexed,
    "gather_nd": _indexed_by_tuples, "scatter_nd": _indexed_by_tuples,
    "shift_left": _shifted, "shift_right": _shifted, "div": _divided, "mul": _scaled, "cast": _cast,
    "clamp": _clamped,
    **dict.fromkeys(("lt", "gt", "le", "ge", "eq", "ne"), _compared),
}  # fmt: skip

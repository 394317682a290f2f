"""Axes of which only those positions count that a mask tells: how values of data-dependent extent are carried.

A value whose number of rows depends on the data, such as what a boolean index selects, is a tensor with room for the
most rows there can be. `Masks.of` tells for which axes that is so, and the mask of each: a logical tensor, as long as
the axis. The positions that count, in their order, are the rows of the source; what the others hold is arbitrary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...budget import ask_constant
from ...errors import Unsupported
from ...model import Graph, Operation, Tensor
from ...ops.inference import evaluate
from ..maths.generated import filled, positions
from .operations import Operand, Operations

Array = np.ndarray[Any, Any]
AxisMasks = Mapping[int, Tensor]

MOVES = ("copy", "gather", "reshape", "slice", "squeeze", "tile", "transpose", "unsqueeze")
"""Operations whose result has items of their first operand, at places that do not depend on the data."""

_ALIKE = ("cast", "copy", "reshape", "squeeze", "unsqueeze")
_KEY_ITEMS = 1024


_EACH_COUNT = 1024
_SUMS = ("add", "sub", "neg", "mul")
_ARRANGING = ("cast", "concat", "stack", "split", "unstack", *MOVES)


class Counted(NamedTuple):
    """Integers that depend on how many positions of a mask count.

    values: `[len(counts), ..]`, for each of these counts. There are all of them, or, if the values change evenly, the
    lowest and the highest one.
    """

    values: Array
    counts: Array
    mask: Tensor

    @property
    def most(self) -> Array:
        """The highest values."""
        highest: Array = self.values.max(axis=0)
        return highest

    @property
    def least(self) -> Array:
        """The lowest values."""
        lowest: Array = self.values.min(axis=0)
        return lowest

    @property
    def varies(self) -> Array:
        """Which depend on the count?"""
        return np.asarray((self.values != self.values[:1]).any(axis=0))

    @property
    def beyond(self) -> Array:
        """How much higher than the count they are, for each count."""
        return np.asarray(self.values - self.counts.reshape(-1, *[1] * (self.values.ndim - 1)))

    @property
    def is_count(self) -> Array:
        """Which are the count itself?"""
        return np.asarray((self.beyond == 0).all(axis=0))


class MaskedOperations(Operations):
    """What masks need of the builder; see there."""

    graph: Graph
    masks: Masks

    def plain(self, name: str, *inputs: Operand | Sequence[Operand], **attribs: Any) -> Any:
        """Adds an operation on operands all of whose positions count."""
        raise NotImplementedError

    def constant(self, value: Any, dtype: Any = None, base: Tensor | None = None) -> Tensor:
        """A constant tensor."""
        raise NotImplementedError

    def cast(self, tensor: Tensor, dtype: Any) -> Tensor:
        """The tensor in another numpy scalar class."""
        raise NotImplementedError

    def evaluated(self, tensor: Tensor) -> Array | None:
        """The array of a tensor that is computed from constants, with all that does not count."""
        raise NotImplementedError

    def note_computed(self, tensor: Tensor) -> None:
        """Notes that a tensor is computed from constants only."""
        raise NotImplementedError


class Masks:
    """The axes of the tensors of a builder that have masks, and what follows from a mask.

    mixing: may the operator that is being converted combine the positions of an axis?
    """

    def __init__(self, builder: MaskedOperations) -> None:
        self._builder = builder
        self._masks: dict[Tensor, dict[int, Tensor]] = {}
        self._relative: dict[Tensor, Tensor] = {}
        self._counts: dict[Tensor, Tensor] = {}
        self._leading: dict[Any, Tensor] = {}
        self._derived: dict[tuple[Any, ...], Tensor] = {}
        self._ids: dict[Tensor, int] = {}
        self._known_ids: dict[Any, int] = {}
        self._sound: set[Tensor] = set()
        self.copies: list[Tensor] = []
        self.mixing = False

    def __bool__(self) -> bool:
        return bool(self._masks)

    def __contains__(self, x: object) -> bool:
        return x in self._masks

    def of(self, x: Tensor) -> AxisMasks:
        """Axis -> its mask, for those that have one."""
        return self._masks.get(x, {})

    def mark(self, x: Tensor, masks: AxisMasks, *, like: Tensor | None = None) -> Tensor:
        """Notes the masks of a tensor. like: the tensor whose items it has, if they are positions."""
        if masks:
            self._masks[x] = dict(masks)
            if like in self._relative:
                self._relative[x] = self._relative[like]
        return x

    # positions

    def held_constant(self, array: Array, masks: AxisMasks, relative: Tensor | None = None) -> Tensor:
        """A tensor with a known value and masks, which rules do not take for a constant."""
        x = self.held(self._builder.constant(array))
        self._builder.note_computed(x)
        if relative is not None:
            self._relative[x] = relative
        return self.mark(x, masks)

    def held(self, x: Tensor) -> Tensor:
        """The same tensor again, to have masks of its own. The copy is gone when the conversion is finished."""
        result = Tensor(self._builder.graph, shape=x.shape, dtype=x.dtype)
        Operation(self._builder.graph, type="copy", inputs=x, outputs=result)
        self.copies.append(result)
        return result

    def relative_to(self, x: Tensor) -> Tensor | None:
        """The mask of the axis that these are positions of, if they count all of its positions; else None."""
        return self._relative.get(x)

    def absolute(self, x: Tensor) -> Tensor:
        """Positions as the source has them: among those that count."""
        mask = self._relative.get(x)
        if mask is None:
            return x
        found = self._builder.plain("gather", self.rank(mask), self._builder.cast(x, np.int64), axis=0)
        return self.mark(self._builder.cast(found, x.dtype), self.of(x))

    def known(self, x: Tensor) -> Array | None:
        """The value of a tensor that is computed from constants, whether or not all of it counts."""
        return None if x in self._relative else self._builder.evaluated(x)

    def declare_sound(self, x: Tensor) -> Tensor:
        """Notes that positions which do not count are in range, too."""
        self._sound.add(x)
        return x

    def is_sound(self, x: Tensor) -> bool:
        """Are the items that do not count positions in range?"""
        while x not in self._sound:
            op = x.producer
            if op is None or op.type not in (*MOVES, "cast", "split", "unstack"):
                return False
            x = op.inputs[0]
        return True

    def is_uniform(self, x: Tensor, axis: int) -> bool:
        """Is the tensor a constant that is the same at all positions of the axis?"""
        value = self.known(x)
        if value is None:
            return False
        if value.strides[axis] == 0:
            return True
        return bool(np.array_equal(value, np.broadcast_to(np.take(value, [0], axis), value.shape)))

    def shaped(self, x: Tensor, extents: Sequence[int]) -> Tensor:
        """All items of a tensor in another shape; what has been reshaped to it, if that has the shape. No masks."""
        origin = x
        while origin.producer is not None and origin.producer.type == "reshape":
            origin = origin.producer.inputs[0]
        for known in (x, origin):
            if list(known.shape or ()) == list(extents) and known not in self._masks:
                return known
        result: Tensor = self._builder.plain("reshape", origin, shape=list(extents))
        return result

    def along(self, mask: Tensor, axis: int, rank: int) -> Tensor:
        """A mask in a shape that broadcasts along the other axes."""
        return self.shaped(mask, [_length(mask) if k == axis else 1 for k in range(rank)])

    # masks

    def mask_of(self, condition: Tensor, extent: int) -> Tensor:
        """A logical tensor as a mask: flat, the same one for equal conditions."""
        flat = self.shaped(condition, [extent])
        return self._derived.setdefault(("mask", self.key(flat)), flat)

    def leading(self, count: Tensor, extent: int) -> Tensor:
        """The mask of an axis on which the first positions count."""
        b = self._builder
        places = b.constant(positions(extent, np.float32))
        mask: Tensor = b.lt(places, b.cast(count, np.float32))
        self._leading[self.key(mask)] = count
        return mask

    def is_leading(self, mask: Tensor) -> bool:
        """Do the first positions count?"""
        return self.key(mask) in self._leading

    def same(self, one: Tensor, other: Tensor) -> bool:
        """Are the masks equal whatever the data?"""
        return one is other or self.key(one) == self.key(other)

    def count(self, mask: Tensor) -> Tensor:
        """How many positions count: an integer of rank 0."""
        key = self.key(mask)
        if key in self._leading:
            self._counts[self._leading[key]] = mask
            return self._leading[key]
        return self._once("count", mask, self._count)

    def _count(self, mask: Tensor) -> Tensor:
        b = self._builder
        total = b.sum_reduce(b.select(mask, 1.0, 0.0), axes=[0])
        result = b.squeeze(b.cast(total, np.int64), axes=[0])
        self._counts[result] = mask
        return result

    def rank(self, mask: Tensor) -> Tensor:
        """For each position that counts, how many count before it; 0 for the others."""
        return self._once("rank", mask, self._rank)

    def _rank(self, mask: Tensor) -> Tensor:
        b = self._builder
        before = b.cum_sum(b.select(mask, 1.0, 0.0), axis=0, exclusive=True)
        return b.cast(b.select(mask, before, 0.0), np.int64)

    def order(self, mask: Tensor) -> Tensor:
        """The positions that count, in front; 0 behind them. The inverse of `rank`."""
        return self._once("order", mask, self._order)

    def _order(self, mask: Tensor) -> Tensor:
        b, extent = self._builder, _length(mask)
        places = b.constant(positions(extent))
        target = b.select(mask, self.rank(mask), b.constant(extent, np.int64))
        room = b.constant(filled([extent + 1], 0, np.int64))
        listed = b.scatter_elements(room, target, places, axis=0)
        return self.declare_sound(b.slice(listed, axes=[0], begin=[0], end=[extent]))

    def _once(self, kind: str, mask: Tensor, make: Any) -> Tensor:
        key = (kind, self.key(mask))
        found = self._derived.get(key)
        if found is None or not (found.has_producer or found.data is not None):  # a trial may have been undone
            found = self._derived[key] = make(mask)
        return found

    def key(self, x: Tensor) -> tuple[int, bytes]:
        """Equal for tensors that are equal whatever the data: the tensor that the items come from, and their places."""
        moves: list[Operation] = []
        base = x
        while base.data is None and base.producer is not None and self._is_move(base.producer):
            moves.append(base.producer)
            base = base.producer.inputs[0]
        ask_constant(base.volume or 0, "the places of a mask")
        places = np.arange(base.volume or 0).reshape(base.shape or ())
        for op in reversed(moves):
            others = [np.asarray(t.data) for t in op.inputs[1:]]
            places = np.asarray(evaluate(str(op.type), [places, *others], op.attribs))
        return self._id(base), places.tobytes()

    def _is_move(self, op: Operation) -> bool:
        return op.type in MOVES and all(t.data is not None for t in op.inputs[1:])

    def _id(self, x: Tensor) -> int:
        """A number that is equal for tensors that are computed in the same way."""
        pending = [x]
        while pending:
            tensor = pending[-1]
            inputs = tensor.producer.inputs if tensor.data is None and tensor.producer is not None else ()
            missing = [t for t in inputs if t not in self._ids]
            if missing:
                pending.extend(missing)
                continue
            pending.pop()
            self._ids[tensor] = self._known_ids.setdefault(self._recipe(tensor), len(self._known_ids))
        return self._ids[x]

    def _recipe(self, x: Tensor) -> Any:
        if x.data is not None and (x.volume or 0) <= _KEY_ITEMS:
            array = np.asarray(x.data)
            return array.dtype, array.shape, array.tobytes()
        op = x.producer
        if x.data is not None or op is None or not op.inputs:
            return x
        place = list(op.outputs).index(x)
        return op.type, place, x.dtype, repr(op.attribs), *(self._ids[t] for t in op.inputs)

    # counts

    def extents(self, x: Tensor) -> Tensor:
        """The shape of a tensor as the source has it: a constant, unless an axis has a mask."""
        b, masks = self._builder, self.of(x)
        if not masks:
            return b.constant(np.asarray(x.shape, np.int64))
        parts = [
            b.unsqueeze(self.count(masks[k]), axes=[0]) if k in masks else b.constant([n], np.int64)
            for k, n in enumerate(x.shape or ())
        ]
        return parts[0] if len(parts) == 1 else b.plain("concat", parts, axis=0)

    def counted(self, x: Tensor) -> Counted | None:
        """The values of integers that are computed from constants and the count of one mask; None for anything else."""
        order: list[Operation] = []
        leaves: dict[Tensor, Tensor] = {}
        if not self._trace(x, order, leaves) or not leaves:
            return None
        masks = list(leaves.values())
        if any(not self.same(masks[0], mask) for mask in masks[1:]):
            return None
        extent = _length(masks[0])
        counts = np.arange(extent + 1) if extent <= _EACH_COUNT else np.asarray([0, extent])
        if _is_affine(order):
            first, last = (self._computed(x, order, leaves, count).astype(np.int64) for count in (0, extent))
            rise = (last - first) // max(extent, 1)
            values = first + counts.reshape(-1, *[1] * first.ndim) * rise
        elif extent <= _EACH_COUNT:
            values = np.stack([self._computed(x, order, leaves, int(count)) for count in counts]).astype(np.int64)
        else:
            return None
        return Counted(values, counts, masks[0])

    def _trace(self, x: Tensor, order: list[Operation], leaves: dict[Tensor, Tensor]) -> bool:
        """Fills in the operations from counts to the tensor, in order, and the counts. False if it needs other data."""
        seen: set[Tensor] = set()
        pending = [(x, False)]
        while pending:
            tensor, done = pending.pop()
            if done:
                assert tensor.producer is not None
                order.append(tensor.producer)
            elif tensor not in seen and tensor.data is None:
                seen.add(tensor)
                mask = self._counts.get(tensor) or self._summed(tensor)
                if mask is not None:
                    leaves[tensor] = mask
                elif tensor in self._masks or tensor.producer is None or not tensor.producer.inputs:
                    return False
                else:
                    pending.append((tensor, True))
                    pending.extend((t, False) for t in tensor.producer.inputs)
        return True

    def _summed(self, x: Tensor) -> Tensor | None:
        """The mask whose positions that count have been counted by a sum; None if the tensor is no such sum."""
        op = x.producer
        if op is None or op.type != "sum_reduce" or x.volume != 1 or op.attribs.get("normalize"):
            return None
        source = op.inputs[0]
        while source.dtype is not np.bool_:
            before = source.producer
            if before is None or before.type not in _ALIKE:
                return None
            source = before.inputs[0]
        return None if source in self._masks else self.mask_of(source, source.volume or 0)

    def _computed(self, x: Tensor, order: list[Operation], leaves: Mapping[Tensor, Tensor], count: int) -> Array:
        values: dict[Tensor, Array] = {t: np.full(t.shape or (), count, t.dtype) for t in leaves}
        with np.errstate(all="ignore"):  # a count of 0 may be a divisor
            self._compute(order, values)
        return np.asarray(values[x])

    def _compute(self, order: list[Operation], values: dict[Tensor, Array]) -> None:
        for op in order:
            arrays = [np.asarray(values[t] if t.data is None else t.data) for t in op.inputs]
            results = evaluate(str(op.type), arrays if isinstance(op.inputs, tuple) else [arrays], op.attribs)
            listed = results if isinstance(results, (tuple, list)) else [results]
            values.update((t, np.asarray(a).astype(t.dtype)) for t, a in zip(op.outputs, listed, strict=True))

    def with_extents(self, x: Tensor, extents: Tensor, counted: Counted) -> Tensor:
        """A tensor that was brought to computed extents, aligned on the right, with its masks."""
        b, own = self._builder, list(x.shape or ())
        flat = counted.varies.reshape(-1)
        masks = dict(self.of(x))
        for k in np.flatnonzero(flat):
            axis = len(own) - len(flat) + int(k)
            if axis in masks or own[axis] != counted.most.reshape(-1)[k]:
                continue
            if counted.is_count.reshape(-1)[k] and own[axis] == _length(counted.mask):
                masks[axis] = counted.mask
            else:
                actual = b.gather(b.reshape(extents, shape=[-1]), b.constant(int(k), np.int64), axis=0)
                masks[axis] = self.leading(actual, own[axis] or 0)
        if masks == self.of(x):
            return x
        value = self.known(x)
        return self.held_constant(value, masks) if value is not None else self.mark(self.held(x), masks)

    # alignment

    def brought(self, x: Tensor, axis: int, mask: Tensor) -> Tensor:
        """A tensor with its rows along the axis where another mask, of as many positions, has its own."""
        b, own = self._builder, self.of(x)[axis]
        if self.same(own, mask):
            return x
        index = self.rank(mask)
        if not self.is_leading(own):
            index = b.gather(self.order(own), self.limited(index, _length(own)), axis=0)
        else:
            index = self.limited(index, _length(own))
        found = b.plain("gather", x, index, axis=axis)
        return self.mark(found, {**self.of(x), axis: mask})

    def limited(self, index: Tensor, extent: int) -> Tensor:
        """Positions below the length of the index, at most the last one of an axis of that extent."""
        b = self._builder
        if _length(index) <= extent:
            return index
        return b.cast(b.min(b.cast(index, np.float32), float(extent - 1)), np.int64)

    def packed(self, x: Tensor) -> Tensor:
        """A tensor with the rows that count in front, and zeros behind them."""
        b, rank = self._builder, len(x.shape or ())
        for axis, mask in self.of(x).items():
            if not self.is_leading(mask):
                x = b.plain("gather", x, self.order(mask), axis=axis)
                mask = self.leading(self.count(mask), _length(mask))
            x = b.plain("select", self.along(mask, axis, rank), x, b.constant(np.zeros((), x.dtype)))
        return x

    def masked(self, x: Tensor, axes: Any, fill: Any) -> Tensor:
        """The tensor with a value at the positions of the axes that do not count. The result has no masks on them."""
        b, rank = self._builder, len(x.shape or ())
        own = self.of(x)
        for axis in (k for k in axes if k in own):
            x = b.plain("select", self.along(own[axis], axis, rank), x, b.constant(fill, x.dtype))
        return x

    def refuse(self, what: str) -> Unsupported:
        """The refusal of what cannot be done with rows whose number is not known."""
        return Unsupported(f"the number of its rows depends on the data, and {what}")


def _is_affine(order: Sequence[Operation]) -> bool:
    """Do results of operations from counts to integers change evenly with the counts?"""
    for op in order:
        exact: tuple[Any, ...] = (np.int32, np.int64)  # sums of real numbers may have a fraction, which casts drop
        if op.type in _ARRANGING:
            exact = (*exact, np.float32, np.float64)
        elif op.type not in _SUMS:
            return False
        fixed = [t.data is not None for t in op.inputs]
        if any(t.dtype not in exact for t in op.outputs):
            return False
        if (op.type == "mul" and not any(fixed)) or (op.type in MOVES and not all(fixed[1:])):
            return False
    return True


def _length(mask: Tensor) -> int:
    return mask.volume or 0

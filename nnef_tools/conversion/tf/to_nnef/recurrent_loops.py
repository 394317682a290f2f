"""While loops of recurrent layers, as Keras and TensorFlow 1 write them, as one operation each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from ....errors import NnefToolsError
from ....model import Graph, Operation, Tensor
from ....model.dtypes import is_float
from ...building.lists import TensorList
from ...building.nnef import Builder
from ...compose.recurrences import Cell, Step, layer, recognize

MAX_STATES = 3
"""Hidden state, cell state, and the last output, which loops with masks carry."""


def recurrent_layer(b: Builder, state: Sequence[Any], cond: Graph, body: Graph) -> list[Any] | None:
    """The final values of a loop that only steps a known cell through a sequence; None for other loops.

    Operations that were added for the attempt are removed.
    """
    if b.standard_only:
        return None
    start, warnings, rounded = len(b.graph.operations), dict(b.warnings), set(b.rounded)
    loop, b.steps, steps = _Loop(b, cond, body), copy(b.steps), b.steps
    try:
        results = loop.run(state)
    except NnefToolsError:  # unrolling meets the same error and reports it
        results = None
    tried = b.graph.operations[start:]
    is_layer = results is not None and not _others_escape(loop, results, tried)
    b.graph.remove_operations(tried, unlink=True)
    b.warnings, b.rounded, b.steps = warnings, rounded, steps
    if results is None or not is_layer:
        return None
    first = dict(zip(loop.stand_ins, (state[k] for k in loop.carried), strict=True))
    made = layer(b, loop.cells[0], loop.items, first)
    return [_replaced(loop, value, made) for value in results]


class _Loop:
    """Runs a loop with stand-ins for the states that it carries, as long as every step is the same cell."""

    def __init__(self, b: Builder, cond: Graph, body: Graph) -> None:
        self._b, self._cond, self._body = b, cond, body
        self.cells: list[Cell] = []
        self.items: list[Tensor] = []
        self.carried: list[int] = []
        self.stand_ins: list[Tensor] = []  # of the first step
        self.hidden: list[Tensor] = []  # the hidden state after each step
        self.memory: Tensor | None = None  # the cell state after the last one

    def run(self, state: Sequence[Any]) -> list[Any] | None:
        """The values of the loop's variables at its end, or None."""
        assert self._b.inline is not None
        if not self._goes_on(state):
            return None
        probe = self._b.inline(self._body, state)
        self.carried = [k for k, (old, new) in enumerate(zip(state, probe, strict=True)) if _is_carried(old, new)]
        if not 1 <= len(self.carried) <= MAX_STATES:
            return None
        values = list(state)
        while going := self._goes_on(values):
            self._b.steps.take()
            begin = len(self._b.graph.operations)
            stand_ins = [self._stand_in(state[k]) for k in self.carried]
            for k, stand_in in zip(self.carried, stand_ins, strict=True):
                values[k] = stand_in
            results = list(self._b.inline(self._body, values))
            self.stand_ins = self.stand_ins or stand_ins
            made = {output for op in self._b.graph.operations[begin:] for output in op.outputs}
            states: dict[Tensor, Any] = dict(zip(stand_ins, (results[k] for k in self.carried), strict=True))
            if not self._add(states, made):
                return None
            values = results
        return values if going is False and len(self.cells) > 1 else None

    def _goes_on(self, values: Sequence[Any]) -> bool | None:
        """Does the condition hold? None if that depends on the data."""
        assert self._b.inline is not None
        test = self._b.inline(self._cond, values)[0]
        known = None if test is None else self._b.value(test)
        return None if known is None or known.size != 1 else bool(known.reshape(()))

    def _stand_in(self, like: Tensor) -> Tensor:
        return Tensor(self._b.graph, shape=like.shape, dtype=like.dtype)

    def _add(self, states: dict[Tensor, Tensor], made: Collection[Tensor]) -> bool:
        """Looks at one more step; False if it is not a cell, or differs from the earlier ones."""
        leaves = _leaves(states.values(), states, made)
        given = [leaf for leaf in leaves if leaf not in states]
        if len(given) != 1 or given[0].rank != 2:
            return False
        cell = recognize(Step(given[0], {state: new for state, new in states.items() if state in leaves}))
        if cell is None or (self.cells and not cell.same_as(self.cells[0])):
            return False
        self.cells.append(cell)
        self.items.append(cell.item)
        self.hidden.append(states[cell.hidden])
        self.memory = None if cell.memory is None else states[cell.memory]
        return True


def _is_carried(old: Any, new: Any) -> bool:
    both = isinstance(old, Tensor) and isinstance(new, Tensor) and old is not new
    return both and old.rank == 2 and old.shape == new.shape and is_float(old.dtype) and is_float(new.dtype)


def _leaves(results: Iterable[Tensor], states: Collection[Tensor], made: Collection[Tensor]) -> list[Tensor]:
    """The tensors, other than constants, that the results of a step are computed from: states and given ones."""
    seen = dict.fromkeys(results)
    leaves = []
    pending = list(seen)
    while pending:
        tensor = pending.pop()
        if tensor in made and tensor.producer is not None:
            new = [t for t in tensor.producer.inputs if t not in seen]
            seen.update(dict.fromkeys(new))
            pending.extend(new)
        elif tensor.data is None or tensor in states:
            leaves.append(tensor)
    return leaves


def _others_escape(loop: _Loop, values: Sequence[Any], tried: Sequence[Operation]) -> bool:
    """Does the loop leave anything that it has computed but hidden states and the last cell state?"""
    made = {output for op in tried for output in op.outputs} - {*loop.hidden, loop.memory}
    return any(part in made for value in values for part in _parts(value))


def _parts(value: Any) -> tuple[Any, ...]:
    return value.items if isinstance(value, TensorList) else (value,)


def _replaced(loop: _Loop, value: Any, made: dict[Any, Any]) -> Any:
    """A value at the end of the loop, in terms of the results of the layer."""
    first = loop.cells[0]
    last = {loop.hidden[-1]: made[first.hidden]}
    if first.memory is not None and loop.memory is not None:
        last[loop.memory] = made[first.memory]
    steps = dict(zip(loop.hidden, made["steps"], strict=True))
    if isinstance(value, TensorList):
        ends = last if value.items == (loop.hidden[-1],) else {}
        items = tuple(None if item is None else ends.get(item, steps.get(item, item)) for item in value.items)
        return replace(value, items=items)
    return last.get(value, steps.get(value, value)) if isinstance(value, Tensor) else value

"""Loops that are recurrent layers, recognized by what one step computes: `lstm_layer`, `gru_layer`, `rnn_layer`.

The step of a loop is looked at as NNEF operations, with stand-ins for the states that it carries, so that it does not
matter which source format or library wrote it. Its gates are functions of sums of products; `_Affine` is such a sum, as
matrices for the item of the sequence and for the hidden state. Anything that does not match exactly is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...model import Operation, Tensor
from ..building.nnef import Builder
from ..building.quantized import QuantizedArray
from ..building.shapes import shape, squeeze, transpose, unsqueeze

ndarray = np.ndarray[Any, Any]

ROWS = {"lstm_layer": 4, "gru_layer": 3, "rnn_layer": 1}
"""How many gates the weights of a layer hold."""

VIEWS = ("reshape", "squeeze", "unsqueeze")
"""Operations whose result has the same items in the same order."""


@dataclass(frozen=True)
class Step:
    """One step of a loop. item: what it reads of the sequence, `[batch, inputs]`. states: stand-ins for what the step
    before gave, `[batch, hidden]`, with what this one gives."""

    item: Tensor
    states: dict[Tensor, Tensor]


@dataclass(frozen=True)
class Cell:
    """The computation of a step. hidden, memory: the stand-ins of the hidden state and, of an LSTM, of the cell state.

    gates: a sum for each gate in the order of the layer's rows; of a GRU the last one twice, for the item and for the
    state, if linear_before_reset.
    """

    name: str
    item: Tensor
    hidden: Tensor
    memory: Tensor | None
    gates: tuple[_Affine, ...]
    attribs: dict[str, bool] = field(default_factory=dict)

    def same_as(self, other: Cell) -> bool:
        """Do both compute the same from their own items and states?"""
        return (
            (self.name, self.attribs, len(self.gates)) == (other.name, other.attribs, len(other.gates))
            and all(
                _equal(one.matrix(mine), two.matrix(theirs))
                for one, two in zip(self.gates, other.gates, strict=True)
                for mine, theirs in ((self.item, other.item), (self.hidden, other.hidden))
            )
            and all(_equal(one.bias, two.bias) for one, two in zip(self.gates, other.gates, strict=True))
        )


@dataclass(frozen=True)
class _Affine:
    """A sum of products and a bias, `[batch, width]`: of each tensor with a matrix `[its width, width]`.

    None stands for the identity matrix, and for no bias. base: the constant that the first matrix is part of.
    """

    width: int
    terms: dict[Tensor, ndarray | None]
    bias: ndarray | None = None
    bases: dict[Tensor, Tensor] = field(default_factory=dict)

    @property
    def has_identity(self) -> bool:
        return any(matrix is None for matrix in self.terms.values())

    def matrix(self, source: Tensor) -> ndarray | None:
        return self.terms.get(source)

    def columns(self, begin: int, end: int) -> _Affine | None:
        """Part of the result; None of an identity, which has no columns to pick from."""
        if self.has_identity:
            return None
        terms: dict[Tensor, ndarray | None] = {
            source: matrix[:, begin:end] for source, matrix in self.terms.items() if matrix is not None
        }
        return _Affine(end - begin, terms, None if self.bias is None else self.bias[begin:end], self.bases)

    def plus(self, other: _Affine) -> _Affine | None:
        """The sum; None if both have a product with the same tensor."""
        if self.width != other.width or self.terms.keys() & other.terms.keys():
            return None
        bias = other.bias if self.bias is None else self.bias if other.bias is None else self.bias + other.bias
        return _Affine(self.width, self.terms | other.terms, bias, self.bases | other.bases)


def _equal(one: ndarray | None, two: ndarray | None) -> bool:
    if one is None or two is None:
        return one is two
    same = one.shape == two.shape and one.strides == two.strides and one.ctypes.data == two.ctypes.data
    return same or np.array_equal(one, two)


def recognize(step: Step) -> Cell | None:
    """The cell that a step is, or None."""
    states = list(step.states)
    if not 1 <= len(states) <= 2:
        return None
    for hidden in states:
        matched = _lstm(step, hidden) if len(states) == 2 else _gru(step, hidden) or _rnn(step, hidden)
        if matched is not None:
            return matched
    return None


def _lstm(step: Step, hidden: Tensor) -> Cell | None:
    """h' = sigmoid(o) * tanh(c'), c' = sigmoid(f) * c + sigmoid(i) * tanh(g)."""
    memory = next(state for state in step.states if state is not hidden)
    new = step.states[memory]
    sums = _Sums(step.item, hidden)
    for left, right in _operands(step.states[hidden], "mul"):
        if _operand(right, "tanh") is not new:
            continue
        for kept, added in _operands(new, "add"):
            for forget, state in _operands(kept, "mul"):
                for enter, candidate in _operands(added, "mul") if state is memory else ():
                    inner = [
                        _operand(enter, "sigmoid"),
                        _operand(left, "sigmoid"),
                        _operand(forget, "sigmoid"),
                        _operand(candidate, "tanh"),
                    ]
                    gates = sums.of_all(inner)
                    if gates is not None:
                        return Cell("lstm_layer", step.item, hidden, memory, gates)
    return None


def _gru(step: Step, hidden: Tensor) -> Cell | None:
    """h' = z * h + (1 - z) * n, with n = tanh(x + r * h) of sums or n = tanh of a sum with r * h."""
    for kept, added in _operands(step.states[hidden], "add"):
        for keep, state in _operands(kept, "mul"):
            for rest, candidate in _operands(added, "mul") if state is hidden else ():
                inner = _operand(candidate, "tanh")
                if inner is not None and _is_complement(rest, keep):
                    found = _gru_candidate(step, hidden, _operand(keep, "sigmoid"), inner)
                    if found is not None:
                        return found
    return None


def _gru_candidate(step: Step, hidden: Tensor, update: Tensor | None, inner: Tensor) -> Cell | None:
    sums = _Sums(step.item, hidden)
    for ours, reset_one in _operands(inner, "add"):
        for reset, theirs in _operands(reset_one, "mul"):
            gates = sums.of_all([update, _operand(reset, "sigmoid"), ours, theirs])
            if gates is None or hidden in gates[2].terms or step.item in gates[3].terms:
                continue
            return Cell("gru_layer", step.item, hidden, None, gates, {"linear_before_reset": True})
    for product in _products(inner):
        for reset, state in _operands(product, "mul"):
            first = sums.of_all([update, _operand(reset, "sigmoid")]) if state is hidden else None
            last = _Sums(step.item, product).of_all([inner])
            if first is not None and last is not None:
                renamed = _Affine(
                    last[0].width,
                    {hidden if source is product else source: matrix for source, matrix in last[0].terms.items()},
                    last[0].bias,
                    {hidden if source is product else source: base for source, base in last[0].bases.items()},
                )
                return Cell("gru_layer", step.item, hidden, None, (*first, renamed), {"linear_before_reset": False})
    return None


def _rnn(step: Step, hidden: Tensor) -> Cell | None:
    """h' = tanh or relu of a sum."""
    for function in ("tanh", "relu"):
        gates = _Sums(step.item, hidden).of_all([_operand(step.states[hidden], function)])
        if gates is not None:
            return Cell("rnn_layer", step.item, hidden, None, gates, {"rectified": function == "relu"})
    return None


def _operand(x: Tensor | None, type: str) -> Tensor | None:
    """The operand of the unary operation of that type that gives x, else None."""
    return x.producer.inputs[0] if x is not None and x.producer is not None and x.producer.type == type else None


def _operands(x: Tensor, type: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Both orders of the operands of the operation that gives x, if it is that one."""
    if x.producer is not None and x.producer.type == type:
        left, right = x.producer.inputs
        yield left, right
        yield right, left


def _is_complement(x: Tensor, other: Tensor) -> bool:
    """Is x = 1 - other?"""
    if x.producer is None or x.producer.type != "sub":
        return False
    one, subtracted = x.producer.inputs
    return subtracted is other and one.data is not None and bool(np.all(np.asarray(one.data) == 1))


def _products(x: Tensor) -> Iterator[Tensor]:
    """The elementwise products that are factors in the matrix products of a sum."""
    pending = [x]
    while pending:
        op = pending.pop().producer
        if op is not None and op.type == "mul":
            yield op.output
        elif op is not None and op.type in ("add", "matmul", "split", "slice", "concat", *VIEWS):
            pending.extend(op.inputs)


class _Sums:
    """Reads tensors as sums of products of the item and of the hidden state with constants."""

    def __init__(self, item: Tensor, hidden: Tensor) -> None:
        self._leaves = (item, hidden)
        self._found: dict[Tensor, _Affine | None] = {}

    def of_all(self, tensors: Sequence[Tensor | None]) -> tuple[_Affine, ...] | None:
        """All of them, if they are such sums, and none has a product with the identity."""
        sums = [None if tensor is None else self._of(tensor) for tensor in tensors]
        complete = tuple(s for s in sums if s is not None and not s.has_identity)
        return complete if len(complete) == len(sums) else None

    def _of(self, x: Tensor) -> _Affine | None:
        if x not in self._found:
            self._found[x] = self._read(x)
        return self._found[x]

    def _read(self, x: Tensor) -> _Affine | None:
        if x in self._leaves:
            return _Affine(shape(x)[1], {x: None})
        op = x.producer
        readers: dict[str, Callable[[Operation], _Affine | None]] = {
            "add": self._sum,
            "matmul": self._product,
            "slice": self._slice,
        }
        if op is None or len(shape(x)) != 2:
            return None
        if op.type == "split":
            return self._split(op, x)
        if op.type in VIEWS:
            return self._of_view(op, x)
        reader = readers.get(str(op.type))
        return None if reader is None else reader(op)

    def _of_view(self, op: Operation, x: Tensor) -> _Affine | None:
        """The tensor of which a chain of views has the same shape again, as in loops over a batch of one."""
        source = op.inputs[0]
        while shape(source) != shape(x):
            if source.producer is None or source.producer.type not in VIEWS:
                return None
            source = source.producer.inputs[0]
        return self._of(source)

    def _sum(self, op: Operation) -> _Affine | None:
        for one, two in _operands(op.output, "add"):
            read = self._of(one) if one.data is None else None
            if read is not None and two.data is not None:
                bias = _as_bias(two, read.width)
                return None if bias is None else read.plus(_Affine(read.width, {}, bias))
        left, right = (self._of(x) for x in op.inputs)
        return None if left is None or right is None else left.plus(right)

    def _product(self, op: Operation) -> _Affine | None:
        left, weights = op.inputs
        if weights.data is None or len(shape(weights)) != 2 or op.attribs.get("transposeA"):
            return None
        if isinstance(weights.data, QuantizedArray):  # a layer would not keep the codes
            return None
        matrix = np.asarray(weights.data)
        return self._times(left, matrix.T if op.attribs.get("transposeB") else matrix, weights)

    def _times(self, left: Tensor, matrix: ndarray, weights: Tensor) -> _Affine | None:
        if left in self._leaves:
            return _Affine(matrix.shape[1], {left: matrix}, None, {left: weights})
        op = left.producer
        if op is None or op.type != "concat" or op.attribs["axis"] != 1:
            return None
        total: _Affine | None = None
        begin = 0
        for part in op.inputs:
            end = begin + shape(part)[1]
            read = self._times(part, matrix[begin:end], weights)
            total = read if total is None or read is None else total.plus(read)
            if total is None:
                return None
            begin = end
        return total

    def _split(self, op: Operation, x: Tensor) -> _Affine | None:
        read = self._of(op.inputs[0])
        if read is None or op.attribs["axis"] != 1:
            return None
        begin = sum(shape(part)[1] for part in op.outputs[: list(op.outputs).index(x)])
        return read.columns(begin, begin + shape(x)[1])

    def _slice(self, op: Operation) -> _Affine | None:
        read = self._of(op.inputs[0])
        stride = op.attribs.get("stride") or [1]
        if read is None or list(op.attribs["axes"]) != [1] or list(stride) != [1]:
            return None
        begin = int(op.attribs["begin"][0]) % read.width
        return read.columns(begin, begin + shape(op.output)[1])


def _as_bias(x: Tensor, width: int) -> ndarray | None:
    """A constant that is added to each row of a batch, `[width]`."""
    array = np.asarray(x.data)
    if array.size == 1:
        return np.full(width, array.reshape(()), array.dtype)
    return array.reshape(width) if array.ndim == 2 and array.shape == (1, width) else None


# the layer


def layer(b: Builder, cell: Cell, items: Sequence[Tensor], first: dict[Tensor, Tensor]) -> dict[str, Any]:
    """The operation that does what the cell does with all items of a sequence.

    items: each `[batch, inputs]`, in the order of the steps. first: the first states by stand-in. Result: "steps", the
    hidden state `[batch, hidden]` after each step, in their order, and by stand-in the last states.
    """
    x, reverse = _sequence(b, items)
    hidden = shape(cell.hidden)[1]
    rows = ROWS[cell.name]
    gates = cell.gates[:rows]
    after = cell.gates[rows:]  # the part of a GRU's new gate that the reset gate is a factor of
    w = [_rows(gate, cell.item, shape(cell.item)[1]) for gate in gates]
    r = [_rows(gate, cell.hidden, hidden) for gate in (*gates[: rows - len(after)], *after)]
    bias = [_bias(gate) for gate in gates]
    inner = [np.zeros_like(part) for part in bias[: rows - len(after)]] + [_bias(gate) for gate in after]
    states = [cell.hidden] if cell.memory is None else [cell.hidden, cell.memory]
    results = b.op(
        cell.name,
        x,
        b.constant(np.concatenate(w)[None], base=_base(gates, cell.item)),
        b.constant(np.concatenate(r)[None], base=_base((*gates, *after), cell.hidden)),
        b.constant(np.concatenate([*bias, *inner])[None]),
        *(unsqueeze(b, first[state], [0]) for state in states),
        steps=len(items),
        reverse=reverse,
        bidirectional=False,
        **cell.attribs,
    )
    whole = squeeze(b, results[0], [1])
    outputs = list(b.unstack(whole, axis=0)) if len(items) > 1 else [squeeze(b, whole, [0])]
    found: dict[Any, Any] = {"steps": outputs[::-1] if reverse else outputs}
    for state, result in zip(states, results[1:], strict=True):
        found[state] = squeeze(b, result, [0])
    return found


def _sequence(b: Builder, items: Sequence[Tensor]) -> tuple[Tensor, bool]:
    """The sequence `[steps, batch, inputs]` that the items come from, and whether they are in reverse order."""
    op = items[0].producer
    if op is not None and op.type == "unstack" and len(op.outputs) == len(items):
        whole = op.inputs[0]
        axis = int(op.attribs["axis"])
        order = [axis, *(k for k in range(3) if k != axis)]
        if list(op.outputs) == list(items):
            return transpose(b, whole, order), False
        if list(op.outputs) == list(items)[::-1]:
            return transpose(b, whole, order), True
    return b.stack(list(items), axis=0), False


def _rows(gate: _Affine, source: Tensor, width: int) -> ndarray:
    matrix = gate.matrix(source)
    return np.zeros((gate.width, width), np.float32) if matrix is None else matrix.T


def _bias(gate: _Affine) -> ndarray:
    return np.zeros(gate.width, np.float32) if gate.bias is None else gate.bias


def _base(gates: Sequence[_Affine], source: Tensor) -> Tensor | None:
    """The constant that all matrices of the source are part of."""
    bases = {gate.bases[source] for gate in gates if source in gate.bases}
    return bases.pop() if len(bases) == 1 else None

"""Fusion of recurrent operators: of two directions into one operator, and of changes of the order of their axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model import Graph, Operation, Tensor

_BOTH = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "BIDIRECTIONAL_SEQUENCE_RNN",
}
SEQUENCES = frozenset((*_BOTH, *_BOTH.values()))
"""The operators with a sequence `[time, batch, ..]` or `[batch, time, ..]` as input and output."""

_LSTM_INPUTS = 20  # without normalization
_LSTM_WEIGHTS = 17
_RNN_WEIGHTS = 3
_SWAPPED = [1, 0, 2]


def fuse_order(graph: Graph, op: Operation) -> bool:
    """Where time and batch change places before and behind the operator, it can take them as they are."""
    return _fuse_order(graph, op, op.outputs)


def _fuse_order(graph: Graph, op: Operation, results: Sequence[Tensor]) -> bool:
    """The same for these results, which may be those of a later operator with the same axes."""
    swap, given = op.inputs[0].producer, op.inputs[0]
    if swap is None or not _swaps(swap) or _only_reader(graph, given) is not op:
        return False
    found = [reader for y in results if (reader := _only_reader(graph, y)) is not None and _swaps(reader)]
    if len(found) < len(results):
        return False
    x, wanted = swap.inputs[0], {reader.inputs[0]: reader.output for reader in found}
    graph.remove_operations([swap, *found], unlink=True)
    for later in {y.producer for y in results if y.producer is not None}:
        later.outputs = tuple(wanted[y] for y in later.outputs)
    for y in op.outputs:
        if y not in wanted.values() and y.shape is not None:
            y.shape = (y.shape[1], y.shape[0], *y.shape[2:])
    op.inputs = (x, *op.inputs[1:])
    op.attribs = {**op.attribs, "time_major": not op.attribs.get("time_major")}
    graph.remove_tensors([given, *wanted])
    return True


def _only_reader(graph: Graph, tensor: Tensor) -> Operation | None:
    is_inner = tensor not in graph.outputs and len(tensor.consumers) == 1 and not tensor.quant
    return tensor.consumers[0] if is_inner else None


def _swaps(op: Operation) -> bool:
    """Do only the first two of three axes change places?"""
    x, y = op.inputs[0], op.outputs[0]
    if op.custom or op.type not in ("RESHAPE", "TRANSPOSE") or x.rank != 3 or x.shape is None or y.shape is None:
        return False
    if op.type == "TRANSPOSE":
        return op.inputs[1].data is not None and np.asarray(op.inputs[1].data).tolist() == _SWAPPED
    return tuple(y.shape) == (x.shape[1], x.shape[0], x.shape[2]) and 1 in x.shape[:2]


def fuse_directions(graph: Graph, op: Operation) -> bool:
    """A layer, and the same behind a reversal of time, with its results reversed, are a layer in both directions."""
    back = op.inputs[0].producer
    if back is None or back.type not in _BOTH or _only_reader(graph, op.inputs[0]) is not op:
        return False
    reversal = back.inputs[0].producer
    if reversal is None or reversal.type != "REVERSE_V2" or _only_reader(graph, back.inputs[0]) is not back:
        return False
    axis = 0 if back.attribs.get("time_major") else 1
    if any(other.custom or _axes(other) != [axis] for other in (op, reversal)):
        return False
    forth = next((other for other in reversal.inputs[0].consumers if _is_twin(other, back)), None)
    if forth is None or reversal.inputs[0] is not forth.inputs[0]:
        return False
    options = {key: value for key, value in back.attribs.items() if key != "diagonal_recurrent_tensors"}
    inputs, outputs = _both_inputs(graph, forth, back), (forth.output, op.output)
    between = [back.inputs[0], op.inputs[0]]
    graph.remove_operations([reversal, back, op], unlink=True)
    graph.remove_tensors(between)
    forth.type, forth.attribs = _BOTH[str(forth.type)], {**options, "merge_outputs": False}
    forth.inputs, forth.outputs = inputs, outputs
    return True


def _axes(op: Operation) -> list[int] | None:
    data = op.inputs[1].data
    return None if data is None else [int(k) % 3 for k in np.asarray(data).reshape(-1)]


def _is_twin(op: Operation, other: Operation) -> bool:
    """Is it another layer of the same kind, in float32 and without normalization?"""
    if op is other or op.custom or (op.type, op.attribs) != (other.type, other.attribs):
        return False
    if len(op.inputs) != len(other.inputs) or (op.type == "UNIDIRECTIONAL_SEQUENCE_LSTM") != (
        len(op.inputs) == _LSTM_INPUTS
    ):
        return False
    if op.attribs.get("diagonal_recurrent_tensors"):
        return False
    return all(t.dtype is np.float32 and not t.quant for t in (*op.inputs, *other.inputs, *op.outputs))


def _both_inputs(graph: Graph, forth: Operation, back: Operation) -> tuple[Tensor, ...]:
    missing = next((t for t in forth.inputs if t.name == "" and not t.has_producer), None)
    if missing is None:
        missing = Tensor(graph, "", (), np.float32, np.zeros((), np.float32))
    if len(forth.inputs) == _LSTM_INPUTS:
        weights = (*forth.inputs[1 : _LSTM_WEIGHTS + 1], *back.inputs[1 : _LSTM_WEIGHTS + 1])
        states = (*forth.inputs[_LSTM_WEIGHTS + 1 :], *back.inputs[_LSTM_WEIGHTS + 1 :])
        return (forth.inputs[0], *weights, *states, *[missing] * 9)
    return (*forth.inputs, *back.inputs[1:], *[missing] * 3)


def fuse_results(graph: Graph, op: Operation) -> bool:
    """The results of both directions, joined, are one result.

    Not of several sequences by LSTM whose first axis is the batch: LiteRT mixes the results of these up.
    """
    layer = op.inputs[0].producer
    if layer is None or layer.custom or layer.type not in _BOTH.values() or list(layer.outputs) != list(op.inputs):
        return False
    rank, axis = op.output.rank or 0, op.attribs.get("axis", 0)
    if any(_only_reader(graph, y) is not op for y in layer.outputs) or axis % max(rank, 1) != rank - 1:
        return False
    if op.attribs.get("fused_activation_function", "NONE") != "NONE" or op.output.quant:
        return False
    if _fuse_order(graph, layer, op.outputs):
        return True
    is_batch_first = not layer.attribs.get("time_major") and (op.output.shape or (None,))[0] != 1
    if is_batch_first and layer.type == "BIDIRECTIONAL_SEQUENCE_LSTM":
        return False
    between = list(layer.outputs)
    result = op.output
    graph.remove_operation(op, unlink=True)
    layer.outputs = (result,)
    layer.attribs = {**layer.attribs, "merge_outputs": True}
    graph.remove_tensors(between)
    return True

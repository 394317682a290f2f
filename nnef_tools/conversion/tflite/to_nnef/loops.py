"""Sequences in loops, as TensorFlow's converter writes lists: tensors of which a step reads one item, or writes one.

They become lists again, whose items are tensors, so that recurrent layers are recognized as in TensorFlow's loops, and
no step copies a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Graph, Operation, Tensor
from ....model.copying import copy_graph
from ...building.lists import TensorList, parts, stacked
from ...building.nnef import Builder
from ...building.shapes import shape

GET_ITEM, SET_ITEM = "TensorListGetItem", "TensorListSetItem"


def with_lists(cond: Graph, body: Graph) -> tuple[Graph, set[int], set[int]]:
    """A body with lists, and the positions of those that it reads and that it writes. The body itself without any."""
    result = copy_graph(body)
    read, written = set(), set()
    for k, tensor in enumerate(result.inputs):
        if tensor.rank is None or tensor.rank < 2 or tensor.quant or cond.inputs[k].has_consumer:
            continue
        if result.outputs[k] is tensor and _read(result, tensor):
            read.add(k)
        elif _written(result, tensor, result.outputs[k]) or _rewritten(result, tensor, result.outputs[k]):
            written.add(k)
    result.sort()
    return (result, read, written) if read or written else (body, read, written)


def _read(body: Graph, sequence: Tensor) -> bool:
    """Makes reads of list items of all uses of a sequence, if these are all such reads."""
    uses = list(sequence.consumers)
    if body.outputs.count(sequence) != 1 or not uses or not all(_is_read(op, sequence) for op in uses):
        return False
    for op in uses:
        _replace(body, op, GET_ITEM, op.inputs)
    return True


def _is_read(op: Operation, sequence: Tensor) -> bool:
    options = {key: value for key, value in op.attribs.items() if value}
    return op.type == "GATHER" and not options and op.inputs[0] is sequence and op.inputs[1].rank == 0


def _written(body: Graph, sequence: Tensor, result: Tensor) -> bool:
    """Makes the write of a list item of what replaces an item of a sequence: parts before and behind it, joined."""
    join = result.producer
    if join is None or join.type != "CONCATENATION" or join.attribs.get("axis", 0) or len(join.inputs) != 3:
        return False
    before, middle, behind = (tensor.producer for tensor in join.inputs)
    if before is None or middle is None or behind is None or (before.type, behind.type) != ("SLICE", "SLICE"):
        return False
    if {*sequence.consumers} != {before, behind} or middle.type != "RESHAPE" or result.has_consumer:
        return False
    if before.inputs[0] is not sequence or behind.inputs[0] is not sequence or body.outputs.count(result) != 1:
        return False
    index, following = _first_of(before.inputs[2], -1), _first_of(behind.inputs[1], 0)
    item = middle.inputs[0]
    if index is None or following is None or not _is_next(following, index) or item.shape != (sequence.shape or ())[1:]:
        return False
    if not _is_filled(before.inputs[1], 0) or not _is_filled(behind.inputs[2], -1):
        return False
    _replace(body, join, SET_ITEM, (sequence, index, item))
    for part in (before, behind):
        body.remove_operation(part, unlink=True)
    return True


def _rewritten(body: Graph, sequence: Tensor, result: Tensor) -> bool:
    """Makes the write of a list item of what replaces a sequence of one item, for the last step to stay."""
    reshaped = result.producer
    if reshaped is None or reshaped.type != "RESHAPE" or sequence.has_consumer or result.has_consumer:
        return False
    extents, item = sequence.shape or (), reshaped.inputs[0]
    if extents != (1, *(item.shape or ())) or body.outputs.count(result) != 1:
        return False
    index = Tensor(body, "first", (), np.int32, np.zeros((), np.int32))
    _replace(body, reshaped, SET_ITEM, (sequence, index, item))
    return True


def _first_of(vector: Tensor, others: int) -> Tensor | None:
    """The scalar at the begin of a vector whose other items have that value."""
    join = vector.producer
    if join is None or join.type != "CONCATENATION" or len(join.inputs) != 2 or not _is_filled(join.inputs[1], others):
        return None
    first = join.inputs[0].producer
    return first.inputs[0] if first is not None and first.type == "RESHAPE" and first.inputs[0].rank == 0 else None


def _is_filled(tensor: Tensor, value: int) -> bool:
    return tensor.data is not None and bool(np.all(np.asarray(tensor.data) == value))


def _is_next(following: Tensor, index: Tensor) -> bool:
    add = following.producer
    if add is None or add.type != "ADD" or add.attribs.get("fused_activation_function", "NONE") != "NONE":
        return False
    others = [tensor for tensor in add.inputs if tensor is not index]
    return len(others) == 1 and _is_filled(others[0], 1)


def _replace(body: Graph, op: Operation, type: str, inputs: Sequence[Tensor]) -> None:
    outputs, inputs = op.outputs, tuple(inputs)
    body.remove_operation(op, unlink=True)
    Operation(body, type=type, inputs=inputs, outputs=tuple(outputs))


def as_list(b: Builder, sequence: Tensor, *, written: bool) -> TensorList:
    """The items of a sequence; none if it is all zeros and will be written."""
    count, *extents = shape(sequence)
    value = b.value(sequence) if written else None
    if value is not None and not np.any(value):
        return TensorList((None,) * count, sequence.dtype, tuple(extents))
    return TensorList(parts(b, sequence), sequence.dtype, tuple(extents))


def as_sequence(b: Builder, items: TensorList) -> Tensor:
    """The items of a list as a tensor."""
    return stacked(b, items.all_items(b), items.dtype, items.extents)

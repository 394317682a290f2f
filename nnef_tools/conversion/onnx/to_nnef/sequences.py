"""Sequences, whose length and items are known when the model is converted: splits, joins and choices of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....budget import ask_results
from ....errors import Unsupported
from ....model import Graph, Tensor
from ...building.lists import TensorList, parts, stacked
from ...building.nnef import Builder
from ...compose.slicing import joined, split_sizes
from ...engine.rules import Array, Int, to_nnef
from ..common import dtype_of, positive, reshape, shape


def _items(sequence: Any) -> list[Tensor]:
    """The items of a sequence. Unsupported for other values."""
    if not isinstance(sequence, TensorList):
        raise Unsupported("a sequence is expected, but a tensor is given")
    if sequence.varies:
        hint = "let the model fill a tensor of constant extents"
        raise Unsupported(f"the length of a list depends on the data: up to {len(sequence.items)} items", hint=hint)
    return [item for item in sequence.items if item is not None]


def _sequence(items: list[Tensor], like: Tensor | None = None) -> TensorList:
    """A sequence of at least one item, or of the type of another one."""
    return TensorList(tuple(items), items[0].dtype if like is None else like.dtype)


def _place(position: int, count: int, last: int) -> int:
    """A position in a sequence of `count` items, counted from the end if it is negative. last: the highest one."""
    if not -count <= position <= last:
        raise Unsupported(f"position {position} of a sequence of {count} items")
    return position + count if position < 0 else position


@to_nnef("onnx", "SequenceEmpty", since=11)
def sequence_empty(b: Builder, *, dtype: int | None = None) -> TensorList:
    """SequenceEmpty: a sequence without items, of float32 by default."""
    return TensorList((), np.float32 if dtype is None else dtype_of(dtype))


@to_nnef("onnx", "SequenceConstruct", since=11)
def sequence_construct(b: Builder, x: Tensor, *xs: Tensor) -> TensorList:
    """SequenceConstruct: the tensors as a sequence."""
    return _sequence([x, *xs])


@to_nnef("onnx", "SequenceInsert", since=11)
def sequence_insert(b: Builder, sequence: Tensor, x: Tensor, position: Int | None = None) -> TensorList:
    """SequenceInsert: the sequence with one more item, at the end by default."""
    items = _items(sequence)
    if items and items[0].dtype is not x.dtype:
        raise Unsupported(f"{x.dtype.__name__} in a sequence of {items[0].dtype.__name__}")
    k = len(items) if position is None else _place(position, len(items), len(items))
    return _sequence([*items[:k], x, *items[k:]])


@to_nnef("onnx", "SequenceErase", since=11)
def sequence_erase(b: Builder, sequence: Tensor, position: Int | None = None) -> TensorList:
    """SequenceErase: the sequence without an item, the last one by default."""
    items = _items(sequence)
    del items[_place(-1 if position is None else position, len(items), len(items) - 1)]
    return _sequence(items, like=sequence)


@to_nnef("onnx", "SequenceAt", since=11)
def sequence_at(b: Builder, sequence: Tensor, position: Tensor) -> Tensor:
    """SequenceAt: the item itself; a gather if the position is computed, which takes items of one shape."""
    items = _items(sequence)
    known = b.value(position)
    if known is not None:
        return items[_place(int(known.reshape(())), len(items), len(items) - 1)]
    shapes = {tuple(shape(item)) for item in items}
    if len(shapes) != 1:
        raise Unsupported(f"the shape of the item depends on the data: the position is computed, {len(items)} items "
                          f"have {len(shapes)} different shapes")  # fmt: skip
    index = reshape(b, position, [])
    index = b.select(b.lt(index, 0), b.add(index, len(items)), index)
    return b.gather(stacked(b, items), index, axis=0)


@to_nnef("onnx", "SequenceLength", since=11)
def sequence_length(b: Builder, sequence: Tensor) -> Tensor:
    """SequenceLength: known when the model is converted."""
    return b.constant(len(_items(sequence)), np.int64)


@to_nnef("onnx", "ConcatFromSequence", since=11)
def concat_from_sequence(b: Builder, sequence: Tensor, *, axis: int, new_axis: int = 0) -> Tensor:
    """ConcatFromSequence -> concat, or stack for a new axis; nothing for a tensor that has been split so."""
    items = _items(sequence)
    if not items:
        raise Unsupported("a sequence without items is concatenated: the result has no shape")
    if new_axis:
        return stacked(b, items, axis=axis)
    source = items[0].producer
    is_whole = source is not None and source.type == "split" and list(source.outputs) == items
    if source is not None and is_whole and source.attribs["axis"] == positive(axis, len(shape(items[0]))):
        return source.inputs[0]
    return joined(b, items, axis)


@to_nnef("onnx", "SplitToSequence", since=11)
def split_to_sequence(
    b: Builder, x: Tensor, split: Array | None = None, *, axis: int = 0, keepdims: int = 1
) -> TensorList:
    """SplitToSequence -> split into parts of these extents, or of one extent; unstack if the axis is dropped.

    ONNX drops it only where `split` is left out; the number 1 counts as that, as in onnxruntime and for PyTorch.
    """
    k = positive(axis, len(shape(x)))
    extent = shape(x)[k]
    if split is not None and split.ndim:
        return TensorList(tuple(split_sizes(b, x, split.tolist(), k)), x.dtype)
    part = 1 if split is None else int(split)
    if part < 1:
        raise Unsupported(f"parts of extent {part}")
    ask_results(-(-extent // part))
    if part == 1 and not keepdims:
        return TensorList(parts(b, x, k), x.dtype)
    sizes = [min(part, extent - begin) for begin in range(0, extent, part)]
    return TensorList(tuple(split_sizes(b, x, sizes, k)), x.dtype)


@to_nnef("onnx", "SequenceMap", since=17)
def sequence_map(b: Builder, sequence: Tensor, *others: Tensor, body: Graph) -> list[TensorList]:
    """SequenceMap: the body is repeated for each item. others: sequences of the same length, or tensors."""
    assert b.inline is not None
    count = len(_items(sequence))
    given = [_items(x) if isinstance(x, TensorList) else [x] * count for x in (sequence, *others)]
    if any(len(items) != count for items in given):
        raise Unsupported(f"sequences of {[len(items) for items in given]} items")
    if not count:
        raise Unsupported("the body is applied to a sequence without items")
    results = []
    for arguments in zip(*given, strict=True):
        b.steps.take(1, len(b.graph.operations))
        results.append([t for t in b.inline(body, arguments) if t is not None])
    return [_sequence(list(items)) for items in zip(*results, strict=True)]

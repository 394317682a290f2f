"""TensorList and TensorArray: lists of tensors that loops read and fill, known item by item during conversion.

A list is not a tensor of the target graph: rules pass `TensorList` objects on, and only what is read from them has
operations. Positions must be constant, as they are in a loop that is unrolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.lists import TensorList, parts, stacked, unwritten
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.slicing import split_sizes
from ...engine.rules import Array, Int, Ints, to_nnef


def _as_list(value: Any) -> TensorList:
    """A list of which all items are used. Unsupported if their number is not known."""
    values = _accessed(value)
    if values.varies:
        raise Unsupported("the length of a list depends on the data")
    return values


def _accessed(value: Any) -> TensorList:
    """A list of which one item is read or written."""
    if not isinstance(value, TensorList):
        raise Unsupported("an operator on lists got something else")
    return value


def _extents(element_shape: Sequence[int | None] | None) -> tuple[int, ...] | None:
    if element_shape is None:
        return None
    known = tuple(-1 if n is None else int(n) for n in element_shape)
    return None if any(n < 0 for n in known) else known


def _known_extents(element_shape: Array) -> tuple[int, ...] | None:
    """The extents of items; a scalar -1 stands for any extents."""
    return None if element_shape.ndim == 0 else _extents(element_shape.tolist())


# TensorList


@to_nnef("tf", "TensorListReserve")
def tensor_list_reserve(
    b: Builder, element_shape: Array, num_elements: Int, *, element_dtype: Any, shape_type: Any = None
) -> TensorList:
    """TensorListReserve: a list of that length."""
    return TensorList(unwritten(num_elements), element_dtype, _known_extents(element_shape))


@to_nnef("tf", "EmptyTensorList")
def empty_tensor_list(
    b: Builder, element_shape: Array, max_num_elements: Int, *, element_dtype: Any, shape_type: Any = None
) -> TensorList:
    """EmptyTensorList: a list without items."""
    return TensorList((), element_dtype, _known_extents(element_shape))


@to_nnef("tf", "TensorListFromTensor")
def tensor_list_from_tensor(b: Builder, x: Tensor, element_shape: Array) -> TensorList:
    """TensorListFromTensor: the parts along the first axis."""
    return TensorList(parts(b, x), x.dtype, tuple(shape(x)[1:]))


@to_nnef("tf", "TensorListSplit")
def tensor_list_split(b: Builder, x: Tensor, element_shape: Array, lengths: Ints) -> TensorList:
    """TensorListSplit: parts of these lengths along the first axis."""
    return TensorList(tuple(split_sizes(b, x, lengths, 0)), x.dtype)


@to_nnef("tf", "TensorListStack")
def tensor_list_stack(
    b: Builder, items: Tensor, element_shape: Array, *, element_dtype: Any = None, num_elements: int = -1
) -> Tensor:
    """TensorListStack -> stack."""
    values = _as_list(items)
    return stacked(b, values.all_items(b), values.dtype, values.extents or _known_extents(element_shape))


@to_nnef("tf", "TensorListGetItem")
def tensor_list_get_item(
    b: Builder, items: Tensor, index: Int, element_shape: Array | None = None, *, element_dtype: Any = None
) -> Tensor:
    """TensorListGetItem: the item itself."""
    values = _accessed(items)
    if values.extents is None and element_shape is not None:
        values = replace(values, extents=_known_extents(element_shape))
    return values.item(b, index)


@to_nnef("tf", "TensorListSetItem")
def tensor_list_set_item(
    b: Builder, items: Tensor, index: Int, item: Tensor, *, resize_if_index_out_of_bounds: bool = False
) -> TensorList:
    """TensorListSetItem: the list with another item."""
    values = _accessed(items)
    if resize_if_index_out_of_bounds and index >= len(values.items):
        values = replace(values, items=values.items + unwritten(index + 1 - len(values.items)))
    return values.with_item(index, item)


@to_nnef("tf", "TensorListLength")
def tensor_list_length(b: Builder, items: Tensor) -> Tensor:
    """TensorListLength: known when the model is converted."""
    return b.constant(len(_as_list(items).items), np.int32)


@to_nnef("tf", "TensorListElementShape")
def tensor_list_element_shape(b: Builder, items: Tensor, *, shape_type: Any = np.int32) -> Tensor:
    """TensorListElementShape, as far as it is known."""
    extents = _as_list(items).extents
    return b.constant(-1 if extents is None else extents, shape_type)


@to_nnef("tf", "TensorListPushBack")
def tensor_list_push_back(b: Builder, items: Tensor, item: Tensor, *, element_dtype: Any = None) -> TensorList:
    """TensorListPushBack: the list with one more item."""
    values = _as_list(items)
    return TensorList((*values.items, item), values.dtype, values.extents)


@to_nnef("tf", "TensorListPopBack")
def tensor_list_pop_back(
    b: Builder, items: Tensor, element_shape: Array, *, element_dtype: Any = None
) -> tuple[TensorList, Tensor]:
    """TensorListPopBack: the list without its last item, and that."""
    values = _as_list(items)
    if not values.items:
        raise Unsupported("an item is taken from an empty list")
    last = values.item(b, len(values.items) - 1)
    return TensorList(values.items[:-1], values.dtype, values.extents), last


@to_nnef("tf", "TensorListResize")
def tensor_list_resize(b: Builder, items: Tensor, size: Int) -> TensorList:
    """TensorListResize: cut, or longer by items that are not written."""
    values = _as_list(items)
    return TensorList((values.items + unwritten(size - len(values.items)))[:size], values.dtype, values.extents)


@to_nnef("tf", "TensorListGather")
def tensor_list_gather(
    b: Builder, items: Tensor, indices: Ints, element_shape: Array, *, element_dtype: Any = None
) -> Tensor:
    """TensorListGather -> stack of some items."""
    values = _as_list(items)
    return stacked(b, [values.item(b, k) for k in indices], values.dtype, values.extents)


@to_nnef("tf", "TensorListScatterV2")
def tensor_list_scatter(
    b: Builder, x: Tensor, indices: Ints, element_shape: Array, num_elements: Int, *, shape_type: Any = None
) -> TensorList:
    """TensorListScatterV2: a list with the parts of a tensor at these positions."""
    count = num_elements if num_elements >= 0 else max(indices, default=-1) + 1
    return _written(b, TensorList(unwritten(count), x.dtype, tuple(shape(x)[1:])), indices, x)


@to_nnef("tf", "TensorListScatterIntoExistingList")
def tensor_list_scatter_into(
    b: Builder, items: Tensor, x: Tensor, indices: Ints, *, element_dtype: Any = None
) -> TensorList:
    """TensorListScatterIntoExistingList."""
    return _written(b, _as_list(items), indices, x)


def _written(b: Builder, values: TensorList, indices: Sequence[int], x: Tensor) -> TensorList:
    for index, item in zip(indices, parts(b, x), strict=True):
        values = values.with_item(index, item)
    return values


@to_nnef("tf", "TensorListConcatV2")
def tensor_list_concat(
    b: Builder, items: Tensor, element_shape: Array, leading_dims: Array, *, element_dtype: Any = None
) -> tuple[Tensor, Tensor]:
    """TensorListConcatV2 -> concat along the first axis; also the extents that the items have there."""
    return _joined(b, _as_list(items))


def _joined(b: Builder, values: TensorList) -> tuple[Tensor, Tensor]:
    parts = values.all_items(b)
    lengths = b.constant([shape(item)[0] for item in parts], np.int64)
    return (parts[0] if len(parts) == 1 else b.concat(parts, axis=0)), lengths


# TensorArray: the flow value, which orders reads and writes in TensorFlow, carries the list


@to_nnef("tf", "TensorArrayV3")
def tensor_array(
    b: Builder,
    size: Int,
    *,
    dtype: Any,
    element_shape: Sequence[int | None] | None = None,
    dynamic_size: bool = False,
    clear_after_read: bool = True,
    identical_element_shapes: bool = False,
    tensor_array_name: str = "",
) -> tuple[TensorList, TensorList]:
    """TensorArrayV3: a list of that length, as handle and as flow."""
    values = TensorList(unwritten(size), dtype, _extents(element_shape))
    return values, values


@to_nnef("tf", "TensorArrayReadV3")
def tensor_array_read(b: Builder, handle: Tensor, index: Int, flow: Tensor, *, dtype: Any = None) -> Tensor:
    """TensorArrayReadV3: the item itself."""
    return _accessed(flow).item(b, index)


@to_nnef("tf", "TensorArrayWriteV3")
def tensor_array_write(b: Builder, handle: Tensor, index: Int, item: Tensor, flow: Tensor) -> TensorList:
    """TensorArrayWriteV3: the list with another item, longer if need be."""
    values = _accessed(flow)
    if index >= len(values.items):
        values = replace(values, items=values.items + unwritten(index + 1 - len(values.items)))
    return values.with_item(index, item)


@to_nnef("tf", "TensorArrayScatterV3")
def tensor_array_scatter(b: Builder, handle: Tensor, indices: Ints, x: Tensor, flow: Tensor) -> TensorList:
    """TensorArrayScatterV3: the parts of a tensor written to these positions."""
    return _written(b, _as_list(flow), indices, x)


@to_nnef("tf", "TensorArrayGatherV3")
def tensor_array_gather(
    b: Builder, handle: Tensor, indices: Ints, flow: Tensor, *, dtype: Any = None, element_shape: Any = None
) -> Tensor:
    """TensorArrayGatherV3 -> stack of some items."""
    values = _as_list(flow)
    extents = values.extents or _extents(element_shape)
    return stacked(b, [values.item(b, k) for k in indices], values.dtype, extents)


@to_nnef("tf", "TensorArraySizeV3")
def tensor_array_size(b: Builder, handle: Tensor, flow: Tensor) -> Tensor:
    """TensorArraySizeV3: known when the model is converted."""
    return b.constant(len(_as_list(flow).items), np.int32)


@to_nnef("tf", "TensorArrayConcatV3")
def tensor_array_concat(
    b: Builder, handle: Tensor, flow: Tensor, *, dtype: Any = None, element_shape_except0: Any = None
) -> tuple[Tensor, Tensor]:
    """TensorArrayConcatV3 -> concat along the first axis."""
    return _joined(b, _as_list(flow))


@to_nnef("tf", "TensorArraySplitV3")
def tensor_array_split(b: Builder, handle: Tensor, x: Tensor, lengths: Ints, flow: Tensor) -> TensorList:
    """TensorArraySplitV3 -> split along the first axis."""
    if sum(lengths) != shape(x)[0] or min(lengths, default=1) < 1:
        raise Unsupported(f"lengths {lengths} for shape {shape(x)}")
    parts = (x,) if len(lengths) == 1 else tuple(b.split(x, axis=0, ratios=lengths))
    return TensorList(parts, x.dtype)


@to_nnef("tf", "TensorArrayCloseV3")
def tensor_array_close(b: Builder, handle: Tensor) -> tuple[()]:
    """TensorArrayCloseV3: nothing to do."""
    return ()

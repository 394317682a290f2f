"""Folds multiplication and addition per channel into the weights of a linear operation before or after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...model import Graph, Operation, Tensor
from ...ops.broadcast import align
from ...ops.precision import is_floating
from .editor import Argument, Array, Editor, attributes, narrowed, real

SEQUENCE = ("add", "sub", "mul", "div", "neg", "batch_normalization")


@dataclass(frozen=True)
class Affine:
    """The function y = x * scale + offset, with constants (float64) that are broadcast as NNEF does.

    sources: the constants as they are stored, which determine the type of results. scales, offsets: the constants that
    were given as scale or offset, to be replaced (see `Editor.make_constant`).
    """

    x: Tensor
    scale: Array
    offset: Array
    sources: tuple[Array, ...] = ()
    scales: tuple[Argument, ...] = ()
    offsets: tuple[Argument, ...] = ()


def affine(operation: Operation, editor: Editor) -> Affine | None:
    """The operation as a multiplication and addition of constants, if it is one.

    add, sub, mul (with the constant on either side), div by a constant, neg, and
    batch_normalization: scale / sqrt(variance + epsilon), offset - mean * scale / sqrt(variance + epsilon).
    """
    if operation.type not in SEQUENCE or len(operation.outputs) != 1:
        return None
    zero, one = np.zeros(()), np.ones(())
    if operation.type == "neg":
        return Affine(operation.input, -one, zero)
    if operation.type == "batch_normalization":
        return _normalization(operation, editor)
    x, y = operation.inputs
    for tensor, other, is_left in ((x, y, True), (y, x, False)):
        data = editor.value(other)
        constant = real(data) if data is not None else None
        given = ((operation, other),)
        if data is None or constant is None or editor.value(tensor) is not None:
            continue
        if operation.type == "mul":
            return Affine(tensor, constant, zero, (data,), scales=given)
        if operation.type == "add":
            return Affine(tensor, one, constant, (data,), offsets=given)
        if operation.type == "sub":
            return Affine(tensor, one if is_left else -one, -constant if is_left else constant, (data,), offsets=given)
        if is_left and (constant != 0).all():
            return Affine(tensor, 1 / constant, zero, (data,), scales=given)
    return None


def _normalization(operation: Operation, editor: Editor) -> Affine | None:
    stored = [editor.value(tensor) for tensor in operation.inputs[1:]]
    data = tuple(value for value in stored if value is not None)
    values = [value for value in map(real, data) if value is not None]
    if len(values) != 4:
        return None
    mean, variance, offset, scale = align(*values)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + attributes(operation)["epsilon"])
        shift = offset - mean * factor
    offsets, scales = (((operation, tensor),) for tensor in operation.inputs[3:5])
    return Affine(operation.inputs[0], factor, shift, data, scales, offsets)


def along(array: Array, tensor: Tensor, axis: int) -> Array | None:
    """The constant as a vector along an axis of the tensor, with one item if it is the same everywhere.

    None if it varies along other axes too, or would extend the tensor's shape.
    """
    if array.ndim == 0:
        return array.reshape(1)
    shape = tensor.shape
    if shape is None or array.ndim > len(shape) or array.size not in (1, shape[axis]):
        return None
    if array.size > 1 and (array.ndim <= axis or array.shape[axis] != array.size):
        return None
    return array.reshape(-1)


# positions of the channels in the weights


def _rows(weights: Array, factors: Array) -> Array:
    """Channels lie along the first dimension of the filter."""
    return np.asarray(weights * factors.reshape(-1, *(1,) * (weights.ndim - 1)))


def _columns(weights: Array, factors: Array) -> Array:
    """Channels lie along the second dimension, group after group, where groups are segments of the first."""
    groups = factors.size // weights.shape[1]
    grouped = weights.reshape(groups, -1, *weights.shape[1:])
    factors = factors.reshape(groups, 1, weights.shape[1], *(1,) * (weights.ndim - 2))
    return np.asarray((grouped * factors).reshape(weights.shape))


def _repeated(weights: Array, factors: Array) -> Array:
    """Channels lie along the first dimension of a depth-wise filter, each in the same number of consecutive rows."""
    return _rows(weights, np.repeat(factors, weights.shape[0] // factors.size))


Place = tuple[int, Callable[[Array, Array], Array]]


@dataclass(frozen=True)
class Linear:
    """The inputs of a linear operation: those with the channels of its results and of its input, and the bias."""

    results: Place
    sources: Place
    bias: int


LINEAR: dict[str, Linear] = {
    "conv": Linear((1, _rows), (1, _columns), 2),
    "deconv": Linear((1, _columns), (1, _rows), 2),
    "separable_conv": Linear((2, _rows), (1, _repeated), 3),
    "separable_deconv": Linear((1, _repeated), (2, _rows), 3),
    "linear": Linear((1, _rows), (1, _columns), 2),
}


def _scaled(
    place: Place, weights: Array, factors: Array, channels: int | None, sources: Sequence[Array]
) -> Array | None:
    """The weights with each channel scaled; the array itself for factors of 1, which saves copies of large ones.

    None if the number of channels is unknown or does not fit, or the result does not fit into the type of the sources.
    """
    if not _fits(place, weights, factors, channels):
        return None
    return weights if (factors == 1).all() else narrowed(_product(place, weights, factors), weights, *sources)


def _product(place: Place, weights: Array, factors: Array) -> Array:
    """The weights with each channel scaled, as float64."""
    values = weights.astype(np.float64)
    return np.asarray(values * factors.reshape(())) if factors.size == 1 else place[1](values, factors)


def _fits(place: Place, weights: Array, factors: Array, channels: int | None) -> bool:
    """Is there a factor for each channel, or one for all?"""
    if factors.size == 1:
        return True
    scale = place[1]
    if scale is _rows:
        channels = weights.shape[0]
    per_row = weights.shape[1] if scale is _columns else 1
    return channels == factors.size and channels % per_row == 0 and weights.shape[0] % (channels // per_row) == 0


def _channels(tensor: Tensor) -> int | None:
    return tensor.shape[1] if tensor.shape is not None and len(tensor.shape) > 1 else None


# The two rewrites


def fold_affine(graph: Graph) -> int:
    """Replaces linear -> t -> affine -> y by linear -> y, and x -> affine -> t -> linear -> y by x -> linear -> y.

    linear: conv, deconv, separable_conv, separable_deconv, linear, matmul with constant weights.
    affine: add, sub, mul, div, neg, batch_normalization with constants that vary by channel or not at all.

    After: w' = w * scale per output channel, bias' = bias * scale + offset.
    Before: w' = w * scale per input channel; for conv and linear, bias' = bias + the response to the offset. The border
    of a conv continues the scaled tensor, so an offset is only folded if no zeros are padded to it.
    batch_normalization is linear in this sense as well: scale' = scale * s, offset' = offset * s + o.
    matmul has no bias: a scale is folded, and a matmul of matrices with an offset per column becomes `linear`.

    t must have no other use, and must not be quantized.
    """
    editor = Editor(graph)
    count = 0
    for operation in graph.operations:
        function = affine(operation, editor) if operation.graph is graph else None
        if function is not None:
            count += _fold_after(operation, function, editor) or _fold_before(operation, function, editor)
    return editor.finish(count)


def _fold_after(operation: Operation, function: Affine, editor: Editor) -> bool:
    linear = function.x.producer
    if linear is None or not editor.is_private(function.x):
        return False
    if linear.type == "matmul":
        done = _scale_matmul_results(linear, function, editor)
    elif linear.type == "batch_normalization":
        done = _scale_normalization(linear, function, editor)
    else:
        done = linear.type in LINEAR and _scale_results(linear, function, editor)
    if done:
        result = operation.output
        editor.graph.remove_operation(operation, unlink=True)
        linear.outputs = (result,)
        editor.graph.remove_tensor(function.x)
    return done


def _fold_before(operation: Operation, function: Affine, editor: Editor) -> bool:
    result = operation.output
    linear = result.consumer
    if linear is None or not editor.is_private(result) or sum(tensor is result for tensor in linear.inputs) != 1:
        return False
    if linear.inputs[0] is not result:
        return False
    if linear.type == "matmul":
        done = _scale_matmul_source(linear, function, editor)
    else:
        done = linear.type in LINEAR and _scale_source(linear, function, editor)
    if done:
        linear.inputs = (function.x, *linear.inputs[1:])
        editor.remove(operation)
    return done


def _weights(operation: Operation, index: int, editor: Editor) -> Array | None:
    """The weights as they are stored, if they are constants of a floating-point type."""
    data = editor.value(operation.inputs[index])
    return data if data is not None and data.ndim > 1 and is_floating(data.dtype) else None


def _bias(operation: Operation, index: int, editor: Editor) -> Array | None:
    """The bias, [1, C] or a single item, as a vector; 0 if it is not given, None if it is not constant."""
    if index >= len(operation.inputs):
        return np.zeros(1)
    data = editor.value(operation.inputs[index])
    values = real(data) if data is not None else None
    if values is None or not (values.size == 1 or (values.ndim > 1 and values.shape[1] == values.size)):
        return None
    return values.reshape(-1)


def _as_bias(vector: Array, *sources: Array) -> Array | None:
    return narrowed(vector.reshape(() if vector.size == 1 else (1, -1)), *sources)


def _scale_results(linear: Operation, function: Affine, editor: Editor) -> bool:
    place, index = LINEAR[linear.type or ""].results, LINEAR[linear.type or ""].bias
    scale, offset = (along(array, function.x, 1) for array in (function.scale, function.offset))
    weights, bias = _weights(linear, place[0], editor), _bias(linear, index, editor)
    if weights is None or bias is None or scale is None or offset is None:
        return False
    filters = _scaled(place, weights, scale, _channels(function.x), function.sources)
    shifted = _as_bias(bias * scale + offset, weights, *function.sources)
    if filters is None or shifted is None:
        return False
    _store(linear, place[0], filters, weights, editor)
    if bias.any() or offset.any():  # otherwise it stays 0
        editor.set_value(linear, index, shifted, function.offsets)
    return True


def _scale_source(linear: Operation, function: Affine, editor: Editor) -> bool:
    place, index = LINEAR[linear.type or ""].sources, LINEAR[linear.type or ""].bias
    scale, offset = (along(array, function.x, 1) for array in (function.scale, function.offset))
    weights = _weights(linear, place[0], editor)
    if weights is None or scale is None or offset is None:
        return False
    channels = _channels(function.x)
    filters = _scaled(place, weights, scale, channels, function.sources)
    if filters is None:
        return False
    if offset.any():
        bias = _bias(linear, index, editor)
        if bias is None or not _fits(place, weights, offset, channels) or not _passes_offsets(linear, weights):
            return False
        response = _product(place, weights, offset)
        shifted = _as_bias(bias + response.sum(axis=tuple(range(1, response.ndim))), weights, *function.sources)
        if shifted is None:
            return False
        editor.set_value(linear, index, shifted)
    _store(linear, place[0], filters, weights, editor)
    return True


def _store(linear: Operation, index: int, filters: Array, weights: Array, editor: Editor) -> None:
    if filters is not weights:
        editor.set_value(linear, index, filters)


def _passes_offsets(linear: Operation, weights: Array) -> bool:
    """Does an offset of the whole input have the same effect everywhere, because no zeros are padded?"""
    if linear.type == "linear":
        return True
    if linear.type != "conv":
        return False
    padding = attributes(linear)["padding"]
    if attributes(linear)["border"] != "constant":
        return True
    if not padding:  # automatic padding adds none to a window of one item
        return all(extent == 1 for extent in weights.shape[2:])
    return all(before <= 0 and after <= 0 for before, after in padding)


def _scale_normalization(normalization: Operation, function: Affine, editor: Editor) -> bool:
    stored = [editor.value(normalization.inputs[index]) for index in (3, 4)]
    values = [real(data) if data is not None else None for data in stored]
    vectors = [along(array, function.x, 1) if array is not None else None for array in values]
    scale, offset = (along(array, function.x, 1) for array in (function.scale, function.offset))
    if vectors[0] is None or vectors[1] is None or scale is None or offset is None:
        return False
    sources = (*(data for data in stored if data is not None), *function.sources)
    offsets = _as_bias(vectors[0] * scale + offset, *sources)
    scales = _as_bias(vectors[1] * scale, *sources)
    if offsets is None or scales is None:
        return False
    editor.set_value(normalization, 3, offsets, function.offsets)
    editor.set_value(normalization, 4, scales, function.scales)
    return True


# matmul


def _scale_matmul_results(matmul: Operation, function: Affine, editor: Editor) -> bool:
    rank = function.x.rank
    weights = _weights(matmul, 1, editor)
    if rank is None or weights is None:
        return False
    scale, offset = (along(array, function.x, rank - 1) for array in (function.scale, function.offset))
    if scale is None or offset is None:
        return False
    columns_last = not attributes(matmul)["transposeB"]
    filters = _scaled_last(weights, scale, columns_last, function.sources)
    if filters is None:
        return False
    if offset.any():
        shifted = _as_bias(offset, weights, *function.sources)
        if shifted is None or rank != 2 or filters.ndim != 2 or attributes(matmul)["transposeA"]:
            return False
        editor.set_value(matmul, 1, filters.T if columns_last else filters)
        matmul.type, matmul.attribs = "linear", {}
        editor.set_value(matmul, 2, shifted, function.offsets)
    else:
        _store(matmul, 1, filters, weights, editor)
    return True


def _scale_matmul_source(matmul: Operation, function: Affine, editor: Editor) -> bool:
    rank = function.x.rank
    weights = _weights(matmul, 1, editor)
    if rank is None or weights is None or function.offset.any():
        return False
    scale = along(function.scale, function.x, rank - 2 if attributes(matmul)["transposeA"] else rank - 1)
    if scale is None:
        return False
    filters = _scaled_last(weights, scale, bool(attributes(matmul)["transposeB"]), function.sources)
    if filters is not None:
        _store(matmul, 1, filters, weights, editor)
    return filters is not None


def _scaled_last(weights: Array, factors: Array, last: bool, sources: Sequence[Array]) -> Array | None:
    """The matrices scaled along their last dimension, or along the one before it; see `_scaled`."""
    if (factors == 1).all():
        return weights
    product = weights.astype(np.float64) * (factors if last else factors.reshape(-1, 1))
    return narrowed(product, weights, *sources)

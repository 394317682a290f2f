"""What NNEF operations do with axes of which only some positions count; see `masked.py`.

An operation that works position by position goes on, and its result has the masks of its operands. One that combines
the positions of such an axis gets its neutral element where they do not count, if the operator of the source is one
that may combine them: a rule could have used the extent of the axis as a number. Anything else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...model import Tensor
from ...model.dtypes import is_float, is_integer
from ..maths.generated import filled
from .masked import Array, AxisMasks, MaskedOperations
from .typing import signature_of

Handler = Callable[[MaskedOperations, str, Sequence[Any], Mapping[str, Any]], Any]
_HANDLERS: dict[str, Handler] = {}


def on_masked(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    """The result of an operation of whose operands some have masks. Unsupported if that depends on what they hide."""
    handler = _HANDLERS.get(name)
    if handler is None:
        raise b.masks.refuse(f"'{name}' is not known to leave rows apart")
    if name not in _MOVING:
        inputs = [_absolute(b, x) for x in inputs]
    return handler(b, name, inputs, {**signature_of(name).definition.complete(attribs), **attribs})


def _absolute(b: MaskedOperations, x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return [_absolute(b, item) for item in x]
    return b.masks.absolute(x) if isinstance(x, Tensor) else x


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


def _shape(x: Tensor) -> list[int]:
    return [int(n or 0) for n in x.shape or ()]


def _plain(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    return b.plain(name, *inputs, **attribs)


def _marked(b: MaskedOperations, results: Any, masks: AxisMasks, like: Tensor | None = None) -> Any:
    for x in results if isinstance(results, (list, tuple)) else [results]:
        b.masks.mark(x, masks, like=like)
    return results


def _joint(
    b: MaskedOperations, tensors: Sequence[Tensor], skipped: Sequence[int] = ()
) -> tuple[list[Tensor], dict[int, Tensor]]:
    """Operands of one operation, whose axes correspond, with the same rows at the same places; and the masks."""
    found = list(tensors)
    joint: dict[int, Tensor] = {}
    for axis in sorted({k for x in found for k in b.masks.of(x)} - set(skipped)):
        fixed = [x for x in found if axis in b.masks.of(x) and not b.masks.is_uniform(x, axis)]
        chosen = b.masks.of((fixed or [x for x in found if axis in b.masks.of(x)])[0])[axis]
        joint[axis] = chosen
        extent = _shape(chosen)[0]
        for place, x in enumerate(found):
            own = _shape(x)
            if axis >= len(own) or (own[axis] == 1 and axis not in b.masks.of(x)):
                continue
            if axis in b.masks.of(x) and (own[axis] == extent or not b.masks.is_uniform(x, axis)):
                if not b.masks.is_uniform(x, axis):
                    found[place] = b.masks.brought(x, axis, chosen)
            elif not b.masks.is_uniform(x, axis):
                raise b.masks.refuse(f"it meets a tensor of shape {own}")
            elif own[axis] != extent:
                found[place] = _resized(b, x, axis, extent)
    return found, joint


def _resized(b: MaskedOperations, x: Tensor, axis: int, extent: int) -> Tensor:
    """A tensor that is the same all along an axis, with another extent there."""
    value = b.masks.known(x)
    assert value is not None
    wanted = [extent if k == axis else n for k, n in enumerate(value.shape)]
    return b.constant(np.broadcast_to(np.take(value, [0], axis), wanted))


def _rest(masks: AxisMasks, axes: Sequence[int]) -> dict[int, Tensor]:
    return {axis: mask for axis, mask in masks.items() if axis not in axes}


def _check_apart(b: MaskedOperations, name: str, x: Tensor, axes: Sequence[int]) -> None:
    if any(axis in b.masks.of(x) for axis in axes):
        raise b.masks.refuse(f"'{name}' needs it")


def _check_mixing(b: MaskedOperations, name: str) -> None:
    if not b.masks.mixing:
        raise b.masks.refuse(f"'{name}' combines them")


# position by position


@_handles(
    *("neg", "rcp", "exp", "log", "abs", "sign", "floor", "ceil", "round", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "not", "sqr", "sqrt", "rsqr", "rsqrt", "log2", "add", "sub"),
    *("mul", "div", "pow", "lt", "gt", "le", "ge", "eq", "ne", "and", "or", "select", "min", "max", "clamp", "relu"),
    *("sigmoid", "softplus", "elu", "selu", "gelu", "silu", "prelu", "leaky_relu", "erf", "fmod", "bitwise_and"),
    *("bitwise_or", "bitwise_xor", "bitwise_not", "shift_left", "shift_right"),
)
def _elementwise(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    found, masks = _joint(b, tensors)
    aligned = iter(found)
    return _marked(b, _plain(b, name, [next(aligned) if isinstance(x, Tensor) else x for x in inputs], attribs), masks)


@_handles("copy", "cast")
def _unchanged(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    return _marked(b, _plain(b, name, inputs, attribs), b.masks.of(inputs[0]), inputs[0])


@_handles(
    *("conv", "deconv", "separable_conv", "separable_deconv", "box", "debox", "max_pool", "avg_pool", "rms_pool"),
    *("nearest_downsample", "area_downsample", "nearest_upsample", "multilinear_upsample", "linear", "resize", "det"),
    *("batch_normalization", "local_response_normalization", "grid_sample", "inverse"),
)
def _batched(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    """Items of the batch, the first axis of the first operand, are apart."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    grids = tensors[1:] if name == "grid_sample" else []
    size = attribs.get("size") or [1]
    if any(set(b.masks.of(x)) - {0} for x in [tensors[0], *grids]) or size[0] != 1:
        raise b.masks.refuse(f"'{name}' combines them")
    if any(x in b.masks for x in tensors[1:] if x not in grids):
        raise b.masks.refuse(f"it is that of a parameter of '{name}'")
    if not grids:
        return _marked(b, _plain(b, name, inputs, attribs), b.masks.of(tensors[0]))
    found, masks = _joint(b, tensors)
    return _marked(b, _plain(b, name, found, attribs), masks)


@_handles("avg_roi_pool", "max_roi_pool", "roi_resample", "avg_roi_align", "max_roi_align")
def _regions(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, rois, images = inputs
    if x in b.masks or set(b.masks.of(rois)) - {0}:
        raise b.masks.refuse(f"'{name}' needs it")
    (rois, images), masks = _joint(b, [rois, images])
    return _marked(b, _plain(b, name, [x, rois, _in_range(b, images)], attribs), masks)


# combinations of positions


def _lowest(dtype: Any) -> Any:
    return -np.inf if is_float(dtype) else np.iinfo(dtype).min


def _highest(dtype: Any) -> Any:
    return np.inf if is_float(dtype) else np.iinfo(dtype).max


_NEUTRAL: dict[str, Callable[[Any], Any]] = {
    "sum_reduce": lambda dtype: 0,
    "product_reduce": lambda dtype: 1,
    "max_reduce": _lowest,
    "min_reduce": _highest,
    "any_reduce": lambda dtype: False,
    "all_reduce": lambda dtype: True,
}


@_handles(*_NEUTRAL)
def _reduction(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), axes = inputs, attribs["axes"]
    if any(k in b.masks.of(x) for k in axes):
        _check_mixing(b, name)
        if attribs.get("normalize"):
            return _mean(b, name, inputs, attribs)
    neutral = _NEUTRAL[name](x.dtype)
    result = _plain(b, name, [b.masks.masked(x, axes, neutral)], attribs)
    if name == "min_reduce" and is_integer(x.dtype):  # minima of integers are computed in float32, which rounds it up
        for mask in (b.masks.of(x)[k] for k in axes if k in b.masks.of(x)):
            is_any = b.masks.shaped(b.gt(b.masks.count(mask), b.constant(0, np.int64)), [1] * len(_shape(result)))
            result = b.plain("select", is_any, result, b.constant(neutral, x.dtype))
    return _marked(b, result, _rest(b.masks.of(x), axes))


@_handles("mean_reduce")
def _mean(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), axes, masks = inputs, attribs["axes"], b.masks.of(inputs[0])
    if not any(k in masks for k in axes):
        return _marked(b, _plain(b, name, inputs, attribs), masks)
    _check_mixing(b, name)
    total = b.sum_reduce(x, axes=axes)
    fixed = math.prod(_shape(x)[k] for k in axes if k not in masks)
    for k in (k for k in axes if k in masks):
        total = b.div(total, b.cast(b.masks.count(masks[k]), x.dtype))
    return b.div(total, float(fixed)) if fixed > 1 else total


@_handles("moments")
def _moments(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), axes = inputs, attribs["axes"]
    mean = b.mean_reduce(x, axes=axes)
    return mean, b.mean_reduce(b.sqr(b.sub(x, mean)), axes=axes)


@_handles("softmax")
def _softmax(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), axes, masks = inputs, attribs["axes"], b.masks.of(inputs[0])
    if any(k in masks for k in axes):
        _check_mixing(b, name)
        x = b.masks.masked(x, axes, np.finfo(x.dtype).min)
    return _marked(b, _plain(b, name, [x], attribs), masks)


@_handles("cum_sum", "cum_prod")
def _cumulative(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), masks = inputs, b.masks.of(inputs[0])
    axis = attribs["axis"] % len(_shape(x))
    if axis in masks:
        _check_mixing(b, name)
        x = b.masks.masked(x, [axis], 0 if name == "cum_sum" else 1)
    return _marked(b, _plain(b, name, [x], attribs), masks)


@_handles("argmax_reduce", "argmin_reduce")
def _best(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), axes, masks = inputs, attribs["axes"], b.masks.of(inputs[0])
    inner = [k for k in axes if k in masks]
    if not inner:
        return _marked(b, _plain(b, name, inputs, attribs), masks)
    _check_mixing(b, name)
    if list(axes) != inner[:1]:
        raise b.masks.refuse(f"'{name}' numbers the positions of several axes")
    filled = b.masks.masked(x, axes, (_lowest if name == "argmax_reduce" else _highest)(x.dtype))
    place = _plain(b, name, [filled], attribs)
    flat = b.masks.shaped(place, [math.prod(_shape(place))])
    found = b.plain("gather", b.masks.rank(masks[inner[0]]), flat, axis=0)
    return _marked(b, b.masks.shaped(found, _shape(place)), _rest(masks, axes))


@_handles("top_k")
def _top(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,), masks = inputs, b.masks.of(inputs[0])
    _check_apart(b, name, x, [attribs["axis"] % len(_shape(x))])
    return _marked(b, _plain(b, name, inputs, attribs), masks)


@_handles("matmul")
def _matmul(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, y = inputs
    rank = len(_shape(x))
    if len(_shape(y)) != rank:
        raise b.masks.refuse(f"'{name}' has operands of ranks {rank} and {len(_shape(y))}")
    row, inner = (rank - 1, rank - 2) if attribs["transposeA"] else (rank - 2, rank - 1)
    other, column = (rank - 1, rank - 2) if attribs["transposeB"] else (rank - 2, rank - 1)
    (x, y), masks = _joint(b, [x, y], skipped=[rank - 2, rank - 1])
    own, its = b.masks.of(x), b.masks.of(y)
    if inner in own or other in its:
        _check_mixing(b, name)
        if inner not in own or other not in its:
            raise b.masks.refuse(f"'{name}' combines them with a fixed number")
        y = b.masks.brought(y, other, own[inner])
        x, y = b.masks.masked(x, [inner], 0), b.masks.masked(y, [other], 0)
    for axis, source, place in ((row, own, rank - 2), (column, its, rank - 1)):
        if axis in source:
            masks[place] = source[axis]
    return _marked(b, _plain(b, name, [x, y], attribs), masks)


# moves


@_handles("transpose")
def _transpose(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    axes, masks = list(attribs["axes"]), b.masks.of(inputs[0])
    axes += range(len(axes), len(_shape(inputs[0])))
    moved = {axes.index(axis): mask for axis, mask in masks.items()}
    return _marked(b, _plain(b, name, inputs, attribs), moved, inputs[0])


@_handles("squeeze")
def _squeeze(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    axes, masks = attribs["axes"], b.masks.of(inputs[0])
    _check_apart(b, name, inputs[0], axes)
    moved = {axis - sum(k < axis for k in axes): mask for axis, mask in masks.items()}
    return _marked(b, _plain(b, name, inputs, attribs), moved, inputs[0])


@_handles("unsqueeze")
def _unsqueeze(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    result = _plain(b, name, inputs, attribs)
    kept = [axis for axis in range(len(_shape(result))) if axis not in attribs["axes"]]
    return _marked(b, result, {kept[axis]: mask for axis, mask in b.masks.of(inputs[0]).items()}, inputs[0])


@_handles("reshape")
def _reshape(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    (x,) = inputs
    result = _plain(b, name, inputs, attribs)
    own, new = _shape(x), _shape(result)
    masks: dict[int, Tensor] = {}
    for axis, mask in b.masks.of(x).items():
        inner = math.prod(own[axis + 1 :])
        place, step = _place(b, own[axis], inner, new)
        moved = mask
        if new[place] != own[axis]:
            index = np.arange(new[place]) * step // inner % own[axis]
            moved = b.plain("gather", mask, b.constant(index), axis=0)
        masks[place] = b.and_(masks[place], moved) if place in masks else moved
    return _marked(b, result, masks, x)


def _place(b: MaskedOperations, extent: int, inner: int, new: Sequence[int]) -> tuple[int, int]:
    """The axis of the new shape that one of that extent and that many items behind goes to, and the items behind it."""
    steps = [math.prod(new[k + 1 :]) for k in range(len(new))]
    if not inner * extent:
        raise b.masks.refuse("a reshape has no items to tell where it goes")
    fits = [k for k, n in enumerate(new) if inner % steps[k] == 0 and steps[k] * n % (inner * extent) == 0]
    exact = [k for k in fits if new[k] == extent and steps[k] == inner]
    if not fits:
        raise b.masks.refuse("a reshape takes it apart")
    if extent == 1 and len(fits) > 1:
        raise b.masks.refuse("a reshape does not tell where an axis of extent 1 goes")
    place = (exact or fits)[0]
    return place, steps[place]


@_handles("concat")
def _concat(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    parts, axis = list(inputs[0]), attribs["axis"]
    parts, masks = _joint(b, parts, skipped=[axis])
    own = [b.masks.of(x).get(axis) for x in parts]
    result = _plain(b, name, [parts], attribs)
    if any(mask is not None for mask in own):
        every = [
            b.constant(filled([_shape(x)[axis]], True, np.bool_)) if mask is None else mask
            for x, mask in zip(parts, own, strict=True)
        ]
        masks[axis] = b.plain("concat", every, axis=0)
    return _marked(b, result, masks)


@_handles("stack")
def _stack(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    parts, masks = _joint(b, list(inputs[0]))
    axis = attribs["axis"]
    moved = {k + (k >= axis): mask for k, mask in masks.items()}
    return _marked(b, _plain(b, name, [parts], attribs), moved)


@_handles("split")
def _split(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    _check_apart(b, name, inputs[0], [attribs["axis"]])
    return _marked(b, _plain(b, name, inputs, attribs), b.masks.of(inputs[0]), inputs[0])


@_handles("unstack")
def _unstack(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    axis = attribs["axis"]
    _check_apart(b, name, inputs[0], [axis])
    moved = {k - (k > axis): mask for k, mask in b.masks.of(inputs[0]).items()}
    return _marked(b, _plain(b, name, inputs, attribs), moved, inputs[0])


@_handles("slice")
def _slice(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    _check_apart(b, name, inputs[0], attribs["axes"])
    return _marked(b, _plain(b, name, inputs, attribs), b.masks.of(inputs[0]), inputs[0])


@_handles("pad")
def _pad(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    wide = [k for k, pair in enumerate(attribs["padding"]) if tuple(pair) != (0, 0)]
    _check_apart(b, name, inputs[0], wide)
    return _marked(b, _plain(b, name, inputs, attribs), b.masks.of(inputs[0]))


@_handles("tile")
def _tile(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    repeats = attribs["repeats"]
    masks = {
        k: mask if repeats[k] == 1 else b.plain("tile", mask, repeats=[repeats[k]])
        for k, mask in b.masks.of(inputs[0]).items()
    }
    return _marked(b, _plain(b, name, inputs, attribs), masks, inputs[0])


# computed positions


def _in_range(b: MaskedOperations, indices: Tensor) -> Tensor:
    """Positions that are 0 where they do not count, unless those are in range anyway."""
    if b.masks.known(indices) is not None or b.masks.is_sound(indices):
        return indices
    return b.masks.masked(indices, b.masks.of(indices), 0)


@_handles("gather")
def _gather(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, indices = inputs
    axis, rank = attribs["axis"] % len(_shape(x)), len(_shape(indices))
    own, chosen = b.masks.of(x), b.masks.of(indices)
    relative = b.masks.relative_to(indices)
    if axis in own and (relative is None or not b.masks.same(relative, own[axis])):
        indices = b.gather(b.masks.order(own[axis]), b.masks.absolute(indices), axis=0)
        relative = None
    elif relative is not None and axis not in own:
        indices, relative = b.masks.absolute(indices), None
    index = b.evaluated(indices)
    masks = {k + (rank - 1 if k > axis else 0): mask for k, mask in own.items() if k != axis}
    masks.update({axis + k: mask for k, mask in chosen.items()})
    if index is not None and index.shape == (_shape(x)[axis],) and np.array_equal(index, np.arange(len(index))):
        return _marked(b, b.masks.held(x), masks, x)
    index_tensor = _in_range(b, indices) if index is None else b.constant(index)
    return _marked(b, _plain(b, name, [x, index_tensor], {"axis": axis}), masks, x)


def _flat(index: Array, extents: Sequence[int]) -> Array:
    steps = [math.prod(extents[k + 1 :]) for k in range(len(extents))]
    flat: Array = (index.astype(np.int64) * np.asarray(steps)).sum(axis=-1)
    return flat


def _is_grid(index: Array | None, extents: Sequence[int]) -> bool:
    """Are these all positions of these axes, one after the other?"""
    if index is None or index.ndim != 2 or len(index) != math.prod(extents):
        return False
    return np.array_equal(_flat(index, extents), np.arange(len(index)))


@_handles("gather_nd")
def _gather_nd(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, indices = inputs
    count, shared, own = _shape(indices)[-1], attribs["batch_dims"], _shape(x)
    if shared:
        raise b.masks.refuse(f"'{name}' has batch_dims")
    _check_apart(b, name, x, range(count))
    last = len(_shape(indices)) - 1
    masks = {k - count + last: mask for k, mask in b.masks.of(x).items()}
    masks.update(b.masks.of(indices))
    index = b.evaluated(indices)
    if _is_grid(index, own[:count]):
        result = b.masks.held(b.masks.shaped(x, [math.prod(own[:count]), *own[count:]]))
    else:
        found = _in_range(b, indices) if index is None else b.constant(index)
        result = _plain(b, name, [x, found], attribs)
    return _marked(b, result, masks)


@_handles("gather_elements")
def _gather_elements(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, indices = inputs
    axis = attribs["axis"] % len(_shape(x))
    if axis in b.masks.of(x):
        raise b.masks.refuse(f"'{name}' takes any of them")
    (x, indices), masks = _joint(b, [x, indices], skipped=[axis])
    masks.update({k: mask for k, mask in b.masks.of(indices).items() if k == axis})
    return _marked(b, _plain(b, name, [x, _in_range(b, indices)], attribs), masks)


_REDUCTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "add": ("add", lambda dtype: 0),
    "mul": ("mul", lambda dtype: 1),
    "min": ("min", _highest),
    "max": ("max", _lowest),
}


@_handles("scatter_nd")
def _scatter_nd(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, indices, updates = inputs
    count, own, reduction = _shape(indices)[-1], _shape(x), attribs["reduction"]
    if x in b.masks or set(b.masks.of(indices)) - {0} or len(_shape(indices)) != 2:
        raise b.masks.refuse(f"'{name}' needs it")
    updates, mask = _updates(b, name, indices, updates)
    if _is_grid(b.evaluated(indices), own[:count]):
        chosen = b.masks.shaped(mask, [*own[:count], *[1] * (len(own) - count)])
        return _combined(b, x, chosen, b.masks.shaped(updates, own), reduction)
    if reduction != "none":
        updates = _neutralized(b, updates, mask, reduction)
        return _plain(b, name, [x, _in_range(b, indices), updates], attribs)
    aside = b.constant(np.asarray([[own[0], *[0] * (count - 1)]]), np.int64)
    return _beside(b, name, x, _selected(b, mask, indices, aside), updates, {}, 0)


def _updates(b: MaskedOperations, name: str, indices: Tensor, updates: Tensor) -> tuple[Tensor, Tensor]:
    """Updates with their rows where the indices have them, and the mask of both."""
    extent = _shape(indices)[0]
    mask = b.masks.of(indices).get(0) or b.masks.of(updates)[0]
    if 0 in b.masks.of(updates):
        if 0 not in b.masks.of(indices):
            raise b.masks.refuse(f"'{name}' has {extent} positions for them")
        if set(b.masks.of(updates)) - {0}:
            raise b.masks.refuse(f"'{name}' needs it")
        if not b.masks.is_uniform(updates, 0):
            updates = b.masks.brought(updates, 0, mask)
    elif not b.masks.is_uniform(updates, 0):
        raise b.masks.refuse(f"'{name}' has updates of shape {_shape(updates)} for them")
    return (updates if _shape(updates)[0] == extent else _resized(b, updates, 0, extent)), mask


def _selected(b: MaskedOperations, mask: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """x where the mask of the first axis holds, elsewhere another tensor."""
    result: Tensor = b.plain("select", b.masks.along(mask, 0, len(_shape(x))), x, b.cast(other, x.dtype))
    return result


def _neutralized(b: MaskedOperations, updates: Tensor, mask: Tensor, reduction: str) -> Tensor:
    _, neutral = _REDUCTIONS[reduction]
    return _selected(b, mask, updates, b.constant(neutral(updates.dtype), updates.dtype))


def _combined(b: MaskedOperations, x: Tensor, chosen: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """Each item of x with the one at the same place of the updates, where these are chosen."""
    if reduction != "none":
        updates = b.plain(_REDUCTIONS[reduction][0], x, updates)
    value = b.evaluated(updates)
    if value is not None and value.size and all(b.masks.is_uniform(updates, k) for k in range(value.ndim)):
        updates = b.constant(value.reshape(-1)[0], updates.dtype)
    result: Tensor = b.plain("select", chosen, updates, x)
    return result


def _beside(
    b: MaskedOperations, name: str, x: Tensor, indices: Tensor, updates: Tensor, attribs: Mapping[str, Any], axis: int
) -> Tensor:
    """A scatter into x with room for one more position of the axis, where updates go that do not count."""
    own = _shape(x)
    room = b.constant(np.broadcast_to(np.zeros((), x.dtype), [1 if k == axis else n for k, n in enumerate(own)]))
    wide = b.plain(name, b.plain("concat", [x, room], axis=axis), indices, updates, **attribs)
    result: Tensor = b.plain("slice", wide, axes=[axis], begin=[0], end=[own[axis]])
    return result


@_handles("scatter_elements")
def _scatter_elements(b: MaskedOperations, name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    x, indices, updates = inputs
    axis, reduction = attribs["axis"] % len(_shape(x)), attribs["reduction"]
    if x in b.masks:
        raise b.masks.refuse(f"'{name}' needs it")
    (indices, updates), masks = _joint(b, [indices, updates])
    if reduction != "none":
        _, neutral = _REDUCTIONS[reduction]
        full = _covering(b, updates, _shape(indices), masks, neutral(updates.dtype))
        return _plain(b, name, [x, _in_range(b, indices), full], attribs)
    aside = _covering(b, indices, _shape(indices), masks, _shape(x)[axis])
    return _beside(b, name, x, aside, updates, {"axis": axis, "reduction": "none"}, axis)


def _covering(b: MaskedOperations, x: Tensor, extents: Sequence[int], masks: AxisMasks, fill: Any) -> Tensor:
    """x with a value where a position of any axis does not count."""
    for axis, mask in masks.items():
        x = b.plain("select", b.masks.along(mask, axis, len(extents)), x, b.constant(fill, x.dtype))
    return x


_MOVING = {
    "copy",
    "cast",
    "transpose",
    "squeeze",
    "unsqueeze",
    "reshape",
    "split",
    "unstack",
    "slice",
    "tile",
    "gather",
}
"""Operations through which positions stay what they are relative to."""

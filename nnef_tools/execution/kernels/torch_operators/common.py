"""What the torch operators share: left-aligned broadcasting, windows, borders.

Imports torch, so this package is imported only by the torch backend and the PyTorch interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops import registry

Tensor = torch.Tensor
Pairs = Sequence[tuple[int, int]]
Ints = Sequence[int]
Operator = Callable[..., Any]

SPATIAL_LIMIT = 3  # torch convolves and pools over up to three dimensions


def align(*tensors: Tensor) -> list[Tensor]:
    """Views of equal rank by trailing 1s; tensors of rank 0 broadcast anyway and stay (torch promotes them weakly)."""
    rank = max(tensor.dim() for tensor in tensors)
    return [extend_rank(tensor, rank) if tensor.dim() else tensor for tensor in tensors]


def extend_rank(tensor: Tensor, rank: int) -> Tensor:
    """A view with trailing 1s up to that rank."""
    missing = rank - tensor.dim()
    return tensor.reshape(tensor.shape + (1,) * missing) if missing > 0 else tensor


def numpy_operator(name: str) -> Operator:
    """The numpy kernel of that name as an operator on torch tensors, for what torch itself cannot do."""

    def to_numpy(item: Any) -> Any:
        return [to_numpy(each) for each in item] if isinstance(item, list) else item.detach().cpu().numpy()

    def operator(*inputs: Any, **attribs: Any) -> Any:
        definition = registry.find(name)
        assert definition is not None, name
        first = inputs[0][0] if isinstance(inputs[0], list) else inputs[0]
        results = definition.run(*map(to_numpy, inputs), **attribs)

        def to_torch(array: Any) -> Tensor:
            return torch.from_numpy(np.array(array)).to(first.device)

        return [to_torch(item) for item in results] if isinstance(results, (list, tuple)) else to_torch(results)

    return operator


def span(size: int, dilation: int) -> int:
    """How far a dilated window reaches."""
    return (size - 1) * dilation + 1


def automatic_padding(extents: Ints, size: Ints, stride: Ints, dilation: Ints) -> list[tuple[int, int]]:
    """Padding such that ceil(extent / stride) windows fit; an odd surplus goes to the end."""
    padding = []
    for extent, f, s, d in zip(extents, size, stride, dilation, strict=True):
        total = max((-(-extent // s) - 1) * s + span(f, d) - extent, 0)
        padding.append((total // 2, total - total // 2))
    return padding


def down_window(
    extents: Ints, size: Ints, padding: Pairs, stride: Ints, dilation: Ints
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Padding, stride and dilation of a down-scaling window over these extents, with the defaults for empty ones."""
    strides = list(stride) or [1] * len(size)
    dilations = list(dilation) or [1] * len(size)
    pairs = [(p, q) for p, q in padding] if padding else automatic_padding(extents, size, strides, dilations)
    for extent, f, d, (p, q) in zip(extents, size, dilations, pairs, strict=True):
        if extent + p + q < span(f, d):
            raise ShapeError(f"a window of {span(f, d)} does not fit into an extent of {extent} + {p} + {q}")
    return pairs, strides, dilations


def up_window(
    extents: Ints, size: Ints, padding: Pairs, stride: Ints, dilation: Ints, output: Ints
) -> tuple[list[tuple[int, int]], list[int], list[int], list[int]]:
    """Padding, stride, dilation and result extents of an up-scaling window; output: the wanted extents or nothing."""
    strides = list(stride) or [1] * len(size)
    dilations = list(dilation) or [1] * len(size)
    result = list(output)
    if padding:
        pairs = [(p, q) for p, q in padding]
        if not result:
            result = [
                (x - 1) * s + span(f, d) - p - q
                for x, f, s, d, (p, q) in zip(extents, size, strides, dilations, pairs, strict=True)
            ]
    else:
        result = result or [x * s for x, s in zip(extents, strides, strict=True)]
        pairs = automatic_padding(result, size, strides, dilations)
    for x, extent, f, s, d, (p, q) in zip(extents, result, size, strides, dilations, pairs, strict=True):
        if (extent + p + q - span(f, d)) // s + 1 != x:
            raise ShapeError(f"'output_shape' extent {extent} does not scale down to the input's {x}")
    return pairs, strides, dilations, result


def border_index(index: Tensor, extent: int, border: str) -> Tensor:
    """Maps positions outside of [0, extent) to those inside whose value they take. ShapeError if that is undefined."""
    if border == "replicate":
        return index.clamp(0, extent - 1)
    if border == "reflect":
        low, high = -index, 2 * extent - 2 - index
    elif border == "reflect-even":
        low, high = -index - 1, 2 * extent - 1 - index
    else:
        raise ShapeError(f"unknown border mode '{border}'")
    mapped = torch.where(index < 0, low, torch.where(index >= extent, high, index))
    if mapped.numel() and (int(mapped.min()) < 0 or int(mapped.max()) >= extent):
        raise ShapeError(f"border '{border}' reaches beyond one reflection of an extent of {extent}")
    return mapped


_REALS = {torch.float16: np.float16, torch.float32: np.float32}


def _rounded(value: float, dtype: torch.dtype) -> float:
    """The value as the type has it: torch refuses -3.4028235e38, which is how the smallest float32 is written."""
    with np.errstate(over="ignore"):
        return float(_REALS[dtype](value)) if dtype in _REALS else value


def pad_border(x: Tensor, padding: Pairs, border: str, value: float = 0.0) -> Tensor:
    """Continues x by (before, after) elements in each dimension; negative numbers crop."""
    if not any(p or q for p, q in padding):
        return x
    if border == "constant":
        filler, sides = _rounded(value, x.dtype), list(zip(x.shape, padding, strict=True))
        if any(n + min(p, 0) + min(q, 0) < 0 for n, (p, q) in sides):  # nothing of x is left
            return x.new_full([n + p + q for n, (p, q) in sides], filler)
        return F.pad(x, [item for pair in reversed(list(padding)) for item in pair], value=filler)
    for dim, (p, q) in enumerate(padding):
        if p or q:
            index = torch.arange(-p, x.shape[dim] + q, device=x.device)
            x = x.index_select(dim, border_index(index, x.shape[dim], border))
    return x


def extend_input(
    x: Tensor, size: Ints, padding: Pairs, stride: Ints, dilation: Ints, extents: Ints, border: str
) -> tuple[Tensor, list[tuple[int, int]]]:
    """For an up-scaling window whose border is not zero: continues x by all elements that reach into the result.

    Position i of the result gets element k at window offset j if i + p = k * s + j * d. Returns x and the padding that
    gives the same result with it.
    """
    if border in ("constant", "ignore"):
        return x, list(padding)
    around = []
    moved = []
    for n, f, s, d, (p, q), extent in zip(x.shape, size, stride, dilation, padding, extents, strict=True):
        first = -(-(p - (f - 1) * d) // s)
        last = (extent - 1 + p) // s
        before, after = max(-first, 0), max(last - (n - 1), 0)
        around.append((before, after))
        moved.append((p + before * s, q + after * s))
    return pad_border(x, around, border), moved


def crop_result(full: Tensor, padding: Pairs, extents: Ints) -> Tensor:
    """Cuts (or continues by zeros) the full result of an up-scaling window to what padding and extents ask for."""
    pads = [(-p, extent - n + p) for n, (p, _), extent in zip(full.shape, padding, extents, strict=True)]
    return pad_border(full, pads, "constant")


def over_dims(x: Tensor, dims: Ints, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies a function of [M, 1, extents of dims..] to x, where M counts everything but those dimensions."""
    rest = [dim for dim in range(x.dim()) if dim not in dims]
    order = rest + list(dims)
    batch = [x.shape[dim] for dim in rest]
    extents = [x.shape[dim] for dim in dims]
    y = function(x.permute(order).reshape(math.prod(batch), 1, *extents))
    y = y.reshape(*batch, *y.shape[2:])
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return y.permute(inverse)


def in_rounds(dims: Ints) -> list[list[int]]:
    """The dimensions in groups that torch can pool over at once."""
    items = list(dims)
    return [items[k : k + SPATIAL_LIMIT] for k in range(0, len(items), SPATIAL_LIMIT)]

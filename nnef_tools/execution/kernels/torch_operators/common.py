"""Common parts of the torch operators: left-aligned broadcasting, borders.

Imports torch, so this package is imported only where torch is the runtime and by the PyTorch interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops import registry
from ....ops.borders import ZERO_BORDERS, ask_extended
from ....ops.window import PlacedWindow

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


def border_index(index: Tensor, extent: int, border: str) -> Tensor:
    """Maps positions outside of [0, extent) to the inner positions whose value they take. ShapeError if undefined."""
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
    """The value as an item of the type: torch refuses -3.4028235e38, the written form of the smallest float32."""
    with np.errstate(over="ignore"):
        return float(_REALS[dtype](value)) if dtype in _REALS else value


def pad_border(x: Tensor, padding: Pairs, border: str, value: float = 0.0) -> Tensor:
    """Continues x by (before, after) elements in each dimension; negative numbers crop."""
    if not any(p or q for p, q in padding):
        return x
    ask_extended(x.shape, padding)
    if border in ZERO_BORDERS:
        filler, sides = _rounded(value, x.dtype), list(zip(x.shape, padding, strict=True))
        if any(n + min(p, 0) + min(q, 0) < 0 for n, (p, q) in sides):  # all of x is cropped
            return x.new_full([n + p + q for n, (p, q) in sides], filler)
        return F.pad(x, [item for pair in reversed(list(padding)) for item in pair], value=filler)
    for dim, (p, q) in enumerate(padding):
        if p or q:
            index = torch.arange(-p, x.shape[dim] + q, device=x.device)
            x = x.index_select(dim, border_index(index, x.shape[dim], border))
    return x


def extend_input(x: Tensor, window: PlacedWindow) -> tuple[Tensor, PlacedWindow]:
    """Extends the last dimensions of the input of a reverse operation as far as the window reaches beyond it."""
    around, window = window.continued()
    return pad_border(x, [(0, 0)] * (x.dim() - len(around)) + around, window.border), window


def crop_result(full: Tensor, window: PlacedWindow) -> Tensor:
    """Crops the result of a reverse operation, or extends it by zeros, according to padding and extents."""
    rows = zip(window.covered, window.padding, window.upscaled, strict=True)
    pads = [(-p, extent - n + p) for n, (p, _), extent in rows]
    return pad_border(full, [(0, 0)] * (full.dim() - len(pads)) + pads, "constant")

"""Padding conventions as pure functions: NNEF `[(before, after), ...]`, ONNX `[before..., after...]`, automatic."""

from __future__ import annotations

from collections.abc import Sequence

from ...ops.window import Window, automatic_padding, span

Pairs = list[tuple[int, int]]


def pairs_from_onnx(pads: Sequence[int]) -> Pairs:
    """`[0, 1, 2, 3]` -> `[(0, 2), (1, 3)]`."""
    count = len(pads) // 2
    return [(int(before), int(after)) for before, after in zip(pads[:count], pads[count:], strict=True)]


def pairs_to_onnx(padding: Sequence[tuple[int, int]]) -> list[int]:
    """`[(0, 2), (1, 3)]` -> `[0, 1, 2, 3]`."""
    return [before for before, _ in padding] + [after for _, after in padding]


def same_padding(window: Window, extents: Sequence[int], *, lower: bool = False) -> Pairs:
    """Padding that gives ceil(extent / stride) results; an odd pixel goes after, with `lower` before.

    The window must have explicit strides and dilations.
    """
    rows = zip(extents, window.size, window.stride, window.dilation, strict=True)
    pairs = [automatic_padding(*row) for row in rows]
    return [(more, less) for less, more in pairs] if lower else pairs


def ceil_padding(window: Window, extents: Sequence[int]) -> Pairs:
    """Extends `after` such that the floor formula gives the result count of the ceil formula.

    The window must have everything explicit. A last window that would start in the padding behind the input is not
    counted, as in ONNX and torch.
    """
    pairs = []
    rows = zip(extents, window.size, window.stride, window.dilation, window.padding, strict=True)
    for extent, f, s, d, (p, q) in rows:
        covered = span(f, d)
        free = extent + p + q - covered
        count = -(-free // s) + 1
        if (count - 1) * s >= extent + p:
            count -= 1
        pairs.append((p, (count - 1) * s + covered - extent - p if count != free // s + 1 else q))
    return pairs

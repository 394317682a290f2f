"""Folds `pad` into the padding of the convolution or pooling after it."""

from __future__ import annotations

from typing import Any

from ...model import Graph, Operation
from .editor import Editor, attributes

_CONVOLUTIONS = ("conv", "separable_conv")
_POOLS = ("box", "avg_pool", "max_pool", "rms_pool", "max_pool_with_index", "argmax_pool")
_BORDERS = ("constant", "replicate", "reflect", "reflect-even")

Pads = list[tuple[int, int]]


def fold_padding(graph: Graph) -> int:
    """Replaces x -> pad -> t -> conv or pool -> y by x -> conv or pool -> y with the padding of both.

    * The window operation has no padding of its own: it takes over the padding and border of the pad. The border that
    it declared had no effect.
    * Both pad zeros (border 'constant'): the paddings add up. For a pool, its own zeros have to take part too.

    Not folded are automatic padding, which depends on the padded extent; padding by another value than 0, which windows
    do not support; cropping; padding of batch or channel before a convolution, which only pads spatial dimensions. t
    must have no other use, and must not be quantized.
    """
    editor = Editor(graph)
    count = 0
    for operation in graph.operations:
        if operation.type == "pad":
            count += _fold(operation, editor)
    return editor.finish(count)


def _fold(pad: Operation, editor: Editor) -> bool:
    window = pad.output.consumer
    if window is None or window.type not in (*_CONVOLUTIONS, *_POOLS) or not editor.is_private(pad.output):
        return False
    if [tensor is pad.output for tensor in window.inputs].index(True) != 0 or window.inputs[0] in window.inputs[1:]:
        return False
    combined = _combined(attributes(pad), attributes(window), spatial=window.type in _CONVOLUTIONS)
    if combined is None:
        return False
    border, padding = combined
    window.attribs = {**window.attribs, "border": border, "padding": padding}
    window.inputs = (pad.inputs[0], *window.inputs[1:])
    editor.remove(pad)
    return True


def _combined(pad: dict[str, Any], window: dict[str, Any], *, spatial: bool) -> tuple[str, Pads] | None:
    outer: Pads = [(before, after) for before, after in pad["padding"]]
    own: Pads = [(before, after) for before, after in window["padding"]]
    border = pad["border"]
    if border not in _BORDERS or (border == "constant" and pad["value"] != 0):
        return None
    if spatial:
        if any(item != (0, 0) for item in outer[:2]):
            return None
        outer = outer[2:]
    if len(own) != len(outer) or any(item < 0 for pair in (*outer, *own) for item in pair):
        return None
    if not any(item for pair in own for item in pair):
        return border, outer
    if border == window["border"] == "constant":
        return border, [(p + own_p, q + own_q) for (p, q), (own_p, own_q) in zip(outer, own, strict=True)]
    return None

"""Merges successive additions, or multiplications, of constants into one."""

from __future__ import annotations

import numpy as np

from ...model import Graph, Operation
from ...ops.broadcast import align
from .affine import Affine, affine
from .editor import Array, Editor, narrowed

_KINDS = {"add": "add", "sub": "add", "mul": "mul", "div": "mul"}


def merge_arithmetic(graph: Graph) -> int:
    """Replaces x -> first -> t -> second -> y by x -> add or mul -> y, in one sweep over the second operations.

    add and sub of constants: (x + a) + b = x + (a + b). mul and div: (x * a) * b = x * (a * b). Only if the joint
    constant is no larger than the larger of the two, and if it neither overflows nor vanishes.
    t must have no other use, and must not be quantized.
    """
    editor = Editor(graph)
    count = 0
    for second in graph.operations:
        outer = _constant(second, editor)
        first = outer.x.producer if outer is not None and editor.is_private(outer.x) else None
        inner = _constant(first, editor) if first is not None else None
        if outer is None or first is None or inner is None or _KINDS[first.type or ""] != _KINDS[second.type or ""]:
            continue
        joint = _join(_KINDS[second.type or ""], inner, outer)
        if joint is None:
            continue
        second.type, second.attribs = _KINDS[second.type or ""], {}
        given = (*inner.scales, *inner.offsets, *outer.scales, *outer.offsets)
        replaced = sorted(given, key=lambda argument: argument[1].volume or 0, reverse=True)
        second.inputs = (inner.x, editor.make_constant(joint, replaced, _label(first) or _label(second)))
        editor.remove(first)
        count += 1
    return editor.finish(count)


def _constant(operation: Operation, editor: Editor) -> Affine | None:
    """The constant of an add, sub, mul or div; not of a subtraction from a constant."""
    function = affine(operation, editor) if operation.type in _KINDS else None
    if function is None or (_KINDS[operation.type or ""] == "add" and function.scale != 1):
        return None
    return function


def _join(kind: str, inner: Affine, outer: Affine) -> Array | None:
    if kind == "add":
        a, b = align(inner.offset, outer.offset)
        result = np.asarray(a + b)
    else:
        a, b = align(inner.scale, outer.scale)
        result = np.asarray(a * b)
    if result.size > max(a.size, b.size):
        return None
    return narrowed(result, *inner.sources, *outer.sources)


def _label(operation: Operation) -> str | None:
    """The label of a variable among the inputs."""
    for tensor in operation.inputs:
        if tensor.producer is not None and tensor.producer.type == "variable":
            return str(tensor.producer.attribs["label"])
    return None

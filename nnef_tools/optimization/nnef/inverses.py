"""Cancels pairs of operations that undo each other, and merges transposes, reshapes and the like in a row.

Only the second operation of a pair changes: it reads the input of the first one. So a fork after the first is not an
obstacle; the removal of unused operations finds out whether the first is still needed.
"""

from __future__ import annotations

from collections.abc import Callable

from ...model import Graph, Operation
from ...model.dtypes import nnef_dtype
from .editor import Editor, attributes

Rule = Callable[[Operation, Operation], "dict[str, object] | None"]

_INVOLUTIONS = ("neg", "not", "rcp")
_IDEMPOTENT = ("relu", "abs", "sign", "floor", "ceil", "round")


def cancel_inverses(graph: Graph) -> int:
    """Simplifies x -> first -> t -> second -> y, in one sweep over the second operations. y becomes:

    * neg(neg(x)), not(not(x)), rcp(rcp(x)), a cast of logical values to numbers and back: x
    * unsqueeze and squeeze by the same axes, either way round: x
    * concat of all parts of a split, stack of all parts of an unstack, and the reverse of both: x
    * relu(relu(x)), and abs, sign, floor, ceil, round likewise: t
    * transpose of transpose, squeeze of squeeze, unsqueeze of unsqueeze, reshape of reshape, squeeze or unsqueeze:
      one operation that reads x

    t must not be quantized, since that rounds the values in between.
    """
    editor = Editor(graph)
    count = sum(
        _cancel_parts(operation, editor) or _cancel(operation, editor) or _merge(operation)
        for operation in graph.operations
    )
    return editor.finish(count)


def _previous(operation: Operation) -> Operation | None:
    """The operation that computes the only input, if that is not quantized."""
    if len(operation.inputs) != 1 or operation.inputs[0].quant:
        return None
    return operation.inputs[0].producer


def _cancel(second: Operation, editor: Editor) -> bool:
    first = _previous(second)
    if first is None or len(first.outputs) != 1 or len(second.outputs) != 1 or len(first.inputs) != 1:
        return False
    same = first.type == second.type
    if same and second.type in _IDEMPOTENT:
        return editor.forward(second, [second.input])
    if (
        (same and second.type in _INVOLUTIONS)
        or _restores_logical(first, second)
        or ({first.type, second.type} == {"squeeze", "unsqueeze"} and _axes(first) == _axes(second))
    ):
        return editor.forward(second, [first.input])
    return False


def _axes(operation: Operation) -> list[int]:
    return sorted(attributes(operation)["axes"])


def _restores_logical(first: Operation, second: Operation) -> bool:
    """Is it cast<logical>(cast<scalar or integer>(x)) of a logical x?"""
    if not first.type == second.type == "cast" or first.input.dtype is None or "dtype" not in second.attribs:
        return False
    middle = first.attribs.get("dtype")
    return (
        nnef_dtype(first.input.dtype) == nnef_dtype(second.attribs["dtype"]) == "logical"
        and middle is not None
        and nnef_dtype(middle) in ("scalar", "integer")
    )


_JOINS = {("split", "concat"), ("unstack", "stack")}
_SPLITS = {("concat", "split"), ("stack", "unstack")}


def _cancel_parts(second: Operation, editor: Editor) -> bool:
    """Cancels split and concat, or stack and unstack, in either order, if the parts are equal."""
    if second.type not in ("concat", "stack", "split", "unstack") or not second.inputs:
        return False
    first = second.inputs[0].producer
    if first is None or first.attribs.get("axis") != attributes(second)["axis"]:
        return False
    if any(tensor.quant for tensor in second.inputs):
        return False
    if (first.type, second.type) in _JOINS:
        whole = len(first.outputs) == len(second.inputs) and all(
            part is other for part, other in zip(first.outputs, second.inputs, strict=True)
        )
        return whole and editor.forward(second, [first.inputs[0]])
    if (first.type, second.type) in _SPLITS:
        return _parts_match(first, second) and editor.forward(second, list(first.inputs))
    return False


def _parts_match(first: Operation, second: Operation) -> bool:
    if len(first.inputs) != len(second.outputs) or len(set(first.inputs)) != len(first.inputs):
        return False
    if second.type == "unstack":
        return True
    axis = attributes(second)["axis"]
    return all(
        source.shape is not None and result.shape is not None and source.shape[axis] == result.shape[axis] is not None
        for source, result in zip(first.inputs, second.outputs, strict=True)
    )


def _merge(second: Operation) -> bool:
    first = _previous(second)
    rule = _MERGES.get((first.type or "", second.type or "")) if first is not None else None
    attribs = rule(first, second) if first is not None and rule is not None else None
    if first is None or attribs is None:
        return False
    second.attribs = {**second.attribs, **attribs}
    second.inputs = (first.inputs[0],)
    return True


def _transposes(first: Operation, second: Operation) -> dict[str, object]:
    """Merges the axes: dimension k of y is dimension second[k] of t, which is dimension first[second[k]] of x."""
    inner, outer = list(attributes(first)["axes"]), list(attributes(second)["axes"])
    length = max(len(inner), len(outer))
    inner += range(len(inner), length)
    outer += range(len(outer), length)
    return {"axes": [inner[axis] for axis in outer]}


def _squeezes(first: Operation, second: Operation) -> dict[str, object]:
    """Merges the axes: those of the second are counted in x, where the axes that the first removes are still there."""
    axes = _axes(first)
    return {"axes": sorted([*axes, *_positions(axes, attributes(second)["axes"])])}


def _unsqueezes(first: Operation, second: Operation) -> dict[str, object]:
    """Merges the axes: those of the first are counted in y."""
    axes = _axes(second)
    return {"axes": sorted([*axes, *_positions(axes, attributes(first)["axes"])])}


def _positions(taken: list[int], others: list[int]) -> list[int]:
    """The k-th position that is not taken, for each k of `others`. `taken` is sorted."""
    result = []
    for position in others:
        for axis in taken:
            position += axis <= position
        result.append(position)
    return result


def _reshapes(first: Operation, second: Operation) -> dict[str, object] | None:
    """Merges the shapes: a reshape of all dimensions ignores those of its input, apart from items 0, which copy one.

    Such an item stays if the first operation copies the dimension as well, and becomes the extent if it states that.
    """
    if not _replaces_all(second):
        return None
    shape = list(attributes(second)["shape"])
    copied = [k for k, item in enumerate(shape) if item == 0]
    if first.type != "reshape":  # a squeeze or unsqueeze copies the dimensions before its first axis
        return None if copied and copied[-1] >= min(attributes(first)["axes"], default=0) else {"shape": shape}
    if copied and not _replaces_all(first):
        return None
    given = attributes(first)["shape"]
    if any(given[k] == -1 for k in copied):
        return None
    return {"shape": [given[k] if k in copied else item for k, item in enumerate(shape)]}


def _replaces_all(operation: Operation) -> bool:
    rank = operation.inputs[0].rank
    attribs = attributes(operation)
    return attribs["axis_start"] == 0 and attribs["axis_count"] in (-1, rank)


_MERGES: dict[tuple[str, str], Rule] = {
    ("transpose", "transpose"): _transposes,
    ("squeeze", "squeeze"): _squeezes,
    ("unsqueeze", "unsqueeze"): _unsqueezes,
    ("reshape", "reshape"): _reshapes,
    ("squeeze", "reshape"): _reshapes,
    ("unsqueeze", "reshape"): _reshapes,
}

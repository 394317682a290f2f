"""Removes operations that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.dtypes import nnef_dtype
from .editor import Array, Editor, attributes

Test = Callable[[Operation, Editor], Tensor | None]


def remove_identities(graph: Graph) -> int:
    """Replaces x -> identity -> y by x, for each operation that returns its input for all values of the given shapes.

    The names of graph inputs and outputs are kept: if y is an output, the operation that computes x computes y instead;
    if x has to keep its own name, a `copy` remains. A quantized result is never merged with another tensor.
    """
    editor = Editor(graph)
    count = 0
    for operation in graph.operations:
        test = _TESTS.get(operation.type or "")
        source = test(operation, editor) if test is not None else None
        if source is not None:
            count += editor.forward(operation, [source])
    return editor.finish(count)


def _first(condition: Callable[[Operation], bool]) -> Test:
    """The test for operations with one result that return their first input if the condition holds."""

    def test(operation: Operation, editor: Editor) -> Tensor | None:
        return operation.inputs[0] if len(operation.outputs) == 1 and condition(operation) else None

    return test


def _always(operation: Operation) -> bool:
    """copy; concat and add_n of one tensor, split into one part, copy_n with one copy."""
    return len(operation.inputs) == 1


def _keeps_order(operation: Operation) -> bool:
    """transpose with the axes 0, 1, .., n-1."""
    axes = list(attributes(operation)["axes"])
    return axes == list(range(len(axes)))


def _keeps_shape(operation: Operation) -> bool:
    """reshape to the shape of the input. Both must be known."""
    source, result = operation.inputs[0], operation.output
    return source.volume is not None and source.shape == result.shape


def _lacks_axes(operation: Operation) -> bool:
    """squeeze and unsqueeze without axes."""
    return not attributes(operation)["axes"]


def _reduces_ones(operation: Operation) -> bool:
    """sum, mean, max, min, any and all of extents 1, or without axes: the rank is kept anyway."""
    shape = operation.inputs[0].shape
    return all(shape is not None and shape[axis] == 1 for axis in attributes(operation)["axes"])


def _adds_no_padding(operation: Operation) -> bool:
    """pad by (0, 0) in each dimension."""
    return all(tuple(item) == (0, 0) for item in attributes(operation)["padding"])


def _takes_all(operation: Operation) -> bool:
    """slice with stride 1 that keeps the extents, or whose begin and end are 0 (which means all)."""
    attribs = attributes(operation)
    if any(stride != 1 for stride in attribs["stride"]):
        return False
    return _keeps_shape(operation) or not any((*attribs["begin"], *attribs["end"]))


def _repeats_once(operation: Operation) -> bool:
    """tile with repeats of 1."""
    return all(repeat == 1 for repeat in attributes(operation)["repeats"])


def _scales_by_one(operation: Operation) -> bool:
    """Up- and downsampling with factors of 1."""
    return all(factor == 1 for factor in attributes(operation)["factor"])


def _has_unit_window(operation: Operation) -> bool:
    """box, debox, avg_pool and max_pool of size 1 with stride 1 and without padding (automatic padding adds none)."""
    attribs = attributes(operation)
    shape, source = tuple(attribs.get("output_shape") or ()), operation.inputs[0].shape
    return (
        all(item == 1 for item in (*attribs["size"], *attribs["stride"]))
        and all(tuple(item) == (0, 0) for item in attribs["padding"])
        and shape in ((), source)
    )


def _casts_to_same(operation: Operation) -> bool:
    """cast to the type and precision of the input."""
    source, target = operation.inputs[0].dtype, operation.attribs.get("dtype")
    if source is None or target is None or (source is np.float64) != (target is np.float64):
        return False
    return nnef_dtype(source) == nnef_dtype(target)


def _neutral(item: float, *, commutes: bool) -> Test:
    """The test for a binary operation with a constant that has that value everywhere and does not extend the shape."""

    def test(operation: Operation, editor: Editor) -> Tensor | None:
        x, y = operation.inputs
        for source, other in ((x, y), (y, x)) if commutes else ((x, y),):
            data = editor.value(other)
            if data is not None and _is_filled(data, item) and (data.ndim == 0 or _same(source, operation.output)):
                return source
        return None

    return test


def _same(source: Tensor, result: Tensor) -> bool:
    return source.volume is not None and source.shape == result.shape


def _is_filled(data: Array, item: float) -> bool:
    first: Any = data.flat[0] if data.size else None
    return first == item and bool(np.all(data == item))


_TESTS: dict[str, Test] = {
    "copy": _first(_always),
    "transpose": _first(_keeps_order),
    "reshape": _first(_keeps_shape),
    "pad": _first(_adds_no_padding),
    "slice": _first(_takes_all),
    "tile": _first(_repeats_once),
    "cast": _first(_casts_to_same),
    "mul": _neutral(1, commutes=True),
    "div": _neutral(1, commutes=False),
    "pow": _neutral(1, commutes=False),
    "add": _neutral(0, commutes=True),
    "sub": _neutral(0, commutes=False),
    **dict.fromkeys(("concat", "split", "add_n", "copy_n"), _first(_always)),
    **dict.fromkeys(("squeeze", "unsqueeze"), _first(_lacks_axes)),
    **dict.fromkeys(("box", "debox", "avg_pool", "max_pool"), _first(_has_unit_window)),
    **dict.fromkeys(
        ("nearest_downsample", "area_downsample", "nearest_upsample", "multilinear_upsample"), _first(_scales_by_one)
    ),
    **dict.fromkeys(
        ("sum_reduce", "mean_reduce", "max_reduce", "min_reduce", "any_reduce", "all_reduce"), _first(_reduces_ones)
    ),
}

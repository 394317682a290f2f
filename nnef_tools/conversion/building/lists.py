"""Values of a source that are several tensors: sequences of ONNX, lists and arrays of tensors of TensorFlow.

A list is not a tensor of the target graph: rules pass `TensorList` objects on, and only what is read from them has
operations. Its length and the positions of its items are known when the model is converted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...budget import ask_results
from ...errors import InvalidOperator, Unsupported
from ...model import Tensor
from .complex_pairs import ComplexPair, constant_pair, is_complex
from .nnef import Builder
from .shapes import positive, shape, squeeze, unsqueeze


@dataclass(frozen=True)
class TensorList:
    """items: None where nothing has been written yet. extents: those of an item, as far as they are known.

    varies: does the number of items depend on the data? Then there are at most these.
    """

    items: tuple[Tensor | None, ...]
    dtype: Any
    extents: tuple[int, ...] | None = None
    varies: bool = False
    name: str = ""  # lists stand among the target tensors, but have no name and no place in the graph
    graph: None = None
    data: None = None

    def with_item(self, index: int, item: Tensor) -> TensorList:
        """The list with another item at the position."""
        if not 0 <= index < len(self.items):
            raise InvalidOperator(f"position {index} of a list of {len(self.items)} items")
        return replace(self, items=(*self.items[:index], item, *self.items[index + 1 :]))

    def item(self, b: Builder, index: int) -> Tensor:
        """The item at the position, zeros if nothing has been written there."""
        if not 0 <= index < len(self.items):
            raise InvalidOperator(f"position {index} of a list of {len(self.items)} items")
        found = self.items[index]
        return self._zeros(b) if found is None else found

    def all_items(self, b: Builder) -> list[Tensor]:
        """All items, zeros for those that have not been written."""
        return [self.item(b, k) for k in range(len(self.items))]

    def _zeros(self, b: Builder) -> Tensor:
        written = next((item for item in self.items if item is not None), None)
        extents = self.extents if written is None else shape(written)
        if extents is None:
            raise Unsupported("an item of a list is read before it is written, and its shape is not known")
        zeros = np.broadcast_to(np.zeros((), self.dtype), extents)
        return constant_pair(b, zeros) if is_complex(self.dtype) else b.constant(zeros)  # type: ignore[return-value]


def unwritten(count: int) -> tuple[None, ...]:
    """The items of a list that nothing has been written to."""
    ask_results(count)
    return (None,) * count


def parts(b: Builder, x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts of a tensor, or of complex numbers, along an axis, which is dropped."""
    if isinstance(x, ComplexPair):
        return tuple(map(ComplexPair, parts(b, x.re, axis), parts(b, x.im, axis)))
    k = positive(axis, len(shape(x)))
    count = shape(x)[k]
    if count == 0:
        return ()
    return (squeeze(b, x, [k]),) if count == 1 else tuple(b.unstack(x, axis=k))


def stacked(
    b: Builder, items: list[Tensor], dtype: Any = None, extents: tuple[int, ...] | None = None, axis: int = 0
) -> Tensor:
    """The items along a new axis: the tensor that they are the parts of, if they are all of them.

    dtype, extents: of the items, for a list without any. Unsupported if its result has no shape.
    """
    if not items:
        if extents is None:
            raise Unsupported("a list without items has no shape")
        return b.constant(np.zeros([0, *extents], dtype))
    if isinstance(items[0], ComplexPair):
        re, im = ([getattr(item, part) for item in items] for part in ("re", "im"))
        return ComplexPair(stacked(b, re, axis=axis), stacked(b, im, axis=axis))
    k = positive(axis, len(shape(items[0])) + 1)
    source = items[0].producer
    is_whole = source is not None and source.type == "unstack" and list(source.outputs) == items
    if source is not None and is_whole and source.attribs["axis"] == k:
        return source.inputs[0]
    return unsqueeze(b, items[0], [k]) if len(items) == 1 else b.stack(items, axis=k)

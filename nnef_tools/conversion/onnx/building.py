"""The builder of ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ...errors import Unsupported
from ...model import Graph, Tensor
from ...ops.borders import source_index
from ..building.shapes import shape
from ..building.target import Array, Reduction, known
from ..maths import names, padding
from ..maths.generated import positions
from ..maths.padding import Pairs
from .common import dtype_code
from .operators import OnnxOperators

BORDERS = {"constant": "constant", "ignore": "constant", "replicate": "edge", "reflect": "reflect"}


_PLAIN = (
    ("min", "Min"),
    ("max", "Max"),
    ("pow", "Pow"),
    ("bitwise_and", "BitwiseAnd"),
    ("bitwise_or", "BitwiseOr"),
    ("bitwise_xor", "BitwiseXor"),
)
REDUCTIONS = {row.nnef: row.onnx for row in names.REDUCE}


class OnnxBuilder(OnnxOperators):
    """Builds ONNX operators of a version of the operator set."""

    dialect = "onnx"
    plain: ClassVar[Mapping[str, str]] = {**{row.nnef: row.onnx for row in names.ELEMENTWISE}, **dict(_PLAIN)}

    def __init__(self, graph: Graph, version: int) -> None:
        super().__init__(graph, version)

    def need_version(self, version: int, what: str) -> None:
        """Unsupported if the target's operator set is older."""
        if self.version < version:
            raise Unsupported(f"{what} needs operator set version {version} (--opset {version})")

    def ints(self, values: Sequence[int]) -> Tensor:
        """A constant vector of int64, the same one for equal values: models repeat axes and extents a lot."""
        key = (np.int64, *values)
        if key not in self.views:
            self.views[key] = self.constant(list(values), np.int64)
        return self.views[key]

    def aligned(self, *tensors: Tensor) -> list[Tensor]:
        """Aligns operands; constants beside computed operands of full rank get no leading axes of extent 1."""
        ranks = [len(shape(x)) for x in tensors]
        rank = max(ranks)
        computed = [x.data is None and own == rank for x, own in zip(tensors, ranks, strict=True)]
        if all(computed):
            return list(tensors)
        extended = [self.right_extended(x, rank) for x in tensors]
        return [self.lean(x) for x in extended] if any(computed) else extended

    def lean(self, x: Tensor) -> Tensor:
        """A constant without leading axes of extent 1, which ONNX's broadcasting adds; anything else as it is."""
        if x.data is None:
            return x
        own = shape(x)
        first = next((k for k, extent in enumerate(own) if extent != 1), len(own))
        return self.reshape(x, own[first:])

    def pad(self, x: Tensor, pairs: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
        """Pads by Pad, Slice, or Gather of the source positions."""
        pairs = [(int(p), int(q)) for p, q in pairs]
        if all(pair == (0, 0) for pair in pairs):
            return x
        own = shape(x)
        if all(max(pair) <= 0 for pair in pairs):
            return self.slice(x, {k: range(-p, n + q) for k, (n, (p, q)) in enumerate(zip(own, pairs, strict=True))})
        # runtimes crop before they extend, and may then lack the elements to repeat
        mixed = BORDERS.get(border) != "constant" and any(min(pair) < 0 for pair in pairs)
        if border == "reflect-even" or mixed:
            for k, (p, q) in enumerate(pairs):
                x = self.take(x, source_index(positions(p + own[k] + q) - p, own[k], border), k)
            return x
        amounts = self.ints(padding.pairs_to_onnx(pairs))
        filler = self.constant(value, x.dtype) if value or np.signbit(value) else None
        result = self.Pad(x, amounts, filler, mode=BORDERS[border])
        return known(result, [n + p + q for n, (p, q) in zip(own, pairs, strict=True)], x.dtype)

    def _reshape(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        return self.Reshape(x, self.ints(dims))

    def _unsqueeze(self, x: Tensor, axes: Sequence[int], dims: Sequence[int]) -> Tensor:
        return self.Unsqueeze(x, self.ints(axes))

    def _squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self.Squeeze(x, self.ints(axes))

    def _transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self.Transpose(x, perm=list(axes))

    def _expand(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        return self.Expand(x, self.ints(dims))

    def _cast(self, x: Tensor, dtype: Any) -> Tensor:
        # the model itself limits values to the range of a type, if it needs that
        return self.Cast(x, to=dtype_code(dtype), saturate=0 if dtype.__name__.startswith("float8") else None)

    def _identity(self, x: Tensor) -> Tensor:
        return self.Identity(x)

    def _positions(self, values: Array) -> Tensor:
        return self.constant(values, np.int64)

    def _gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        return self.Gather(x, indices, axis=axis)

    def _slice(self, x: Tensor, ranges: Mapping[int, range]) -> Tensor:
        ends = [r.stop if r.stop >= 0 else -shape(x)[k] - 1 for k, r in ranges.items()]
        steps = [r.step for r in ranges.values()]
        return self.Slice(
            x,
            self.ints([r.start for r in ranges.values()]),
            self.ints(ends),
            self.ints(list(ranges)),
            self.ints(steps) if any(step != 1 for step in steps) else None,
        )

    def _concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return self.Concat(*parts, axis=axis)

    def _split(self, x: Tensor, axis: int, extents: Sequence[int]) -> Sequence[Tensor]:
        return self.Split(x, self.ints(extents), axis=axis, outputs=len(extents))

    def _reduce(self, kind: Reduction, x: Tensor, axes: Sequence[int]) -> Tensor:
        """A reduction; axes are an attribute up to version 17, for sums up to version 12."""
        if kind in ("any", "all"):  # runtimes lack these reductions for logical values
            return self.cast(self.reduce("max" if kind == "any" else "min", self.cast(x, np.int32), axes), np.bool_)
        type = REDUCTIONS[f"{kind}_reduce"]
        by_input = self.version >= (13 if kind == "sum" else 18)
        result: Tensor = (
            self.op(type, x, self.ints(axes), keepdims=1) if by_input else self.op(type, x, axes=list(axes), keepdims=1)
        )
        return result

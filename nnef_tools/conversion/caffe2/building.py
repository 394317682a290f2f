"""The builder of Caffe2 graphs: operators of its kernels for the CPU, in NCHW order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ...dialects.caffe2.types import CODES
from ...errors import Unsupported
from ...model import Tensor
from ...ops.borders import source_index
from ..building.shapes import shape
from ..building.target import Array, Reduction, TargetBuilder, broadcast_shape, known
from ..maths.generated import positions
from ..maths.padding import Pairs

_PLAIN = {
    "abs": "Abs",
    "acos": "Acos",
    "add": "Add",
    "and": "And",
    "asin": "Asin",
    "atan": "Atan",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "div": "Div",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GE",
    "gt": "GT",
    "le": "LE",
    "log": "Log",
    "lt": "LT",
    "mul": "Mul",
    "neg": "Negative",
    "not": "Not",
    "or": "Or",
    "rcp": "Reciprocal",
    "relu": "Relu",
    "rsqrt": "Rsqrt",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "softplus": "Softplus",
    "sqr": "Sqr",
    "sqrt": "Sqrt",
    "sub": "Sub",
    "tan": "Tan",
    "tanh": "Tanh",
    "bitwise_and": "BitwiseAnd",
    "bitwise_or": "BitwiseOr",
    "bitwise_xor": "BitwiseXor",
}
_REDUCTIONS: Mapping[str, str] = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}
_BORDERS = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


class Caffe2Builder(TargetBuilder):
    """Builds Caffe2 operators. Everything real is float32."""

    dialect = "caffe2"
    plain: ClassVar[Mapping[str, str]] = _PLAIN

    def same_shapes(self, type: str, *tensors: Tensor, dtype: Any = None) -> Tensor:
        """An operator that does not broadcast, of tensors that NNEF broadcasts."""
        dims = broadcast_shape(*tensors)
        rank = len(dims)
        full = [self.expand(self.right_extended(x, rank) if shape(x) else x, dims) for x in tensors]
        return known(self.op(type, *full), dims, dtype or tensors[-1].dtype)

    def equal(self, x: Tensor, y: Tensor) -> Tensor:
        """Where x equals y; operators for that are of integers only."""
        least, most = (self.counterpart(name, x, y, dtype=np.bool_) for name in ("ge", "le"))
        return self.counterpart("and", least, most, dtype=np.bool_)

    def pad(self, x: Tensor, pairs: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
        """Pads by PadImage where that can, else by Concat with a constant or Gather; crops by Slice."""
        own = shape(x)
        more = [(max(p, 0), max(q, 0)) for p, q in pairs]
        rows = enumerate(zip(own, pairs, more, strict=True))
        x = self.slice(x, {k: range(max(-p, 0), n - max(-q, 0)) for k, (n, (p, q), _) in rows})
        changed = [k for k, pair in enumerate(more) if pair != (0, 0)]
        if not changed:
            return x
        own = shape(x)
        reflected = border != "reflect" or all(max(pair) < n for pair, n in zip(more, own, strict=True))
        if len(own) == 4 and min(changed) >= 2 and border in _BORDERS and reflected and x.dtype is np.float32:
            (top, bottom), (left, right) = more[2:]
            sides: dict[str, Any] = {"pad_t": top, "pad_l": left, "pad_b": bottom, "pad_r": right}
            y = self.op("PadImage", x, **sides, mode=_BORDERS[border], value=float(value), order="NCHW")
            return known(y, [n + p + q for n, (p, q) in zip(own, more, strict=True)], x.dtype)
        for k in changed:
            x = self._continued(x, k, *more[k], border, value)
        return x

    def _continued(self, x: Tensor, axis: int, before: int, after: int, border: str, value: float) -> Tensor:
        own = shape(x)
        if border not in ("constant", "ignore"):
            return self.take(x, source_index(positions(before + own[axis] + after) - before, own[axis], border), axis)
        parts = [
            self.constant(np.full([*own[:axis], n, *own[axis + 1 :]], value, x.dtype)) for n in (before, after) if n
        ]
        return self.concat([*parts[: 1 if before else 0], x, *parts[1 if before else 0 :]], axis)

    # the operators for the methods of every builder

    def _reshape(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        result: Tensor = self.op("Reshape", x, outputs=2, shape=list(dims))[0]
        return result

    def _unsqueeze(self, x: Tensor, axes: Sequence[int], dims: Sequence[int]) -> Tensor:
        result: Tensor = self.op("ExpandDims", x, dims=list(axes))
        return result

    def _squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        result: Tensor = self.op("Squeeze", x, dims=list(axes))
        return result

    def _transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        result: Tensor = self.without_logical(partial(self.op, "Transpose", axes=list(axes)), x)
        return result

    def _expand(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        new = self.constant(list(dims), np.int64)
        return self.without_logical(lambda y: self.op("Expand", y, new), x)

    def _cast(self, x: Tensor, dtype: Any) -> Tensor:
        if dtype not in CODES:
            raise Unsupported(f"Caffe2 has no data type {dtype.__name__}")
        result: Tensor = self.op("Cast", x, to=CODES[dtype])
        return result

    def _identity(self, x: Tensor) -> Tensor:
        result: Tensor = self.op("Copy", x)
        return result

    def _positions(self, values: Array) -> Tensor:
        return self.constant(values, np.int64)

    def _gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        result: Tensor = self.op("Gather", x, indices, axis=axis)
        return result

    def _slice(self, x: Tensor, ranges: Mapping[int, range]) -> Tensor:
        """An axis after the other, all that kernels can; steps are gathered."""
        for axis, taken in ranges.items():
            own = shape(x)
            dims = [len(taken) if k == axis else n for k, n in enumerate(own)]
            if taken.step != 1:
                x = known(self._gather(x, self._positions(np.asarray(taken)), axis), dims, x.dtype)
                continue
            starts = [taken.start if k == axis else 0 for k in range(len(own))]
            ends = [taken.stop if k == axis else -1 for k in range(len(own))]
            x = known(self.op("Slice", x, starts=starts, ends=ends), dims, x.dtype)
        return x

    def _concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        result: Tensor = self.op("Concat", *parts, outputs=2, axis=axis)[0]
        return result

    def _split(self, x: Tensor, axis: int, extents: Sequence[int]) -> Sequence[Tensor]:
        results: Sequence[Tensor] = self.op("Split", x, outputs=len(extents), axis=axis, split=list(extents))
        return results

    def _reduce(self, kind: Reduction, x: Tensor, axes: Sequence[int]) -> Tensor:
        if kind in ("any", "all"):
            whole = self.reduce("max" if kind == "any" else "min", self.cast(x, np.int32), axes)
            return self.cast(whole, np.bool_)
        if kind not in _REDUCTIONS:
            raise Unsupported(f"Caffe2 has no reduction to the {kind}")
        result: Tensor = self.op(_REDUCTIONS[kind], x, axes=list(axes), keepdims=1)
        return result

    def without_logical(self, operator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The result of an operator whose kernels are of numbers only."""
        if x.dtype is not np.bool_:
            return operator(x)
        numbers = known(operator(self.cast(x, np.int32)), None, np.int32)
        return self._cast(numbers, np.bool_)

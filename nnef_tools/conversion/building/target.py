"""The builder of target graphs: common methods for the rules of all dialects, beside the dialect's own operators.

Tensors are `b.real` (float32), int64 or bool here, for NNEF's scalar, integer and logical. The result of a method has
its shape and data type set, so that it can be used further. It is the operand itself where nothing changes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...budget import ask_repeated
from ...errors import Unsupported
from ...model import Graph, Operation, Tensor
from ...ops import broadcast as ops_broadcast
from ...ops.inference import infer_shapes
from ...ops.registry import find
from ...ops.window import divisors
from ..engine.rules import find_from_nnef
from ..maths.generated import is_every
from ..maths.padding import Pairs
from .operations import Operand, Operations
from .quantized import QuantizedArray, quantized_constant
from .shapes import shape

Array = np.ndarray[Any, Any]
Reduction = Literal["all", "any", "max", "mean", "min", "product", "sum"]


class TargetBuilder(ABC):
    """Builds operations at the end of `graph`: `b.Conv(x, w, None, strides=[2, 2])` adds the operator Conv.

    real: the class of real numbers in the present operation. version: of the target's operator set. wanted: which
    results of the source operation are used. warnings: in order, once each. derived_from: constant -> the one that it
    was derived from, whose name it inherits. views: the other forms that were made of constants. nnef: adds NNEF
    operations by the rules of the dialect, `b.nnef.add(x, 1.0)`, where numbers are real.
    """

    dialect: ClassVar[str]
    plain: ClassVar[Mapping[str, str]]
    """NNEF operation -> the operator of the dialect that computes the same, element by element."""

    def __init__(self, graph: Graph, version: int = 1) -> None:
        self.graph = graph
        self.version = version
        self.real: type = np.float32
        self.wanted: tuple[bool, ...] = ()
        self.warnings: dict[str, None] = {}
        self.derived_from: dict[Tensor, Tensor] = {}
        self.views: dict[tuple[Any, ...], Tensor] = {}
        self.nnef: Operations = _NnefOperations(self)
        self._missing: Tensor | None = None

    if not TYPE_CHECKING:  # the stubs of each dialect declare its operators, so that a misspelled one is found

        def __getattr__(self, type: str) -> Callable[..., Any]:
            if type.startswith("_"):
                raise AttributeError(type)
            return partial(self.op, type)

    def op(
        self, type: str, *inputs: Tensor | None, outputs: int | None = None, domain: str = "", **attribs: Any
    ) -> Any:
        """Adds an operation and returns its result, or a tuple for a number of outputs: real, without shape.

        None for an input leaves it out, and so do None attributes.
        """
        results = tuple([Tensor(self.graph, dtype=self.real) for _ in range(1 if outputs is None else outputs)])
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        Operation(
            self.graph,
            type=type,
            attribs={key: value for key, value in attribs.items() if value is not None},
            inputs=tuple([self._absent() if t is None else t for t in inputs]),
            outputs=results,
            domain=domain,
        )
        return results[0] if outputs is None else results

    def _absent(self) -> Tensor:
        if self._missing is None:
            self._missing = Tensor(self.graph, name="", shape=(), dtype=np.float32, data=np.zeros((), np.float32))
        return self._missing

    # constants

    def constant(self, value: Any, dtype: Any = None, base: Tensor | None = None) -> Tensor:
        """A constant tensor; the array is shared, not copied. base: the constant that it is derived from."""
        array = np.asarray(value, dtype=dtype)
        ask_repeated(array.shape, array.strides)
        tensor = Tensor(self.graph, shape=array.shape, dtype=array.dtype.type, data=array)
        if base is not None:
            self.derived_from[tensor] = base
        return tensor

    def view(self, base: Tensor, *form: Any, make: Callable[[], Any]) -> Tensor:
        """The constant in another form, with the array that `make` returns; the same tensor for equal keys."""
        key = (base, *form)
        if key not in self.views:
            self.views[key] = self.constant(make(), base=base)
        return self.views[key]

    def value(self, tensor: Tensor) -> Array | None:
        """The array of a constant, None for any other tensor."""
        return None if tensor.data is None else np.asarray(tensor.data)

    def scalar(self, value: float) -> Tensor:
        """A real number of rank 0."""
        return self.constant(value, self.real)

    def integer(self, value: int) -> Tensor:
        """An int64 of rank 0, for computing with NNEF's integers."""
        return self.constant(int(value), np.int64)

    # shape and data type

    def reshape(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        """x in another shape."""
        dims = list(dims)
        if shape(x) == dims:
            return x
        if isinstance(x.data, QuantizedArray):
            moved = x.data.reshaped(dims)
            if moved is not None:
                return quantized_constant(self, moved, base=x)
        elif x.data is not None:
            return self.view(x, "shape", *dims, make=lambda: np.asarray(x.data).reshape(dims))
        return known(self._reshape(x, dims), dims, x.dtype)

    def unsqueeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """x with new axes at these positions of the result."""
        rest = iter(shape(x))
        dims = [1 if k in axes else next(rest) for k in range(len(shape(x)) + len(axes))]
        if not axes or x.data is not None:
            return self.reshape(x, dims)
        return known(self._unsqueeze(x, axes, dims), dims, x.dtype)

    def squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """x without the axes, which have extent 1."""
        dims = [n for k, n in enumerate(shape(x)) if k not in axes]
        if not axes or x.data is not None:
            return self.reshape(x, dims)
        return known(self._squeeze(x, axes), dims, x.dtype)

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """x with permuted axes."""
        if list(axes) == list(range(len(axes))):
            return x
        if isinstance(x.data, QuantizedArray):
            return quantized_constant(self, x.data.transposed(axes), base=x)
        if x.data is not None:
            return self.view(x, "axes", *axes, make=lambda: np.transpose(np.asarray(x.data), axes))
        return known(self._transpose(x, axes), [shape(x)[k] for k in axes], x.dtype)

    def expand(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        """x broadcast to a shape that its own fits on the right."""
        if shape(x) == list(dims):
            return x
        if x.data is None:
            return known(self._expand(x, dims), dims, x.dtype)
        return self.view(x, "full", *dims, make=lambda: np.broadcast_to(np.asarray(x.data), dims))

    def cast(self, x: Tensor, dtype: Any) -> Tensor:
        """x in another data type; real to integer truncates."""
        if x.dtype is dtype:
            return x
        if x.data is not None and not isinstance(x.data, QuantizedArray):
            with np.errstate(all="ignore"):
                return self.view(x, "type", dtype, make=lambda: np.asarray(x.data).astype(dtype))
        return self.cast_at_run_time(x, dtype)

    def cast_at_run_time(self, x: Tensor, dtype: Any) -> Tensor:
        """x in another data type, always by an operator, even for a constant."""
        return known(self._cast(x, dtype), x.shape, dtype)

    def identity(self, x: Tensor) -> Tensor:
        """A copy of x, by an operator."""
        return known(self._identity(x), x.shape, x.dtype)

    # data movement

    def gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        """The elements at the positions of an axis, which the dimensions of the indices replace."""
        own = shape(x)
        return known(self._gather(x, indices, axis), [*own[:axis], *shape(indices), *own[axis + 1 :]], x.dtype)

    def take(self, x: Tensor, positions: Array, axis: int) -> Tensor:
        """The elements at constant positions of an axis."""
        if is_every(positions, shape(x)[axis]):
            return x
        return self.gather(x, self._positions(positions), axis)

    def slice(self, x: Tensor, ranges: Mapping[int, range]) -> Tensor:
        """The elements in a range, for some axes."""
        own = shape(x)
        taken = {k: r for k, r in ranges.items() if r != range(own[k])}
        if not taken:
            return x
        return known(self._slice(x, taken), [len(taken[k]) if k in taken else n for k, n in enumerate(own)], x.dtype)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The parts joined along an axis."""
        if len(parts) == 1:
            return parts[0]
        own = shape(parts[0])
        extent = sum(shape(part)[axis] for part in parts)
        return known(self._concat(parts, axis), [*own[:axis], extent, *own[axis + 1 :]], parts[0].dtype)

    def stack(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The parts joined along a new axis."""
        return self.concat([self.unsqueeze(part, [axis]) for part in parts], axis)

    def split(self, x: Tensor, axis: int, extents: Sequence[int]) -> list[Tensor]:
        """The parts of these extents along an axis."""
        if len(extents) == 1:
            return [x]
        own = shape(x)
        parts = zip(self._split(x, axis, extents), extents, strict=True)
        return [known(part, [*own[:axis], n, *own[axis + 1 :]], x.dtype) for part, n in parts]

    @abstractmethod
    def pad(self, x: Tensor, pairs: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
        """x continued beyond its borders, one pair for each axis; cropped where padding is negative."""

    # arithmetic

    def right_extended(self, x: Tensor, rank: int) -> Tensor:
        """x with axes of extent 1 at the end up to the rank; a tensor of rank 0 fits already."""
        own = len(shape(x))
        return x if own in (0, rank) else self.unsqueeze(x, range(own, rank))

    def aligned(self, *tensors: Tensor) -> list[Tensor]:
        """The operands of an elementwise operation with new axes on the right, as NNEF's broadcasting wants."""
        rank = max(len(shape(x)) for x in tensors)
        return [self.right_extended(x, rank) for x in tensors]

    def elementwise(
        self, operator: Callable[..., Tensor], *tensors: Tensor, dtype: Any = None, **attribs: Any
    ) -> Tensor:
        """An elementwise operator with NNEF's broadcasting: `b.elementwise(b.Mul, x, y)`.

        dtype: of the result, by default that of the last operand.
        """
        result = operator(*self.aligned(*tensors), **attribs)
        return known(result, broadcast_shape(*tensors), dtype or tensors[-1].dtype)

    def counterpart(self, name: str, *tensors: Tensor, dtype: Any = None) -> Tensor:
        """The operator of the dialect that corresponds to an NNEF operation. Unsupported if there is none."""
        if name not in self.plain:
            raise Unsupported(f"{self.dialect} has no operator for {name}")
        return self.elementwise(partial(self.op, self.plain[name]), *tensors, dtype=dtype)

    def reduce(self, kind: Reduction, x: Tensor, axes: Sequence[int]) -> Tensor:
        """A reduction that keeps the rank; x itself without axes."""
        if not axes:
            return x
        return known(self._reduce(kind, x, axes), [1 if k in axes else n for k, n in enumerate(shape(x))], x.dtype)

    def divided(self, x: Tensor, counts: Sequence[Array]) -> Tensor:
        """x divided by the outer product of counts for each dimension."""
        total = divisors(counts)
        return self.nnef.div(x, self.constant(total if total.size > 1 else total.item(), self.real))

    def per_channel(self, x: Tensor, channels: int) -> Tensor | None:
        """A parameter `[1, C]`, `[C]` or of one item as `[C]`; None if it varies in other dimensions."""
        own = shape(x)
        if math.prod(own) == 1:
            return self.expand(self.reshape(x, [1]), [channels])
        if own == [channels] or (own[:2] == [1, channels] and math.prod(own) == channels):
            return self.reshape(x, [channels])
        return None

    # the operators of the dialect that the methods above add

    @abstractmethod
    def _reshape(self, x: Tensor, dims: Sequence[int]) -> Tensor: ...
    @abstractmethod
    def _unsqueeze(self, x: Tensor, axes: Sequence[int], dims: Sequence[int]) -> Tensor: ...
    @abstractmethod
    def _squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor: ...
    @abstractmethod
    def _transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor: ...
    @abstractmethod
    def _expand(self, x: Tensor, dims: Sequence[int]) -> Tensor: ...
    @abstractmethod
    def _cast(self, x: Tensor, dtype: Any) -> Tensor: ...
    @abstractmethod
    def _identity(self, x: Tensor) -> Tensor: ...
    @abstractmethod
    def _positions(self, values: Array) -> Tensor: ...
    @abstractmethod
    def _gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor: ...
    @abstractmethod
    def _slice(self, x: Tensor, ranges: Mapping[int, range]) -> Tensor: ...
    @abstractmethod
    def _concat(self, parts: Sequence[Tensor], axis: int) -> Tensor: ...
    @abstractmethod
    def _split(self, x: Tensor, axis: int, extents: Sequence[int]) -> Sequence[Tensor]: ...
    @abstractmethod
    def _reduce(self, kind: Reduction, x: Tensor, axes: Sequence[int]) -> Tensor: ...


class _NnefOperations(Operations):
    """NNEF operations by the rules of the dialect."""

    def __init__(self, builder: TargetBuilder) -> None:
        self._builder = builder

    def op(self, name: str, *inputs: Operand | Sequence[Operand], **attribs: Any) -> Any:
        b = self._builder
        rule, definition = find_from_nnef(b.dialect, name), find(name)
        assert rule is not None and definition is not None, f"{b.dialect} has no rule for {name}"
        tensors = [x if isinstance(x, Tensor) else b.constant(x, b.real) for x in inputs]
        complete = definition.complete(attribs)
        result = rule.function(b, *tensors, **{**complete, **attribs})
        if isinstance(result, Tensor) and result.shape is None:
            result.shape = infer_shapes(name, [list(x.shape or ()) for x in tensors], complete)
        return result


def known(x: Tensor, shape: Sequence[int | None] | None, dtype: Any = None) -> Tensor:
    """x with its shape set, and its data type if it is not a real one."""
    x.shape = shape
    if dtype is not None:
        x.dtype = dtype
    return x


def is_number(x: Tensor, value: float) -> bool:
    """Is x a constant of rank 0 with that value?"""
    return x.data is not None and not shape(x) and float(np.asarray(x.data)) == value


def broadcast_shape(*tensors: Tensor) -> list[int]:
    """The shape of an elementwise result."""
    return ops_broadcast.broadcast_shape(*map(shape, tensors))

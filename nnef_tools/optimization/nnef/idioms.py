"""Recognizes groups of NNEF operations that are one operator in other formats.

An idiom is an operation that only converters know. Its name is not an NNEF identifier, so that no model has an
operation or fragment with that name. Only forms that compute the same are recognized. An idiom is limited to single
precision if the operators of targets compute in it, or runtimes implement them for it only.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from math import isclose, pi, sqrt
from typing import Any, NamedTuple

from ...model import Graph, Operation, Tensor
from ...model.copying import copy_graph
from ...model.dtypes import is_float, is_integer
from ...model.widths import has_doubles, is_double
from ..unused import remove_unused_tensors
from .editor import Editor

GELU = "idiom:gelu"
"""(x, *, approximate): x * (1 + erf(x / sqrt(2))) / 2, or its form with tanh."""
HARD_SIGMOID = "idiom:hard_sigmoid"
"""(x, *, alpha, beta): clamp(alpha * x + beta, 0, 1)."""
LAYER_NORMALIZATION = "idiom:layer_normalization"
"""(x, scale, bias or nothing, *, count, epsilon): x, normalized over its last `count` axes, * scale + bias.

scale, bias: constants with the extents of these axes, after leading ones of extent 1.
"""
INSTANCE_NORMALIZATION = "idiom:instance_normalization"
"""(x, offset, scale, *, epsilon): batch_normalization by the moments of each channel over all spatial axes."""
DEPTH_TO_SPACE = "idiom:depth_to_space"
"""(x, *, block_size): [N, block_size * block_size * C, H, W] -> [N, C, H * block_size, W * block_size]."""
PIXEL_SHUFFLE = "idiom:pixel_shuffle"
"""(x, *, block_size): [N, C * block_size * block_size, H, W] -> [N, C, H * block_size, W * block_size]."""
SPACE_TO_DEPTH = "idiom:space_to_depth"
"""(x, *, block_size): the inverse of DEPTH_TO_SPACE."""
DEPTH_TO_SPACE_NHWC = "idiom:depth_to_space_nhwc"
"""(x, *, block_size): [N, H, W, block_size * block_size * C] -> [N, H * block_size, W * block_size, C]."""
SPACE_TO_DEPTH_NHWC = "idiom:space_to_depth_nhwc"
"""(x, *, block_size): the inverse of DEPTH_TO_SPACE_NHWC."""
SIGNED_GATHER = "idiom:signed_gather"
"""(input, indices, *, axis): gather, where negative indices count from the end."""
COLUMN_BIAS = "idiom:column_bias"
"""(x, bias): the sum of a matmul with a single column and a number.

Runtimes fuse the two if the number is a vector of one item.
"""

Extents = tuple[int | None, ...]

IDIOMS = (
    GELU,
    HARD_SIGMOID,
    LAYER_NORMALIZATION,
    INSTANCE_NORMALIZATION,
    DEPTH_TO_SPACE,
    PIXEL_SHUFFLE,
    SPACE_TO_DEPTH,
    DEPTH_TO_SPACE_NHWC,
    SPACE_TO_DEPTH_NHWC,
    SIGNED_GATHER,
    COLUMN_BIAS,
)

_MEANS = ("mean_reduce", "sum_reduce")
"""Operations that compute means; a sum does if it is normalized."""

_NEAR = 1e-5
"""How near to a number its literals are."""

_MAX_EXACT = 1 << 24
"""The extent up to which indices are exact in float32, the type that NNEF computes in."""


class _Blocks(NamedTuple):
    """A move of blocks by a transpose between two reshapes.

    axes: of the transpose. grid: the axes before the transpose, b for those of a block. layout: the axes outside.
    """

    type: str
    axes: tuple[int, ...]
    grid: str
    layout: str


_BLOCKS = (
    _Blocks(PIXEL_SHUFFLE, (0, 1, 4, 2, 5, 3), "ncbbhw", "nchw"),
    _Blocks(DEPTH_TO_SPACE, (0, 3, 4, 1, 5, 2), "nbbchw", "nchw"),
    _Blocks(SPACE_TO_DEPTH, (0, 3, 5, 1, 2, 4), "nchbwb", "nchw"),
    _Blocks(DEPTH_TO_SPACE_NHWC, (0, 1, 3, 2, 4, 5), "nhwbbc", "nhwc"),
    _Blocks(SPACE_TO_DEPTH_NHWC, (0, 1, 3, 2, 4, 5), "nhbwbc", "nhwc"),
)


class Idiom(NamedTuple):
    """An operation that stands for an operation and others before it."""

    type: str
    inputs: tuple[Tensor, ...]
    attribs: Mapping[str, Any]


def with_idioms(graph: Graph, types: Collection[str], kept: Container[str] = ()) -> Graph:
    """The graph, or a copy in which idioms of these types replace the operations that they stand for.

    Idioms are found only where shapes are known. The code that makes negative indices positive is always removed before
    `gather_elements`, which accepts them. kept: types of operations that stay, since plugins convert them.
    """
    finder = _Finder(graph, types, kept)
    found = {op: idiom for op in graph.operations if (idiom := finder.find(op)) is not None}
    if not found:
        return graph
    result = copy_graph(graph)
    copies = dict(zip(graph.tensors, result.tensors, strict=True))
    operations = dict(zip(graph.operations, result.operations, strict=True))
    replaced: list[Tensor] = []
    for original, idiom in found.items():
        op = operations[original]
        replaced.extend(op.inputs)
        op.type, op.attribs, op.inputs = idiom.type, dict(idiom.attribs), tuple(copies[t] for t in idiom.inputs)
    remove_unused_tensors(replaced, kept=set(result.outputs))
    return result


def is_per_channel(parameter: Tensor, channels: int) -> bool:
    """Does the parameter have one item for each channel, or a single item?"""
    own = parameter.shape or ()
    return own in ((), (1,)) or (own[:2] in ((1, channels), (1, 1)) and parameter.volume in (1, channels))


class _Finder:
    """Finds the idioms in a graph."""

    def __init__(self, graph: Graph, types: Collection[str], kept: Container[str]) -> None:
        self._editor = Editor(graph)
        self._types = types
        self._kept = kept
        self._has_doubles = has_doubles(graph)

    def find(self, op: Operation) -> Idiom | None:
        """The wanted idiom that ends with the operation; None if there is none."""
        if op.type in self._kept:
            return None
        found = (idiom for idiom in self._candidates(op) if idiom.type in (op.type, *self._types))
        return next(found, None)

    def _candidates(self, op: Operation) -> Iterator[Idiom]:
        match op.type, op.inputs:
            case "gather" | "gather_elements", (input, indices):
                yield from self._signed_gather(op, input, indices)
            case "add", (x, y):
                yield from self._column_bias(x, y)
                yield from self._biased_layer_normalization(op)
            case "clamp", (x, low, high) if self._is_single(op):
                yield from self._hard_sigmoid(x, low, high)
            case "mul", _ if self._is_single(op):
                yield from self._gelu(op)
                for x, scale, count, epsilon in self._scaled_layers(op.inputs):
                    yield Idiom(LAYER_NORMALIZATION, (x, scale), {"count": count, "epsilon": epsilon})
            case "batch_normalization", (_, _, _, _, _) if self._is_single(op):
                yield from self._instance_normalization(op)
            case "reshape", (x,) if self._is_single(op):
                yield from self._moved_blocks(x, op.output)

    def _is_single(self, op: Operation) -> bool:
        """Is the operation computed in float32, and so are all real ones that it depends on without a cast between?"""
        return is_float(op.output.dtype) and not (self._has_doubles and is_double(op))

    # elementwise

    def _signed_gather(self, op: Operation, input: Tensor, indices: Tensor) -> Iterator[Idiom]:
        """The indices before `i < 0 ? i + extent : i`, which NNEF computes on the indices cast to real numbers."""
        axis, own = op.attribs.get("axis", 0), input.shape or ()
        extent = own[axis] if -len(own) <= axis < len(own) else None
        parts = self._operands(self._operand(indices, "cast"), "select")
        if extent is None or extent > _MAX_EXACT or len(parts) != 3:
            return
        negative, wrapped, plain = parts
        origin = self._operand(plain, "cast")
        if origin is None or not is_integer(origin.dtype) or not is_float(plain.dtype):
            return
        if self._is_with(negative, "lt", plain, 0.0) and self._is_with(wrapped, "add", plain, extent):
            type = SIGNED_GATHER if op.type == "gather" else "gather_elements"
            yield Idiom(type, (input, origin), {**op.attribs, "axis": axis})

    def _hard_sigmoid(self, x: Tensor, low: Tensor, high: Tensor) -> Iterator[Idiom]:
        product, beta = self._with_number(self._operands(x, "add"))
        z, alpha = self._with_number(self._operands(product, "mul"))
        limits = self._number(low), self._number(high)
        if z is not None and limits == (0.0, 1.0):
            yield Idiom(HARD_SIGMOID, (z,), {"alpha": alpha, "beta": beta})

    def _gelu(self, product: Operation) -> Iterator[Idiom]:
        leaves, _ = self._product(product.inputs, None)
        for y in leaves:
            z, one = self._with_number(self._operands(y, "add"))
            sign, difference = 1, self._operands(y, "sub")
            if z is None and len(difference) == 2:  # 1 - erf(-x), as of erfc
                sign, one, z = -1, self._number(difference[0]), difference[1]
            unit, tanh = self._operand(z, "erf"), self._operand(z, "tanh")
            inner, slope = self._factors(unit or tanh or y, None)
            for x in inner[-1:] if unit is not None and len(inner) == 1 else self._cubic(inner, tanh):
                factors, half = self._product(product.inputs, x)
                fits = isclose(sign * slope, sqrt(1 / 2) if unit is not None else sqrt(2 / pi), rel_tol=_NEAR)
                if one == 1.0 and fits and isclose(half, 0.5) and factors in ([x, y], [y, x]):
                    yield Idiom(GELU, (x,), {"approximate": unit is None})

    def _cubic(self, sums: Sequence[Tensor], tanh: Tensor | None) -> Iterator[Tensor]:
        """x, if the only item is x + 0.044715 * x * x * x and the argument of a tanh."""
        for x, term in _either_order(self._operands(sums[0], "add")) if tanh is not None and len(sums) == 1 else ():
            factors, number = self._factors(term, x)
            power = sum({x: 1}.get(t, 2 if self._squared(t) is x else 3 if self._cubed(t) is x else 9) for t in factors)
            if power == 3 and isclose(number, 0.044715, rel_tol=_NEAR):
                yield x

    def _cubed(self, x: Tensor) -> Tensor | None:
        base, exponent = _pair(self._operands(x, "pow"))
        return base if exponent is not None and self._number(exponent) == 3.0 else None

    def _factors(self, x: Tensor, whole: Tensor | None, depth: int = 4) -> tuple[list[Tensor], float]:
        """The tensors whose product x is, and its constant factor. whole: a tensor that counts as one."""
        number = self._number(x)
        if number is not None:
            return [], number
        y, divisor = _pair(self._operands(x, "div"))
        if y is not None and divisor is not None and self._number(divisor) and x is not whole and depth:
            factors, number = self._factors(y, whole, depth - 1)
            return factors, number / (self._number(divisor) or 1.0)
        negated = self._operand(x, "neg")
        if negated is not None and x is not whole and depth:
            factors, number = self._factors(negated, whole, depth - 1)
            return factors, -number
        operands = self._operands(x, "mul")
        return self._product(operands, whole, depth - 1) if operands and x is not whole and depth else ([x], 1.0)

    def _product(self, operands: Sequence[Tensor], whole: Tensor | None, depth: int = 3) -> tuple[list[Tensor], float]:
        """The same of the product of two tensors."""
        left, right = (self._factors(operand, whole, depth) for operand in operands)
        return left[0] + right[0], left[1] * right[1]

    def _column_bias(self, x: Tensor, y: Tensor) -> Iterator[Idiom]:
        product = self._made_by(x, "matmul")
        if product is None or product.attribs.get("transposeA") or product.attribs.get("transposeB"):
            return
        if x.rank == 2 and x.shape is not None and x.shape[1] == 1 and self._number(y) is not None:
            yield Idiom(COLUMN_BIAS, (x, y), {})

    # normalization

    def _biased_layer_normalization(self, op: Operation) -> Iterator[Idiom]:
        for y, bias in _either_order(op.inputs) if self._is_single(op) else ():
            for x, scale, count, epsilon in self._scaled_layers(self._operands(y, "mul")):
                if _is_of_last(bias, x, count):
                    yield Idiom(LAYER_NORMALIZATION, (x, scale, bias), {"count": count, "epsilon": epsilon})

    def _scaled_layers(self, factors: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, int, float]]:
        """x, scale, n and epsilon, if one factor is x normalized over its last n axes, and the other one a scale.

        The form is the one that the rule for ONNX's LayerNormalization writes.
        """
        for y, scale in _either_order(factors):
            for centered, inverse in _either_order(self._operands(y, "mul")):
                x, mean = _pair(self._operands(centered, "sub"))
                variance, epsilon = self._with_number(self._operands(self._under_root(inverse), "add"))
                if x is None or mean is None or variance is None or epsilon is None or x.rank is None:
                    continue
                axes = self._moments_axes(x, mean, variance)
                if axes and axes == list(range(x.rank))[-len(axes) :] and _is_of_last(scale, x, len(axes)):
                    yield x, scale, len(axes), epsilon

    def _instance_normalization(self, op: Operation) -> Iterator[Idiom]:
        x, mean, variance, offset, scale = op.inputs
        axes, own = self._moments_axes(x, mean, variance), x.shape
        if not axes or own is None or own[1] is None or axes != list(range(2, len(own))) or "epsilon" not in op.attribs:
            return
        if is_per_channel(offset, own[1]) and is_per_channel(scale, own[1]):
            yield Idiom(INSTANCE_NORMALIZATION, (x, offset, scale), {"epsilon": op.attribs["epsilon"]})

    def _under_root(self, x: Tensor) -> Tensor | None:
        """The tensor of which x is the inverse square root."""
        root = self._operand(x, "rcp")
        return self._operand(x, "rsqrt") if root is None else self._operand(root, "sqrt")

    def _moments_axes(self, x: Tensor, mean: Tensor, variance: Tensor) -> list[int] | None:
        """The axes over which mean and variance are those of x, by `moments` or by its definition."""
        axes = self._mean_axes(mean, x)
        moments = self._made_by(variance, "moments")
        if moments is not None:
            same = variance is moments.outputs[1] and moments.inputs[0] is x
            return axes if same and list(moments.attribs.get("axes", ())) == axes else None
        average = self._made_by(variance, *_MEANS)
        if average is None or _pair(self._operands(self._squared(average.inputs[0]), "sub")) != (x, mean):
            return None
        return axes if self._mean_axes(variance, average.inputs[0]) == axes else None

    def _mean_axes(self, y: Tensor, x: Tensor) -> list[int] | None:
        """The axes over which y is the mean of x."""
        op = self._made_by(y, "moments", *_MEANS)
        if op is None or op.inputs[0] is not x or op.outputs[0] is not y:
            return None
        is_sum = op.type == "sum_reduce" and not op.attribs.get("normalize")
        return None if is_sum else list(op.attribs.get("axes", ()))

    def _squared(self, x: Tensor) -> Tensor | None:
        """The tensor of which x is the square."""
        base, exponent = _pair(self._operands(x, "pow"))
        if base is not None and exponent is not None and self._number(exponent) == 2.0:
            return base
        return self._operand(x, "sqr")

    # blocks

    def _moved_blocks(self, moved: Tensor, result: Tensor) -> Iterator[Idiom]:
        """The idiom for blocks moved by a transpose of six axes, which takes runtimes several times as long."""
        transpose = self._made_by(moved, "transpose")
        grid = self._operand(moved, "transpose")
        origin = None if grid is None else self._operand(grid, "reshape")
        if transpose is None or grid is None or origin is None or grid.rank != 6:
            return
        axes = transpose.attribs.get("axes", ())
        for blocks in _BLOCKS:
            if blocks.axes == (*axes, *range(len(axes), 6)):
                size = _block_size(blocks, grid.shape or (), origin.shape, result.shape)
                if size is not None:
                    yield Idiom(blocks.type, (origin,), {"block_size": size})

    # operands

    def _made_by(self, tensor: Tensor | None, *types: str) -> Operation | None:
        """The operation that produces the tensor, if it has one of these types, no quantization and no plugin."""
        op = None if tensor is None or tensor.quant else tensor.producer
        return op if op is not None and op.type in types and op.type not in self._kept else None

    def _operands(self, tensor: Tensor | None, type: str) -> tuple[Tensor, ...]:
        """The operands of the operation of that type that produces the tensor; none if there is no such operation."""
        op = self._made_by(tensor, type)
        return () if op is None else tuple(op.inputs)

    def _operand(self, tensor: Tensor | None, type: str) -> Tensor | None:
        return next(iter(self._operands(tensor, type)), None)

    def _number(self, tensor: Tensor) -> float | None:
        """The value of a constant of rank 0."""
        value = self._editor.value(tensor) if tensor.shape == () else None
        return None if value is None else float(value)

    def _is_with(self, tensor: Tensor, type: str, operand: Tensor, number: float) -> bool:
        """Is the tensor the result of that operation on the operand and the number, in that order?"""
        first, second = _pair(self._operands(tensor, type))
        return first is operand and second is not None and self._number(second) == number

    def _with_number(self, operands: tuple[Tensor, ...]) -> tuple[Tensor | None, float | None]:
        """The computed operand and the value of the constant one, in either order."""
        for x, y in _either_order(operands):
            if not _is_constant(x) and self._number(y) is not None:
                return x, self._number(y)
        return None, None


def _block_size(blocks: _Blocks, grid: Extents, source: Extents | None, result: Extents | None) -> int | None:
    """The size of the blocks that are moved between tensors of these shapes; None if the shapes do not fit."""
    extents = {axis: extent for axis, extent in zip(blocks.grid, grid, strict=True) if extent is not None}
    if None in grid or tuple(extents[axis] for axis in blocks.grid) != grid:
        return None
    size = extents["b"]
    deep = tuple(extents[axis] * (size**2 if axis == "c" else 1) for axis in blocks.layout)
    wide = tuple(extents[axis] * (size if axis in "hw" else 1) for axis in blocks.layout)
    to_depth = blocks.type in (SPACE_TO_DEPTH, SPACE_TO_DEPTH_NHWC)
    return size if (source, result) == ((wide, deep) if to_depth else (deep, wide)) else None


def _is_of_last(parameter: Tensor, x: Tensor, count: int) -> bool:
    """Is the tensor a constant with an item for each position in the last `count` axes of x?"""
    if x.shape is None or not _is_constant(parameter):
        return False
    leading = len(x.shape) - count
    return parameter.shape == (*(1,) * leading, *x.shape[leading:])


def _is_constant(tensor: Tensor) -> bool:
    return tensor.is_constant or (tensor.producer is not None and tensor.producer.type in ("variable", "constant"))


def _pair(operands: tuple[Tensor, ...]) -> tuple[Tensor | None, Tensor | None]:
    """The operands, if there are two."""
    return (operands[0], operands[1]) if len(operands) == 2 else (None, None)


def _either_order(operands: Sequence[Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    """Two operands in both orders; nothing for another number of them."""
    if len(operands) != 2:
        return ()
    x, y = operands
    return (x, y), (y, x)

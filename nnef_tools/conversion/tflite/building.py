"""The builder of TensorFlow Lite graphs: operators of TensorFlow become builtins, so that its rules serve both.

Most are builtins under another name (dialects.tflite.bridges); `LOWERED` has those with other options, another order of
weights, or of several builtins. A builtin can also be made by its own name: `b.builtin("CONV_2D", ..)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from ...dialects.tflite.bridges import builtins
from ...errors import Unsupported
from ...model import Graph, Tensor
from ...model.dtypes import integer_bits, is_integer
from ..building.shapes import shape
from ..building.target import Array, known
from ..maths.padding import Pairs
from ..tf.building import REDUCTIONS, TfBuilder
from .kernels import check_kernel

SOFTMAX_RANK = 4
TRANSPOSE_RANK = 6
PAD_RANK = 5
MATRIX_RANK = 5


class TfliteBuilder(TfBuilder):
    """Builds builtin operators, in channels-last order.

    has_narrow_integers: will integers be int32 in the end, as they were in the source? variables: the tensors that
    keep their values from run to run.
    """

    dialect = "tflite"
    plain: ClassVar[Mapping[str, str]] = {
        name: type for name, type in TfBuilder.plain.items() if type in builtins() or type == "Invert"
    }
    pool_rank = 2
    has_explicit_padding = False
    has_narrow_integers = False

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.variables: list[Tensor] = []

    def variable(self, dims: Sequence[int], base: Tensor) -> Tensor:
        """A tensor of zeros that its operator changes and that keeps its value from run to run. base: for its name."""
        tensor = Tensor(self.graph, shape=dims, dtype=np.float32)
        self.derived_from[tensor] = base
        self.variables.append(tensor)
        return tensor

    def op(
        self, type: str, *inputs: Tensor | None, outputs: int | None = None, domain: str = "", **attribs: Any
    ) -> Any:
        """See `TargetBuilder.op`. Unsupported if there is no builtin operator, or no kernel for the inputs."""
        if type in LOWERED:
            return LOWERED[type](self, *inputs, **attribs)
        if type in builtins():
            type, options = builtins()[type]
            attribs = {options[name]: value for name, value in attribs.items() if name in options}
        elif not type.isupper():
            raise Unsupported(f"TensorFlow Lite has no operator {type}")
        check_kernel(type, inputs, narrow=self.has_narrow_integers)
        return super().op(type, *inputs, outputs=outputs, domain=domain, **attribs)

    def builtin(self, type: str, *inputs: Tensor | None, **options: Any) -> Tensor:
        """Adds a builtin operator with a single result."""
        result: Tensor = self.op(type, *inputs, **options)
        return result

    # data movement

    def _unsqueeze(self, x: Tensor, axes: Sequence[int], dims: Sequence[int]) -> Tensor:
        return self._reshape(x, dims)

    def _squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self._reshape(x, [n for k, n in enumerate(shape(x)) if k not in axes])

    def _transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """A transpose, of fewer axes where there are too many: those that stay side by side count as one."""
        if len(axes) <= TRANSPOSE_RANK:
            return super()._transpose(x, axes)
        groups: list[list[int]] = []
        for axis in axes:
            if groups and axis == groups[-1][-1] + 1:
                groups[-1].append(axis)
            else:
                groups.append([axis])
        if len(groups) > TRANSPOSE_RANK:
            raise Unsupported(f"a transpose of {len(axes)} axes by {list(axes)}; TensorFlow Lite has {TRANSPOSE_RANK}")
        own, order = shape(x), sorted(groups)
        merged = self.reshape(x, [math.prod(own[k] for k in group) for group in order])
        moved = self.transpose(merged, [order.index(group) for group in groups])
        return self._reshape(moved, [own[k] for k in axes])

    def pad(self, x: Tensor, pairs: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
        """See `TfBuilder.pad`; axes that are not padded count as one where there are too many."""
        if len(pairs) <= PAD_RANK or border in ("reflect", "reflect-even", "replicate"):
            return super().pad(x, pairs, border, value)
        own = shape(x)
        groups: list[list[int]] = []
        for k, pair in enumerate(pairs):
            if groups and tuple(pair) == (0, 0) == tuple(pairs[groups[-1][-1]]):
                groups[-1].append(k)
            else:
                groups.append([k])
        merged = self.reshape(x, [math.prod(own[k] for k in group) for group in groups])
        y = super().pad(merged, [pairs[group[0]] for group in groups], border, value)
        return self.reshape(y, [n + p + q for n, (p, q) in zip(own, pairs, strict=True)])

    def _cast(self, x: Tensor, dtype: Any) -> Tensor:
        if is_integer(x.dtype) and integer_bits(x.dtype) < 8 and is_integer(dtype):  # the kernel knows only reals
            x = self.cast_at_run_time(x, np.float32)
        return self.builtin("CAST", x, in_data_type=x.dtype, out_data_type=dtype)

    def _identity(self, x: Tensor) -> Tensor:
        """There is no operator that copies; a reshape to the same shape does."""
        return self._reshape(x, shape(x))

    def take(self, x: Tensor, positions: Array, axis: int) -> Tensor:
        """See `TargetBuilder.take`; of a constant it is one."""
        if x.data is None:
            return super().take(x, positions, axis)
        return self.constant(np.take(np.asarray(x.data), positions, axis), base=x)

    def _gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        return self.builtin("GATHER", x, indices, axis=axis, batch_dims=0)

    def _concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return self.builtin("CONCATENATION", *parts, axis=axis, fused_activation_function="NONE")

    def _split(self, x: Tensor, axis: int, extents: Sequence[int]) -> Sequence[Tensor]:
        """SPLIT, or SPLIT_V for unequal parts and for items that SPLIT has no kernel for."""
        count = len(extents)
        if len(set(extents)) == 1 and x.dtype is self.real:
            parts = self.op("SPLIT", self.number(axis), x, outputs=count, num_splits=count)
        else:
            sizes = self.vector(extents)
            parts = self.op("SPLIT_V", x, sizes, self.number(axis), outputs=count, num_splits=count)
        return list(parts)

    def _reduce(self, kind: Any, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self.builtin(REDUCTIONS[f"{kind}_reduce"], x, self.vector(axes), keep_dims=True)

    def matmul(self, x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
        """FULLY_CONNECTED for a constant matrix, BATCH_MATMUL for others."""
        rows, columns = shape(x)[-1 if transpose_x else -2], shape(y)[-2 if transpose_y else -1]
        own, other = shape(x), shape(y)
        outer = np.broadcast_shapes(tuple(own[:-2]), tuple(other[:-2]))
        dims = [*outer, rows, columns]
        if y.data is not None and set(other[:-2]) <= {1} and 0 not in (*own, *other):
            matrix = self.reshape(y, other[-2:])
            weights = matrix if transpose_y else self.transpose(matrix, [1, 0])
            if transpose_x:
                x = self._turned(x)
            return known(self.fully_connected(x, weights, None), dims, x.dtype)
        if x.data is not None and y.data is None and set(own[:-2]) <= {1} and 0 not in (*own, *other):
            # the transpose of the product in reverse order, whose transposes the removal of these moves on
            return self._turned(self.matmul(y, x, not transpose_y, not transpose_x))
        if len(dims) > MATRIX_RANK:
            raise Unsupported(f"matrix products of rank {len(dims)}; TensorFlow Lite has {MATRIX_RANK}")
        return known(self.builtin("BATCH_MATMUL", x, y, adj_x=transpose_x, adj_y=transpose_y), dims, x.dtype)

    def _turned(self, x: Tensor) -> Tensor:
        rank = len(shape(x))
        return self.transpose(x, [*range(rank - 2), rank - 1, rank - 2])

    def fully_connected(self, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
        """FULLY_CONNECTED with weights `[out, in]`; the rank of x stays."""
        return self.builtin(
            "FULLY_CONNECTED", x, weights, bias,
            fused_activation_function="NONE", weights_format="DEFAULT", keep_num_dims=len(shape(x)) != 2,
            asymmetric_quantize_inputs=False,
        )  # fmt: skip

    def added(self, x: Tensor, y: Tensor) -> Tensor:
        """ADD of tensors that broadcast."""
        return self.elementwise(self.AddV2, x, y)


# operators of TensorFlow that are other builtins


def _window(strides: Sequence[int], dilations: Sequence[int] | None = None) -> dict[str, Any]:
    """The options for strides and dilations in channels-last order."""
    result = {"stride_h": strides[1], "stride_w": strides[2]}
    if dilations is not None:
        result |= {"dilation_h_factor": dilations[1], "dilation_w_factor": dilations[2]}
    return result


def _conv_2d(
    b: TfliteBuilder,
    x: Tensor,
    w: Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    data_format: str,
) -> Tensor:
    """Conv2D with a filter `[H, W, in, out]`; one of a single channel per group is mostly DEPTHWISE_CONV_2D."""
    options = {**_window(strides, dilations), "padding": padding, "fused_activation_function": "NONE"}
    height, width, depth, count = shape(w)
    channels = shape(x)[-1]
    if depth == 1 and channels > 1 and not b.tells_depthwise:
        weights = b.reshape(w, [1, height, width, count])
        multiplier = count // channels
        return b.builtin("DEPTHWISE_CONV_2D", x, weights, _zeros(b, count), depth_multiplier=multiplier, **options)
    return b.builtin("CONV_2D", x, b.transpose(w, [3, 0, 1, 2]), _zeros(b, count), **options)


def _zeros(b: TfliteBuilder, count: int) -> Tensor:
    """The bias that a convolution must have."""
    return b.constant(np.zeros(count, b.real))


def _depthwise_conv_2d(
    b: TfliteBuilder,
    x: Tensor,
    w: Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    data_format: str,
) -> Tensor:
    """DepthwiseConv2dNative with a filter `[H, W, channels, multiplier]`."""
    height, width, channels, multiplier = shape(w)
    return b.builtin(
        "DEPTHWISE_CONV_2D", x, b.reshape(w, [1, height, width, channels * multiplier]),
        _zeros(b, channels * multiplier),
        padding=padding, depth_multiplier=multiplier, fused_activation_function="NONE", **_window(strides, dilations),
    )  # fmt: skip


def _conv_3d(
    b: TfliteBuilder,
    x: Tensor,
    w: Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    data_format: str,
) -> Tensor:
    return b.builtin("CONV_3D", x, w, **_window_3d(strides, dilations), padding=padding)


def _window_3d(strides: Sequence[int], dilations: Sequence[int]) -> dict[str, Any]:
    items = {"fused_activation_function": "NONE"}
    rows = zip("dhw", strides[1:4], dilations[1:4], strict=True)
    return {**items, **{k: v for c, s, d in rows for k, v in ((f"stride_{c}", s), (f"dilation_{c}_factor", d))}}


def _conv_3d_transpose(
    b: TfliteBuilder,
    dims: Tensor,
    w: Tensor,
    x: Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    data_format: str,
) -> Tensor:
    return b.builtin("CONV_3D_TRANSPOSE", dims, w, x, **_window_3d(strides, dilations), padding=padding)


def _transpose_conv(
    b: TfliteBuilder,
    dims: Tensor,
    w: Tensor,
    x: Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilations: Sequence[int] = (1, 1, 1, 1),
) -> Tensor:
    """Conv2DBackpropInput with a filter `[H, W, out, in]`."""
    return b.builtin(
        "TRANSPOSE_CONV", dims, b.transpose(w, [2, 0, 1, 3]), x,
        padding=padding, fused_activation_function="NONE", **_window(strides),
    )  # fmt: skip


def _depthwise_transpose(
    b: TfliteBuilder,
    dims: Tensor,
    w: Tensor,
    x: Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilations: Sequence[int] = (1, 1, 1, 1),
) -> Tensor:
    """DepthwiseConv2dNativeBackpropInput: a DEPTHWISE_CONV_2D of x, spread by the strides, with the filter turned."""
    height, width, _, multiplier = shape(w)
    extents = np.asarray(b.value(dims)).tolist()
    if multiplier != 1:  # channel c is made of the channels c * multiplier, .. of x
        options: dict[str, Any] = {"strides": strides, "padding": padding, "data_format": data_format}
        own, parts = shape(x), []
        for m in range(multiplier):
            part = b.slice(x, {3: range(m, own[3], multiplier)})
            filter = b.constant(np.asarray(w.data)[..., m : m + 1], base=w) if w.data is not None else None
            filter = filter or b.slice(w, {3: range(m, m + 1)})
            parts.append(known(_depthwise_transpose(b, dims, filter, part, **options), extents))
        return reduce(b.added, parts)
    pairs = [(0, 0)]
    for axis, n, f in zip((1, 2), extents[1:3], (height, width), strict=True):
        step, count = strides[axis], shape(x)[axis]
        x = _spread(b, x, axis, step)
        before = 0 if padding == "VALID" else max((count - 1) * step + f - n, 0) // 2
        pairs.append((f - 1 - before, n - (count - 1) * step - 1 + before))
    x = b.pad(x, [*pairs, (0, 0)])
    turned = b.take(b.take(w, np.arange(height)[::-1], 0), np.arange(width)[::-1], 1)
    ones = [1] * 4
    return _depthwise_conv_2d(b, x, turned, strides=ones, dilations=ones, padding="VALID", data_format=data_format)


def _spread(b: TfliteBuilder, x: Tensor, axis: int, step: int) -> Tensor:
    """x with `step - 1` zeros between the items along an axis."""
    if step == 1:
        return x
    own = shape(x)
    lanes = b.reshape(x, [math.prod(own[: axis + 1]), 1, math.prod(own[axis + 1 :])])
    filled = b.pad(lanes, [(0, 0), (0, step - 1), (0, 0)])
    wide = b.reshape(filled, [*own[:axis], own[axis] * step, *own[axis + 1 :]])
    return b.slice(wide, {axis: range((own[axis] - 1) * step + 1)})


def _pool(builtin: str) -> Callable[..., Tensor]:
    def lower(
        b: TfliteBuilder, x: Tensor, *, ksize: Sequence[int], strides: Sequence[int], padding: str, data_format: str
    ) -> Tensor:
        return b.builtin(
            builtin, x, padding=padding, filter_height=ksize[1], filter_width=ksize[2],
            fused_activation_function="NONE", **_window(strides),
        )  # fmt: skip

    return lower


def _resize(builtin: str) -> Callable[..., Tensor]:
    def lower(b: TfliteBuilder, x: Tensor, size: Tensor, **attribs: Any) -> Tensor:
        return b.builtin(builtin, x, size, **attribs)

    return lower


def _bias_add(b: TfliteBuilder, x: Tensor, bias: Tensor, *, data_format: str = "NHWC") -> Tensor:
    return b.builtin("ADD", x, bias, fused_activation_function="NONE")


def _arithmetic(builtin: str) -> Callable[..., Tensor]:
    def lower(b: TfliteBuilder, x: Tensor, y: Tensor) -> Tensor:
        return b.builtin(builtin, x, y, fused_activation_function="NONE")

    return lower


def _square(b: TfliteBuilder, x: Tensor) -> Tensor:
    """SQUARE, which has a kernel for real numbers only."""
    return b.builtin("SQUARE", x) if x.dtype is b.real else b.Mul(x, x)


def _clip(b: TfliteBuilder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """ClipByValue, by the operator for limits that have one."""
    below, above = b.value(low), b.value(high)
    if below is not None and above is not None and x.dtype is b.real:
        builtin = CLIPS.get((below.item(), above.item()))
        if builtin is not None:
            return b.builtin(builtin, x)
    return b.elementwise(b.Maximum, b.elementwise(b.Minimum, x, high), low)


CLIPS = {(0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1", (0.0, 1.0): "RELU_0_TO_1"}


def _softmax(b: TfliteBuilder, x: Tensor) -> Tensor:
    own = shape(x)
    if len(own) > SOFTMAX_RANK:
        rows = b.reshape(x, [math.prod(own[:-1]), own[-1]])
        return b.reshape(known(b.builtin("SOFTMAX", rows, beta=1.0), shape(rows)), own)
    return b.builtin("SOFTMAX", x, beta=1.0)


def _pack(b: TfliteBuilder, *parts: Tensor, axis: int) -> Tensor:
    return b.builtin("PACK", *parts, values_count=len(parts), axis=axis)


def _strided_slice(b: TfliteBuilder, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor, **masks: Any) -> Tensor:
    return b.builtin("STRIDED_SLICE", x, begin, end, strides, **masks)


def _mirror_pad(b: TfliteBuilder, x: Tensor, paddings: Tensor, *, mode: str) -> Tensor:
    return b.builtin("MIRROR_PAD", x, paddings, mode=["REFLECT", "SYMMETRIC"].index(mode))


def _arg(builtin: str) -> Callable[..., Tensor]:
    def lower(b: TfliteBuilder, x: Tensor, axis: Tensor, *, output_type: type) -> Tensor:
        return b.builtin(builtin, x, axis, output_type=output_type)

    return lower


def _top_k(b: TfliteBuilder, x: Tensor, k: Tensor, *, sorted: bool = True) -> Any:
    return b.op("TOPK_V2", x, k, outputs=2)


def _non_max_suppression(b: TfliteBuilder, *inputs: Tensor, pad_to_max_output_size: bool) -> Any:
    return b.op("NON_MAX_SUPPRESSION_V4", *inputs, outputs=2)


def _floor_div(b: TfliteBuilder, x: Tensor, y: Tensor) -> Tensor:
    """FLOOR_DIV; of positions, which int32 holds, in that type."""
    if x.dtype is not np.int64 or b.has_narrow_integers:
        return b.builtin("FLOOR_DIV", x, y)
    quotient = b.builtin("FLOOR_DIV", b.cast(x, np.int32), b.cast(y, np.int32))
    return b.cast_at_run_time(known(quotient, shape(x), np.int32), np.int64)


def _ones_like(b: TfliteBuilder, x: Tensor) -> Tensor:
    return b.constant(np.ones(shape(x), x.dtype))


def _fake_quant(b: TfliteBuilder, x: Tensor, *, min: float, max: float, num_bits: int, narrow_range: bool) -> Tensor:
    """FAKE_QUANT, or arithmetic for a narrow range, for which that has no kernel."""
    if narrow_range:
        unit = (max - min) / (2**num_bits - 2)
        inside = b.elementwise(b.Maximum, b.elementwise(b.Minimum, x, b.scalar(max)), b.scalar(min))
        return b.nnef.mul(b.nnef.round(b.nnef.div(inside, unit)), unit)
    return b.builtin("FAKE_QUANT", x, min=min, max=max, num_bits=num_bits, narrow_range=narrow_range)


def _inverted(b: TfliteBuilder, x: Tensor) -> Tensor:
    """Invert: -1 - x in two's complement."""
    return b.builtin("SUB", b.constant(-1, x.dtype), x, fused_activation_function="NONE")


def _scatter_nd(b: TfliteBuilder, positions: Tensor, updates: Tensor, dims: Tensor) -> Tensor:
    """ScatterNd, whose positions are of type int32."""
    return b.builtin("SCATTER_ND", b.cast(positions, np.int32), updates, b.cast(dims, np.int32))


LOWERED: Mapping[str, Callable[..., Any]] = {
    "AddV2": _arithmetic("ADD"),
    "Sub": _arithmetic("SUB"),
    "Mul": _arithmetic("MUL"),
    "RealDiv": _arithmetic("DIV"),
    "ArgMax": _arg("ARG_MAX"),
    "ArgMin": _arg("ARG_MIN"),
    "AvgPool": _pool("AVERAGE_POOL_2D"),
    "BiasAdd": _bias_add,
    "ClipByValue": _clip,
    "Conv2D": _conv_2d,
    "Conv2DBackpropInput": _transpose_conv,
    "Conv3D": _conv_3d,
    "Conv3DBackpropInputV2": _conv_3d_transpose,
    "DepthwiseConv2dNative": _depthwise_conv_2d,
    "DepthwiseConv2dNativeBackpropInput": _depthwise_transpose,
    "FloorDiv": _floor_div,
    "FakeQuantWithMinMaxArgs": _fake_quant,
    "Invert": _inverted,
    "MaxPool": _pool("MAX_POOL_2D"),
    "MirrorPad": _mirror_pad,
    "NonMaxSuppressionV4": _non_max_suppression,
    "OnesLike": _ones_like,
    "Pack": _pack,
    "Reshape": lambda b, x, dims: b.builtin("RESHAPE", x, dims),
    "ResizeBilinear": _resize("RESIZE_BILINEAR"),
    "ResizeNearestNeighbor": _resize("RESIZE_NEAREST_NEIGHBOR"),
    "ScatterNd": _scatter_nd,
    "Softmax": _softmax,
    "Square": _square,
    "StridedSlice": _strided_slice,
    "TopKV2": _top_k,
}
"""Operator of TensorFlow -> what adds the builtins for it."""

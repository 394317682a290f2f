"""Operators that TensorFlow's optimizer makes of several: a convolution or product, and what follows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import aligned
from ...compose.arithmetic import gelu
from ...engine.rules import to_nnef
from .activation import elu, leaky_relu, relu6
from .conv import bias_add, conv2d, depthwise_conv2d
from .linear import matmul
from .norm import fused_batch_norm

_ACTIVATIONS: dict[str, Callable[[Builder, Tensor], Tensor]] = {
    "Relu": lambda b, x: b.relu(x),
    "Relu6": relu6,
    "Elu": elu,
    "Tanh": lambda b, x: b.tanh(x),
    "Sigmoid": lambda b, x: b.sigmoid(x),
    "GeluExact": gelu,
    "GeluApproximate": partial(gelu, approximate="tanh"),
}


def _followed(
    b: Builder,
    y: Tensor,
    args: Sequence[Tensor],
    fused_ops: Sequence[str],
    epsilon: float,
    leakyrelu_alpha: float,
    data_format: str,
) -> Tensor:
    """y after the fused operators, which take their operands from the arguments in order."""
    rest = list(args)
    for name in fused_ops:
        if name in _ACTIVATIONS:
            y = _ACTIVATIONS[name](b, y)
        elif name == "LeakyRelu":
            y = leaky_relu(b, y, alpha=leakyrelu_alpha)
        elif name == "BiasAdd" and rest:
            y = bias_add(b, y, rest.pop(0), data_format=data_format)
        elif name == "Add" and rest:
            y = b.add(*aligned(b, y, rest.pop(0)))
        elif name == "FusedBatchNorm" and len(rest) >= 4:
            parameters, rest = rest[:4], rest[4:]
            results = fused_batch_norm(b, y, *parameters, epsilon=epsilon, data_format=data_format, is_training=False)
            assert results[0] is not None
            y = results[0]
        else:
            raise Unsupported(f"fused_ops {list(fused_ops)} with {len(args)} arguments")
    if rest:
        raise Unsupported(f"fused_ops {list(fused_ops)} with {len(args)} arguments")
    return y


def _check(filter_format: str, num_host_args: int) -> None:
    if filter_format != "HWIO" or num_host_args:
        raise Unsupported(f"filter_format = '{filter_format}' with {num_host_args} arguments of the host")


@to_nnef("tf", "_FusedConv2D")
def fused_conv2d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    *args: Tensor,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NHWC",
    filter_format: str = "HWIO",
    dilations: list[int] | None = None,
    use_cudnn_on_gpu: bool = True,
    fused_ops: Sequence[str] = (),
    epsilon: float = 1e-4,
    leakyrelu_alpha: float = 0.2,
    num_args: int = 0,
    num_host_args: int = 0,
    TArgs: Any = None,
) -> Tensor:
    """_FusedConv2D: Conv2D and what follows it."""
    _check(filter_format, num_host_args)
    y = conv2d(
        b, x, w, strides=strides, padding=padding, explicit_paddings=explicit_paddings, data_format=data_format,
        dilations=dilations,
    )  # fmt: skip
    return _followed(b, y, args, fused_ops, epsilon, leakyrelu_alpha, data_format)


@to_nnef("tf", "_FusedDepthwiseConv2dNative")
def fused_depthwise_conv2d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    *args: Tensor,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NHWC",
    dilations: list[int] | None = None,
    fused_ops: Sequence[str] = (),
    epsilon: float = 1e-4,
    leakyrelu_alpha: float = 0.2,
    num_args: int = 0,
) -> Tensor:
    """_FusedDepthwiseConv2dNative: DepthwiseConv2dNative and what follows it."""
    y = depthwise_conv2d(
        b, x, w, strides=strides, padding=padding, explicit_paddings=explicit_paddings, data_format=data_format,
        dilations=dilations,
    )  # fmt: skip
    return _followed(b, y, args, fused_ops, epsilon, leakyrelu_alpha, data_format)


@to_nnef("tf", "_FusedMatMul")
def fused_matmul(
    b: Builder,
    x: Tensor,
    y: Tensor,
    *args: Tensor,
    transpose_a: bool = False,
    transpose_b: bool = False,
    fused_ops: Sequence[str] = (),
    epsilon: float = 1e-4,
    leakyrelu_alpha: float = 0.2,
    num_args: int = 0,
) -> Tensor:
    """_FusedMatMul: MatMul and what follows it."""
    z = matmul(b, x, y, transpose_a=transpose_a, transpose_b=transpose_b)
    return _followed(b, z, args, fused_ops, epsilon, leakyrelu_alpha, "NHWC")


@to_nnef("tf", "_FusedBatchNormEx")
def fused_batch_norm_ex(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    mean: Tensor,
    variance: Tensor,
    *side_input: Tensor,
    epsilon: float = 1e-4,
    exponential_avg_factor: float = 1.0,
    num_side_inputs: int = 0,
    activation_mode: str = "Identity",
    data_format: str = "NHWC",
    is_training: bool = True,
) -> tuple[Tensor | None, ...]:
    """_FusedBatchNormEx: FusedBatchNormV3, plus another tensor, then an activation."""
    y, *statistics = fused_batch_norm(
        b, x, scale, offset, mean, variance, epsilon=epsilon, exponential_avg_factor=exponential_avg_factor,
        data_format=data_format, is_training=is_training,
    )  # fmt: skip
    assert y is not None
    for other in side_input:
        y = b.add(y, other)
    if activation_mode not in ("Identity", "Relu"):
        raise Unsupported(f"activation_mode = '{activation_mode}' is not known")
    return b.relu(y) if activation_mode == "Relu" else y, *statistics

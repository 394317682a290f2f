"""Mixtures of experts of com.microsoft: weights of few experts are gathered, otherwise all experts are computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import gelu
from ...compose.slicing import expand_to
from ...engine.rules import to_nnef
from ...maths.generated import filled, positions
from ..common import reshape, shape, transpose, unsqueeze
from .linear_attention import gated_product
from .quant import dequantize_linear
from .quant_blocks import code_type, unpacked

MICROSOFT = "com.microsoft"
Select = Callable[[Tensor], Tensor]


@dataclass
class _Layer:
    """A linear layer of each expert: weight [experts, outputs, inputs], bias [experts, outputs].

    scale and zero_point: of codes, [experts, outputs, blocks]. block_size: of inputs with one scale; the last block may
    have fewer.
    """

    weight: Tensor
    bias: Tensor | None
    scale: Tensor | None = None
    zero_point: Tensor | None = None
    block_size: int = 0

    def __call__(self, b: Builder, x: Tensor, select: Select) -> Tensor:
        """[experts or 1, tokens, inputs] -> [experts, tokens, outputs], of the selected experts."""
        weight = select(self.weight)
        if self.scale is not None and self.zero_point is not None:
            parameters = select(self.scale), select(self.zero_point)
            weight = dequantize_linear(b, weight, *parameters, axis=2, block_size=self.block_size)
        y: Tensor = b.matmul(x, weight, transposeB=True)
        return y if self.bias is None else b.add(y, unsqueeze(b, select(self.bias), [1]))


@dataclass
class _Activation:
    """What is between the layers. fusion: the parts of swiglu are separate (0), alternate (1), or are halves (2)."""

    name: str
    fusion: int
    alpha: float
    beta: float
    limit: float | None

    def __call__(self, b: Builder, y: Tensor, other: Tensor | None) -> Tensor:
        if self.name == "swiglu":
            if other is None:
                y, other = self._parts(b, y)
            return gated_product(b, y, other, self.alpha, self.beta, self.limit)
        functions: dict[str, Callable[[Tensor], Tensor]] = {
            "relu": b.relu,
            "silu": b.silu,
            "gelu": lambda x: gelu(b, x, approximate="tanh"),
            "identity": lambda x: x,
        }
        if self.name not in functions:
            raise Unsupported(f"activation_type = '{self.name}' is not known")
        y = functions[self.name](y)
        return y if other is None else b.mul(y, other)

    def _parts(self, b: Builder, y: Tensor) -> tuple[Tensor, Tensor]:
        experts, tokens, width = shape(y)
        if self.fusion not in (1, 2) or width % 2:
            raise Unsupported(f"swiglu_fusion = {self.fusion} with a width of {width} and no third layer")
        own = [experts, tokens, width // 2, 2] if self.fusion == 1 else [experts, tokens, 2, width // 2]
        first, second = b.unstack(reshape(b, y, own), axis=3 if self.fusion == 1 else 2)
        return first, second


def _mixture(
    b: Builder,
    x: Tensor,
    router: Tensor,
    weights: Tensor | None,
    layers: tuple[_Layer, _Layer, _Layer | None],
    activation: _Activation,
    k: int,
    normalized: bool,
) -> Tensor:
    """The sum of the results of the k experts with the highest probability, weighted by these, or by `weights`."""
    own, (tokens, experts) = shape(x), shape(router)
    width = own[-1]
    if not 1 <= k <= experts or math.prod(own[:-1]) != tokens:
        raise Unsupported(f"k = {k} of {experts} experts for {tokens} tokens and an input of shape {own}")
    shares, chosen = b.top_k(b.softmax(router, axes=[1]), k=k, axis=1, largest=True, sorted=True)
    if weights is not None:
        shares = b.gather_elements(weights, chosen, axis=1)
    if normalized:
        shares = b.div(shares, b.sum_reduce(shares, axes=[1]))
    first, second, third = layers
    few = tokens * k < experts

    def select(parameter: Tensor) -> Tensor:
        return b.gather(parameter, reshape(b, chosen, [tokens * k]), axis=0) if few else parameter

    if few:
        x = reshape(b, expand_to(b, reshape(b, x, [tokens, 1, width]), [tokens, k, width]), [tokens * k, 1, width])
    else:
        x = reshape(b, x, [1, tokens, width])
    inner = activation(b, first(b, x, select), None if third is None else third(b, x, select))
    y = second(b, inner, select)
    if few:
        y, factors, axis = reshape(b, y, [tokens, k, shape(y)[2]]), unsqueeze(b, shares, [2]), 1
    else:
        numbers = b.constant(positions(experts, np.float32)[None, None])
        is_chosen = b.eq(unsqueeze(b, b.cast(chosen, np.float32), [2]), numbers)
        table = b.sum_reduce(b.select(is_chosen, unsqueeze(b, shares, [2]), 0.0), axes=[1])  # [tokens, 1, experts]
        factors, axis = transpose(b, table, [2, 0, 1]), 0
    return reshape(b, b.sum_reduce(b.mul(y, factors), axes=[axis]), own)


@to_nnef("onnx", "MoE", domain=MICROSOFT)
def mixture_of_experts(
    b: Builder,
    x: Tensor,
    router_probs: Tensor,
    fc1: Tensor,
    fc1_bias: Tensor | None,
    fc2: Tensor,
    fc2_bias: Tensor | None = None,
    fc3: Tensor | None = None,
    fc3_bias: Tensor | None = None,
    *,
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    activation_type: str = "relu",
    k: int = 1,
    normalize_routing_weights: int = 0,
    swiglu_fusion: int = 0,
    swiglu_limit: float | None = None,
    swiglu_limit_after_activation: int = 0,
    use_sparse_mixer: int = 0,
) -> Tensor:
    """MoE: experts of two linear layers, or of three, of which the first and the third are multiplied."""
    if use_sparse_mixer or swiglu_limit_after_activation:
        raise Unsupported("use_sparse_mixer, or swiglu_limit_after_activation")
    layers = _Layer(fc1, fc1_bias), _Layer(fc2, fc2_bias), None if fc3 is None else _Layer(fc3, fc3_bias)
    activation = _Activation(activation_type, swiglu_fusion, activation_alpha, activation_beta, swiglu_limit)
    return _mixture(b, x, router_probs, None, layers, activation, k, bool(normalize_routing_weights))


def _packed_layer(
    b: Builder,
    packed: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    zero_points: Tensor | None,
    *,
    bits: int,
    block_size: int,
) -> _Layer:
    """A layer of codes [experts, outputs, bytes] with scales [experts, outputs], or for each block."""
    codes, zeros = b.value(packed), None if zero_points is None else b.value(zero_points)
    if codes is None or scale is None or (zero_points is not None and zeros is None):
        raise Unsupported("weights without scales, or that are computed from the inputs")
    dtype = code_type(bits)
    experts, outputs, width = codes.shape
    scale = reshape(b, scale, [experts, outputs, 1]) if len(shape(scale)) == 2 else scale
    extents = shape(scale)
    if zeros is None:
        zeros = filled(extents, 2 ** (bits - 1), np.uint8)
    else:
        zeros = unpacked(zeros, bits, extents[2] if zeros.ndim == 3 else outputs).reshape(extents)
    inputs = width * 8 // bits
    weight = b.constant(unpacked(codes, bits, inputs).astype(dtype), base=packed)
    size = inputs if extents[2] == 1 else block_size
    if size < 1 or extents[2] != -(-inputs // size):
        raise Unsupported(f"{extents[2]} scales for {inputs} inputs in blocks of {block_size}")
    return _Layer(weight, bias, scale, b.constant(zeros.astype(dtype)), size)


@to_nnef("onnx", "QMoE", domain=MICROSOFT)
def quantized_mixture_of_experts(
    b: Builder,
    x: Tensor,
    router_probs: Tensor,
    fc1: Tensor,
    fc1_scales: Tensor | None,
    fc1_bias: Tensor | None,
    fc2: Tensor,
    fc2_scales: Tensor | None,
    fc2_bias: Tensor | None = None,
    fc3: Tensor | None = None,
    fc3_scales: Tensor | None = None,
    fc3_bias: Tensor | None = None,
    fc1_zero_points: Tensor | None = None,
    fc2_zero_points: Tensor | None = None,
    fc3_zero_points: Tensor | None = None,
    router_weights: Tensor | None = None,
    *,
    accuracy_level: int = 0,
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    activation_type: str = "relu",
    block_size: int = 0,
    expert_weight_bits: int = 4,
    k: int = 1,
    normalize_routing_weights: int = 0,
    quant_type: str = "int",
    swiglu_fusion: int = 0,
    swiglu_limit: float | None = None,
    use_sparse_mixer: int = 0,
    weights_prepacked: int = -1,
) -> Tensor:
    """QMoE: MoE whose weights are codes with a scale for each row, or for each block of a row."""
    if quant_type != "int" or use_sparse_mixer or weights_prepacked == 1:
        raise Unsupported(f"quant_type = '{quant_type}', use_sparse_mixer, or weights packed for a kernel")
    if weights_prepacked:
        b.warnings["QMoE: weights are taken to be in order, as on the processor; on CUDA they are packed"] = None
    form = {"bits": expert_weight_bits, "block_size": block_size}
    first = _packed_layer(b, fc1, fc1_scales, fc1_bias, fc1_zero_points, **form)
    second = _packed_layer(b, fc2, fc2_scales, fc2_bias, fc2_zero_points, **form)
    third = None if fc3 is None else _packed_layer(b, fc3, fc3_scales, fc3_bias, fc3_zero_points, **form)
    activation = _Activation(activation_type, swiglu_fusion, activation_alpha, activation_beta, swiglu_limit)
    normalized = bool(normalize_routing_weights)
    if router_weights is None and not normalized:
        b.warnings["QMoE: shares of experts are divided by their sum in spite of normalize_routing_weights = 0, as the "
                   "kernel of the processor does"] = None  # fmt: skip
        normalized = True
    return _mixture(b, x, router_probs, router_weights, (first, second, third), activation, k, normalized)

"""NNEF to ONNX: operations that gather and scatter by index tensors."""

from __future__ import annotations

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape
from .substitutes import numbers


@from_nnef("onnx", idioms.SIGNED_GATHER)
def signed_gather(b: OnnxBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather with negative indices -> Gather, which counts these from the end."""
    return b.gather(input, indices, axis)


@from_nnef("onnx", "gather_elements")
def gather_elements(b: OnnxBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather_elements -> GatherElements."""
    return known(b.GatherElements(input, indices, axis=axis), shape(indices), input.dtype)


@from_nnef("onnx", "gather_nd")
def gather_nd(b: OnnxBuilder, input: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    """gather_nd -> GatherND."""
    result: Tensor = b.GatherND(input, indices, batch_dims=batch_dims)
    return result


def _reduction(b: OnnxBuilder, reduction: str) -> str | None:
    if reduction != "none":
        b.need_version(16 if reduction in ("add", "mul") else 18, f"reduction = '{reduction}'")
    return reduction if reduction != "none" else None


@from_nnef("onnx", "scatter_elements")
def scatter_elements(
    b: OnnxBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str
) -> Tensor:
    """scatter_elements -> ScatterElements."""
    input, updates, dtype = *numbers(b, reduction in ("max", "min"), input, updates), input.dtype
    result = b.ScatterElements(input, indices, updates, axis=axis, reduction=_reduction(b, reduction))
    return b.cast(known(result, shape(input), input.dtype), dtype)


@from_nnef("onnx", "scatter_nd")
def scatter_nd(b: OnnxBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str) -> Tensor:
    """scatter_nd -> ScatterND."""
    input, updates, dtype = *numbers(b, reduction in ("max", "min"), input, updates), input.dtype
    result = b.ScatterND(input, indices, updates, reduction=_reduction(b, reduction))
    return b.cast(known(result, shape(input), input.dtype), dtype)

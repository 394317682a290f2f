"""Quantized tensors of TensorFlow Lite as real ones: value = (code - zero_point) * scale.

NNEF has an entry for the quantization of a tensor, and computes in real numbers that are rounded to it. So every rule
sees real tensors; constants are `QuantizedArray`s, which keep their codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError
from ....model import Graph, Tensor
from ....model.copying import copy_graph
from ....model.dtypes import integer_of, is_integer
from ...building.quantized import QuantizedArray, zero_point_quantization


def is_quantized(tensor: Tensor) -> bool:
    """Are the items codes of real numbers?"""
    return bool(tensor.quant) and (tensor.quant or {}).get("scale") is not None and is_integer(tensor.dtype)


def hybrid_kind(tensor: Tensor) -> str | None:
    """How constant codes make operators on real numbers that read them quantize their inputs; None for other tensors.

    See `TensorFact`.
    """
    readers = tensor.consumers
    if tensor.data is None or not is_quantized(tensor) or not readers:
        return None
    if any(op.type == "DEQUANTIZE" or {t.dtype for t in op.outputs} != {np.float32} for op in readers):
        return None
    return "asymmetric" if readers[0].attribs.get("asymmetric_quantize_inputs") else "symmetric"


def as_reals(graph: Graph) -> tuple[Graph, dict[Tensor, Tensor]]:
    """A copy of the graph in which quantized tensors are real, and tensor of the copy -> its original.

    Their `quant` is NNEF's. Subgraphs are copied, too. FormatError if parameters do not fit their tensor.
    """
    originals: dict[Tensor, Tensor] = {}
    return _with_real_tensors(graph, {}, originals), originals


def _with_real_tensors(graph: Graph, copies: dict[Graph, Graph], originals: dict[Tensor, Tensor]) -> Graph:
    if graph in copies:
        return copies[graph]
    result = copies[graph] = copy_graph(graph)
    for op in result.operations:
        nested = {key: item for key, item in op.attribs.items() if isinstance(item, Graph)}
        op.attribs.update({key: _with_real_tensors(item, copies, originals) for key, item in nested.items()})
    own = dict(zip(result.tensors, graph.tensors, strict=True))
    originals.update(own)
    for tensor, original in own.items():
        if not is_quantized(original):
            tensor.quant = {}
            continue
        form = quantized_form(original)
        tensor.quant = form.quant()
        tensor.dtype = np.float32
        if original.data is not None:
            tensor.data = form
    return result


def quantized_form(tensor: Tensor) -> QuantizedArray:
    """The codes of a quantized tensor (zeros where they are computed) with their parameters."""
    quant: dict[str, Any] = tensor.quant or {}
    scale = np.asarray(quant["scale"], np.float32)
    zero_point = np.asarray(0 if quant.get("zero_point") is None else quant["zero_point"], np.int64)
    axis = int(quant.get("quantized_dimension") or 0) if scale.ndim else None
    extents = tensor.shape or ()
    if axis is not None and (not 0 <= axis < len(extents) or extents[axis] not in (None, scale.size)):
        raise FormatError(f"tensor '{tensor.name}' has {scale.size} scales along axis {axis} of {list(extents)}")
    if scale.ndim and not zero_point.ndim:
        zero_point = np.full(scale.shape, zero_point)
    if scale.shape != zero_point.shape:
        raise FormatError(f"tensor '{tensor.name}' has {scale.size} scales, but {zero_point.size} zero points")
    if not np.all(np.isfinite(scale)):
        raise FormatError(f"tensor '{tensor.name}' has a scale that is not finite")
    codes = np.asarray(tensor.data) if tensor.data is not None else np.zeros([1] * len(extents), tensor.dtype)
    return QuantizedArray(codes, scale, zero_point, axis)


def first_value(variable: Tensor) -> NDArray[Any] | QuantizedArray:
    """What an `is_variable` tensor, of a graph with real tensors, holds before the first run: zeros.

    LiteRT fills codes of 8 bits with their zero point, and others with the code 0.
    """
    extents = [extent or 1 for extent in variable.shape or ()]
    if not variable.quant:
        return np.zeros(extents, variable.dtype)
    quant = variable.quant
    bits, zero_point = int(quant["bits"]), np.asarray(quant["zero_point"], np.int64)
    codes: NDArray[Any] = np.zeros(extents, integer_of(bits, signed=bool(quant["signed"])))
    if codes.dtype == np.int8:
        codes += zero_point.astype(np.int8)
    return QuantizedArray(codes, np.asarray(quant["scale"], np.float32), zero_point)


def quantization_of(tensor: Tensor) -> dict[str, Any]:
    """NNEF's entry for a quantized tensor."""
    form = quantized_form(tensor)
    return zero_point_quantization(form.scale, form.zero_point, tensor.dtype)

"""Quantized constants become real ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import FormatError, Unsupported
from ...model import Graph, Operation, Tensor
from ...ops.quant import dequantize
from ...ops.registry import find
from .editor import Array, real

_OPERATIONS = (
    "linear_quantize",
    "logarithmic_quantize",
    "min_max_linear_quantize",
    "zero_point_linear_quantize",
)


def dequantize_constants(graph: Graph) -> int:
    """Replaces the data of quantized variables by the real values they stand for, as float32, without quantization.

    Stored integers are codes; stored real numbers are rounded to the values that codes have. The quantization of
    computed tensors is left alone. Unsupported for a quantization operation that is not standard.
    """
    count = 0
    for operation in graph.operations:
        if operation.type == "variable" and operation.output.quant and operation.output.data is not None:
            count += _dequantize(operation, operation.output)
    return count


def _dequantize(operation: Operation, tensor: Tensor) -> bool:
    parameters = {key: value for key, value in (tensor.quant or {}).items() if value is not None}
    name = parameters.pop("op-name", None)
    if name is None:
        return False
    if name not in _OPERATIONS:
        raise Unsupported(f"cannot dequantize variable '{tensor!r}': '{name}' is not a standard operation")
    data = np.asarray(tensor.data)
    try:
        tensor.data = _real_values(name, data, parameters).astype(np.float32)
    except (KeyError, TypeError) as error:
        raise FormatError(f"the quantization '{name}' of variable '{tensor!r}' lacks a parameter: {error}") from error
    tensor.dtype, tensor.quant = np.float32, {}
    operation.attribs["dtype"] = np.float32
    return True


def _real_values(name: str, data: Array, parameters: dict[str, Any]) -> Array:
    if real(data) is None:
        return dequantize(name, data, **parameters)
    opdef = find(name)
    assert opdef is not None
    tensors = [np.asarray(parameters.pop(parameter.name)) for parameter in opdef.fragment.tensors[1:]]
    return np.asarray(opdef.run(data, *tensors, **parameters))

"""Replaces quantized constants by real ones."""

from __future__ import annotations

import numpy as np

from ...model import Graph
from ...ops.quantization import Quantization


def dequantize_constants(graph: Graph) -> int:
    """Replaces the data of quantized variables by the real values they stand for, as float32, without quantization.

    The quantization of computed tensors is left alone. Unsupported or FormatError for an unknown or malformed one.
    """
    count = 0
    for operation in graph.operations:
        if operation.type != "variable" or operation.output.data is None:
            continue
        tensor = operation.output
        quantization = Quantization.of(tensor.quant)
        if quantization is not None:
            tensor.data = quantization.real_values(np.asarray(tensor.data)).astype(np.float32, copy=False)
            tensor.dtype, tensor.quant = np.float32, {}
            operation.attribs["dtype"] = np.float32
            count += 1
    return count

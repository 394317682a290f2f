"""The constant values of a model: variables, constants and literals, dequantized."""

from __future__ import annotations

import numpy as np

from ...errors import ExecutionError
from ...model import Tensor
from ...model.dtypes import canonical_dtype
from ...ops import registry
from ...ops.integers import as_signed
from ...ops.quantization import Quantization
from ..executor import Array


def constant_data(tensor: Tensor) -> Array:
    """The real values of a constant tensor; see `Quantization.real_values` for quantized ones.

    uint64 comes as int64 with the same bits. ExecutionError if there is no data. Unsupported or FormatError for an
    unknown or malformed quantization, Unsupported for integers that an operation cannot take.
    """
    data, quantization = _raw_data(tensor), Quantization.of(tensor.quant)
    return as_signed(data, tensor.consumers) if quantization is None else quantization.real_values(data)


def _raw_data(tensor: Tensor) -> Array:
    producer = tensor.producer
    if tensor.data is not None:
        return np.asarray(tensor.data)
    if producer is not None and producer.type == "constant":
        definition = registry.find("constant")
        assert definition is not None
        attribs = {key: producer.attribs[key] for key in ("shape", "value")}
        return np.asarray(definition.run(**attribs, dtype=producer.attribs.get("dtype") or np.float32))
    if producer is not None:
        label = producer.attribs.get("label", tensor.name)
        raise ExecutionError(f"variable '{label}' has no data", hint="read the model with load_variables=True")
    raise ExecutionError(f"tensor '{tensor.name}' has neither a value nor an operation that computes it")


def canonical(array: Array, *, doubles: bool = False) -> Array:
    """The array as float32, int64 or bool, the item types that torch computes with here.

    doubles: float64 stays. ExecutionError for other kinds, and for unsigned integers that int64 cannot hold.
    """
    dtype = canonical_dtype(array.dtype)
    if dtype is np.str_:
        raise ExecutionError(f"items of type {array.dtype.name} cannot be computed with")
    if doubles and array.dtype == np.float64:
        return array
    return signed(array).astype(dtype, copy=False)


def signed(array: Array) -> Array:
    """uint64 as int64, other arrays as they are. ExecutionError for integers that int64 cannot hold."""
    if array.dtype != np.uint64:
        return array
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ExecutionError("integers above 2**63 - 1 cannot be computed with")
    return array.astype(np.int64)

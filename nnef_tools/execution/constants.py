"""The values that a model comes with: variables, constants and literals, dequantized."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ExecutionError
from ..model import Tensor
from ..model.dtypes import canonical_dtype, nnef_dtype
from ..ops import quant, registry
from .backend import Array


def constant_data(tensor: Tensor) -> Array:
    """The real values of a constant tensor.

    Integer codes of a quantized tensor are dequantized; real values of one are rounded to those that it can take.
    ExecutionError if there is no data.
    """
    data = _raw_data(tensor)
    if not (tensor.quant or {}).get("op-name"):
        return data
    definition, parameters, attribs = quantization(tensor)
    if nnef_dtype(data.dtype) != "integer":
        return np.asarray(definition.run(data, *parameters.values(), **attribs))
    return quant.dequantize(definition.name, data, **{**parameters, **attribs})


def quantization(tensor: Tensor) -> tuple[registry.OpDef, dict[str, Array], dict[str, Any]]:
    """The operation that quantizes a tensor, and its tensor parameters (but for the first) and attributes by name.

    ExecutionError if the operation is not known or lacks a parameter.
    """
    found = dict(tensor.quant or {})
    name = str(found.get("op-name"))
    definition = registry.find(name)
    if definition is None or not name.endswith("_quantize"):
        raise ExecutionError(f"unknown quantization '{name}'", where=f"tensor '{tensor.name}'")
    missing = [p.name for p in definition.fragment.parameters[1:] if found.get(p.name) is None]
    if missing:
        what = ", ".join(map(repr, missing))
        raise ExecutionError(f"quantization '{name}' lacks {what}", where=f"tensor '{tensor.name}'")
    parameters = {
        p.name: np.asarray(found[p.name], np.int64 if p.name == "zero_point" else np.float32)
        for p in definition.fragment.tensors[1:]
    }
    return definition, parameters, {key: found[key] for key in definition.fragment.attributes}


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


def canonical(array: Array) -> Array:
    """float32, int64 or bool for any array: the item types that the torch backend works with.

    ExecutionError for other kinds, and for unsigned integers that int64 cannot hold.
    """
    dtype = canonical_dtype(array.dtype)
    if dtype is np.str_:
        raise ExecutionError(f"items of type {array.dtype.name} cannot be computed with")
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ExecutionError("integers above 2**63 - 1 cannot be computed with")
    return array.astype(dtype, copy=False)

"""The quantization of tensors, as an operation with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import FormatError, Unsupported
from ..language.types import item_name
from ..model.dtypes import nnef_dtype, numpy_dtype
from .broadcast import Array
from .definition import OpDef
from .quant import check_bits, dequantize, quantize
from .registry import find


class Quantization(NamedTuple):
    """The quantization of a tensor: an operation with these tensors after the first one, and these attributes."""

    definition: OpDef
    tensors: Mapping[str, Array]
    attribs: Mapping[str, Any]

    @staticmethod
    def of(quant: Mapping[str, Any] | None) -> Quantization | None:
        """The quantization that the `quant` of a tensor describes; None if it is empty.

        Unsupported unless it is a quantizing operation of the standard, FormatError if a parameter is missing,
        ShapeError for bits that codes cannot have.
        """
        name = (quant or {}).get("op-name")
        if quant is None or name is None:
            return None
        definition = find(name)
        if definition is None or not name.endswith("_quantize"):
            raise Unsupported(f"unknown quantization '{name}'")
        fragment = definition.fragment
        missing = [repr(p.name) for p in fragment.parameters[1:] if quant.get(p.name) is None]
        if missing:
            raise FormatError(f"quantization '{name}' lacks {', '.join(missing)}")
        check_bits(quant["bits"])
        tensors: dict[str, Array] = {
            p.name: np.asarray(quant[p.name], numpy_dtype(item_name(p.type))) for p in fragment.tensors[1:]
        }
        return Quantization(definition, tensors, {key: quant[key] for key in fragment.attributes})

    def real_values(self, data: Array) -> Array:
        """The real values of stored data: integers are codes (of float32), reals are rounded to values of codes."""
        if nnef_dtype(data.dtype) == "integer":
            return dequantize(self.definition.name, data, **{**self.tensors, **self.attribs})
        return np.asarray(self.definition.run(data, *self.tensors.values(), **self.attribs))

    def codes(self, values: Array) -> Array:
        """The codes, as int64, that real values are rounded to."""
        return quantize(self.definition.name, values, **{**self.tensors, **self.attribs})

"""NNEF to Caffe2: the converter."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ....model import Graph, Tensor
from ....model.copying import copy_graph
from ... import shared
from ...engine.from_nnef import ConverterFromNNEF, compounds_without_rule, insert_quantization
from ...maths.quantization import real_values
from ..building import Caffe2Builder
from . import FAMILIES

for _package, _families in ((shared.__name__, shared.FAMILIES), (__package__, FAMILIES)):
    for _family in _families:
        import_module(f"{_package}.{_family}")


class Converter(ConverterFromNNEF):
    """Converts an NNEF graph to a graph of io.caffe2. What is quantized is computed in rounded real numbers."""

    dialect = "caffe2"
    _builder: Caffe2Builder

    @staticmethod
    def decomposed_operations() -> list[str]:
        """Standard operations that are expanded by their definition; a reader may do that as well."""
        return compounds_without_rule("caffe2")

    def _make_builder(self, graph: Graph) -> Caffe2Builder:
        builder = Caffe2Builder(graph)
        if self._has_doubles:
            builder.warnings["Caffe2 computes in float32: what is float64 in the model loses digits"] = None
            self._has_doubles = False
        return builder

    def _prepared(self, graph: Graph) -> Graph:
        """Makes an NNEF operation quantize each quantized result."""
        if not any(map(self._is_rounded, graph.tensors)):
            return graph
        result = copy_graph(graph)
        for tensor in list(filter(self._is_rounded, result.tensors)):
            insert_quantization(result, tensor)
        return result

    def _constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        """A constant in the type to compute with: Caffe2 has no operators that fill blobs with others."""
        if source.quant:
            self._builder.warnings["constants are not quantized any more: they become real numbers"] = None
            data = real_values(data, source.quant)
        return super()._constant(source, data.astype(self._class(data.dtype), copy=False))

"""NNEF to TensorFlow: the converter, with the helper methods that plugin expressions may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ....dialects.tf.complete import complete_graph, name_nodes
from ....errors import UsageError
from ....model import Graph, Tensor
from ....model.copying import copy_graph
from ....model.facts import IR_VERSION, OPSET, without
from ... import shared
from ...building.shapes import shape
from ...engine.from_nnef import ConverterFromNNEF, compounds_without_rule, insert_quantization
from ...engine.transform import Transform
from ...maths import axis_orders
from ...maths.quantization import real_values
from ..building import TfBuilder
from . import FAMILIES
from .helpers import TfHelpers

DATA_FORMATS = ("NXC", "NCX")

for _package, _families in ((shared.__name__, shared.FAMILIES), (__package__, FAMILIES)):
    for _family in _families:
        import_module(f"{_package}.{_family}")


class Converter(TfHelpers, ConverterFromNNEF):
    """Converts an NNEF graph to a graph of io.tf.graphdef.

    data_format: 'NXC' or 'NCX', the position of channels in operators such as convolutions; TensorFlow's plain kernels
    for the CPU support only the first one. io_transpose: inputs and outputs of rank 3 and up (or the named ones) have
    their channels last.
    """

    dialect = "tf"
    _builder: TfBuilder
    honors = ConverterFromNNEF.honors | {"io_transpose"}
    _globals: Mapping[str, Any] = {"_lite_": False}  # tested by transforms that are also for TensorFlow Lite

    def __init__(
        self,
        data_format: str = "NXC",
        io_transpose: bool | Sequence[str] = False,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        *,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__(custom_transforms, custom_functions, mirror_unsupported, custom_shapes)
        if data_format not in DATA_FORMATS:
            raise UsageError(f"data format '{data_format}' is not known", hint=f"use {' or '.join(DATA_FORMATS)}")
        self._data_format = data_format
        self._io_transpose = io_transpose

    @staticmethod
    def decomposed_operations() -> list[str]:
        """Standard operations that are expanded by their definition; a reader may do that as well."""
        return compounds_without_rule("tf")

    def _make_builder(self, graph: Graph) -> TfBuilder:
        return TfBuilder(graph, self.is_nxc())

    def _target_facts(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        return without(super()._target_facts(metadata), (OPSET, IR_VERSION))

    # quantization

    def _prepared(self, graph: Graph) -> Graph:
        """Makes an NNEF operation quantize each quantized result."""
        if not any(map(self._is_rounded, graph.tensors)):
            return graph
        result = copy_graph(graph)
        for tensor in list(filter(self._is_rounded, result.tensors)):
            insert_quantization(result, tensor)
        return result

    def _constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        if not source.quant:
            return super()._constant(source, data)
        self._builder.warnings["constants are not quantized any more: TensorFlow has no such constants"] = None
        return super()._constant(source, real_values(data, source.quant))

    # inputs and outputs

    def _convert_inputs(self) -> None:
        super()._convert_inputs()
        for source, outer in zip(self._source.inputs, self._target.inputs, strict=True):
            if self.needs_io_transpose(source):
                inner = self._tensors[source]
                to_nxc = axis_orders.ncx_to_nxc_perm(len(shape(outer)))
                outer.shape = inner.shape = axis_orders.permute(shape(outer), to_nxc)
                self._tensors[source] = self._builder.transpose(inner, axis_orders.nxc_to_ncx_perm(len(to_nxc)))

    def _convert_outputs(self) -> None:
        super()._convert_outputs()
        outputs = []
        for source, inner in zip(self._source.outputs, self._target.outputs, strict=True):
            target = inner
            if self.needs_io_transpose(source):
                target = self._builder.transpose(inner, axis_orders.ncx_to_nxc_perm(len(shape(inner))))
            self._tensors[source] = target
            outputs.append(target)
        self._target.outputs = outputs

    # names

    def _name(self) -> None:
        """Names tensors: those of the original model come first, then those of the NNEF graph."""
        wanted = self._wanted_names()
        complete_graph(self._target)
        name_nodes(self._target, wanted)
        self._tensors.update(zip(self._source.outputs, self._target.outputs, strict=True))

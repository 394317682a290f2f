"""Caffe2 to NNEF: the converter.

Codes of the Int8 operators become real tensors, as those of TensorFlow Lite do: the quantization of a result is the
entry of the tensor in NNEF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from ....errors import NnefToolsError
from ....model import Graph, Operation, Tensor
from ....model.facts import Ties
from ...building.quantized import QuantizedArray
from ...engine.rules import Call, find_rule
from ...engine.to_nnef import ConverterToNNEF
from ...engine.trial import try_conversion
from ...tflite.to_nnef.quantization import as_reals
from ..common import IGNORED, windows_argument
from . import FAMILIES
from .refused import reason_against

for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")

_WINDOWS = "windows"
_QUANTIZATION = ("Y_scale", "Y_zero_point")


class Converter(ConverterToNNEF):
    """Converts a graph of io.caffe2 to NNEF."""

    dialect = "caffe2"
    _ties = Ties.EVEN

    def __call__(self, graph: Graph) -> Graph:
        """See `ConverterToNNEF`."""
        reals, self._originals = as_reals(graph)
        return super().__call__(reals)

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        """Leaves out arguments that tell how to compute, and joins those for windows."""
        rule = find_rule(self.dialect, str(op.type), 1)
        if rule is None:
            return None
        attribs = {key: value for key, value in op.attribs.items() if key in rule.attributes or key not in IGNORED}
        if str(op.type).startswith("Int8"):
            attribs = {key: value for key, value in attribs.items() if key not in _QUANTIZATION}
        if _WINDOWS in rule.attributes:
            windows, attribs = windows_argument(attribs)
            attribs[_WINDOWS] = windows
        return Call(rule, list(op.inputs), attribs)

    def _reason_against(self, op: Operation) -> str | None:
        return reason_against(str(op.type))

    def _mapped(self, source: Tensor) -> Tensor:
        if source not in self._tensors and isinstance(source.data, QuantizedArray):
            self._tensors[source] = Tensor(self._target, source.name, source.data.shape, np.float32, source.data)
        return super()._mapped(source)

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        rounded = [self._rounded(source, target) for source, target in zip(op.outputs, results, strict=False)]
        super()._bind_results(op, rounded)
        for source in op.outputs:
            target = self._tensors.get(source)
            if target is not None and source.dtype is None:
                source.dtype = target.dtype  # of the copy, which files do not tell
                source.shape = target.shape if source.shape is None else source.shape

    def _rounded(self, source: Tensor, target: Tensor | None) -> Tensor | None:
        """The result with the quantization of its source: itself if nothing else uses it, or a copy."""
        if target is None or not source.quant or source.quant == target.quant:
            return target
        is_new = target.producer is not None and not target.has_consumer and target not in self._tensors.values()
        if not is_new or target.quant or target in self._target.inputs:
            target = self._copy(target)
        target.quant = dict(source.quant)
        return target


def fill_shapes(graph: Graph, **options: Any) -> None:
    """Sets the shapes and item types of tensors, which files leave out, as far as the rules tell them.

    options: of the converter.
    """
    with suppress(NnefToolsError):  # what is refused has no shape
        trial = try_conversion(Converter(**options), graph)
        for tensor in graph.tensors:
            name = tensor.name or ""
            tensor.shape = trial.shapes.get(name) if tensor.shape is None else tensor.shape
            tensor.dtype = trial.types.get(name) if tensor.dtype is None and not tensor.quant else tensor.dtype

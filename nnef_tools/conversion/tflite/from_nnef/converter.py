"""NNEF to TensorFlow Lite: the converter.

It is that to TensorFlow, with a builder that makes builtin operators of TensorFlow's. Every tensor has the layout of
the NNEF graph, with transposes around what expects channels last; optimization.tflite.layout removes these and fuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Graph, Operation, Tensor
from ....model.dtypes import is_float
from ....model.widths import is_double
from ....optimization.tflite.halves import HALVES
from ...engine.from_nnef import ConverterFromNNEF, compounds_without_rule
from ...engine.rules import share_rules
from ...engine.transform import Transform
from ...tf.from_nnef.converter import Converter as TensorFlowConverter
from ..building import TfliteBuilder
from . import FAMILIES
from .helpers import TfliteHelpers
from .narrowing import narrow_integers

_NARROW = 4  # bytes of the integers that most kernels compute with

share_rules(TfliteBuilder.dialect, of=TensorFlowConverter.dialect)
for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")


class Converter(TfliteHelpers, TensorFlowConverter):
    """Converts an NNEF graph to a graph of io.tf.lite.

    io_transpose: inputs and outputs of rank 3 and up (or the named ones) have their channels last.
    """

    dialect = "tflite"
    _builder: TfliteBuilder
    _globals: Mapping[str, Any] = {"_lite_": True}

    def __init__(
        self,
        io_transpose: bool | Sequence[str] = False,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        *,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__(
            "NXC", io_transpose, custom_transforms, custom_functions, mirror_unsupported, custom_shapes=custom_shapes
        )

    @staticmethod
    def decomposed_operations() -> list[str]:
        """Standard operations that are expanded by their definition; a reader may do that as well."""
        return compounds_without_rule("tflite")

    def _make_builder(self, graph: Graph) -> TfliteBuilder:
        self._halves: set[Tensor] = set()
        types = {self._source_dtype(t) for t in self._source.tensors if t.dtype is np.int64 and t.name in self._facts}
        builder = TfliteBuilder(graph)
        builder.has_narrow_integers = bool(types) and all(np.dtype(type).itemsize <= _NARROW for type in types)
        return builder

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        if is_double(op):
            raise Unsupported("it computes in float64, for which TensorFlow Lite has no kernels")
        super()._convert(op, opset)

    def _constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        """Real numbers are computed with in float32, and halves remembered."""
        if not is_float(data.dtype) or source.quant:
            return super()._constant(source, data)
        target = super()._constant(source, data.astype(np.float32, copy=False))
        if np.float16 in (data.dtype.type, self._source_dtype(source)):
            self._halves.add(target)
        return target

    def _finish_constants(self) -> None:
        if self._builder.has_narrow_integers:
            narrow_integers(self._target)

    def _mirror(self, op: Operation) -> None:
        """Options that NNEF carries in hexadecimal digits, since they are no FlexBuffer, are bytes again."""
        super()._mirror(op)
        copied, digits = self._target.operations[-1], op.attribs.get("custom_options")
        if isinstance(digits, str):
            copied.attribs = {**copied.attribs, "custom_options": bytes.fromhex(digits)}

    def _target_facts(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        halves = [tensor.name for tensor in self._target.tensors if self._is_half(tensor)]
        return {**super()._target_facts(metadata), **({HALVES: halves} if halves else {})}

    def _is_half(self, tensor: Tensor) -> bool:
        """Is it a constant that was in float16, or is derived from one?"""
        base: Tensor | None = tensor
        while base is not None and base not in self._halves:
            base = self._builder.derived_from.get(base)
        return base is not None

    def _name(self) -> None:
        ConverterFromNNEF._name(self)

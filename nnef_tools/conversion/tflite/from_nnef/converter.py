"""NNEF to TensorFlow Lite: the converter.

It is that to TensorFlow, with a builder that makes builtin operators of TensorFlow's. Every tensor has the layout of
the NNEF graph, with transposes around what expects channels last; optimization.tflite.layout removes these and fuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from ....errors import Unsupported
from ....model import Graph, Operation
from ....model.widths import is_double
from ...engine.from_nnef import ConverterFromNNEF, compounds_without_rule
from ...engine.rules import share_rules
from ...engine.transform import Transform
from ...tf.from_nnef.converter import Converter as TensorFlowConverter
from ..building import TfliteBuilder
from . import FAMILIES
from .helpers import TfliteHelpers

share_rules("tflite", of="tf")
for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")


class Converter(TfliteHelpers, TensorFlowConverter):
    """Converts an NNEF graph to a graph of io.tf.lite.

    io_transpose: inputs and outputs of rank 3 and up (or the named ones) have their channels last.
    """

    dialect = "tflite"
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
        return TfliteBuilder(graph)

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        if is_double(op):
            raise Unsupported("it computes in float64, for which TensorFlow Lite has no kernels")
        super()._convert(op, opset)

    def _name(self) -> None:
        ConverterFromNNEF._name(self)

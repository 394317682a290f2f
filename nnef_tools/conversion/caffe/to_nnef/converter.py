"""Caffe to NNEF: the converter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from ....errors import NnefToolsError
from ....model import Graph, Operation, Tensor
from ...engine.to_nnef import ConverterToNNEF
from . import FAMILIES
from .refused import REASONS

for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")


class Converter(ConverterToNNEF):
    """Converts a graph of io.caffe to NNEF."""

    dialect = "caffe"

    def __call__(self, graph: Graph) -> Graph:
        """See `ConverterToNNEF`."""
        self._undeclared: dict[Tensor, None] = {}
        try:
            return super().__call__(graph)
        finally:  # another conversion may have inputs of other shapes
            for tensor in self._undeclared:
                tensor.shape = None

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        """Completes the source for messages and plugins, since files do not declare results."""
        super()._bind_results(op, results)
        for source in op.outputs:
            target = self._tensors.get(source)
            if source.shape is None and target is not None:
                self._undeclared[source] = None
                source.shape = target.shape

    def _reason_against(self, op: Operation) -> str | None:
        return REASONS.get(str(op.type))


def fill_shapes(graph: Graph, **options: Any) -> None:
    """Sets the shapes of tensors, which files leave out, as far as the rules tell them. options: of the converter."""
    converter = _ShapeFinder(**options)
    with suppress(NnefToolsError):  # what is refused has no shape
        converter(graph)
    for tensor, shape in converter.found.items():
        tensor.shape = shape


class _ShapeFinder(Converter):
    """A converter that notes the shapes of the source. found: tensor -> its shape."""

    def __call__(self, graph: Graph) -> Graph:
        self.found: dict[Tensor, Any] = {}
        return super().__call__(graph)

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        super()._bind_results(op, results)
        self.found.update((tensor, tensor.shape) for tensor in op.outputs if tensor.shape is not None)

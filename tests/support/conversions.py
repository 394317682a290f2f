"""Conversions to NNEF, run and compared with what the source computes; and what is common to those from NNEF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnef_tools.conversion.engine.to_nnef import ConverterToNNEF
from nnef_tools.model import Graph

from .arrays import Array, assert_agree, nnef_kind
from .nnef_models import run_nnef, types


@dataclass(frozen=True)
class Converted:
    """A converted model, its converter (for warnings, the mapping of tensors), and what it computes."""

    graph: Graph
    converter: ConverterToNNEF
    outputs: list[Array]

    @property
    def ops(self) -> list[str]:
        """The types of the operations, without external and variable."""
        return types(self.graph)


def convert_to_nnef(converter: ConverterToNNEF, source: Graph, inputs: Sequence[Array]) -> Converted:
    """Converts a graph and runs the result with the numpy kernels. inputs: in the order of the graph."""
    graph = converter(source)
    return Converted(graph, converter, run_nnef(graph, inputs))


def assert_computes(
    result: Converted, expected: Sequence[Array], *, ops: Sequence[str] | None, rtol: float, atol: float
) -> None:
    """The results are the expected ones, in the same shapes (also declared ones) and NNEF types.

    ops: the operations that the graph must consist of.
    """
    if ops is not None:
        assert result.ops == list(ops), f"converted to {result.ops}"
    for tensor, actual, wanted in zip(result.graph.outputs, result.outputs, expected, strict=True):
        assert actual.shape == tensor.shape
        assert_agree(actual, wanted, rtol=rtol, atol=atol, kind=nnef_kind)

"""Conversions to NNEF, run and compared with what the source computes; and what is common to those from NNEF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnef_tools.conversion.engine.to_nnef import ConverterToNNEF
from nnef_tools.model import Graph, Tensor
from nnef_tools.model.facts import tensor_facts

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
    """Converts a graph and runs the result with the numpy kernels. inputs: in the order of the graph.

    Inputs and outputs that are codes in the source and real in NNEF are given, and returned, as codes.
    """
    graph = converter(source)
    values = [_values(tensor, array) for tensor, array in zip(graph.inputs, inputs, strict=True)]
    facts = tensor_facts(graph.metadata)
    types = [facts.get(str(tensor.name), {}).get("dtype") for tensor in graph.outputs]
    results = run_nnef(graph, values)
    codes = [_codes(*item) for item in zip(graph.outputs, results, types, strict=True)]
    return Converted(graph, converter, codes)


def _values(tensor: Tensor, array: Array) -> Array:
    """An input as the NNEF model takes it."""
    quant = tensor.quant or {}
    if not quant or array.dtype.kind not in "iu":
        return array
    return ((array.astype(np.float32) - np.float32(quant["zero_point"])) * np.float32(quant["scale"])).astype("f4")


def _codes(tensor: Tensor, array: Array, dtype: str | None) -> Array:
    """An output as the source gives it."""
    quant = tensor.quant or {}
    if not quant or dtype is None:
        return array
    return (np.rint(array / np.float64(quant["scale"])) + quant["zero_point"]).astype(dtype)


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

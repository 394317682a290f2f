"""An NNEF graph computes in LiteRT what it did before."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnef_tools.conversion.nnef_to_tflite import Converter
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.lite import Writer
from nnef_tools.model import Graph
from nnef_tools.model.verify import verify
from nnef_tools.optimization.tflite.layout import run_layout

from ...support.arrays import Array, assert_agree
from ...support.nnef_models import inputs_for

NOT_IN_REFERENCE = frozenset(("CEIL", "ELU"))
"""Builtins that LiteRT has no reference kernels for; those of LOCAL_RESPONSE_NORMALIZATION leave out an item."""


def converted_to_tflite(graph: Graph, **options: Any) -> Graph:
    """The graph of a TensorFlow Lite model, as `convert` makes it."""
    result = Converter(**options)(graph)
    run_layout(result)
    verify(result)
    assert result.is_sorted()
    return result


def run_litert(graph: Graph, feeds: Mapping[str, Array], *, reference: bool) -> dict[str, Array]:
    """The outputs of a written graph that LiteRT computes."""
    from nnef_tools.execution.litert import LiteRtExecutor, LiteRtReferenceExecutor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        Writer()(graph, path)
        return (LiteRtReferenceExecutor if reference else LiteRtExecutor)(path).run(feeds)


def check_lite(
    graph: Graph,
    feeds: Mapping[str, Array] | None = None,
    *,
    ops: list[str] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    **options: Any,
) -> Graph:
    """LiteRT computes, on the converted model, what our kernels do on the NNEF graph, in the same shapes and types.

    ops: the operators that the model must consist of. Returns the converted graph.
    """
    feeds = inputs_for(graph) if feeds is None else feeds
    expected = make_executor(graph, backend="numpy").run(feeds)
    converted = converted_to_tflite(graph, **options)
    if ops is not None:
        assert operators(converted) == ops
    used = set(operators(converted))
    reference = used.isdisjoint((*NOT_IN_REFERENCE, "LOCAL_RESPONSE_NORMALIZATION"))
    results = run_litert(converted, feeds, reference=reference)
    assert list(results) == list(expected)
    for (name, wanted), actual in zip(expected.items(), results.values(), strict=True):
        assert actual.shape == wanted.shape, name
        assert_agree(actual, wanted, rtol=rtol, atol=atol, what=name)
    return converted


def operators(graph: Graph) -> list[str]:
    """The types of the operations."""
    return [str(op.type) for op in graph.operations]

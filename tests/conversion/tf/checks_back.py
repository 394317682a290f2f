"""An NNEF graph computes in TensorFlow what it did before."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnef_tools.conversion.nnef_to_tf import Converter
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.graphdef.writer import Writer
from nnef_tools.model import Graph

from ...support.arrays import Array, assert_agree
from ...support.nnef_models import inputs_for


def written(graph: Graph) -> bytes:
    """The file that a graph of the TensorFlow dialect is written to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pb"
        Writer()(graph, path)
        return path.read_bytes()


def run_tensorflow(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs of a written graph that TensorFlow computes. feeds: by names of inputs."""
    from ...support.tf_programs import run_graph_def, tf  # here, since other tests need no TensorFlow

    definition = tf.compat.v1.GraphDef.FromString(written(graph))
    names = [_full(str(tensor.name)) for tensor in graph.outputs]
    return list(run_graph_def(definition, names, {_full(name): array for name, array in feeds.items()}))


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def check_back(
    graph: Graph,
    feeds: Mapping[str, Array] | None = None,
    *,
    ops: list[str] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    **options: Any,
) -> Graph:
    """TensorFlow computes, on the converted model, what our kernels do on the NNEF graph, in the same kinds and shapes.

    ops: the operators that the model must consist of. Returns the converted graph.
    """
    feeds = inputs_for(graph) if feeds is None else feeds
    expected = make_executor(graph, backend="numpy").run(feeds)
    converted = Converter(**options)(graph)
    if ops is not None:
        assert operators(converted) == ops
    assert converted.is_sorted()
    assert [tensor.name for tensor in converted.inputs] == [tensor.name for tensor in graph.inputs]
    assert [tensor.name for tensor in converted.outputs] == list(expected)
    results = run_tensorflow(converted, feeds)
    for (name, wanted), actual, tensor in zip(expected.items(), results, converted.outputs, strict=True):
        assert (actual.shape, actual.dtype.type) == (tensor.shape, tensor.dtype), name
        assert_agree(actual, wanted, rtol=rtol, atol=atol, what=name)
    return converted


def operators(graph: Graph) -> list[str]:
    """The types of the operations, without inputs and constants."""
    return [str(op.type) for op in graph.operations if op.type not in ("Placeholder", "Const")]

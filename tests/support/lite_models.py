"""TensorFlow Lite models of one operator, made with our writer and run by LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ExecutionError
from nnef_tools.execution.executor import Executor
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor

from .arrays import Array


@dataclass(frozen=True, eq=False)
class Fixed:
    """An input that is a constant of the model."""

    array: Any


Argument = Array | Fixed | None  # None: an optional input that is missing


def operator_graph(
    type: str,
    arguments: Sequence[Argument],
    *,
    shapes: Sequence[Sequence[int]] = ((),),
    dtypes: Sequence[Any] = (np.float32,),
    custom: bool = False,
    **options: Any,
) -> Graph:
    """A model of one operator. Arrays stand for inputs of their shape. shapes, dtypes: those of the results."""
    graph = Graph("main")
    inputs = [_input(graph, f"x{k}", argument) for k, argument in enumerate(arguments)]
    outputs = [Tensor(graph, f"y{k}", s, t) for k, (s, t) in enumerate(zip(shapes, dtypes, strict=True))]
    Operation(graph, type=type, custom=custom, attribs=options, inputs=tuple(inputs), outputs=tuple(outputs))
    graph.inputs = [t for t, a in zip(inputs, arguments, strict=True) if isinstance(a, np.ndarray)]
    graph.outputs = outputs
    return graph


def _input(graph: Graph, name: str, argument: Argument) -> Tensor:
    if argument is None:
        return Tensor(graph, "", (), np.float32)
    array = np.asarray(argument.array) if isinstance(argument, Fixed) else argument
    return Tensor(graph, name, array.shape, array.dtype.type, array if isinstance(argument, Fixed) else None)


def read_back(graph: Graph) -> Graph:
    """The graph as it is after writing and reading."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        Writer()(graph, path)
        return Reader()(path)


def run_litert(graph: Graph, inputs: Sequence[Array], *, reference: bool = True) -> list[Array]:
    """What LiteRT's reference kernels compute, or the optimized ones for operators that have no others.

    inputs: in the order of the graph. reference: are these kernels wanted at all?
    """
    pytest.importorskip("ai_edge_litert", reason="it runs the models")
    from nnef_tools.execution.litert import LiteRtExecutor, LiteRtReferenceExecutor

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        Writer()(graph, path)
        try:
            return _run((LiteRtReferenceExecutor if reference else LiteRtExecutor)(path), inputs)
        except ExecutionError:
            return _run(LiteRtExecutor(path), inputs)


def _run(executor: Executor, inputs: Sequence[Array]) -> list[Array]:
    results = executor.run({info.name: array for info, array in zip(executor.inputs, inputs, strict=True)})
    return [results[info.name] for info in executor.outputs]

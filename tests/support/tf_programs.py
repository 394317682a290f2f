"""Small TensorFlow programs, and what TensorFlow computes of them; tests that import this are skipped without it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.io.tf.graphdef import Reader
from nnef_tools.model import Graph

from .arrays import Array

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="TensorFlow gives the expected results")

raw = tf.raw_ops
Program = Callable[..., Any]


def run_graph_def(graph_def: Any, names: Any, feeds: Mapping[str, Any]) -> Any:
    """What TensorFlow computes of a GraphDef, or of a file with one.

    names: of tensors, as for `Session.run`: `y:0`, or a list of such.
    """
    if isinstance(graph_def, Path):
        graph_def = tf.compat.v1.GraphDef.FromString(graph_def.read_bytes())
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session() as session:
            return session.run(names, dict(feeds))


@dataclass(frozen=True)
class Traced:
    """A program as a GraphDef. names: of the results."""

    graph_def: Any
    names: list[str]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """What TensorFlow computes."""
        feeds = {f"x{k}:0": array for k, array in enumerate(inputs)}
        return list(run_graph_def(self.graph_def, [f"{name}:0" for name in self.names], feeds))

    def read(self) -> Graph:
        """The graph that our reader makes of it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pb"
            path.write_bytes(self.graph_def.SerializeToString())
            graph = Reader()(path)
            for tensor in graph.tensors:
                if tensor.data is not None:
                    tensor.data = np.array(tensor.data)  # the file goes away
            return graph


def trace(program: Program, inputs: Sequence[Array]) -> Traced:
    """The graph of a program: inputs `x0`, `x1`, ..; results `y0`, `y1`, .."""
    with tf.Graph().as_default() as graph:
        placeholders = [tf.compat.v1.placeholder(a.dtype, a.shape, name=f"x{k}") for k, a in enumerate(inputs)]
        results = program(*placeholders)
        results = [results] if isinstance(results, tf.Tensor) else list(results)
        names = [tf.identity(result, name=f"y{k}").op.name for k, result in enumerate(results)]
    needed = [*names, *(placeholder.op.name for placeholder in placeholders)]
    return Traced(tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), needed), names)


def freeze(function: Any, *shapes: tuple[int, ...], lower: bool = True, dtype: Any = tf.float32) -> Traced:
    """A function of TensorFlow 2 as a frozen graph, as users make it. lower: control flow as in TensorFlow 1."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec(shape, dtype, name=f"x{k}") for k, shape in enumerate(shapes)]
    concrete = tf.function(function).get_concrete_function(*specs)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=lower)
    return Traced(frozen.graph.as_graph_def(), [t.op.name for t in frozen.outputs])

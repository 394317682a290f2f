"""Small TensorFlow programs, and the comparison of what they are converted to with what TensorFlow computes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tf_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.graphdef import Reader
from nnef_tools.model import Graph
from nnef_tools.model.dtypes import nnef_dtype

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="TensorFlow gives the expected results")

raw = tf.raw_ops
Array = np.ndarray[Any, Any]
Program = Callable[..., Any]


def random(*shape: int, seed: int = 0) -> Array:
    """Standard normal float32 numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def integers(*shape: int, low: int = -9, high: int = 10, dtype: Any = np.int32, seed: int = 0) -> Array:
    """Integers in [low, high)."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def logicals(*shape: int, seed: int = 0) -> Array:
    """True or false."""
    return np.random.default_rng([seed, *shape]).random(shape) < 0.5


@dataclass(frozen=True)
class Traced:
    """A program as a GraphDef. names: of the results."""

    graph_def: Any
    names: list[str]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """What TensorFlow computes."""
        with tf.Graph().as_default():
            tf.import_graph_def(self.graph_def, name="")
            with tf.compat.v1.Session() as session:
                feeds = {f"x{k}:0": array for k, array in enumerate(inputs)}
                return list(session.run([f"{name}:0" for name in self.names], feeds))

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


@dataclass(frozen=True)
class Converted:
    """A converted program and what it computes."""

    graph: Graph
    converter: Converter
    outputs: list[Array]

    @property
    def ops(self) -> list[str]:
        """Types of the operations, without external and variable."""
        return [str(op.type) for op in self.graph.operations if op.type not in ("external", "variable")]


def run(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """What the numpy kernels compute."""
    executor = make_executor(graph, backend="numpy")
    feeds = {info.name: array for info, array in zip(executor.inputs, inputs, strict=True)}
    results: Mapping[str, Array] = executor.run(feeds)
    return [results[info.name] for info in executor.outputs]


def convert(program: Program | Traced, *inputs: Array, **options: Any) -> Converted:
    """Converts a program and runs the result."""
    traced = program if isinstance(program, Traced) else trace(program, inputs)
    converter = Converter(**options)
    graph = converter(traced.read())
    return Converted(graph, converter, run(graph, inputs))


def check(
    program: Program | Traced,
    *inputs: Array,
    ops: Sequence[str] | None = None,
    expected: Program | Sequence[Array] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    **options: Any,
) -> Converted:
    """The converted program computes what TensorFlow does, in the same shapes and kinds of items.

    ops: the operations that it must consist of. expected: the results, or an equivalent program that TensorFlow can
    run, where it has no kernel for the original on the CPU.
    """
    traced = program if isinstance(program, Traced) else trace(program, inputs)
    if expected is None:
        expected = traced.run(inputs)
    elif callable(expected):
        expected = trace(expected, inputs).run(inputs)
    result = convert(traced, *inputs, **options)
    if ops is not None:
        assert result.ops == list(ops), f"converted to {result.ops}"
    for tensor, actual, wanted in zip(result.graph.outputs, result.outputs, expected, strict=True):
        assert actual.shape == wanted.shape == tensor.shape
        assert nnef_dtype(actual.dtype.type) == nnef_dtype(wanted.dtype.type)
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=atol)
    return result


def refusal(program: Program, *inputs: Array, **options: Any) -> str:
    """Why the program cannot be converted."""
    with pytest.raises(ConversionError) as caught:
        Converter(**options)(trace(program, inputs).read())
    return "\n".join([caught.value.message, *caught.value.details])

"""Export from TensorFlow programs: composite functions, freezing, folding."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import FormatError, UsageError
from nnef_tools.io.tf import graphdef
from nnef_tools.io.tf.graphdef import Reader, Writer

from ...support.tf_programs import run_graph_def

tf = pytest.importorskip("tensorflow", reason="the export works on TensorFlow's own objects")
tf1 = tf.compat.v1


@pytest.fixture(autouse=True)
def _graph_mode() -> Iterator[None]:
    graphdef.reset_composites()
    with tf.Graph().as_default():
        yield


@pytest.fixture
def export(tmp_path: Path) -> Any:
    """Saves the default graph, and gives TensorFlow's message and our Graph of the file."""

    def export(outputs: Any, **options: Any) -> tuple[Any, Any]:
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            graphdef.save_default_graph(tmp_path / "model.pb", session, outputs, **options)
        message = tf1.GraphDef.FromString((tmp_path / "model.pb").read_bytes())
        return message, Reader()(tmp_path / "model.pb")

    return export


def placeholder(*shape: int | None, name: str = "x", dtype: Any = tf.float32) -> Any:
    return tf1.placeholder(dtype, shape, name=name)


@graphdef.composite_function
def lp_norm(x: Any, p: int, axis: Any = None, eps: float = 1e-5) -> Any:
    """The docstring."""
    return tf.reduce_sum(tf.abs(x) ** p, axis=axis) ** (1 / p) + eps


@graphdef.composite_function
def two(x: Any, y: Any = None, *, flags: Any = (), scale: Any = 1.0) -> Any:
    total = x if y is None else x + y
    return tf.abs(total), tf.cast(total > 0, tf.int32)


def test_decorated_functions_keep_their_name_and_signature() -> None:
    assert lp_norm.__name__ == "lp_norm"
    assert lp_norm.__doc__ == "The docstring."
    assert list(inspect.signature(lp_norm).parameters) == ["x", "p", "axis", "eps"]


def test_a_call_becomes_one_node(export: Any) -> None:
    x = placeholder(2, 3)
    y = tf.nn.relu(lp_norm(tf.abs(x), 2, axis=[1]))
    message, graph = export({y.ref(): "out"})
    assert [node.op for node in message.node] == ["Placeholder", "Abs", "Relu", "Identity", "PyFunc"]
    node = message.node[-1]
    assert node.name == "Composite0"
    assert list(node.input) == ["Abs"]
    assert node.attr["token"].s == b"lp_norm"
    assert list(node.attr["Tin"].list.type) == [tf.float32.as_datatype_enum]
    assert list(node.attr["Tout"].list.type) == [tf.float32.as_datatype_enum]
    assert node.attr["_$p$_"].i == 2
    assert list(node.attr["_$axis$_"].list.i) == [1]
    assert node.attr["_$eps$_"].f == np.float32(1e-5)
    assert [d.size for d in node.attr["_output_shapes"].list.shape[0].dim] == [2]
    assert not any(key.startswith("_composite") for node in message.node for key in node.attr)
    op = next(op for op in graph.operations if op.custom)
    assert (op.type, op.name) == ("lp_norm", "Composite0")
    assert op.attribs == {"p": 2, "axis": [1], "eps": float(np.float32(1e-5))}
    assert [t.name for t in graph.outputs] == ["out"]


def test_calls_are_chained_and_named(export: Any) -> None:
    x = placeholder(2, 3)
    y = lp_norm(lp_norm(x, 2, axis=[1], name="first"), p=3, axis=[0])
    _, graph = export([y])
    calls = [op for op in graph.operations if op.custom]
    assert [op.name for op in calls] == ["first", "Composite1"]
    assert calls[1].inputs[0] is calls[0].outputs[0]
    assert graph.outputs[0].name == "Composite1"


@pytest.mark.parametrize(
    "value, expected",
    [
        (True, True), (3, 3), (0.5, 0.5), ("text", "text"), (tf.int64, np.int64), (np.float32, np.float32),
        ((1, 2), (1, 2)), ((1, None), (1, None)), ((0.5, 1.5), [0.5, 1.5]), ([], []), ([1, 2], [1, 2]),
        ([0.5], [0.5]), ([True, False], [True, False]), (["a", "b"], ["a", "b"]), ([tf.float32], [np.float32]),
        ([(1, 2), (3,)], [(1, 2), (3,)]), (tf.TensorShape([1, None]), (1, None)),
    ],
)  # fmt: skip
def test_attribute_values(export: Any, value: Any, expected: Any) -> None:
    _, graph = export([two(placeholder(2), flags=value)[0]])
    op = next(op for op in graph.operations if op.custom)
    assert op.attribs["flags"] == expected
    assert "y" not in op.attribs, "None is dropped"


def test_array_attributes(export: Any) -> None:
    _, graph = export([two(placeholder(2), flags=np.array([1.5, 2]), scale=np.float64(3))[0]])
    op = next(op for op in graph.operations if op.custom)
    assert op.attribs["flags"].tolist() == [1.5, 2]
    assert op.attribs["scale"].tolist() == 3


def test_inputs_are_in_the_order_of_the_signature(export: Any) -> None:
    a, b = placeholder(2, name="a"), placeholder(2, name="b")
    message, _ = export(list(two(y=b, x=a)))
    assert list(message.node[-1].input) == ["a", "b"]


@pytest.mark.parametrize("used", [0, 1])
def test_outputs_that_nothing_uses(export: Any, used: int) -> None:
    result = two(placeholder(2))[used]
    message, graph = export({tf.identity(result).ref(): "out"})
    op = next(op for op in graph.operations if op.custom)
    assert [t.dtype for t in op.outputs] == [np.float32, np.int32], "each output has its own type"
    assert [t.name for t in op.outputs] == ["Composite0" if used else "out", "out" if used else "Composite0:1"]
    assert [t.shape for t in op.outputs] == [(2,), (2,)]
    assert message.node[-1].op == "PyFunc"


def test_lists_of_tensors_and_further_arguments(export: Any) -> None:
    @graphdef.composite_function
    def combine(items: Any, *more: Any, factor: float = 2.0, **rest: Any) -> list[Any]:
        return [tf.add_n(list(items) + list(more)) * factor, rest["z"] * 1.0]

    a, b, c, z = (placeholder(2, name=name) for name in "abcz")
    outputs = combine([a, b], c, z=z, mode="fast")
    assert isinstance(outputs, list)
    message, graph = export(outputs)
    assert list(message.node[-1].input) == ["a", "b", "c", "z"]
    op = next(op for op in graph.operations if op.custom)
    assert op.attribs == {"factor": 2.0, "mode": "fast"}


def test_nested_composites_vanish(export: Any) -> None:
    @graphdef.composite_function
    def outer(x: Any) -> Any:
        return tf.nn.relu(lp_norm(x, 2, axis=[1]))

    message, graph = export([outer(placeholder(2, 3))])
    assert [node.op for node in message.node] == ["Placeholder", "PyFunc"]
    assert message.node[1].attr["token"].s == b"outer"
    assert len(graph.outputs) == 1


def test_an_argument_that_is_not_used_stays_an_input(export: Any) -> None:
    @graphdef.composite_function
    def first(x: Any, y: Any) -> Any:
        return tf.abs(x)

    message, _ = export([first(placeholder(2, name="a"), placeholder(3, name="b"))])
    assert list(message.node[-1].input) == ["a", "b"]


def test_a_name_given_by_position(export: Any) -> None:
    @graphdef.composite_function
    def named(x: Any, name: str | None = None) -> Any:
        return tf.abs(x, name=name)

    message, graph = export([named(placeholder(2), "my_name")])
    assert message.node[-1].name == "my_name"
    assert next(op for op in graph.operations if op.custom).attribs == {}


def test_without_inputs(export: Any) -> None:
    @graphdef.composite_function
    def grid(size: int) -> Any:
        return tf.range(size) * 2

    y = placeholder(3, dtype=tf.int32) + grid(3)
    message, graph = export([y], fold_constants=False)
    assert next(op for op in graph.operations if op.custom).attribs == {"size": 3}
    assert list(message.node[-1].attr["Tin"].list.type) == []
    message, _ = export([y])
    assert "PyFunc" not in {node.op for node in message.node}, "it is a constant"


def test_constant_arguments(export: Any) -> None:
    message, _ = export([two(placeholder(2), tf.constant([1.0, 2]) * 2)[0]])
    node = message.node[-1]
    assert node.op == "PyFunc"
    source = next(n for n in message.node if n.name == node.input[1])
    assert source.op == "Const"
    assert tf.make_ndarray(source.attr["value"].tensor).tolist() == [2, 4]


def test_captured_tensors_are_refused(export: Any) -> None:
    outside = tf.constant([1.0, 2], name="outside")

    @graphdef.composite_function
    def leaky(x: Any) -> Any:
        return x + outside

    y = leaky(placeholder(2))
    with pytest.raises(UsageError, match=r"'leaky' uses 'outside'"):
        export([y])
    message, _ = export([y], collapse_composites=False)
    assert "PyFunc" not in {node.op for node in message.node}
    assert run_graph_def(message, message.node[-1].name + ":0", {"x:0": [1, 1]}).tolist() == [2, 3]


def test_captured_variables_are_refused(export: Any) -> None:
    @graphdef.composite_function
    def dense(x: Any) -> Any:
        return x * tf1.get_variable("w", [2], initializer=tf1.ones_initializer())

    with pytest.raises(UsageError, match="'dense' uses 'w'"):
        export([dense(placeholder(2))])


def test_variables_as_arguments(export: Any) -> None:
    for resource in (False, True):
        w = tf1.get_variable(f"w{resource}", [2], initializer=tf1.ones_initializer(), use_resource=resource)
        _, graph = export([two(placeholder(2, name=f"x{resource}"), w)[0]])
        op = next(op for op in graph.operations if op.custom)
        assert op.inputs[1].data.tolist() == [1, 1]


@pytest.mark.parametrize(
    "func, message",
    [
        (lambda x: x, "returns one of its inputs"),
        (lambda x: {"a": x}, "must return a tensor"),
        (lambda x: 5, "must return a tensor"),
        (lambda x: [], "returns nothing"),
        (lambda x, a={"b": 1}: x, "dict"),
        (lambda x, a=[1, "b"]: x, "different types"),
        (lambda x, a=object(): x, "object"),  # noqa: B008
    ],
)
def test_impossible_composites(func: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        graphdef.composite_function(func)(placeholder(2))


def test_each_graph_counts_anew_and_may_be_exported_twice(export: Any) -> None:
    for _ in range(2):
        with tf.Graph().as_default():
            y = lp_norm(placeholder(2, 3), 2)
            for _ in range(2):
                message, _ = export([y])
                assert message.node[-1].name == "Composite0"


def test_names_of_outputs(export: Any) -> None:
    x = placeholder(4)
    parts = tf.split(x, 2, name="parts")
    message, graph = export([parts[1], tf.abs(x, name="a")])
    assert [t.name for t in graph.outputs] == ["parts_1", "a"]
    assert run_graph_def(message, "parts_1:0", {"x:0": [1, 2, 3, 4]}).tolist() == [3, 4]
    with pytest.raises(UsageError, match="cannot be named 'a'"):
        export({parts[0].ref(): "a"})


def test_variables_become_constants_and_unused_nodes_go(export: Any) -> None:
    x = placeholder(None, 2)
    w = tf1.get_variable("w", initializer=np.array([[1.0], [2]], np.float32))
    tf.square(x)
    message, graph = export([tf.matmul(x, w, name="y")])
    assert "Square" not in {node.op for node in message.node}
    assert [op.type for op in graph.operations] == ["Placeholder", "Const", "MatMul"]
    assert run_graph_def(message, "y:0", {"x:0": [[1, 1]]}).tolist() == [[3]]


def test_input_shapes(export: Any) -> None:
    x = placeholder(None, 2)
    y = tf.reshape(x, [tf.shape(x)[0] * 2], name="y")
    message, _ = export([y])
    assert "Shape" in {node.op for node in message.node}
    message, graph = export([y], input_shapes={"x": (3, 2)})
    assert [node.op for node in message.node if node.op != "Const"] == ["Placeholder", "Reshape"]
    assert graph.inputs[0].shape == (3, 2)
    assert graph.outputs[0].shape == (6,)
    with pytest.raises(OSError, match="no placeholder 'z'"):
        export([y], input_shapes={"z": (3, 2)})
    with pytest.raises(OSError, match="rank 2"):
        export([y], input_shapes={"x": (3,)})


def test_composites_keep_their_shapes_with_input_shapes(export: Any) -> None:
    _, graph = export([lp_norm(placeholder(None, 3), 2, axis=[1])], input_shapes={"x": (5, 3)})
    assert next(op for op in graph.operations if op.custom).output.shape == (5,)


def test_folding(export: Any) -> None:
    x = placeholder(2, 3)
    c = tf.constant(np.ones((3, 3), np.float32)) * 2 + 1
    a, b = tf.split(c, [1, 2], axis=0)
    noise = tf.random.uniform([2, 1])
    y = tf.matmul(x, tf.concat([b, a], 0)) + noise * 0 + tf.cast(tf.shape(x)[0], tf.float32)
    y = tf.identity(y, name="y")
    message, _ = export([y], fold_constants=True)
    ops = [node.op for node in message.node]
    assert "ConcatV2" not in ops
    assert "SplitV" not in ops
    assert "Shape" not in ops
    assert "RandomUniform" in ops
    feed = {"x:0": np.ones((2, 3), np.float32)}
    assert run_graph_def(message, "y:0", feed).tolist() == [[11.0] * 3] * 2
    unfolded, _ = export([y], fold_constants=False)
    assert "SplitV" in [node.op for node in unfolded.node]
    assert run_graph_def(unfolded, "y:0", feed).tolist() == [[11.0] * 3] * 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(export: Any, value: float) -> None:
    x = placeholder(2)
    with pytest.raises(ValueError, match="NaN or infinite"):
        export([x + tf.constant([1, value], tf.float32)])
    w = tf1.get_variable("w", initializer=np.array([1, value], np.float32))
    with pytest.raises(ValueError, match="variable 'w:0'"):
        export([x + w])


def test_variables_without_value(tmp_path: Path) -> None:
    w = tf1.get_variable("w", [2])
    with tf1.Session() as session, pytest.raises(UsageError, match="'w:0' has no value"):
        graphdef.save_default_graph(tmp_path / "m.pb", session, [w * 2.0])
    assert not list(tmp_path.iterdir())


def test_load_default_graph(export: Any, tmp_path: Path) -> None:
    export([tf.abs(placeholder(2), name="y")])
    with tf.Graph().as_default() as graph:
        assert graphdef.load_default_graph(tmp_path / "model.pb") is None
        assert {op.name for op in graph.get_operations()} == {"x", "y"}
    (tmp_path / "bad.pb").write_bytes(b"\xff\xff")
    with pytest.raises(FormatError):
        graphdef.load_default_graph(tmp_path / "bad.pb")


def test_composites_are_written_again(export: Any, tmp_path: Path) -> None:
    message, graph = export([lp_norm(placeholder(2, 3), 2, axis=[1])])
    Writer()(graph, tmp_path / "again.pb")
    again = tf1.GraphDef.FromString((tmp_path / "again.pb").read_bytes())
    assert again.node[-1] == message.node[-1]


def test_the_reader_folds_constants(tmp_path: Path) -> None:
    x = placeholder(None, 2)
    y = tf.reshape(x, [tf.shape(x)[0] * 2], name="y")
    (tmp_path / "m.pb").write_bytes(y.graph.as_graph_def().SerializeToString())
    graph = Reader(fold_constants=True)(tmp_path / "m.pb", {"x": (3, 2)})
    assert [op.type for op in graph.operations] == ["Placeholder", "Const", "Reshape"]
    assert graph.outputs[0].shape == (6,)

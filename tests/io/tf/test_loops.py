"""Loops and conditionals of TensorFlow 1, as hand-made graphs and as TensorFlow makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import FormatError, NnefToolsError
from nnef_tools.io.tf.graphdef import Reader, Writer
from nnef_tools.model import Graph

from ...support.graphs import all_types
from .messages import BOOL, FLOAT, INT32, attr, const, graph, node, placeholder, tensor, unary


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(*nodes: Any) -> Graph:
        path = tmp_path / "model.pb"
        path.write_bytes(graph(*nodes).SerializeToString())
        return Reader()(path)

    return read


def enter(name: str, source: str, dtype: int = FLOAT, constant: bool = False, frame: str = "loop") -> Any:
    return node("Enter", name, source, T=attr(type=dtype), frame_name=attr(s=frame.encode()),
                is_constant=attr(b=constant))  # fmt: skip


def simple_loop() -> list[Any]:
    """for i in range(3): x *= w"""
    return [
        placeholder("x", 2),
        const("zero", tensor(INT32, (), int_val=[0])),
        const("w", tensor(FLOAT, (), float_val=[2])),
        enter("e_i", "zero", INT32),
        enter("e_x", "x"),
        enter("e_w", "w", constant=True),
        unary("Merge", "m_i", "e_i", "n_i", dtype=INT32),
        unary("Merge", "m_x", "e_x", "n_x"),
        const("three", tensor(INT32, (), int_val=[3])),
        unary("Less", "less", "m_i", "three", dtype=INT32),
        node("LoopCond", "c", "less"),
        unary("Switch", "s_i", "m_i", "c", dtype=INT32),
        unary("Switch", "s_x", "m_x", "c"),
        node("Const", "one", "^s_i", dtype=attr(type=INT32), value=attr(tensor=tensor(INT32, (), int_val=[1]))),
        unary("Add", "next", "s_i:1", "one", dtype=INT32),
        unary("Identity", "body_x", "s_x:1"),
        unary("Mul", "product", "body_x", "e_w"),
        unary("NextIteration", "n_i", "next", dtype=INT32),
        unary("NextIteration", "n_x", "product"),
        unary("Exit", "exit", "s_x"),
        unary("Neg", "y", "exit"),
    ]


def test_a_loop(read: Any) -> None:
    g = read(*simple_loop())
    assert all_types(g) == ["Placeholder", "Const", "Const", "StatelessWhile", "Neg"]
    loop = g.operations[3]
    assert [t.name for t in loop.inputs] == ["zero", "x", "w"]
    assert loop.attribs["T"] == [np.int32, np.float32, np.float32]
    assert g.operations[4].input is loop.outputs[1]
    cond, body = loop.attribs["cond"], loop.attribs["body"]
    assert all_types(cond) == ["Const", "Less"]
    assert cond.operations[1].inputs[0] is cond.inputs[0]
    assert all_types(body) == ["Const", "Add", "Mul"]
    assert [t.dtype for t in body.inputs] == [np.int32, np.float32, np.float32]
    assert list(body.operations[2].inputs) == [body.inputs[1], body.inputs[2]]
    assert list(body.outputs) == [body.operations[1].output, body.operations[2].output, body.inputs[2]]


@pytest.mark.parametrize(
    "missing, message",
    [("n_x", "next round"), ("c", "no condition"), ("exit", "no 'exit'"), ("less", "no 'less"), ("e_w", "no 'e_w'")],
)
def test_incomplete_loops(read: Any, missing: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(*(n for n in simple_loop() if n.name != missing))


def conditional(predicate: Any) -> list[Any]:
    """y = -x if p else x * x, as `tf.cond` makes it."""
    return [
        placeholder("x", 2),
        predicate,
        unary("Identity", "pred_id", "p", dtype=BOOL),
        unary("Switch", "sw", "p", "pred_id", dtype=BOOL),
        unary("Identity", "on_true", "sw:1", dtype=BOOL),
        unary("Identity", "on_false", "sw", dtype=BOOL),
        unary("Switch", "sx", "x", "pred_id"),
        unary("Neg", "neg", "sx:1"),
        unary("Square", "square", "sx:0"),
        unary("Merge", "merge", "square", "neg"),
        unary("Abs", "y", "merge"),
    ]


def test_a_conditional(read: Any) -> None:
    g = read(*conditional(placeholder("p", dtype=BOOL)))
    assert all_types(g) == ["Placeholder", "Placeholder", "StatelessIf", "Abs"]
    assert [t.name for t in g.operations[2].inputs] == ["p", "x"]
    assert branch_types(g) == [["Square"], ["Neg"]]
    assert [t.name for t in g.outputs] == ["y"]


def branch_types(g: Graph) -> list[list[str]]:
    attribs = next(op for op in g.operations if op.type == "StatelessIf").attribs
    return [all_types(attribs[name]) for name in ("else_branch", "then_branch")]


def test_a_conditional_of_several_results(read: Any) -> None:
    """It is one operation, and what its branches share is computed once; one that depends on it is another."""
    nodes = conditional(placeholder("p", dtype=BOOL))[:-1]
    more = [
        unary("Abs", "deep_true", "neg"),
        unary("Abs", "deep_false", "square"),
        unary("Merge", "second", "deep_false", "deep_true"),
        unary("Switch", "again", "merge", "pred_id"),
        unary("Exp", "exp", "again:1"),
        unary("Log", "log", "again:0"),
        unary("Merge", "third", "log", "exp"),
        node("AddV2", "y", "second", "third", T=attr(type=FLOAT)),
    ]
    g = read(*nodes, *more)
    assert all_types(g) == ["Placeholder", "Placeholder", "StatelessIf", "StatelessIf", "AddV2"]
    assert branch_types(g) == [["Square", "Abs"], ["Neg", "Abs"]]
    first, second = g.operations[2:4]
    assert second.inputs[1] is first.outputs[0] and g.operations[4].inputs[0] is first.outputs[1]


def test_a_conditional_inside_of_another(read: Any) -> None:
    """The inner one has a constant as one of its results, that nothing says runs in a branch."""
    nodes = conditional(placeholder("p", dtype=BOOL))
    nodes[9].input[1] = "inner"
    more = [
        placeholder("q", dtype=BOOL),
        unary("Switch", "sq", "q", "pred_id", dtype=BOOL),
        unary("Switch", "inside", "neg", "sq:1"),
        unary("Exp", "exp", "inside:1"),
        node("Const", "five", dtype=attr(type=FLOAT), value=attr(tensor=tensor(FLOAT, (2,), float_val=[5]))),
        unary("Merge", "inner", "five", "exp"),
    ]
    g = read(*nodes, *more)
    assert branch_types(g) == [["Square"], ["Neg", "StatelessIf"]]
    outer = next(op for op in g.operations if op.type == "StatelessIf")
    assert sorted(str(t.name) for t in outer.inputs) == ["five", "p", "q", "x"]
    assert branch_types(outer.attribs["then_branch"]) == [[], ["Exp"]]


@pytest.mark.parametrize("value, kept", [(True, "Neg"), (False, "Square")])
def test_a_constant_condition(read: Any, value: bool, kept: str) -> None:
    learning = node("PlaceholderWithDefault", "p", "default", dtype=attr(type=BOOL))
    default = const("default", tensor(BOOL, (), bool_val=[value]))
    assert all_types(read(default, *conditional(learning))) == ["Placeholder", kept, "Abs"]


def test_branches_that_only_wait_for_their_condition(read: Any) -> None:
    nodes = conditional(placeholder("p", dtype=BOOL))
    value = tensor(FLOAT, (2,), float_val=[5])
    nodes[7] = node("Const", "neg", "^on_true", dtype=attr(type=FLOAT), value=attr(tensor=value))
    g = read(*nodes)
    assert branch_types(g) == [["Square"], ["Const"]]


def test_conditionals_that_cannot_be_told(read: Any) -> None:
    with pytest.raises(FormatError, match="cannot tell which condition"):
        read(placeholder("x"), unary("Neg", "a", "x"), unary("Merge", "m", "x", "a"), unary("Neg", "y", "m"))


def test_a_branch_that_there_is_not(read: Any) -> None:
    nodes = conditional(placeholder("p", dtype=BOOL))
    nodes[7].input[0] = "sx:5"
    with pytest.raises(FormatError, match="2 branches have a result"):
        read(*nodes)


def choice(count: int, index: Any) -> list[Any]:
    """y = |(-x, x * x, -x, ..)[i]|, as `tf.switch_case` becomes when control flow is lowered."""
    branches = [unary("Square" if k % 2 else "Neg", f"b{k}", f"s:{k}" if k else "s") for k in range(count)]
    return [
        placeholder("x", 2),
        index,
        node("_SwitchN", "s", "x", "i", T=attr(type=FLOAT), num_outs=attr(i=count)),
        *branches,
        node("Merge", "m", *(b.name for b in branches), T=attr(type=FLOAT), N=attr(i=count)),
        unary("Abs", "y", "m"),
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_choice_by_an_index(read: Any, count: int) -> None:
    g = read(*choice(count, placeholder("i", dtype=INT32)))
    assert all_types(g)[2:] == ["StatelessCase", "Abs"]
    case = g.operations[-2]
    assert [t.name for t in case.inputs] == ["i", "x"]
    assert [all_types(branch) for branch in case.attribs["branches"]] == [["Neg"], ["Square"]] * (count // 2) + [
        ["Neg"]
    ] * (count % 2)
    assert case.outputs[0].dtype is np.float32


@pytest.mark.parametrize("index, kept", [(0, "Neg"), (1, "Square"), (2, "Neg"), (9, "Square"), (-1, "Square")])
def test_a_constant_index(read: Any, index: int, kept: str) -> None:
    given = const("i", tensor(INT32, (), int_val=[index]))
    assert all_types(read(*choice(4, given))) == ["Placeholder", kept, "Abs"]


def test_choices_that_cannot_be_told(read: Any) -> None:
    nodes = choice(3, placeholder("i", dtype=INT32))
    with pytest.raises(FormatError, match="2 of 3 branches have a result"):
        read(*nodes[:-2], node("Merge", "m", "b0", "b2", T=attr(type=FLOAT), N=attr(i=2)), nodes[-1])
    with pytest.raises(FormatError, match="cannot tell which condition"):
        read(*nodes[:-2], node("Merge", "m", "b0", "b1", "b1", T=attr(type=FLOAT), N=attr(i=3)), nodes[-1])
    nodes[2] = node("_SwitchN", "s", "x", "i", T=attr(type=FLOAT), num_outs=attr(i=1 << 40))
    with pytest.raises(FormatError, match="not a number of branches"):
        read(*nodes)


def test_damaged_loops(tmp_path: Path) -> None:
    others = [n for n in choice(3, placeholder("i", dtype=INT32))[1:] if n.name != "y"]
    data = graph(*simple_loop(), *conditional(placeholder("p", dtype=BOOL))[1:], *others).SerializeToString()
    rng = np.random.default_rng(3)
    path = tmp_path / "model.pb"
    for k in range(500):
        mutant = bytearray(data)
        if k % 2:
            mutant[rng.integers(len(mutant))] ^= 1 << int(rng.integers(8))
        else:
            start = int(rng.integers(len(mutant)))
            del mutant[start : start + int(rng.integers(1, 40))]
        path.write_bytes(mutant)
        try:
            Reader()(path)
        except NnefToolsError as error:
            assert str(path) in str(error)


def same_values(folder: Path, tf: Any, build: Any, *feeds: Any) -> Graph:
    """Exports a graph of TensorFlow, reads and writes it, and compares what both compute. Inputs: x (and p)."""
    from ...support.tf_programs import run_graph_def  # here, since other tests need no TensorFlow

    tf1 = tf.compat.v1
    with tf.Graph().as_default() as source:
        tf1.disable_control_flow_v2()
        try:
            tf.identity(build(tf1), name="y")
        finally:
            tf1.enable_control_flow_v2()
    (folder / "in.pb").write_bytes(source.as_graph_def(add_shapes=True).SerializeToString())
    g = Reader()(folder / "in.pb")
    Writer()(g, folder / "out.pb")
    results = ([run_graph_def(folder / name, "y:0", feed) for feed in feeds] for name in ("in.pb", "out.pb"))
    for expected, got in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    return g


X = {"x:0": np.array([1.5, -2], np.float32)}


def test_loops_of_tensorflow(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="it makes and runs the graphs")

    def build(tf1: Any) -> Any:
        x = tf1.placeholder(tf.float32, [2], name="x")
        w = tf.abs(x) + 1
        return tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * w + tf.fill([2], 0.5)), (0, x))[1]

    g = same_values(tmp_path, tf, build, X)
    assert "StatelessWhile" in all_types(g)
    assert [t.name for t in g.outputs] == ["y"]


def test_nested_loops_of_tensorflow(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="it makes and runs the graphs")

    def build(tf1: Any) -> Any:
        x = tf1.placeholder(tf.float32, [2], name="x")

        def outer(i: Any, a: Any) -> Any:
            inner = tf.while_loop(lambda j, b: j < i, lambda j, b: (j + 1, b * 1.5 + x), (0, a))[1]
            chosen = tf1.cond(tf.reduce_sum(inner) > 2, lambda: inner - 1, lambda: inner * 2)
            return i + 1, chosen

        first = tf.while_loop(lambda i, a: i < 4, outer, (0, x))[1]
        return tf.while_loop(lambda i, a: i < 2, lambda i, a: (i + 1, a + first), (0, first))[1]

    g = same_values(tmp_path, tf, build, X)
    assert all_types(g).count("StatelessWhile") == 2
    assert [t.name for t in g.outputs] == ["y"]


def test_conditionals_of_tensorflow(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="it makes and runs the graphs")

    def build(tf1: Any) -> Any:
        x = tf1.placeholder(tf.float32, [2], name="x")
        p = tf1.placeholder(tf.bool, [], name="p")
        q = tf.reduce_sum(x) > 0

        def inner() -> Any:
            return tf1.cond(q, lambda: x + 1, lambda: tf.constant([7.0, 8]))

        return tf1.cond(p, inner, lambda: tf.abs(x) * 2) + tf1.cond(tf.logical_not(p), lambda: x, lambda: -x)

    feeds = [{"x:0": np.array(x, np.float32), "p:0": p} for x in ([1.5, -2], [3, 1]) for p in (True, False)]
    g = same_values(tmp_path, tf, build, *feeds)
    assert [t.name for t in g.outputs] == ["y"]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_recurrent_layers(tmp_path: Path, layer: str, lower: bool) -> None:
    tf = pytest.importorskip("tensorflow", reason="it makes and runs the graphs")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from ...support.tf_programs import run_graph_def

    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Input((4, 3)), getattr(tf.keras.layers, layer)(5)])
    spec = tf.TensorSpec((1, 4, 3), name="x")
    concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=lower)
    (tmp_path / "in.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    g = Reader()(tmp_path / "in.pb")
    assert [t.name for t in g.inputs] == ["x"], "inputs that lowering left over are gone"
    assert [t.name for t in g.outputs] == ["Identity"]
    loop = next(op for op in g.operations if op.type in ("While", "StatelessWhile"))
    assert "TensorListGetItem" in all_types(loop.attribs["body"])
    Writer()(g, tmp_path / "out.pb")
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
    got = run_graph_def(tmp_path / "out.pb", "Identity:0", {"x:0": x})
    np.testing.assert_allclose(got, model(x).numpy(), atol=1e-6)

"""Nodes with effects and without value: they make no outputs, and a warning names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, run_model
from nnef_tools.io.tf.graphdef import Reader

from ...support.graphs import names
from .messages import BOOL, FLOAT, STRING, attr, const, func, function, graph, items, node, placeholder, tensor, unary


def assertion(name: str, condition: str, *control: str) -> Any:
    return node("Assert", name, condition, "m", *control, T=items(type=[STRING]))


MESSAGE = const("m", tensor(STRING, (), string_val=[b"no"]))
PREDICATE = placeholder("p", dtype=BOOL)


def reading(tmp_path: Path, message: Any) -> tuple[list[Any], str]:
    """Names of outputs, and warnings."""
    path = tmp_path / "model.pb"
    path.write_bytes(message.SerializeToString())
    reader = Reader()
    return names(reader(path).outputs), " ".join(reader.warnings)


def test_assertions_and_prints(tmp_path: Path) -> None:
    message = graph(
        placeholder("x", 2),
        PREDICATE,
        MESSAGE,
        assertion("a", "p"),
        node("PrintV2", "print", "m"),
        node("NoOp", "wait", "^a", "^print"),
        unary("Neg", "y", "x", "^wait"),
    )
    outputs, warnings = reading(tmp_path, message)
    assert outputs == ["y"]
    assert "Assert 'a'" in warnings and "PrintV2 'print'" in warnings and "NoOp" not in warnings


def test_many_effects_are_counted(tmp_path: Path) -> None:
    asserts = [assertion(f"a{k}", "p") for k in range(5)]
    _, warnings = reading(tmp_path, graph(placeholder("x", 2), PREDICATE, MESSAGE, *asserts, unary("Neg", "y", "x")))
    assert "Assert 'a0', 'a1', 'a2' and 2 more" in warnings


def test_no_effects_no_warning(tmp_path: Path) -> None:
    message = graph(placeholder("x", 2), node("NoOp", "n"), unary("StopGradient", "s", "x"), unary("Neg", "y", "s"))
    assert reading(tmp_path, message) == (["y"], "")


@pytest.mark.parametrize("op", ["CheckNumerics", "Print"])
def test_checked_values_are_outputs(tmp_path: Path, op: str) -> None:
    """These pass on their value; nothing waits for them."""
    message = graph(placeholder("x", 2), unary("Neg", "n", "x"), node(op, "y", "n", T=attr(type=FLOAT)))
    outputs, warnings = reading(tmp_path, message)
    assert outputs == ["y"]
    assert f"{op} 'y'" in warnings


@pytest.mark.parametrize("op", ["CheckNumerics", "Print", "EnsureShape", "Timestamp", "RandomUniform", "EagerPyFunc"])
def test_awaited_values_of_effects_are_no_outputs(tmp_path: Path, op: str) -> None:
    shared = {"T": attr(type=FLOAT), "dtype": attr(type=FLOAT), "Tout": items(type=[FLOAT])}
    message = graph(
        placeholder("x", 2), node(op, "e", "x", **shared), node("NoOp", "wait", "^e"), unary("Neg", "y", "x", "^wait")
    )
    assert reading(tmp_path, message)[0] == ["y"]


def test_computed_values_that_are_awaited_stay_outputs(tmp_path: Path) -> None:
    message = graph(placeholder("x", 2), unary("Neg", "a", "x"), unary("Abs", "b", "x", "^a"))
    assert reading(tmp_path, message)[0] == ["a", "b"]


@pytest.mark.parametrize("op", ["ScalarSummary", "HistogramSummary", "MergeSummary", "TensorSummaryV2"])
def test_records_for_logs_are_no_outputs(tmp_path: Path, op: str) -> None:
    message = graph(placeholder("x", 2), MESSAGE, node(op, "log", "m", "x"), unary("Neg", "y", "x"))
    outputs, warnings = reading(tmp_path, message)
    assert outputs == ["y"]
    assert f"{op} 'log'" in warnings


@pytest.mark.parametrize("op", ["If", "StatelessIf"])
@pytest.mark.parametrize("awaited", [True, False])
def test_choices_for_effect(tmp_path: Path, op: str, awaited: bool) -> None:
    """Their results are the condition itself, or constants: whether anything waits for them does not matter."""
    printing = node("PrintV2", "print", "m:output:0")
    one = const("one", tensor(FLOAT, (), float_val=[1]))
    bodies = (
        function("then", "a", {"r": "i:output:0"}, MESSAGE, printing, one, unary("Identity", "i", "one:output:0")),
        function("else", "a", {"r": "one:output:0"}, one),
    )
    choice = node(
        op,
        "choice",
        "p",
        "x",
        Tcond=attr(type=BOOL),
        Tin=items(type=[FLOAT]),
        Tout=items(type=[FLOAT]),
        then_branch=func("then"),
        else_branch=func("else"),
    )
    control = ("^choice",) if awaited else ()
    message = graph(PREDICATE, placeholder("x", 2), choice, unary("Neg", "y", "x", *control), functions=bodies)
    outputs, warnings = reading(tmp_path, message)
    assert outputs == ["y"]
    assert f"{op} 'choice'" in warnings


def test_choices_with_values_are_outputs(tmp_path: Path) -> None:
    """Although one branch prints."""
    printing = node("PrintV2", "print", "m:output:0")
    bodies = (
        function("then", "a", {"r": "n:y:0"}, MESSAGE, printing, unary("Neg", "n", "a")),
        function("else", "a", {"r": "a"}),
    )
    types = {"Tcond": attr(type=BOOL), "Tin": items(type=[FLOAT]), "Tout": items(type=[FLOAT])}
    choice = node("If", "y", "p", "x", then_branch=func("then"), else_branch=func("else"), **types)
    outputs, warnings = reading(tmp_path, graph(PREDICATE, placeholder("x", 2), choice, functions=bodies))
    assert outputs == ["y"]
    assert "PrintV2 'print'" in warnings


def test_guards_of_tensorflow_1(tmp_path: Path) -> None:
    """A conditional whose branches only do something: Merge joins the predicate, which each branch passes on."""
    message = graph(
        placeholder("x", 2),
        PREDICATE,
        MESSAGE,
        unary("Switch", "switch", "p", "p", dtype=BOOL),
        unary("Identity", "t", "switch:1", dtype=BOOL),
        unary("Identity", "f", "switch", dtype=BOOL),
        node("NoOp", "nothing", "^t"),
        assertion("a", "p", "^f"),
        unary("Identity", "done_t", "t", "^nothing", dtype=BOOL),
        unary("Identity", "done_f", "f", "^a", dtype=BOOL),
        node("Merge", "guard", "done_t", "done_f", N=attr(i=2), T=attr(type=BOOL)),
        unary("Neg", "y", "x"),
    )
    outputs, warnings = reading(tmp_path, message)
    assert outputs == ["y"]
    assert "Assert 'a'" in warnings


# Programs


def positive(v: Any) -> Any:
    import tensorflow as tf

    if tf.reduce_sum(v) > 0:
        tf.print("positive")
        tf.debugging.assert_less(v, 100.0)
    return v * 2


def printing_loop(v: Any) -> Any:
    import tensorflow as tf

    for k in tf.range(3):
        tf.print(k)
    return v * 2


def asserted(v: Any) -> Any:
    import tensorflow as tf

    tf.debugging.assert_less(v, 100.0)
    tf.debugging.Assert(tf.reduce_max(v) < 100, [v])
    return v * 2


def checked(v: Any) -> Any:
    import tensorflow as tf

    tf.debugging.check_numerics(v, "m")
    tf.debugging.assert_all_finite(v, "m")
    tf.ensure_shape(v, (2, 3))
    tf.debugging.assert_equal(tf.shape(v)[0], 2)
    return v * 2


def logged(v: Any) -> Any:
    import tensorflow as tf

    tf.py_function(print, [v], [])
    tf.numpy_function(lambda value: value, [v], tf.float32)
    tf.io.write_file("log", tf.as_string(v[0, 0]))
    tf.print(v)
    return v * 2


def cases(v: Any) -> Any:
    import tensorflow as tf

    tf.switch_case(tf.cast(v[0, 0], tf.int32), [lambda: tf.print("a"), lambda: tf.print("b")])
    return v * 2


PROGRAMS = (asserted, checked, positive, cases, printing_loop, logged)


def traced(program: Callable[..., Any]) -> Any:
    tf = pytest.importorskip("tensorflow", reason="it traces the program")
    return tf.function(program).get_concrete_function(tf.TensorSpec((2, 3), tf.float32, name="v"))


@pytest.mark.parametrize("lowered", [True, False])
@pytest.mark.parametrize("program", PROGRAMS)
def test_frozen_programs(tmp_path: Path, program: Callable[..., Any], lowered: bool) -> None:
    concrete = traced(program)
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=lowered)
    outputs, warnings = reading(tmp_path, frozen.graph.as_graph_def())
    assert outputs == ["Identity"]
    assert warnings.startswith("checks, prints")


@pytest.mark.parametrize("program", [*PROGRAMS[:4], printing_loop])
def test_saved_programs(tmp_path: Path, program: Callable[..., Any]) -> None:
    concrete = traced(program)
    import tensorflow as tf

    module = tf.Module()
    module.f = concrete
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=concrete)
    report = convert_model(tmp_path / "saved", tmp_path / "m.nnef", keep_io_names=True)
    assert any(warning.startswith("checks, prints") for warning in report.warnings)
    v = np.array([[1, 2, 3], [-4, 5, 6]], np.float32)
    results = run_model(tmp_path / "m.nnef", [v], backend="numpy")
    assert list(results) == ["output_0"]
    np.testing.assert_array_equal(results["output_0"], 2 * v)

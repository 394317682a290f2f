"""Programs that assign variables: what does not reach their outputs is left out, the rest refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import nnef_tools
from nnef_tools.errors import FormatError
from nnef_tools.io.tf.graphdef import Reader, export

from ...support.arrays import random

SIGNATURE = [tf.TensorSpec((2, 3), tf.float32, name="x")]
function: Callable[[Any], Any] = tf.function(input_signature=SIGNATURE)


class Program(tf.Module):  # type: ignore[misc]
    """Functions that count how often they were called."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = tf.Variable(0.0, name="counter")
        self.weights = tf.Variable(random(3), name="weights")

    @function
    def counting(self, x: Any) -> Any:
        self.counter.assign_add(1.0)
        return x * self.weights

    @function
    def calling(self, x: Any) -> Any:
        y = self.counting(x)
        with tf.control_dependencies([self.counter.assign(2.0)]):
            return tf.identity(y) + 1.0

    @function
    def drawing(self, x: Any) -> Any:
        self.counter.assign_sub(tf.reduce_sum(x))
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * self.weights, lambda: x)

    @function
    def returning(self, x: Any) -> Any:
        self.counter.assign_add(1.0)
        return x * self.counter

    @function
    def reading_first(self, x: Any) -> Any:
        y = x + self.counter
        self.counter.assign(tf.reduce_sum(x))
        return y

    @function
    def looping(self, x: Any) -> Any:
        for _ in tf.range(3):
            self.counter.assign_add(1.0)
            x = x * self.weights
        return x


def run(path: Path, x: Any) -> Any:
    """The first output of a model."""
    return next(iter(nnef_tools.run_model(path, [x]).values()))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Path]:
    def save(name: str) -> Path:
        program = Program()
        tf.saved_model.save(program, str(tmp_path / name), signatures=getattr(program, name))
        return tmp_path / name

    return save


@pytest.mark.parametrize("name", ["counting", "calling", "drawing"])
def test_assignments_that_do_not_reach_outputs(saved: Callable[[str], Path], name: str) -> None:
    path, x = saved(name), random(2, 3)
    reader = Reader()
    graph = reader(path)
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert "Assign" in reader.warnings[0] and "are left out" in reader.warnings[0]
    assert "ReadVariableOp" not in reader.warnings[0]
    report = nnef_tools.convert_model(path, path.parent / "model.nnef", verify=True)
    assert "Assign" in report.warnings[0]
    program = Program()
    expected = getattr(program, name)(tf.constant(x)).numpy()
    np.testing.assert_allclose(run(path.parent / "model.nnef", x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "name, where", [("returning", ""), ("reading_first", ""), ("looping", " in a loop or on a condition")]
)
def test_state_is_refused(saved: Callable[[str], Path], name: str, where: str) -> None:
    with pytest.raises(FormatError, match=f"variable 'counter' is assigned{where} by the model") as caught:
        Reader()(saved(name))
    assert "TensorFlow Lite" in str(caught.value.hint)


def test_functions_that_are_saved(tmp_path: Path) -> None:
    program = Program()
    export.save_function(tmp_path / "model.pb", program.counting, output_names=["y"])
    assert {op.type for op in Reader()(tmp_path / "model.pb").operations} == {"Placeholder", "Const", "Mul"}


def test_recurrent_dropout(tmp_path: Path) -> None:
    """Keras assigns the state of its random numbers, though it draws none outside of training."""
    keras = tf.keras
    given = keras.Input((4, 3), batch_size=1)
    model = keras.Model(given, keras.layers.LSTM(2, recurrent_dropout=0.2)(given))
    model.save(tmp_path / "model.keras")
    nnef_tools.convert_model(tmp_path / "model.keras", tmp_path / "model.nnef")
    x = random(1, 4, 3)
    expected = np.asarray(model(x, training=False))
    np.testing.assert_allclose(run(tmp_path / "model.nnef", x), expected, atol=1e-5)

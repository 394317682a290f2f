"""Export of functions of TensorFlow 2, and reading of SavedModels and Keras files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nnef_tools
from nnef_tools.errors import ConversionError, FormatError, UsageError
from nnef_tools.io.tf import graphdef
from nnef_tools.io.tf.graphdef import Reader, Writer

from ...support.tf_programs import run_graph_def

tf = pytest.importorskip("tensorflow", reason="the export works on TensorFlow's own objects")
tf1 = tf.compat.v1


@graphdef.composite_function
def lp_norm(x: Any, p: int, axis: Any = None, eps: float = 1e-5) -> Any:
    return tf.reduce_sum(tf.abs(x) ** p, axis=axis) ** (1 / p) + eps


@graphdef.composite_function
def two(x: Any, *, flags: Any = ()) -> Any:
    return tf.abs(x), tf.cast(x > 0, tf.int32)


def test_eager_calls_are_plain_calls() -> None:
    assert tf.executing_eagerly()
    assert lp_norm(tf.constant([3.0, 4]), 2, eps=0.0, name="n").numpy() == 5


def frozen_bytes(tmp_path: Path, function: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    graphdef.save_function(tmp_path / "f.pb", function, *args, **options)
    return tf1.GraphDef.FromString((tmp_path / "f.pb").read_bytes()), Reader()(tmp_path / "f.pb")


def test_functions_of_tensorflow_2(tmp_path: Path) -> None:
    w = tf.Variable([[1.0], [2]])

    @tf.function
    def inner(x: Any) -> Any:
        return lp_norm(x, 2, axis=[1])

    @tf.function
    def model(x: Any) -> Any:
        return {"b": inner(tf.matmul(x, w)), "a": two(x, flags=[True])[0]}

    spec = [tf.TensorSpec([3, 2], tf.float32, name="x")]
    _, graph = frozen_bytes(tmp_path, model, spec)
    assert [t.name for t in graph.inputs] == ["x"]
    assert [t.name for t in graph.outputs] == ["a", "b"]
    calls = {op.type: op for op in graph.operations if op.custom}
    assert set(calls) == {"lp_norm", "two"}
    assert calls["lp_norm"].attribs["p"] == 2
    assert calls["two"].attribs["flags"] == [True]

    concrete = model.get_concrete_function(*spec)
    message, graph = frozen_bytes(
        tmp_path, concrete, output_names=["first", "second"], collapse_composites=False, input_shapes={"x": (3, 2)}
    )
    assert [t.name for t in graph.outputs] == ["first", "second"]
    x = np.array([[1, 2], [3, 4], [-5, 6]], np.float32)
    expected = model(tf.constant(x))
    np.testing.assert_allclose(run_graph_def(message, "first:0", {"x:0": x}), expected["a"].numpy(), rtol=1e-6)
    np.testing.assert_allclose(run_graph_def(message, "second:0", {"x:0": x}), expected["b"].numpy(), rtol=1e-6)
    with pytest.raises(UsageError, match="2 results"):
        frozen_bytes(tmp_path, concrete, output_names=["one"])
    with pytest.raises(UsageError, match="input signature"):
        frozen_bytes(tmp_path, model)


def test_captures_of_functions_are_refused(tmp_path: Path) -> None:
    w = tf.Variable([1.0, 2])

    @graphdef.composite_function
    def leaky(x: Any) -> Any:
        return x * w

    with pytest.raises(UsageError, match="'leaky' uses"):
        frozen_bytes(tmp_path, leaky, [tf.TensorSpec([2], tf.float32)])


@pytest.mark.parametrize("kind", ["folder", "model.keras", "model.h5", "module"])
def test_saved_models(tmp_path: Path, kind: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    model = tf.keras.Sequential([tf.keras.layers.Input((5, 3)), tf.keras.layers.LSTM(4), tf.keras.layers.Dense(2)])
    expected = model(x).numpy()
    path = tmp_path / kind
    if kind == "folder":
        model.export(path, verbose=False)
    elif kind == "module":
        module = tf.Module()
        module.v = model.trainable_variables
        spec = tf.TensorSpec([None, 5, 3], tf.float32, name="data")
        serve = tf.function(lambda data: {"result": model(data)}, input_signature=[spec])
        tf.saved_model.save(module, str(path), signatures={"mine": serve})
    else:
        model.save(path)
    graph = Reader()(path, {})
    assert len(graph.inputs) == 1
    if kind == "module":
        assert [t.name for t in graph.outputs] == ["result"]
    assert graph.inputs[0].shape in ((None, 5, 3), (1, 5, 3))
    Writer()(graph, tmp_path / "out.pb")
    message = tf1.GraphDef.FromString((tmp_path / "out.pb").read_bytes())
    got = run_graph_def(message, f"{graph.outputs[0].name}:0", {f"{graph.inputs[0].name}:0": x})
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_saved_models_that_tensorflow_cannot_load(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(FormatError, match="TensorFlow cannot load the model"):
        Reader()(tmp_path)
    (tmp_path / "m.keras").write_bytes(b"nonsense")
    with pytest.raises(FormatError, match="TensorFlow cannot load the model"):
        Reader()(tmp_path / "m.keras")


def saved(folder: Path, function: Any, *specs: Any) -> Any:
    module = tf.Module()
    module.f = tf.function(function)
    concrete = module.f.get_concrete_function(*specs)
    tf.saved_model.save(module, str(folder), signatures=concrete)
    return Reader()(folder)


def test_signatures_are_sorted_by_numbers(tmp_path: Path) -> None:
    """A signature has no order: that of a list is told by the numbers in the names."""
    specs = [tf.TensorSpec((2,), tf.float32, name=f"in_{k}") for k in range(12)]
    graph = saved(tmp_path, lambda *args: [x * float(k) for k, x in enumerate(args)], *specs)
    assert [t.name for t in graph.inputs] == [f"in_{k}" for k in range(12)]
    assert [t.name for t in graph.outputs] == [f"output_{k}" for k in range(12)]
    for k, tensor in enumerate(graph.outputs):
        assert tensor.producer.type == "Mul"
        assert {float(x.data) for x in tensor.producer.inputs if x.data is not None} == {float(k)}


def test_names_of_a_signature_win_over_those_of_nodes(tmp_path: Path) -> None:
    spec = tf.TensorSpec((2,), tf.float32, name="x")
    graph = saved(tmp_path, lambda x: {"Identity_1": x * 2, "Identity": x + 1, "NoOp": x - 1, "x": x * 4}, spec)
    assert [(t.name, t.producer.type) for t in graph.outputs] == [
        ("Identity", "AddV2"),
        ("Identity_1", "Mul"),
        ("NoOp", "Sub"),
        ("x_output", "Mul"),
    ]


def test_several_signatures_are_listed(tmp_path: Path) -> None:
    module = tf.Module()
    spec = tf.TensorSpec((2,), tf.float32, name="x")
    functions = {name: tf.function(lambda x: {"y": x * 2}, input_signature=[spec]) for name in ("encode", "decode")}
    tf.saved_model.save(module, str(tmp_path), signatures=functions)
    with pytest.raises(FormatError, match=r"2 signatures.*'decode', 'encode'") as error:
        Reader()(tmp_path)
    assert error.value.hint is not None
    assert "--signature decode" in str(error.value)
    assert [t.name for t in Reader(signature="encode")(tmp_path).outputs] == ["y"]
    with pytest.raises(UsageError, match="no signature 'both'"):
        Reader(signature="both")(tmp_path)
    (tmp_path / "m.pb").write_bytes(b"")
    with pytest.raises(UsageError, match="only SavedModels"):
        Reader(signature="both")(tmp_path / "m.pb")


def test_files_of_weights_only(tmp_path: Path) -> None:
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2)])
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(FormatError, match="weights only"):
        Reader()(tmp_path / "m.weights.h5")


def test_files_of_keras_2(tmp_path: Path) -> None:
    """tf_keras loads what Keras 3 cannot, if it is installed."""
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2)])
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["keras_version"] = "2.11.0"
        file.attrs["model_config"] = file.attrs["model_config"].replace("units", "time_major")
    with pytest.raises(FormatError, match=r"of Keras 2\.11\.0|time_major"):
        Reader()(tmp_path / "m.h5")


def test_python_functions_and_tables_say_what_they_are(tmp_path: Path) -> None:
    module = tf.Module()
    keys = tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), tf.constant([10.0, 20.0]))
    module.table = tf.lookup.StaticHashTable(keys, 0.0)
    module.call = tf.function(lambda x: {"y": tf.numpy_function(lambda a: a, [x], tf.float32) * 2})
    module.look = tf.function(lambda x: {"y": module.table.lookup(x)})
    signatures = {
        "call": module.call.get_concrete_function(tf.TensorSpec((2,), tf.float32, "x")),
        "look": module.look.get_concrete_function(tf.TensorSpec((2,), tf.int64, "x")),
    }
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signatures)
    with pytest.raises(ConversionError, match="calls a Python function"):
        nnef_tools.convert_model(tmp_path / "saved", tmp_path / "m.nnef", signature="call")
    with pytest.raises(ConversionError, match="part of a lookup table"):
        nnef_tools.convert_model(tmp_path / "saved", tmp_path / "m.nnef", signature="look")


def test_saved_model_without_signature(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(FormatError, match="no signature"):
        Reader()(tmp_path)


def keras_graph(path: Path, inputs: Any, outputs: Any) -> Any:
    tf.keras.Model(inputs, outputs).save(path)
    return Reader()(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_names_of_keras_models(tmp_path: Path, suffix: str) -> None:
    """Inputs and outputs have the names of their layers, in the order of the model."""
    keras = tf.keras
    inputs = [keras.Input((4,), batch_size=2, name=name) for name in ("b", "a")]
    outputs = [keras.layers.Dense(3, name="second")(inputs[0]), keras.layers.Dense(5, name="first")(inputs[1])]
    graph = keras_graph(tmp_path / f"m{suffix}", inputs, outputs)
    assert [t.name for t in graph.inputs] == ["b", "a"]
    assert [t.name for t in graph.outputs] == ["second", "first"]
    model = keras.Sequential([keras.Input((4,), batch_size=2, name="x"), keras.layers.Dense(2, name="scores")])
    model.save(tmp_path / f"s{suffix}")
    assert [t.name for t in Reader()(tmp_path / f"s{suffix}").outputs] == ["scores"]


def test_many_inputs_and_outputs_of_keras_models(tmp_path: Path) -> None:
    inputs = [tf.keras.Input((4,), batch_size=2, name=f"in_{k}") for k in range(12)]
    graph = keras_graph(tmp_path / "m.keras", inputs, [x * float(k) for k, x in enumerate(inputs)])
    assert [t.name for t in graph.inputs] == [f"in_{k}" for k in range(12)]
    for k, tensor in enumerate(graph.outputs):
        assert tensor.producer.inputs[0].name == f"in_{k}"


def test_keras_models_of_nested_structure(tmp_path: Path) -> None:
    """Inputs of a dict are given as such; outputs have the keys on the way to them as names."""
    b, a = (tf.keras.Input((4,), batch_size=2, name=name) for name in ("b", "a"))
    outputs = {"z": b * 2.0, "n": {"q": [a * 3.0, b + 4.0], "c": a - 5.0}}
    graph = keras_graph(tmp_path / "m.keras", {"b": b, "a": a}, outputs)
    assert [(t.name, t.producer.type) for t in graph.outputs] == [
        ("n_c", "Sub"),
        ("n_q_0", "Mul"),
        ("n_q_1", "AddV2"),
        ("z", "Mul"),
    ]
    sources = [next(x.name for x in t.producer.inputs if x.data is None) for t in graph.outputs]
    assert sources == ["a", "a", "b", "b"]


def test_assertions_of_keras_layers(tmp_path: Path) -> None:
    class Checked(tf.keras.layers.Layer):
        def call(self, x: Any) -> Any:
            tf.debugging.assert_less(x, 100.0)
            return x * 2.0

    x = tf.keras.Input((4,), batch_size=2, name="x")
    tf.keras.Model(x, Checked(name="checked")(x)).export(tmp_path / "m", verbose=False)
    reader = Reader()
    assert [t.name for t in reader(tmp_path / "m").outputs] == ["output_0"]
    assert "AssertGuard" in reader.warnings[0]

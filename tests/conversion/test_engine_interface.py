"""The engine: inputs and outputs, names, layouts, facts."""

from __future__ import annotations

import inspect
from types import ModuleType

import numpy as np
import pytest
from onnx import ModelProto

from nnef_tools.conversion import nnef_to_onnx, nnef_to_tf, onnx_to_nnef, tf_to_nnef
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import UsageError
from nnef_tools.io.onnx.reader import onnx_model_to_graph

from ..support.nnef_models import run_nnef, types
from .plugin_models import convert, model, refusal

# options


@pytest.mark.parametrize("module", [onnx_to_nnef, tf_to_nnef, nnef_to_onnx, nnef_to_tf])
def test_constructor_takes_what_the_converter_honors(module: ModuleType) -> None:
    parameters = set(inspect.signature(module.Converter).parameters) - {"data_format"}  # which convert does not offer
    assert parameters == module.Converter.honors


# inputs and outputs


def test_output_that_is_an_input() -> None:
    graph = convert("g (float[2,3] x) => (float[2,3] x) { }", keep_io_names=True)
    assert types(graph) == ["copy"]
    assert [t.name for t in graph.inputs] == ["x"]
    assert [t.name for t in graph.outputs] == ["x_1"]


def test_output_that_is_given_twice_or_constant() -> None:
    graph = convert(
        """g (float[2] x) => (float[2] y, float[2] z, float[2] k, float s) {
            y = Relu(x) z = Identity(y) k = Constant<value_floats = [1.0, 2.0]>() s = Constant<value_float = 2.0>()
        }""",
        keep_io_names=True,
    )
    assert [t.name for t in graph.outputs] == ["y", "z", "k", "s"]
    assert len(set(graph.outputs)) == 4
    assert sorted(types(graph)) == ["copy", "copy", "copy", "relu"]
    results = run_nnef(graph, [np.array([-1, 1], np.float32)])
    assert [r.tolist() for r in results] == [[0, 1], [0, 1], [1, 2], 2]


def test_same_output_named_twice() -> None:
    proto = model("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    graph = onnx_model_to_graph(proto)
    graph.outputs = [graph.outputs[0], graph.outputs[0]]
    converter = Converter(keep_io_names=True)
    target = converter(graph)
    assert [t.name for t in target.outputs] == ["y", "y_1"]
    assert converter.tensor_mapping() == {"x": "x", "y": "y"}


def test_unused_input_is_kept_and_dead_operations_are_not() -> None:
    graph = convert("g (float[2] x, float[3] unused) => (float[2] y) { dead = Neg(x) y = Relu(x) }")
    assert [t.shape for t in graph.inputs] == [(2,), (3,)]
    assert [op.type for op in graph.operations] == ["external", "external", "relu"]


def test_keep_io_names_makes_identifiers() -> None:
    inputs = "float[2] a, float[2] b, float[2] c, float[2] d"
    proto = model(f"g ({inputs}) => (float[2] y, float[2] z) {{ y = Sum(a, b, c, d) z = Neg(a) }}")
    names = {"a": "in/put:0", "b": "in.put_0", "c": "0in", "d": "graph", "y": "gr-e", "z": "relu1"}
    rename(proto, names)
    converter = Converter(keep_io_names=True)
    graph = converter(onnx_model_to_graph(proto))
    assert [t.name for t in graph.inputs] == ["in_put_0", "in_put_0_1", "_0in", "graph_1"]
    assert [t.name for t in graph.outputs] == ["gr_e", "relu1"]
    mapping = converter.tensor_mapping()
    assert {mapping[name] for name in names.values()} == {t.name for t in (*graph.inputs, *graph.outputs)}
    default = Converter()(onnx_model_to_graph(proto))
    assert [t.name for t in default.inputs] == ["external1", "external2", "external3", "external4"]
    assert [t.name for t in default.outputs] == ["add3", "neg1"]


def rename(proto: ModelProto, names: dict[str, str]) -> None:
    """Renames tensors of a model."""
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = names[value.name]
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def test_name_of_the_graph_is_an_identifier() -> None:
    for name, expected in (("torch-jit.export", "torch_jit_export"), ("conv", "conv_1"), ("", "G")):
        proto = model("g (float[2] x) => (float[2] y) { y = Relu(x) }")
        proto.graph.name = name
        assert Converter()(onnx_model_to_graph(proto)).name == expected


# transposed inputs and outputs

IMAGES = """g (float[2,5,6,3] x, float[2,5,6,3] z, float[3] v) => (float[2,5,6,3] y, float[5,6] w) {
    y = Sum(x, z, v)
    w = ReduceMean<axes = [0, 3], keepdims = 0>(x)
}"""


def test_io_transpose() -> None:
    generator = np.random.default_rng(0)
    x, z = generator.random((2, 2, 5, 6, 3), dtype=np.float32)
    v = np.arange(3, dtype=np.float32)
    turned = [np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in (x, z)]
    graph = convert(IMAGES, io_transpose=True)
    assert [t.shape for t in (*graph.inputs, *graph.outputs)] == [
        (2, 3, 5, 6),
        (2, 3, 5, 6),
        (3,),
        (2, 3, 5, 6),
        (5, 6),
    ]
    y, w = run_nnef(graph, [*turned, v])
    np.testing.assert_allclose(y, (x + z + v).transpose(0, 3, 1, 2), rtol=1e-6)
    np.testing.assert_allclose(w, x.mean((0, 3)), rtol=1e-6)


def test_io_transpose_of_named_tensors() -> None:
    graph = convert(IMAGES, io_transpose=["z", "y"], keep_io_names=True)
    assert [t.shape for t in graph.inputs] == [(2, 5, 6, 3), (2, 3, 5, 6), (3,)]
    assert [t.shape for t in graph.outputs] == [(2, 3, 5, 6), (5, 6)]
    assert [t.name for t in (*graph.inputs, *graph.outputs)] == ["x", "z", "v", "y", "w"]
    with pytest.raises(UsageError, match="'nothing' is to be transposed, but it is neither an input nor an output"):
        convert(IMAGES, io_transpose=["x", "nothing"])


def test_io_transpose_of_an_output_that_is_an_input() -> None:
    graph = convert("g (float[2,3,4] x) => (float[2,3,4] x) { }", io_transpose=True, keep_io_names=True)
    assert [t.shape for t in (*graph.inputs, *graph.outputs)] == [(2, 4, 3), (2, 4, 3)]
    x = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    np.testing.assert_array_equal(run_nnef(graph, [x])[0], x)


def test_mapping_with_io_transpose_names_inputs_and_outputs() -> None:
    converter = Converter(io_transpose=True)
    graph = converter(onnx_model_to_graph(model(IMAGES)))
    mapping = converter.tensor_mapping()
    assert [mapping[n] for n in ("x", "z", "v", "y", "w")] == [t.name for t in (*graph.inputs, *graph.outputs)]


# facts


def test_mapping_and_facts() -> None:
    proto = model("""g (float16[2] x) => (float16[2] y) {
        t = Relu(x) u = Identity(t) c = Constant<value_ints = [1, 2]>() y = Neg(u)
    }""")
    converter = Converter()
    source = onnx_model_to_graph(proto)
    graph = converter(source)
    assert converter.tensor_mapping() == {"x": "external1", "t": "relu1", "u": "relu1", "y": "neg1"}
    assert graph.metadata["format"] == "onnx"
    assert graph.metadata["opset"] == {"": 17, "my": 1}
    assert graph.metadata["tensors"] == {
        "external1": {"source": "x", "dtype": "float16"},
        "relu1": {"source": "t", "dtype": "float16"},
        "neg1": {"source": "y", "dtype": "float16"},
    }
    assert [op.type for op in source.operations] == ["Relu", "Identity", "Constant", "Neg"]  # left as it was
    assert source.metadata["opset"] == {"": 17, "my": 1}


def test_converter_may_be_used_again() -> None:
    converter = Converter()
    first = converter(onnx_model_to_graph(model("g (float[2] x) => (float[2] y) { y = Relu(x) }")))
    second = converter(onnx_model_to_graph(model("g (float[2] z) => (float[2] w) { w = Neg(z) }")))
    assert (types(first), types(second)) == (["relu"], ["neg"])
    assert converter.tensor_mapping() == {"z": "external1", "w": "neg1"}


def test_statics() -> None:
    assert set(Converter.defined_operations()) >= {"erf", "top_k", "gather_elements"}
    assert Converter.defined_operations()["erf"].startswith("fragment erf(")
    dependencies = Converter.defined_operation_dependencies()
    assert dependencies["lstm_layer"] == ["lstm_layer_step", "lstm_layer_steps", "lstm_layer_direction"]
    helpers = {name for names in dependencies.values() for name in names}
    assert set(Converter.defined_shapes()) == set(Converter.defined_operations()) - helpers
    assert Converter.defined_shapes()["erf"]([2, 3]) == [2, 3]
    assert Converter.decomposed_operations() == []


def test_standard_only() -> None:
    text = "g (float[2] x) => (float[2] y) { y = Erf(x) }"
    assert types(convert(text)) == ["erf"]
    assert "needs the custom fragment 'erf', which standard_only=True excludes" in str(
        refusal(text, standard_only=True)
    )

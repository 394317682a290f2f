"""The engine: which rule applies, what is refused and how, constants, inputs and outputs, names, facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from nnef_tools.conversion import Transform, rules
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.conversion.rules import Bool, Int, Ints, find_rule, to_nnef
from nnef_tools.errors import ConversionError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph

from .conftest import convert, main, model, types


def refusal(text: str, **options: Any) -> ConversionError:
    """The error that converting a model ends with."""
    with pytest.raises(ConversionError) as caught:
        convert(text, **options)
    return caught.value


def run(graph: Graph, *inputs: Any) -> list[Any]:
    """What the graph computes."""
    executor = make_executor(graph, backend="numpy")
    feeds = {info.name: np.asarray(array) for info, array in zip(executor.inputs, inputs, strict=True)}
    results = executor.run(feeds)
    return [results[info.name] for info in executor.outputs]


# rules


@pytest.fixture
def registry() -> Iterator[None]:
    """Rules of the test are forgotten afterwards."""
    saved = {key: list(value) for key, value in rules._to_nnef.items()}
    yield
    rules._to_nnef.clear()
    rules._to_nnef.update(saved)


def test_rules_are_looked_up_by_version(registry: None) -> None:
    @to_nnef("test", "Op", since=7)
    def seven(b: Any, x: Any) -> Any:
        return x

    @to_nnef("test", "Op")
    def one(b: Any, x: Any) -> Any:
        return x

    @to_nnef("test", "Op", since=3, domain="other")
    def other(b: Any, x: Any) -> Any:
        return x

    def found(version: int, domain: str = "") -> Any:
        rule = find_rule("test", "Op", version, domain)
        return rule and rule.function

    assert [found(v) for v in (1, 6, 7, 20)] == [one, one, seven, seven]
    assert [found(v, "other") for v in (2, 3)] == [None, other]
    assert find_rule("test", "Nothing", 7) is None
    with pytest.raises(AssertionError, match="registered twice"):
        to_nnef("test", "Op", since=7)(seven)


def test_signature_is_the_schema(registry: None) -> None:
    @to_nnef("test", "Op")
    def function(b: Any, x: Any, n: Int, axes: Ints | None = None, *rest: Any, mode: str, keep: int = 1) -> Any:
        return x

    rule = find_rule("test", "Op", 1)
    assert rule is not None
    assert [(i.name, i.const is not None, i.optional) for i in rule.inputs] == [
        ("x", False, False),
        ("n", True, False),
        ("axes", True, True),
    ]
    assert rule.variadic
    assert rule.attributes == {"mode": True, "keep": False}


def test_how_constants_are_read(registry: None) -> None:
    @to_nnef("onnx", "Foo", domain="my")
    def function(b: Any, x: Any, n: Int, axes: Ints, flag: Bool) -> Any:
        assert (n, axes, flag) == (3, [1, 2], True)
        assert [type(item) for item in (n, axes[0], flag)] == [int, int, bool]
        return b.relu(x)

    text = """g (float[2] x) => (float[2] y) {
        n = Constant<value_ints = [3]>() a = Constant<value_ints = [1, 2]>() f = Constant<value = bool {1}>()
        y = my.Foo(x, n, a, f)
    }"""
    assert types(convert(text)) == ["relu"]
    several = text.replace("[3]", "[3, 4]")
    assert "expected a single value, got an array of shape [2]" in str(refusal(several))


def test_rule_may_give_fewer_results_than_are_used(registry: None) -> None:
    @to_nnef("onnx", "Foo", domain="my")
    def function(b: Any, x: Any) -> Any:
        return b.relu(x)

    assert types(convert("g (float[2] x) => (float[2] y) { y, z = my.Foo(x) }")) == ["relu"]
    text = "g (float[2] x) => (float[2] y, float[2] z) { y, z = my.Foo(x) }"
    assert "output 1 ('z') is not supported" in str(refusal(text))


def test_rules_know_what_is_used(registry: None) -> None:
    seen = []

    @to_nnef("onnx", "Foo", domain="my")
    def function(b: Any, x: Any) -> Any:
        seen.append((b.wanted, b.version))
        return [b.relu(x)] * 4

    convert("g (float[2] x) => (float[2] y, float[2] b) { a, b, , d = my.Foo(x) y = Neg(d) }")
    assert seen == [((False, True, False, True), 1)]


def test_type_of_a_result_is_checked(registry: None) -> None:
    @to_nnef("onnx", "Foo", domain="my")
    def function(b: Any, x: Any) -> Any:
        return b.gt(x, 0.0)

    assert "gives logical where the model says float32" in str(
        refusal("g (float[2] x) => (float[2] y) { y = my.Foo(x) }")
    )


def test_wrong_shape_in_the_model_is_a_warning(registry: None) -> None:
    @to_nnef("onnx", "Foo", domain="my")
    def function(b: Any, x: Any) -> Any:
        return b.relu(x)

    converter = Converter()
    converter(onnx_model_to_graph(model("g (float[2] x) => (float[3] y) { y = my.Foo(x) }")))
    assert converter.warnings == ["tensor 'y' is declared with shape [3] but has [2]"]


# refusals


def test_refusals_are_collected() -> None:
    text = """g (float[2,3] x) => (float[6] y, float[2,3] z) {
        a = my.Foo<alpha = 2, _hidden = 1>(x)
        b = Relu(a)
        y = my.Bar(b)
        c = Bar(x)
        z = Relu<alpha = 1.0>(x)
    }"""
    proto = model(text)
    proto.graph.node[0].name = "first"
    with pytest.raises(ConversionError) as caught:
        Converter()(onnx_model_to_graph(proto))
    error = caught.value
    assert error.exit_code == 3
    assert str(error).splitlines() == [
        "Found 3 operator(s) that cannot be converted",
        "Conversion of operator 'my.Foo' (node 'first') is not implemented: there is no rule for my.Foo-1",
        "    attributes: {'alpha': 2}",
        "    input-shapes: [[2, 3]]",
        "    output-shapes: [None]",
        "Conversion of operator 'Bar' is not implemented: there is no rule for Bar-17",
        "    attributes: {}",
        "    input-shapes: [[2, 3]]",
        "    output-shapes: [None]",
        "Conversion of operator 'Relu' is not possible: attribute 'alpha' is not supported",
        "    attributes: {'alpha': 1.0}",
        "    input-shapes: [[2, 3]]",
        "    output-shapes: [[2, 3]]",
        "hint: a plugin can convert them (--custom-converters), or --mirror-unsupported copies them as they are",
    ]
    assert [(r.type, r.name, r.implemented) for r in error.refused] == [
        ("my.Foo", "first", False),
        ("Bar", "", False),
        ("Relu", "", True),
    ]


def test_operators_behind_refused_ones_are_judged_where_that_is_possible() -> None:
    """The shape of the first result is declared, so the second operator is known to be impossible by itself."""
    text = "g (float[2,3] x) => (float[6] y) <float[2,3] t> { t = my.Foo(x) y = my.Bar(t) }"
    assert [r.type for r in refusal(text).refused] == ["my.Foo", "my.Bar"]


def test_operators_that_need_the_value_of_a_refused_one_are_not_reported() -> None:
    text = """g (float[2,3] x) => (float[3,2] y) <int64[2] s> {
        s = my.Sizes(x) one = Constant<value_ints = [1, 1]>() t = Mul(s, one) y = Reshape(x, t)
    }"""
    assert [r.type for r in refusal(text).refused] == ["my.Sizes"]


def test_large_attributes_are_abbreviated() -> None:
    proto = model("g (float[2] x) => (float[2] y) { y = my.Foo(x) }")
    values = helper.make_tensor("v", TensorProto.FLOAT, [100], [0.0] * 100)
    proto.graph.node[0].attribute.append(helper.make_attribute("table", values))
    with pytest.raises(ConversionError) as caught:
        Converter()(onnx_model_to_graph(proto))
    assert "{'table': 'array of shape [100]'}" in str(caught.value)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("y = Relu<alpha = 1.0>(x)", "attribute 'alpha' is not supported"),
        ("y = LRN(x)", "attribute 'size' is missing"),
        ("y = Relu(x, x)", "has 2 inputs, at most 1 are supported"),
        ("y = Add(x)", "input 1 ('y') is missing"),
        ("y = Add(x, )", "input 1 ('y') is missing"),
        ("y = Transpose<perm = [0, 0]>(x)", "perm [0, 0] is no permutation for rank 2"),
        ('y = LeakyRelu<alpha = "much">(x)', "attribute 'alpha' = 'much' has the wrong type"),
        ("y = Transpose<perm = 1>(x)", "attribute 'perm' = 1 has the wrong type"),
        ("y = Transpose<perm = [0.5, 1.5]>(x)", "attribute 'perm' = [0.5, 1.5] has the wrong type"),
        ("y = DepthToSpace<blocksize = 1>(x)", "malformed operator: ValueError"),
        ("s = Cast<to = 8>(x) y = Cast<to = 1>(s)", "type that NNEF cannot carry"),
    ],
)
def test_malformed_operators(node: str, reason: str) -> None:
    assert reason in str(refusal(f"g (float[2,2] x) => (float[2,2] y) {{ {node} }}"))


def test_missing_optional_inputs_may_be_written() -> None:
    assert types(convert("g (float[2] x) => (float[2] y) { y = Clip(x, , ) }")) == ["copy"]


@pytest.mark.parametrize("kind", ["string", "complex64"])
def test_inputs_that_nnef_cannot_carry(kind: str) -> None:
    error = refusal(f"g ({kind}[2] x) => (float[2] y) {{ y = my.Foo(x) }}")
    assert "input 'x' has a data type that NNEF cannot carry" in str(error)


def test_dynamic_inputs() -> None:
    error = refusal("g (float[N,3] x, float[2] z, float[N,M] w) => (float[N,3] y) { y = Relu(x) }")
    assert error.message == "Input graph contains tensors with dynamic shape: 'x', 'w'"
    assert error.hint is not None
    assert "--input-shapes \"{'x': (?, 3), 'w': (?, ?)}\"" in error.hint


def test_empty_inputs_and_outputs() -> None:
    text = "g (float[2] x, float[0] e) => (float[2] y) { y = Concat<axis = 0>(x, e) }"
    converter = Converter()
    graph = converter(onnx_model_to_graph(model(text)))
    assert [t.shape for t in graph.inputs] == [(2,)]
    assert converter.warnings == ["input 'e' is left out, since it is empty (shape [0])"]
    empty = "g (float[2] x) => (float[0] y) { c = Constant<value_ints = [0]>() y = Slice(x, c, c) }"
    assert "output 'y' is empty (shape [0])" in str(refusal(empty))
    assert "the model has no inputs" in str(refusal("g () => (float y) { y = Constant<value_float = 1.0>() }"))


# constants


def test_shape_arithmetic_is_resolved() -> None:
    graph = convert("""g (float[2,3,4] x) => (float[a,b] y) {
        s = Shape(x)
        i = Constant<value_ints = [0, 1]>()
        head = Gather(s, i)
        p = ReduceProd<keepdims = 1, axes = [0]>(head)
        rest = Constant<value_ints = [-1]>()
        target = Concat<axis = 0>(p, rest)
        y = Reshape(x, target)
    }""")
    assert types(graph) == ["reshape"]
    assert graph.outputs[0].shape == (6, 4)


def test_large_constants_are_resolved_but_not_folded() -> None:
    """The values of a long constant are needed for a gather; the operations that make them vanish."""
    graph = convert("""g (float[2000,2] x) => (float[n,2] y) {
        zero = Constant<value_int = 0>() n = Constant<value_int = 2000>() two = Constant<value_int = 2>()
        odd = Range(zero, n, two)
        one = Constant<value_int = 1>()
        i = Add(odd, one)
        y = Gather(x, i)
    }""")
    x = np.arange(4000, dtype=np.float32).reshape(2000, 2)
    np.testing.assert_array_equal(run(graph, x)[0], x[1::2])


def test_computed_input_where_a_constant_is_needed() -> None:
    error = refusal("g (float[2,3] x, int64[2] s) => (float[3,2] y) { y = Reshape(x, s) }")
    assert "input 1 ('new') must be a constant, but it is computed from the inputs" in str(error)


def test_fold_constants() -> None:
    values = ", ".join(["1.0"] * 2000)
    text = (
        f"g (float[2000] x) => (float[2000] y) {{ c = Constant<value_floats = [{values}]>() d = Neg(c) y = Add(x, d) }}"
    )
    assert types(convert(text)) == ["neg", "add"]
    graph = convert(text, fold_constants=True)
    assert types(graph) == ["add"]
    np.testing.assert_array_equal(run(graph, np.ones(2000, np.float32))[0], 0)


def test_constants_become_variables_and_literals() -> None:
    graph = convert("""g (float[2] x) => (float[2] y) {
        v = Constant<value_floats = [1.0, 2.0]>() s = Constant<value_float = 3.0>()
        a = Add(x, v) y = Mul(a, s)
    }""")
    assert sorted(str(op.type) for op in graph.operations) == ["add", "external", "mul", "variable"]
    variable = next(op for op in graph.operations if op.type == "variable")
    assert variable.attribs == {"shape": [2], "label": "variable1", "dtype": np.float32}
    literal = main(graph)[1].inputs[1]
    assert (literal.shape, literal.has_producer) == ((), False)


def test_infinite_scalar_becomes_a_variable() -> None:
    """NNEF has no literal for infinity; attention masks hold it."""
    proto = model("g (float[2] x, bool[2] c) => (float[2] y) <float n = {0}> { y = Where(c, x, n) }")
    proto.graph.initializer[0].CopyFrom(helper.make_tensor("n", TensorProto.FLOAT, [], [-np.inf]))
    graph = Converter()(onnx_model_to_graph(proto))
    variable = next(op for op in graph.operations if op.type == "variable")
    assert variable.attribs["shape"] == []
    x, c = np.array([1, 2], np.float32), np.array([True, False])
    assert run(graph, x, c)[0].tolist() == [1, -np.inf]


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
    results = run(graph, np.array([-1, 1], np.float32))
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
    y, w = run(graph, *turned, v)
    np.testing.assert_allclose(y, (x + z + v).transpose(0, 3, 1, 2), rtol=1e-6)
    np.testing.assert_allclose(w, x.mean((0, 3)), rtol=1e-6)


def test_io_transpose_of_named_tensors() -> None:
    graph = convert(IMAGES, io_transpose=["z", "y"], keep_io_names=True)
    assert [t.shape for t in graph.inputs] == [(2, 5, 6, 3), (2, 3, 5, 6), (3,)]
    assert [t.shape for t in graph.outputs] == [(2, 3, 5, 6), (5, 6)]
    assert [t.name for t in (*graph.inputs, *graph.outputs)] == ["x", "z", "v", "y", "w"]
    with pytest.raises(UsageError, match="'nothing' is to be transposed, but it is no input or output"):
        convert(IMAGES, io_transpose=["x", "nothing"])


def test_io_transpose_of_an_output_that_is_an_input() -> None:
    graph = convert("g (float[2,3,4] x) => (float[2,3,4] x) { }", io_transpose=True, keep_io_names=True)
    assert [t.shape for t in (*graph.inputs, *graph.outputs)] == [(2, 4, 3), (2, 4, 3)]
    x = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    np.testing.assert_array_equal(run(graph, x)[0], x)


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
    assert "needs the custom fragment 'erf', which --standard-only excludes" in str(refusal(text, standard_only=True))


# mirrored operators


def test_mirror_unsupported() -> None:
    text = "g (float[2] x) => (float[2] y) <float[2] t> { t = my.Foo<alpha = 1.5>(x, x) y = Relu(t) }"
    graph = convert(text, mirror_unsupported=True)
    foo, relu = main(graph)
    assert (foo.type, foo.custom, foo.attribs, len(foo.inputs)) == ("Foo", True, {"alpha": 1.5}, 2)
    assert isinstance(foo.inputs, tuple)
    assert relu.input is foo.output
    assert foo.output.shape == (2,)


def test_mirrored_operator_of_unknown_shape() -> None:
    text = "g (float[2,3] x) => (float[6] y) { t = my.Foo(x) y = Relu(t) }"
    error = refusal(text, mirror_unsupported=True)
    assert "shape of tensor 't' is not known (--custom-shapes with 'Foo')" in str(error)
    shapes = {"Foo": lambda shape: [shape[0] * shape[1]]}
    for infer in (False, True):
        graph = convert(text, mirror_unsupported=True, custom_shapes=shapes, infer_shapes=infer)
        assert types(graph) == ["Foo", "relu"]
        assert graph.outputs[0].shape == (6,)


def test_copies_share_nothing_with_the_source() -> None:
    source = onnx_model_to_graph(model("g (float[2] x) => (float[2] y) { y = my.Foo<axes = [1]>(x) }"))
    graph = Converter(mirror_unsupported=True)(source)
    main(graph)[0].attribs["extra"] = 1
    assert source.operations[0].attribs == {"axes": [1]}


# shapes by plugins


def test_infer_shapes_mode() -> None:
    calls = []

    def shape_of_bar(a: list[int], b: list[int], *, k: int, **kwargs: Any) -> tuple[list[int], list[int]]:
        calls.append((a, b, k, kwargs))
        return [a[0], k], [k]

    text = "g (float[2,3] x) => (float[n,m] y, float[m] z) { t, z = my.Foo<k = 5>(x) y = Relu(t) }"
    transform = Transform("bar", inputs=("!I[0]", "!I[0]"), outputs=("!O[0]", "!O[1]"), attribs={"k": "!k", "q": 1})
    graph = convert(text, custom_transforms={"Foo": transform}, custom_shapes={"bar": shape_of_bar}, infer_shapes=True)
    assert [t.shape for t in graph.outputs] == [(2, 5), (5,)]
    assert calls == [([2, 3], [2, 3], 5, {"q": 1})]


def test_shape_function_of_an_array() -> None:
    text = "g (float[2,3] x, float[4,3] w) => (float[n,m] y) { y = my.Foo(x, w) }"
    transform = Transform("bar", inputs=["!I[:]"], outputs="!O[0]")
    shapes = {"bar": lambda shapes: [sum(s[0] for s in shapes), shapes[0][1]]}
    graph = convert(text, custom_transforms={"Foo": transform}, custom_shapes=shapes, infer_shapes=True)
    assert graph.outputs[0].shape == (6, 3)


def test_shape_function_that_refuses() -> None:
    def shape_of_bar(shape: list[int]) -> list[int]:
        assert len(shape) == 3, "rank must be 3"
        return shape

    transform = Transform("bar", inputs="!I[0]", outputs="!O[0]")
    text = "g (float[2,3] x) => (float[2,3] y) { y = my.Foo(x) }"
    options = {"custom_transforms": {"Foo": transform}, "custom_shapes": {"bar": shape_of_bar}, "infer_shapes": True}
    assert "Conversion of operator 'my.Foo' is not possible: rank must be 3" in str(refusal(text, **options))


def test_transform_to_a_standard_operation_needs_no_shape_function() -> None:
    text = "g (float[2,3] x) => (float[n,m] y) { y = my.Foo(x) }"
    transform = Transform("transpose", inputs="!I[0]", outputs="!O[0]", attribs={"axes": [1, 0]})
    assert convert(text, custom_transforms={"Foo": transform}).outputs[0].shape == (3, 2)


def test_operation_of_unknown_shape() -> None:
    text = "g (float[2,3] x) => (float[n,m] y) { y = my.Foo(x) }"
    transform = Transform("bar", inputs="!I[0]", outputs="!O[0]")
    error = refusal(text, custom_transforms={"Foo": transform})
    assert "shape of tensor 'y' is not known (--custom-shapes with 'bar')" in str(error)


def test_shape_function_gives_the_shapes_before_output_helpers() -> None:
    """The function tells of the main operation; what squeeze makes of it follows."""
    text = "g (float[2,3] x) => (float[n] y) { y = my.Foo(x) }"
    transform = Transform("bar", inputs="!I[0]", outputs="!squeeze_output(O[0], [1])")
    options = {"custom_transforms": {"Foo": transform}, "infer_shapes": True}
    graph = convert(text, custom_shapes={"bar": lambda shape: [shape[0], 1]}, **options)
    assert [t.shape for op in main(graph) for t in op.outputs] == [(2, 1), (2,)]
    error = refusal(text, custom_shapes={"bar": lambda shape: shape}, **options)
    assert "Conversion of operator 'my.Foo' is not possible" in str(error)


def test_shape_function_with_too_few_results() -> None:
    text = "g (float[2,3] x) => (float[n] y, float[n] z) { y, z = my.Foo(x) }"
    transform = Transform("bar", inputs="!I[0]", outputs=("!O[0]", "!O[1]"))
    options = {"custom_transforms": {"Foo": transform}, "custom_shapes": {"bar": lambda shape: shape}}
    assert "operation 'bar' has 2 results, its shape function gives 1" in str(
        refusal(text, infer_shapes=True, **options)
    )


def test_types_of_results() -> None:
    nodes = "t = my.Foo(x) u = my.Bar(t) v = Cast<to = 1>(u) y = my.Baz(v)"
    text = f"g (float[2,3] x) => (float[2] y) <float[2,3] t> {{ {nodes} }}"
    transforms = {
        "Bar": Transform("argmax_reduce", inputs="!I[0]", outputs="!O[0]", attribs={"axes": [1]}),
        "Baz": Transform("squeeze", inputs="!I[0]", outputs="!O[0]", attribs={"axes": [1]}),
    }
    converter = Converter(custom_transforms=transforms, mirror_unsupported=True)
    source = onnx_model_to_graph(model(text))
    for tensor in source.tensors:
        if tensor.name == "t":
            tensor.dtype = None
    graph = converter(source)
    assert [(op.type, op.outputs[0].dtype) for op in main(graph)] == [
        ("Foo", np.float32),
        ("argmax_reduce", np.int64),
        ("cast", np.float32),
        ("squeeze", np.float32),
    ]
    assert converter.warnings == ["types of the results of 'Foo' are not known, taken as float32"]

    declared = "fragment Foo( x: tensor<scalar> ) -> ( y: tensor<integer> );"
    transforms["Bar"] = Transform("copy", inputs="!I[0]", outputs="!O[0]")
    converter = Converter(custom_transforms=transforms, mirror_unsupported=True, custom_fragments={"Foo": declared})
    graph = converter(source)
    assert [(op.type, op.outputs[0].dtype) for op in main(graph)][:2] == [("Foo", np.int64), ("copy", np.int64)]
    assert converter.warnings == []


def test_static_only_leaves_out_what_depends_on_the_data() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("NonZero", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["a"], ["z"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "z")]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs))
    graph = onnx_model_to_graph(model)
    with pytest.raises(ConversionError, match="NonZero"):
        Converter()(graph)
    converter = Converter(static_only=True, keep_io_names=True)
    result = converter(graph)
    assert [tensor.name for tensor in result.outputs] == ["z"]
    assert [op.type for op in result.operations] == ["external", "relu", "neg"]
    assert any("2 operator(s) without static shape are left out: Cast, NonZero" in text for text in converter.warnings)
    del nodes[3], outputs[1]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs))
    result = Converter(static_only=True)(onnx_model_to_graph(model))
    assert [tensor.producer.type for tensor in result.outputs if tensor.producer] == ["relu"]

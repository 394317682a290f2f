"""The engine: which rule applies, what is refused and how, constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from nnef_tools.conversion.engine import rules
from nnef_tools.conversion.engine.refusal import Refusal
from nnef_tools.conversion.engine.rules import Bool, Int, Ints, find_rule, to_nnef
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError, Unsupported
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph, Operation
from nnef_tools.model.cut import cut
from nnef_tools.ops.window import Window, by_keywords

from ..support.nnef_models import computing, run_nnef, types
from .plugin_models import convert, model, refusal

# rules


@pytest.fixture
def registry() -> Iterator[None]:
    """Rules of the test are forgotten afterwards."""
    saved = {key: list(value) for key, value in rules._to_nnef.items()}
    yield
    rules._to_nnef.clear()
    rules._to_nnef.update(saved)


def test_windows_of_rules_are_attributes() -> None:
    def pool(b: Any, x: Any, *, window: Window, normalize: bool = False) -> Any:
        return window

    rule = rules.Rule("test", "pool", 1, "", by_keywords(pool))
    assert set(rule.attributes) == {"size", "border", "padding", "stride", "dilation", "normalize"}
    rule.check({"size": [2], "stride": [1], "normalize": True})
    with pytest.raises(Unsupported, match=r"'stride' = \[1.5\] has the wrong type"):
        rule.check({"stride": [1.5]})
    with pytest.raises(Unsupported, match="'groups' is not supported"):
        rule.check({"groups": 1})
    assert rule.function(None, None, size=[2], border="ignore") == Window([2], "ignore")


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
        "    output-shapes: [?]",
        "Conversion of operator 'Bar' is not implemented: there is no rule for Bar-17",
        "    attributes: {}",
        "    input-shapes: [[2, 3]]",
        "    output-shapes: [?]",
        "Conversion of operator 'Relu' is not possible: attribute 'alpha' is not supported",
        "    attributes: {'alpha': 1.0}",
        "    input-shapes: [[2, 3]]",
        "    output-shapes: [[2, 3]]",
        "hint: a plugin can convert them (custom_converters=[..])",
    ]
    assert [(r.type, r.name, r.implemented) for r in error.refused] == [
        ("my.Foo", "first", False),
        ("Bar", "", False),
        ("Relu", "", True),
    ]


PLUGIN_HINT = "a plugin can convert them (--custom-converters)"


@pytest.mark.parametrize(
    ("body", "options", "hint"),
    [
        ("y = my.Foo(x)", {}, f"{PLUGIN_HINT}, or --mirror-unsupported copies them as they are"),
        ("a = Abs(x) y = LRN(a)", {}, PLUGIN_HINT),  # there is a rule, which refuses: nothing is copied
        ("y = NonZero(x)", {}, None),
        ("y = NonZero(x)", {"mirror_unsupported": True}, None),
        ("y = NonZero(x)", {"static_only": True}, None),
        (
            "r = Relu(x) y = NonZero(r)",
            {},
            "--static-only leaves out what has no static shape, or --output-names r converts only what leads there",
        ),
        ("r = Relu(x) y = NonZero(r) z = my.Foo(r)", {}, "--output-names r converts only what leads there"),
        (
            "r = Relu(x) y = Compress(r, c)",
            {},
            "--static-only leaves out what has no static shape, or --output-names r",
        ),
        ("y = my.Foo(x)", {"mirror_unsupported": True}, None),  # its own reason names --custom-shapes
        ("y = com.microsoft.nchwc.ReorderInput(x)", {}, None),
    ],
)
def test_hints_name_what_can_help(body: str, options: dict[str, bool], hint: str | None) -> None:
    """The shape of NonZero and Compress depends on the data: no copy and no plugin can give it."""
    outputs = "float[?,?] y, float[2,3] z" if " z = " in body else "float[?,?] y"
    text = f"g (float[2,3] x, bool[2] c) => ({outputs}) {{ {body} }}"
    if options.get("static_only"):
        with pytest.raises(ConversionError, match="nothing is left") as caught:
            convert(text, **options)
        assert caught.value.hint is None
        return
    error = refusal(text, **options)
    assert error.hint is None if hint is None else str(error.hint).startswith(hint)
    assert hint != PLUGIN_HINT or error.hint == hint
    if body.startswith("r = "):  # what the hint names does help
        proto = model(text)
        graph = onnx_model_to_graph(proto)
        cut(graph, None, ["r"])
        assert types(Converter()(graph))[-1] == "relu"


def test_blocked_layouts_of_onnxruntime_say_how_to_save_the_model() -> None:
    error = refusal("g (float[1,8,4,4] x) => (float[1,8,4,4] y) { y = com.microsoft.nchwc.ReorderInput(x) }")
    assert "save it at the extended level" in str(error)


def test_attributes_in_refusals_have_no_classes() -> None:
    op = Operation(Graph(), "Foo", attribs={"to": np.float32, "types": [np.int64], "n": np.int64(3), "a": np.ones(2)})
    lines = Refusal("Foo", "", "why", True, op.attribs, ((1, None), None), ()).lines()
    assert lines[1:3] == [
        "    attributes: {'to': 'float32', 'types': ['int64'], 'n': 3, 'a': [1.0, 1.0]}",
        "    input-shapes: [[1, ?], ?]",
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
        ("y = Transpose<perm = [0, 0]>(x)", "perm [0, 0] is not a permutation for rank 2"),
        ('y = LeakyRelu<alpha = "much">(x)', "attribute 'alpha' = 'much' has the wrong type"),
        ("y = Transpose<perm = 1>(x)", "attribute 'perm' = 1 has the wrong type"),
        ("y = Transpose<perm = [0.5, 1.5]>(x)", "attribute 'perm' = [0.5, 1.5] has the wrong type"),
        ("y = DepthToSpace<blocksize = 1>(x)", "malformed operator: "),
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
    assert error.hint.endswith("--shape 'x:?,3' 'w:?,?'")  # as the command line takes it
    assert str(error).endswith("input_shapes={'x': (?, 3), 'w': (?, ?)}")


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
    np.testing.assert_array_equal(run_nnef(graph, [x])[0], x[1::2])


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
    np.testing.assert_array_equal(run_nnef(graph, [np.ones(2000, np.float32)])[0], 0)


def test_constants_become_variables_and_literals() -> None:
    graph = convert("""g (float[2] x) => (float[2] y) {
        v = Constant<value_floats = [1.0, 2.0]>() s = Constant<value_float = 3.0>()
        a = Add(x, v) y = Mul(a, s)
    }""")
    assert sorted(str(op.type) for op in graph.operations) == ["add", "external", "mul", "variable"]
    variable = next(op for op in graph.operations if op.type == "variable")
    assert variable.attribs == {"shape": [2], "label": "variable1", "dtype": np.float32}
    literal = computing(graph)[1].inputs[1]
    assert (literal.shape, literal.has_producer) == ((), False)


def test_infinite_scalar_becomes_a_variable() -> None:
    """NNEF has no literal for infinity; attention masks hold it."""
    proto = model("g (float[2] x, bool[2] c) => (float[2] y) <float n = {0}> { y = Where(c, x, n) }")
    proto.graph.initializer[0].CopyFrom(helper.make_tensor("n", TensorProto.FLOAT, [], [-np.inf]))
    graph = Converter()(onnx_model_to_graph(proto))
    variable = next(op for op in graph.operations if op.type == "variable")
    assert variable.attribs["shape"] == []
    x, c = np.array([1, 2], np.float32), np.array([True, False])
    assert run_nnef(graph, [x, c])[0].tolist() == [1, -np.inf]

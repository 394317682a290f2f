"""Transforms: each field in each form, what expressions see, and how mistakes are reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion import Transform
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError, PluginError
from nnef_tools.model import Operation

from ..support.nnef_models import computing, types
from .plugin_models import convert, foo

THREE = "float[1,3,4] a, float[1,3,4] b, float[1,3,4] c"
SHAPE = (1, 3, 4)


def failure(transform: Transform, *args: str, **options: Any) -> str:
    """The text of the error that converting with the transform ends with."""
    with pytest.raises(ConversionError) as caught:
        foo(transform, *args, **options)
    return str(caught.value)


def copy_to(**fields: Any) -> Transform:
    """A transform to `bar` from the first input to the first output."""
    return Transform(**{"type": "bar", "inputs": "!I[0]", "outputs": "!O[0]", **fields})


# fields


def test_defaults_of_fields() -> None:
    transform = Transform("bar")
    assert (transform.type, transform.name, transform.inputs, transform.outputs) == ("bar", "!_name_", (), ())
    assert (transform.attribs, transform.defaults, transform.using) == ({}, {}, {})
    assert (transform.cond, transform.custom) == (None, False)
    other = transform.with_type("baz")
    assert (other.type, other.name, transform.type) == ("baz", "!_name_", "bar")


def test_inputs_single() -> None:
    [op] = computing(foo(Transform("bar", inputs="!I[1]", outputs="!O[0]"), inputs=THREE))
    assert isinstance(op.inputs, tuple)
    assert [t.shape for t in op.inputs] == [SHAPE]


def test_inputs_tuple_drops_none() -> None:
    graph = foo(Transform("bar", inputs=("!I[0]", "!None", "!I[2]"), outputs=("!O[0]",)), inputs=THREE)
    [op] = computing(graph)
    assert isinstance(op.inputs, tuple)
    assert list(op.inputs) == [graph.inputs[0], graph.inputs[2]]


def test_inputs_list_is_one_array_and_splices() -> None:
    graph = foo(Transform("bar", inputs=["!I[1:]", "!I[0]", "!()"], outputs="!O[0]"), inputs=THREE)
    [op] = computing(graph)
    assert not isinstance(op.inputs, tuple)
    assert list(op.inputs) == [graph.inputs[1], graph.inputs[2], graph.inputs[0]]


def test_outputs_forms() -> None:
    both = "float[1,3,4] y, float[1,3,4] z"
    graph = foo(Transform("bar", inputs="!I[0]", outputs=("!O[1]", "!O[0]")), outputs=both)
    [op] = computing(graph)
    assert isinstance(op.outputs, tuple)
    assert list(op.outputs) == [graph.outputs[1], graph.outputs[0]]
    graph = foo(Transform("bar", inputs="!I[0]", outputs=["!O[:]"]), outputs=both)
    [op] = computing(graph)
    assert not isinstance(op.outputs, tuple)
    assert list(op.outputs) == list(graph.outputs)


def test_no_inputs() -> None:
    [op] = computing(foo(Transform("bar", outputs="!O[0]")))
    assert op.inputs == ()


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ("!None", "input 0 of the transform must give a tensor, got None"),
        ("I[0]", "input 0 of the transform must give a tensor, got 'I[0]'"),
        ("", "input 0 of the transform must give a tensor, got ''"),
        (("!I[0]", "!I[:]"), "input 1 of the transform must give a tensor, got ["),
        (["!I[0]", "!None"], "input 1 of the transform must give a tensor, got None"),
        (("!3",), "input 0 of the transform must give a tensor, got 3"),
    ],
)
def test_what_is_no_input(inputs: Any, text: str) -> None:
    assert text in failure(copy_to(inputs=inputs))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"outputs": ("!O[0]", "!O[0]")}, "an output of the transform must be a tensor of O"),
        ({"outputs": "!I[0]"}, "an output of the transform must be a tensor of O"),
        ({"outputs": "!None"}, "output 0 of the transform must give a tensor, got None"),
        ({"type": "!3"}, "field 'type' of the transform must give a string or None, got 3"),
        ({"name": "!3"}, "field 'name' of the transform must give a string or None, got 3"),
        ({"attribs": {"x": "!I[0]"}}, "attribute 'x' of the transform gives a tensor"),
    ],
)
def test_what_no_operation_can_have(fields: dict[str, Any], text: str) -> None:
    assert text in failure(copy_to(**fields))


def test_attributes() -> None:
    attribs = {
        "expression": "!alpha * 2",
        "none": "!None",
        "literal_none": None,
        "text": "plain",
        "empty": "",
        "number": 3,
        "items": ["!alpha", 1],
        "class": "!I[0].dtype",
        "numpy": "!int(np.ceil(1.5)) + math.floor(2.5)",
    }
    [op] = computing(foo(copy_to(attribs=attribs), "alpha = 1.5"))
    assert op.attribs == {
        "expression": 3.0,
        "text": "plain",
        "empty": "",
        "number": 3,
        "items": ["!alpha", 1],  # strings inside of lists are no expressions
        "class": np.float32,
        "numpy": 4,
    }


def test_name_and_custom() -> None:
    text = "g (float[2] x) => (float[2] y) { y = my.Foo(x) }"

    def names(transform: Transform) -> list[str | None]:
        converter = Converter(custom_transforms={"Foo": transform})
        from nnef_tools.io.onnx.reader import onnx_model_to_graph

        from .plugin_models import model

        proto = model(text)
        proto.graph.node[0].name = "node7"
        graph = converter(onnx_model_to_graph(proto))
        return [op.name for op in computing(graph)]

    assert names(copy_to()) == ["node7"]
    assert names(copy_to(name="fixed")) == ["fixed"]
    assert names(copy_to(name="!_name_.upper() + _type_")) == ["NODE7Foo"]
    assert names(copy_to(name="!None")) == [None]
    assert [op.custom for op in computing(foo(copy_to(custom=True)))] == [True]
    assert [op.custom for op in computing(foo(copy_to()))] == [False]


def test_type_expression() -> None:
    assert types(foo(copy_to(type="!'bar' + str(k)"), "k = 2")) == ["bar2"]


def test_type_none_drops_the_operator() -> None:
    text = "g (float[2] x) => (float[2] y) { d = my.Debug(x) y = Relu(x) }"
    assert types(convert(text, custom_transforms={"Debug": Transform(None)})) == ["relu"]
    text = "g (float[2] x) => (float[2] y) { d = my.Debug(x) y = Relu(d) }"
    with pytest.raises(ConversionError, match="tensor 'd' has no value"):
        convert(text, custom_transforms={"Debug": Transform(None)})
    with pytest.raises(ConversionError, match="tensor 'y' has no value"):
        foo(Transform(None))


def test_type_none_keeps_the_value_of_a_constant() -> None:
    text = "g (float[2] x) => (float[2] y) { c = Constant<value_floats = [1.0, 2.0]>() y = Add(x, c) }"
    graph = convert(text, custom_transforms={"Constant": Transform(None)})
    assert types(graph) == ["add"]
    np.testing.assert_array_equal(graph.operations[1].output.data, [1, 2])


def test_output_that_is_not_produced() -> None:
    both = "float[1,3,4] y, float[1,3,4] z"
    with pytest.raises(ConversionError, match="tensor 'z' has no value"):
        foo(copy_to(), outputs=both)


# what expressions see


def test_defaults_apply_to_absent_attributes_only() -> None:
    transform = copy_to(defaults={"alpha": 5, "beta": "!I[0].rank"}, attribs={"a": "!alpha", "b": "!beta"})
    assert computing(foo(transform))[0].attribs == {"a": 5, "b": 3}
    assert computing(foo(transform, "alpha = 7"))[0].attribs == {"a": 7, "b": 3}


@pytest.mark.parametrize("expression", ["!alpha", "!gamma", "!_type_"])
def test_defaults_see_no_attributes(expression: str) -> None:
    text = failure(copy_to(defaults={"gamma": 1, "beta": expression}), "alpha = 1")
    name = expression[1:]
    assert f"Could not evaluate default 'beta' while converting operator 'Foo'; NameError: name '{name}'" in text


def test_using_is_evaluated_in_order_and_may_shadow_an_attribute() -> None:
    using = {"a": "!alpha + 1", "alpha": "!a * 10", "b": "!alpha + a"}
    [op] = computing(foo(copy_to(using=using, attribs={"alpha": "!alpha", "b": "!b"}), "alpha = 1"))
    assert op.attribs == {"alpha": 20, "b": 22}


def test_using_is_evaluated_once() -> None:
    calls: list[int] = []

    def count(converter: Converter) -> int:
        calls.append(1)
        return len(calls)

    transform = copy_to(using={"n": "!count()"}, attribs={"n": "!n", "m": "!n"})
    [op] = computing(foo(transform, custom_functions={"count": count}))
    assert op.attribs == {"n": 1, "m": 1}
    assert calls == [1]


def test_operations_of_using_occur_once() -> None:
    transform = Transform("bar", using={"u": "!unsqueeze_input(I[0], [0])"}, inputs=("!u", "!u"), outputs="!O[0]")
    assert types(foo(transform)) == ["unsqueeze", "bar"]


def test_comprehensions_and_lambdas_see_everything() -> None:
    attribs = {"a": "![alpha * k for k in range(n)]", "b": "!(lambda q: q + alpha + n)(1)"}
    [op] = computing(foo(copy_to(using={"n": "!2"}, attribs=attribs), "alpha = 3"))
    assert op.attribs == {"a": [0, 3], "b": 6}


def test_precedence_of_names() -> None:
    def alpha(converter: Converter) -> str:
        return "function"

    # attribute < using < function; attribute over builtin; I, O, np and math over everything
    attribs = {"x": "!max", "y": "!I[0].shape[1]", "z": "!np.pi > 3 and math.pi > 3"}
    [op] = computing(foo(copy_to(attribs=attribs), "max = 4, I = 1, O = 2, np = 3, math = 4"))
    assert op.attribs == {"x": 4, "y": 3, "z": True}
    [op] = computing(foo(copy_to(attribs={"x": "!alpha()"}), "alpha = 1", custom_functions={"alpha": alpha}))
    assert op.attribs == {"x": "function"}
    [op] = computing(foo(copy_to(using={"alpha": 2}, attribs={"x": "!alpha()"}), custom_functions={"alpha": alpha}))
    assert op.attribs == {"x": "function"}


def test_hidden_names_are_reported() -> None:
    from nnef_tools.io.onnx.reader import onnx_model_to_graph

    from .plugin_models import model

    nodes = "t = my.Foo<broadcast = 1, other = 1>(x) y = my.Foo<broadcast = 1>(t)"
    text = f"g (float[2] x) => (float[2] y) <float[2] t> {{ {nodes} }}"

    def warnings(transform: Transform) -> list[str]:
        converter = Converter(custom_transforms={"Foo": transform})
        converter(onnx_model_to_graph(model(text)))
        return converter.warnings

    assert warnings(copy_to(attribs={"x": "!broadcast is None"})) == [
        "Transform of 'Foo': 'broadcast' is the helper, not the attribute or the 'using' name"
    ]
    assert len(warnings(copy_to(using={"is_const": 1}, attribs={"x": "![is_const for k in (1,)] is None"}))) == 1
    assert warnings(copy_to(attribs={"x": "!other"}, defaults={"other": 2})) == []


def test_plugin_functions() -> None:
    def double(converter: Converter, value: int, *, plus: int = 0) -> int:
        assert isinstance(converter, Converter)
        return int(converter.ensure_positive(value, 4)) * 2 + plus

    def is_const(converter: Converter, value: object) -> str:
        return "shadowed"

    def negated(converter: Converter, x: Any) -> Any:
        result = converter.new_tensor(x.shape, x.dtype)
        Operation(x.graph, type="neg", inputs=x, outputs=result)
        return result

    functions = {"double": double, "is_const": is_const, "negated": negated}
    attribs = {"a": "!double(-1, plus = 1)", "b": "!is_const(I[0])"}
    graph = foo(copy_to(inputs="!negated(I[0])", attribs=attribs), custom_functions=functions)
    assert types(graph) == ["neg", "bar"]
    assert computing(graph)[1].attribs == {"a": 7, "b": "shadowed"}


def test_missing_inputs() -> None:
    text = "g (float[2] x, float[2] z) => (float[2] y) { y = my.Foo(x, , z) }"
    attribs = {"names": "![t.name == '' for t in I]", "unused": "![is_unused(t) for t in I]", "count": "!len(I)"}
    [op] = computing(convert(text, custom_transforms={"Foo": copy_to(attribs=attribs)}))
    assert op.attribs == {"names": [False, True, False], "unused": [False, True, False], "count": 3}


def test_unused_outputs() -> None:
    text = """g (float[2] x) => (float[2] a, float[2] y) <float[2] b, float[2] c, float[2] d, float[2] e> {
        a, b, c, d, e = my.Foo(x)
        f = Relu(c)
        k = Constant<value = bool {1}>()
        y = If (k) <then_branch = yes () => (float[2] r) { r = Add(d, f) },
                    else_branch = no () => (float[2] r) { r = Neg(x) }>
    }"""
    attribs = {"unused": "![is_unused(t) for t in O]"}
    transform = Transform("bar", inputs="!I[0]", outputs=("!O[0]", "!O[1]", "!O[2]", "!O[3]", "!O[4]"), attribs=attribs)
    [op, *_] = computing(convert(text, custom_transforms={"Foo": transform}))
    assert op.attribs["unused"] == [False, True, False, False, True]


def test_tensors_have_the_names_of_the_source() -> None:
    text = "g (float[2] x) => (float[2] y) { t = Relu(x) y = my.Foo(t) }"
    attribs = {"names": "![t.name for t in I + O]"}
    [_, op] = computing(convert(text, custom_transforms={"Foo": copy_to(attribs=attribs)}))
    assert op.attribs["names"] == ["t", "y"]


# operations that inputs and outputs create


def test_output_helpers_nest() -> None:
    outputs = "!squeeze_output(unsqueeze_output(O[0], [0]), [2])"
    graph = foo(Transform("bar", inputs="!I[0]", outputs=outputs))
    bar, squeeze, unsqueeze = computing(graph)
    assert [op.type for op in (bar, squeeze, unsqueeze)] == ["bar", "squeeze", "unsqueeze"]
    assert (squeeze.attribs, unsqueeze.attribs) == ({"axes": [2]}, {"axes": [0]})
    assert (bar.output.shape, squeeze.output.shape, unsqueeze.output.shape) == ((3, 4, 1), (3, 4), (1, 3, 4))
    assert squeeze.input is bar.output
    assert unsqueeze.output is graph.outputs[0]


def test_order_of_created_operations() -> None:
    transform = Transform(
        "bar",
        inputs=("!unsqueeze_input(I[0], [0])", "!squeeze_input(I[0], [0])"),
        outputs="!bias_add(O[0], unsqueeze_input(squeeze_input(I[0], [0]), [0]))",
    )
    graph = foo(transform)
    assert graph.is_sorted()
    assert types(graph)[:3] == ["unsqueeze", "squeeze", "bar"]
    assert types(graph)[-1] == "add"


def test_output_helper_of_each_item() -> None:
    both = "float[1,3,4] y, float[1,3,4] z"
    transform = Transform("bar", inputs="!I[0]", outputs=["![unsqueeze_output(t, [0]) for t in O]"])
    graph = foo(transform, outputs=both)
    assert sorted(types(graph)) == ["bar", "unsqueeze", "unsqueeze"]
    assert [t.producer.type for t in graph.outputs if t.producer] == ["unsqueeze", "unsqueeze"]
    assert graph.is_sorted()


# conditions


def test_conditions() -> None:
    assert types(foo(copy_to(cond={"!alpha > 0": "alpha must be positive"}), "alpha = 1")) == ["bar"]
    cond = {"!alpha > 0": "alpha must be positive", "!alpha < 5": "small", "alpha != 0": "not zero"}
    assert "Conversion of operator 'my.Foo' is not possible: alpha must be positive" in failure(
        copy_to(cond=cond), "alpha = -1"
    )
    assert "is not possible: alpha must be positive, not zero" in failure(copy_to(cond=cond), "alpha = 0")


def test_condition_as_one_expression() -> None:
    assert types(foo(copy_to(cond="!alpha > 0"), "alpha = 1")) == ["bar"]
    assert "is not possible: condition does not hold: alpha > 0" in failure(copy_to(cond="!alpha > 0"), "alpha = 0")


def test_error_in_a_condition_is_an_error() -> None:
    text = failure(copy_to(cond={"!nothing > 0": "message"}))
    assert "Could not evaluate field 'cond' while converting operator 'Foo'; NameError: name 'nothing'" in text


# mistakes


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"attribs": {"x": "!nothing"}}, "attribute 'x'"),
        ({"inputs": "!nothing"}, "input '0'"),
        ({"inputs": ("!I[0]", "!nothing")}, "input '1'"),
        ({"outputs": ["!nothing"]}, "output '0'"),
        ({"using": {"u": "!nothing"}}, "using 'u'"),
        ({"defaults": {"d": "!nothing"}}, "default 'd'"),
        ({"type": "!nothing"}, "field 'type'"),
        ({"name": "!nothing"}, "field 'name'"),
    ],
)
def test_errors_while_evaluating(fields: dict[str, Any], what: str) -> None:
    text = failure(copy_to(**fields))
    assert (
        f"Could not evaluate {what} while converting operator 'Foo'; NameError: name 'nothing' is not defined" in text
    )


def test_error_of_a_helper_keeps_its_message() -> None:
    assert "is not possible: tensor 'x' is not constant" in failure(copy_to(attribs={"x": "!as_const(I[0])"}))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"attribs": {"x": "!1 +"}}, "Transform of 'Foo', attribute 'x': not a Python expression: '1 +'"),
        ({"inputs": ("!I[0]", "!I[")}, "Transform of 'Foo', input 1: not a Python expression"),
        ({"outputs": "!"}, "Transform of 'Foo', output: not a Python expression"),
        ({"using": {"u": "!a b"}}, "Transform of 'Foo', using 'u': not a Python expression"),
        ({"defaults": {"d": "!a b"}}, "Transform of 'Foo', default 'd': not a Python expression"),
        ({"type": "!a b"}, "Transform of 'Foo', type: not a Python expression"),
        ({"name": "!a b"}, "Transform of 'Foo', name: not a Python expression"),
        ({"cond": {"!a b": "message"}}, "Transform of 'Foo', cond: not a Python expression"),
        ({"cond": "!a b"}, "Transform of 'Foo', cond: not a Python expression"),
        ({"cond": ["!a"]}, "Transform of 'Foo': 'cond' must be a dict of expression -> message"),
        ({"attribs": ["x"]}, "Transform of 'Foo': 'attribs' must be a dict"),
        ({"using": "!x"}, "Transform of 'Foo': 'using' must be a dict"),
        ({"type": 3}, "Transform of 'Foo': 'type' must be a str or None, not 3"),
        ({"type": ("a", "b")}, "Transform of 'Foo': 'type' must be a str or None, not ('a', 'b')"),
    ],
)
def test_mistakes_are_found_before_a_model_is_read(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(PluginError) as caught:
        Converter(custom_transforms={"Foo": copy_to(**fields)})
    assert where in str(caught.value)


@pytest.mark.parametrize("key", ["Foo", ("Foo", "Bar")])
def test_what_is_no_transform(key: Any) -> None:
    with pytest.raises(PluginError, match="expected a Transform for operator 'Foo', got 'bar'"):
        Converter(custom_transforms={key: "bar"})


# tables


def test_tuple_keys() -> None:
    text = "g (float[2] x) => (float[2] y) <float[2] t> { t = my.Foo(x) y = my.Bar(t) }"
    zipped = {("Foo", "Bar"): Transform(("foo", "bar"), inputs="!I[0]", outputs="!O[0]")}
    assert types(convert(text, custom_transforms=zipped)) == ["foo", "bar"]
    shared = {("Foo", "Bar"): copy_to(type="baz")}
    assert types(convert(text, custom_transforms=shared)) == ["baz", "baz"]
    with pytest.raises(PluginError, match="has 1 types for 2 operators"):
        Converter(custom_transforms={("Foo", "Bar"): Transform(("foo",))})


def test_statics_for_plugin_authors() -> None:
    first, second = Transform("a"), Transform("b")
    unpacked = Converter.unpack_transforms({("X", "Y"): Transform(("x", "y")), "Z": first})
    assert {key: transform.type for key, transform in unpacked.items()} == {"X": "x", "Y": "y", "Z": "a"}
    assert Converter.merge_transforms({"A": first, "B": first}, {"B": second}) == {"A": first, "B": second}
    assert Converter.merge_transforms({"A": first}, None) == {"A": first}
    assert Converter.merge_transforms(None, {"A": first}) == {"A": first}


def test_transforms_win_over_rules_and_ignore_the_domain() -> None:
    text = "g (float[2] x) => (float[2] y) { t = Relu(x) y = my.Relu(t) }"
    assert types(convert(text, custom_transforms={"Relu": copy_to()})) == ["bar", "bar"]

"""The engine: operators without a rule, mirrored or converted by plugins; their shapes and types."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnef_tools.conversion import Transform
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.io.onnx.reader import onnx_model_to_graph

from ..support.nnef_models import computing, types
from .plugin_models import convert, model, refusal

# mirrored operators


def test_mirror_unsupported() -> None:
    text = "g (float[2] x) => (float[2] y) <float[2] t> { t = my.Foo<alpha = 1.5>(x, x) y = Relu(t) }"
    graph = convert(text, mirror_unsupported=True)
    foo, relu = computing(graph)
    assert (foo.type, foo.custom, foo.attribs, len(foo.inputs)) == ("Foo", True, {"alpha": 1.5}, 2)
    assert isinstance(foo.inputs, tuple)
    assert relu.input is foo.output
    assert foo.output.shape == (2,)


def test_mirrored_operator_of_unknown_shape() -> None:
    text = "g (float[2,3] x) => (float[6] y) { t = my.Foo(x) y = Relu(t) }"
    error = refusal(text, mirror_unsupported=True)
    assert "shape of tensor 't' is not known (give the shape function of 'Foo' with custom_shapes=[..])" in str(error)
    shapes = {"Foo": lambda shape: [shape[0] * shape[1]]}
    for infer in (False, True):
        graph = convert(text, mirror_unsupported=True, custom_shapes=shapes, infer_shapes=infer)
        assert types(graph) == ["Foo", "relu"]
        assert graph.outputs[0].shape == (6,)


def test_copies_share_nothing_with_the_source() -> None:
    source = onnx_model_to_graph(model("g (float[2] x) => (float[2] y) { y = my.Foo<axes = [1]>(x) }"))
    graph = Converter(mirror_unsupported=True)(source)
    computing(graph)[0].attribs["extra"] = 1
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
    assert "shape of tensor 'y' is not known (give the shape function of 'bar' with custom_shapes=[..])" in str(error)


def test_shape_function_gives_the_shapes_before_output_helpers() -> None:
    """The function tells of the main operation; what squeeze makes of it follows."""
    text = "g (float[2,3] x) => (float[n] y) { y = my.Foo(x) }"
    transform = Transform("bar", inputs="!I[0]", outputs="!squeeze_output(O[0], [1])")
    options = {"custom_transforms": {"Foo": transform}, "infer_shapes": True}
    graph = convert(text, custom_shapes={"bar": lambda shape: [shape[0], 1]}, **options)
    assert [t.shape for op in computing(graph) for t in op.outputs] == [(2, 1), (2,)]
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
    assert [(op.type, op.outputs[0].dtype) for op in computing(graph)] == [
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
    assert [(op.type, op.outputs[0].dtype) for op in computing(graph)][:2] == [("Foo", np.int64), ("copy", np.int64)]
    assert converter.warnings == []

"""The helpers that plugin expressions call: values, what they create, and the set of their names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion import Transform
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError, NnefToolsError

from ..support.nnef_models import computing, types
from .plugin_models import convert, foo

NAMES = """
as_const as_tensor axis_ncx_to_nxc axis_nxc_to_ncx bias_add broadcast ceil_pads convert_padding convert_pads cxn_to_ncx
cxn_to_ncx_perm downsample_factor ensure_list ensure_positive ensure_scalar fixed_batch flexible_batch from_numpy
is_const is_integer_downsample is_integer_upsample is_unused is_zero limit_range lower_pads ncx_to_cxn ncx_to_cxn_perm
ncx_to_nxc ncx_to_nxc_perm ncx_to_xcn ncx_to_xcn_perm new_tensor nnef_dtype nxc_to_ncx nxc_to_ncx_perm squeeze_input
squeeze_output squeeze_shape tensor_mapping to_numpy transposing unsqueeze_input unsqueeze_output unsqueeze_shape
unsqueeze_vector upsample_factor xcn_to_ncx xcn_to_ncx_perm
"""


def test_set_of_names() -> None:
    """A public interface: nothing may vanish, and a new name would hide attributes of that name."""
    converter = Converter()
    assert sorted(converter.find_public_methods(converter)) == NAMES.split()
    assert len(NAMES.split()) == 48


def test_public_functions_of_a_module() -> None:
    import types as module_types

    module = module_types.ModuleType("plugin")
    vars(module).update(f=lambda converter: 1, _g=lambda converter: 2, C=Converter, builtin=len, x=1)
    assert sorted(Converter.find_public_functions(module)) == ["f"]


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("nxc_to_ncx((1, 8, 9, 3))", (1, 3, 8, 9)),
        ("nxc_to_ncx([1, 8, 9, 3])", [1, 3, 8, 9]),
        ("nxc_to_ncx([1, 8, 9, 3], False)", [1, 8, 9, 3]),
        ("nxc_to_ncx([1, 8, 9, 3], cond=True)", [1, 3, 8, 9]),
        ("ncx_to_nxc([1, 3, 8, 9])", [1, 8, 9, 3]),
        ("xcn_to_ncx([5, 6, 3, 8])", [8, 3, 5, 6]),
        ("ncx_to_xcn([8, 3, 5, 6])", [5, 6, 3, 8]),
        ("cxn_to_ncx([3, 5, 6, 8])", [8, 3, 5, 6]),
        ("ncx_to_cxn([8, 3, 5, 6])", [3, 5, 6, 8]),
        ("ncx_to_cxn((8, 3, 5, 6), cond=False)", (8, 3, 5, 6)),
        ("nxc_to_ncx_perm(4)", [0, 3, 1, 2]),
        ("ncx_to_nxc_perm(4)", [0, 2, 3, 1]),
        ("xcn_to_ncx_perm(4)", [3, 2, 0, 1]),
        ("ncx_to_xcn_perm(4)", [2, 3, 1, 0]),
        ("cxn_to_ncx_perm(4)", [3, 0, 1, 2]),
        ("ncx_to_cxn_perm(4)", [1, 2, 3, 0]),
        ("axis_nxc_to_ncx(-1, 4)", 1),
        ("axis_nxc_to_ncx([1, 2], 4)", [2, 3]),
        ("axis_nxc_to_ncx((0, -1), 4)", (0, 1)),
        ("axis_ncx_to_nxc(1, 4)", 3),
        ("ensure_positive(-1, 4)", 3),
        ("ensure_positive([-1, 0], 4)", [3, 0]),
        ("ensure_positive((-2, 1), 4)", (2, 1)),
        ("squeeze_shape((1, 3, 1, 4), [0, 2])", (3, 4)),
        ("squeeze_shape([1, 3], [0])", [3]),
        ("unsqueeze_shape((3, 4), [0, 2])", (1, 3, 1, 4)),
        ("unsqueeze_shape([3, 4], [2, 0])", [1, 3, 1, 4]),
        ("is_integer_upsample([2, 3], [4, 9])", True),
        ("is_integer_upsample([2, 3], [4, 8])", False),
        ("is_integer_downsample([4, 9], [2, 3])", True),
        ("is_integer_downsample([4, 8], [2, 3])", False),
        ("upsample_factor([2, 3], [4, 9])", [2, 3]),
        ("downsample_factor([4, 9], [2, 3])", [2, 3]),
        ("flexible_batch([4, -1], 4)", [0, -1]),
        ("flexible_batch((3, -1), 4)", [3, -1]),
        ("fixed_batch([0, -1], 4)", [4, -1]),
        ("from_numpy(np.array([[1, 2]], np.int8))", [[1, 2]]),
        ("from_numpy(np.array(1.5, np.float32))", 1.5),
        ("from_numpy(np.array([1.5]), int)", [1]),
        ("convert_padding([1, 2, 3, 4], 'NOTSET', None, 4)", [(0, 0), (0, 0), (1, 3), (2, 4)]),
        ("convert_padding([1, 2, 3, 4], 'SAME_LOWER', None, 4)", [(0, 0), (0, 0), (1, 3), (2, 4)]),
        ("convert_padding([1, 2, 3, 4], 'NOTSET', [1, 1], 4)", [(0, 0), (0, 0), (1, 2), (2, 3)]),
        ("convert_padding([1, 2], 'VALID', None, 3)", [(0, 0), (0, 0), (0, 0)]),
        ("convert_padding([1, 2], 'SAME_UPPER', None, 3)", []),
        ("convert_padding([1, 2], 'NOTSET', None, 3, [3])", [(0, 0), (0, 0), (1, 4)]),
        ("convert_pads([0, 1, 2, 3])", [(0, 2), (1, 3)]),
        ("lower_pads([8, 8], [3, 3], [4, 4], [2, 2], [1, 1])", [1, 1, 0, 0]),
        ("lower_pads([7], [3], [4], [2], [1])", [1, 1]),
        ("lower_pads([5], [4], [5], [1], [1])", [2, 1]),
        ("ceil_pads([(1, 2), (0, 0)], [2, 3])", [(1, 3), (0, 2)]),
        ("ensure_list([1])", [1]),
        ("ensure_list((1, 2))", [(1, 2)]),
        ("ensure_list(3)", [3]),
        ("ensure_scalar([3])", 3),
        ("ensure_scalar(3)", 3),
        ("limit_range(2**40)", 2**31 - 1),
        ("limit_range(-2**40)", -(2**31 - 1)),
        ("limit_range(5)", 5),
        ("nnef_dtype(np.float16)", "scalar"),
        ("nnef_dtype(np.uint8)", "integer"),
        ("nnef_dtype(np.bool_)", "logical"),
        ("transposing(I[0])", False),
        ("I[0].shape", (1, 3, 4)),
        ("[I[0].rank, I[0].dtype is np.float32, O[0].shape]", [3, True, (1, 3, 4)]),
    ],
)
def test_values(call: str, result: Any) -> None:
    transform = Transform("bar", inputs="!I[0]", outputs="!O[0]", attribs={"value": f"!{call}"})
    [op] = computing(foo(transform))
    assert op.attribs["value"] == result
    assert type(op.attribs["value"]) is type(result)


def test_to_numpy() -> None:
    converter = Converter()
    for value, dtype in ((1, np.int32), ([1.5], np.float32), (True, np.bool_), ("a", np.str_), ([], np.float32)):
        assert converter.to_numpy(value).dtype.type is dtype
    assert converter.to_numpy([1, 2], np.int8).tolist() == [1, 2]
    assert converter.to_numpy([[1], [2]]).shape == (2, 1)


def test_ensure_scalar_of_several() -> None:
    with pytest.raises(ConversionError, match=r"expected a single value, got \[1, 2\]"):
        Converter().ensure_scalar([1, 2])


CONSTANTS = """g (float[2] x) => (float[2] y) {
    a = Constant<value_ints = [1, 2]>()
    b = Constant<value_float = 0.0>()
    c = Constant<value_float = 1.5>()
    d = Add(c, c)
    y = my.Foo(x, a, b, c, d)
}"""


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("as_const(I[1])", [1, 2]),
        ("as_const(I[1], float)", [1.0, 2.0]),
        ("as_const(I[3])", 1.5),
        ("as_const(I[3], int)", 1),
        ("as_const(I[4])", 3.0),
        ("as_const(as_tensor([1, 2], np.int32))", [1, 2]),
        ("as_const(squeeze_input(as_tensor([[1, 2]], np.int32), [0]))", [1, 2]),
        ("[is_const(t) for t in I]", [False, True, True, True, True]),
        ("[is_const(t, np.int64) for t in I]", [False, True, False, False, False]),
        ("[is_zero(t) for t in I]", [False, False, True, False, False]),
        ("[t.data is None for t in I[:3]]", [True, False, False]),
    ],
)
def test_constants(call: str, result: Any) -> None:
    transform = Transform("bar", inputs="!I[0]", outputs="!O[0]", attribs={"value": f"!{call}"})
    op = computing(convert(CONSTANTS, custom_transforms={"Foo": transform}))[-1]
    assert op.attribs["value"] == result


def test_as_const_of_what_is_computed() -> None:
    transform = Transform("bar", inputs="!I[0]", outputs="!O[0]", attribs={"value": "!as_const(I[0])"})
    with pytest.raises(ConversionError, match="tensor 'x' is not constant"):
        foo(transform, inputs="float[2] x", outputs="float[2] y")


# what helpers create


def created(expression: str, inputs: str = "float[1,3,4] x, float[3] v") -> Any:
    """The operations that an input expression makes, and the shape that the main operation gets."""
    graph = foo(Transform("bar", inputs=("!I[0]", f"!{expression}"), outputs="!O[0]"), inputs=inputs)
    *made, bar = computing(graph)
    return [(op.type, op.attribs) for op in made], list(bar.inputs)[1].shape


def test_input_helpers() -> None:
    assert created("squeeze_input(I[0], [0])") == ([("squeeze", {"axes": [0]})], (3, 4))
    assert created("squeeze_input(I[0], (0,), keep_dims=False)") == ([("squeeze", {"axes": [0]})], (3, 4))
    assert created("squeeze_input(I[0], [0], True)") == ([], (1, 3, 4))
    assert created("squeeze_input(I[0], [])") == ([], (1, 3, 4))
    assert created("unsqueeze_input(I[0], [1, 2])") == ([("unsqueeze", {"axes": [1, 2]})], (1, 1, 1, 3, 4))
    assert created("unsqueeze_input(I[0], [1], keep_dims=True)") == ([], (1, 3, 4))
    assert created("unsqueeze_vector(I[1])") == ([("unsqueeze", {"axes": [0]})], (1, 3))
    assert created("broadcast(I[1], 3)") == ([("unsqueeze", {"axes": [0, 1]})], (1, 1, 3))
    assert created("broadcast(I[0], O[0].rank)") == ([], (1, 3, 4))
    assert created("broadcast(as_tensor(1.0, np.float32), 3)") == ([], ())
    assert created("as_tensor(1.0, np.float32, inline=True)") == ([], ())


def test_as_tensor() -> None:
    transform = Transform("bar", inputs=("!I[0]", "!as_tensor([[1, 2]], np.int32)"), outputs="!O[0]")
    graph = foo(transform)
    tensor = computing(graph)[-1].inputs[1]
    assert (tensor.shape, tensor.dtype, tensor.data.tolist()) == ((1, 2), np.int32, [[1, 2]])
    assert tensor.producer is not None
    assert tensor.producer.type == "variable"
    graph = foo(Transform("bar", inputs=("!I[0]", "!as_tensor([1], np.int32, inline=True)"), outputs="!O[0]"))
    assert computing(graph)[-1].inputs[1].data.tolist() == [1]


def test_unsqueeze_vector_of_a_constant() -> None:
    text = "g (float[2] x) => (float[2] y) { c = Constant<value_floats = [1.0, 2.0]>() y = my.Foo(x, c) }"
    transform = Transform("bar", inputs=("!I[0]", "!unsqueeze_vector(I[1])"), outputs="!O[0]")
    graph = convert(text, custom_transforms={"Foo": transform})
    assert types(graph) == ["bar"]
    assert computing(graph)[0].inputs[1].data.tolist() == [[1, 2]]


def test_new_tensor() -> None:
    transform = Transform("bar", inputs="!I[0]", outputs=("!O[0]", "!new_tensor([2, 5], np.int64)"))
    graph = foo(transform)
    [op] = computing(graph)
    assert (op.outputs[1].shape, op.outputs[1].dtype, op.outputs[1].name) == ((2, 5), np.int64, "bar2")


def test_bias_add() -> None:
    text = """g (float[2,3] x, float[3] b) => (float[2,3] y) {
        y = my.Foo(x, b)
    }"""
    transform = Transform("bar", inputs="!I[0]", outputs="!bias_add(O[0], unsqueeze_vector(I[1]))")
    graph = convert(text, custom_transforms={"Foo": transform})
    assert sorted(types(graph)) == ["add", "bar", "unsqueeze"]
    add = next(op for op in graph.operations if op.type == "add")
    assert [t.producer.type for t in add.inputs if t.producer] == ["bar", "unsqueeze"]
    assert add.output is graph.outputs[0]
    transform = Transform("bar", inputs="!I[0]", outputs="!bias_add(O[0], as_tensor(0.0, np.float32))")
    assert types(convert(text, custom_transforms={"Foo": transform})) == ["bar"]


def test_output_helpers_keep_dims() -> None:
    for helper in ("squeeze_output", "unsqueeze_output"):
        for arguments in ("[0], True", "[]"):
            assert types(foo(Transform("bar", inputs="!I[0]", outputs=f"!{helper}(O[0], {arguments})"))) == ["bar"]


def test_errors_are_ours() -> None:
    """A helper that is called wrongly gives an error that names operator and field."""
    for call in ("nxc_to_ncx(1)", "squeeze_input(I[0], [2])", "as_tensor(1)", "convert_padding([1], 'NOTSET', [], 3)"):
        with pytest.raises(NnefToolsError, match="operator 'Foo'"):
            foo(Transform("bar", inputs="!I[0]", outputs="!O[0]", using={"u": f"!{call}"}))

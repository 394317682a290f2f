"""What the converter for TensorFlow Lite refuses, what plugins can do about it, and its helpers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion import Transform
from nnef_tools.conversion.engine.rules import all_rules, find_rule
from nnef_tools.conversion.tflite.common import FUSING
from nnef_tools.conversion.tflite.to_nnef.loops import GET_ITEM, SET_ITEM
from nnef_tools.conversion.tflite.to_nnef.refused import REASONS
from nnef_tools.conversion.tflite_to_nnef import Converter
from nnef_tools.dialects.tflite.bridges import CUSTOM, INPUTS, bridges
from nnef_tools.dialects.tflite.schema import tflite_schema
from nnef_tools.errors import ConversionError
from nnef_tools.model import Graph, Operation, Tensor

from ...support.arrays import logicals, random
from ...support.lite_models import Argument, Fixed, operator_graph, read_back
from ...support.nnef_models import computing, types
from .checks import refusal

NAMES = """
activation as_const as_tensor axis_ncx_to_nxc axis_nxc_to_ncx beg_index bit_count convert_binarg convert_padding
convert_size cxn_to_ncx cxn_to_ncx_perm downsample_factor end_index ensure_list ensure_positive fixed_batch flat_list
flatten flexible_batch from_numpy is_bit_set is_const is_cxn is_integer_downsample is_integer_upsample is_nxc is_xcn
is_zero ncx_to_cxn ncx_to_cxn_perm ncx_to_nxc ncx_to_nxc_perm ncx_to_xcn ncx_to_xcn_perm needs_io_transpose new_tensor
nnef_dtype nxc_to_ncx nxc_to_ncx_perm replace_bit_with replace_item_with same_shape squeeze_input squeeze_output
squeeze_shape tensor_mapping to_numpy transpose_axis_like transpose_depthwise_filter transpose_filter transpose_input
transpose_like transpose_list_like transpose_output transposing undo_transpose unsqueeze_input unsqueeze_output
unsqueeze_shape unsqueeze_vector upsample_factor xcn_to_ncx xcn_to_ncx_perm
"""


def test_set_of_helpers() -> None:
    """A public interface: nothing may vanish, and a new name would hide options of that name."""
    converter = Converter()
    assert sorted(converter.find_public_methods(converter)) == NAMES.split()
    assert len(NAMES.split()) == 64


# tables


def test_tables_name_operators() -> None:
    known = set(tflite_schema().operators.values())
    assert {rule.type for rule in all_rules("tflite")} <= known
    made_of_loops = {GET_ITEM, SET_ITEM}
    assert set(bridges()) | set(INPUTS) <= known | made_of_loops
    assert set(REASONS) <= known
    assert all(find_rule("tf", name, 1) for name in CUSTOM)


def test_bridges_lead_to_rules_and_their_attributes() -> None:
    for builtin, bridge in bridges().items():
        rule = find_rule("tf", bridge.type, 1)
        assert rule is not None, builtin
        options = {field.name for field in tflite_schema().tables.get(tflite_schema().options.get(builtin, ""), ())}
        assert set(bridge.attributes) <= options, builtin
        assert {name for name in bridge.attributes.values() if name} <= set(rule.attributes), builtin


def test_every_operator_has_one_place() -> None:
    own = {rule.type for rule in all_rules("tflite")}
    assert not own & set(bridges())
    assert not (own | set(bridges())) & set(REASONS)


def test_every_operator_with_a_fused_activation() -> None:
    """Apart from the recurrent ones, which apply it inside."""
    schema = tflite_schema()
    option = "fused_activation_function"
    having = {n for n, table in schema.options.items() if option in {field.name for field in schema.tables[table]}}
    assert {name for name in having if not any(part in name for part in ("LSTM", "RNN", "SVDF"))} == FUSING


def test_defaults_are_those_of_the_files() -> None:
    """A file may leave out the options of an operator."""
    schema = tflite_schema()
    for rule in all_rules("tflite"):
        fields = {field.name: field.default for field in schema.tables.get(schema.options.get(rule.type, ""), ())}
        for name, parameter in inspect.signature(rule.function).parameters.items():
            if name in fields and parameter.default is not parameter.empty and parameter.default is not None:
                assert parameter.default == fields[name], f"{rule.type}.{name}"


def test_operator_without_options() -> None:
    graph = operator_graph("LEAKY_RELU", [random(3)], shapes=[(3,)])
    [op] = computing(Converter()(graph))
    assert op.attribs["alpha"] == 0.0
    graph = operator_graph(
        "ONE_HOT", [np.asarray([1, 0], np.int32), *map(Fixed, np.float32([3, 1, 0]))], shapes=[(3, 2)]
    )
    graph.operations[0].inputs[1].data = np.int32(3)
    assert Converter()(graph).outputs[0].shape == (3, 2)


# refusals

SHAPE = Fixed(np.asarray([2, 3], np.int32))

REFUSED: list[tuple[str, list[Argument], dict[str, Any], str]] = [
    ("RANDOM_UNIFORM", [SHAPE, random(1)], {}, "the result is random"),
    ("WHERE", [logicals(3)], {"dtypes": [np.int64]}, "which shows in that of output"),
    ("UNIQUE", [random(5)], {"dtypes": [np.float32, np.int32]}, "('x') must be a constant"),
    ("EMBEDDING_LOOKUP_SPARSE", [random(2)], {}, "NNEF has no sparse tensors"),
    ("STABLEHLO_CUSTOM_CALL", [random(2)], {}, "a plugin can convert it"),
]


@pytest.mark.parametrize(("type", "arguments", "options", "reason"), REFUSED)
def test_refused(type: str, arguments: list[Argument], options: dict[str, Any], reason: str) -> None:
    assert reason in refusal(type, *arguments, **options)


def test_complex_numbers() -> None:
    arguments = [random(4, 8), Fixed(np.asarray([4, 8], np.int32))]
    reason = refusal("RFFT2D", *arguments, dtypes=[np.complex64], shapes=[(4, 5)])
    assert "output 'y0' is complex, which NNEF tensors are not" in reason


def test_custom_operators() -> None:
    assert "a plugin can convert it" in refusal("MyOp", random(1, 6, 4), Fixed(random(6, 4)), custom=True)


def test_unknown_fused_activation() -> None:
    with pytest.raises(ConversionError):
        Converter()(operator_graph("ADD", [random(2), random(2)], shapes=[(2,)], fused_activation_function="SINE"))


# plugins


def converted(graph: Graph, **options: Any) -> Graph:
    return Converter(**options)(read_back(graph))


def test_plugin_for_a_builtin_operator() -> None:
    transform = Transform(
        "my_pool",
        inputs="!transpose_input(I[0])",
        outputs="!activation(transpose_output(O[0]), fused_activation_function)",
        attribs={"size": "![filter_height, filter_width]", "same": "!padding == 'SAME'", "lite": "!_lite_"},
    )
    options = {"filter_height": 2, "filter_width": 3, "stride_h": 1, "stride_w": 1, "padding": "SAME"}
    graph = operator_graph(
        "MAX_POOL_2D", [random(1, 4, 5, 2)], shapes=[(1, 4, 5, 2)], fused_activation_function="RELU6", **options
    )
    result = converted(graph, custom_transforms={"MAX_POOL_2D": transform})
    assert types(result) == ["transpose", "my_pool", "relu6", "transpose"]
    [op] = [op for op in computing(result) if op.type == "my_pool"]
    assert op.attribs == {"size": [2, 3], "same": True, "lite": True}
    assert op.output.shape == (1, 2, 4, 5)


def test_plugin_for_a_custom_operator() -> None:
    transform = Transform("scaled", inputs="!I[0]", outputs="!O[0]", attribs={"factor": "!factor"})
    graph = operator_graph("Scaled", [random(2, 3)], shapes=[(2, 3)], custom=True, factor=2.5)
    [op] = computing(converted(graph, custom_transforms={"Scaled": transform}))
    assert (op.type, op.attribs, op.output.shape) == ("scaled", {"factor": 2.5}, (2, 3))


def test_mirrored_custom_operator() -> None:
    """Options that are not a map are carried as the hexadecimal digits of their bytes."""
    graph = operator_graph("MyOp", [random(2, 3)], shapes=[(2, 3)], custom=True, custom_options=b"\x01\xff\x80")
    [op] = computing(converted(graph, mirror_unsupported=True))
    assert (op.type, op.custom, op.attribs) == ("MyOp", True, {"custom_options": "01ff80"})
    graph = operator_graph("MyOp", [random(2, 3)], shapes=[(2, 3)], custom=True, size=3, names=["a", "b"])
    [op] = computing(converted(graph, mirror_unsupported=True))
    assert op.attribs == {"size": 3, "names": ["a", "b"]}


def test_mirrored_builtin_operator() -> None:
    options = {"seed": 3, "seed2": 4, "shapes": [(2, 3)]}
    graph = operator_graph("RANDOM_UNIFORM", [np.asarray([2, 3], np.int32)], **options)
    [op] = computing(converted(graph, mirror_unsupported=True))
    assert (op.type, op.attribs) == ("RANDOM_UNIFORM", {"seed": 3, "seed2": 4})


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("flat_list([[1, 2], [3]])", [1, 2, 3]),
        ("flat_list(4)", [4]),
        ("same_shape(I[0], I[1])", True),
        ("same_shape(I[0], O[0])", False),
        ("as_const(I[1])[0]", [0.0, 1.0]),
        ("I[0].dtype is O[0].dtype", True),
    ],
)
def test_values_of_helpers(call: str, value: Any) -> None:
    constant = Fixed(np.arange(6, dtype=np.float32).reshape(3, 2))
    graph = operator_graph("MyOp", [random(3, 2), constant], shapes=[(6,)], custom=True)
    transform = Transform("bar", inputs="!I[0]", outputs="!O[0]", attribs={"value": f"!{call}"})
    [op] = computing(converted(graph, custom_transforms={"MyOp": transform}))
    assert op.attribs["value"] == value


def test_flatten() -> None:
    graph = operator_graph("MyOp", [random(2, 3, 4)], shapes=[(2, 12)], custom=True)
    transform = Transform("bar", inputs="!flatten(I[0])", outputs="!O[0]")
    result = converted(graph, custom_transforms={"MyOp": transform})
    assert types(result) == ["reshape", "bar"]
    assert computing(result)[1].inputs[0].shape == (2, 12)


@pytest.mark.parametrize("function", ["NONE", "RELU", "RELU6", "TANH", "ELU", "LOGISTIC", "SINE"])
def test_activation(function: str) -> None:
    graph = operator_graph("MyOp", [random(2, 3)], shapes=[(2, 3)], custom=True)
    transform = Transform("bar", inputs="!I[0]", outputs=f"!activation(O[0], '{function}')")
    if function == "SINE":
        with pytest.raises(ConversionError, match="activation function 'SINE' is not supported"):
            converted(graph, custom_transforms={"MyOp": transform})
        return
    names = {"RELU": ["relu"], "RELU6": ["relu6"], "TANH": ["tanh"], "ELU": ["elu"], "LOGISTIC": ["sigmoid"]}
    assert types(converted(graph, custom_transforms={"MyOp": transform})) == ["bar", *names.get(function, [])]


def test_half_precision_weights_keep_their_width() -> None:
    """There is no cast in the result, and the sidecar tells the type."""
    w = random(4, 6).astype(np.float16)
    graph = operator_graph("DEQUANTIZE", [Fixed(w)], shapes=[(4, 6)])
    x, bias = random(3, 6), random(4)
    source = Tensor(graph, "x", x.shape, np.float32)
    result = Tensor(graph, "result", (3, 4), np.float32)
    b = Tensor(graph, "bias", (4,), np.float32, bias)
    [weights] = graph.outputs
    Operation(graph, type="FULLY_CONNECTED", inputs=(source, weights, b), outputs=(result,))
    graph.inputs, graph.outputs = [source], [result]
    target = converted(graph)
    assert types(target) == ["linear"]
    [stored] = [op.output for op in target.operations if op.type == "variable" and op.output.shape == (4, 6)]
    assert stored.data.dtype == np.float16
    assert target.metadata["tensors"][stored.name]["dtype"] == "float16"

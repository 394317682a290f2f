"""NNEF to ONNX with plugins: the helper methods, and what becomes of names and data types."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nnef_tools.conversion import Transform
from nnef_tools.conversion.nnef_to_onnx import Converter
from nnef_tools.conversion.onnx_to_nnef import Converter as ToNNEF
from nnef_tools.errors import ConversionError
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph, Tensor

from ...support.nnef_models import nnef_graph
from ...support.onnx_models import run_onnx
from .checks import to_onnx

HELPERS = [
    "as_const",
    "as_tensor",
    "axis_ncx_to_nxc",
    "axis_nxc_to_ncx",
    "broadcast",
    "convert_auto_pad",
    "convert_output_padding",
    "convert_pads",
    "cxn_to_ncx",
    "cxn_to_ncx_perm",
    "downsample_factor",
    "ensure_positive",
    "fixed_batch",
    "flexible_batch",
    "from_numpy",
    "is_const",
    "is_integer_downsample",
    "is_integer_upsample",
    "is_zero",
    "ncx_to_cxn",
    "ncx_to_cxn_perm",
    "ncx_to_nxc",
    "ncx_to_nxc_perm",
    "ncx_to_xcn",
    "ncx_to_xcn_perm",
    "new_tensor",
    "nxc_to_ncx",
    "nxc_to_ncx_perm",
    "squeeze_input",
    "squeeze_output",
    "squeeze_shape",
    "squeeze_vector",
    "tensor_mapping",
    "to_numpy",
    "transposing",
    "unsqueeze_input",
    "unsqueeze_output",
    "unsqueeze_shape",
    "upsample_factor",
    "xcn_to_ncx",
    "xcn_to_ncx_perm",
]


def test_helper_names() -> None:
    assert sorted(Converter().find_public_methods(Converter())) == HELPERS
    assert len(HELPERS) == 41


def test_helper_values() -> None:
    converter = Converter()
    assert converter.convert_pads([(0, 0), (0, 0), (1, 2), (3, 4)], truncate=True) == [1, 3, 2, 4]
    assert converter.convert_pads([]) is None
    assert converter.convert_auto_pad([]) == "SAME_UPPER"
    assert converter.convert_auto_pad([(1, 1)]) == "NOTSET"
    arguments = ([1, 2, 4, 4], [2, 3, 3, 3], [1, 3, 8, 8], [(1, 1), (1, 1)], [2, 2], [1, 1], 1)
    assert converter.convert_output_padding(*arguments) == [1, 1]


def test_transform_with_helpers() -> None:
    """A plugin writes x * c and squeezes the result, with c aligned at the left."""
    seen = []

    def look(converter: Converter, tensor: Tensor) -> Tensor:
        seen.append((converter.is_const(tensor), converter.is_const(tensor, 2.0)))
        return tensor

    graph = nnef_graph("x = external(shape = [2, 3, 1]); c = external(shape = [2]); y = mul(x, c);")
    transforms = {
        "mul": Transform(
            type="Mul",
            inputs=("!look(I[0])", "!broadcast(I[1], 3)"),
            outputs="!unsqueeze_output(squeeze_output(O[0], [0]), [0])",
        )
    }
    _, model = to_onnx(graph, custom_transforms=transforms, custom_functions={"look": look})
    assert [node.op_type for node in model.graph.node] == ["Unsqueeze", "Mul", "Unsqueeze", "Squeeze"]
    x, c = np.ones((2, 3, 1), np.float32), np.array([1, 2], np.float32)
    np.testing.assert_array_equal(run_onnx(model, {"x": x, "c": c})[0][:, 0, 0], c)
    assert seen == [(False, False)]


def test_mirrored_operators_get_a_domain() -> None:
    graph = nnef_graph("x = external(shape = [2, 3]); y = relu(x);")
    graph.operations[1].type = "my_relu"
    with pytest.raises(ConversionError, match="my_relu"):
        Converter()(graph)
    _, model = to_onnx(graph, mirror_unsupported=True)
    assert [(node.op_type, node.domain) for node in model.graph.node] == [("my_relu", "nnef")]


def there_and_back(model: onnx.ModelProto) -> onnx.ModelProto:
    graph: Graph = ToNNEF()(onnx_model_to_graph(onnx.shape_inference.infer_shapes(model)))
    return to_onnx(graph)[1]


def test_names_of_the_source_model_come_back() -> None:
    """Inputs, outputs, weights (also those that NNEF has in another shape) and results."""
    random = np.random.default_rng(0)
    shapes = {"conv.w": (4, 3, 3, 3), "conv.b": (4,), "bn.s": (4,), "bn.o": (4,), "bn.m": (4,), "bn.v": (4,)}
    weights = {name: random.uniform(0.5, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["slope"] = random.uniform(0.5, 1, (4, 1, 1)).astype(np.float32)
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("Conv", ["input.1", "conv.w", "conv.b"], ["conv/out"], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["conv/out", "bn.s", "bn.o", "bn.m", "bn.v"], ["bn/out"]),
        make("PRelu", ["bn/out", "slope"], ["out/1"]),
        make("Identity", ["out/1"], ["out/2"]),
    ]
    outputs = [value(name, onnx.TensorProto.FLOAT, [1, 4, 8, 8]) for name in ("out/1", "out/2")]
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [value("input.1", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        outputs,
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    source = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    back = there_and_back(source)
    assert [item.name for item in back.graph.input] == ["input.1"]
    assert [item.name for item in back.graph.output] == ["out/1", "out/2"]
    assert {"conv/out", "bn/out"} <= {name for node in back.graph.node for name in node.output}
    stored = {item.name: onnx.numpy_helper.to_array(item) for item in back.graph.initializer}
    for name, array in weights.items():
        np.testing.assert_array_equal(stored[name].reshape(array.shape), array)
    assert stored["conv.b"].shape == (4,)
    x = random.standard_normal((1, 3, 8, 8)).astype(np.float32)
    for actual, wanted in zip(run_onnx(back, {"input.1": x}), run_onnx(source, {"input.1": x}), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)


def test_outputs_of_models_that_compute_in_narrow_types_keep_their_type() -> None:
    value = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Mul", ["w", "w"], ["v"]),
        onnx.helper.make_node("Gather", ["v", "i"], ["g"]),
        onnx.helper.make_node("Cast", ["g"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value("i", onnx.TensorProto.INT64, [2])],
        [value("y", onnx.TensorProto.FLOAT, [2, 300]), value("g", onnx.TensorProto.FLOAT16, [2, 300])],
        [onnx.numpy_helper.from_array(np.ones((5, 300), np.float16), "w")],
    )
    back = there_and_back(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]))
    types = {item.name: item.type.tensor_type.elem_type for item in back.graph.output}
    assert types == {"y": onnx.TensorProto.FLOAT, "g": onnx.TensorProto.FLOAT16}


def test_item_types_of_the_source_model_come_back() -> None:
    rows = np.arange(6000, dtype=np.float16).reshape(2, 3000)
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node, onnx.helper.make_node("Cast", ["i"], ["j"], to=onnx.TensorProto.INT8)],
        "g",
        [value("x", onnx.TensorProto.FLOAT16, [2, 3000]), value("i", onnx.TensorProto.UINT8, [2])],
        [value("y", onnx.TensorProto.FLOAT16, [2, 3000]), value("j", onnx.TensorProto.INT8, [2])],
        [onnx.numpy_helper.from_array(rows, "w")],
    )
    back = there_and_back(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]))
    types = {item.name: item.type.tensor_type.elem_type for item in (*back.graph.input, *back.graph.output)}
    proto = onnx.TensorProto
    assert types == {"x": proto.FLOAT16, "i": proto.UINT8, "y": proto.FLOAT16, "j": proto.INT8}
    assert {item.name: item.data_type for item in back.graph.initializer}["w"] == proto.FLOAT16
    x = np.ones((2, 3000), np.float16)
    y, _ = run_onnx(back, {"x": x, "i": np.zeros(2, np.uint8)})
    np.testing.assert_array_equal(y, x + rows)

"""NNEF to TensorFlow: operators, names, data types and layouts of the result. Nothing here needs TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.conversion import Transform
from nnef_tools.conversion.nnef_to_tf import Converter
from nnef_tools.conversion.tf_to_nnef import Converter as ToNNEF
from nnef_tools.dialects.tf.operators import find_operator
from nnef_tools.errors import ConversionError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.graphdef import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import verify
from nnef_tools.ops.inference import infer_graph

from ...support.nnef_cases import ALL, SEVERAL, X
from ...support.nnef_models import inputs_for, nnef_graph
from .checks_back import operators, written

HELPERS = {
    "as_bits", "as_const", "as_numpy", "as_tensor", "axis_ncx_to_nxc", "axis_nxc_to_ncx", "bias_add",
    "convert_binarg", "convert_explicit_paddings", "convert_padding", "convert_size", "cxn_to_ncx", "cxn_to_ncx_perm",
    "data_format", "downsample_factor", "ensure_positive", "fixed_batch", "flexible_batch", "from_numpy", "is_const",
    "is_integer_downsample", "is_integer_upsample", "is_nxc", "is_zero", "ncx_to_cxn", "ncx_to_cxn_perm", "ncx_to_nxc",
    "ncx_to_nxc_perm", "ncx_to_xcn", "ncx_to_xcn_perm", "needs_io_transpose", "new_tensor", "nxc_to_ncx",
    "nxc_to_ncx_perm", "out_of_range", "scale_output", "split_sizes", "squeeze_input", "squeeze_output",
    "squeeze_shape", "squeeze_vector", "tensor_mapping", "to_numpy", "transpose_axis_like",
    "transpose_depthwise_filter", "transpose_filter", "transpose_input", "transpose_like", "transpose_list_like",
    "transpose_output", "transposing", "undo_transpose", "unsqueeze_input", "unsqueeze_output", "unsqueeze_shape",
    "upsample_factor", "xcn_to_ncx", "xcn_to_ncx_perm",
}  # fmt: skip

CONV = "w = constant(shape = [4, 3, 3, 3], value = [0.5]); k = constant(shape = [1, 4], value = [1.0]); "
T = "Transpose"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("conv(x, w)", [T, "Conv2D", T]),
        ("conv(x, w, k, stride = [2, 2])", [T, "Conv2D", "BiasAdd", T]),
        ("conv(x, w, border = 'reflect', padding = [(1, 1), (1, 1)])", ["MirrorPad", T, "Conv2D", T]),
        ("max_pool(x, size = [1, 1, 3, 3], border = 'ignore')", [T, "MaxPool", T]),
        ("max_pool(x, size = [1, 1, 3, 3], border = 'constant')", ["Pad", T, "MaxPool", T]),
        ("avg_pool(x, size = [1, 1, 3, 3], border = 'ignore')", [T, "AvgPool", T]),
        ("area_downsample(x, factor = [3, 5])", [T, "AvgPool", T]),
        ("nearest_upsample(x, factor = [2, 3])", [T, "ResizeNearestNeighbor", T]),
        ("multilinear_upsample(x, factor = [2, 3])", [T, "ResizeBilinear", T]),
        ("local_response_normalization(x, size = [1, 5, 1, 1])", [T, "LRN", T]),
        ("batch_normalization(x, 0.5, 1.0, 2.0, 1.0, epsilon = 0.1)", [T, "FusedBatchNormV3", T]),
        ("softmax(x)", [T, "Softmax", T]),
        ("softmax(x, axes = [3])", ["Softmax"]),
        ("clamp(x, 0.0, 6.0)", ["Relu6"]),
        ("clamp(x, -1.0, 6.0)", ["ClipByValue"]),
        ("selu(x)", ["Selu"]),
        ("elu(x)", ["Elu"]),
        ("leaky_relu(x, alpha = 0.1)", ["LeakyRelu"]),
        ("mean_reduce(x, axes = [2, 3])", ["Mean"]),
        ("sum_reduce(x, axes = [2], normalize = true)", ["Mean"]),
        ("slice(x, axes = [2, 3], begin = [0, -1], end = [6, -6], stride = [2, -2])", ["StridedSlice"]),
        ("pad(x, padding = [(0, 0), (0, 0), (1, 1), (2, 0)], value = 1.5)", ["PadV2"]),
        ("unsqueeze(x, axes = [0])", ["ExpandDims"]),
        (
            "min_max_linear_quantize(x, -1.0, 1.0, bits = 8, signed = true, symmetric = true)",
            ["FakeQuantWithMinMaxArgs"],
        ),
    ],
)  # fmt: skip
def test_operators(call: str, expected: list[str]) -> None:
    graph = Converter()(nnef_graph(f"{X}{CONV}y = {call};"))
    verify(graph)
    assert operators(graph) == expected


@pytest.mark.parametrize(
    ("groups", "window", "operator"),
    [
        ("groups = 0", "", "DepthwiseConv2dNative"),
        ("groups = 0", ", stride = [2, 2]", "DepthwiseConv2dNative"),
        ("groups = 0", ", stride = [2, 1]", "Conv2D"),
        ("groups = 0", ", dilation = [2, 2]", "Conv2D"),
    ],
)
def test_depthwise_convolution(groups: str, window: str, operator: str) -> None:
    body = f"{X} w = constant(shape = [6, 1, 3, 3], value = [0.5]); y = conv(x, w, {groups}{window});"
    assert operators(Converter()(nnef_graph(body))) == [T, operator, T]


def test_padding_attributes() -> None:
    def attributes(call: str) -> dict[str, object]:
        graph = Converter()(nnef_graph(f"{X}{CONV}y = {call};"))
        return next(op.attribs for op in graph.operations if op.type == "Conv2D")

    assert attributes("conv(x, w)")["padding"] == "SAME"
    assert attributes("conv(x, w, padding = [(0, 0), (0, 0)])")["padding"] == "VALID"
    # SAME of 6 rows at stride 2 is (0, 1), of 5 columns (1, 1)
    assert attributes("conv(x, w, padding = [(0, 1), (1, 1)], stride = [2, 2])")["padding"] == "SAME"
    explicit = attributes("conv(x, w, padding = [(1, 1), (1, 1)], stride = [2, 2])")
    assert explicit["padding"] == "EXPLICIT"
    assert explicit["explicit_paddings"] == [0, 0, 1, 1, 1, 1, 0, 0]
    assert explicit["strides"] == [1, 2, 2, 1]


def test_every_graph_is_typed_and_read_back() -> None:
    """Attributes of types and numbers are those that the signatures ask for; files hold the same graph."""
    for declarations, call in ALL[::7]:
        graph = Converter()(nnef_graph(f"{declarations} y = {call};"))
        verify(graph)
        for op in graph.operations:
            operator = find_operator(str(op.type))
            assert operator is not None
            assert not isinstance(op.inputs, tuple)
            required = {name for name, item in operator.attributes.items() if not item.has_default}
            assert required <= op.attribs.keys(), op
            assert [t.dtype for t in op.outputs] == operator.output_types(op.attribs)[: len(op.outputs)], op


@pytest.mark.parametrize("options", [{}, {"data_format": "NCX"}], ids=["NXC", "NCX"])
def test_back_to_nnef(options: dict[str, str], tmp_path) -> None:  # type: ignore[no-untyped-def]
    """What is written, read and converted back computes the same; in both data formats."""
    cases = [(d, f"y = {c};", ["y"]) for d, c in ALL[::5]] + [(d, c, ["y", "q"]) for d, c in SEVERAL[:4]]
    for declarations, statement, outputs in cases:
        graph = nnef_graph(declarations + statement, outputs)
        feeds = inputs_for(graph)
        expected = make_executor(graph, backend="numpy").run(feeds)
        Writer()(Converter(**options)(graph), tmp_path / "model.pb")
        try:
            back = ToNNEF(keep_io_names=True)(Reader()(tmp_path / "model.pb"))
        except ConversionError as error:
            pytest.fail(f"{statement}: {error} {error.details}")
        found = make_executor(back, backend="numpy").run({t.name: feeds[t.name] for t in back.inputs})
        for name, wanted in expected.items():
            np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5, err_msg=statement)


def test_channels_second() -> None:
    body = f"{X}{CONV}y = max_pool(conv(x, w, k), size = [1, 1, 2, 2], stride = [1, 1, 2, 2], border = 'ignore');"
    graph = Converter(data_format="NCX")(nnef_graph(body))
    assert operators(graph) == ["Conv2D", "BiasAdd", "MaxPool"]
    assert {op.attribs["data_format"] for op in graph.operations if op.type not in ("Const", "Placeholder")} == {"NCHW"}
    assert graph.operations[-1].attribs["ksize"] == [1, 1, 2, 2]
    with pytest.raises(UsageError, match="data format 'NHWC'"):
        Converter(data_format="NHWC")


@pytest.mark.parametrize("selected", [True, ["x"], ["y"]])
def test_inputs_and_outputs_with_channels_last(selected: bool | list[str]) -> None:
    graph = Converter(io_transpose=selected)(nnef_graph(f"{X}{CONV}y = conv(x, w);"))
    assert graph.inputs[0].shape == ((2, 6, 5, 3) if selected in (True, ["x"]) else (2, 3, 6, 5))
    assert graph.outputs[0].shape == ((2, 6, 5, 4) if selected in (True, ["y"]) else (2, 4, 6, 5))
    assert (graph.inputs[0].name, graph.outputs[0].name) == ("x", "y")
    verify(graph)


def test_names() -> None:
    graph = nnef_graph(f"{X} [a, b] = split(x, axis = 1, ratios = [1, 2]); c = relu(a);", ["c", "b"])
    graph.metadata["tensors"] = {"c": {"source": "/net/out:0"}, "x": {"source": "in put"}}
    converter = Converter()
    result = converter(graph)
    assert [t.name for t in result.inputs] == ["in_put"]
    assert [t.name for t in result.outputs] == ["t/net/out", "b"]  # the second result of a node has no name of its own
    split = next(op for op in result.operations if op.type == "SplitV")
    assert (split.name, [t.name for t in split.outputs]) == ("a", ["a", "a:1"])
    assert converter.tensor_mapping() == {"x": "in_put", "a": "a", "b": "b", "c": "t/net/out"}
    graph.metadata["tensors"] = {"a": {"source": "split"}, "b": {"source": "split:1"}}
    result = Converter()(graph)
    assert [t.name for t in result.outputs] == ["c", "split:1"]
    assert "Identity" not in operators(result)


def test_names_are_unique() -> None:
    graph = nnef_graph(f"{X} y = relu(x); q = copy(y); r = copy(y);", ["y", "q", "r"])
    graph.metadata["tensors"] = {name: {"source": "same"} for name in "yqr"}
    result = Converter()(graph)
    assert [t.name for t in result.outputs] == ["same", "same_1", "same_2"]
    assert len({op.name for op in result.operations}) == len(result.operations)


def test_an_output_that_is_an_input_or_constant() -> None:
    graph = nnef_graph(f"{X} c = constant(shape = [2], value = [1.0, 2.0]); y = relu(x);", ["c", "y"])
    graph.outputs = [graph.inputs[0], *graph.outputs, graph.outputs[1]]
    result = Converter()(graph)
    verify(result)
    assert operators(result).count("Identity") == 3
    assert written(result)


def test_data_types_of_the_original_model() -> None:
    graph = nnef_graph("x = external(shape = [2, 3]); i = external<integer>(shape = [2]); y = gather(x, i);")
    graph.metadata["tensors"] = {"x": {"dtype": "float16"}, "i": {"dtype": "int32"}, "y": {"dtype": "float16"}}
    result = Converter()(graph)
    assert [t.dtype for t in result.inputs] == [np.float16, np.int32]
    assert result.outputs[0].dtype is np.float16
    assert operators(result) == ["Cast", "Cast", "GatherV2", "Cast"]


def test_double_precision() -> None:
    norm = "b = batch_normalization(x, 0.5, 1.0, 2.0, 1.0, epsilon = 0.1); "
    graph = nnef_graph(f"{X} {norm} y = local_response_normalization(b, size = [1, 3, 1, 1]);")
    graph.metadata["tensors"] = {"x": {"dtype": "float64"}, "y": {"dtype": "float64"}}
    result = Converter()(graph)
    assert not {"LRN", "FusedBatchNormV3"} & set(operators(result))
    assert {op.attribs["T"] for op in result.operations if "T" in op.attribs} == {np.float64}


def test_quantization_of_results() -> None:
    graph = nnef_graph(f"{X} y = relu(x);")
    quant = {"scale": 0.1, "zero_point": 3, "bits": 8, "signed": False, "symmetric": False}
    graph.outputs[0].quant = {"op-name": "zero_point_linear_quantize", **quant}
    result = Converter()(graph)
    assert operators(result) == ["Relu", "FakeQuantWithMinMaxArgs"]
    assert result.outputs[0].name == "y"
    attribs = result.operations[-1].attribs
    assert (attribs["min"], attribs["max"]) == pytest.approx((-0.3, 25.2))


def test_quantized_constants() -> None:
    graph = nnef_graph("x = external(shape = [2, 2]); v = variable(shape = [2, 2], label = 'v'); y = x + v;")
    tensor = graph.operations[1].output
    tensor.data = np.array([[0, 1], [2, 255]], np.uint8)
    tensor.quant = {"op-name": "zero_point_linear_quantize", "scale": 0.5, "zero_point": 1, "bits": 8, "signed": False,
                    "symmetric": False}  # fmt: skip
    converter = Converter()
    constant = next(op for op in converter(graph).operations if op.type == "Const")
    assert constant.attribs["value"].tolist() == [[-0.5, 0.0], [0.5, 127.0]]
    assert any("not quantized any more" in warning for warning in converter.warnings)


def test_ties_are_warned_of() -> None:
    converter = Converter()
    converter(nnef_graph(f"{X} y = argmax_reduce(x, axes = [1]);"))
    assert any("equal elements" in warning for warning in converter.warnings)


def test_refusals() -> None:
    graph = nnef_graph("x = external(shape = [2]); v = variable(shape = [2], label = 'v'); y = update(v, x);")
    graph.operations[1].output.data = np.zeros(2, np.float32)
    with pytest.raises(ConversionError, match="keeps no state"):
        Converter()(graph)
    graph = nnef_graph(
        "x = external(shape = [1, 1, 2, 2, 2, 2]); w = external(shape = [1, 1, 1, 1, 1, 1]); y = conv(x, w);"
    )
    with pytest.raises(ConversionError, match="4 spatial dimensions"):
        Converter()(graph)


# plugins


def _custom_graph() -> Graph:
    graph = nnef_graph(f"{X} y = relu(x);")
    op = graph.operations[-1]
    op.type, op.custom, op.attribs = "shuffle", True, {"groups": 2}
    return graph


def test_custom_operations_are_mirrored() -> None:
    with pytest.raises(ConversionError, match="shuffle"):
        Converter()(_custom_graph())
    result = Converter(mirror_unsupported=True)(_custom_graph())
    op = result.operations[-1]
    assert (op.type, op.custom, op.attribs, op.name) == ("shuffle", True, {"groups": 2}, "y")
    assert b"PyFunc" in written(result)


def test_helper_names() -> None:
    converter = Converter()
    assert set(converter.find_public_methods(converter)) == HELPERS
    assert len(HELPERS) == 58


def test_helper_values() -> None:
    nxc, ncx = Converter(), Converter(data_format="NCX")
    assert nxc.is_nxc()
    assert not ncx.is_nxc()
    assert [nxc.data_format(k) for k in (1, 2, 3, 4)] == ["NWC", "NHWC", "NDHWC", "NXC"]
    assert [ncx.data_format(k) for k in (1, 2, 3)] == ["NCW", "NCHW", "NCDHW"]
    assert [nxc.convert_padding(p) for p in ([], [(0, 0)], [(0, 1)])] == ["SAME", "VALID", "EXPLICIT"]
    assert nxc.convert_explicit_paddings([(1, 2), (3, 4)]) == [0, 0, 1, 2, 3, 4, 0, 0]
    assert ncx.convert_explicit_paddings([(1, 2), (3, 4)]) == [0, 0, 0, 0, 1, 2, 3, 4]
    assert nxc.convert_explicit_paddings([]) is None
    assert nxc.convert_explicit_paddings([(0, 0)]) is None
    assert (nxc.convert_size([2, 3]), nxc.convert_size((2, 3))) == ([1, 2, 3, 1], (1, 2, 3, 1))
    assert ncx.convert_size([2, 3]) == [1, 1, 2, 3]
    assert nxc.split_sizes([1, 2], 9) == [3.0, 6.0]
    assert nxc.as_bits([1, 0, 1]) == 5
    assert (nxc.out_of_range(-3, 3), nxc.out_of_range(2, 3)) == (True, False)
    assert nxc.as_numpy([1, 2]).tolist() == [1, 2]


def test_transform_with_helpers() -> None:
    """A plugin writes a convolution with channels last, a bias and a factor by the helpers."""
    seen: dict[str, object] = {}

    def look(converter: Converter, x: Tensor) -> str:
        seen["transposing"] = converter.transposing(x)
        seen["axis"] = converter.transpose_axis_like(1, x)
        seen["list"] = converter.transpose_list_like([1, 2, 3, 4], x)
        return "Conv2D"

    transform = Transform(
        type="!look(I[0])",
        inputs=("!transpose_input(transpose_like(undo_transpose(I[0]), I[0]))", "!transpose_filter(I[1])"),
        outputs="!transpose_output(scale_output(O[0], 2.0))",
        attribs={
            "strides": "!convert_size(stride or [1, 1])",
            "padding": "!convert_padding(padding)",
            "data_format": "!data_format(I[0].rank - 2)",
            "T": "!I[0].dtype",
        },
    )
    body = f"{X} w = external(shape = [4, 3, 3, 3]); y = conv(x, w);"
    result = Converter(custom_transforms={"conv": transform}, custom_functions={"look": look})(nnef_graph(body))
    verify(result)
    assert operators(result) == [T, T, "Conv2D", T, "Mul"]
    assert seen == {"transposing": False, "axis": 1, "list": [1, 2, 3, 4]}
    reference = Converter()(nnef_graph(f"{body} z = y * 2.0;", ["z"]))
    feeds = inputs_for(nnef_graph(body))
    found, wanted = (_computed(graph, feeds) for graph in (result, reference))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def _computed(graph: Graph, feeds: dict[str, np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
    back = ToNNEF(keep_io_names=True)(graph)
    infer_graph(back)
    (result,) = make_executor(back, backend="numpy").run({t.name: feeds[t.name] for t in back.inputs}).values()
    return result


def test_helpers_that_build() -> None:
    converter = Converter()
    converter(nnef_graph(f"{X} y = relu(x);"))
    graph = converter._target
    x = Tensor(graph, "v", (1, 4), np.float32)
    assert converter.squeeze_vector(x).shape == (4,)
    assert converter.convert_binarg(x, Tensor(graph, "o", (1, 4, 2, 2), np.float32)).shape == (1, 4, 1, 1)
    filter = Tensor(graph, "f", (6, 1, 3, 2), np.float32)
    assert converter.transpose_depthwise_filter(filter, 3).shape == (3, 2, 3, 2)
    assert converter.transpose_filter(filter, "NXC").shape == (6, 3, 2, 1)
    assert converter.transpose_filter(filter, "CXN").shape == (1, 3, 2, 6)
    assert converter.unsqueeze_input(x, [0]).shape == (1, 1, 4)
    assert converter.squeeze_input(x, [0]).shape == (4,)
    y = Tensor(graph, "y", (2, 4), np.float32)
    fresh = converter.unsqueeze_output(converter.squeeze_output(y, [1]), [0])
    assert fresh.shape == (1, 4)
    biased = converter.bias_add(Tensor(graph, "z", (2, 4), np.float32), Tensor(graph, "b", (4,), np.float32))
    assert biased.consumers[0].type == "BiasAdd"
    zero = Tensor(graph, None, (), np.float32, np.zeros((), np.float32))
    assert converter.bias_add(y, zero) is y
    assert isinstance(fresh.consumers[0], Operation)

"""QuantizeLinear and DequantizeLinear become quantized tensors of NNEF, with the same codes, and come back.

onnxruntime without optimizations is the reference. Random values hit no ties, so results are equal but for rounding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

import nnef_tools
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.execution import make_executor
from nnef_tools.io.nnef import Reader
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.optimization.nnef_optimizer import Optimizer

from ...support.arrays import Array
from ...support.onnx_models import run_unoptimized
from .checks import check, convert, to_onnx
from .qdq_models import (
    INTEGERS,
    NARROW,
    check_round_trip,
    dequantize,
    dequantizers,
    entries,
    node,
    qdq_model,
    quantize,
    stored,
    written,
)

# constant codes


def weights_model(codes: Array, scale: Any, zero: Any, axis: int | None = None, opset: int = 21) -> ModelProto:
    """x + codes that are dequantized."""
    attribs = {} if axis is None else {"axis": axis}
    constants = {"w": codes, "s": np.asarray(scale, np.float32), "z": np.asarray(zero).astype(codes.dtype)}
    nodes = [dequantize("w", "r", **attribs), node("Add", ["x", "r"], ["y"])]
    return qdq_model(nodes, constants, {"x": codes.shape}, opset=opset)


def random_codes(dtype: Any, *shape: int) -> Array:
    info = ml_dtypes.iinfo(dtype)
    return np.random.default_rng(0).integers(int(info.min), int(info.max) + 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [*INTEGERS, np.int32, *NARROW])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_codes_of_all_widths_are_stored(dtype: Any, axis: int | None, tmp_path: Path, random: Any) -> None:
    codes = random_codes(dtype, 3, 5)
    count = 1 if axis is None else codes.shape[axis]
    scale = np.linspace(0.01, 0.5, count, dtype=np.float32)
    zero = np.zeros(count, int) if dtype is np.int32 else np.arange(count) % 2
    if axis is None:
        scale, zero = scale.reshape(()), zero.reshape(())
    model = weights_model(codes, scale, zero, axis, opset=25 if dtype in NARROW[2:] else 21)
    converted = Converter()(onnx_model_to_graph(model))
    [read] = [op.output for op in written(converted, tmp_path).operations if op.type == "variable"]
    assert [op.type for op in converted.operations] == ["external", "variable", "add"]
    assert read.quant is not None and read.quant["op-name"] == "zero_point_linear_quantize"
    info = ml_dtypes.iinfo(dtype)
    assert (read.quant["bits"], read.quant["signed"]) == (info.bits, int(info.min) < 0)
    assert not read.quant["symmetric"]
    np.testing.assert_array_equal(np.asarray(read.data), codes.astype(int))
    header = (tmp_path / "variable1.dat").read_bytes()[:52]
    assert (header[44], header[48]) == (info.bits, 3 if int(info.min) < 0 else 2)  # bits and item type

    x = random(3, 5)
    shape = [-1 if k == (axis or 0) % 2 else 1 for k in range(2)] if axis is not None else []
    values = (codes.astype(np.float64) - zero.reshape(shape)) * scale.reshape(shape)
    for backend in ("numpy", "torch", "onnxruntime"):
        executor = make_executor(tmp_path, format="nnef", backend=backend)
        [y] = executor.run({executor.inputs[0].name: x}).values()
        np.testing.assert_allclose(y, x + values.astype(np.float32), rtol=1e-6, atol=1e-6)

    _, back = to_onnx(Reader()(tmp_path))
    assert dequantizers(back) == dequantizers(model)
    assert stored(back)["w"].dtype == dtype
    again = Converter()(onnx_model_to_graph(back))
    assert entries(again) == entries(Reader()(tmp_path))


def test_parameters_per_axis_are_broadcast_from_the_left() -> None:
    codes = random_codes(np.int8, 4, 3, 2)
    for axis, shape in ((0, (4,)), (1, (1, 3)), (2, (1, 1, 2))):
        count = codes.shape[axis]
        model = weights_model(codes, np.arange(1, count + 1) / 8, np.arange(count), axis)
        [quant] = [op.output.quant for op in convert(model, [np.zeros(codes.shape, np.float32)]).graph.operations[1:2]]
        assert quant["scale"].shape == quant["zero_point"].shape == shape


def test_the_convolution_of_a_quantized_network(tmp_path: Path, random: Any) -> None:
    """Filter per output channel, bias `[1, C]` in NNEF, in units of the scales' product; both as they were again."""
    filter_scale = np.array([0.01, 0.02, 0.03, 0.04], np.float32)
    constants = {
        "w": random_codes(np.int8, 4, 3, 3, 3), "s": filter_scale, "z": np.zeros(4, np.int8),
        "k": np.arange(-2, 2, dtype=np.int32) * 1000, "t": filter_scale / 100, "u": np.zeros(4, np.int32),
    }  # fmt: skip
    nodes = [
        dequantize("w", "wr", axis=0),
        dequantize("k", "kr", "t", "u", axis=0),
        node("Conv", ["x", "wr", "kr"], ["y"], pads=[1, 1, 1, 1]),
    ]
    model = qdq_model(nodes, constants, {"x": [2, 3, 5, 5]})
    result = check(model, [random(2, 3, 5, 5)], ops=["conv"], rtol=1e-4, atol=1e-4)
    shapes = [(op.output.shape, op.output.quant["scale"].shape) for op in result.graph.operations[1:3]]
    assert shapes == [((4, 3, 3, 3), (4,)), ((1, 4), (1, 4))]
    assert not {"w", "k"} & set(result.converter.tensor_mapping())  # codes there, real values here
    _, back = to_onnx(written(result.graph, tmp_path))
    assert [op.op_type for op in back.graph.node] == ["DequantizeLinear", "DequantizeLinear", "Conv"]
    assert dequantizers(back) == dequantizers(model)
    assert {"w", "k"} <= set(stored(back))


def test_other_shapes_of_constants_keep_their_codes(random: Any) -> None:
    """Transpose and alignment move the codes of small and large constants; a matrix keeps rank 2 on the way back."""
    for rows in (4, 600):
        constants = {"w": random_codes(np.uint8, rows, 3), "s": np.linspace(0.1, 0.2, rows, dtype=np.float32),
                     "z": np.arange(rows).astype(np.uint8)}  # fmt: skip
        nodes = [
            dequantize("w", "r", axis=0),
            node("Transpose", ["r"], ["t"], perm=[1, 0]),
            node("MatMul", ["x", "t"], ["y"]),
        ]
        model = qdq_model(nodes, constants, {"x": [2, 5, 3]})
        result = check(model, [random(2, 5, 3)], ops=["matmul"], rtol=1e-4, atol=1e-3)
        assert result.graph.operations[1].output.shape == (1, 3, rows)
        _, back = to_onnx(result.graph)
        assert [op.op_type for op in back.graph.node] == ["DequantizeLinear", "MatMul"]
        np.testing.assert_array_equal(stored(back)["w"], constants["w"].T)


def test_a_reshape_that_splits_the_axis_is_an_operation(random: Any) -> None:
    for rows in (6, 600):
        constants = {"w": random_codes(np.int8, rows, 4), "s": np.linspace(0.1, 0.2, rows, dtype=np.float32),
                     "z": np.zeros(rows, np.int8), "n": np.array([2, -1, 4])}  # fmt: skip
        nodes = [dequantize("w", "r", axis=0), node("Reshape", ["r", "n"], ["t"]), node("Add", ["x", "t"], ["y"])]
        model = qdq_model(nodes, constants, {"x": [2, rows // 2, 4]})
        result = check(model, [random(2, rows // 2, 4)])
        assert result.ops == (["add"] if rows == 6 else ["reshape", "add"])  # small ones fold
        check_round_trip(result.graph, [random(2, rows // 2, 4)])


def test_single_items_keep_their_codes(random: Any) -> None:
    for shape in ((), (1,), (1, 1)):
        model = weights_model(np.full(shape, 7, np.int8), 0.5, 1)
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]))
        result = check(model, [random(2, 3)], ops=["add"])
        [variable] = [op.output for op in result.graph.operations if op.type == "variable"]
        assert np.asarray(variable.data).reshape(-1).tolist() == [7]
        _, back = to_onnx(result.graph)
        assert dequantizers(back)[0][1:] == ([0.5], [1], None)


def test_rules_that_ask_for_numbers_get_real_ones(random: Any) -> None:
    constants = {"w": np.int8(-20), "v": np.int8(30), "s": np.float32(0.1), "z": np.int8(3)}
    nodes = [dequantize("w", "low"), dequantize("v", "high"), node("Clip", ["x", "low", "high"], ["y"])]
    check(qdq_model(nodes, constants, {"x": [2, 3]}), [random(2, 3) * 5], ops=["clamp"])
    shape = {"w": np.array([2, 3, 1], np.int8), "s": np.float32(1), "z": np.int8(0)}
    nodes = [dequantize("w", "r"), node("Cast", ["r"], ["n"], to=7), node("Reshape", ["x", "n"], ["y"])]
    check(qdq_model(nodes, shape, {"x": [2, 3]}), [random(2, 3)], ops=["reshape"])


def test_shared_codes_are_one_variable(random: Any) -> None:
    constants = {"w": random_codes(np.int8, 3, 3), "s": np.float32(0.1), "z": np.int8(3)}
    nodes = [
        dequantize("w", "a"),
        dequantize("w", "b"),
        node("MatMul", ["x", "a"], ["m"]),
        node("MatMul", ["m", "b"], ["y"]),
    ]
    result = check(qdq_model(nodes, constants, {"x": [2, 3]}), [random(2, 3)], ops=["matmul", "matmul"], rtol=1e-4)
    assert [op.type for op in result.graph.operations].count("variable") == 1


def test_blocks_and_small_floats_stay_arithmetic(random: Any) -> None:
    constants = {
        "w": random_codes(np.int8, 4, 3),
        "s": np.full((2, 3), 0.5, np.float32),
        "z": np.zeros((2, 3), np.int8),
    }
    nodes = [dequantize("w", "r", axis=0, block_size=2), node("Add", ["x", "r"], ["y"])]
    assert not entries(convert(qdq_model(nodes, constants, {"x": [4, 3]}), [random(4, 3)]).graph)
    small = np.ones((4, 3), ml_dtypes.float8_e4m3fn)
    constants = {"w": small, "s": np.float32(0.5), "z": np.zeros((), ml_dtypes.float8_e4m3fn)}
    nodes = [dequantize("w", "r"), node("Add", ["x", "r"], ["y"])]
    result = convert(qdq_model(nodes, constants, {"x": [4, 3]}), [np.zeros((4, 3), np.float32)])
    assert not entries(result.graph)
    np.testing.assert_allclose(result.outputs[0], 0.5)


def test_real_weights_that_the_model_quantizes_are_stored_as_codes(random: Any) -> None:
    """Also at ties: the codes are those of QuantizeLinear."""
    weights = np.array([[-0.5, 0.5, 1.5], [2.5, 300, -300], [0.2, 0.7, 1e-9]], np.float32)
    constants = {"w": weights, "s": np.float32(1), "z": np.uint8(4)}
    nodes = [quantize("w", "q"), dequantize("q", "r"), node("MatMul", ["x", "r"], ["y"])]
    result = check(qdq_model(nodes, constants, {"x": [2, 3]}), [random(2, 3)], ops=["matmul"], rtol=1e-4)
    data = np.asarray(result.graph.operations[1].output.data)
    assert data.dtype == np.uint8
    assert data.tolist() == [[4, 4, 6], [6, 255, 0], [4, 5, 4]]
    assert not result.converter.warnings


# activations


def pair_model(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str] = ("y",), **constants: Any) -> ModelProto:
    known = {"s": np.float32(0.037), "z": np.int8(-5), **constants}
    return qdq_model(nodes, known, {"x": [2, 3, 4]}, outputs)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("axis", [None, 1, -1, 0])
def test_pairs_are_entries(dtype: Any, axis: int | None, tmp_path: Path, random: Any) -> None:
    """Input, inner tensor and output: three pairs, no operation of its own."""
    x = random(2, 3, 4)
    count = 1 if axis is None else x.shape[axis]
    scale, zero = np.linspace(0.01, 0.03, count, dtype=np.float32), (np.arange(count) + 3).astype(dtype)
    if axis is None:
        scale, zero = scale.reshape(()), zero.reshape(())
    attribs = {} if axis is None else {"axis": axis}
    nodes: list[onnx.NodeProto] = []
    for source, target in (("x", "xr"), ("a", "ar"), ("b", "y")):
        nodes += [quantize(source, f"{source}q", **attribs), dequantize(f"{source}q", target, **attribs)]
    nodes[2:2] = [node("Sin", ["xr"], ["a"])]
    nodes[5:5] = [node("Neg", ["ar"], ["b"])]
    model = pair_model(nodes, s=scale, z=zero)
    result = check(model, [x], ops=["sin", "neg"])
    assert len(entries(result.graph)) == 3
    assert not [w for w in result.converter.warnings if "ties" in w]
    read = written(result.graph, tmp_path)
    assert entries(read) == entries(result.graph)
    back = check_round_trip(read, [x])
    assert [op.op_type for op in back.graph.node] == [op.op_type for op in model.graph.node]
    assert entries(Converter()(onnx_model_to_graph(back))) == entries(read)
    for backend in ("numpy", "torch", "onnxruntime"):
        executor = make_executor(tmp_path, format="nnef", backend=backend)
        [y] = executor.run({executor.inputs[0].name: x}).values()
        np.testing.assert_allclose(y, run_unoptimized(model, {"x": x})[0], atol=1e-6)


def test_ties_are_rounded_to_even_as_the_sidecar_says() -> None:
    x = (np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 12) / 2
    model = pair_model([quantize("x", "q"), dequantize("q", "r"), node("Neg", ["r"], ["y"])], s=np.float32(1))
    result = convert(model, [x])
    errors = np.abs(result.outputs[0] - run_unoptimized(model, {"x": x})[0])
    assert errors.max() == 0
    np.testing.assert_array_equal(result.outputs[0], -np.rint(x))


def test_a_tensor_that_is_read_as_it_was_is_copied(random: Any) -> None:
    nodes = [
        node("Sin", ["x"], ["a"]), quantize("a", "q"), dequantize("q", "r"),
        node("Identity", ["a"], ["other"]), node("Sub", ["other", "r"], ["y"]),
    ]  # fmt: skip
    result = check(pair_model(nodes), [random(2, 3, 4)], ops=["sin", "copy", "sub"])
    assert [bool(op.output.quant) for op in result.graph.operations] == [False, False, True, False]
    check_round_trip(result.graph, [random(2, 3, 4)])


def test_inputs_that_are_outputs_and_outputs_that_are_read(random: Any) -> None:
    nodes = [quantize("x", "q"), dequantize("q", "y"), node("Neg", ["x"], ["n"]), node("Sin", ["y"], ["v"])]
    result = check(
        pair_model(nodes, ["y", "n", "v"]), [random(2, 3, 4)], ops=["copy", "neg", "sin"], keep_io_names=True
    )
    assert [t.name for t in result.graph.tensors if t.quant] == ["y"]
    only = [quantize("x", "q"), dequantize("q", "y")]
    result = check(pair_model(only), [random(2, 3, 4)], ops=["copy"])
    mapping = result.converter.tensor_mapping()
    assert mapping["x"] != mapping["y"]


def test_several_readers_share_the_rounded_tensor(random: Any) -> None:
    nodes = [
        quantize("x", "q"), dequantize("q", "a"), dequantize("q", "b"), node("Sin", ["a"], ["c"]),
        node("Mul", ["b", "c"], ["y"]),
    ]  # fmt: skip
    result = check(pair_model(nodes), [random(2, 3, 4)], ops=["sin", "mul"])
    assert result.graph.inputs[0].quant


def test_two_roundings_in_a_row_are_two_tensors(random: Any) -> None:
    nodes = [
        quantize("x", "q"), dequantize("q", "a"),
        node("QuantizeLinear", ["a", "t", "z"], ["p"]), dequantize("p", "y", "t"),
    ]  # fmt: skip
    result = check(pair_model(nodes, t=np.float32(0.1)), [random(2, 3, 4)], ops=["copy"])
    assert [e["scale"] for e in entries(result.graph)] == pytest.approx([0.037, 0.1])


@pytest.mark.parametrize(
    ("nodes", "outputs", "constants"),
    [
        ([quantize("x", "q"), dequantize("q", "y")], ["y", "q"], {}),  # codes are a result
        ([quantize("x", "q"), dequantize("q", "y", "t")], ["y"], {"t": np.float32(0.5)}),  # other scale
        ([quantize("x", "q"), dequantize("q", "y", "s", "t")], ["y"], {"t": np.int8(3)}),  # other zero point
        (
            [quantize("x", "q"), dequantize("q", "r"), node("Cast", ["q"], ["c"], to=1),
             node("Add", ["r", "c"], ["y"])],
            ["y"],
            {},
        ),
        (
            [quantize("x", "q", axis=0), dequantize("q", "r", axis=1), node("Neg", ["r"], ["y"])],
            ["y"],
            {"s": np.ones(2, np.float32), "z": np.zeros(2, np.int8)},
        ),
        (
            [node("ReduceMax", ["x"], ["m"], keepdims=0), node("QuantizeLinear", ["x", "m", "z"], ["q"]),
             dequantize("q", "y", "m")],
            ["y"],
            {},
        ),
    ],
)  # fmt: skip
def test_everything_else_stays_arithmetic(
    nodes: list[onnx.NodeProto], outputs: list[str], constants: dict[str, Any], random: Any
) -> None:
    model = pair_model(nodes, outputs, **constants)
    if "s" in constants:  # the axes differ, so the shapes need extents that fit both
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2, 4]))
    x = random(2, 2, 4) if "s" in constants else random(2, 3, 4)
    assert not entries(check(model, [x]).graph)


def test_blocked_pairs_and_small_floats_stay_arithmetic(random: Any) -> None:
    attribs = {"axis": 1, "block_size": 3}
    nodes = [quantize("x", "q", **attribs), dequantize("q", "y", **attribs)]
    model = pair_model(nodes, s=np.full((2, 1, 4), 0.1, np.float32), z=np.zeros((2, 1, 4), np.int8))
    assert not entries(convert(model, [random(2, 3, 4)]).graph)
    nodes = [quantize("x", "q"), dequantize("q", "y")]
    model = pair_model(nodes, z=np.zeros((), ml_dtypes.float8_e4m3fn))
    assert not entries(convert(model, [random(2, 3, 4)]).graph)


def test_custom_converters_see_the_operators(random: Any) -> None:
    model = pair_model([quantize("x", "q"), dequantize("q", "r"), node("Neg", ["r"], ["y"])])
    transform = nnef_tools.Transform(type="copy", inputs="!I[0]", outputs="!O[0]")
    result = convert(model, [random(2, 3, 4)], custom_transforms={"DequantizeLinear": transform})
    assert not entries(result.graph) and "round" in result.ops


def test_annotations_of_onnx_are_left_out(tmp_path: Path, random: Any) -> None:
    model = pair_model([node("Neg", ["x"], ["y"])])
    for name in ("x", "y"):
        annotation = model.graph.quantization_annotation.add(tensor_name=name)
        annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    result = check(model, [random(2, 3, 4)], ops=["neg"])
    assert not entries(written(result.graph, tmp_path))
    assert any("annotations" in warning for warning in result.converter.warnings)


# optimization


def test_optimization_leaves_quantized_weights_alone(random: Any) -> None:
    constants = {"w": random_codes(np.int8, 4, 3, 3, 3), "s": np.array([1, 2, 3, 4], np.float32) / 99,
                 "z": np.zeros(4, np.int8), "f": np.float32(2.5), "m": np.full(4, 0.3, np.float32)}  # fmt: skip
    nodes = [
        dequantize("w", "r", axis=0), node("Conv", ["x", "r"], ["c"]), node("Mul", ["c", "f"], ["d"]),
        node("BatchNormalization", ["d", "m", "m", "m", "m"], ["y"]),
    ]  # fmt: skip
    x = random(1, 3, 5, 5)
    model = qdq_model(nodes, constants, {"x": x.shape})
    wanted = run_unoptimized(model, {"x": x})[0]
    for options, kinds in (({}, 1), ({"dequantize": True}, 0)):
        graph = Converter()(onnx_model_to_graph(model))
        Optimizer(**options)(graph)
        assert len(entries(graph)) == kinds
        executor = make_executor(graph, backend="numpy")
        [y] = executor.run({executor.inputs[0].name: x}).values()
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)

"""Running products, reversed sequences, cache updates, unique values, optionals, refusals with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from nnef_tools.conversion.onnx.to_nnef.refused import REASONS
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.io.onnx.reader import onnx_model_to_graph

from ...support.arrays import Array
from ...support.onnx_models import const, node_model, run_unoptimized, text_model
from .checks import check, check_node, convert


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_running_product(exclusive, reverse, axis, dtype, random):
    x = (random(2, 3, 4) * 3).astype(dtype)
    model = node_model("CumProd", [x, const(axis)], opset=26, exclusive=exclusive, reverse=reverse)
    expected = ReferenceEvaluator(model).run(None, {"x0": x})
    check(model, [x], expected=expected, ops=["cum_prod"])


@pytest.mark.parametrize(("batch", "time", "lengths"), [(0, 1, [1, 2, 5]), (1, 0, [3, 1, 2, 3, 1])])
@pytest.mark.parametrize("constant", [True, False])
def test_reversed_sequences(batch, time, lengths, constant, random):
    x = random(3, 5, 2)
    counts = np.array(lengths, np.int64)
    inputs = [x, const(counts) if constant else counts]
    result = check_node("ReverseSequence", inputs, batch_axis=batch, time_axis=time)
    assert result.ops.count("gather") == 1
    if constant:
        assert result.ops == ["reshape", "gather", "reshape"]


@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize(("axis", "shape"), [(-2, (2, 3, 2, 4)), (1, (2, 2, 7, 4)), (3, (2, 3, 7, 2))])
@pytest.mark.parametrize("constant", [True, False])
def test_cache_update(mode, axis, shape, constant, random):
    cache, update = random(2, 3, 7, 4), random(*shape)
    starts = np.array([1, cache.shape[axis] - (1 if mode == "circular" else 2)], np.int64)
    model = node_model("TensorScatter", [cache, update, starts], opset=24, axis=axis, mode=mode)
    expected = ReferenceEvaluator(model).run(None, {"x0": cache, "x1": update, "x2": starts})
    inputs = [cache, update, const(starts) if constant else starts]
    result = check_node("TensorScatter", inputs, opset=24, axis=axis, mode=mode, expected=expected)
    assert result.ops[-1] == "scatter_elements"


@pytest.mark.parametrize("sorted", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique_values_of_a_constant(sorted, axis):
    values = np.array([[2, 1, 1], [3, 1, 1], [2, 1, 1]], np.float32)
    attribs: dict[str, Any] = {"sorted": sorted} if axis is None else {"sorted": sorted, "axis": axis}
    expected = run_unoptimized(node_model("Unique", [values], 4, opset=17, **attribs), {"x0": values})
    results = evaluate_constants(node_model("Unique", [const(values, np.float32)], 4, opset=17, **attribs))
    for actual, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def evaluate_constants(model: ModelProto) -> list[Array]:
    """The outputs of a node on constants, each added to an input that is 0."""
    names = [info.name for info in model.graph.output]
    for k, name in enumerate(names):
        cast = helper.make_node("Cast", [name], [f"c{k}"], to=TensorProto.FLOAT)
        model.graph.node.extend([cast, helper.make_node("Add", [f"c{k}", "zero"], [f"z{k}"])])
    model.graph.input.append(helper.make_tensor_value_info("zero", TensorProto.FLOAT, []))
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(f"z{k}", TensorProto.FLOAT, None) for k in range(len(names))
    )
    return convert(model, [np.zeros((), np.float32)]).outputs


@pytest.mark.parametrize("op", ["Unique", "NonZero"])
def test_shapes_that_depend_on_data_are_refused(op, random):
    x = random(2, 3)
    with pytest.raises(ConversionError) as raised:
        convert(node_model(op, [x], opset=17), [x])
    assert "the shape of the result depends on the data" in "\n".join(raised.value.details)


def test_optional_values():
    model = text_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[2] x) => (float[2] y, bool h) {
            y = OptionalGetElement (x)
            h = OptionalHasElement (x)
        }"""
    )
    x = np.array([1, 2], np.float32)
    check(model, [x], expected=[x, np.array(True)])


@pytest.mark.parametrize("op", sorted(type for domain, type in REASONS if not domain))
def test_refusals_name_the_reason(op):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    node = helper.make_node(op, ["x"], ["y"])
    graph = helper.make_graph([node], "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    with pytest.raises(ConversionError) as raised:
        Converter()(onnx_model_to_graph(model))
    assert REASONS["", op] in raised.value.refused[0].reason
    assert raised.value.refused[0].implemented
    mirrored = Converter(mirror_unsupported=True)(onnx_model_to_graph(model))
    assert [str(o.type) for o in mirrored.operations] == ["external", op]

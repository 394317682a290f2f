"""What `inspect` tells of a model is what its file says, or is counted by hand."""

from __future__ import annotations

import base64
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from nnef_tools import convert_model
from nnef_tools.inspection.memory import activation_peak
from nnef_tools.inspection.opening import open_sized
from nnef_tools.inspection.summary import operator_rows, summarize
from nnef_tools.io.tf.lite.metadata import model_texts
from nnef_tools.model import Graph, Operation, Tensor
from tests.support.caffe2_models import recorded
from tests.support.onnx_models import onnx_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """x [N, 2, 4, 4] -> Conv -> Relu -> Reshape -> y [N, 48], with texts in the file."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="act"),
        helper.make_node("Reshape", ["r", "s"], ["y"]),
    ]
    weights = {"w": np.ones((3, 2, 1, 1), np.float32), "b": np.ones(3, np.float32), "s": np.array([0, -1])}
    proto = onnx_model(nodes, {"x": ["N", 2, 4, 4]}, {"y": ["N", 48]}, weights)
    proto.producer_name, proto.doc_string = "a framework", "a net"
    helper.set_model_props(proto, {"license": "Apache-2.0", "author": "A. Author"})
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_summary_of_an_onnx_model(model: Path) -> None:
    found = summarize(open_sized(model))
    assert [(item.name, item.dtype, item.shape) for item in found.inputs] == [("x", "float32", ("N", 2, 4, 4))]
    assert [item.shape for item in found.outputs] == [("N", 48)]
    assert found.versions == {"opset": 17, "IR": 8}
    assert found.operators == {"Conv": 1, "Relu": 1, "Reshape": 1}
    assert found.parameters == {"float32": 3 * 2 + 3, "int64": 2}
    assert found.size_on_disk == model.stat().st_size
    assert found.weight_size == 4 * (3 * 2 + 3) + 8 * 2
    assert found.dtypes == {"float32": 4}
    assert (found.macs, found.uncounted, found.assumed) == (3 * 16 * 2, (), {"x": (1, 2, 4, 4)})
    assert found.license == {"license": "Apache-2.0"}
    assert found.metadata == {"producer": "a framework", "doc": "a net", "author": "A. Author"}
    # While Relu runs, its input and its result are alive, of 3 x 16 items each.
    assert (found.activation_peak, found.activation_peak_at) == (2 * 48 * 4, "act")


def test_the_batch_of_an_output_is_open_where_that_of_the_inputs_was_assumed(tmp_path: Path) -> None:
    w = np.ones((5, 7), np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    onnx.save(onnx_model(nodes, {"x": ["N", 5]}, {"y": None}, {"w": w}), tmp_path / "m.onnx")
    found = summarize(open_sized(tmp_path / "m.onnx"))
    assert (found.assumed, found.outputs[0].shape) == ({"x": (1, 5)}, ("?", 7))
    assert summarize(open_sized(tmp_path / "m.onnx", input_shapes={"x": (1, 5)})).outputs[0].shape == (1, 7)


def test_the_item_type_of_an_output_is_inferred(tmp_path: Path) -> None:
    found = summarize(open_sized(recorded("groupnorm_nhwc").write(tmp_path)))
    assert [(item.name, item.dtype) for item in found.outputs] == [("y", "float32")]


def test_rows_of_operators(model: Path) -> None:
    rows = operator_rows(open_sized(model))
    assert [(row.type, row.name, row.shapes, row.macs, row.parameters, row.activation_size) for row in rows] == [
        ("Conv", "conv", ((1, 3, 4, 4),), 96, 9, 192),
        ("Relu", "act", ((1, 3, 4, 4),), 0, 0, 192),
        ("Reshape", "y", ((1, 48),), 0, 2, 192),
    ]


@pytest.mark.parametrize("target", ["m.nnef", "m.pb", "m.tflite"])
def test_other_formats_tell_the_same(model: Path, tmp_path: Path, target: str) -> None:
    convert_model(model, tmp_path / target, input_shapes={"x": (1, 2, 4, 4)})
    found = summarize(open_sized(tmp_path / target))
    assert found.macs == 3 * 16 * 2
    assert found.parameters["float32"] == 9
    assert found.activation_peak >= 2 * 48 * 4  # transposes may add to it


def test_quantization_is_shown(tmp_path: Path) -> None:
    (tmp_path / "graph.nnef").write_text(
        "version 1.0;\ngraph net(x) -> (y) { x = external(shape = [2, 3]); y = relu(x); }\n", "utf-8"
    )
    (tmp_path / "graph.quant").write_text(
        '"x": zero_point_linear_quantize(zero_point = 3, scale = 0.5, bits = 8, signed = false, symmetric = false);\n',
        "utf-8",
    )
    found = summarize(open_sized(tmp_path))
    assert found.quantized == 1
    assert found.inputs[0].quantization is not None and "scale = 0.5" in found.inputs[0].quantization
    assert found.outputs[0].quantization is None


def test_a_model_that_cannot_be_counted_is_described_all_the_same(tmp_path: Path) -> None:
    onnx.save(onnx_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", "T"]}, {"y": None}), tmp_path / "m.onnx")
    found = summarize(open_sized(tmp_path / "m.onnx"))
    assert (found.macs, found.inputs[0].shape) == (None, ("N", "T"))
    assert found.problem is not None and "open" in found.problem
    assert found.activations_of_unknown_size == 2


def test_values_are_alive_until_their_last_reader() -> None:
    """x -> a -> b; c = a + b; d = c + x: while c is computed, x, a, b and c are alive."""
    graph = Graph("g")
    x, a, b, c, d = (Tensor(graph, name, (10,), np.float32) for name in "xabcd")
    graph.inputs, graph.outputs = [x], [d]
    for type, inputs, output in (("relu", (x,), a), ("exp", (a,), b), ("add", (a, b), c), ("add", (c, x), d)):
        Operation(graph, type=type, inputs=inputs, outputs=output)
    peak = activation_peak(graph, dict.fromkeys(graph.tensors, 40))
    assert (peak.size, peak.operator is c.producer, peak.unknown) == (4 * 40, True, 0)


def test_descriptions_in_tensorflow_lite_models() -> None:
    """The table of metadata_schema.fbs, as flatbuffers writes it."""
    builder = pytest.importorskip("flatbuffers", reason="writes the table").Builder(0)
    texts = {0: "a name", 1: "a description", 4: "A. Author", 5: "Apache-2.0"}
    offsets = {slot: builder.CreateString(text) for slot, text in texts.items()}
    builder.StartObject(7)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"M001")
    raw = bytes(builder.Output())
    found = model_texts({"TFLITE_METADATA": base64.b64encode(raw).decode()})
    assert found == {"name": "a name", "description": "a description", "author": "A. Author", "license": "Apache-2.0"}
    for damaged in (raw[: len(raw) // 2], b"", raw[:4] + b"XXXX" + raw[8:]):
        assert model_texts({"TFLITE_METADATA": base64.b64encode(damaged).decode()}) == {}


@pytest.mark.parametrize("target", ["big.onnx", "big.nnef", "big.pb", "big.tflite"])
def test_weights_stay_on_disk(tmp_path: Path, target: str) -> None:
    """A model of 16 MB is looked at in less than 4 MB."""
    w = np.random.default_rng(0).random((1024, 1024)).astype(np.float32)
    names = [f"w{k}" for k in range(4)]
    nodes = [helper.make_node("MatMul", [f"x{k}", name], [f"x{k + 1}"]) for k, name in enumerate(names)]
    onnx.save(onnx_model(nodes, {"x0": [1, 1024]}, {"x4": [1, 1024]}, dict.fromkeys(names, w)), tmp_path / "big.onnx")
    if target != "big.onnx":
        convert_model(tmp_path / "big.onnx", tmp_path / target)
    summarize(open_sized(tmp_path / target))  # imports what it needs
    tracemalloc.start()
    try:
        found = summarize(open_sized(tmp_path / target))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.macs == 4 * 1024 * 1024
    assert peak < 4_000_000


def test_a_model_without_its_weights(tmp_path: Path) -> None:
    text = "version 1.0;\ngraph n(x) -> (y) { x = external(shape = [2, 3]); w = variable(shape = [4, 3], label = 'w'); "
    (tmp_path / "graph.nnef").write_text(text + "y = linear(x, w); }", "utf-8")
    found = summarize(open_sized(tmp_path))
    assert (found.macs, found.parameters, found.weight_size) == (2 * 4 * 3, {"float32": 12}, 48)
    assert found.operators == {"linear": 1}
    assert found.warnings == ("without weights: there is no file 'w.dat'",)


def test_a_model_that_cannot_have_a_batch_of_one(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    proto = onnx_model(nodes, {"x": ["N", 3]}, {"y": [2, 3]}, {"s": np.array([2, 3])})
    onnx.save(proto, tmp_path / "m.onnx")
    found = summarize(open_sized(tmp_path / "m.onnx"))
    assert found.inputs[0].shape == ("N", 3)
    assert found.macs in (None, 0)

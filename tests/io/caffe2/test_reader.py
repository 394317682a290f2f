"""What is read of Caffe2 models, and what is wrong with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import load_model
from nnef_tools.errors import FileError, FormatError, NnefToolsError, ParseError, UsageError
from nnef_tools.io.caffe2 import Reader
from nnef_tools.io.caffe2.schema import SCHEMA
from nnef_tools.io.protobuf import decode
from nnef_tools.io.protobuf.wire import FIXED32, tag
from nnef_tools.model.verify import verify

from ...support.caffe2_models import net_bytes, recorded

Operators = list[tuple[str, str, str, dict[str, Any]]]
FILL: dict[str, Any] = {"shape": [2], "values": [1.0, 2.0]}
RELU: Operators = [("Relu", "x", "y", {})]


def model(
    folder: Path, predict: bytes, init: bytes | None = None, info: dict[str, Any] | None = None, *, text: bool = False
) -> Path:
    (folder / ("predict_net.pbtxt" if text else "predict_net.pb")).write_bytes(predict)
    if init is not None:
        (folder / ("init_net.pbtxt" if text else "init_net.pb")).write_bytes(init)
    if info is not None:
        (folder / "value_info.json").write_text(json.dumps(info), "utf-8")
    return folder


def test_arguments_and_types(tmp_path: Path) -> None:
    graph = Reader()(recorded("conv_sides").write(tmp_path))
    verify(graph)
    [conv] = graph.operations
    assert (conv.type, conv.attribs["kernels"], conv.attribs["pad_b"]) == ("Conv", [3, 3], 2)
    assert [(t.name, t.shape, t.dtype) for t in graph.inputs] == [("x", (2, 4, 9, 8), np.float32)]
    assert [t.name for t in graph.outputs] == ["y"]
    constants = {t.name: t for t in graph.tensors if t.data is not None}
    assert {name: t.shape for name, t in constants.items()} == {"w": (6, 4, 3, 3), "b": (6,)}


def test_codes(tmp_path: Path) -> None:
    graph = Reader()(recorded("int8_conv").write(tmp_path))
    tensors = {t.name: t for t in graph.tensors}
    assert tensors["w"].dtype is np.uint8
    assert tensors["w"].quant == {"scale": pytest.approx(0.01), "zero_point": 120}
    assert tensors["r"].quant == {"scale": pytest.approx(0.05), "zero_point": 100}
    assert tensors["b"].dtype is np.int32


def test_blobs_that_are_overwritten(tmp_path: Path) -> None:
    """The last version has the name, unless an input has it."""
    operators: Operators = [("Sqr", "x", "a", {}), ("Relu", "a", "a", {}), ("Exp", "a", "a", {}), ("Abs", "x", "x", {})]
    graph = Reader()(model(tmp_path, net_bytes(operators, outputs="a x")), {"x": (2, 3)})
    verify(graph)
    assert [(op.input.name, op.output.name) for op in graph.operations] == [
        ("x", "a_1"), ("a_1", "a_2"), ("a_2", "a"), ("x", "x_1"),
    ]  # fmt: skip
    assert [t.name for t in graph.outputs] == ["a", "x_1"]


def test_outputs_that_are_not_declared(tmp_path: Path) -> None:
    operators: Operators = [("Sqr", "x", "a", {}), ("Relu", "a", "b", {}), ("Exp", "a", "c", {})]
    graph = Reader()(model(tmp_path, net_bytes(operators, outputs="")))
    assert [t.name for t in graph.outputs] == ["b", "c"]
    assert graph.inputs[0].shape is None


def test_given_shapes_replace_those_of_the_file(tmp_path: Path) -> None:
    folder = model(tmp_path, net_bytes(RELU), info={"x": [1, [1, 3]]})
    assert load_model(folder).inputs[0].shape == (1, 3)
    assert load_model(folder / "predict_net.pb").inputs[0].shape == (1, 3)
    assert load_model(folder, input_shapes={"x": (5, 3)}).inputs[0].shape == (5, 3)
    with pytest.raises(UsageError, match="'y', which is not an input"):
        load_model(folder, input_shapes={"y": (5, 3)})


def test_nets_of_other_names(tmp_path: Path) -> None:
    init = net_bytes([("GivenTensorFill", "", "w", FILL)], "", "w")
    (tmp_path / "my_predict.pb").write_bytes(net_bytes([("Add", "x w", "y", {})], "x w"))
    (tmp_path / "my_init.pb").write_bytes(init)
    graph = load_model(tmp_path / "my_predict.pb", format="caffe2", input_shapes={"x": (3, 2)})
    assert [t.name for t in graph.inputs] == ["x"]
    assert graph.operations[0].inputs[1].data.tolist() == FILL["values"]


def test_types_of_inputs(tmp_path: Path) -> None:
    """Their codes are those of ONNX."""
    graph = Reader()(model(tmp_path, net_bytes([("Add", "x z", "y", {})], "x z"), info={"x": [7, [2]], "z": [10, [2]]}))
    assert [t.dtype for t in graph.inputs] == [np.int64, np.float16]


def test_text(tmp_path: Path) -> None:
    predict = b"""
    name: "n" op { input: "x" input: "w" output: "y" type: "Add" arg { name: "broadcast" i: 1 } }
    external_input: "x" external_input: "w" external_output: "y"
    """
    init = b"""op {
      output: "w" type: "GivenTensorFill" arg { name: "shape" ints: 2 } arg { name: "values" floats: [1, 2.5] }
    }"""
    graph = load_model(model(tmp_path, predict, init, {"x": [1, [3, 2]]}, text=True))
    assert graph.operations[0].attribs == {"broadcast": 1}
    assert graph.operations[0].inputs[1].data.tolist() == [1.0, 2.5]


def test_fillers(tmp_path: Path) -> None:
    init: Operators = [
        ("GivenTensorFill", "", "a", {"shape": [2], "values": [1.0, 2.0]}),
        ("GivenTensorFill", "", "b", {"shape": [1], "values": [7], "dtype": 10}),
        ("GivenTensorBoolFill", "", "c", {"shape": [2], "values": [1, 0]}),
        ("GivenTensorByteStringToUInt8Fill", "", "d", {"shape": [3], "values": [b"\x00\x80\xff"]}),
        ("ConstantFill", "", "e", {"shape": [2, 2], "value": 3}),
        ("ConstantFill", "", "f", {"shape": [2], "value": 3, "dtype": 13}),
        ("GivenTensorFill", "", "g", {"shape": [], "values": [4.0]}),
    ]
    uses: Operators = [("Op", "x a b c d e f g", "y", {})]
    graph = Reader()(model(tmp_path, net_bytes(uses, "x a b c d e f g"), net_bytes(init, "", "a b c d e f g")))
    values = [(str(t.data.dtype), t.data.tolist()) for t in graph.operations[0].inputs[1:]]
    assert values == [
        ("float32", [1.0, 2.0]), ("int64", [7]), ("bool", [True, False]), ("uint8", [0, 128, 255]),
        ("int64", [[3, 3], [3, 3]]), ("float64", [3.0, 3.0]), ("float32", 4.0),
    ]  # fmt: skip


def test_init_net_with_what_does_not_matter(tmp_path: Path) -> None:
    """Some writers repeat the net in it."""
    folder = model(tmp_path, net_bytes(RELU), net_bytes(RELU), {"x": [1, [2]]})
    assert [op.type for op in Reader()(folder).operations] == ["Relu"]


def test_inputs_that_the_init_net_fills(tmp_path: Path) -> None:
    """Caffe2's mobile exporter does so, for them to exist."""
    init: Operators = [
        ("GivenTensorFill", "", "w", {"shape": [2], "values": [1.0, 2.0]}),
        ("GivenTensorFill", "", "x", {"shape": [1, 1], "values": [0.0]}),
    ]
    files = net_bytes([("Add", "x w", "y", {})], "x w"), net_bytes(init, "", "w x")
    described = model(tmp_path, *files, {"x": [1, [3, 2]]})
    assert [(t.name, t.shape) for t in load_model(described).inputs] == [("x", (3, 2))]
    (tmp_path / "value_info.json").unlink()
    assert [(t.name, t.shape) for t in load_model(tmp_path).inputs] == [("x", None)]
    assert [(t.name, t.shape) for t in load_model(tmp_path, input_shapes={"x": (4, 2)}).inputs] == [("x", (4, 2))]


@pytest.mark.parametrize("count", [1, 3, 63, 64, 65, 5000])
def test_weights_that_are_not_packed(count: int) -> None:
    """A tag before each number, as protobuf writes them by default; other fields may stand between."""
    values = np.arange(count, dtype=np.float32)
    items = [tag(5, FIXED32) + value.tobytes() for value in values]
    name = b"\x0a\x01a"
    for data in (b"".join([name, *items]), b"".join([*items[:2], name, *items[2:]]), b"".join([*items, name])):
        message = decode(memoryview(data), SCHEMA["Argument"])
        assert message["name"] == "a"
        np.testing.assert_array_equal(message["floats"], values)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ([("GivenTensorFill", "", "w", {"shape": [3], "values": [1.0, 2.0]})], "2 values for shape .3., which has 3"),
        ([("GivenTensorFill", "", "w", {"shape": [-1], "values": [1.0]})], "negative extent"),
        ([("GivenTensorFill", "", "w", {"shape": [2]})], "there are no values"),
        ([("GivenTensorFill", "", "w", {"shape": [2], "values": [1.0, 2.0], "dtype": 99})], "unknown data type 99"),
        ([("ConstantFill", "", "w", {"shape": [1 << 40], "value": 1.0})], "constant of 1,099,511,627,776 items"),
        ([("ConstantFill", "", "w", {"shape": [1], "value": "a"})], "strings are not supported"),
        ([("GivenTensorFill", "", "v", FILL)], "blob 'w' has no value"),
        ([("Int8GivenTensorFill", "", "w", {"shape": [1], "values": b"a", "Y_scale": -1.0})], "has the scale -1.0"),
    ],
)
def test_wrong_weights(tmp_path: Path, init: Operators, message: str) -> None:
    folder = model(tmp_path, net_bytes([("Add", "x w", "y", {})], "x w"), net_bytes(init, "", "w"), {"x": [1, [2, 2]]})
    with pytest.raises(NnefToolsError, match=message):
        Reader()(folder)


def test_missing_weights(tmp_path: Path) -> None:
    net = net_bytes([("FC", "x w b", "y", {})], "x w b")
    shapes = {"x": (2, 3), "w": (4, 3), "b": (4,)}
    for info in (None, {"x": [1, [2, 3]]}):
        with pytest.raises(FormatError, match=r"blob .w.*has no value") as caught:
            Reader()(model(tmp_path, net, info=info))
        assert "init_net.pb, which has the weights, is not there" in str(caught.value.hint)
    (tmp_path / "value_info.json").unlink()
    fill = ("GivenTensorFill", "", "w", {"shape": [4, 3], "values": [1.0] * 12})
    with pytest.raises(FormatError, match="blob 'b', a weight of FC, has no value") as caught:
        Reader()(model(tmp_path, net, net_bytes([fill], "", "w")))
    assert "another model" in str(caught.value.hint)
    (tmp_path / "init_net.pb").unlink()
    assert [t.name for t in Reader()(tmp_path, shapes).inputs] == ["x", "w", "b"]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("[]", "not a JSON object"),
        ('{"x": 1}', "has not a data type and a shape"),
        ('{"x": [99, [1]]}', "unknown data type 99"),
        ('{"x": [1, [-1]]}', "impossible shape"),
        ('{"x": [1, [1.5]]}', "impossible shape"),
        ('{"x": [1, [1]], "x": [1, [2]]}', "given twice"),
        ("{", "not JSON"),
    ],
)
def test_wrong_value_info(tmp_path: Path, info: str, message: str) -> None:
    folder = model(tmp_path, net_bytes(RELU))
    (folder / "value_info.json").write_text(info, "utf-8")
    with pytest.raises(FormatError, match=message) as caught:
        Reader()(folder)
    assert "value_info.json" in str(caught.value.where)


def test_wrong_nets(tmp_path: Path) -> None:
    folder = model(tmp_path, net_bytes([]))
    with pytest.raises(FormatError, match="no operators"):
        Reader()(folder)
    (folder / "predict_net.pb").write_bytes(net_bytes(RELU)[:-2])
    with pytest.raises(FormatError, match="NetDef") as caught:
        Reader()(folder)
    assert "predict_net.pb" in str(caught.value.where)
    (folder / "predict_net.pb").unlink()
    with pytest.raises(FileError, match=r"predict_net\.pb"):
        Reader()(folder)
    (folder / "predict_net.pbtxt").write_text("op {\n  typ: 'Relu'\n}", "utf-8")
    with pytest.raises(ParseError, match="no field 'typ'") as parsed:
        Reader()(folder)
    assert "2:3" in str(parsed.value.where)


def test_wrong_outputs(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="output 'z' is neither computed nor filled"):
        Reader()(model(tmp_path, net_bytes(RELU, outputs="z")))

"""Names of the source model in NNEF: `keep_names` of `convert_model`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import nnef_tools
from nnef_tools.io.nnef.labels import FreshLabels, label_file, legal_label

from ..support.tf_examples import FOLDER

TF = FOLDER / "squeeze_excite.pb"

WEIGHTS = {"conv0.weight": (4, 3, 1, 1), "conv0.bias": (4,), "CONV0.weight": (4, 5, 5), "layer/../../w:0": (4, 1, 1)}
RESULTS = ["/conv0/Conv_output_0", "conv", "0", "A/b", "A.b", "graph", "out put"]
"""Of these, one is the name of an operation, one a number, one a keyword, and two are the same as identifiers."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,5,5] x) => (float[1,4,5,5] t6) {
            t0 = Conv(x, w0, w1)  t1 = Relu(t0)  t2 = Sigmoid(t1)  t3 = Add(t2, w2)  t4 = Mul(t3, w3)  t5 = Tanh(t4)
            t6 = Neg(t5)
        }"""
    )
    for k, (name, shape) in enumerate(WEIGHTS.items()):
        array = np.random.default_rng(k).uniform(0.5, 1, shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    names = {f"w{k}": name for k, name in enumerate(WEIGHTS)} | {f"t{k}": name for k, name in enumerate(RESULTS)}
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    proto.graph.output[0].name = RESULTS[-1]
    onnx.checker.check_model(proto)
    onnx.save(proto, tmp_path / "source.onnx")
    return tmp_path / "source.onnx"


def assigned(folder: Path) -> list[str]:
    return re.findall(r"^    (\w+) = ", (folder / "graph.nnef").read_text(), re.MULTILINE)


def test_tensors_and_weights(source: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.nnef"
    report = nnef_tools.convert_model(source, model, keep_names=True, verify=1)
    results = ["_conv0_Conv_output_0", "conv_1", "_0", "A_b", "A_b_1", "graph_1", "out_put"]
    assert [name for name in assigned(model) if name in results] == results
    assert {"x", "conv0_weight", "conv0_bias", "CONV0_weight", "layer_w_0"} <= set(assigned(model))
    assert [report.tensor_mapping[name] for name in RESULTS] == results
    assert report.tensor_mapping["conv0.weight"] == "conv0_weight"
    labels = {
        op.attribs["label"]: op.output.name for op in nnef_tools.load_model(model).operations if op.type == "variable"
    }
    assert labels == {
        "conv0.weight": "conv0_weight",
        "conv0.bias": "conv0_bias",
        "CONV0.weight_1": "CONV0_weight",
        "layer/w_0": "layer_w_0",
    }
    assert {path.relative_to(model).as_posix() for path in model.rglob("*.dat")} == {f"{label}.dat" for label in labels}


def test_numbers_stay_the_default(source: Path, tmp_path: Path) -> None:
    nnef_tools.convert_model(source, tmp_path / "model.nnef", keep_io_names=True)
    names = assigned(tmp_path / "model.nnef")
    assert {"x", "variable1", "variable2", "conv1", "relu1", "out_put"} <= set(names)


@pytest.mark.parametrize("with_facts", [True, False])
def test_way_back(source: Path, tmp_path: Path, with_facts: bool) -> None:
    model, back = tmp_path / "model.nnef", tmp_path / "back.onnx"
    nnef_tools.convert_model(source, model, keep_names=True)
    if not with_facts:
        (model / "nnef_tools.json").unlink()
    nnef_tools.convert_model(model, back)
    graph = onnx.load(back).graph
    initializers = {tensor.name for tensor in graph.initializer}
    computed = [node.output[0] for node in graph.node]
    if with_facts:
        assert initializers == set(WEIGHTS)
        assert computed == RESULTS
    else:
        assert initializers == {"conv0_weight", "conv0_bias", "CONV0_weight", "layer_w_0"}
        assert computed == ["_conv0_Conv_output_0", "conv_1", "_0", "A_b", "A_b_1", "graph_1", "out_put"]


def test_optimized(tmp_path: Path) -> None:
    """A normalization that is folded into a convolution: the names of what is left, and numbers for the rest."""
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,5,5] x) => (float[1,4,5,5] y)
        <float[4] s = {1, 2, 3, 4}, float[4] b = {5, 6, 7, 8}, float[4] m = {0, 1, 0, 1}, float[4] v = {1, 2, 1, 2}> {
            c = Conv(x, weight)  n = BatchNormalization(c, s, b, m, v)  y = Relu(n)
        }"""
    )
    filter = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(filter, "weight"))
    onnx.save(proto, tmp_path / "m.onnx")
    report = nnef_tools.convert_model(
        tmp_path / "m.onnx", tmp_path / "m.nnef", keep_names=True, optimize=True, verify=1
    )
    assert assigned(tmp_path / "m.nnef") == ["x", "weight", "b", "n", "y"]
    assert dict(report.tensor_mapping) == {name: name for name in ("x", "weight", "b", "n", "y")}


def test_tensorflow(tmp_path: Path) -> None:
    """The name of a result stays with it when transposes around its operation go away."""
    model = tmp_path / "model.nnef"
    shapes = {"input_0": (2, 10, 11, 6)}
    report = nnef_tools.convert_model(TF, model, keep_names=True, input_shapes=shapes)
    assert report.tensor_mapping["functional_1/conv2d_1/convolution"] == "functional_1_conv2d_1_convolution"
    assert "functional_1_conv2d_1_convolution = conv(" in (model / "graph.nnef").read_text()
    assert (model / "functional_1/dense_1_1/Cast/ReadVariableOp/resource.dat").is_file()
    named = [
        name
        for name in report.tensor_mapping
        if name.endswith(("BiasAdd", "MatMul", "Relu6", "mul", "Mul", "resource"))
    ]
    assert len(named) == 15
    assert all(report.tensor_mapping[name] == name.replace("/", "_") for name in named)


def test_names_of_custom_operations_are_reserved(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g (float[2] x) => (float[2] y) {
            Swish = Relu(x)  y = my.Swish(Swish)
        }"""
    )
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("Swish", 1, [2]))
    onnx.save(proto, tmp_path / "m.onnx")
    nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", keep_names=True, mirror_unsupported=True)
    assert assigned(tmp_path / "m.nnef") == ["x", "Swish_1", "y"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("conv0.weight", "conv0.weight"),
        ("/model/conv/w:0", "model/conv/w_0"),
        ("../../etc/passwd", "etc/passwd"),
        ("C:\\windows\\x", "C_windows_x"),
        ("a/./b/", "a/b"),
        ("...", ""),
        ("aux", "_aux"),
        ("layer/NUL.w", "layer/_NUL.w"),
        ("graph.nnef/w", "_graph.nnef/w"),
        ("x" * 300, "x" * 200),
        ("\u00fc\n", "_"),
    ],
)
def test_labels_are_paths_within_the_model(name: str, label: str) -> None:
    assert legal_label(name) == label
    if label:
        assert label_file(label) == f"{label}.dat"


def test_labels_have_files_of_their_own() -> None:
    """Also where case makes no difference, and where one file is the folder of another."""
    wanted = ["w", "W", "a.dat/b", "a", "c", "C.dat/d", "", None]
    fresh: Any = FreshLabels(["variable1"])
    assert [fresh(name) for name in wanted] == [
        "w",
        "W_1",
        "a.dat/b",
        "a_1",
        "c",
        "C.dat_d",
        "variable2",
        "variable3",
    ]

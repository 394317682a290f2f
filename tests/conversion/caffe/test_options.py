"""The options of conversions on Caffe nets: plugins, copies, parts, names, shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import Transform, convert_model, load_model, run_model
from nnef_tools.conversion.caffe_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.io.caffe import Reader

from ...support.arrays import assert_agree
from ...support.caffe_nets import RecordedNet, recorded_net
from ...support.nnef_models import types

ODD = """input: "x" input_shape { dim: 1 dim: 4 }
layer { name: "o" type: "Odd" bottom: "x" top: "y" odd_param { rate: 0.5 } }
layer { name: "r" type: "ReLU" bottom: "y" top: "y" }
"""
SCALED = Transform(type="mul", inputs=("!I[0]", "!as_tensor(rate, None)"), outputs="!O[0]")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.prototxt"
    path.write_text(ODD)
    return path


@pytest.fixture
def lenet(tmp_path: Path) -> RecordedNet:
    return recorded_net("lenet", tmp_path)


def test_plugins_see_types_and_fields(odd: Path) -> None:
    graph = Converter(custom_transforms={"Odd": SCALED})(Reader()(odd))
    assert types(graph) == ["mul", "relu"]
    result = run_model(graph, [np.array([[1, -2, 3, -4]], np.float32)], backend="numpy")
    assert next(iter(result.values())).tolist() == [[0.5, 0, 1.5, 0]]


def test_plugins_replace_rules(lenet: RecordedNet) -> None:
    pool = Transform(type="custom_pool", inputs="!I[0]", outputs="!O[0]", attribs={"size": "!kernel_size"}, custom=True)
    shapes = {"custom_pool": lambda x, size: [*x[:2], x[2] // size, x[3] // size]}
    graph = Converter(custom_transforms={"Pooling": pool}, custom_shapes=shapes)(Reader()(lenet.path))
    assert [op.attribs for op in graph.operations if op.type == "custom_pool"] == [{"size": 2}] * 2


def test_unknown_layers_are_refused_or_copied(odd: Path) -> None:
    with pytest.raises(ConversionError, match="there is no rule for Odd"):
        Converter()(Reader()(odd))
    graph = Converter(mirror_unsupported=True, custom_shapes={"Odd": lambda x, rate: x})(Reader()(odd))
    assert types(graph) == ["Odd", "relu"]


def test_refusals_tell_what_the_reader_left_out(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(ODD.replace('type: "Odd" bottom', 'type: "ReLU" botom'))
    with pytest.raises(ConversionError, match="is missing") as caught:
        convert_model(path, tmp_path / "net.onnx")
    assert caught.value.warnings[0] == "field 'botom' of layer 'o' (ReLU) is not known, and left out"


def test_layers_of_unknown_kind_are_listed_together(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(ODD + 'layer { name: "f" type: "Filter" bottom: "x" bottom: "x" top: "z" }')
    with pytest.raises(ConversionError) as caught:
        convert_model(path, tmp_path / "net.nnef")
    assert len(caught.value.refused) == 2
    assert "depends on the data" in str(caught.value)


def test_names_and_mapping(lenet: RecordedNet, tmp_path: Path) -> None:
    target, mapping = tmp_path / "net.nnef", tmp_path / "map.json"
    convert_model(lenet.path, target, keep_io_names=True, tensor_mapping=mapping, optimize=True)
    graph = load_model(target)
    assert [t.name for t in (*graph.inputs, *graph.outputs)] == ["data", "prob"]
    names = json.loads(mapping.read_text())
    assert names["data"] == "data"
    assert names["ip1"].startswith("relu")


def test_parts_of_nets(lenet: RecordedNet, tmp_path: Path) -> None:
    target = tmp_path / "part.nnef"
    names = ["pool1", "ip1"]
    whole = run_model(lenet.path, lenet.inputs, output_names=names, backend="numpy")
    convert_model(lenet.path, target, input_names=names[:1], output_names=names[1:])
    part = run_model(target, [whole["pool1"]], backend="numpy")
    assert_agree(next(iter(part.values())), whole["ip1"], rtol=1e-6, atol=1e-6)


def test_other_shapes(tmp_path: Path) -> None:
    net = recorded_net("squeezenet", tmp_path)
    target = tmp_path / "net.nnef"
    report = convert_model(net.path, target, input_shapes={"data": (2, 3, 48, 40)}, verify=1)
    assert report.verification is not None
    assert load_model(target).inputs[0].shape == (2, 3, 48, 40)


def test_weights_that_do_not_fit_the_input_are_refused(lenet: RecordedNet, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"its weights have shape \[8, 80\], but input and parameters ask for"):
        convert_model(lenet.path, tmp_path / "net.nnef", input_shapes={"data": (1, 1, 32, 32)})

"""The reader of Caffe's nets: what it makes of files, and what it says about files that it cannot use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.errors import FormatError, ParseError, UsageError
from nnef_tools.io.caffe import Reader
from nnef_tools.io.caffe.schema import schema
from nnef_tools.io.protobuf import Message, encode
from nnef_tools.io.protobuf.wire import delimited
from nnef_tools.model import Graph

from ...support.caffe_nets import recorded_net
from ...support.graphs import names

INPUT = 'input: "x" input_shape { dim: 1 dim: 2 dim: 5 dim: 6 }\n'
CONV = """layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 3 kernel_size: 3 } }
"""


@pytest.fixture
def read(tmp_path: Path):
    """Reads a net given as text, with weights if there are any, and returns graph and warnings."""

    def reads(text: str, weights: Mapping[str, Sequence[np.ndarray]] | None = None, **shapes: Sequence[int]):
        path = tmp_path / "net.prototxt"
        path.write_text(text)
        if weights is not None:
            (tmp_path / "net.caffemodel").write_bytes(weights_file(weights))
        reader = Reader()
        graph = reader(path, shapes)
        return graph, reader.warnings

    return reads


def blob(array: np.ndarray) -> Message:
    shape = schema()["BlobShape"](dim=np.asarray(array.shape, np.int64))
    return schema()["BlobProto"](shape=shape, data=np.asarray(array, np.float32).reshape(-1))


def encoded(message: Message) -> bytes:
    return b"".join(
        bytes(np.asarray(chunk)) if isinstance(chunk, np.ndarray) else bytes(chunk) for chunk in encode(message)
    )


def layer_message(name: str, type: str = "", blobs: Sequence[np.ndarray] = (), **values: object) -> Message:
    return schema()["LayerParameter"](name=name, type=type, blobs=[blob(item) for item in blobs], **values)


def weights_file(weights: Mapping[str, Sequence[np.ndarray]]) -> bytes:
    layers = [layer_message(name, "Convolution", blobs) for name, blobs in weights.items()]
    return encoded(schema()["NetParameter"](name="net", layer=layers))


FILTERS = [np.ones((3, 2, 3, 3)), np.ones(3)]


def test_operations_have_the_fields_of_their_parameters_and_weights(read) -> None:
    graph, warnings = read(INPUT + CONV, {"conv": FILTERS})
    (op,) = graph.operations
    assert (op.type, op.name, op.attribs) == ("Convolution", "conv", {"num_output": 3, "kernel_size": [3]})
    assert names(op.inputs) == ["x", "conv.weight", "conv.bias"]
    assert op.inputs[0].shape == (1, 2, 5, 6)
    assert op.inputs[1].data.shape == (3, 2, 3, 3)
    assert not op.inputs[1].data.flags.writeable
    assert names(graph.outputs) == ["y"]
    assert warnings == []


def test_weights_are_not_copied(tmp_path: Path) -> None:
    net = recorded_net("lenet", tmp_path)
    weight = next(op for op in Reader()(net.path).operations if op.name == "ip1").inputs[1].data
    assert weight.base is not None
    assert not weight.flags.owndata


def test_values_of_a_blob_that_is_changed_in_place_have_names(tmp_path: Path) -> None:
    graph = Reader()(recorded_net("in_place", tmp_path).path)
    assert [names(op.outputs) for op in graph.operations] == [
        ["data/r"], ["conv/conv"], ["conv/a"], ["conv/b"], ["conv"], ["y"],
    ]  # fmt: skip
    assert names(graph.inputs) == ["data"]


def test_shared_weights_are_one_tensor(tmp_path: Path) -> None:
    first, second = Reader()(recorded_net("shared", tmp_path).path).operations
    assert first.inputs[1] is second.inputs[1]
    assert first.inputs[2] is second.inputs[2]


def test_data_become_inputs_and_losses_probabilities(read) -> None:
    text = """
    layer { name: "d" type: "ImageData" top: "x" top: "label" include { phase: TEST }
      image_data_param { source: "a.txt" batch_size: 4 new_height: 8 new_width: 9 } }
    layer { name: "d" type: "Data" top: "x" top: "label" include { phase: TRAIN } data_param { batch_size: 9 } }
    layer { name: "f" type: "Flatten" bottom: "x" top: "f" }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" top: "loss" }
    layer { name: "acc" type: "Accuracy" bottom: "f" bottom: "label" top: "acc" }
    """
    graph, warnings = read(text)
    assert [(t.name, t.shape) for t in graph.inputs] == [("x", (4, 3, 8, 9))]
    assert [op.type for op in graph.operations] == ["Flatten", "Softmax"]
    assert warnings == [
        "loss 'loss' (SoftmaxWithLoss) is replaced by Softmax, whose results it judges",
        "layers that compare results with labels, or write them, are left out: 'acc' (Accuracy)",
        "data that nothing needs is left out: label",
    ]


def test_data_of_training_are_inputs_of_a_net_without_others(read) -> None:
    text = """
    layer { name: "d" type: "Data" top: "x" top: "label" include { phase: TRAIN } data_param { batch_size: 9 } }
    layer { name: "f" type: "ReLU" bottom: "x" top: "f" }
    layer { name: "loss" type: "EuclideanLoss" bottom: "f" bottom: "label" top: "loss" }
    """
    graph, _ = read(text)
    assert [(t.name, t.shape) for t in graph.inputs] == [("x", None)]
    assert names(graph.outputs) == ["f"]


@pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ("transform_param { scale: 0.5 mirror: true }", "multiplies by 0.5"),
        (
            "transform_param { mean_value: 104 mean_value: 117 scale: 0.1 }",
            "subtracts the mean [104.0, 117.0] and multiplies by 0.1",
        ),
        ('transform_param { mean_file: "m.binaryproto" }', "subtracts the mean m.binaryproto"),
        ("data_param { scale: 0.25 }", "multiplies by 0.25"),
    ],
)
def test_what_layers_for_data_do_to_values_is_told(read, phase: str, fields: str, text: str) -> None:
    layers = f"""layer {{ name: "d" type: "Data" top: "x" include {{ phase: {phase} }} {fields} }}
    layer {{ name: "r" type: "ReLU" bottom: "x" top: "y" }}"""
    _, warnings = read(layers)
    assert warnings == [f"'d' (Data) {text}, which is left out: give input 'x' such values"]


def test_given_shapes_replace_those_of_the_file(read) -> None:
    graph, _ = read(INPUT + CONV, {"conv": FILTERS}, x=(2, 2, 8, 8))
    assert graph.inputs[0].shape == (2, 2, 8, 8)
    with pytest.raises(UsageError, match=r"input 'x' has 4 dimensions, it cannot get \[2, 2\]"):
        read(INPUT + CONV, x=(2, 2))
    with pytest.raises(UsageError, match="the model has no input 'z'"):
        read(INPUT + CONV, z=(2, 2))


def test_unknown_fields_are_named(read) -> None:
    text = 'mirror: true\nlayer { name: "r" type: "ReLU" bottom: "x" top: "y" quantum: 3 }\n'
    _, warnings = read(INPUT + text)
    assert warnings == [
        "field 'mirror' of the net is not known, and left out",
        "field 'quantum' of layer 'r' (ReLU) is not known, and left out",
    ]


def test_layers_of_unknown_types_have_all_their_fields(read) -> None:
    text = """layer { name: "o" type: "Odd" bottom: "x" top: "y"
      odd_param { size: 3 rate: 0.5 mode: FAST on: true names: "a" names: "b" } }"""
    (op,) = read(INPUT + text)[0].operations
    assert op.custom
    assert op.attribs == {"size": 3, "rate": 0.5, "mode": "FAST", "on": True, "names": ["a", "b"]}


def test_parameters_of_forks_are_found_by_the_type_of_the_layer(tmp_path: Path) -> None:
    """Number 203 is PriorBox's in one fork, and another layer's in another; ROIPooling has 150 or 8266711."""
    prior = encoded(schema()["PriorBoxParameter"](min_size=[30.0], flip=False))
    region = encoded(schema()["ROIPoolingParameter"](pooled_h=6, pooled_w=7))
    reverse = encoded(schema()["ReverseParameter"](axis=1))
    content = encoded(schema()["NetParameter"](name="n", input=["x"]))
    for number, type, parameter in (
        (203, "PriorBox", prior),
        (8266711, "ROIPooling", region),
        (204, "Reverse", reverse),
    ):
        plain = encoded(layer_message(type, type, bottom=["x"], top=[type]))
        content += delimited(100, plain + delimited(number, parameter))
    (tmp_path / "net.caffemodel").write_bytes(content)
    graph = Reader()(tmp_path / "net.caffemodel", {"x": (1, 2, 4, 4)})
    assert [op.attribs for op in graph.operations] == [
        {"min_size": [30.0], "flip": False}, {"pooled_h": 6, "pooled_w": 7}, {"axis": 1},
    ]  # fmt: skip


def test_where_weights_are_found(tmp_path: Path) -> None:
    net = recorded_net("lenet", tmp_path).path
    weights = net.with_suffix(".caffemodel")
    reader = Reader()
    reader(net)
    assert reader.files == (net, weights)
    renamed = weights.rename(tmp_path / "iter_1000.caffemodel")
    reader(net)
    assert reader.warnings == [f"the weights are taken from '{renamed}', the only file with weights beside the net"]
    (tmp_path / "other.caffemodel").write_bytes(renamed.read_bytes())
    with pytest.raises(FormatError, match="the net has no weights: 4 layers need some"):
        reader(net)
    assert reader.warnings == [
        "several files could have the weights: 'iter_1000.caffemodel', 'other.caffemodel'; none is taken"
    ]
    assert len(Reader(renamed)(net).operations) == len(Reader()(renamed).operations) == 9


def error(read, text: str, weights: Mapping[str, Sequence[np.ndarray]] | None = None) -> FormatError:
    with pytest.raises(FormatError) as caught:
        read(text, weights)
    return caught.value


def test_syntax_errors_have_line_and_column(read) -> None:
    found = error(read, INPUT + 'layer {\n  name: "a"\n  type "ReLU" }\n')
    assert isinstance(found, ParseError)
    assert (found.line, found.column) == (4, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (INPUT + CONV, "the net has no weights: 1 layers need some"),
        (INPUT, "the net has no layers"),
        (INPUT + 'layer { name: "a" type: "ReLU" top: "y" include { phase: TRAIN } }', "no layers in the phase TEST"),
        (
            INPUT + 'layer { name: "a" type: "ReLU" bottom: "z" top: "y" }',
            "it reads 'z', which no layer before it makes",
        ),
        (INPUT + 'layer { name: "a" bottom: "x" top: "y" }', "it has no type"),
        ('input: "x" input_dim: 1 layer { name: "a" type: "ReLU" bottom: "x" top: "y" }', "shapes for another number"),
        (
            INPUT + 2 * 'layer { name: "a" type: "ReLU" bottom: "x" top: "y" }',
            "makes 'y', which a layer before it makes",
        ),
        (INPUT + 'layer { name: "a" type: "ReLU" }\nlayers { type: RELU }', "layers of two versions"),
        ('net: "train.prototxt"\nbase_lr: 0.1', "the settings of a training"),
        ('layers { layer { name: "a" type: "odd" } }', "unknown type 'odd'"),
        (
            'layer { name: "d" type: "DummyData" top: "y" dummy_data_param { shape { dim: 2 } '
            "data_filler { type: 'gaussian' } } }",
            "its values are random",
        ),
    ],
)
def test_nets_that_caffe_would_not_take(read, text: str, message: str) -> None:
    assert message in str(error(read, text))


def test_weights_of_another_net(read) -> None:
    found = error(read, INPUT + CONV, {"other": FILTERS})
    assert found.message == "the weights are those of another net: there are none for 1 of 1 layers ('conv')"
    assert found.hint == "layers are matched by name; there are weights for 'other'"
    found = error(read, INPUT + CONV, {"other": ()})
    assert found.message.startswith("the file that is given for the weights has none: 1 layers need some ('conv')")


def test_errors_name_what_is_not_known(read) -> None:
    found = error(read, INPUT + CONV.replace("layer", "layr") + CONV.replace('"x"', '"y"'))
    assert found.details == ("field 'layr' of the net is not known",)


def test_damaged_weights(tmp_path: Path) -> None:
    net = recorded_net("lenet", tmp_path).path
    weights = net.with_suffix(".caffemodel")
    whole = weights.read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], "runs past its end"),
        (b"\x89HDF\r\n\x1a\n" + whole, "the net is saved as HDF5"),
        (b"\0" * 100, "not a valid NetParameter"),
    ):
        weights.write_bytes(content)
        with pytest.raises(FormatError, match=message) as caught:
            Reader()(net)
        assert str(weights) in str(caught.value.where)


def test_blobs_that_do_not_fit_their_shape(tmp_path: Path) -> None:
    wrong = blob(np.ones((3, 2, 3, 3)))
    wrong["data"] = wrong["data"][:10]
    layer = schema()["LayerParameter"](name="conv", type="Convolution", blobs=[wrong])
    (tmp_path / "net.prototxt").write_text(INPUT + CONV)
    (tmp_path / "net.caffemodel").write_bytes(encoded(schema()["NetParameter"](layer=[layer])))
    with pytest.raises(FormatError, match=r"a blob of shape \[3, 2, 3, 3\] has 10 values, not 54") as caught:
        Reader()(tmp_path / "net.prototxt")
    assert "layer 'conv'" in str(caught.value.where)


def test_four_extents_of_old_files(tmp_path: Path) -> None:
    """Old versions, and some programs, write four extents for every blob."""
    old = schema()["BlobProto"](num=1, channels=1, height=1, width=2, data=np.ones(2, np.float32))
    layer = schema()["LayerParameter"](name="s", type="Scale", blobs=[old])
    (tmp_path / "net.prototxt").write_text(INPUT + 'layer { name: "s" type: "Scale" bottom: "x" top: "y" }')
    (tmp_path / "net.caffemodel").write_bytes(encoded(schema()["NetParameter"](layer=[layer])))
    (op,) = Reader()(tmp_path / "net.prototxt").operations
    assert op.inputs[1].shape == (2,)


def test_reading_leaves_shapes_open(tmp_path: Path) -> None:
    graph: Graph = Reader()(recorded_net("lenet", tmp_path).path)
    assert graph.outputs[0].shape is None

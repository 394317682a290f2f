"""Caffe2 to NNEF: what is refused and why, and what plugins can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_tools
from nnef_tools import Transform
from nnef_tools.conversion.caffe2_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.io.caffe2 import Reader
from nnef_tools.verification.quantization_tolerance import QuantizationSteps

from ...support.caffe2_models import net_bytes, recorded
from ...support.nnef_models import run_nnef, types

Operators = list[tuple[str, str, str, dict[str, Any]]]


def write(folder: Path, operators: Operators, outputs: str = "y", **shapes: list[int]) -> Path:
    """Writes a model with these inputs of float32."""
    (folder / "predict_net.pb").write_bytes(net_bytes(operators, " ".join(shapes), outputs))
    (folder / "value_info.json").write_text(json.dumps({name: [1, shape] for name, shape in shapes.items()}), "utf-8")
    return folder


def reason(folder: Path, operators: Operators, **shapes: list[int]) -> str:
    """Why a model cannot be converted."""
    with pytest.raises(ConversionError) as caught:
        Converter()(Reader()(write(folder, operators, **shapes)))
    return "\n".join([caught.value.message, *caught.value.details])


IMAGE = [1, 3, 6, 6]
POOL = {"kernel": 2, "stride": 2}


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (("XavierFill", "", "y", {"shape": [2]}), "the value is random: these weights are not trained"),
        (("ReluGradient", "x", "y", {}), "an operator for training"),
        (("RecurrentNetwork", "x", "y", {}), "it runs a net of its own"),
        (("Nonsense", "x", "y", {}), "there is no rule for Nonsense"),
        (("Relu", "x", "y", {"nonsense": 1}), "attribute 'nonsense' is not supported"),
        (("MaxPool", "x", "y", {"kernel": 2, "ordr": "NHWC"}), "attribute 'ordr' is not supported; is 'order' meant?"),
        (("Dropout", "x", "y", {"ratio": 0.5}), "is_test = 0: drops at random"),
        (("MaxPool", "x", "y", {**POOL, "order": "NCWH"}), "order = 'NCWH' is not known"),
        (("MaxPool", "x", "y", {**POOL, "legacy_pad": 2, "pad": 1}), "legacy_pad = 2 together with pads"),
        (("MaxPool", "x", "y", {**POOL, "legacy_pad": 9}), "legacy_pad = 9 is not known"),
        (("MaxPool", "x", "y", {**POOL, "pad": -1}), "are negative"),
        (("MaxPool", "x", "y", {"kernels": [2, 2, 2]}), "do not fit 2 spatial dimensions"),
        (("MaxPool", "x", "y", {"kernel": "2"}), "argument 'kernel' = '2' has the wrong type"),
        (("MaxPool", "x", "y", {}), "has no size"),
        (("LRN", "x", "y", {"size": 4}), "size = 4, which has no middle"),
        (("Add", "x x", "y", {"axis": 1}), "an axis without broadcast"),
        (("Reshape", "x", "y old", {"shape": [5, -1]}), "cannot reshape"),
        (("Concat", "x x", "y info", {"axis": 7}), "axis 7 is out of range"),
        (("Cast", "x", "y", {"to": "STRING"}), "cannot cast to STRING"),
        (("GroupNorm", "x x x", "y", {"group": 2}), "3 channels in 2 groups"),
        (("Softmax", "x", "y", {"axis": 1.5}), "'axis' = 1.5 has the wrong type"),
    ],
)
def test_reasons(tmp_path: Path, operator: tuple[str, str, str, dict[str, Any]], message: str) -> None:
    assert message in reason(tmp_path, [("Relu", "x", "z", {}), operator], x=IMAGE)


def test_positions_that_float32_does_not_hold(tmp_path: Path) -> None:
    assert "too large to count positions" in reason(tmp_path, [("TopK", "x", "v i y", {})], x=[2, (1 << 23) + 1])


def test_arguments_that_change_nothing(tmp_path: Path) -> None:
    operators: Operators = [
        ("Relu", "x", "t", {"order": "NCHW", "cudnn_exhaustive_search": 0}),
        ("MaxPool", "t", "y", {**POOL, "ws_nbytes_limit": 1 << 20, "deterministic": 1}),
    ]
    graph = Converter()(Reader()(write(tmp_path, operators, x=IMAGE)))
    assert types(graph) == ["relu", "max_pool"]


def test_plugins_see_arguments(tmp_path: Path) -> None:
    transform = Transform(type="leaky_relu", inputs="!I[0]", outputs="!O[0]", attribs={"alpha": "!slope"})
    operators: Operators = [("MyRelu", "x", "t", {"slope": 0.25}), ("Exp", "t", "y", {})]
    converter = Converter(custom_transforms={"MyRelu": transform}, keep_io_names=True)
    graph = converter(Reader()(write(tmp_path, operators, x=[2])))
    assert types(graph) == ["leaky_relu", "exp"]
    assert graph.operations[1].attribs == {"alpha": 0.25}
    assert converter.tensor_mapping() == {"x": "x", "t": "leaky_relu1", "y": "y"}


def test_operators_are_mirrored_with_a_shape_function(tmp_path: Path) -> None:
    operators: Operators = [("MyRelu", "x", "y", {"slope": 0.25})]
    source = Reader()(write(tmp_path, operators, x=[2, 3]))
    graph = Converter(mirror_unsupported=True, custom_shapes={"MyRelu": lambda x, **_: x})(source)
    assert types(graph) == ["MyRelu"]
    assert graph.outputs[0].shape == (2, 3)


def test_dequantized_outputs_have_the_steps_of_their_codes(tmp_path: Path) -> None:
    model = recorded("int8_network")
    graph = Converter()(Reader()(model.write(tmp_path)))
    steps = QuantizationSteps.of(graph, of_source=False)
    assert steps is not None
    assert list(steps.steps.values()) == pytest.approx([model.steps["r"][0]] * 2)


def test_names_of_versions(tmp_path: Path) -> None:
    """Operators in place give several tensors of one blob; the last has its name."""
    model = recorded("lenet_nhwc").write(tmp_path)
    nnef_tools.convert_model(
        model, tmp_path / "out.nnef", tensor_mapping=tmp_path / "out.nnef.json", keep_io_names=True
    )
    mapping = json.loads((tmp_path / "out.nnef.json").read_text("utf-8"))
    assert {"data", "conv2", "conv2_1", "softmax", "conv1_w"} <= mapping.keys()


@pytest.mark.parametrize("extent", [5, 6, 7])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (1, 3), (3, 1)])
def test_same_padding(tmp_path: Path, extent: int, kernel: int, stride: int) -> None:
    """There are as many results as strides fit in the extent; a stride larger than the window crops."""
    arguments = {"kernel": kernel, "stride": stride, "legacy_pad": 2}
    graph = Converter()(Reader()(write(tmp_path, [("MaxPool", "x", "y", arguments)], x=[1, 1, extent, extent])))
    x = np.arange(extent * extent, dtype=np.float32).reshape(1, 1, extent, extent)
    [y] = run_nnef(graph, [x])
    count = -(-extent // stride)
    assert y.shape == (1, 1, count, count)
    total = (count - 1) * stride + kernel - extent
    first = -int(total / 2)
    ends = [min(first + k * stride + kernel, extent) - 1 for k in range(count)]
    np.testing.assert_array_equal(y[0, 0], np.asarray([[extent * i + j for j in ends] for i in ends], np.float32))

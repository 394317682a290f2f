"""The MACs of architectures are those that torch counts, in four formats; single operations are counted by hand."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch.utils.flop_counter import FlopCounterMode

from nnef_tools import convert_model
from nnef_tools.errors import ConversionError
from nnef_tools.inspection.opening import open_sized
from nnef_tools.inspection.summary import operator_rows
from tests.inspection.architectures import ARCHITECTURES
from tests.support.onnx_models import onnx_model

LSTM_MACS = 5 * 2 * 2 * 28 * (6 + 7) + 5 * 2 * 2 * 28 * (14 + 7) + 2 * 14 * 5
"""Steps, batch, directions, four gates of 7, times inputs and state; twice; and the dense layer."""


def counted_by_torch(model: torch.nn.Module, x: torch.Tensor) -> int:
    """Half of the floating-point operations, of which a product and an addition are two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_cost_the_same_in_every_format(name: str, tmp_path: Path) -> None:
    make, shape, dtype = ARCHITECTURES[name]
    torch.manual_seed(0)
    model, x = make().eval(), torch.zeros(shape, dtype=dtype)
    expected = LSTM_MACS if name == "lstm" else counted_by_torch(model, x)
    source = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), str(source), dynamo=False)
    for target in ("model.nnef", "model.pb", "model.tflite"):
        convert_model(source, tmp_path / target)
    for file in ("model.onnx", "model.nnef", "model.pb", "model.tflite"):
        count = open_sized(tmp_path / file).count
        assert (file, count.total(), count.uncounted) == (file, expected, [])


def nnef(folder: Path, body: str, head: str = "", io: str = "(x) -> (y)") -> Path:
    folder.mkdir()
    text = f"version 1.0;\n{head}\ngraph net{io} {{\n{body}\n}}\n"
    (folder / "graph.nnef").write_text(text, "utf-8")
    return folder


EXTENSION = "extension KHR_enable_fragment_definitions;\nextension KHR_enable_operator_expressions;\n"

X = "x = external<scalar>(shape = [2, 6, 8, 10]);\n"


@pytest.mark.parametrize(
    ("body", "always", "optional"),
    [
        ("w = external<scalar>(shape = [4, 3, 3, 5]); y = conv(x, w, groups = 2);", 2 * 4 * 8 * 10 * 3 * 3 * 5, {}),
        ("w = external<scalar>(shape = [6, 4, 3, 5]); y = deconv(x, w);", 2 * 6 * 8 * 10 * 4 * 3 * 5, {}),
        ("w = external<scalar>(shape = [2, 6, 10, 7]); y = matmul(x, w);", 2 * 6 * 8 * 7 * 10, {}),
        ("y = max_pool(x, size = [1, 1, 2, 2]);", 0, {"pooling": 2 * 6 * 8 * 10 * 4}),
        ("y = multilinear_upsample(x, factor = [2, 2]);", 0, {"upsampling": 2 * 6 * 8 * 10 * 16}),
        ("y = mean_reduce(x, axes = [2, 3]);", 0, {"reduction": 2 * 6 * 8 * 10}),
        ("y = l2_normalization(x, axes = [1]);", 0, {"normalization": 2 * 6 * 8 * 10}),
        ("y = softmax(x);", 0, {}),
    ],
)
def test_an_operation_is_counted_as_by_hand(tmp_path: Path, body: str, always: int, optional: dict[str, int]) -> None:
    io = "(x, w) -> (y)" if "w =" in body else "(x) -> (y)"
    count = open_sized(nnef(tmp_path / "m", X + body, io=io)).count
    macs = [item for item in count.macs.values() if item.count or item.optional]
    assert count.total() == always
    assert count.total(("pooling", "upsampling", "normalization", "reduction")) == always + sum(optional.values())
    assert [dict(item.optional) for item in macs if item.optional] == ([optional] if optional else [])
    assert not count.uncounted


def test_inverses_and_determinants_are_counted_as_eliminations(tmp_path: Path) -> None:
    a = np.zeros((3, 4, 4), np.float32)
    nodes = [helper.make_node("Det", ["a"], ["d"])]
    onnx.save(onnx_model(nodes, {"a": a}, {"d": a[:, 0, 0]}), tmp_path / "m.onnx")
    assert open_sized(tmp_path / "m.onnx").count.total() == 3 * (1 * 1 + 2 * 2 + 3 * 3)


def test_a_fragment_costs_what_its_body_costs(tmp_path: Path) -> None:
    head = EXTENSION + (
        "fragment block(x: tensor<scalar>, w: tensor<scalar>) -> (y: tensor<scalar>)\n"
        "{ y = relu(conv(x, w) + conv(x, w)); }\n"
    )
    body = X + "w = external<scalar>(shape = [4, 6, 1, 1]); y = block(x, w);"
    count = open_sized(nnef(tmp_path / "m", body, head, "(x, w) -> (y)")).count
    assert (count.total(), count.uncounted) == (2 * (2 * 4 * 8 * 10 * 6), [])


def test_operators_without_a_rule_are_named_and_the_rest_is_counted(tmp_path: Path) -> None:
    x, w = np.zeros((1, 2, 4, 4), np.float32), np.zeros((3, 2, 1, 1), np.float32)
    nodes = [
        helper.make_node("Foreign", ["x"], ["f"], domain="com.example"),
        helper.make_node("Conv", ["f", "w"], ["y"]),
    ]
    model = onnx_model(nodes, {"x": x}, {"y": [1, 3, 4, 4]}, {"w": w}, domains=("com.example",))
    model.graph.value_info.append(helper.make_tensor_value_info("f", 1, [1, 2, 4, 4]))
    onnx.save(model, tmp_path / "m.onnx")
    count = open_sized(tmp_path / "m.onnx").count
    assert count.total() == 3 * 4 * 4 * 2
    assert [(item.type, item.count) for item in count.uncounted] == [("Foreign", 1)]


def test_operators_whose_first_result_is_left_out_are_told_apart(tmp_path: Path) -> None:
    steps, inputs = 5, 4
    hidden = {"small": 8, "large": 64}
    weights = {
        f"{name}_{part}": np.zeros((1, 4 * n, columns), np.float32)
        for name, n in hidden.items()
        for part, columns in (("w", inputs), ("r", n))
    }
    nodes = [
        helper.make_node("LSTM", ["x", f"{name}_w", f"{name}_r"], ["", name], hidden_size=n)
        for name, n in hidden.items()
    ]
    model = onnx_model(nodes, {"x": [steps, 1, inputs]}, {n: [1, 1, hidden[n]] for n in hidden}, weights)
    onnx.save(model, tmp_path / "m.onnx")
    rows = operator_rows(open_sized(tmp_path / "m.onnx"))
    assert {row.name: row.macs for row in rows} == {k: steps * 4 * n * (inputs + n) for k, n in hidden.items()}
    assert {row.name: row.activation_size for row in rows} == {k: 4 * n for k, n in hidden.items()}


def test_what_depends_on_an_unknown_shape_is_named_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Foreign", ["x"], ["f"], domain="com.example"),
        helper.make_node("Conv", ["f", "w"], ["y"]),
    ]
    w = np.zeros((3, 2, 1, 1), np.float32)
    model = onnx_model(nodes, {"x": [1, 2, 4, 4]}, {"y": None}, {"w": w}, domains=("com.example",))
    onnx.save(model, tmp_path / "m.onnx")
    assert [item.type for item in open_sized(tmp_path / "m.onnx").count.uncounted] == ["Conv", "Foreign"]


def test_an_open_batch_is_taken_as_one(tmp_path: Path) -> None:
    w = np.zeros((5, 7), np.float32)
    onnx.save(
        onnx_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["N", 5]}, {"y": ["N", 7]}, {"w": w}),
        tmp_path / "m.onnx",
    )
    model = open_sized(tmp_path / "m.onnx")
    assert (model.count.total(), model.assumed, model.inputs[0].shape) == (35, {"x": (1, 5)}, ("N", 5))
    given = open_sized(tmp_path / "m.onnx", input_shapes={"x": (4, 5)})
    assert (given.count.total(), given.assumed) == (4 * 35, {})


def test_other_open_extents_are_asked_for(tmp_path: Path) -> None:
    w = np.zeros((5, 7), np.float32)
    onnx.save(
        onnx_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["N", "T", 5]}, {"y": None}, {"w": w}),
        tmp_path / "m.onnx",
    )
    model = open_sized(tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match="leave extents open") as found:
        _ = model.count
    assert found.value.hint is not None and "--shape 'x:?,?,5'" in found.value.hint

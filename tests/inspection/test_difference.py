"""Differences of graphs: planted edits are found, each as what it is, and nothing else; with names and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.cli.main import main
from nnef_tools.inspection.difference import Change, Difference, difference, difference_of_files
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.pipeline import convert_model
from tests.support.caffe2_models import recorded

SHAPE = (1, 4, 8, 8)


class Net:
    """A net of ONNX operators whose parts can be found by number. named: do they have names of their own?"""

    def __init__(self, named: bool) -> None:
        self.graph = Graph("net")
        self.named = named
        self.ops: list[Operation] = []
        random = np.random.default_rng(0)
        x = Tensor(self.graph, "image", SHAPE, np.float32)
        self.graph.inputs = [x]
        for block in range(6):
            y = self.add("Relu", self.add("Conv", x, self.weight(random), strides=[1, 1], kernel=block + 1))
            y = self.add("Conv", y, self.weight(random), strides=[1, 1])
            x = self.add("Add", x, y)
            x = self.add("Tanh" if block % 2 else "Clip", x)
        self.graph.outputs = [x, self.add("Softmax", x)]

    def weight(self, random: np.random.Generator) -> Tensor:
        data = random.standard_normal((4, 4, 3, 3)).astype(np.float32)
        return Tensor(self.graph, f"w{len(self.graph.tensors)}", data.shape, np.float32, data)

    def add(self, type: str, *inputs: Tensor, **attribs) -> Tensor:
        name = f"layer{len(self.ops)}.{type}" if self.named else None
        out = Tensor(self.graph, f"{name}.out" if name else f"t{len(self.graph.tensors)}", SHAPE, np.float32)
        self.ops.append(Operation(self.graph, type, name=name, inputs=inputs, outputs=out, attribs=attribs))
        return out

    def find(self, block: int, place: int) -> Operation:
        """An operation of a block: Conv, Relu, Conv, Add, Tanh or Clip."""
        return self.ops[5 * block + place]


Expected = tuple[str, str, str]
"""Kind, type of the operation in the first graph (else in the second), a part of the details."""


def attribute(net: Net) -> Expected:
    net.find(0, 0).attribs["strides"] = [2, 2]
    return "changed", "Conv", "strides [1, 1] -> [2, 2]"


def attribute_left_out(net: Net) -> Expected:
    del net.find(1, 0).attribs["kernel"]
    return "changed", "Conv", "kernel 2 -> nothing"


def weight_value(net: Net) -> Expected:
    tensor = net.find(1, 2).inputs[1]
    tensor.data = tensor.data.copy()
    tensor.data[3, 2, 1, 0] += 0.5
    return "changed", "Conv", "differ in 1 of 144 values, by 0.5 at most"


def weight_shape(net: Net) -> Expected:
    tensor = net.find(2, 0).inputs[1]
    tensor.data = tensor.data[:, :, :1, :1]
    tensor.shape = (4, 4, 1, 1)
    return "changed", "Conv", "weights 4×4×3×3 float32 -> 4×4×1×1 float32"


def weight_type(net: Net) -> Expected:
    tensor = net.find(2, 2).inputs[1]
    tensor.data, tensor.dtype = tensor.data.astype(np.float16), np.float16
    return "changed", "Conv", "float32 -> 4×4×3×3 float16"


def operator_type(net: Net) -> Expected:
    net.find(3, 1).type = "Sigmoid"
    return "changed", "Relu", "type Relu -> Sigmoid"


def inserted(net: Net) -> Expected:
    after = net.find(3, 4)
    target = net.find(4, 0)
    out = net.add("Dropout", after.output)
    target.inputs = (out, target.inputs[1])
    net.graph.sort()
    return "added", "Dropout", ""


def removed(net: Net) -> Expected:
    relu = net.find(4, 1)
    before, (conv,) = relu.input, relu.output.consumers
    conv.inputs = (before, conv.inputs[1])
    net.graph.remove_operation(relu, unlink=True)
    return "removed", "Relu", ""


def connection(net: Net) -> Expected:
    add = net.find(5, 3)
    add.inputs = (net.find(5, 0).output, add.inputs[1])
    return "changed", "Add", "input 0 from"


def quantization(net: Net) -> Expected:
    net.find(5, 2).output.quant = {"scale": 0.5}
    return "changed", "Conv", "quantization scale nothing -> 0.5"


def result_shape(net: Net) -> Expected:
    net.find(5, 4).output.shape = (1, 4, 8, 9)
    return "changed", "Tanh", "result 1×4×8×8 -> 1×4×8×9"


EDITS: list[Callable[[Net], Expected]] = [
    attribute, attribute_left_out, weight_value, weight_shape, weight_type, operator_type, inserted, removed,
    connection, quantization, result_shape,
]  # fmt: skip


def agrees(change: Change, expected: Expected) -> bool:
    operation = change.a or change.b
    return (
        change.kind == expected[0]
        and operation is not None
        and operation.type == expected[1]
        and expected[2] in change.text
        and len(change.details) == (1 if expected[2] else 0)
    )


def check(found: Difference, expected: list[Expected]) -> None:
    left = list(found.changes)
    for one in expected:
        fitting = [change for change in left if agrees(change, one)]
        assert fitting, (one, [change.text for change in found.changes])
        left.remove(fitting[0])
    assert [change.text for change in left] == []


@pytest.mark.parametrize("named", [True, False])
def test_a_graph_equals_itself(named: bool) -> None:
    found = difference(Net(named).graph, Net(named).graph)
    assert not found.changes
    assert len(found.partners) == 2 * len(Net(named).ops)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("edit", EDITS)
def test_a_planted_edit_is_found_alone(edit: Callable[[Net], Expected], named: bool) -> None:
    a, b = Net(named), Net(named)
    expected = edit(b)
    check(difference(a.graph, b.graph), [expected])


@pytest.mark.parametrize("named", [True, False])
def test_all_planted_edits_are_found_together(named: bool) -> None:
    a, b = Net(named), Net(named)
    expected = [edit(b) for edit in EDITS]
    check(difference(a.graph, b.graph), expected)


def test_inputs_and_outputs_are_compared() -> None:
    a, b = Net(True), Net(True)
    b.graph.inputs[0].dtype = np.float16
    b.graph.outputs = [b.graph.outputs[0]]
    texts = [change.text for change in difference(a.graph, b.graph).changes if change.name]
    assert texts == ["input 'image': type float32 -> float16", f"output '{b.ops[-1].output.name}'"]


def test_numbers_in_attributes_are_those_of_float32() -> None:
    a, b = Net(True), Net(True)
    a.find(0, 0).attribs["alpha"], b.find(0, 0).attribs["alpha"] = 0.1, float(np.float32(0.1))
    a.find(0, 2).attribs["pads"], b.find(0, 2).attribs["pads"] = [1, 2], (np.int64(1), 2)
    assert not difference(a.graph, b.graph).changes


def test_nested_graphs_are_compared_with_their_data() -> None:
    pair = []
    for value in (1.0, 2.0):
        net = Net(True)
        body = Net(False)
        body.find(0, 0).inputs[1].data[0, 0, 0, 0] = value
        net.add("If", net.graph.inputs[0], then_branch=body.graph)
        pair.append(net.graph)
    (change,) = difference(*pair).changes
    assert change.details == ("then_branch graph of 31 operations, which differs inside",)


def test_inner_names_do_not_count() -> None:
    a, b = Net(False), Net(False)
    for k, tensor in enumerate(b.graph.tensors):
        if tensor not in b.graph.inputs and tensor not in b.graph.outputs:
            tensor.name = f"other{k}"
    assert not difference(a.graph, b.graph).changes


NNEF = """version 1.0;
graph net(x) -> (y)
{{
    x = external<scalar>(shape = [1, 3, 8, 8]);
    w = variable<scalar>(shape = [4, 3, 3, 3], label = 'w');
    c = conv(x, w, {bias}, padding = [(1, 1), (1, 1)]);
    y = {last}(c);
}}
"""


def write_nnef(folder: Path, bias: str = "0.0", last: str = "relu") -> Path:
    from nnef_tools.language.tensor_file import write_tensor

    folder.mkdir()
    (folder / "graph.nnef").write_text(NNEF.format(bias=bias, last=last))
    with (folder / "w.dat").open("wb") as file:
        write_tensor(file, np.ones((4, 3, 3, 3), np.float32))
    return folder


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_nnef(tmp_path / "a.nnef"), write_nnef(tmp_path / "b.nnef", last="tanh")
    assert main(["diff", str(a), str(a)]) == 0
    assert capsys.readouterr().out == "no differences\n"
    assert main(["diff", str(a), str(b)]) == 1
    assert "changed  relu 'y': type relu -> tanh" in capsys.readouterr().out
    assert main(["diff", str(a), str(b), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["schema"] == "nnef-tools.difference/1"
    assert facts["counts"] == {"added": 0, "removed": 0, "changed": 1}
    page = tmp_path / "page.html"
    assert main(["diff", str(a), str(b), "-o", str(page)]) == 1
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["diff", str(a)]) == 1
    assert main(["diff", str(a), str(tmp_path / "missing")]) == 2
    assert main(["diff", str(a), str(b), "--format", "text", "-o", str(page)]) == 1


def test_models_of_different_formats_are_compared_over_nnef(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_nnef(tmp_path / "a.nnef"), write_nnef(tmp_path / "b.nnef", bias="1.0")
    convert_model(a, tmp_path / "a.onnx", keep_io_names=True)
    assert main(["diff", str(a), str(tmp_path / "a.onnx")]) == 0
    assert main(["diff", str(tmp_path / "a.onnx"), str(b)]) == 1
    assert capsys.readouterr().out.count("conv") == 1


def test_shapes_that_files_leave_out_are_compared_too(tmp_path: Path) -> None:
    net = recorded("groupnorm_nhwc")
    folder = net.write(tmp_path)
    found = difference_of_files(folder, folder)
    assert [side.outputs[0].shape for side in (found.a, found.b)] == [net.outputs["y"].shape] * 2

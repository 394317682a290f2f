"""Command lines and plugins as they were written for versions 1.0, and what they have to give."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from nnef_tools.io.tf.graphdef import Writer as GraphDefWriter
from nnef_tools.language.tensor_file import read_tensor
from nnef_tools.model import Graph, Operation, Tensor

from ..support.onnx_models import onnx_model, run_onnx

Run = Callable[..., str]

TEXT = """version 1.0;

graph net(external1) -> (softmax1)
{
    external1 = external<scalar>(shape = [1, 3, 8, 8]);
    variable1 = variable<scalar>(shape = [8, 3, 3, 3], label = 'variable1');
    variable2 = variable<scalar>(shape = [1, 8], label = 'variable2');
    conv1 = conv(external1, variable1, variable2, stride = [1, 1], dilation = [1, 1], padding = [(1, 1), (1, 1)], \
groups = 1);
    relu1 = relu(conv1);
    max_pool1 = max_pool(relu1, size = [1, 1, 2, 2], stride = [1, 1, 2, 2], dilation = [1, 1, 1, 1], \
padding = [(0, 0), (0, 0), (0, 0), (0, 0)], border = 'ignore');
    reshape1 = reshape(max_pool1, shape = [0, 128]);
    softmax1 = softmax(reshape1, axes = [1]);
}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `python -m nnef_tools.<module>` in a folder of its own and gives what it prints."""

    def run(module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", f"nnef_tools.{module}", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """x [1, 3, 8, 8] -> conv -> relu -> max pool -> flatten -> softmax -> y."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Softmax", ["f"], ["y"], axis=1),
    ]
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((8, 3, 3, 3)), "b": rng.standard_normal(8)}
    constants = {name: array.astype(np.float32) for name, array in weights.items()}
    path = tmp_path / "net.onnx"
    onnx.save(onnx_model(nodes, {"x": [1, 3, 8, 8]}, {"y": [1, 128]}, constants, opset=11, ir_version=6), path)
    return path


def test_plain_conversion(run: Run, network: Path, tmp_path: Path) -> None:
    arguments = "--input-format=onnx --output-format=nnef --input-model=net.onnx --tensor-mapping"
    printed = run("convert", *arguments.split())
    assert printed == "Written 'net.onnx.nnef'\nWritten 'tensor_mapping.json'\n"
    assert (tmp_path / "net.onnx.nnef" / "graph.nnef").read_text() == TEXT
    assert json.loads((tmp_path / "tensor_mapping.json").read_text()) == {
        "x": "external1",
        "w": "variable1",
        "b": "variable2",
        "c": "conv1",
        "r": "relu1",
        "p": "max_pool1",
        "f": "reshape1",
        "y": "softmax1",
    }


def test_plain_execution(run: Run, network: Path, tmp_path: Path) -> None:
    run("convert", "--input-format=onnx", "--output-format=nnef", "--input-model=net.onnx")
    arguments = "net.onnx.nnef --format nnef --random uniform(min=-1,max=1) --seed 3 --output-path outputs --statistics"
    printed = run("execute", *arguments.split(), "--output-names", "{'relu1':'saved'}")
    assert sorted(printed.splitlines()) == ["Written outputs/saved.dat", "Written stats.json"]
    saved, _ = read_tensor(tmp_path / "outputs" / "saved.dat")
    assert saved.shape == (1, 8, 8, 8)
    statistics = json.loads((tmp_path / "stats.json").read_text())
    assert next(iter(statistics)) == "external1" and set(statistics["relu1"]) == {"min", "max", "mean", "std"}
    assert statistics["relu1"]["max"] == pytest.approx(saved.max())


def test_other_batches_run(run: Run, network: Path, tmp_path: Path) -> None:
    """A network that was converted for one image is trained on more."""
    torch = pytest.importorskip("torch", reason="NNEFModule is made of it")
    from nnef_tools.interpreter.pytorch import NNEFModule

    run("convert", "--input-format=onnx", "--output-format=nnef", "--input-model=net.onnx")
    module = NNEFModule(str(tmp_path / "net.onnx.nnef"))
    x = torch.randn(4, 3, 8, 8)
    (together,) = module(x)
    torch.testing.assert_close(together, torch.cat([module(x[k : k + 1])[0] for k in range(4)]))


TF_PLUGIN = """
from nnef_tools.conversion import Transform

def axes_of(converter, axis, x):
    return converter.ensure_list(converter.transpose_axis_like(axis, x))

CUSTOM_TRANSFORMS = {
    'lp_norm': Transform(
        type='l2_normalization',
        cond={'!p == 2': 'p must be 2', '!not _lite_': 'TensorFlow Lite is not supported'},
        inputs='!I[0]',
        outputs='!transpose_like(O[0], I[0])',
        attribs={'axes': '!axes_of([axis], I[0])', 'epsilon': '!eps'},
    ),
    ('Relu', 'Relu6'): Transform(
        type=('relu', 'clamp'), inputs='!I[0]', outputs='!transpose_like(O[0], I[0])', attribs={'alpha': '!None'},
    ),
}
"""


def test_plugin_for_tensorflow(run: Run, tmp_path: Path) -> None:
    """A composite function is converted; `_lite_` tells the two kinds of TensorFlow models apart."""
    graph = Graph("net")
    tensors = [Tensor(graph, name, (2, 3), np.float32) for name in ("x", "norm", "relu")]
    Operation(graph, "Placeholder", "x", {"dtype": np.float32, "shape": (2, 3)}, [], tensors[:1])
    attribs = {"axis": -1, "p": 2, "eps": 0.25}
    Operation(graph, "lp_norm", "norm", attribs, tensors[:1], tensors[1:2], custom=True)
    Operation(graph, "Relu", "relu", {"T": np.float32}, tensors[1:2], tensors[2:])
    graph.inputs, graph.outputs = tensors[:1], tensors[2:]
    GraphDefWriter()(graph, str(tmp_path / "net.pb"))
    (tmp_path / "tf_plugin.py").write_text(TF_PLUGIN)
    arguments = "--input-format=tf --output-format=nnef --input-model=net.pb --custom-converters tf_plugin"
    assert run("convert", *arguments.split()) == "Written 'net.pb.nnef'\n"
    text = (tmp_path / "net.pb.nnef" / "graph.nnef").read_text()
    assert "l2_normalization1 = l2_normalization(external1, axes = [1], epsilon = 0.25);" in text
    assert "relu1 = relu(l2_normalization1);" in text


ONNX_PLUGIN = """
from nnef_tools.conversion import Transform
from nnef_tools.model import Operation

def dropped(converter, x, axes):
    result = converter.new_tensor(None, x.dtype)
    Operation(x.graph, type='Squeeze', attribs={'axes': axes}, inputs=x, outputs=result)
    return result

CUSTOM_TRANSFORMS = {
    'mean_reduce': Transform('ReduceMean', inputs='!I[0]', outputs='!O[0]', attribs={'axes': '!axes', 'keepdims': 1}),
    'squeeze': Transform('Neg', inputs='!dropped(I[0], axes)', outputs='!O[0]'),
    'split': Transform('Split', inputs='!I[0]', outputs=('!O[0]', '!O[1]'), attribs={'axis': '!axis', 'split': [1, 3]}),
}
"""

REDUCED = """version 1.0;
graph net(x) -> (s, a, b)
{
    x = external(shape = [2, 4]);
    m = mean_reduce(x, axes = [0]);
    s = squeeze(m, axes = [0]);
    [a, b] = split(x, axis = 1, ratios = [1, 3]);
}
"""


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_plugin_that_makes_onnx_operators_of_version_11(run: Run, tmp_path: Path, opset: int) -> None:
    """What was an attribute then is an input now."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "graph.nnef").write_text(REDUCED)
    (tmp_path / "onnx_plugin.py").write_text(ONNX_PLUGIN)
    arguments = f"--input-format=nnef --output-format=onnx --input-model=net --opset={opset}"
    assert run("convert", *arguments.split(), "--custom-converters", "onnx_plugin") == "Written 'net.onnx'\n"
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    for result, wanted in zip(run_onnx(tmp_path / "net.onnx", [x]), (-x.mean(0), x[:, :1], x[:, 1:]), strict=True):
        np.testing.assert_array_equal(result, wanted)

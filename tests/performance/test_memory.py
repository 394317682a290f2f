"""Conversion needs about one copy of the weights, whatever is done to the model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnef_tools.io.tf.graphdef import Writer
from nnef_tools.model import Graph, Operation, Tensor

WIDTH = 512
LAYERS = 60

# The peak of a process includes that of the process that started it, so a small one in between has to do that.
PEAK = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "nnef_tools", "convert", *sys.argv[1:]], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
assert status == 0
print(usage.ru_maxrss / 1000)
"""


def linear_layers(path: Path, count: int) -> Path:
    """`count` layers of 1 MB: Gemm in both layouts, MatMul, and Conv with a BatchNormalization to fold into it."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for k in range(count):
        matrix, vector = rng.standard_normal((WIDTH, WIDTH), np.float32), rng.standard_normal(WIDTH, np.float32)
        weights += [numpy_helper.from_array(matrix, f"w{k}"), numpy_helper.from_array(vector, f"b{k}")]
        if k % 4 == 3:
            weights[-2] = numpy_helper.from_array(matrix.reshape(WIDTH, WIDTH, 1, 1), f"w{k}")
            shape = numpy_helper.from_array(np.array([1, WIDTH, 1, 1]), f"s{k}")
            flat = numpy_helper.from_array(np.array([1, WIDTH]), f"f{k}")
            scale = numpy_helper.from_array(np.abs(vector) + 1, f"g{k}")
            weights += [shape, flat, scale]
            nodes += [
                helper.make_node("Reshape", [last, f"s{k}"], [f"r{k}"]),
                helper.make_node("Conv", [f"r{k}", f"w{k}"], [f"c{k}"]),
                helper.make_node("BatchNormalization", [f"c{k}", f"g{k}", f"b{k}", f"b{k}", f"g{k}"], [f"n{k}"]),
                helper.make_node("Reshape", [f"n{k}", f"f{k}"], [f"y{k}"]),
            ]
        elif k % 4 == 2:
            nodes.append(helper.make_node("MatMul", [last, f"w{k}"], [f"y{k}"]))
        else:
            nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"y{k}"], transB=k % 4))
        last = f"y{k}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def flatten_and_multiply(path: Path, width: int) -> Path:
    """A TensorFlow graph: a convolution, then two matrices, with biases. The first one's rows follow the layout."""
    rng = np.random.default_rng(0)
    graph = Graph("net")

    def op(type: str, *inputs: Tensor, shape: tuple[int, ...], **attribs: Any) -> Tensor:
        output = Tensor(graph, None, shape, np.float32)
        Operation(graph, type, None, attribs, list(inputs), [output])
        return output

    def weights(*shape: int) -> Tensor:
        data = rng.standard_normal(shape, np.float32)
        output = op("Const", shape=shape, dtype=np.float32, value=data)
        output.data = data
        return output

    x = Tensor(graph, "x", (1, 7, 7, 64), np.float32)
    y = op("Conv2D", x, weights(1, 1, 64, 64), shape=(1, 7, 7, 64), strides=[1, 1, 1, 1], padding="SAME")
    sizes = Tensor(graph, "sizes", (2,), np.int32, np.array([1, 3136], np.int32))
    y = op("Reshape", y, sizes, shape=(1, 3136))
    for _ in range(2):
        y = op("MatMul", y, weights(y.shape[1], width), shape=(1, width))
        y = op("BiasAdd", y, weights(width), shape=(1, width))
    graph.inputs, graph.outputs = [x], [y]
    Writer()(graph, path)
    return path


def peak(source: Path, target: Path, *options: str) -> float:
    """Megabytes that a conversion takes."""
    command = [sys.executable, "-c", PEAK, str(source), str(target), *options]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system cannot tell the memory of a process")
@pytest.mark.parametrize(
    "options, copies",
    [((), 1.3), (("--compress", "0"), 1.3), (("--optimize",), 2.0)],  # half of the weights become others
    ids=["folder", "archive", "optimized"],
)
def test_peak_memory_of_a_conversion(options: tuple[str, ...], copies: float, tmp_path: Path) -> None:
    small = linear_layers(tmp_path / "small.onnx", 1)
    large = linear_layers(tmp_path / "large.onnx", LAYERS)
    size = (large.stat().st_size - small.stat().st_size) / 1e6
    assert size > 60
    used = peak(large, tmp_path / "large.nnef", *options) - peak(small, tmp_path / "small.nnef", *options)
    assert used <= copies * size + 5


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system cannot tell the memory of a process")
def test_peak_memory_of_one_large_weight(tmp_path: Path) -> None:
    """Most of the model is one matrix, whose rows change their order, and which becomes the filter of `linear`."""
    small, large = (flatten_and_multiply(tmp_path / f"{width}.pb", width) for width in (8, 5000))
    size = (large.stat().st_size - small.stat().st_size) / 1e6
    assert size > 150
    nnef = tmp_path / "large.nnef"
    for options in ((), ("--io-transpose",), ("--optimize",)):
        used = peak(large, nnef, *options) - peak(small, tmp_path / "small.nnef", *options)
        assert used <= 1.3 * size + 5, options
    used = peak(nnef, tmp_path / "back.pb") - peak(tmp_path / "small.nnef", tmp_path / "back.pb")
    assert used <= 1.3 * size + 5

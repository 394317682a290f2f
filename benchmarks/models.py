"""Generated ONNX models to measure with: `python models.py NAME PATH [SIZE]`. Needs the onnx package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Net:
    """A chain of operators with weights, written as an ONNX file."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._rng = np.random.default_rng(0)
        self._shape = shape
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._last = "x"

    def add(self, type: str, *weights: Array, **attributes: Any) -> None:
        """An operator on the last result and these weights."""
        names = [f"w{len(self._weights) + k}" for k in range(len(weights))]
        self._weights += [numpy_helper.from_array(array, name) for array, name in zip(weights, names, strict=True)]
        result = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(type, [self._last, *names], [result], **attributes))
        self._last = result

    def weight(self, *shape: int) -> Array:
        """Random numbers at the scale of He's initialization."""
        fan_in = max(int(np.prod(shape[1:])), 1)
        return self._rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2.0 / fan_in))

    def save(self, path: Path) -> Path:
        """Writes the model."""
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            [helper.make_tensor_value_info(self._last, TensorProto.FLOAT, None)],
            self._weights,
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path


def convolutional(path: Path) -> Path:
    """Twelve 3x3 convolutions with batch normalizations on an image of 112 x 112, about 1.6 GFLOP."""
    net = Net((1, 3, 112, 112))
    channels = 3
    for k in range(12):
        outputs = 32 * 2 ** (k // 4)
        net.add("Conv", net.weight(outputs, channels, 3, 3), np.zeros(outputs, np.float32), pads=[1, 1, 1, 1])
        ones, zeros = np.ones(outputs, np.float32), np.zeros(outputs, np.float32)
        net.add("BatchNormalization", ones, zeros, zeros, ones)
        net.add("Relu")
        if k % 4 == 3:
            net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        channels = outputs
    net.add("GlobalAveragePool")
    net.add("Flatten")
    net.add("Gemm", net.weight(1000, channels), np.zeros(1000, np.float32), transB=1)
    net.add("Softmax")
    return net.save(path)


def deep(path: Path, operators: int = 10_000) -> Path:
    """A chain of small operators: activations, windows and reductions with their attributes."""
    net = Net((1, 4, 6, 6))
    for k in range(operators):
        kind = k % 5
        if kind == 0:
            net.add("Relu")
        elif kind == 1:
            net.add("LeakyRelu", alpha=0.1)
        elif kind == 2:
            net.add("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        elif kind == 3:
            net.add("Transpose", perm=[0, 1, 3, 2])
        else:
            net.add("Sigmoid")
    return net.save(path)


def large(path: Path, megabytes: int) -> Path:
    """A model of about that size: linear layers of 64 MB in both layouts, and a convolution."""
    width = 4096 if megabytes >= 128 else 1024
    layer = 4 * width * width / 1e6
    net = Net((1, width))
    count = max(int(megabytes / layer) - 1, 1)
    for k in range(count):
        if k % 3 == 2:
            net.add("MatMul", net.weight(width, width))
        else:
            net.add("Gemm", net.weight(width, width), np.zeros(width, np.float32), transB=k % 3)
        net.add("Relu")
    net.add("Reshape", np.array([1, width, 1, 1]))
    net.add("Conv", net.weight(width, width, 1, 1))
    return net.save(path)


if __name__ == "__main__":
    name, path, *sizes = sys.argv[1:]
    {"convolutional": convolutional, "deep": deep, "large": large}[name](Path(path), *map(int, sizes))

"""Small networks with seeded weights, as ONNX models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ..support.arrays import Array
from ..support.onnx_models import onnx_model


class Net:
    """Collects nodes and weights, from an input `x` to an output `y`."""

    def __init__(self, shape: list[int], seed: int) -> None:
        self.shape = shape
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node, and the name of its result."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def weight(self, *shape: int, gain: float = 1.0) -> str:
        """The name of weights that keep the size of values, but for the gain."""
        name = f"w{len(self.weights)}"
        values = self.random.normal(0, gain, shape) * np.sqrt(2 / np.prod(shape[1:]) if len(shape) > 1 else 0.01)
        self.weights[name] = values.astype(np.float32)
        return name

    def conv(self, x: str, before: int, after: int, size: int = 1, *, depthwise: bool = False, stride: int = 1) -> str:
        """Convolution and batch normalization."""
        w = self.weight(after, 1 if depthwise else before, size, size)
        x = self.add(
            "Conv", x, w, pads=[size // 2] * 4, strides=[stride] * 2, group=before if depthwise else 1,
            kernel_shape=[size, size],
        )  # fmt: skip
        parameters = []
        for low, high in ((0.5, 1.5), (-0.5, 0.5), (-0.2, 0.2), (1.0, 3.0)):
            parameters.append(f"n{len(self.weights)}")
            self.weights[parameters[-1]] = self.random.uniform(low, high, after).astype(np.float32)
        return self.add("BatchNormalization", x, *parameters)

    def save(self, path: Path, last: str, classes: int) -> Path:
        """Writes the model, with a softmax behind it."""
        self.nodes.append(helper.make_node("Softmax", [last], ["y"], axis=-1))
        onnx.save(onnx_model(self.nodes, {"x": self.shape}, {"y": [1, classes]}, self.weights), path)
        return path


def keyword_net(path: Path, seed: int = 3) -> Path:
    """A net for spoken keywords (DS-CNN): 49 x 10 coefficients, separable convolutions, 12 classes."""
    net = Net([1, 1, 49, 10], seed)
    x = net.add("Relu", net.conv("x", 1, 24, 3, stride=2))
    for _ in range(3):
        x = net.add("Relu", net.conv(x, 24, 24, 3, depthwise=True))
        x = net.add("Relu", net.conv(x, 24, 24))
    x = net.add("AveragePool", x, kernel_shape=[25, 5])
    x = net.add("Gemm", net.add("Flatten", x), net.weight(12, 24, gain=12), net.weight(12), transB=1)
    return net.save(path, x, 12)


def plain_net(path: Path, seed: int) -> Path:
    """A net for spoken keywords of convolutions, pools and two matrices."""
    net = Net([1, 1, 49, 10], seed)
    x, before = "x", 1
    for after in (16, 24):
        w = net.weight(after, before, 3, 3)
        x = net.add("Relu", net.add("Conv", x, w, net.weight(after), pads=[1] * 4, kernel_shape=[3, 3]))
        x, before = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), after
    x = net.add("Gemm", net.add("Flatten", x), net.weight(32, 24 * 24), net.weight(32), transB=1)
    x = net.add("Gemm", net.add("Relu", x), net.weight(12, 32, gain=4), net.weight(12), transB=1)
    return net.save(path, x, 12)


def mobile_net(path: Path) -> Path:
    """A small net like MobileNetV2: inverted residuals with ReLU6, 24 x 24 pixels, 10 classes."""
    net = Net([1, 3, 24, 24], seed=4)

    def relu6(x: str) -> str:
        return net.add("Clip", x, "zero", "six")

    x = relu6(net.conv("x", 3, 8, 3, stride=2))
    for before, after, stride in ((8, 8, 1), (8, 12, 2), (12, 12, 1)):
        y = relu6(net.conv(x, before, 4 * before))
        y = relu6(net.conv(y, 4 * before, 4 * before, 3, depthwise=True, stride=stride))
        y = net.conv(y, 4 * before, after)
        x = net.add("Add", x, y) if before == after else y
    x = net.add("Flatten", net.add("GlobalAveragePool", relu6(net.conv(x, 12, 32))))
    x = net.add("Gemm", x, net.weight(10, 32), net.weight(10), transB=1)
    return net.save(path, x, 10)

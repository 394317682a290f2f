"""Nets in which each operator occurs once, so that a planted fault has one right place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper

from ..support.arrays import Array
from ..support.onnx_models import onnx_model

node = helper.make_node


def image_net(path: Path) -> Path:
    """x [1, 3, 12, 12] -> convolution, normalization, pooling, resizing, a product by position, means -> y [1, 10]."""
    rng = np.random.default_rng(5)

    def weights(*shape: int) -> Array:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    constants = {
        "w1": weights(8, 3, 3, 3), "b1": weights(8), "gain": weights(8) + 2, "shift": weights(8), "mean": weights(8),
        "var": rng.uniform(0.5, 1.5, 8).astype(np.float32), "scales": np.array([1, 1, 2, 2], np.float32),
        "w2": weights(8, 8), "b2": weights(8), "low": np.float32(-0.6), "high": np.float32(2.5), "w3": weights(10, 16),
        "begin": np.array([0, 2], np.int64), "end": np.array([1, 14], np.int64), "axes": np.array([0, 1], np.int64),
        "pads": np.array([0, 1, 0, 1], np.int64), "b3": weights(10), "w4": weights(14, 10),
    }  # fmt: skip
    nodes: list[NodeProto] = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], name="first"),
        node("BatchNormalization", ["c1", "gain", "shift", "mean", "var"], ["bn"]),
        node("Relu", ["bn"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", ["p1", "", "scales"], ["rs"], mode="linear", coordinate_transformation_mode="half_pixel"),
        node("AveragePool", ["rs"], ["ap"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Transpose", ["ap"], ["t1"], perm=[0, 2, 3, 1]),
        node("MatMul", ["t1", "w2"], ["m1"]),
        node("Add", ["m1", "b2"], ["a1"]),
        node("LeakyRelu", ["a1"], ["lr"], alpha=0.1),
        node("Clip", ["lr", "low", "high"], ["cl"]),
        node("ReduceMean", ["cl"], ["rm"], axes=[1, 2], keepdims=0),
        node("ReduceMax", ["cl"], ["rx"], axes=[1, 2], keepdims=0),
        node("Concat", ["rm", "rx"], ["cc"], axis=1),
        node("Elu", ["cc"], ["el"], alpha=1.0),
        node("Gemm", ["el", "w3", "b3"], ["g1"], transB=1),
        node("Sigmoid", ["g1"], ["sg"]),
        node("Slice", ["el", "begin", "end", "axes"], ["sl"]),
        node("Pad", ["sl", "pads"], ["pd"]),
        node("Mul", ["pd", "pd"], ["sq"]),
        node("MatMul", ["sq", "w4"], ["m2"]),
        node("Sub", ["m2", "sg"], ["sb"]),
        node("Softmax", ["sb"], ["y"], axis=1),
    ]
    onnx.save(onnx_model(nodes, {"x": [1, 3, 12, 12]}, {"y": [1, 10]}, constants), path)
    return path


def quantized_net(path: Path) -> Path:
    """x [1, 3, 8, 8] -> two convolutions and a mean with codes between them (QuantizeLinear, DequantizeLinear) -> y."""
    rng = np.random.default_rng(7)
    constants: dict[str, Array] = {"zero": np.int8(0), "w_scale": np.float32(0.01)}
    nodes: list[NodeProto] = []

    def codes(x: str, scale: float, zero_point: int) -> str:
        constants[f"{x}_scale"], constants[f"{x}_zero"] = np.float32(scale), np.int8(zero_point)
        nodes.append(node("QuantizeLinear", [x, f"{x}_scale", f"{x}_zero"], [f"{x}_q"]))
        nodes.append(node("DequantizeLinear", [f"{x}_q", f"{x}_scale", f"{x}_zero"], [f"{x}_r"]))
        return f"{x}_r"

    def weights(name: str, *shape: int) -> str:
        constants[name] = rng.integers(-127, 128, shape).astype(np.int8)
        nodes.append(node("DequantizeLinear", [name, "w_scale", "zero"], [f"{name}_r"]))
        return f"{name}_r"

    x = codes("x", 1 / 127, 0)
    nodes.append(node("Conv", [x, weights("w1", 6, 3, 3, 3)], ["c1"], pads=[1, 1, 1, 1]))
    nodes.append(node("Relu", [codes("c1", 0.06, -10)], ["r1"]))
    nodes.append(node("Conv", [codes("r1", 0.03, -128), weights("w2", 4, 6, 3, 3)], ["c2"], pads=[1, 1, 1, 1]))
    nodes.append(node("Sigmoid", [codes("c2", 0.1, 5)], ["s2"]))
    nodes.append(node("GlobalAveragePool", [codes("s2", 1 / 256, -128)], ["g2"]))
    nodes.append(node("Identity", [codes("g2", 1 / 256, -128)], ["y"]))
    onnx.save(onnx_model(nodes, {"x": [1, 3, 8, 8]}, {"y": [1, 4, 1, 1]}, constants), path)
    return path


def rounding_net() -> onnx.ModelProto:
    """x [1, 8, 5, 5] -> operators whose modes are easily confused -> y."""
    constants = {"four": np.float32(4), "scales": np.array([1, 1, 2, 2], np.float32), "axis": np.array([1], np.int64),
                 "depth": np.int64(1)}  # fmt: skip
    nodes = [
        node("Mul", ["x", "four"], ["x4"]),
        node("Round", ["x4"], ["rn"]),
        node("Sub", ["x4", "rn"], ["fr"]),
        node("DepthToSpace", ["fr"], ["ds"], blocksize=2, mode="DCR"),
        node("CumSum", ["ds", "depth"], ["cs"]),
        node("Resize", ["x", "", "scales"], ["rs"], mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric"),
        node("ReduceSum", ["rs", "axis"], ["rd"], keepdims=1),
        node("ArgMax", ["rs"], ["am"], axis=3, keepdims=0),
        node("Cast", ["am"], ["af"], to=onnx.TensorProto.FLOAT),
        node("ReduceMax", ["af"], ["ax"], axes=[1, 2], keepdims=0),
        node("Add", ["cs", "rd"], ["ad"]),
        node("Add", ["ad", "ax"], ["y"]),
    ]  # fmt: skip
    return onnx_model(nodes, {"x": [1, 8, 5, 5]}, {"y": None}, constants)

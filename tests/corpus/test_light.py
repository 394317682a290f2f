"""Classic networks that the onnx package ships without weights, with random ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from ..support.arrays import Array
from .agreement import check

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# model -> backends: the largest ones once only
MODELS = {
    "bvlc_alexnet": ("torch",),
    "densenet121": ("auto", "torch", "numpy"),
    "inception_v1": ("auto", "torch", "numpy"),
    "inception_v2": ("auto", "torch", "numpy"),
    "resnet50": ("auto", "torch", "numpy"),
    "shufflenet": ("auto", "torch", "numpy"),
    "squeezenet": ("auto", "torch", "numpy"),
    "vgg19": ("torch",),
    "zfnet512": ("torch",),
}


@pytest.mark.parametrize("name", MODELS)
def test_light(name: str, tmp_path: Path) -> None:
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    randomize(model, np.random.default_rng(0))
    last = model.graph.node[-1]
    if last.op_type == "Softmax":  # random logits are so large that it shows one class only
        model.graph.output.append(helper.make_tensor_value_info(last.input[0], TensorProto.FLOAT, None))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    initialized = {tensor.name for tensor in model.graph.initializer}
    inputs = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.input
        if value.name not in initialized
    }
    rng = np.random.default_rng(1)
    check(path, {n: rng.standard_normal(s).astype(np.float32) for n, s in inputs.items()}, tmp_path, MODELS[name])


def randomize(model: ModelProto, rng: np.random.Generator) -> None:
    """Puts random weights in place of the constant ones, which make errors cancel, at scales that keep signals alive.

    The constant ones are ConstantOfShape nodes whose results an operator takes as weights.
    """
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    uses = {name: (node.op_type, k) for node in graph.node for k, name in enumerate(node.input)}
    constant = [node for node in graph.node if node.op_type == "ConstantOfShape" and node.input[0] in shapes]
    assert constant
    for node in constant:
        shape = [int(extent) for extent in shapes[node.input[0]]]
        array = weights(rng, shape, *uses.get(node.output[0], ("", 0)))
        graph.node.remove(node)
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.output[0]))


def weights(rng: np.random.Generator, shape: list[int], operator: str, position: int) -> Array:
    if operator == "BatchNormalization":
        positive = position in (1, 4)  # scale and variance
        return rng.uniform(0.5, 1.5, shape) if positive else 0.1 * rng.standard_normal(shape)
    fan_in = max(int(np.prod(shape[1:])), 1)
    return rng.standard_normal(shape) * (np.sqrt(2.0 / fan_in) if len(shape) > 1 else 0.1)

"""Normalizations and dropout against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import Const, node_model
from .checks import check_node, convert

Random = Callable[..., Array]


def statistics(random: Random, count: int) -> list[Array]:
    """Scale, offset, mean, variance."""
    return [random(count), random(count), random(count), np.abs(random(count)) + np.float32(0.1)]


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization(random: Random, opset: int) -> None:
    parameters = [Const(p) for p in statistics(random, 3)]
    check_node("BatchNormalization", [random(2, 3, 4, 5), *parameters], opset=opset, epsilon=1e-3,
               ops=["batch_normalization"], atol=1e-5)  # fmt: skip


def test_batch_normalization_with_computed_statistics(random: Random) -> None:
    check_node("BatchNormalization", [random(4, 3), *statistics(random, 3)], atol=1e-5)


def test_batch_normalization_in_training(random: Random) -> None:
    inputs = [random(2, 3, 4, 5), *statistics(random, 3)]
    check_node("BatchNormalization", inputs, 3, training_mode=1, momentum=0.7, rtol=1e-4, atol=1e-5)


def test_unused_outputs_of_old_versions(random: Random) -> None:
    """Exporters name all five outputs; those that nothing reads do not matter."""
    x, parameters = random(2, 3, 4, 5), statistics(random, 3)
    model = node_model("BatchNormalization", [x, *parameters], 5, opset=9)
    feeds = [x, *parameters]
    with pytest.raises(ConversionError, match="training mode of an old version"):
        convert(model, feeds)
    del model.graph.output[1:]
    assert convert(model, feeds).ops[-1] == "batch_normalization"


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_instance_normalization(random: Random, shape: tuple[int, ...]) -> None:
    check_node("InstanceNormalization", [random(*shape), random(3), random(3)], epsilon=1e-2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1, -2, 2])
def test_layer_normalization(random: Random, axis: int) -> None:
    x = random(2, 3, 4, 5)
    parameters = [random(*x.shape[axis:]), random(*x.shape[axis:])]
    check_node("LayerNormalization", [x, *parameters], 3, axis=axis, rtol=1e-4, atol=1e-5)
    check_node("LayerNormalization", [x, parameters[0]], axis=axis, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalization(random: Random, size: int) -> None:
    check_node("LRN", [random(1, 6, 3, 3)], size=size, alpha=0.3, beta=0.6, bias=1.5,
               ops=["local_response_normalization"])  # fmt: skip


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_lp_normalization(random: Random, axis: int, p: int) -> None:
    x = random(2, 3, 4)
    check_node("LpNormalization", [x], axis=axis, p=p)
    check_node("LpNormalization", [np.zeros_like(x)], axis=axis, p=p)


def test_functions(random: Random) -> None:
    check_node("GroupNormalization", [random(2, 4, 3, 3), random(4), random(4)], num_groups=2, rtol=1e-4, atol=1e-5)
    check_node("MeanVarianceNormalization", [random(2, 3, 4, 5)], opset=13, rtol=1e-4, atol=1e-5)


def test_dropout_is_the_identity(random: Random) -> None:
    x = random(2, 3)
    check_node("Dropout", [x], ops=["copy"])
    check_node("Dropout", [x], opset=10, ratio=0.3, ops=["copy"])
    check_node("Dropout", [x], 2, ops=["copy", "copy"])
    check_node("Dropout", [x, Const(np.array(0.4, np.float32))], 2)
    check_node("Dropout", [x, Const(np.array(0, np.float32)), Const(np.array(True))], 2)
    training = node_model("Dropout", [x, Const(np.array(0.4, np.float32)), Const(np.array(True))])
    with pytest.raises(ConversionError, match="training mode drops at random"):
        convert(training, [x])

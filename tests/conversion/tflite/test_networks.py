"""Networks that TensorFlow's own converter writes as TensorFlow Lite, float and with weights of half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, load_model
from nnef_tools.execution.executor import Executor
from nnef_tools.execution.session import make_executor
from nnef_tools.model import Graph

from ...support.arrays import Array, random
from ...support.nnef_models import types
from ...support.tf_programs import freeze, tf

pytest.importorskip("ai_edge_litert", reason="it runs the models")


def residual_net(x: Any) -> Any:
    """Convolutions with batch normalization, a residual connection, pooling and a dense layer."""
    y = tf.nn.relu6(tf.nn.conv2d(x, random(3, 3, 3, 8), 2, "SAME") * random(8, seed=1) + random(8, seed=2))
    z = tf.nn.depthwise_conv2d(y, random(3, 3, 8, 1), [1, 1, 1, 1], "SAME", dilations=[2, 2]) + random(8, seed=3)
    z = tf.nn.relu(z) + y
    z = tf.nn.conv2d(tf.pad(z, [[0, 0], [0, 1], [0, 1], [0, 0]]), random(3, 3, 8, 40), 2, "VALID")
    return tf.nn.softmax(tf.linalg.matmul(tf.reduce_mean(z, [1, 2]), random(40, 30)))


def branching_net(x: Any) -> Any:
    """Branches that are concatenated, resized and squeezed along channels."""
    a = tf.nn.relu(tf.nn.conv2d(x, random(1, 1, 3, 4), 1, "SAME"))
    b = tf.nn.max_pool2d(x, 3, 1, "SAME")
    joint = tf.concat([a, b], -1)
    scale = tf.nn.sigmoid(tf.reduce_mean(joint, [1, 2], keepdims=True))
    up = tf.compat.v1.image.resize_bilinear(joint * scale, [20, 24], half_pixel_centers=True)
    return tf.transpose(up, [0, 3, 1, 2]), tf.split(joint, [3, 4], -1)[1]


def written(net: Callable[..., Any], path: Path, *, half: bool) -> None:
    concrete = tf.function(net).get_concrete_function(tf.TensorSpec([2, 10, 12, 3], tf.float32, name="x"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())


def outputs(executor: Executor, x: Array) -> list[Array]:
    results = executor.run({executor.inputs[0].name: x})
    return [results[info.name] for info in executor.outputs]


def transposes(graph: Graph) -> int:
    return types(graph).count("transpose")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("net", [residual_net, branching_net])
def test_network(net: Callable[..., Any], half: bool, tmp_path: Path) -> None:
    lite, nnef, frozen = tmp_path / "model.tflite", tmp_path / "model.nnef", tmp_path / "model.pb"
    written(net, lite, half=half)
    convert_model(lite, nnef, optimize=True)
    x = random(2, 10, 12, 3)
    from nnef_tools.execution.litert import LiteRtReferenceExecutor

    expected = outputs(LiteRtReferenceExecutor(lite), x)
    for actual, wanted in zip(outputs(make_executor(nnef, backend="numpy"), x), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    graph = load_model(nnef)
    assert "cast" not in types(graph)
    if half:
        assert {op.output.data.dtype.name for op in graph.operations if op.type == "variable"} == {"float16"}
        return
    frozen.write_bytes(freeze(net, (2, 10, 12, 3)).graph_def.SerializeToString())
    convert_model(frozen, tmp_path / "other.nnef", optimize=True)
    assert transposes(graph) <= transposes(load_model(tmp_path / "other.nnef"))

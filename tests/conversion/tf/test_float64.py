"""TensorFlow models in float64 are computed in float64, and come back as such."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import nnef_tools

BACKENDS = ("numpy", "torch", "onnxruntime")
Array = np.ndarray[Any, Any]


def freeze(folder: Path, function: Callable[..., Any], x: Array) -> tuple[Path, list[Array]]:
    """The frozen graph of a function of one input, and the values that TensorFlow has for it, without rewrites."""
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(x.shape, x.dtype, "x"))
    frozen = convert_variables_to_constants_v2(concrete)
    path = folder / "model.pb"
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    return path, [function(tf.constant(x)).numpy()]


X = np.array([[0.5, 1.25, -3.0, 1 / 3]])
W = np.random.default_rng(0).normal(size=(4, 3))
IMAGE = np.random.default_rng(1).normal(size=(1, 4, 4, 2))

PROGRAMS: dict[str, tuple[Callable[..., Any], Array, tuple[str, ...]]] = {
    "sum": (lambda v: (v + 1e9) - 1e9, np.array([[0.5, 1.25, -3.0]]), BACKENDS),
    "scalars": (lambda v: tf.maximum(v * 1e-60, -1e-61) / 1e-60 + tf.minimum(v * 1e300, 1e299) / 3e299, X, BACKENDS),
    "activations": (lambda v: tf.nn.selu(v) + tf.nn.leaky_relu(v, 0.1) + tf.nn.elu(v), X, BACKENDS),
    "softplus": (lambda v: tf.nn.softplus(v), X, ("numpy", "torch")),
    "dense": (lambda v: tf.nn.softmax(tf.linalg.matmul(v, tf.constant(W)) - 1 / 3), X, BACKENDS),
    "mask": (lambda v: tf.where(v > 0, v, tf.constant(np.finfo(np.float64).min)), X, BACKENDS),
    "pad": (lambda v: tf.pad(v, [[0, 0], [1, 2]], constant_values=-1e300), X, BACKENDS),
    "pool": (lambda v: tf.nn.max_pool2d(v, 2, 2, "VALID") * 1e100, IMAGE, ("numpy", "torch")),
    "conv": (lambda v: tf.nn.conv2d(v, IMAGE[0, :2, :2, :, None] * 1e50, 1, "SAME"), IMAGE, ("numpy", "torch")),
    "within": (
        lambda v: tf.cast((tf.cast(v, tf.float64) + 1e9) - 1e9, tf.float32) * 3,
        X.astype(np.float32),
        BACKENDS,
    ),
    "rounded": (lambda v: v - tf.cast(tf.cast(v, tf.float32), tf.float64), X, BACKENDS),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_float64(tmp_path: Path, name: str) -> None:
    function, x, backends = PROGRAMS[name]
    path, expected = freeze(tmp_path, function, x)
    for target, options in (("a.nnef", {}), ("b.nnef.tgz", {"compress": 1, "optimize": True})):
        nnef_tools.convert_model(path, tmp_path / target, **options)
        for backend in (*backends, "auto"):
            results = nnef_tools.run_model(tmp_path / target, [x], backend=backend).values()
            check(list(results), expected)
        nnef_tools.convert_model(tmp_path / target, tmp_path / "back.pb")
        check(list(nnef_tools.run_model(tmp_path / "back.pb", [x]).values()), expected)


def check(results: list[Array], expected: list[Array]) -> None:
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == wanted.dtype
        np.testing.assert_allclose(result, wanted, rtol=1e-13 if wanted.dtype == np.float64 else 1e-6)


def test_float64_from_tensorflow_to_onnx(tmp_path: Path) -> None:
    """Through NNEF in memory and back by another format: the interface is double, and so is what is in between."""
    path, expected = freeze(tmp_path, PROGRAMS["scalars"][0], X)
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    nnef_tools.convert_model(tmp_path / "a.nnef", tmp_path / "b.onnx")
    check(list(nnef_tools.run_model(tmp_path / "b.onnx", [X]).values()), expected)

"""Valid TensorFlow Lite models, as bytes to damage."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nnef_tools.io.tf.lite import Writer
from nnef_tools.model.graph import Operation, Tensor

from ..io.tf.lite.models import sample


@cache
def tflite_model(*, branches: bool) -> bytes:
    """A model with a quantized weight, metadata and files, perhaps with two subgraphs beside the main one."""
    graph = sample(branches=branches)
    w = next(tensor for tensor in graph.tensors if tensor.name == "b")
    half = Tensor(graph, "half", (3,), np.float16, np.ones(3, np.float16))
    w.data = None
    Operation(graph, "DEQUANTIZE", inputs=(half,), outputs=(w,))
    codes = Tensor(graph, "codes", (3, 3), np.int8, np.arange(9, dtype=np.int8).reshape(3, 3))
    codes.quant = {"scale": np.full(3, 0.5, np.float32), "zero_point": np.zeros(3, np.int64), "quantized_dimension": 0}
    real, z = Tensor(graph, "real", (3, 3), np.float32), Tensor(graph, "z", (1, 3), np.float32)
    Operation(graph, "DEQUANTIZE", inputs=(codes,), outputs=(real,))
    attribs = {"fused_activation_function": "RELU6"}
    Operation(graph, "FULLY_CONNECTED", attribs=attribs, inputs=(graph.outputs[0], real), outputs=(z,))
    graph.outputs = [*graph.outputs, z]
    graph.sort()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        Writer()(graph, path)
        return path.read_bytes()

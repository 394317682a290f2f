"""Streaming wake word models, chunk by chunk, against LiteRT: their states pass from run to run in every runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.onnx.from_nnef.converter import Converter as ToOnnx
from nnef_tools.conversion.tflite.to_nnef.converter import Converter
from nnef_tools.execution import make_executor
from nnef_tools.execution.executor import Array
from nnef_tools.io.onnx import Writer
from nnef_tools.io.tf.lite import Reader
from nnef_tools.model import Graph, Tensor

from ...support.onnx_models import onnx_session
from ...support.packages import member

pytest.importorskip("ai_edge_litert")

CHUNKS = 50
BACKENDS = ("numpy", "onnxruntime")
STEPS = {"alexa": 1, "okay_nabu": 12}
"""How far the codes before the sigmoid may differ: those of LiteRT's own kernels do by 1 and 4, and it adds up."""


def chunks(shape: Any) -> list[Array]:
    """Codes of a pattern that moves through the frequencies, with noise."""
    random = np.random.default_rng(0)
    base = random.integers(-128, 40, shape)
    wave = [40 * np.sin(k / 5 + np.arange(shape[-1]) / 6) for k in range(CHUNKS)]
    return [np.clip(base + random.integers(-30, 30, shape) + w, -128, 127).astype(np.int8) for w in wave]


def codes(values: Array, tensor: Tensor) -> Array:
    quant: dict[str, Any] = dict(tensor.quant or {})
    return np.asarray(np.round(values / quant["scale"]) + quant["zero_point"])


class OnnxModel:
    """A session whose states are fed by the caller."""

    def __init__(self, graph: Graph, path: Path) -> None:
        graph.metadata = {}  # real inputs and outputs
        converted = ToOnnx()(graph)
        Writer()(converted, path)
        self._session = onnx_session(path)
        self._names = [item.name for item in self._session.get_inputs()]
        shapes = [item.shape for item in self._session.get_inputs()]
        self._state = [np.zeros(shape, np.float32) for shape in shapes[1:]]

    def run(self, x: Array) -> Array:
        result, *self._state = self._session.run(None, dict(zip(self._names, [x, *self._state], strict=True)))
        return np.asarray(result)


@pytest.mark.parametrize("name", STEPS)
def test_wake_words(name: str, tmp_path: Path) -> None:
    path = member("pymicro-wakeword", f"pymicro_wakeword/models/{name}.tflite")
    source = Reader()(path)
    converter = Converter()
    graph = converter(source)
    count = [op.type for op in graph.operations].count("update")
    assert count == [op.type for op in source.operations].count("ASSIGN_VARIABLE") > 0
    (logit,) = [op.inputs[0] for op in source.operations if op.type == "LOGISTIC"]
    mapping = converter.tensor_mapping()
    names = [str(logit.name), str(source.outputs[0].name)]
    mapped = [mapping[name] for name in names]
    reference = make_executor(path, format="tflite", backend="litert-reference")
    executors = [make_executor(graph, backend=backend) for backend in BACKENDS]
    onnx = OnnxModel(graph, tmp_path / "model.onnx")
    given: dict[str, Any] = dict(graph.inputs[0].quant or {})
    seen = set()
    for x in chunks(reference.inputs[0].shape):
        wanted = reference.run({reference.inputs[0].name: x}, output_names=names)
        real = ((x.astype(np.float32) - given["zero_point"]) * np.float32(given["scale"])).astype(np.float32)
        results = [e.run({e.inputs[0].name: real}, output_names=mapped) for e in executors]
        for found in results:
            for tensor, own, other, steps in zip(
                (logit, source.outputs[0]), names, mapped, (STEPS[name], 1), strict=True
            ):
                assert np.abs(codes(found[other], tensor) - wanted[own]).max() <= steps
        np.testing.assert_allclose(results[1][mapped[0]], results[0][mapped[0]], atol=1e-5)
        np.testing.assert_allclose(onnx.run(real), results[1][mapped[1]], atol=1e-6)
        seen.add(int(wanted[names[0]].reshape(-1)[0]))
    assert len(seen) > 3

"""Loops of recurrent layers as TensorFlow's converter writes them for Keras, against LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tflite.to_nnef.converter import Converter
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.lite import Reader

from ...support.graphs import all_types

pytest.importorskip("ai_edge_litert")
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

layers: Any = keras.layers
SHAPE = (2, 6, 5)

NETS: dict[str, tuple[Callable[[], Any], str, int]] = {
    "LSTM": (lambda: layers.LSTM(4, return_sequences=True), "lstm_layer", 1),
    "LSTM, last": (lambda: layers.LSTM(4), "lstm_layer", 1),
    "GRU": (lambda: layers.GRU(4, return_sequences=True), "gru_layer", 1),
    "GRU, reset before": (lambda: layers.GRU(4, reset_after=False), "gru_layer", 1),
    "RNN, last": (lambda: layers.SimpleRNN(4), "rnn_layer", 1),
    "both ways": (lambda: layers.Bidirectional(layers.LSTM(4, return_sequences=True)), "lstm_layer", 2),
    "hard sigmoid": (lambda: layers.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True), "stack", 1),
}
"""Layer, and the operations that its loop becomes; one with another cell is unrolled."""


def saved(layer: Any, path: Path, batch: int = SHAPE[0], *, quantized: bool = False) -> Path:
    """The file of a Keras layer. quantized: do large weights have codes of 8 bits?"""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([layers.Input(SHAPE[1:], batch_size=batch), layer])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantized else []
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_loops(name: str, batch: int, tmp_path: Path) -> None:
    make, type, count = NETS[name]
    path = saved(make(), tmp_path / "model.tflite", batch)
    graph = Reader()(path)
    assert "WHILE" in all_types(graph)
    converter = Converter()
    converted = converter(graph)
    assert converter.warnings == []
    types = all_types(converted)
    assert types.count(type) == count and "concat" not in types[: -1 if name == "both ways" else None]
    x = np.random.default_rng(0).normal(size=(batch, *SHAPE[1:])).astype(np.float32)
    wanted = make_executor(path, format="tflite", backend="litert-reference").run({str(graph.inputs[0].name): x})
    for backend in ("numpy", "onnxruntime"):
        found = make_executor(converted, backend=backend).run({str(converted.inputs[0].name): x})
        for a, b in zip(wanted.values(), found.values(), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_quantized_weights_keep_their_codes(tmp_path: Path) -> None:
    path = saved(layers.LSTM(40), tmp_path / "model.tflite", quantized=True)
    converted = Converter()(Reader()(path))
    stored = {np.asarray(op.output.data).dtype for op in converted.operations if op.type == "variable"}
    assert np.dtype(np.int8) in stored and "lstm_layer" not in all_types(converted)

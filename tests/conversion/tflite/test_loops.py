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


@pytest.mark.parametrize("name", NETS)
def test_loops(name: str, tmp_path: Path) -> None:
    make, type, count = NETS[name]
    keras.utils.set_random_seed(1)
    model = keras.Sequential([layers.Input(SHAPE[1:], batch_size=SHAPE[0]), make()])
    path = tmp_path / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    graph = Reader()(path)
    assert "WHILE" in all_types(graph)
    converter = Converter()
    converted = converter(graph)
    assert converter.warnings == []
    types = all_types(converted)
    assert types.count(type) == count and "concat" not in types[: -1 if name == "both ways" else None]
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    wanted = make_executor(path, format="tflite", backend="litert-reference").run({str(graph.inputs[0].name): x})
    for backend in ("numpy", "onnxruntime"):
        found = make_executor(converted, backend=backend).run({str(converted.inputs[0].name): x})
        for a, b in zip(wanted.values(), found.values(), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)

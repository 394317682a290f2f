"""The rule for values in the middle of two codes: a fact of the source that runtimes honor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.execution.runtimes import make_executor
from nnef_tools.io.nnef import Reader
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.facts import Ties, ties_rule
from nnef_tools.pipeline import convert_model

from .quantized_models import classifier, entry, written

MIDDLES = np.array([[-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]], np.float32)
ROUNDED = {
    Ties.UP: [-3, -2, -1, 0, 1, 2, 3, 4],
    Ties.EVEN: [-4, -2, -2, 0, 0, 2, 2, 4],
    Ties.AWAY: [-4, -3, -2, -1, 1, 2, 3, 4],
}


def rounding_model(path: Path) -> None:
    """Writes a TFLite model that rounds to multiples of 1."""
    graph = Graph("rounding")
    x = Tensor(graph, "x", (1, 8), np.float32)
    codes = Tensor(graph, "codes", (1, 8), np.int8, quant=entry(1.0))
    y = Tensor(graph, "y", (1, 8), np.float32)
    Operation(graph, "QUANTIZE", inputs=(x,), outputs=(codes,))
    Operation(graph, "DEQUANTIZE", inputs=(codes,), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    written(graph, path)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("rule", list(Ties))
def test_runtimes_round_as_the_fact_says(tmp_path: Path, rule: Ties, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    rounding_model(tmp_path)
    convert_model(tmp_path / "rounding.tflite", tmp_path / "model.nnef")
    sidecar = tmp_path / "model.nnef" / "nnef_tools.json"
    sidecar.write_text(sidecar.read_text().replace('"ties": "away"', f'"ties": "{rule.value}"'))
    executor = make_executor(tmp_path / "model.nnef", format="nnef", backend=backend)
    (found,) = executor.run({executor.inputs[0].name: MIDDLES}).values()
    np.testing.assert_array_equal(found, [ROUNDED[rule]])


def test_litert_rounds_ties_away_from_zero(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    rounding_model(tmp_path)
    executor = make_executor(tmp_path / "rounding.tflite", format="tflite", backend="litert-reference")
    np.testing.assert_array_equal(executor.run({"x": MIDDLES})["y"], [ROUNDED[Ties.AWAY]])


def test_the_rule_of_the_source_is_kept(tmp_path: Path) -> None:
    source = written(classifier(), tmp_path)
    convert_model(source, tmp_path / "model.nnef")
    assert ties_rule(Reader()(str(tmp_path / "model.nnef")).metadata) is Ties.AWAY
    convert_model(source, tmp_path / "model.onnx")
    report = convert_model(tmp_path / "model.onnx", tmp_path / "other.nnef")
    assert ties_rule(Reader()(str(tmp_path / "other.nnef")).metadata) is Ties.EVEN
    assert not any("ties" in warning for warning in report.warnings)


@pytest.mark.parametrize("value", [None, "sideways", 3, ["up"], {}])
def test_without_a_known_rule_it_is_that_of_nnef(value: Any) -> None:
    assert ties_rule({"ties": value}) is Ties.UP


def test_another_rule_of_the_target_is_a_warning(tmp_path: Path) -> None:
    report = convert_model(written(classifier(), tmp_path), tmp_path / "model.onnx")
    text = "QuantizeLinear rounds ties to even, TensorFlow Lite away from zero: a code in the middle of two may differ"
    assert text in report.warnings

"""Models that are read keep their operators: what makes operators on codes is for conversions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools.io.tf.lite import Reader
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.optimization.tflite_optimizer import Optimizer
from nnef_tools.pipeline import open_graph

from .quantized_models import entry, written


def model_with_reals_between(folder: Path) -> Path:
    """Writes codes that a file adds as reals, although there is a kernel for codes."""
    graph = Graph("between")
    x, y = (Tensor(graph, name, (1, 4), np.int8, quant=entry(0.5, 1)) for name in "xy")
    real, total = (Tensor(graph, name, (1, 4), np.float32) for name in ("real", "total"))
    Operation(graph, "DEQUANTIZE", inputs=(x,), outputs=(real,))
    attribs = {"fused_activation_function": "NONE"}
    Operation(graph, "ADD", attribs=attribs, inputs=(real, real), outputs=(total,))
    Operation(graph, "QUANTIZE", inputs=(total,), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    return written(graph, folder)


@pytest.mark.parametrize("only_required", [False, True])
def test_operators_on_reals_stay(tmp_path: Path, only_required: bool) -> None:
    graph = Reader()(str(model_with_reals_between(tmp_path)))
    Optimizer()(graph, only_required=only_required)
    assert [op.type for op in graph.operations] == ["DEQUANTIZE", "ADD", "QUANTIZE"]


def test_opened_models_are_what_the_file_says(tmp_path: Path) -> None:
    graph = open_graph(model_with_reals_between(tmp_path))
    assert [op.type for op in graph.operations] == ["DEQUANTIZE", "ADD", "QUANTIZE"]

"""Pre-trained models that choose between networks: they do in the ONNX model that comes back from NNEF, too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

import nnef_tools

from ..support.packages import member
from .test_pretrained import MODELS

# Model -> a type of operator, and how often it is in the two branches, the least first.
BRANCHES = {"hey_jarvis_v0.1.onnx": ("Gemm", [0, 3]), "silero_vad.onnx": ("Conv", [18, 18])}


@pytest.mark.parametrize("name", BRANCHES)
def test_only_one_network_is_computed(name: str, tmp_path: Path) -> None:
    ((package, path), makers) = next(item for item in MODELS.items() if Path(item[0][1]).name == name)
    generator = np.random.default_rng(0)
    shapes = {key: list(make(generator).shape) for key, make in makers.items()}
    nnef, back = tmp_path / "model.nnef", tmp_path / "back.onnx"
    nnef_tools.convert_model(member(package, path), nnef, output_format="nnef", input_shapes=shapes)
    nnef_tools.convert_model(nnef, back, output_format="onnx")
    (choice,) = (node for node in onnx.load(back).graph.node if node.op_type == "If")
    counts = [Counter(node.op_type for node in attribute.g.node) for attribute in choice.attribute]
    kind, expected = BRANCHES[name]
    assert sorted(count[kind] for count in counts) == expected

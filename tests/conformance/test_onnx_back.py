"""The backend tests of the onnx package there and back: every case that is right in NNEF is right again in ONNX.

Models are converted to an NNEF folder and from that to an ONNX file, which the full checker accepts and onnxruntime
runs; inputs and outputs have the names and the item types of the original model.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from nnef_tools.conversion.nnef_to_onnx import Converter as ToOnnx
from nnef_tools.conversion.onnx_to_nnef import Converter as ToNnef
from nnef_tools.io.nnef import Reader as NnefReader
from nnef_tools.io.nnef import Writer as NnefWriter
from nnef_tools.io.onnx import Reader as OnnxReader
from nnef_tools.io.onnx import Writer as OnnxWriter

from ..support.arrays import Array
from ..support.onnx_models import run_onnx
from .expected import VARIANTS, read_expected, variant_of
from .outcome import compare
from .suite import Case, all_cases

SHARDS = 16
AT_LEAST = {"as is": 1250, "parameters constant": 1500}

# bfloat16 has 8 bits: what is computed in float32 and rounded once differs from what is rounded in each step.
BFLOAT16_TOLERANCE = 0.02


def names(variant: str) -> list[str]:
    return [name for name in all_cases() if name not in read_expected()[variant]]


def run_back(case: Case, folder: Path) -> list[Array]:
    """The outputs of the model that came back, in onnxruntime (the reference evaluator for types numpy lacks)."""
    source, nnef, back = folder / "case.onnx", folder / "nnef", folder / "back.onnx"
    shutil.rmtree(nnef, ignore_errors=True)
    onnx.save(case.model, source)
    shapes = {name: array.shape for name, array in case.inputs.items()}
    NnefWriter()(ToNnef()(OnnxReader()(source, shapes)), nnef)
    OnnxWriter()(ToOnnx()(NnefReader()(nnef)), back)
    onnx.checker.check_model(os.fspath(back), full_check=True)
    model = onnx.load(back)
    feeds = {name: array for name, array in case.inputs.items() if array.size}
    assert [item.name for item in model.graph.input] == list(feeds)
    assert [item.name for item in model.graph.output] == [item.name for item in case.model.graph.output]
    types = {item.name: item.type.tensor_type.elem_type for item in (*model.graph.input, *model.graph.output)}
    for item in (*case.model.graph.input, *case.model.graph.output):
        assert types.get(item.name, item.type.tensor_type.elem_type) == item.type.tensor_type.elem_type, item.name
    if any(array.dtype.isbuiltin != 1 for array in (*feeds.values(), *case.outputs)):
        return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]
    return run_onnx(back, feeds)


def problem(case: Case, folder: Path) -> str | None:
    try:
        results = run_back(case, folder)
    except Exception as error:
        return f"{case.name}: {type(error).__name__}: {str(error)[:300]}"
    if any(array.dtype.name == "bfloat16" for array in results):
        for result, wanted in zip(results, case.outputs, strict=True):
            scale = np.abs(wanted.astype(np.float64)).max()
            if np.abs(result.astype(np.float64) - wanted.astype(np.float64)).max() > BFLOAT16_TOLERANCE * scale:
                return f"{case.name}: differs"
        return None
    outcome = compare(results, case.outputs)
    return None if outcome.state == "right" else f"{case.name}: {outcome.reason}"


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("variant", VARIANTS)
def test_there_and_back(variant: str, shard: int, tmp_path: Path) -> None:
    cases = [all_cases()[name] for name in names(variant)[shard::SHARDS]]
    if variant == VARIANTS[0]:
        cases = [case for case in cases if case.parameters()]  # the others are the same in both variants
    problems = [problem(variant_of(case, variant), tmp_path) for case in cases]
    assert [text for text in problems if text] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_enough_comes_back(variant: str) -> None:
    assert len(names(variant)) >= AT_LEAST[variant]

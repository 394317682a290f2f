"""Networks quantized from 100 samples, against onnxruntime's own static quantization, and in all runtimes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from nnef_tools import convert_model, load_model
from nnef_tools.execution.executor import Executor
from nnef_tools.execution.session import open_executor
from nnef_tools.quantization import Codes, Scheme, quantize_model

from ..support.arrays import Array
from .models import keyword_net, mobile_net

SAMPLES, TESTS = 100, 30


class _Reader(CalibrationDataReader):
    def __init__(self, samples: Array) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Any:
        sample = next(self._samples, None)
        return None if sample is None else {"x": sample}


def _run(executor: Executor, values: Array) -> Array:
    name = executor.inputs[0].name
    return np.stack([next(iter(executor.run({name: value}).values())) for value in values])


def _ops(path: Path) -> list[tuple[str, str]]:
    return [(str(op.type), op.inputs[0].dtype.__name__) for op in load_model(path).operations]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("make", [keyword_net, mobile_net])
def test_network(make: Callable[[Path], Path], signed: bool, tmp_path: Path) -> None:
    model, quantized, pre, own = (tmp_path / name for name in ("net.onnx", "net.nnef", "pre.onnx", "own.onnx"))
    make(model)
    shape = tuple(open_executor(model).inputs[0].shape or ())
    values = np.random.default_rng(0).normal(0, 1, (SAMPLES + TESTS, *shape)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=values[:SAMPLES, 0])
    report = quantize_model(
        model, quantized, input_path=tmp_path / "samples.npz", scheme=Scheme(activations=Codes(signed=signed))
    )
    assert not report.real and report.samples == SAMPLES

    quant_pre_process(str(model), str(pre), skip_symbolic_shape=True)
    quantize_static(
        str(pre), str(own), _Reader(values[:SAMPLES]), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    for target in ("back.onnx", "back.tflite"):
        convert_model(quantized, tmp_path / target)
    tests = values[SAMPLES:]
    expected = _run(open_executor(model), tests)
    ours = {
        **{
            backend: _run(open_executor(quantized, backend=backend), tests)
            for backend in ("numpy", "torch", "onnxruntime")
        },
        **{name: _run(open_executor(tmp_path / name), tests) for name in ("back.onnx", "back.tflite")},
    }
    theirs = float(np.square(_run(open_executor(own), tests) - expected).mean())
    text = (quantized / "graph.quant").read_text("utf-8")
    step = float(re.findall(r"^\"\w+\": .* scale = ([0-9.e-]+),", text, re.MULTILINE)[-1])
    assert step == 1 / 256
    for name, found in ours.items():
        assert float(np.square(found - expected).mean()) <= 1.01 * theirs, name
        assert np.mean(np.abs(found - ours["numpy"]) <= 1.01 * step) >= 0.995, name
    reals = [op for op in _ops(tmp_path / "back.tflite") if op[1] == "float32"]
    assert [op for op, _ in reals if op != "TRANSPOSE"] == ["QUANTIZE"]

"""`quantize --io-type`: inputs and outputs of integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model, load_model, run_model
from nnef_tools.cli.main import main

from .models import keyword_net


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
def test_integer_inputs_and_outputs(type: str, tmp_path: Path) -> None:
    """Codes of the same samples in all runtimes, and of the real numbers that the float model gives."""
    random = np.random.default_rng(0)
    net = keyword_net(tmp_path / "net.onnx")
    values = random.normal(0, 1, (20, 1, 49, 10)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x=values)
    options = ["--input-path", str(tmp_path / "s.npz"), "--io-type", type]
    assert main(["quantize", str(net), "--output", str(tmp_path / "r"), *options]) == 0
    quant = load_model(tmp_path / "r")
    scale, zero = (quant.inputs[0].quant[key] for key in ("scale", "zero_point"))
    info = np.iinfo(type)
    codes = np.clip(np.rint(values[0] / scale) + zero, info.min, info.max).astype(type)[None]
    step = quant.outputs[0].quant["scale"]
    expected = next(iter(run_model(net, [values[:1]]).values()))
    for target in ("r", "r.onnx", "r.tflite"):
        if target != "r":
            convert_model(tmp_path / "r", tmp_path / target)
        found = next(iter(run_model(tmp_path / target, [codes]).values()))
        assert found.dtype == type
        reals = (found.astype(np.float64) - quant.outputs[0].quant["zero_point"]) * step
        np.testing.assert_allclose(reals, expected, atol=0.02)


def test_outputs_that_stay_real_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = keyword_net(tmp_path / "net.onnx")
    options = ["--random", "normal(0, 1)", "--samples", "2", "--seed", "0", "--io-type", "int8"]
    assert main(["quantize", str(net), "--output", str(tmp_path / "q"), *options, "--exclude", "softmax"]) == 0
    assert "output 'y' stays real" in capsys.readouterr().err
    assert main(["quantize", str(net), "--output", str(tmp_path / "q"), *options, "--bits", "16"]) == 1
    assert "--bits 16 and --io-type int8 exclude each other" in capsys.readouterr().err

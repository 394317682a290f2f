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
from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.quantization import Codes, Scheme, quantize_model

from ..support.arrays import Array
from .models import keyword_net, mobile_net, plain_net

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


def _quantize_static(model: Path, target: Path, samples: Array, *, signed: bool) -> None:
    """onnxruntime's own quantization."""
    pre = target.with_name("pre.onnx")
    quant_pre_process(str(model), str(pre), skip_symbolic_shape=True)
    quantize_static(
        str(pre), str(target), _Reader(samples), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip


@pytest.mark.parametrize(("make", "signed"), [(keyword_net, False), (mobile_net, True)])
def test_network(make: Callable[[Path], Path], signed: bool, tmp_path: Path) -> None:
    model, quantized, own = (tmp_path / name for name in ("net.onnx", "net.nnef", "own.onnx"))
    make(model)
    shape = tuple(open_executor(model).inputs[0].shape or ())
    values = np.random.default_rng(0).normal(0, 1, (SAMPLES + TESTS, *shape)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=values[:SAMPLES, 0])
    report = quantize_model(
        model, quantized, input_path=tmp_path / "samples.npz", scheme=Scheme(activations=Codes(signed=signed))
    )
    assert not report.real and report.samples == SAMPLES

    _quantize_static(model, own, values[:SAMPLES], signed=signed)
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


@pytest.mark.parametrize(("make", "seed"), [(keyword_net, 0), (keyword_net, 4), (plain_net, 1)])
def test_networks_whose_error_is_that_of_weights(make: Callable[[Path, int], Path], seed: int, tmp_path: Path) -> None:
    """Without bias correction the first two have 1.2 and 1.56 of onnxruntime's error."""
    model, own = make(tmp_path / "net.onnx", seed), tmp_path / "own.onnx"
    values = np.random.default_rng(1000 + seed).normal(0, 1, (SAMPLES + TESTS, 1, 1, 49, 10)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=values[:SAMPLES, 0])
    quantize_model(model, tmp_path / "q", input_path=tmp_path / "samples.npz")
    convert_model(tmp_path / "q", tmp_path / "back.onnx")
    _quantize_static(model, own, values[:SAMPLES], signed=False)
    expected, found, other = (
        _run(open_executor(path), values[SAMPLES:]) for path in (model, tmp_path / "back.onnx", own)
    )
    assert np.square(found - expected).mean() <= 1.01 * np.square(other - expected).mean()


OPERATIONS = {
    "swish": "c = conv(x, w, b); s = sigmoid(c); y = mul(c, s);",
    "hard_swish": "c = conv(x, w, b); a = add(c, 3.0); r = clamp(a, 0.0, 6.0); q = mul(c, r); y = div(q, 6.0);",
    "deconv": "c = deconv(x, w, b, stride = [2, 2], padding = [(0, 1), (0, 1)]); y = tanh(c);",
    "join": "c = conv(x, w, b); t = leaky_relu(x, alpha = 0.1); y = concat([c, t, x], axis = 1);",
    "maximum": "c = conv(x, w, b); t = mul(x, k); m = max(c, t); y = max_reduce(m, axes = [2, 3]);",
    "pools": "p = max_pool(x, size = [1, 1, 2, 2], stride = [1, 1, 2, 2]); c = conv(p, w, b); r = relu(c);"
    " y = avg_pool(r, size = [1, 1, 4, 4], border = 'ignore', padding = [(0, 0), (0, 0), (0, 0), (0, 0)]);",
    "parts": "c = conv(x, w, b); [p, q] = split(c, axis = 1, ratios = [1, 1]); s = sub(p, q); y = clamp(s, 0.0, 1.0);",
    "limited": "c = conv(x, w, b); y = clamp(c, 0.0, 1.0);",
    "sum": "c = conv(x, w, b); r = relu(c); y = sum_reduce(r, axes = [2, 3]);",
    "normalized": "c = conv(x, w, b); y = sum_reduce(c, axes = [3], normalize = true);",
    "separable": "s = separable_conv(x, plane, point, b); y = relu(s);",
    "shared": "c = conv(x, w, b); d = elu(c); y = conv(d, w, b);",
    "matrix": "r = reshape(x, shape = [32, 8]); m = matmul(r, v); y = prelu(m, k2);",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_become_integer_operators(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes = {"w": [4, 4, 3, 3], "b": [1, 4], "k": [1, 4, 1, 1], "v": [8, 5], "k2": [1, 5]}
    shapes.update({"plane": [4, 1, 3, 3], "point": [4, 4, 1, 1]})
    variables = "".join(f"{key} = variable<scalar>(shape = {s}, label = '{key}');\n" for key, s in shapes.items())
    model, quantized = tmp_path / "model", tmp_path / "quantized"
    model.mkdir()
    x = "x = external<scalar>(shape = [1, 4, 8, 8]);\n"
    (model / "graph.nnef").write_text(
        f"version 1.0;\ngraph net(x) -> (y)\n{{\n{x}{variables}{OPERATIONS[name]}\n}}\n", "utf-8"
    )
    for key, extents in shapes.items():
        write_tensor(str(model / f"{key}.dat"), random.normal(0, 0.3, extents).astype(np.float32))
    report = quantize_model(model, quantized, random="uniform(-2, 2)", samples=20, seed=0)
    assert not report.real and not report.warnings
    for target in ("back.onnx", "back.tflite"):
        convert_model(quantized, tmp_path / target)
    reals = [op for op in _ops(tmp_path / "back.tflite") if op[1] == "float32" and op[0] != "TRANSPOSE"]
    assert reals == [("QUANTIZE", "float32")]
    values = random.uniform(-2, 2, (8, 1, 4, 8, 8)).astype(np.float32)
    expected = _run(open_executor(model, backend="numpy"), values)
    scale = float(np.square(expected).mean())
    for path, backend in ((quantized, "numpy"), (tmp_path / "back.onnx", "auto"), (tmp_path / "back.tflite", "auto")):
        found = _run(open_executor(path, backend=backend), values)
        assert float(np.square(found - expected).mean()) < 3e-3 * scale, path  # 25 dB


def test_limits_far_from_the_values(tmp_path: Path) -> None:
    """LiteRT refuses a fused limit of 6 whose code has more than 32 bits."""
    model = tmp_path / "model"
    model.mkdir()
    text = "x = external<scalar>(shape = [1, 2, 4, 4]);\nw = variable<scalar>(shape = [2, 1, 1, 1], label = 'w');\n"
    body = f"{text}c = conv(x, w, groups = 0);\ny = clamp(c, 0.0, 6.0);"
    (model / "graph.nnef").write_text(f"version 1.0;\ngraph net(x) -> (y)\n{{\n{body}\n}}\n", "utf-8")
    write_tensor(str(model / "w.dat"), np.array([1e-8, 2e-8], np.float32).reshape(2, 1, 1, 1))
    quantize_model(model, tmp_path / "q", random="uniform(-1, 1)", samples=20, seed=0)
    convert_model(tmp_path / "q", tmp_path / "q.tflite")
    values = np.random.default_rng(0).uniform(-1, 1, (8, 1, 2, 4, 4)).astype(np.float32)
    expected = _run(open_executor(model), values)
    found = _run(open_executor(tmp_path / "q.tflite", backend="litert-reference"), values)
    assert np.square(found - expected).mean() < 3e-3 * np.square(expected).mean()

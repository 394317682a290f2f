"""Whole networks with QuantizeLinear and DequantizeLinear, and the verification of quantized models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import nnef_tools
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import VerificationError
from nnef_tools.execution import make_executor
from nnef_tools.io.nnef import Reader
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph, Tensor
from nnef_tools.verification.quantization_tolerance import Deviation, Noise, QuantizationSteps

from ...support.arrays import Array
from ...support.nnef_models import nnef_graph
from ...support.onnx_models import run_unoptimized
from .checks import check
from .qdq_models import dequantizers, entries, node, qdq_model, stored

# whole networks


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional network, not quantized."""
    generator = np.random.default_rng(0)

    def weights(*shape: int) -> Array:
        return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {"w1": weights(8, 3, 3, 3), "b1": weights(8, 1)[:, 0], "w2": weights(8, 2, 3, 3),
                 "b2": weights(8, 1)[:, 0],
                 "w3": weights(5, 8), "b3": weights(5, 1)[:, 0], "one": np.float32(0.7)}  # fmt: skip
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]), node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=4), node("Add", ["r1", "c2"], ["a"]),
        node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]), node("Add", ["p", "one"], ["o"]),
        node("GlobalAveragePool", ["o"], ["g"]), node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w3", "b3"], ["y"], transB=1),
    ]  # fmt: skip
    model = qdq_model(nodes, constants, {"x": [1, 3, 12, 12]}, opset=17)
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def image(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((1, 3, 12, 12)).astype(np.float32)


def calibrated(network: Path, target: Path, **options: Any) -> ModelProto:
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]  # imported just now
        images: Iterator[Array] = map(image, range(8))

        def get_next(self) -> dict[str, Array] | None:
            found = next(self.images, None)
            return None if found is None else {"x": found}

    quantization.quantize_static(
        network, target, Reader(), quant_format=quantization.QuantFormat.QDQ, calibration_providers=None, **options
    )
    return onnx.load(target)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"per_channel": True, "activation_type": "QUInt8"},
        {"activation_type": "QUInt16", "weight_type": "QInt16", "extra_options": {"UseQDQContribOps": True}},
        {"weight_type": "QInt4", "op_types_to_quantize": ["Conv", "Gemm"], "extra_options": {"UseQDQContribOps": True}},
        {"per_channel": True, "extra_options": {"AddQDQPairToWeight": True, "DedicatedQDQPair": True}},
    ],
)
def test_static_quantization(options: dict[str, Any], network: Path, tmp_path: Path) -> None:
    """No arithmetic of quantization in NNEF; codes, scales and zero points again in ONNX; equal but for few flips."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    chosen = {k: getattr(quantization.QuantType, v) if k.endswith("_type") else v for k, v in options.items()}
    source = calibrated(network, tmp_path / "q.onnx", **chosen)
    report = nnef_tools.convert_model(tmp_path / "q.onnx", tmp_path / "q.nnef", keep_io_names=True, verify=2)
    assert report.verification is not None and report.verification.steps is not None
    graph = Reader()(tmp_path / "q.nnef")
    kinds = {str(op.type) for op in graph.operations}
    assert kinds <= {"external", "variable", "conv", "relu", "add", "max_pool", "mean_reduce", "avg_pool", "reshape",
                     "squeeze", "linear", "copy", "box"}  # fmt: skip

    nnef_tools.convert_model(tmp_path / "q.nnef", tmp_path / "back.onnx", verify=2)
    back = onnx.load(tmp_path / "back.onnx")
    if "AddQDQPairToWeight" not in options.get("extra_options", {}):  # its weights are real in the source
        assert dequantizers(back) == dequantizers(source)
        named = {name for name, array in stored(source).items() if name.endswith("_quantized")}
        assert named and named <= set(stored(back))
    assert sorted(map(str, entries(Converter()(onnx_model_to_graph(back))))) == sorted(map(str, entries(graph)))

    quant = next(t for t in graph.outputs).quant
    assert quant is not None
    executors = [
        make_executor(tmp_path / "q.nnef", format="nnef", backend=b) for b in ("numpy", "torch", "onnxruntime")
    ]
    for seed in range(20, 24):
        wanted = run_unoptimized(source, {"x": image(seed)})[0]
        for executor in executors:
            error = np.abs(executor.run({"x": image(seed)})["y"] - wanted)
            assert error.max() <= 1.01 * float(quant["scale"])


@pytest.mark.filterwarnings("ignore")
def test_dynamic_quantization(network: Path, tmp_path: Path) -> None:
    """Ranges are computed; the weights keep their codes."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    quantization.quantize_dynamic(network, tmp_path / "d.onnx", op_types_to_quantize=["MatMul", "Gemm", "Conv"])
    model = onnx.load(tmp_path / "d.onnx")
    assert "DynamicQuantizeLinear" in {op.op_type for op in model.graph.node}
    result = check(model, [image(1)], rtol=1e-4, atol=1e-4)
    assert "dynamic_quantize" in result.ops and "cast" not in result.ops
    assert len(entries(result.graph)) == sum(op.op_type in ("MatMulInteger", "ConvInteger") for op in model.graph.node)


# verification


def reversed_channels(weights: Any) -> None:
    weights.data = np.asarray(weights.data)[::-1].copy()


def moved_zero_point(weights: Any) -> None:
    weights.quant["zero_point"] += 20


def larger_scale(weights: Any) -> None:
    weights.quant["scale"] *= 1.1


def clipped(weights: Any) -> None:
    """As a saturated product: the largest weights are 30 % smaller."""
    codes = np.asarray(weights.data)
    weights.data = np.clip(codes, *(0.7 * np.array([codes.min(), codes.max()]))).astype(codes.dtype)


def first_weights(graph: Graph) -> Tensor:
    return next(op.output for op in graph.operations if op.type == "variable" and op.output.rank == 4)


def last_bias(graph: Graph) -> Tensor:
    return next(op.inputs[2] for op in graph.operations if op.type == "linear")


def moved_by_steps(bias: Any) -> None:
    """All outputs are two steps off, as with a wrong zero point."""
    step = float(bias.graph.outputs[0].quant["scale"])
    bias.quant["zero_point"] -= round(2 * step / float(np.max(bias.quant["scale"])))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("find", "damage"),
    [
        (first_weights, reversed_channels),
        (first_weights, moved_zero_point),
        (first_weights, larger_scale),
        (first_weights, clipped),
        (last_bias, moved_by_steps),
    ],
)
def test_verification_of_quantized_models_still_finds_errors(
    find: Any, damage: Any, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated(network, tmp_path / "q.onnx")
    finish = Converter._finish

    def damaged(self: Converter) -> None:
        finish(self)
        damage(find(self._target))

    monkeypatch.setattr(Converter, "_finish", damaged)
    with pytest.raises(VerificationError):
        nnef_tools.convert_model(tmp_path / "q.onnx", tmp_path / "wrong.nnef", verify=2)


@pytest.mark.parametrize(
    ("error", "is_noise"),
    [
        (lambda x, flips: 0.1 * flips, True),  # one step, now up, now down
        (lambda x, flips: 0.1 * np.abs(flips), True),  # rounded up wherever the source rounds down, one item in ten
        (lambda x, flips: 0.1 + 0 * x, False),  # a zero point that is one step off
        (lambda x, flips: 0.1 * x, False),  # a wrong scale
    ],
)
def test_errors_with_a_system_are_no_flips(error: Any, is_noise: bool) -> None:
    """Of no more than a step of 0.1 in the mean of the squares, and of 4 in any item."""
    rng = np.random.default_rng(0)
    noise = Noise()
    for _ in range(3):
        values = rng.uniform(-1.2, 1.2, 200)
        flips = rng.choice([-1.0, 0.0, 1.0], 200, p=[0.05, 0.9, 0.05])
        difference = error(values, flips)
        assert np.sqrt(np.mean(difference**2)) <= 0.1001 and np.abs(difference).max() <= 0.4
        noise.add(values, values + difference, 0.1, Deviation())
    assert noise.step == 0.1 and noise.is_flips() == is_noise


def test_noise_of_quantized_results() -> None:
    """Few items a few steps off are flips; many, or one far off, are not, unless the models themselves differ so."""
    exact, flipped, shifted, far = (np.zeros(100) for _ in range(4))
    flipped[3], shifted[:], far[5] = 0.39, 0.11, 0.41
    for result, expected in ((exact, True), (flipped, True), (shifted, False), (far, False)):
        assert Deviation.between(np.zeros(100), result).is_noise(0.1, Deviation()) == expected
        assert Deviation.between(np.zeros(100), result).is_noise(0.1, Deviation(0.2, 0.1))
    assert Deviation.between(np.array([1.0, np.nan]), np.array([1.0, 2.0])).most == np.inf
    assert Deviation.between(np.zeros(2), np.zeros(3)).most == np.inf


def test_codes_finer_than_those_before_have_the_steps_of_these() -> None:
    """c -> split -> sub -> clamp, with 1/8 of the step of c: one code of c is 8 of y. A product passes nothing on."""
    graph = nnef_graph("""
        x = external(shape = [1, 4]); c = mul(x, 2.0); [a, b] = split(c, axis = 1, ratios = [1, 1]);
        d = sub(a, b); y = clamp(d, -1.0, 1.0); z = mul(d, 0.5);""", outputs=["y", "z"])  # fmt: skip
    for tensor in graph.tensors:
        scale = {"c": 0.08, "y": 0.01, "z": 0.01}.get(str(tensor.name))
        if scale is not None:
            tensor.quant = {"op-name": "zero_point_linear_quantize", "scale": scale, "zero_point": 0, "bits": 16,
                            "signed": True, "symmetric": True}  # fmt: skip
    steps = QuantizationSteps.of(graph, of_source=True)
    assert steps is not None
    assert steps.step("y", np.float32, np.zeros(1, np.float32)) == pytest.approx(0.08)
    assert steps.step("y", np.int16, np.zeros(1, np.int16)) == pytest.approx(8)
    assert steps.step("z", np.float32, np.zeros(1, np.float32)) == pytest.approx(0.01)
    assert steps.step("z", np.int16, np.zeros(1, np.int16)) == 1


def test_outputs_that_are_no_codes_stay_exact() -> None:
    steps = QuantizationSteps(8, {"y": 0.5}, of_source=False)
    assert steps.step("y", np.float32, np.array([3.0], np.float32)) == 0.5
    assert steps.step("x", np.float32, np.array([np.inf, -512.0], np.float32)) == 2.0
    assert steps.step("x", np.uint8, np.array([3])) == 1.0
    assert steps.step("x", np.int64, np.array([3])) is None
    assert steps.step("x", np.bool_, np.array([True])) is None

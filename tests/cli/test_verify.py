"""`--verify`: what it says of models that differ, that do not, and of inputs that show nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnef_tools
from nnef_tools.conversion.engine import rules
from nnef_tools.report import Verification

from ..support.commands import Run
from ..support.onnx_models import run_onnx
from .models import save

node = helper.make_node


def verified(path: Path, target: Path, **options: Any) -> Verification:
    report = nnef_tools.convert_model(path, target, verify=3, **options)
    assert report.verification is not None
    return report.verification


def dense_layers(path: Path, activation: str, gain: float, ending: str = "Identity") -> Path:
    """x [1, 8] -> dense of small weights -> activation -> dense -> ending -> y [1, 4]."""
    rng = np.random.default_rng(3)
    weights = {
        "w1": (gain * rng.uniform(-1, 1, (8, 16))).astype(np.float32),
        "w2": rng.uniform(-1, 1, (16, 4)).astype(np.float32),
        "b2": np.ones(4, np.float32),
    }
    nodes = [node("MatMul", ["x", "w1"], ["h"]), node(activation, ["h"], ["a"]),
             node("Gemm", ["a", "w2", "b2"], ["o"]), node(ending, ["o"], ["y"])]  # fmt: skip
    return save(path, nodes, {"x": [1, 8]}, {"y": [1, 4]}, weights)


def test_strict_checks_pass_where_they_see_enough(tmp_path: Path) -> None:
    assert verified(dense_layers(tmp_path / "a.onnx", "Relu", 1.0), tmp_path / "a.nnef", verify_strict=True).passed


def test_names_the_criterion(tmp_path: Path) -> None:
    found = verified(dense_layers(tmp_path / "a.onnx", "Relu", 1.0), tmp_path / "a.nnef")
    assert found.outputs[0].verdict == "equal" and not found.weaknesses
    assert found.summary().startswith("verified on 3 random inputs: equal, the largest error is ")
    assert found.summary().endswith(" of the output scale (criterion: relative tolerance 0.0001)")


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("Sub", ["x", "x"], ["y"])], "output 'sub1' is all zeros"),
        ([node("Mul", ["x", "zero"], ["z"]), node("Cos", ["z"], ["y"])], "output 'cos1' is the same for all inputs"),
        ([node("Mul", ["x", "tiny"], ["t"]), node("Add", ["t", "one"], ["y"])], "output 'add1' hardly varies"),
        ([node("Mul", ["x", "huge"], ["h"]), node("Sigmoid", ["h"], ["y"])], "output 'sigmoid1' is saturated"),
        ([node("Mul", ["x", "zero"], ["z"]), node("Div", ["x", "z"], ["y"])], "infinite or not a number everywhere"),
    ],
)  # fmt: skip
def test_checks_that_see_nothing_are_weak(nodes: list[Any], reason: str, run: Run, tmp_path: Path) -> None:
    constants = {"zero": 0.0, "tiny": 1e-6, "one": 1.0, "huge": 1e9}
    used = {name for item in nodes for name in item.input}
    weights = {name: np.float32(value) for name, value in constants.items() if name in used}
    path = save(tmp_path / "a.onnx", nodes, {"x": [4, 5]}, {"y": [4, 5]}, weights)  # type: ignore[arg-type]
    status, _, err = run("convert", path, tmp_path / "a.nnef", "--verify")
    assert status == 0
    assert "equal on these inputs, but this check is weak: " in err and reason in err
    assert "random inputs: equal, " not in err
    status, _, err = run("convert", path, tmp_path / "b.nnef", "--verify", "--verify-strict")
    assert status == 4 and reason in err and not (tmp_path / "b.nnef").exists()


def test_given_inputs(run: Run, tmp_path: Path) -> None:
    """Above 1 the model is zero for all random inputs: stacked, by folder, and alone, given ones show more."""
    nodes = [node("Sub", ["x", "one"], ["s"]), node("Relu", ["s"], ["y"])]
    path = save(tmp_path / "a.onnx", nodes, {"x": [1, 4]}, {"y": [1, 4]}, {"one": np.ones((), np.float32)})
    assert run("convert", path, tmp_path / "a.nnef", "--verify", "--verify-strict")[0] == 4
    x = np.random.default_rng(0).uniform(0, 3, (3, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "all.npz", x=x)
    for k in range(2):
        (tmp_path / "samples" / str(k)).mkdir(parents=True)
        np.save(tmp_path / "samples" / str(k) / "x.npy", x[k : k + 1])
    for given, count in (("x.npy", "3"), ("all.npz", "3"), ("samples", "2")):
        target = tmp_path / f"{given}.nnef"
        status, _, err = run("convert", path, target, "--verify-inputs", tmp_path / given, "--verify-strict")
        assert status == 0 and f"verified on {count} given inputs: equal, " in err and target.exists()
    status, _, err = run("convert", path, tmp_path / "b.nnef", "--verify-inputs", tmp_path / "none.npy")
    assert status == 2 and "none.npy" in err and not (tmp_path / "b.nnef").exists()
    np.save(tmp_path / "wide.npy", np.ones((3, 5), np.float32))
    status, _, err = run("convert", path, tmp_path / "b.nnef", "--verify-inputs", tmp_path / "wide.npy")
    assert status == 1 and "input 'x'" in err
    status, _, err = run("convert", path, tmp_path / "b.nnef", "--verify-inputs", tmp_path / "x.npy", "--seed", "1")
    assert status == 1 and "exclude each other" in err


def test_inputs_that_change_nothing_are_named(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "zero"], ["n"]), node("Add", ["n", "z"], ["y"])]
    path = save(tmp_path / "a.onnx", nodes, {"x": [3], "z": [3]}, {"y": [3]}, {"zero": np.zeros((), np.float32)})
    found = verified(path, tmp_path / "a.nnef")
    assert found.idle_inputs == ("x",) and "this check is weak: input 'x' changes no output" in found.summary()


def wrong_rule(name: str, monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]) -> None:
    """Replaces the conversion of an ONNX operator to NNEF."""
    monkeypatch.setitem(rules._to_nnef, ("onnx", "", name), [rules.Rule("onnx", name, 1, "", function)])


@pytest.mark.parametrize("gain", [3e-4, 1e-3, 3e-3])
def test_errors_show_relative_to_the_variation(gain: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an untrained network whose outputs hardly vary, a wrong activation is below 1e-4 of the magnitude."""
    path = dense_layers(tmp_path / "a.onnx", "Tanh", gain, "Softmax")
    assert verified(path, tmp_path / "a.nnef").passed
    wrong_rule("Tanh", monkeypatch, lambda b, x: b.mul(b.sin(x), 1.1))
    with pytest.raises(nnef_tools.errors.VerificationError) as failure:
        verified(path, tmp_path / "a.nnef")
    check = failure.value.verification.outputs[0]
    assert check.verdict == "differs" and check.error < 3e-3


def test_errors_below_rounding_are_weak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dense_layers(tmp_path / "a.onnx", "Tanh", 1e-7)
    wrong_rule("Tanh", monkeypatch, lambda b, x: b.relu(x))
    found = verified(path, tmp_path / "a.nnef")
    assert found.passed and "this check is weak: output 'add1' hardly varies" in found.summary()


def spectrum(path: Path) -> Path:
    """The logarithm of the power spectrum of a signal, with 400 points: onnxruntime's STFT is not precise."""
    signal = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4000, 1])
    nodes = [node("STFT", ["x", "step", "", "length"], ["s"]), node("Mul", ["s", "s"], ["p"]),
             node("ReduceSum", ["p", "axes"], ["e"], keepdims=0), node("Log", ["e"], ["y"])]  # fmt: skip
    weights = [numpy_helper.from_array(np.asarray(value), name)
               for name, value in (("step", 160), ("length", 400), ("axes", [3]))]  # fmt: skip
    graph = helper.make_graph(nodes, "net", [signal], [onnx.ValueInfoProto(name="y")], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def exact_spectrum(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """In float64, by numpy."""
    frames = np.lib.stride_tricks.sliding_window_view(x[0, :, 0].astype(np.float64), 400)[::160]
    return np.asarray(np.log(np.abs(np.fft.rfft(frames)) ** 2))[None]


def test_results_nearer_to_float64_pass(tmp_path: Path) -> None:
    """The source runtime itself is more than the tolerance off what numpy computes in float64; we are not."""
    path = spectrum(tmp_path / "a.onnx")
    found = verified(path, tmp_path / "a.nnef")
    check = found.outputs[0]
    assert check.error > 1e-4 and check.verdict == "nearer to float64"
    assert check.target_to_float64 is not None and check.source_to_float64 is not None
    assert 10 * check.target_to_float64 < check.source_to_float64
    assert "nearer to the exact result (float64) than the source runtime, the largest error is " in found.summary()

    x = np.random.default_rng(0).uniform(-1, 1, (1, 4000, 1)).astype(np.float32)
    wanted = exact_spectrum(x)
    ours = nnef_tools.run_model(tmp_path / "a.nnef", [x], backend="torch")
    source = run_onnx(path, [x])[0]
    assert 10 * np.abs(next(iter(ours.values())) - wanted).max() < np.abs(source - wanted).max()
    nnef_tools.convert_model(tmp_path / "a.nnef", tmp_path / "back.onnx", verify=1)


@pytest.mark.parametrize("factor", [1.001, 2.0])
def test_errors_are_no_rounding_because_we_agree_with_ourselves(
    factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong conversion is right next to float64 of itself; what rounding can do decides."""
    path = spectrum(tmp_path / "a.onnx")
    wrong_rule("Log", monkeypatch, lambda b, x: b.mul(b.log(x), factor))
    with pytest.raises(nnef_tools.errors.VerificationError) as failure:
        verified(path, tmp_path / "a.nnef")
    check = failure.value.verification.outputs[0]
    assert check.target_to_float64 < check.source_to_float64 and check.rounding is not None


def test_failures_name_the_first_tensor_and_hold_the_numbers(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_rule("Relu", monkeypatch, lambda b, x: b.sigmoid(x))
    status, out, err = run("convert", model, tmp_path / "a.nnef", "--verify", "--json")
    assert status == 4
    assert "the first tensor that differs is 'r' of Relu, which became 'sigmoid1' of sigmoid: by " in err
    result = json.loads(out)
    assert result["exit_code"] == 4
    first = result["verification"]["first_difference"]
    assert (first["source"], first["source_operator"], first["target_operator"]) == ("r", "Relu", "sigmoid")
    assert result["verification"]["outputs"][0]["verdict"] == "differs" and not result["verification"]["passed"]
    assert result["verification"]["outputs"][0]["error"] > 1e-4 and first["error"] > 1e-4


def test_why_the_first_tensor_is_not_known(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnef_tools.verification import check

    def fail(*_: Any) -> None:
        raise nnef_tools.errors.ExecutionError("onnxruntime failed")

    monkeypatch.setattr(check, "find_first_difference", fail)
    wrong_rule("Relu", monkeypatch, lambda b, x: b.sigmoid(x))
    status, _, err = run("convert", model, tmp_path / "a.nnef", "--verify")
    assert status == 4 and "is not known: the inner tensors cannot be computed (onnxruntime failed)" in err


def integers_model(path: Path, nodes: list[Any], inputs: dict[str, list[int]], weights: dict[str, Any]) -> Path:
    infos = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in inputs.items()]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", infos, [onnx.ValueInfoProto(name="y")], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("random", [None, "integers(0, 1000)", "normal(0, 1)"])
def test_indices_stay_within_their_tables(random: str | None, tmp_path: Path) -> None:
    """As those of words, and of the two types of tokens, in BERT, with its mask that is added before a softmax."""
    rng = np.random.default_rng(0)
    weights = {"words": rng.normal(0, 1, (50, 6)).astype(np.float32),
               "types": rng.normal(0, 1, (2, 6)).astype(np.float32), "one": np.float32(1),
               "big": np.float32(-10000), "axes": np.array([1])}  # fmt: skip
    nodes = [node("Gather", ["words", "ids"], ["a"]), node("Gather", ["types", "kinds"], ["b"]),
             node("Add", ["a", "b"], ["e"]), node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
             node("Sub", ["one", "m"], ["n"]), node("Mul", ["n", "big"], ["o"]),
             node("Unsqueeze", ["o", "axes"], ["p"]), node("Transpose", ["e"], ["t"], perm=[0, 2, 1]),
             node("Add", ["t", "p"], ["s"]), node("Softmax", ["s"], ["y"], axis=-1)]  # fmt: skip
    inputs = {name: [2, 9] for name in ("ids", "kinds", "mask")}
    path = integers_model(tmp_path / "a.onnx", nodes, inputs, weights)
    found = verified(path, tmp_path / "a.nnef", random=random)
    assert found.passed
    if random is None:
        assert not found.weaknesses
    back = verified(tmp_path / "a.nnef", tmp_path / "back.onnx", random=random)
    assert back.passed


def test_lengths_reach_the_extent_of_the_axis(tmp_path: Path) -> None:
    """A length near zero would mask everything."""
    weights = {"places": np.arange(4000.0, dtype=np.float32)[None], "half": np.float32(0.5),
               "axes": np.array([1]), "zero": np.float32(0)}  # fmt: skip
    nodes = [node("Cast", ["lengths"], ["l"], to=TensorProto.FLOAT), node("Unsqueeze", ["l", "axes"], ["u"]),
             node("Mul", ["u", "half"], ["h"]), node("Less", ["places", "h"], ["m"]),
             node("Where", ["m", "places", "zero"], ["y"])]  # fmt: skip
    path = integers_model(tmp_path / "a.onnx", nodes, {"lengths": [3]}, weights)
    found = verified(path, tmp_path / "a.nnef")
    assert not found.weaknesses and found.outputs[0].scale > 1000


def half_network(path: Path) -> Path:
    """x [1, 3, 8, 8] of 16 bits -> convolution -> mul -> add -> y."""
    rng = np.random.default_rng(5)
    shapes = {"w": (8, 3, 3, 3), "s": (1, 8, 1, 1), "b": (1, 8, 1, 1)}
    weights = [numpy_helper.from_array(rng.normal(0, 0.5, shape).astype(np.float16), n) for n, shape in shapes.items()]
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "s"], ["m"]), node("Add", ["m", "b"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_outputs_of_narrower_type_are_rounded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NNEF is computed in float32, so that a result of 16 bits is up to 4.9e-4 off; one that is 2e-3 off is wrong."""
    nnef_tools.convert_model(half_network(tmp_path / "a.onnx"), tmp_path / "a.nnef")
    found = verified(tmp_path / "a.nnef", tmp_path / "b.onnx")
    assert found.outputs[0].error > 1e-4 and found.outputs[0].verdict == "equal"
    assert found.outputs[0].criterion == "relative tolerance 0.0001 beyond one rounding to float16"

    wrong = rules.Rule("onnx", "mul", 1, "", lambda b, x, y: b.op("Mul", x, b.op("Mul", y, b.constant(1.002, y.dtype))))
    monkeypatch.setitem(rules._from_nnef, ("onnx", "mul"), wrong)
    with pytest.raises(nnef_tools.errors.VerificationError):
        verified(tmp_path / "a.nnef", tmp_path / "b.onnx")

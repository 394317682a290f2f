"""`compare`: what it prints of models that are equal and that differ, its exit status, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import nnef_tools

from ..support.arrays import random
from ..support.commands import Run
from ..support.onnx_models import onnx_model


@pytest.fixture
def wrong(model: Path, tmp_path: Path) -> Path:
    """The model in NNEF, with another activation."""
    graph = nnef_tools.load_model(nnef_tools.convert_model(model, tmp_path / "right.nnef").written[0])
    next(op for op in graph.operations if op.type == "relu").type = "tanh"
    nnef_tools.save_model(graph, tmp_path / "wrong.nnef")
    return tmp_path / "wrong.nnef"


def test_equal_models(run: Run, model: Path, wrong: Path) -> None:
    status, out, err = run("compare", model, wrong.with_name("right.nnef"), "--all")
    assert status == 0
    assert out.startswith("equal: the largest error is ") and "3 tensors compared" in out
    assert "net.onnx ran in onnxruntime, right.nnef ran in" in err.replace("nnef in", "nnef ran in")


def test_the_first_difference_is_named(run: Run, model: Path, wrong: Path) -> None:
    status, out, _ = run("compare", model, wrong)
    assert status == 4
    assert out.startswith("different: the output differs")
    assert "the difference begins at 'r' of Relu, in B 'relu1' of tanh: by " in out
    assert "  in the model that B was made of: 'r'" in out and "  operator of A: 'act'" in out
    marked = [line for line in out.splitlines() if line.lstrip().startswith("=>")]
    assert len(marked) == 1 and "Relu" in marked[0]


def test_json(run: Run, model: Path, wrong: Path) -> None:
    status, out, _ = run("compare", model, wrong, "--json")
    found = json.loads(out)
    assert status == 4 and found["schema"] == "nnef-tools.comparison/1" and not found["equal"]
    assert (found["first"]["a"], found["first"]["b"]) == ("r", "relu1")
    assert [tensor["a"] for tensor in found["tensors"]] == ["x", "c", "r", "y"]
    assert found["tensors"][1]["error"] < 1e-5 < found["tensors"][2]["error"]


def test_tolerance(run: Run, model: Path, wrong: Path) -> None:
    assert run("compare", model, wrong, "--tolerance", "2")[0] == 0
    assert run("compare", model, wrong, "--tolerance", "-1")[0] == 1


def test_given_inputs(run: Run, model: Path, wrong: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    assert run("compare", model, wrong, "--input", f"x={tmp_path / 'x.npy'}")[0] == 4
    assert run("compare", model, wrong, "--input-path", tmp_path)[0] == 4
    status, _, err = run("compare", model, wrong, "--input", f"z={tmp_path / 'x.npy'}")
    assert status == 1 and "the model has no input 'z'" in err


def test_one_sample_whose_inputs_have_different_first_extents(run: Run, tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("MatMul", ["x", "h"], ["y"])]
    onnx.save(onnx_model(nodes, {"x": [1, 2], "h": [2, 4]}, {"y": [1, 4]}), tmp_path / "m.onnx")
    for name, shape in {"x": (1, 2), "h": (2, 4)}.items():
        np.save(tmp_path / f"{name}.npy", random(*shape))
    assert run("compare", tmp_path / "m.onnx", tmp_path / "m.onnx", "--input-path", tmp_path)[0] == 0


def test_shapes_are_given_by_names_of_either_model(run: Run, tmp_path: Path) -> None:
    """Both are open in A; B has other names of its inputs, other extents, or the channels elsewhere."""
    nodes = [onnx.helper.make_node("Conv", ["x", "k"], ["c"]), onnx.helper.make_node("Relu", ["c"], ["y"])]
    x, y = ["n", 3, None, None], ["n", 4, None, None]
    a = tmp_path / "a.onnx"
    onnx.save(onnx_model(nodes, {"x": x}, {"y": y}, {"k": random(4, 3, 3, 3)}), a)
    for options in (["b.nnef"], ["b.pb", "--io-transpose"]):
        assert run("convert", a, tmp_path / options[0], *options[1:], "--shape", "x:1,3,5,9")[0] == 0
        for shape in ("1,3,5,9", "2,3,8,6") if options[0] == "b.nnef" else ("1,3,5,9",):
            assert run("compare", a, tmp_path / options[0], "--shape", f"x:{shape}")[0] == 0
    assert run("compare", tmp_path / "b.nnef", a, "--shape", "x:1,3,6,6")[0] == 0
    assert run("compare", a, tmp_path / "b.nnef", "--shape", "external1:1,3,6,6")[0] == 0
    status, _, err = run("compare", a, tmp_path / "b.nnef", "--shape", "z:1,3,6,6")
    assert status == 1 and "'z', which is not an input of either model" in err and "x, external1" in err


def test_tensor_mapping_in_both_directions(run: Run, model: Path, wrong: Path, tmp_path: Path) -> None:
    (wrong / "nnef_tools.json").unlink()
    for names in ({"r": "relu1"}, {"relu1": "r"}):
        (tmp_path / "names.json").write_text(json.dumps(names))
        status, out, _ = run("compare", model, wrong, "--tensor-mapping", tmp_path / "names.json", "--json")
        pairs = {tensor["a"]: tensor["matched_by"] for tensor in json.loads(out)["tensors"]}
        assert status == 4 and pairs["r"] == "mapping"
    (tmp_path / "names.json").write_text('{"no": "such"}')
    status, _, err = run("compare", model, wrong, "--tensor-mapping", tmp_path / "names.json")
    assert status == 1 and "no names that both models have" in err


def test_structure_without_names(run: Run, model: Path, wrong: Path) -> None:
    (wrong / "nnef_tools.json").unlink()
    status, out, _ = run("compare", model, wrong, "--json")
    found = json.loads(out)
    assert status == 4 and (found["first"]["a"], found["first"]["b"]) == ("r", "relu1")
    assert {tensor["matched_by"] for tensor in found["tensors"]} == {"order", "structure"}


def test_bisect(run: Run, model: Path, wrong: Path, tmp_path: Path) -> None:
    status, out, _ = run("compare", model, wrong, "--bisect", tmp_path / "report")
    assert status == 4 and f"Written {tmp_path / 'report'}" in out
    folder = tmp_path / "report"
    readme = (folder / "README.md").read_text()
    assert "nnef-tools compare a.onnx b.nnef --input-path inputs-a --input-path-b inputs-b" in readme
    paths = ("--input-path", folder / "inputs-a", "--input-path-b", folder / "inputs-b")
    status, out, _ = run("compare", folder / "a.onnx", folder / "b.nnef", *paths)
    assert status == 4 and "of Relu" in out
    status, _, err = run("compare", model, wrong, "--bisect", tmp_path / "report")
    assert status == 1 and "is not empty" in err


def test_nothing_to_bisect(run: Run, model: Path, wrong: Path, tmp_path: Path) -> None:
    status, _, err = run("compare", model, model, "--bisect", tmp_path / "report")
    assert status == 0 and "nothing is written, since no tensor differs" in err
    assert not (tmp_path / "report").exists()


def test_noise_of_quantization(run: Run, model: Path, wrong: Path) -> None:
    """8 bits for values up to the largest: the ratio of uniform noise is 10 log10(12 power / step^2)."""
    graph = nnef_tools.load_model(wrong.with_name("right.nnef"))
    relu = next(op for op in graph.operations if op.type == "relu").outputs[0]
    step = 4.0 / 255
    relu.quant = {"op-name": "zero_point_linear_quantize", "scale": step, "zero_point": 0, "bits": 8, "signed": False,
                  "symmetric": False}  # fmt: skip
    nnef_tools.save_model(graph, wrong.with_name("codes.nnef"))
    status, out, _ = run("compare", model, wrong.with_name("codes.nnef"), "--quantized", "--json", "--samples", "1")
    found = {tensor["a"]: tensor for tensor in json.loads(out)["tensors"]}
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)
    real = nnef_tools.run_model(model, [x], output_names=["r"])["r"].astype(np.float64)
    noise = 10 * np.log10(np.sum(real**2) / np.sum((real - np.clip(np.round(real / step), 0, 255) * step) ** 2))
    assert status == 0
    assert abs(found["r"]["noise"]["snr_db"] - noise) < 3
    assert found["r"]["noise"]["clipped"] == pytest.approx(np.mean(real > 4.0), abs=0.05)
    assert found["c"]["noise"]["snr_db"] is None or found["c"]["noise"]["snr_db"] > 100
    assert "worst channels (dB)" in run("compare", model, wrong.with_name("codes.nnef"), "--quantized")[1]


@pytest.mark.parametrize("arguments", [(), ("a.onnx",), ("a.onnx", "b.onnx", "c.onnx")])
def test_two_models_are_needed(run: Run, arguments: tuple[str, ...]) -> None:
    status, _, err = run("compare", *arguments)
    assert status == 1 and "two models are needed" in err

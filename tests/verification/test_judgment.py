"""What `compare` says where rounding is large, outputs have no counterpart, or extents do not show the layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import nnef_tools
from nnef_tools.verification.compare import ModelComparison, compare_tensors
from nnef_tools.verification.compare_inputs import given_inputs
from nnef_tools.verification.compared_model import ComparedModel

from ..support.commands import Run, runner
from ..support.onnx_models import onnx_model
from .nets import node

K = 4096


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def cancelling(tmp_path: Path) -> Path:
    """y = x w - (x w, added in another order) + 0.02 x v: the difference is nothing but rounding."""
    rng = np.random.default_rng(0)
    w, order = rng.uniform(-1, 1, (K, 16)).astype(np.float32), rng.permutation(K)
    v = rng.uniform(-1, 1, (K, 16)).astype(np.float32) / 64
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        node("Gather", ["x", "order"], ["xp"], axis=1),
        node("MatMul", ["xp", "wp"], ["n"]),
        node("Sub", ["m", "n"], ["d"]),
        node("MatMul", ["x", "v"], ["k"]),
        node("Mul", ["k", "s"], ["e"]),
        node("Add", ["d", "e"], ["y"]),
    ]
    values = {"w": w, "wp": w[order], "order": order.astype(np.int64), "s": np.float32(0.02), "v": v}
    onnx.save(onnx_model(nodes, {"x": [2, K]}, {"y": [2, 16]}, values), tmp_path / "m.onnx")
    nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef")
    return tmp_path / "m.onnx"


def found(a: Path, b: Path | nnef_tools.Graph, **options: float) -> ModelComparison:
    result = nnef_tools.compare_models(a, b, inner=True, **options)  # type: ignore[arg-type]
    assert isinstance(result, ModelComparison)
    return result


def test_rounding_that_cancellation_amplifies_is_no_difference(cancelling: Path, run: Run) -> None:
    result = found(cancelling, cancelling.with_suffix(".nnef"))
    tensors = {tensor.a: tensor for tensor in result.tensors}
    assert result.ok and result.first is None
    x = result.given[0]["x"].astype(np.float64)
    weights = {t.name: np.asarray(t.data, np.float64) for t in nnef_tools.load_model(cancelling).tensors if t.name}
    exact = 0.02 * x @ weights["v"]
    judged = tensors["y"].distances
    own = nnef_tools.run_model(cancelling, [result.given[0]["x"]])["y"]
    assert judged is not None and judged.explained and judged.graph == "B"
    assert judged.a == pytest.approx(np.abs(own - exact).max(), rel=0.05)  # 0.02 is rounded
    assert tensors["d"].error > 0.1 and tensors["d"].distances is not None and tensors["k"].distances is None
    status, out, _ = run("compare", cancelling, cancelling.with_suffix(".nnef"))
    assert status == 0 and out.startswith("equal up to rounding: ") and "off from float64 (on the graph of B)" in out
    assert not found(
        cancelling, cancelling.with_suffix(".nnef"), relative_to_scale=1e-6
    ).ok  # a limit of the user's own


def test_a_fault_beside_rounding_is_found(cancelling: Path) -> None:
    graph = nnef_tools.load_model(cancelling.with_suffix(".nnef"))
    product = next(op for op in graph.operations if op.type == "mul")
    next(t for t in product.inputs if t.is_constant and t.volume == 1).data = np.float32(0.03)
    result = found(cancelling, graph)
    assert not result.ok and result.first is not None and result.first.tensor.a == "e"
    last = result.tensors[-1].distances
    assert last is not None and last.nearer == "B" and not result.outputs[0].ok  # by its own graph


def test_outputs_without_a_counterpart_are_named(tmp_path: Path, run: Run) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Neg", ["r"], ["y"]), node("Exp", ["r"], ["z"])]
    shape = [1, 4]
    onnx.save(onnx_model(nodes, {"x": shape}, {"y": shape, "z": shape}, {}), tmp_path / "two.onnx")
    onnx.save(onnx_model(nodes[:2], {"x": shape}, {"y": shape}, {}), tmp_path / "one.onnx")
    onnx.save(onnx_model(nodes, {"x": shape}, {"z": shape}, {}), tmp_path / "inner.onnx")
    status, out, _ = run("compare", tmp_path / "two.onnx", tmp_path / "one.onnx")
    assert status == 4 and out.startswith("different: of the outputs, 'z' only in A, the others are equal")
    status, out, _ = run("compare", tmp_path / "one.onnx", tmp_path / "two.onnx")
    assert status == 4 and "'z' only in B" in out
    status, out, _ = run("compare", tmp_path / "two.onnx", tmp_path / "inner.onnx")  # 'y' is computed there, too
    assert status == 0 and out.startswith("equal")
    other = [node("Transpose", ["x"], ["t"]), *(node(op, ["t"], [op[0]]) for op in ("Sin", "Cos", "Tan"))]
    onnx.save(onnx_model(other, {"x": shape}, {name: [4, 1] for name in "SCT"}, {}), tmp_path / "three.onnx")
    status, _, err = run("compare", tmp_path / "two.onnx", tmp_path / "three.onnx")
    assert status == 1 and "2 and 3 outputs" in err and "--tensor-mapping" in err


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    """A convolution of a cube of channels, rows and columns, in ONNX, TensorFlow (channels last) and NNEF."""
    w = np.random.default_rng(1).uniform(-1, 1, (8, 8, 3, 3)).astype(np.float32)
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], ["y"])]
    shape = [1, 8, 8, 8]
    onnx.save(onnx_model(nodes, {"x": shape}, {"y": shape}, {"w": w}), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_equal_extents_do_not_hide_the_layout(cube: Path, tmp_path: Path) -> None:
    for moved in (False, True):
        path = tmp_path / f"{moved}.pb"
        nnef_tools.convert_model(cube, path, io_transpose=moved)
        assert found(cube, path).ok and found(path, cube).ok


def test_a_lost_transposition_of_equal_extents_is_recognized(cube: Path, tmp_path: Path, run: Run) -> None:
    nnef_tools.convert_model(cube, tmp_path / "m.nnef")
    graph = nnef_tools.load_model(tmp_path / "m.nnef")
    relu = next(op for op in graph.operations if op.type == "relu")
    text = (tmp_path / "m.nnef" / "graph.nnef").read_text()
    name = relu.outputs[0].name
    text = text.replace(f"    {name} = relu(", "    first = relu(")
    text = text.replace("\n}", f"\n    {name} = transpose(first, axes = [0, 2, 3, 1]);\n}}")
    (tmp_path / "m.nnef" / "graph.nnef").write_text(text)
    status, out, _ = run("compare", cube, tmp_path / "m.nnef")
    assert status == 4 and "equal items with the channels moved" in out


def test_the_worst_of_several_samples_counts(tmp_path: Path, run: Run) -> None:
    shape = [2, 3]
    onnx.save(onnx_model([node("Relu", ["x"], ["y"])], {"x": shape}, {"y": shape}, {}), tmp_path / "a.onnx")
    nodes = [node("Clip", ["x", "low", "high"], ["y"])]
    ends = {"low": np.float32(0), "high": np.float32(5)}
    onnx.save(onnx_model(nodes, {"x": shape}, {"y": shape}, ends), tmp_path / "b.onnx")
    values = [np.full(shape, value, np.float32) for value in (1, 7, 2)]
    a, b = ComparedModel(tmp_path / "a.onnx"), ComparedModel(tmp_path / "b.onnx")
    result = compare_tensors(a, b, [given_inputs(a, b, [value]) for value in values])
    assert not result.ok and result.samples == 3 and result.tensors[-1].sample == 1
    assert result.tensors[-1].comparison.max_error == 2 and result.given[0]["x"][0, 0] == 7
    for k, value in enumerate(values):
        (tmp_path / "samples" / str(k)).mkdir(parents=True)
        np.save(tmp_path / "samples" / str(k) / "x.npy", value)
    np.save(tmp_path / "stacked.npy", np.concatenate(values))
    models = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path in (tmp_path / "samples", tmp_path / "stacked.npy"):
        status, out, _ = run("compare", *models, "--input-path", path)
        assert status == 4 and "on 3 samples" in out
    assert run("compare", *models, "--input-path", tmp_path / "samples", "--samples", "1")[0] == 0
    assert run("compare", *models, "--input-path", tmp_path / "samples", "--input-path-b", tmp_path / "samples" / "0")[
        0
    ]
    assert run("compare", *models, "--samples", "0")[0] == 1


def test_outputs_that_prove_nothing_are_named(tmp_path: Path, run: Run) -> None:
    nodes, shape = [node("Mul", ["x", "zero"], ["y"])], [2, 3]
    onnx.save(onnx_model(nodes, {"x": shape}, {"y": shape}, {"zero": np.float32(0)}), tmp_path / "a.onnx")
    status, out, _ = run("compare", tmp_path / "a.onnx", tmp_path / "a.onnx")
    assert status == 0 and out.startswith("equal on these inputs, but this check is weak: output 'y' is all zeros; ")

"""NNEF to ONNX: operators that NNEF has to write out are themselves again, and only where that computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import nnef_tools
from nnef_tools.model import Graph

from ...support.nnef_models import nnef_graph
from ...support.onnx_models import onnx_model, run_onnx
from .checks import check_back

TABLE = "x = external(shape = [4, 3]); i = external<integer>(shape = [2, 2]); "
WRAPPED = "r = cast<scalar>(i); p = cast<integer>(select(lt(r, {zero}), add(r, {extent}), r)); "
FEEDS = {"x": np.arange(12, dtype=np.float32).reshape(4, 3), "i": np.array([[0, -1], [-2, 1]])}


@pytest.mark.parametrize("axis", [0, 1])
def test_negative_indices(axis: int) -> None:
    wrapped = WRAPPED.format(zero=0.0, extent=float(FEEDS["x"].shape[axis]))
    graph = nnef_graph(f"{TABLE}{wrapped} y = gather(x, p, axis = {axis});")
    model = check_back(graph, FEEDS, ops=["Gather"])
    assert list(model.graph.node[0].input) == ["x", "i"]


@pytest.mark.parametrize(
    ("zero", "extent"), [(0.0, 3.0), (1.0, 4.0)], ids=["the extent of another axis", "another limit"]
)
def test_other_arithmetic_on_indices_stays(zero: float, extent: float) -> None:
    graph = nnef_graph(f"{TABLE}{WRAPPED.format(zero=zero, extent=extent)} y = gather(x, p, axis = 0);")
    model = check_back(graph, {**FEEDS, "i": np.array([[1, 2], [3, 1]])})
    assert "Where" in [node.op_type for node in model.graph.node]


def test_indices_that_are_used_elsewhere_too() -> None:
    text = f"{TABLE}{WRAPPED.format(zero=0.0, extent=4.0)} y = gather(x, p, axis = 0); q = copy(p);"
    check_back(nnef_graph(text, ["y", "q"]), FEEDS)


X = "x = external(shape = [2, 3, 4, 4]); "


@pytest.mark.parametrize("sum_", ["add(mul(x, 0.2), 0.5)", "add(0.5, mul(0.2, x))"])
def test_hard_sigmoid(sum_: str) -> None:
    model = check_back(nnef_graph(f"{X} y = clamp({sum_}, 0.0, 1.0);"), ops=["HardSigmoid"])
    attributes = {item.name: item.f for item in model.graph.node[0].attribute}
    assert attributes == {"alpha": pytest.approx(0.2), "beta": 0.5}


@pytest.mark.parametrize(
    "call",
    [
        "clamp(add(mul(x, 0.2), 0.5), 0.0, 6.0)",
        "clamp(add(mul(x, 0.2), 0.5), -1.0, 1.0)",
        "clamp(add(x, 0.5), 0.0, 1.0)",
        "clamp(add(mul(x, x), 0.5), 0.0, 1.0)",
        "clamp(sub(mul(x, 0.2), 0.5), 0.0, 1.0)",
    ],
)
def test_what_is_no_hard_sigmoid(call: str) -> None:
    model = check_back(nnef_graph(f"{X} y = {call};"))
    assert model.graph.node[-1].op_type == "Clip"


def test_mean_over_all_pixels() -> None:
    check_back(nnef_graph(f"{X} y = mean_reduce(x, axes = [2, 3]);"), ops=["GlobalAveragePool"])


@pytest.mark.parametrize("axes", ["[2]", "[1, 2]", "[1, 2, 3]", "[0, 2, 3]"])
def test_other_means(axes: str) -> None:
    check_back(nnef_graph(f"{X} y = mean_reduce(x, axes = {axes});"), ops=["ReduceMean"])


def test_mean_of_layer_normalization() -> None:
    graph = nnef_graph("x = external(shape = [2, 3, 8]); y = mean_reduce(x, axes = [2]);")
    check_back(graph, ops=["ReduceMean"])


def test_bias_of_a_single_column() -> None:
    graph = nnef_graph("x = external(shape = [2, 3]); w = external(shape = [3, 1]); y = add(matmul(x, w), -0.5);")
    model = check_back(graph, ops=["MatMul", "Add"])
    assert [list(item.dims) for item in model.graph.initializer] == [[1]]


LAYER = "x = external(shape = [2, 3, 8]); m, v = moments(x, axes = [2]); "
NUMBERS = "0.5, -1.0, 2.0, 0.25, 1.0, 1.5, -0.75, 3.0"
PARAMETERS = (
    f"s = constant(shape = [1, 1, 8], value = [{NUMBERS}]); o = constant(shape = [1, 1, 8], value = [{NUMBERS}]); "
)
NORMALIZED = "mul(sub(x, m), rsqrt(add(v, 0.001)))"


@pytest.mark.parametrize("call", [f"add(mul({NORMALIZED}, s), o)", f"add(o, mul(s, {NORMALIZED}))"])
def test_layer_normalization(call: str) -> None:
    model = check_back(nnef_graph(f"{LAYER}{PARAMETERS}y = {call};"), ops=["LayerNormalization"])
    assert {item.name: item.f or item.i for item in model.graph.node[0].attribute} == {
        "axis": -1,
        "epsilon": pytest.approx(0.001),
    }


def test_layer_normalization_without_bias() -> None:
    graph = nnef_graph(f"{LAYER}{PARAMETERS}y = mul({NORMALIZED}, s); z = add(y, x); k = add(y, m);", ["y", "z", "k"])
    check_back(graph, ops=["ReduceMean", "LayerNormalization", "Add", "Add"])


def test_layer_normalization_over_several_axes() -> None:
    start = (
        LAYER.replace("[2]", "[1, 2]") + f"s = constant(shape = [1, 3, 8], value = [{NUMBERS}, {NUMBERS}, {NUMBERS}]); "
    )
    check_back(nnef_graph(f"{start}y = mul({NORMALIZED}, s);"), ops=["LayerNormalization"])


@pytest.mark.parametrize(
    ("start", "call"),
    [
        (LAYER, "mul(mul(sub(x, m), rsqrt(add(v, 0.001))), 2.0)"),
        (LAYER, "mul(mul(sub(x, m), rsqrt(add(m, 9.0))), s)"),
        (LAYER, "mul(mul(sub(m, x), rsqrt(add(v, 0.001))), s)"),
        (LAYER, "mul(mul(sub(x, m), rcp(add(v, 0.001))), s)"),
        (LAYER.replace("axes = [2]", "axes = [1]"), f"mul({NORMALIZED}, s)"),
        (LAYER.replace("axes = [2]", "axes = [1, 2]"), f"mul({NORMALIZED}, s)"),
    ],
)
def test_what_is_no_layer_normalization(start: str, call: str) -> None:
    model = check_back(nnef_graph(f"{start}{PARAMETERS}y = {call};"))
    assert "LayerNormalization" not in [node.op_type for node in model.graph.node]


def test_old_versions_have_no_layer_normalization() -> None:
    model = check_back(nnef_graph(f"{LAYER}{PARAMETERS}y = mul({NORMALIZED}, s);"), opset=16)
    assert "LayerNormalization" not in [node.op_type for node in model.graph.node]


CHANNELS = (
    "s = constant(shape = [1, 3], value = [2.0, -1.0, 0.5]); o = constant(shape = [1, 3], value = [1.0, 3.0, 0.0]); "
)


@pytest.mark.parametrize("items", [1, 2])
def test_instance_normalization(items: int) -> None:
    start = f"x = external(shape = [{items}, 3, 4, 5]); m, v = moments(x, axes = [2, 3]); {CHANNELS}"
    graph = nnef_graph(f"{start}y = batch_normalization(x, m, v, o, s, epsilon = 0.001);")
    check_back(graph, ops=["InstanceNormalization"])


@pytest.mark.parametrize("axes", ["[0, 2, 3]", "[1, 2, 3]"])
def test_other_statistics_stay(axes: str) -> None:
    start = f"x = external(shape = [2, 3, 4, 5]); m, v = moments(x, axes = {axes}); {CHANNELS}"
    model = check_back(nnef_graph(f"{start}y = batch_normalization(x, m, v, o, s, epsilon = 0.001);"))
    assert "InstanceNormalization" not in [node.op_type for node in model.graph.node]


BLOCKS = {
    "CRD": ("[2, 12, 3, 5]", "[2, 3, 2, 2, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[2, 3, 6, 10]"),
    "DCR": ("[2, 12, 3, 5]", "[2, 2, 2, 3, 3, 5]", "[0, 3, 4, 1, 5, 2]", "[2, 3, 6, 10]"),
    "": ("[2, 3, 6, 10]", "[2, 3, 3, 2, 5, 2]", "[0, 3, 5, 1, 2, 4]", "[2, 12, 3, 5]"),
}


def blocks(origin: str, grid: str, axes: str, result: str, dtype: str = "scalar") -> Graph:
    start = f"x = external<{dtype}>(shape = {origin}); "
    return nnef_graph(f"{start}y = reshape(transpose(reshape(x, shape = {grid}), axes = {axes}), shape = {result});")


@pytest.mark.parametrize("mode", BLOCKS)
def test_moved_blocks(mode: str) -> None:
    model = check_back(blocks(*BLOCKS[mode]), ops=["DepthToSpace" if mode else "SpaceToDepth"])
    attributes = {item.name: item.s.decode() or item.i for item in model.graph.node[0].attribute}
    assert attributes == {"blocksize": 2, **({"mode": mode} if mode else {})}


@pytest.mark.parametrize(
    "parts",
    [
        ("[2, 12, 3, 5]", "[2, 3, 2, 2, 3, 5]", "[0, 1, 4, 3, 5, 2]", "[2, 3, 6, 10]"),
        ("[2, 12, 3, 5]", "[2, 3, 2, 2, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[2, 3, 60]"),
        ("[2, 12, 3, 5]", "[2, 3, 2, 2, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[1, 6, 6, 10]"),
        ("[2, 12, 3, 5]", "[2, 2, 2, 3, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[2, 2, 6, 15]"),
        ("[2, 24, 3, 5]", "[2, 3, 4, 2, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[2, 3, 12, 10]"),
        ("[2, 12, 15]", "[2, 3, 2, 2, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[2, 3, 6, 10]"),
        ("[2, 3, 6, 10]", "[2, 3, 3, 2, 5, 2]", "[0, 3, 5, 1, 2, 4]", "[2, 4, 9, 5]"),
        (*BLOCKS["CRD"], "integer"),
    ],
)
def test_other_moves_stay(parts: tuple[str, ...]) -> None:
    check_back(blocks(*parts), ops=["Reshape", "Transpose", "Reshape"])


def test_onnxruntime_recognizes_gelu(tmp_path: Path) -> None:
    """Erf and what is around it take twice as long."""
    source = tmp_path / "m.onnx"
    gelu = helper.make_node("Gelu", ["x"], ["y"])
    onnx.save(onnx_model([gelu], {"x": [2, 32]}, {"y": [2, 32]}, opset=20, ir_version=9), source)
    nnef_tools.convert_model(source, tmp_path / "m.nnef")
    nnef_tools.convert_model(tmp_path / "m.nnef", tmp_path / "back.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "back.onnx", options)
    assert [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node] == ["Gelu"]
    x = np.linspace(-8, 8, 64, dtype=np.float32).reshape(2, 32)
    (expected,) = run_onnx(source, [x])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-6, atol=1e-6)

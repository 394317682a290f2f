"""Quantized inputs of NNEF models are given as codes or as real numbers; results of codes are what the source gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnef_tools
from nnef_tools.cli.main import main
from nnef_tools.errors import UsageError
from nnef_tools.execution.runtimes import make_executor
from nnef_tools.language.tensor_file import read_tensor
from tests.support.onnx_models import run_onnx

BACKENDS = ["numpy", "torch", "onnxruntime"]

QUANT = '"x": zero_point_linear_quantize(zero_point = {zero}, scale = {scale}, bits = {bits}, signed = {signed}, ' \
        'symmetric = false);\n'  # fmt: skip


def model(folder: Path, scale: float = 0.5, zero: int = 3, bits: int = 8, signed: str = "false") -> Path:
    text = "version 1.0;\ngraph g(x) -> (y) { x = external(shape = [2]); y = add(x, 1.0); }\n"
    (folder / "graph.nnef").write_text(text)
    (folder / "graph.quant").write_text(QUANT.format(scale=scale, zero=zero, bits=bits, signed=signed))
    return folder


def facts(folder: Path, **dtypes: str) -> None:
    tensors = {name: {"dtype": dtype} for name, dtype in dtypes.items()}
    (folder / "nnef_tools.json").write_text(json.dumps({"tensors": tensors}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_codes_are_dequantized_and_numbers_are_not(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend != "numpy":
        pytest.importorskip(backend)
    monkeypatch.setenv("NNEF_TOOLS_MODEL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "m.nnef"
    folder.mkdir()
    text = QUANT.format(zero=3, scale=0.5, bits=8, signed="false")
    for k in range(4):  # the second model may come from the cache, the others have other facts
        if k in (0, 2):
            model(folder)
            (folder / "graph.quant").write_text(text + text.replace('"x"', '"y"'))
            facts(folder, y="uint8" if k else "int8")  # int8 is not the type of the codes of y
        executor = make_executor(folder, format="nnef", backend=backend)
        found = executor.run({"x": np.array([4, 5], np.uint8)})["y"]  # 0.5, 1.0 and 1
        if k < 2:
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, [1.5, 2])
        else:
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, [6, 7])
        for dtype in (np.float32, np.float64, np.int64, np.int8):
            found = executor.run({"x": np.array([4, 5], dtype)})["y"]
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, [5, 6])
        with pytest.raises(UsageError, match=r"input 'x' has values of shape \[3\], the model wants \[2\]"):
            executor.run({"x": np.zeros(3, np.uint8)})


def qlinear_model(folder: Path) -> Path:
    """Where of two arrays of codes, as quantize_static writes it, and a convolution whose codes follow."""
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "as": np.float32(0.1234567), "az": np.uint8(3), "bs": np.float32(0.2), "bz": np.uint8(5),
        "ws": np.float32(0.01), "wz": np.int8(0), "ys": np.float32(0.02), "yz": np.uint8(100),
        "w": rng.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node(
            "QLinearWhere", ["c", "a", "as", "az", "b", "bs", "bz", "bs", "bz"], ["z"], domain="com.microsoft"
        ),
        helper.make_node("QLinearConv", ["z", "bs", "bz", "w", "ws", "wz", "ys", "yz"], ["y"]),
    ]
    shape = [1, 2, 8, 8]
    inputs = [
        helper.make_tensor_value_info("c", TensorProto.BOOL, shape),
        helper.make_tensor_value_info("a", TensorProto.UINT8, shape),
        helper.make_tensor_value_info("b", TensorProto.UINT8, shape),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in ("y", "z")]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=10), folder / "m.onnx")
    return folder / "m.onnx"


def test_a_model_runs_on_what_its_source_ran_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path, shape = qlinear_model(tmp_path), (1, 2, 8, 8)
    feeds = {"c": rng.random(shape) > 0.5, **{k: rng.integers(0, 256, shape).astype(np.uint8) for k in "ab"}}
    expected = dict(zip("yz", run_onnx(path, feeds), strict=True))
    nnef_tools.convert_model(path, tmp_path / "m.nnef", keep_names=True)
    for backend in BACKENDS:
        found = nnef_tools.run_model(tmp_path / "m.nnef", feeds, backend=backend)
        assert [value.dtype for value in found.values()] == [np.uint8, np.uint8]
        np.testing.assert_array_equal(found["z"], expected["z"])
        assert np.abs(found["y"].astype(int) - expected["y"].astype(int)).max() <= 1  # rounded in float32
    comparison = nnef_tools.compare_models(path, tmp_path / "m.nnef")
    assert all(output.max_error <= 1 and output.result_dtype == "uint8" for output in comparison.outputs)


def test_execute_takes_and_writes_codes(tmp_path: Path) -> None:
    folder = tmp_path / "m.nnef"
    folder.mkdir()
    model(folder)
    text = QUANT.format(zero=-3, scale=0.5, bits=8, signed="true")
    (folder / "graph.quant").write_text(text + text.replace('"x"', '"y"'))
    facts(folder, x="int8", y="int8")
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "x.npy", np.array([-8, 7], np.int8))
    arguments = ["execute", str(folder), "--input-path", str(tmp_path / "in"), "--output-path", str(tmp_path / "out")]
    assert main([*arguments, "--statistics", str(tmp_path / "s.json")]) == 0
    with (tmp_path / "out" / "y.dat").open("rb") as file:
        found, _ = read_tensor(file)
    np.testing.assert_array_equal(found, [-6, 9])
    assert found.dtype.kind == "i"
    statistics = json.loads((tmp_path / "s.json").read_text())
    assert (statistics["x"]["min"], statistics["x"]["max"]) == (-2.5, 5.0)  # of real numbers


def test_codes_of_other_widths_and_of_channels(tmp_path: Path) -> None:
    model(tmp_path)
    entry = (
        '"x": zero_point_linear_quantize(zero_point = {}, scale = {}, bits = {}, signed = true, symmetric = false);\n'
    )
    (tmp_path / "graph.quant").write_text(entry.format("[1, 2]", "[0.5, 2.0]", 16))
    executor = make_executor(tmp_path, format="nnef", backend="numpy")
    np.testing.assert_array_equal(executor.run({"x": np.array([3, -1000], np.int16)})["y"], [2, -2003])
    (tmp_path / "graph.quant").write_text(entry.format(0, 0.25, 32))
    executor = make_executor(tmp_path, format="nnef", backend="numpy")
    np.testing.assert_array_equal(executor.run({"x": np.array([8, -8], np.int32)})["y"], [3, -1])
    np.testing.assert_array_equal(executor.run({"x": np.array([8, -8], np.int64)})["y"], [9, -7])


@pytest.mark.parametrize(
    ("options", "dtype"),
    [({"scale": 1.0, "zero": 0}, np.uint8), ({"signed": "true"}, np.uint8), ({"bits": 4}, np.uint8)],
)
def test_integers_that_are_no_codes_are_numbers(tmp_path: Path, options: dict[str, Any], dtype: Any) -> None:
    executor = make_executor(model(tmp_path, **options), format="nnef", backend="numpy")
    assert executor.run({"x": np.array([2, 2], dtype)})["y"].dtype == np.float32

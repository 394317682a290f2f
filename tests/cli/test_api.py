"""The functions that `nnef_tools` exports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_tools
from nnef_tools.errors import ConversionError, FileError, FormatError, UsageError
from nnef_tools.execution.results.compare import compare_outputs

from ..support.arrays import uniform
from ..support.onnx_models import run_onnx


def test_exports_are_lazy() -> None:
    code = "import sys, nnef_tools; assert 'numpy' not in sys.modules; dir(nnef_tools); nnef_tools.Transform"
    subprocess.run([sys.executable, "-c", code], cwd=Path(nnef_tools.__file__).parents[1], check=True)
    assert set(nnef_tools.__all__) <= set(dir(nnef_tools))
    with pytest.raises(AttributeError, match="nonsense"):
        nnef_tools.nonsense  # noqa: B018  # the access is what is tested


def test_load_and_save(model: Path, tmp_path: Path) -> None:
    nnef_tools.convert_model(model, tmp_path / "a.nnef", keep_io_names=True)
    graph = nnef_tools.load_model(tmp_path / "a.nnef")
    assert [op.type for op in graph.operations if op.inputs] == ["conv", "relu", "max_pool"]
    nnef_tools.save_model(graph, tmp_path / "b.nnef")
    nnef_tools.save_model(graph, tmp_path / "b.tgz")
    nnef_tools.save_model(graph, tmp_path / "c", format="nnef", compression=3)
    x = uniform(1, 3, 8, 8)
    results = [
        nnef_tools.run_model(tmp_path / name, [x], backend="numpy")["y"]
        for name in ("a.nnef", "b.nnef", "b.tgz", "c.tgz")
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert [op.type for op in nnef_tools.load_model(model).operations] == ["Conv", "Relu", "MaxPool"]
    with pytest.raises(UsageError, match="unknown option"):
        nnef_tools.load_model(model, nonsense=True)


def test_run(model: Path) -> None:
    x = uniform(1, 3, 8, 8)
    (expected,) = run_onnx(model, [x], threads=0)
    np.testing.assert_array_equal(nnef_tools.run_model(model, [x])["y"], expected)
    np.testing.assert_array_equal(nnef_tools.run_model(model, {"x": x})["y"], expected)
    result = nnef_tools.run_model(model, [x], output_names=["r", "y"])
    assert list(result) == ["r", "y"]
    with pytest.raises(UsageError, match="1 inputs"):
        nnef_tools.run_model(model, [x, x])
    with pytest.raises(UsageError):
        nnef_tools.run_model(model, {"z": x})


def test_compare(model: Path, tmp_path: Path) -> None:
    report = nnef_tools.convert_model(model, tmp_path / "a.nnef", tensor_mapping=tmp_path / "names.json")
    comparison = nnef_tools.compare_models(model, tmp_path / "a.nnef")
    assert comparison.ok
    assert [output.name for output in comparison.outputs] == ["y"]

    assert json.loads((tmp_path / "names.json").read_text()) == report.tensor_mapping
    for mapping in (tmp_path / "names.json", report.tensor_mapping):
        comparison = nnef_tools.compare_models(model, tmp_path / "a.nnef", tensor_mapping=mapping, seed=1)
        assert comparison.ok
        assert {"c", "r", "y"} <= {output.name for output in comparison.outputs}

    graph = nnef_tools.load_model(tmp_path / "a.nnef")
    relu = next(op for op in graph.operations if op.type == "relu")
    relu.type = "tanh"
    nnef_tools.save_model(graph, tmp_path / "b.nnef")
    comparison = nnef_tools.compare_models(model, tmp_path / "b.nnef", tensor_mapping=report.tensor_mapping)
    assert {output.name: output.ok for output in comparison.outputs if output.name in "cry"} == {
        "c": True,
        "r": False,
        "y": False,
    }


def test_compare_takes_open_extents_from_the_other_model(dynamic_model: Path, tmp_path: Path) -> None:
    nnef_tools.convert_model(dynamic_model, tmp_path / "a.nnef", input_shapes={"x": (2, 3, 6, 4)})
    comparison = nnef_tools.compare_models(dynamic_model, tmp_path / "a.nnef")
    assert comparison.ok
    assert comparison.outputs[0].reference_shape == (2, 4, 3, 2)


def test_errors_are_also_builtin_ones(custom_model: Path, dynamic_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        nnef_tools.convert_model(custom_model, tmp_path / "out.nnef")
    assert isinstance(caught.value, ValueError)
    assert [refusal.name for refusal in caught.value.refused] == ["foo1", "foo2", "bar"]
    with pytest.raises(FileError) as missing:
        nnef_tools.load_model(tmp_path / "none.onnx")
    assert isinstance(missing.value, OSError)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(FormatError):
        nnef_tools.compare_models(custom_model, custom_model, tensor_mapping=tmp_path / "bad.json")
    with pytest.raises(UsageError, match="shape"):
        nnef_tools.compare_models(dynamic_model, dynamic_model)


def test_progress_and_timings(model: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    report = nnef_tools.convert_model(model, tmp_path / "out.nnef", progress=stages.append)
    assert stages == list(report.timings) == ["read", "prepare", "convert", "optimize", "write"]


def test_repr_is_short(model: Path, tmp_path: Path) -> None:
    report = nnef_tools.convert_model(model, tmp_path / "m.nnef", keep_io_names=True, verify=1)
    assert (
        repr(report)
        == f"<Report: {model} (onnx, 3 operations) -> {tmp_path / 'm.nnef'} (nnef, 3 operations), verified>"
    )
    assert repr(nnef_tools.load_model(tmp_path / "m.nnef")).splitlines() == [
        "Graph net: 6 operations, 6 tensors",
        "  input       x: float32[1, 3, 8, 8]",
        "  output      y: float32[1, 4, 4, 4]",
        "  operations  2 variable, 1 external, 1 conv, 1 relu, 1 max_pool",
    ]
    assert repr(nnef_tools.compare_models(model, model)) == (
        "<Comparison: 1 within tolerance; the worst is 'y': error 0, 0 of its scale>"
    )


def test_repr_of_a_difference() -> None:
    wanted = {"a": np.array([1.0, 2.0]), "b": np.array([4.0]), "c": np.zeros(2)}
    comparison = compare_outputs(wanted, {"a": np.array([1.0, 2.5]), "b": np.array([2.0]), "c": np.zeros(2)})
    assert repr(comparison) == "<Comparison: 2 of 3 differ; the worst is 'b': error 2, 0.5 of its scale>"
    comparison = compare_outputs(wanted, {**wanted, "c": np.zeros(3)})
    assert repr(comparison) == "<Comparison: 1 of 3 differ; the worst is 'c': shapes [2] and [3]>"


def test_places_in_a_folder_are_paths(tmp_path: Path) -> None:
    (tmp_path / "m.nnef").mkdir()
    (tmp_path / "m.nnef" / "graph.nnef").write_text("version 1.0;\ngraph g(x) -> (y)\n{\n    x = nonsense;\n}\n")
    with pytest.raises(FormatError) as caught:
        nnef_tools.load_model(tmp_path / "m.nnef")
    assert str(caught.value.where).startswith(f"{tmp_path / 'm.nnef' / 'graph.nnef'}:4:")


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnxruntime"])
def test_wrong_extents_get_the_same_message_everywhere(backend: str, model: Path, tmp_path: Path) -> None:
    nnef_tools.convert_model(model, tmp_path / "m.nnef")
    info = nnef_tools.load_model(tmp_path / "m.nnef").inputs[0]
    shape = [*(info.shape or ())]
    wrong = np.zeros([*shape[:-1], (shape[-1] or 0) + 1], np.float32)
    expected = re.escape(f"has values of shape {list(wrong.shape)}, the model wants {shape}")
    with pytest.raises(UsageError, match=expected):
        nnef_tools.run_model(tmp_path / "m.nnef", [wrong], backend=backend)
    with pytest.raises(UsageError, match=expected):
        nnef_tools.run_model(model, [wrong])


def test_graphs_in_another_dialect_are_named(model: Path, tmp_path: Path) -> None:
    graph = nnef_tools.load_model(model)
    with pytest.raises(UsageError, match=r"the graph holds ONNX operations \(.*\), not NNEF ones") as caught:
        nnef_tools.save_model(graph, tmp_path / "m.nnef")
    assert "nnef_tools.conversion.onnx_to_nnef.Converter()(graph)" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="the graph holds ONNX operations"):
        nnef_tools.run_model(graph, [])
    nnef_tools.convert_model(model, tmp_path / "m.nnef")
    with pytest.raises(UsageError, match=r"the graph holds NNEF operations \(.*\), not TensorFlow"):
        nnef_tools.save_model(nnef_tools.load_model(tmp_path / "m.nnef"), tmp_path / "m.pb")
    nnef_tools.save_model(graph, tmp_path / "same.onnx")
    assert (tmp_path / "same.onnx").is_file()


@pytest.mark.parametrize(
    "option",
    [
        "input_names",
        "output_names",
        "io_transpose",
        "decompose",
        "custom_converters",
        "custom_shapes",
        "custom_fragments",
    ],
)
def test_strings_in_place_of_lists(option: str, model: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {option: "abc"}
    with pytest.raises(UsageError, match=f"{option} must be a list, not the string 'abc'") as caught:
        nnef_tools.convert_model(model, tmp_path / "m.nnef", **options)
    assert caught.value.hint == f"{option}=['abc']"
    with pytest.raises(UsageError, match="output_names must be a list"):
        nnef_tools.run_model(model, [], output_names="abc")

"""What of a sidecar file is used, and that the rest is ignored with one warning that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nnef_tools.api import run_model
from nnef_tools.io.nnef import Reader
from nnef_tools.pipeline import convert_model

TEXT = """version 1.0;
graph net(x) -> (y, p)
{
    x = external<scalar>(shape = [1, 3]);
    y = mul(x, 0.1);
    p = gt(x, 0.0);
}
"""


def model(folder: Path, sidecar: Any) -> Path:
    folder.mkdir()
    (folder / "graph.nnef").write_text(TEXT)
    content = sidecar if isinstance(sidecar, (str, bytes)) else json.dumps(sidecar)
    (folder / "nnef_tools.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path, sidecar: Any) -> tuple[dict[str, Any], list[str]]:
    """The facts that are kept, and the warnings."""
    reader = Reader()
    metadata = reader(model(folder, sidecar)).metadata
    return metadata, reader.warnings


GOOD = {
    "format": "onnx",
    "tensors": {"x": {"source": "input", "dtype": "float16"}, "y": {"source": "out"}},
    "opset": {"": 17, "com.example": 20240101},
    "ir_version": 8,
    "producer": "p\u00e9",
    "producer_version": "1",
    "doc": "",
    "metadata_props": {"a": "b"},
    "symbolic": {"input": ["batch", 3], "other": [None, 1, 2]},
    "versions": {"producer": 1645, "min_consumer": 12},
    "aliases": {"a": "b"},
    "license": {"name": "MIT", "years": [2024, 2025.5, None, True]},
}


def test_all_keys(tmp_path: Path) -> None:
    assert read(tmp_path / "m", GOOD) == (GOOD, [])


BAD: list[tuple[str, Any, str]] = [
    ("format", 3, "format"),
    ("tensors", [1], "tensors"),
    ("tensors", {"x": 1}, "tensors.x"),
    ("tensors", {"x": {"source": 1}}, "tensors.x.source"),
    ("tensors", {"x": {"dtype": "ndarray"}}, "tensors.x.dtype"),
    ("tensors", {"x": {"dtype": "__dict__"}}, "tensors.x.dtype"),
    ("tensors", {"x": {"dtype": ["float64"]}}, "tensors.x.dtype"),
    ("tensors", {"x": {"dtype": "int32"}}, "tensors.x.dtype"),
    ("tensors", {"p": {"dtype": "float64"}}, "tensors.p.dtype"),
    ("tensors", {"x": {"what": 1}}, "tensors.x.what"),
    ("tensors", {"absent": {"source": "a"}}, "tensors.absent"),
    ("tensors", {"absent": {"dtype": "float64"}}, "tensors.absent"),
    ("opset", {"": 10**9}, "opset['']"),
    ("opset", {"": True}, "opset['']"),
    ("opset", {"": 13.0}, "opset['']"),
    ("opset", 13, "opset"),
    ("ir_version", 10**30, "ir_version"),
    ("producer", None, "producer"),
    ("doc", ["x"], "doc"),
    ("metadata_props", {"a": 1}, "metadata_props.a"),
    ("symbolic", {"a": "xyz"}, "symbolic.a"),
    ("symbolic", {"a": [-1]}, "symbolic.a"),
    ("symbolic", {"a": [1] * 1000}, "symbolic.a"),
    ("versions", {"producer": "x"}, "versions.producer"),
    ("aliases", {"a": {"b": "c"}}, "aliases.a"),
    ("anything", {"a": [[[float("nan")]]]}, "anything"),
    ("anything", "\ud800", "anything"),
    ("anything", 10**1000, "anything"),
]


@pytest.mark.parametrize(("key", "value", "place"), BAD, ids=[f"{k}-{place}" for k, (_, _, place) in enumerate(BAD)])
def test_what_does_not_fit_is_ignored(tmp_path: Path, key: str, value: Any, place: str) -> None:
    metadata, warnings = read(tmp_path / "m", {"ir_version": 8, "license": "MIT", key: value})
    assert len(warnings) == 1
    assert warnings[0].endswith(f": {place}")
    assert not metadata.get(key) or not any(metadata[key].values())
    assert metadata["license"] == "MIT"


def test_ranks_of_symbolic_shapes(tmp_path: Path) -> None:
    facts = {"tensors": {"x": {"source": "a"}, "y": {"source": "b"}}, "symbolic": {"a": ["n"], "b": ["n", 3]}}
    metadata, warnings = read(tmp_path / "m", facts)
    assert metadata["symbolic"] == {"b": ["n", 3]}
    assert [text.split(": ")[1] for text in warnings] == ["symbolic.a"]


def test_names_that_are_there_twice(tmp_path: Path) -> None:
    raw = '{"doc": "a", "tensors": {"x": {"source": "a"}, "y": {}, "x": {"source": "b"}}, "doc": "b", "ir_version": 8}'
    metadata, warnings = read(tmp_path / "m", raw)
    assert metadata == {"tensors": {"y": {}}, "ir_version": 8}
    assert len(warnings) == 1
    assert "x (which is there twice), doc (which is there twice)" in warnings[0]


def test_many_are_named_shortly(tmp_path: Path) -> None:
    _, warnings = read(tmp_path / "m", {"tensors": {f"{k}" + "\n\u202e" * 500: {} for k in range(1000)}})
    assert len(warnings) == 1
    assert warnings[0].endswith("and 995 more")
    assert len(warnings[0]) < 5000
    assert warnings[0].isprintable()


def test_deep_values(tmp_path: Path) -> None:
    deep = '{"a": ' + "[" * 500 + "]" * 500 + ', "doc": "x"}'
    metadata, warnings = read(tmp_path / "m", deep)
    assert metadata == {"doc": "x"}
    assert len(warnings) == 1


def test_huge_file_is_not_read(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", "")
    with (folder / "nnef_tools.json").open("r+b") as file:
        file.truncate(1 << 30)
    reader = Reader()
    assert reader(folder).metadata == {}
    assert [text.split(":")[0] for text in reader.warnings] == ["nnef_tools.json is ignored"]


def test_contradicting_width_changes_nothing(tmp_path: Path) -> None:
    """Numbers are read in float64 only if something is computed so."""
    x = np.array([[1.0, -2.0, 3.0]], np.float32)
    expected = x * np.float32(0.1)
    for name, fact in (("a", {"p": {"dtype": "float64"}}), ("b", {"absent": {"dtype": "float64"}})):
        result = run_model(model(tmp_path / name, {"tensors": fact}), {"x": x}, backend="numpy")
        assert result["y"].dtype == np.float32
        assert np.array_equal(result["y"], expected)


def test_conversion_with_damaged_facts(tmp_path: Path) -> None:
    facts = {"tensors": {"x": {"source": "\ud800", "dtype": "int8"}, "y": {"source": "out"}}, "opset": {"": -1}}
    result = convert_model(model(tmp_path / "m", facts), tmp_path / "m.onnx")
    assert len([text for text in result.warnings if "nnef_tools.json" in text]) == 1
    converted = onnx.load(tmp_path / "m.onnx")
    assert [value.name for value in converted.graph.input] == ["x"]
    assert converted.graph.output[0].name == "out"
    assert converted.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT

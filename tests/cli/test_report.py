"""Reports as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.report import (
    ModelFacts,
    OutputCheck,
    RefusedOperators,
    Report,
    Verification,
    format_size,
    format_table,
    group_refusals,
    size_on_disk,
)


@dataclass
class Refusal:
    type: str
    example: str
    reason: str


def make_graph() -> Graph:
    graph = Graph("g")
    x = Tensor(graph, "x", (1, None), np.float32)
    w = Tensor(graph, "w", (2, 3), np.float32, data=np.zeros((2, 3), np.float32))
    literal = Tensor(graph, None, (), np.float32, data=np.zeros((), np.float32))
    y = Tensor(graph, "y", None, np.float32)
    Operation(graph, type="external", outputs=x)
    Operation(graph, type="variable", outputs=w)
    Operation(graph, type="mul", inputs=(x, w), outputs=Tensor(graph, "t"))
    Operation(graph, type="add", inputs=(x, literal), outputs=y)
    graph.inputs, graph.outputs = [x], [y]
    return graph


def test_model_facts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"678")
    facts = ModelFacts.of(make_graph(), tmp_path, "nnef", size_on_disk([tmp_path]))
    assert facts.operations == {"add": 1, "mul": 1}
    assert facts.parameters == 6
    assert facts.size == 8
    assert [(t.name, t.dtype, t.shape) for t in facts.inputs] == [("x", "float32", (1, None))]
    assert facts.summary() == f"{tmp_path}: nnef, 2 operations, 6 parameters, 8 bytes"
    assert ModelFacts.of(make_graph(), tmp_path, "nnef").size is None
    assert size_on_disk([tmp_path / "none"]) is None


def test_refusals_are_grouped() -> None:
    refusals = [Refusal("A", "a1", "why"), Refusal("B", "", "because")]
    refusals += [Refusal("B", f"b{k}", "because") for k in range(5)] + [Refusal("B", "b9", "other")]
    assert group_refusals(refusals) == (
        RefusedOperators("B", "because", 6, ("b0", "b1", "b2")),
        RefusedOperators("A", "why", 1, ("a1",)),
        RefusedOperators("B", "other", 1, ("b9",)),
    )


def test_table() -> None:
    rows = [("name", "count", "note"), ("a", "1,000", ""), ("long name", "2", "x")]
    assert list(format_table(rows)) == ["name       count  note", "a          1,000", "long name      2  x"]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_950, "1.0 MB"), (2.5e12, "2.5 TB")]
)
def test_sizes(size: float, text: str) -> None:
    assert format_size(int(size)) == text


def test_json_is_strict(tmp_path: Path) -> None:
    facts = ModelFacts.of(make_graph(), tmp_path, "nnef")
    check = OutputCheck("y", "y", nan, inf, 0.5, passed=False)
    report = Report(facts, facts, verification=Verification(1, 0, 1e-4, 1e-6, (check,)))
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["verification"]["outputs"][0]["max_error"] == "nan"
    assert document["verification"]["outputs"][0]["scale"] == "inf"
    assert document["verification"]["passed"] is False
    assert report.verification is not None
    assert "NOT equal" in report.verification.summary()

"""Cutting a part out of a graph."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import UsageError
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.cut import cut

from ..support.graphs import all_types, names


def make_graph() -> Graph:
    """x, z -> split(x) -> (a, b); c = add(a, w); y = mul(b, z)."""
    graph = Graph("g")
    x, z, a, b, c, y = (Tensor(graph, name, (2,), np.float32) for name in "xzabcy")
    w = Tensor(graph, "w", (2,), np.float32, data=np.ones(2, np.float32))
    Operation(graph, type="external", outputs=x)
    Operation(graph, type="external", outputs=z)
    Operation(graph, type="split", inputs=x, outputs=[a, b])
    Operation(graph, type="add", inputs=(a, w), outputs=c)
    Operation(graph, type="mul", inputs=(b, z), outputs=y)
    graph.inputs, graph.outputs = [x, z], [c, y]
    return graph


def test_nothing_to_cut() -> None:
    graph = make_graph()
    cut(graph)
    assert len(graph.operations) == 5


def test_outputs() -> None:
    graph = make_graph()
    cut(graph, output_names=["c"])
    assert names(graph.outputs) == ["c"]
    assert all_types(graph)[-2:] == ["split", "add"]


def test_inputs() -> None:
    graph = make_graph()
    cut(graph, input_names=["a"], output_names=["c"])
    assert all_types(graph) == ["add"]
    assert names(graph.inputs) == ["a"]
    assert not graph.inputs[0].has_producer


def test_input_beside_a_result_that_is_needed() -> None:
    graph = make_graph()
    cut(graph, input_names=["a", "x", "z"])
    assert all_types(graph) == ["external", "external", "split", "add", "mul"]
    assert not graph.inputs[0].has_producer
    split = graph.operations[2]
    assert len(split.outputs) == 2
    assert not isinstance(split.outputs, tuple)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["p", "x"], None, "'p'"),
        (None, ["y", "q"], "'q'"),
        (["w"], None, "constants cannot be inputs: 'w'"),
        (["a"], ["y"], "need more inputs than those named: 'x', 'z'"),
        (["b"], ["y"], "need more inputs than those named: 'z'"),
    ],
)
def test_what_makes_no_sense(inputs: list[str] | None, outputs: list[str] | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cut(make_graph(), inputs, outputs)


def test_names_of_merged_tensors_are_known() -> None:
    graph = make_graph()
    graph.metadata["aliases"] = {"other": "c", "gone": "nowhere"}
    cut(graph, output_names=["other"])
    assert names(graph.outputs) == ["c"]


def test_unknown_names_suggest_similar_ones() -> None:
    graph = make_graph()
    graph.tensors[0].name = "image"
    with pytest.raises(UsageError, match="similar names are 'image'"):
        cut(graph, input_names=["imag"])

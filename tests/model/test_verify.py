"""The checks of a graph's form find each kind of damage."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import FormatError
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import find_problems, verify


@pytest.fixture
def graph():
    graph = Graph("net")
    x, y, z = (Tensor(graph, name, (2,), np.float32) for name in "xyz")
    Operation(graph, type="external", outputs=x)
    Operation(graph, type="relu", inputs=x, outputs=y)
    Operation(graph, type="neg", inputs=y, outputs=z)
    graph.inputs, graph.outputs = [x], [z]
    assert find_problems(graph) == []
    return graph


def two_producers(graph):
    Operation(graph, type="exp", inputs=graph.tensors[0], outputs=graph.tensors[1])


def wrong_order(graph):
    graph.move_operation(1, 2)


def equal_names(graph):
    graph.tensors[1].name = "x"


def computed_input(graph):
    graph.inputs = [graph.tensors[1]]


def output_without_source(graph):
    graph.outputs = [Tensor(graph, "free")]


def input_without_source(graph):
    Operation(graph, type="exp", inputs=Tensor(graph, "free"), outputs=Tensor(graph, "e"))


def foreign_tensor(graph):
    other = Graph("other")
    Operation(graph, type="exp", inputs=Tensor(other, "foreign"), outputs=Tensor(graph, "e"))


def foreign_output(graph):
    graph.outputs = [Tensor(Graph(), "foreign")]


def removed_consumer(graph):
    graph.operations[2]._graph = None


def stale_link(graph):
    graph.tensors[0]._consumers.clear()


def bad_nested_graph(graph):
    body = Graph("body")
    body.outputs = [Tensor(body, "nothing")]
    graph.operations[1].attribs["body"] = body


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (two_producers, "2 producers"),
        (wrong_order, "topological order"),
        (equal_names, "several tensors are named 'x'"),
        (computed_input, "input 'y' is computed"),
        (output_without_source, "output 'free' is neither"),
        (input_without_source, "'free' is used but neither"),
        (foreign_tensor, "'foreign', which is not in the graph"),
        (foreign_output, "output 'foreign' is not in the graph"),
        (removed_consumer, "removed operation"),
        (stale_link, "not one of its consumers"),
        (bad_nested_graph, "graph 'body': graph output 'nothing'"),
    ],
)
def test_damage_is_found(graph, damage, message):
    damage(graph)
    assert any(message in problem for problem in find_problems(graph)), find_problems(graph)
    with pytest.raises(FormatError, match="'net' is not well formed"):
        verify(graph)


def test_equal_names_may_be_allowed(graph):
    equal_names(graph)
    verify(graph, unique_names=False)


def test_an_omitted_argument_needs_no_value(graph):
    Operation(graph, type="Clip", inputs=(graph.tensors[0], Tensor(graph, "")), outputs=Tensor(graph, "c"))
    verify(graph)


def test_nested_graphs_may_use_outer_tensors_but_not_their_names(graph):
    body = Graph("body")
    body.outputs = [Operation(body, type="exp", inputs=graph.tensors[0], outputs=Tensor(body, "inner")).output]
    graph.operations[1].attribs["body"] = body
    verify(graph)
    body.outputs[0].name = "x"
    assert any("several tensors are named 'x'" in problem for problem in find_problems(graph))

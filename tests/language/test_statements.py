"""Statements read one by one give the graph, or the error, of the parser of whole documents."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ParseError
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import Document, parse, parse_head
from nnef_tools.model.graph import Graph, Tensor

from .documents import COMPOSITIONAL, EXTENSIONS, FLAT, MINIMAL
from .test_errors import REJECTED
from .test_properties import mutant

REPEATED = """version 1.0;
graph net(x, k) -> (y, z)
{
    x = external(shape = [1, 2, 8, 8]);
    k = external<integer>(shape = [1, 2]);  # 'a; comment
    w1 = variable(shape = [2, 2, 3, 3], label = 'w1');
    w2 = variable(shape = [2, 2, 3, 3], label = 'w;2');
    c1 = conv(x, w1, padding = [(1, 1), (1, 1)], stride = [1, 1], border = 'constant');
    c2 = conv(c1, w2, padding = [(1, 1), (1, 1)], stride = [1, 1], border = 'constant');
    m1 = mul(c1, 2.0);
    m2 = mul(c2, 2.0);
    m3 = mul(m2, 3.0);
    m4 = mul(1e-05, m3);
    m5 = mul(1e-05, m4);
    p1 = copy(m1);
    p2 = copy(m2); p3 = copy(k);
    p4 = copy<integer>(k);
    s1 = select(true, m1, m2); s2 = select(true, m2, m3);
    r1 = pad(s1, padding = [(0, 0), (0, 0), (1, 1), (1, 1)], border = 'reflect');
    r2 = pad(s2, padding = [(0, 0), (0, 0), (1, 1), (1, 1)], border = 'reflect');
    t1 = transpose(r1, axes = [0, 1, 3, 2]);
    t2 = transpose(r2, axes = [0, 1, 3, 2]);
    a, b = moments(t1, axes = [0]);
    c, d = moments(t2, axes = [0]);
    y = add(a, c); z = add(b, d);
}
"""

VARIABLES = """version 1.0;
graph net(x) -> (y, z)
{
    x = external<scalar>(shape = [1, 2]);
    a = variable<scalar>(shape = [1, 2], label = 'a');
    b = variable<scalar>(shape = [1, 2], label = 'b/c');
    c = variable<scalar>(shape = [1, 2], label = 'A');
    d = variable<scalar>(label = 'd', shape = [1, 2]);
    e = variable<scalar>(label = 'e', shape = [1, 2]);
    f = variable<integer>(shape = [1, 2], label = 'f');
    g = variable<scalar>(shape = [3, 2], label = 'g');
    y = update(b, x);
    z = add(c, e);
}
"""


def outcome(document: Any, decomposed: tuple[str, ...] = ()) -> list[str]:
    """The whole graph as lines, or the error."""
    try:
        parsed: Document = document()
        return dump(build_graph(parsed, decomposed=decomposed))
    except ParseError as error:
        return [str(error), *error.details, str(error.hint)]


def dump(graph: Graph) -> list[str]:
    numbers = {tensor: k for k, tensor in enumerate(graph.tensors)}
    lines = [f"{graph.name} {[numbers[x] for x in graph.inputs]} {[numbers[x] for x in graph.outputs]}"]
    lines += [f"{numbers[x]} {x.name} {x.shape} {x.dtype} {x.data!r} {x.quant}" for x in graph.tensors]
    for op in graph.operations:
        links = [[numbers[x] for x in op.inputs], [numbers[x] for x in op.outputs]]
        kinds = [isinstance(op.inputs, tuple), isinstance(op.outputs, tuple)]
        lines.append(f"{op.type} {op.attribs!r} {links} {kinds} {op.custom}")
    return lines


def check(text: str, decomposed: tuple[str, ...] = ()) -> None:
    whole = outcome(lambda: parse(text, "m.nnef"), decomposed)
    assert outcome(lambda: parse_head(text, "m.nnef"), decomposed) == whole


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        FLAT,
        COMPOSITIONAL,
        REPEATED,
        VARIABLES,
        REPEATED.replace("w;2", "w2"),
        "\ufeff" + MINIMAL,
        REPEATED.replace(" ", ""),
    ],
)
def test_valid_documents_give_the_same_graph(text: str) -> None:
    check(text)
    check(text, ("moments", "double", "pick", "scaled", "mul", "select", "softmax"))


@pytest.mark.parametrize("text", [text for texts in REJECTED.values() for text, _ in texts])
def test_rejected_documents_give_the_same_error(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", [MINIMAL, FLAT, COMPOSITIONAL, REPEATED, VARIABLES])
def test_mutants_give_the_same_graph_or_error(text: str) -> None:
    chance = random.Random(1)
    for _ in range(150):
        check(mutant(text, chance))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m3 = mul(m2, 3.0)", "m2 = mul(m2, 2.0)"),  # assigned twice
        ("m3 = mul(m2, 3.0)", "m3 = mul(m4, 2.0)"),  # not defined yet
        ("m3 = mul(m2, 3.0)", "x = mul(m2, 2.0)"),  # an input
        ("m3 = mul(m2, 3.0)", "for = mul(m2, 2.0)"),  # reserved
        ("m3 = mul(m2, 3.0)", "m3 = mul(k, 2.0)"),  # of another type
        ("t2 = transpose(r2", "t2 = transpose(k"),
        ("t2 = transpose(r2", "t2 = transpose(true"),
        ("t2 = transpose(r2", "\ufefft2 = transpose(r2"),
        ("y = add(a, c);", "y = add(a, c); }"),
        ("y = add(a, c);", "y = add(a, c) # ;"),
        ("label = 'w;2'", "label = 'w1'"),
    ],
)
def test_a_repeated_statement_is_checked(old: str, new: str) -> None:
    assert old in REPEATED
    check(REPEATED.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'b/c'", "''"),
        ("'b/c'", "'b c'"),
        ("'b/c'", "'../b'"),
        ("'b/c'", "'b\\\\c'"),
        ("'b/c'", "'b', label = 'c'"),
        ("label = 'b/c'", 'label = "b"'),
        ("[3, 2], label = 'g'", "[3, 2], label = 'B/C'"),
        ("b = variable", "a = variable"),
        ("b = variable", "x = variable"),
        ("z = add(c, e)", "c2 = variable<scalar>(shape = [1, 2], label = 'c2'); z = update(c2, x)"),
        ("z = add(c, e)", "z = update(b, x)"),
    ],
)
def test_a_repeated_variable_is_checked(old: str, new: str) -> None:
    assert old in VARIABLES
    check(VARIABLES.replace(old, new))


def test_repeated_statements_share_nothing() -> None:
    graph = build_graph(parse_head(REPEATED.replace("'w;2'", "'w2'"), "m.nnef"))
    ops = [op for op in graph.operations if op.type == "pad"]
    ops[0].attribs["padding"].append(0)
    assert ops[1].attribs["padding"] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    twos: list[Tensor] = [op.inputs[1] for op in graph.operations if op.type == "mul"][:2]
    twos[0].data[...] = 5.0
    assert twos[1].data == np.float32(2.0)


def test_new_names_avoid_those_of_the_whole_text() -> None:
    body = "x = external(shape = [2]); a = x * 2.0 + 1.0; mul1 = relu(a); y = add(a, mul1);"
    text = f"{EXTENSIONS}graph net(x) -> (y) {{ {body} }}"
    check(text)
    assert [op.output.name for op in build_graph(parse_head(text, "m")).operations] == ["x", "mul2", "a", "mul1", "y"]

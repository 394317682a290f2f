"""Text of graphs: golden texts, round trips, refusals."""

from __future__ import annotations

import nnef
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnef_tools.errors import FormatError
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.names import sanitize_identifier
from nnef_tools.language.parser import parse, parse_fragments
from nnef_tools.language.printer import format_declaration, format_graph, format_operation, format_value
from nnef_tools.model.graph import Graph, Operation, Tensor

from .documents import FLAT, MINIMAL


class Identifier(str):
    __slots__ = ()


def test_golden_text() -> None:
    graph = build_graph(parse(MINIMAL))
    assert format_graph(graph, extensions=["KHR_enable_fragment_definitions"], fragments="fragment f();\n") == (
        "version 1.0;\n\nextension KHR_enable_fragment_definitions;\n\nfragment f();\n\n"
        "graph net(x) -> (y)\n{\n"
        "    x = external<scalar>(shape = [1, 3, 8, 8]);\n"
        "    w = variable<scalar>(shape = [4, 3, 3, 3], label = 'conv/w');\n"
        "    b = variable<scalar>(shape = [1, 4], label = 'conv/b');\n"
        "    c = conv(x, w, b, border = 'constant', padding = [(1, 1), (1, 1)], stride = [2, 2], dilation = [], "
        "groups = 1);\n"
        "    r = relu(c);\n"
        "    y = avg_pool(r, size = [1, 1, 4, 4], border = 'ignore', padding = [(0, 0), (0, 0), (0, 0), (0, 0)], "
        "stride = [1, 1, 4, 4], dilation = []);\n"
        "}\n"
    )


def test_annotated_shapes() -> None:
    graph = Graph("net")
    x = Tensor(graph, "x", (1, 8, 4, 4), np.float16)
    i = Tensor(graph, "i", (), np.int32)
    n = Tensor(graph, "n", (1, None), np.bool_)
    u = Tensor(graph, "u", None, np.float32)
    Operation(graph, "external", attribs={"shape": [1, 8, 4, 4], "dtype": np.float16}, outputs=x)
    Operation(graph, "f", inputs=x, outputs=(i, n, u))
    graph.inputs, graph.outputs = [x], [i]
    lines = format_graph(graph, annotate_shapes=True).splitlines()
    assert lines[4] == "    x = external<scalar>(shape = [1, 8, 4, 4]);    # scalar(1, 8, 4, 4)"
    assert lines[5] == "    i, n, u = f(x);    # integer(), logical(1, ?), scalar(?)"


@pytest.mark.parametrize("text", [MINIMAL, FLAT])
def test_round_trip_of_documents(text: str) -> None:
    graph = build_graph(parse(text))
    printed = format_graph(graph)
    again = format_graph(build_graph(parse(printed)))
    assert again == printed
    if "9223372036854775807" not in printed:
        assert [op.name for op in nnef.parse_string(printed).operations] == [op.type for op in graph.operations]


def test_mixed_arguments_are_grouped_by_the_signature() -> None:
    fragments = parse_fragments(
        "fragment f(a: tensor<scalar>, b: tensor<scalar>[]) -> (y: tensor<scalar>[], z: tensor<scalar>);"
    )
    graph = Graph("g")
    a, b, y, z = (Tensor(graph, name) for name in "abyz")
    operation = Operation(graph, "f", inputs=[a, a, b], outputs=[y, z])
    assert format_operation(operation) == "[y, z] = f([a, a, b]);"
    assert format_operation(operation, fragments["f"]) == "[y], z = f(a, [a, b]);"


def test_arguments() -> None:
    graph = Graph("g")
    x, y = Tensor(graph, "x"), Tensor(graph, "y", dtype=np.float32)
    literal = Tensor(graph, None, (), np.float32, np.float32(0.1))
    attributes = {
        "n": None,
        "t": np.float16,
        "i": np.int64(3),
        "a": np.array([[1.5], [2.5]]),
        "raw": Identifier("x"),
        "m": [Identifier("k"), 1],
    }
    operation = Operation(graph, "f", inputs=(x, literal), outputs=y, attribs={**attributes, "dtype": np.int32})
    assert format_operation(operation) == (
        "y = f<integer>(x, 0.1, t = 'float16', i = 3, a = [[1.5], [2.5]], raw = x, m = [k, 1]);"
    )
    split = Operation(graph, "split", inputs=x, outputs=[Tensor(graph, "p"), Tensor(graph, "q")], attribs={"axis": 0})
    assert format_operation(split) == "[p, q] = split(x, axis = 0);"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (-5, "-5"),
        (True, "true"),
        (np.bool_(False), "false"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (float(np.float32(0.1)), "0.1"),
        (np.float32(0.1), "0.1"),
        (np.float64(1) / 3, "0.33333334"),
        (1e-5, "1e-05"),
        (1e16, "1e+16"),
        (16777216.0, "16777216.0"),
        (-0.0, "-0.0"),
        (1e300, "1e+300"),
        (1e-300, "1e-300"),
        (3.4028234663852886e38, "3.4028235e+38"),
        ("a", "'a'"),
        ("it's", r"'it\'s'"),
        ("a\\b", r"'a\\b'"),
        ([], "[]"),
        ([(1, 2), (3, 4)], "[(1, 2), (3, 4)]"),
        ([[1.0], ["a", True]], "[[1.0], ['a', true]]"),
        (np.dtype("int8"), "'int8'"),
    ],
)
def test_values(value: object, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -np.inf, None, {}, b"x", (1,), "a\nb", "\x00"])
def test_values_without_text(value: object) -> None:
    with pytest.raises(FormatError):
        format_value(value)


@pytest.mark.parametrize("name", ["a/b", "1x", "graph", "", "\u00e9", None])
def test_names_that_cannot_be_written(name: str | None) -> None:
    graph = Graph("g")
    operation = Operation(graph, "relu", inputs=Tensor(graph, "x"), outputs=Tensor(graph, name))
    with pytest.raises(FormatError):
        format_operation(operation)


def test_constants_that_are_no_literals() -> None:
    graph = Graph("g")
    constant = Tensor(graph, "c", (1, 2), np.float32, np.zeros((1, 2), np.float32))
    with pytest.raises(FormatError, match="cannot be written as a literal"):
        format_operation(Operation(graph, "relu", inputs=constant, outputs=Tensor(graph, "y")))


def test_declarations_round_trip() -> None:
    text = "fragment f<? = scalar>(x: tensor<?>, n: (integer, scalar)[] = [(1, 2.0)], s: string) -> (y: tensor<?>[]);"
    (fragment,) = parse_fragments(text).values()
    assert format_declaration(fragment) == text
    assert fragment.text == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_single_is_read_back(value: float) -> None:
    text = format_value(value)
    assert np.float32(float(text)) == np.float32(value)
    assert "." in text or "e" in text
    assert len(text) <= len(repr(value)) + 2


@given(st.text(st.characters(codec="ascii"), max_size=8), st.sets(st.sampled_from(["a", "a_1", "_", "_1"])))
def test_sanitized_names_are_identifiers(name: str, taken: set[str]) -> None:
    result = sanitize_identifier(name, taken)
    assert result not in taken
    graph = Graph("g")
    format_operation(Operation(graph, "relu", inputs=Tensor(graph, result), outputs=Tensor(graph, "y")))


def test_sanitized_names() -> None:
    assert [sanitize_identifier(n) for n in ("conv/w:0", "1x", "graph", "ok", "", "\u00e9")] == [
        "conv_w_0",
        "_1x",
        "graph_1",
        "ok",
        "_",
        "_",
    ]
    assert sanitize_identifier("a", {"a", "a_1"}) == "a_2"


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, -(2**63) - 1, np.uint64(2**63)])
def test_integers_of_more_than_64_bits_are_refused(value: int) -> None:
    with pytest.raises(FormatError, match=f"{value} has no literal in NNEF, whose integers have 64 bits"):
        format_value([value])


@pytest.mark.parametrize("value", [1 / 3, 1e-60, 1e300, 0.1, float(np.float32(0.1)), 5e-324, -0.0])
def test_numbers_of_operations_in_float64_are_exact(value: float) -> None:
    """Literals and attributes, whatever their own type; those of other operations have single precision."""
    graph = Graph("g")
    x, y = Tensor(graph, "x", (2,), np.float64), Tensor(graph, "y", (2,), np.float64)
    c = Tensor(graph, None, (), np.float64, np.array(value))
    operation = Operation(graph, "f", attribs={"a": value, "b": [value]}, inputs=(x, c), outputs=y)
    text = format_operation(operation)
    assert text == f"y = f(x, {value!r}, a = {value!r}, b = [{value!r}]);"
    assert [float(part) for part in (text.split(", ")[1], text.split("a = ")[1].split(",")[0])] == [value, value]


def test_attributes_of_custom_operations_keep_double_precision() -> None:
    graph = Graph("g")
    x, y = Tensor(graph, "x", (2,), np.float32), Tensor(graph, "y", (2,), np.float32)
    operation = Operation(
        graph, "f", attribs={"a": 1 / 3, "b": float(np.float32(0.1))}, inputs=x, outputs=y, custom=True
    )
    assert format_operation(operation) == f"y = f(x, a = {1 / 3!r}, b = 0.1);"


def test_literal_beyond_the_precision_of_its_operation_is_refused() -> None:
    graph = Graph("g")
    x, y = Tensor(graph, "x", (2,), np.float32), Tensor(graph, "y", (2,), np.float32)
    c = Tensor(graph, None, (), np.float64, np.array(1e300))
    with pytest.raises(FormatError, match=r"1e\+300 is out of the range of single precision"):
        format_operation(Operation(graph, "mul", inputs=(x, c), outputs=y))

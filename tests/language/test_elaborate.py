"""Graphs from documents: golden cases, the reference parser, decomposition."""

from __future__ import annotations

from collections import Counter
from typing import Any

import nnef
import numpy as np
import pytest

from nnef_tools.errors import ParseError, ShapeError
from nnef_tools.language.elaborate import build_graph, decompose
from nnef_tools.language.parser import parse, parse_fragments
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.model.graph import Graph, Operation, Tensor

from ..support.graphs import all_types
from .documents import COMPOSITIONAL, EXTENSIONS, FLAT, MINIMAL


def read(text: str, *decomposed: str) -> Graph:
    graph = build_graph(parse(text), decomposed=decomposed)
    graph.assert_consistent()
    assert graph.is_sorted()
    assert graph.is_unique()
    return graph


def ext(body: str, fragments: str = "") -> str:
    return EXTENSIONS + fragments + "graph g(x) -> (y) { x = external(shape = [1, 4]); " + body + " }"


def test_minimal() -> None:
    graph = read(MINIMAL)
    assert graph.name == "net"
    assert all_types(graph) == ["external", "variable", "variable", "conv", "relu", "avg_pool"]
    external, weights, bias, conv, relu, pool = graph.operations
    assert external.attribs == {"shape": [1, 3, 8, 8], "dtype": np.float32}
    assert external.output.shape == (1, 3, 8, 8)
    assert weights.attribs == {"shape": [4, 3, 3, 3], "label": "conv/w", "dtype": np.float32}
    assert conv.inputs == (external.output, weights.output, bias.output)
    assert conv.attribs == {
        "border": "constant",
        "padding": [(1, 1), (1, 1)],
        "stride": [2, 2],
        "dilation": [],
        "groups": 1,
    }
    assert conv.output.shape is None
    assert relu.attribs == {}
    assert not any(operation.custom for operation in graph.operations)
    assert pool.attribs["size"] == [1, 1, 4, 4]
    assert list(graph.inputs) == [external.output]
    assert list(graph.outputs) == [pool.output]


def test_types_of_values() -> None:
    graph = read(FLAT)
    by_name = {tensor.name: tensor for tensor in graph.tensors}
    assert by_name["k"].dtype is np.int64
    assert by_name["c"].producer.attribs["value"] == [-1, 9223372036854775807]
    assert by_name["i"].dtype is np.int64
    clamp = by_name["y"].producer
    low, high = clamp.inputs[1:]
    assert (low.name, low.shape, low.dtype, low.data.ndim) == (None, (), np.float32, 0)
    assert low.data == np.float32(-1.5e-3)
    assert high.data == np.float32(1e6)
    split = by_name["p"].producer
    assert split.inputs == (by_name["b"],)
    assert isinstance(split.inputs, tuple)
    assert list(split.outputs) == [by_name["p"], by_name["q"]]
    assert not isinstance(split.outputs, tuple)
    assert isinstance(by_name["m"].producer.outputs, tuple)
    concat = by_name["z"].producer
    assert not isinstance(concat.inputs, tuple)
    assert list(concat.inputs) == [by_name["p"], by_name["q"]]


def test_scalars_stay_doubles() -> None:
    assert read(ext("y = elu(x, alpha = 0.1);")).operations[1].attribs["alpha"] == 0.1


def test_attributes_are_not_shared() -> None:
    first, second = read(ext("a = conv(x, x); y = conv(a, x);")).operations[1:]
    assert first.attribs["stride"] == second.attribs["stride"] == []
    assert first.attribs["stride"] is not second.attribs["stride"]
    first.attribs["padding"].append((1, 1))
    assert standard_fragments()["conv"].attributes["padding"].default == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = x;", ["copy"]),
        ("y = 1.0 + 2.0;", ["copy"]),
        ("y = (+x);", ["copy"]),
        ("y = -x + x;", ["neg", "add"]),
        ("y = -x ^ 2.0;", ["pow", "neg"]),
        ("y = x ^ -2.0;", ["pow"]),
        ("y = x + x * x;", ["mul", "add"]),
        ("y = (x + x) * x;", ["add", "mul"]),
        ("y = x - x - x;", ["sub", "sub"]),
        ("c = x < 0.0 && !(x > 1.0); y = select(c, x, 0.0);", ["lt", "gt", "not", "and", "select"]),
        ("y = x if 1 < 2 else relu(x);", ["copy"]),
        ("y = relu(x) if false else sqr(x) if false else exp(x);", ["exp"]),
        ("[a, y] = [for f in [1.0, 2.0] yield x * f];", ["mul", "mul"]),
        ("y = concat([for i in range_of([0, 0, 0]) if i != 1 yield x] + [relu(x)], axis = 0);", ["relu", "concat"]),
        ("a, y = (relu(x), exp(x));", ["relu", "exp"]),
        ("y = add_n([for (i, s) in [(1, 2.0)] yield x * s]);", ["mul", "add_n"]),
    ],
)
def test_expressions(body: str, expected: list[str]) -> None:
    graph = read(ext(body))
    assert all_types(graph) == ["external", *expected]
    assert graph.outputs[0].name == "y"
    assert graph.outputs[0].has_producer


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[7 / 2, -7 / 2, 7 / -2]", [3, -3, -3]),
        ("[2 ^ 3 ^ 2, -2 ^ 2, 2 + 3 * 4, (2 + 3) * 4, 10 - 3 - 2]", [64, -4, 14, 20, 5]),
        ("[1, 2] + [3] * 2 + []", [1, 2, 3, 3]),
        ("[5, 6, 7][1:]", [6, 7]),
        ("[5, 6, 7][:2]", [5, 6]),
        ("[5, 6, 7][2:1]", []),
        ("[5, 6, 7][:][1:2]", [6]),
        ("range_of('abc')", [0, 1, 2]),
        ("[length_of([1, 2]), length_of('abc'), (4, 5)[1]]", [2, 3, 5]),
        ("[integer(-1.7), integer('12'), integer(true), integer(scalar('2.5'))]", [-1, 12, 1, 2]),
        ("[1 if 2 in [1, 2] else 0, 1 if (1, 2) in [(2, 1)] else 0]", [1, 0]),
        ("[1 if true || false && false else 0]", [0]),
        ("[for i in [1, 2, 3], j in [4, 5, 6] if i != 2 yield i * j]", [4, 18]),
        ("[1 if string(true) == 'true' && string(1.5) == '1.5' else 0]", [1]),
        ("[1 if !logical('') && logical('x') && !logical(0) else 0]", [1]),
        ("[1 if 'ab' + 'c' * 2 == 'abcc' && 'abc'[1] == 'b' && 'abc'[1:] == 'bc' else 0]", [1]),
        ("[1 if length_of([1]) > 1 && [1][1] == 1 else 0]", [0]),
    ],
)
def test_compile_time_values(expression: str, value: list[int]) -> None:
    assert read(ext(f"y = pad(x, padding = [for i in {expression} yield (i, i)]);")).operations[1].attribs[
        "padding"
    ] == [(item, item) for item in value]


def test_fresh_names_avoid_all_identifiers() -> None:
    graph = read(ext("y = relu(exp(x) + x); exp1 = exp(x); add2 = x + x + x;"))
    names = [tensor.name for tensor in graph.tensors if tensor.name]
    assert len(names) == len(set(names))
    assert [op.output.name for op in graph.operations] == ["x", "exp2", "add1", "y", "exp1", "add3", "add2"]


def test_custom_operations() -> None:
    graph = read(COMPOSITIONAL)
    assert all_types(graph) == ["external", "pick", "mul", "add", "div", "sub", "pow", "scaled", "max", "custom"]
    custom = {op.type: op.custom for op in graph.operations}
    assert [custom[name] for name in ("pick", "scaled", "custom", "max")] == [True, True, True, False]
    scaled = graph.operations[7]
    assert scaled.attribs == {"by": [1, 1], "dtype": np.float32}
    expanded = read(COMPOSITIONAL, "pick", "double", "scaled")
    assert all_types(expanded)[1:5] == ["add", "neg", "copy", "copy"]
    assert [op.output.name for op in expanded.operations[1:5]] == ["add1", "neg1", "p", "q"]
    tile = next(op for op in expanded.operations if op.type == "tile")
    assert tile.output.name == "s"
    assert tile.attribs == {"repeats": [2, 2], "dtype": np.float32}


def test_mixed_arguments_are_flattened() -> None:
    fragments = "fragment f(a: tensor<scalar>, b: tensor<scalar>[], c: tensor<scalar>) -> (y: tensor<scalar>); "
    operation = read(ext("y = f(x, [x, 2.0], 3.0);", fragments)).operations[1]
    assert not isinstance(operation.inputs, tuple)
    assert [None if t.data is None else float(t.data) for t in operation.inputs] == [None, None, 2.0, 3.0]


def test_array_result_of_a_compound_operation_by_one_name() -> None:
    fragments = "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { a = copy_n(x, times = 3); y = a[0] + a[2]; } "
    graph = read(ext("y = f(x);", fragments), "f")
    assert all_types(graph) == ["external", "copy_n", "add"]
    assert len(graph.operations[1].outputs) == 3
    assert graph.inputs[0].consumers == [graph.operations[1]]
    assert all_types(read(ext("y = f(x);", fragments), "f", "copy_n")) == ["external", "copy", "copy", "copy", "add"]


def test_results_of_parameters_and_literals_become_copies() -> None:
    fragments = "fragment f(x: tensor<scalar>) -> (a: tensor<scalar>, b: tensor<scalar>) { a = x; b = 1.0; } "
    graph = read(ext("y, z = f(x);", fragments), "f")
    assert all_types(graph) == ["external", "copy", "copy"]
    assert [op.output.name for op in graph.operations] == ["x", "y", "z"]
    assert graph.operations[2].input.data == 1.0


def test_literal_operands_of_fragments_still_make_operations() -> None:
    fragments = "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { y = 1.0 / x; } "
    assert all_types(read(ext("y = f(0.0);", fragments), "f")) == ["external", "div"]


def test_update_and_shared_labels() -> None:
    text = """version 1.0; graph g(x) -> (y) { x = external(shape = [1]); v = variable(shape = [1], label = 'A/b');
    w = variable(shape = [1], label = 'a/B'); y = add(v, w); u = update(v, x); }"""
    assert all_types(read(text))[-1] == "update"


def test_unknown_extensions_can_be_ignored() -> None:
    text = """version 1.0; extension tract_registry tract_core; extension tract_symbol N;
    extension tract_assert N % 8 >= 1.5.2;
    fragment props() -> (properties: (string, tensor<scalar>)[]);
    fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { y = x + 1.0; }
    graph g(x) -> (y) { x = external(shape = [1]); y = f(x) * 2.0; }"""
    with pytest.raises(ParseError, match="unknown extension 'tract_registry'"):
        parse(text)
    document = parse(text, on_unknown_extension="ignore")
    assert document.extensions == ["tract_registry", "tract_symbol", "tract_assert"]
    assert all_types(build_graph(document)) == ["external", "f", "mul"]


def test_byte_order_mark_and_line_ends() -> None:
    assert all_types(read("\ufeff" + MINIMAL.replace("\n", "\r\n"))) == all_types(read(MINIMAL))
    assert all_types(read(MINIMAL.replace("\n", "\r").replace(" ", "\v\f"))) == all_types(read(MINIMAL))


def test_strings() -> None:
    fragments = "fragment f(x: tensor<scalar>, a: string, b: string) -> (y: tensor<scalar>); "
    operation = read(ext(r"""y = f(x, a = "it's \"so\"", b = 'a\\b \' \n');""", fragments)).operations[1]
    assert operation.attribs == {"a": 'it\'s "so"', "b": r"a\b ' \n"}


# The reference parser as oracle


def summary(graph: Graph) -> list[tuple[Any, ...]]:
    def operand(tensor: Tensor) -> Any:
        return tensor.name if tensor.has_producer else tensor.data.item()

    return [
        (
            op.type,
            [operand(tensor) for tensor in op.inputs],
            [tensor.name for tensor in op.outputs],
            {key: _rounded(value) for key, value in op.attribs.items() if key != "dtype"},
        )
        for op in graph.operations
    ]


def reference_summary(text: str, lowered: list[str]) -> list[tuple[Any, ...]]:
    graph = nnef.parse_string(text, lowered=lowered)
    return [
        (
            op.name,
            _flat(op.inputs.values()),
            _flat(op.outputs.values()),
            {k: _rounded(v) for k, v in op.attribs.items()},
        )
        for op in graph.operations
    ]


def _flat(values: Any) -> list[Any]:
    return [item for value in values for item in (_flat(value) if isinstance(value, list) else [_rounded(value)])]


def _rounded(value: Any) -> Any:
    return float(np.float32(value)) if isinstance(value, float) else value


ORACLE = FLAT.replace("\u00e4", "a").replace("9223372036854775807", "2147483647")


@pytest.mark.parametrize("text", [MINIMAL, ORACLE])
def test_flat_documents_agree_with_the_reference_parser(text: str) -> None:
    ours = [
        (kind, [_rounded(i) for i in inputs], outputs, attribs)
        for kind, inputs, outputs, attribs in summary(read(text))
    ]
    assert ours == reference_summary(text, [])


@pytest.mark.parametrize(
    "body",
    [
        "y = softmax(x, axes = [0, 1]);",
        "y = batch_normalization(x, x, x, x, x, epsilon = 0.5);",
        "y = linear(x, x, 0.0);",
        "y = rms_pool(x, size = [1, 2]);",
        "y = nearest_downsample(x, factor = []);",
        "y = area_downsample(x, factor = [2, 2]);",
        "y = nearest_upsample(x, factor = [3]);",
        "y, v = moments(x, axes = [1]);",
        "y = local_contrast_normalization(x, size = [1, 3], bias = 1.0, epsilon = 0.5);",
        "y = local_response_normalization(x, size = [1, 3]);",
        "y = l1_normalization(x, axes = [1]);",
        "y = l2_normalization(x, axes = [1]);",
        "y = separable_conv(x, x, x, 1.0, groups = 2, stride = [2]);",
        "y = separable_deconv(x, x, x, 1.0, output_shape = [4, 4]);",
        "y = max_pool(x, size = [1, 2]);",
        "y = avg_pool(x, size = [1, 2], border = 'ignore');",
        "y = leaky_relu(x, alpha = 0.5);",
        "y = silu(x);",
        "y = gelu(x);",
        "y = selu(x);",
        "y = rsqrt(sqr(x));",
        "y = clamp(x, 0.0, 1.0);",
    ],
)
def test_decompositions_use_the_operations_of_the_reference(body: str) -> None:
    """The bodies are our own, so the count of each operation is compared, not the order."""
    text = EXTENSIONS + "graph g(x) -> (y) { x = external(shape = [2, 4]); " + body + " }"
    text = text.replace(";\nextension KHR_enable_operator", ", KHR_enable_operator", 1)
    names = [name for name, fragment in standard_fragments().items() if fragment.is_compound]
    theirs = Counter(op[0] for op in reference_summary(text, names))
    assert Counter(all_types(read(text, *names))) == theirs


# Decomposition of a graph


def test_decompose_equals_building_decomposed() -> None:
    names = [name for name, fragment in standard_fragments().items() if fragment.is_compound]
    for text in (MINIMAL, FLAT):
        graph = read(text)
        outputs = list(graph.outputs)
        decompose(graph, names)
        graph.assert_consistent()
        assert graph.is_sorted()
        assert graph.is_unique()
        assert list(graph.outputs) == outputs
        assert summary_without_names(graph) == summary_without_names(read(text, *names))


def summary_without_names(graph: Graph) -> list[Any]:
    return [(kind, len(inputs), len(outputs), attribs) for kind, inputs, outputs, attribs in summary(graph)]


def test_decompose_leaves_other_operations_alone() -> None:
    graph = read(MINIMAL)
    before = list(graph.operations)
    decompose(graph, ["softmax", "conv", "nosuch"])
    assert list(graph.operations) == before
    decompose(graph, ["avg_pool"])
    assert all_types(graph) == ["external", "variable", "variable", "conv", "relu", "box"]
    assert graph.operations[-1].output is graph.outputs[0]
    assert list(graph.operations[:-1]) == before[:-1]


def test_decompose_takes_numpy_values_and_given_fragments() -> None:
    fragments = parse_fragments(
        "fragment f(a: tensor<scalar>, b: tensor<scalar>[], k: scalar, n: integer[]) -> (y: tensor<scalar>)"
        "{ y = sum_reduce(a * k + b[1], axes = n); }"
    )
    graph = Graph("g")
    a, b, c, y = (Tensor(graph, name, (1, 2), np.float32) for name in "abcy")
    Operation(graph, "f", inputs=[a, b, c], outputs=y, attribs={"k": 2, "n": np.array([1])}, custom=True)
    graph.inputs, graph.outputs = [a, b, c], [y]
    decompose(graph, ["f"], fragments)
    assert all_types(graph) == ["mul", "add", "sum_reduce"]
    assert graph.operations[0].inputs[1].data == np.float32(2.0)
    assert graph.operations[0].inputs[1].dtype is np.float32
    assert graph.operations[1].inputs[1] is c
    assert graph.operations[2].attribs["axes"] == [1]
    assert graph.operations[2].output is y


def test_a_failed_decomposition_changes_nothing() -> None:
    graph = Graph("g")
    x, y, z = (Tensor(graph, name, (1, 2), np.float32) for name in "xyz")
    Operation(graph, "relu", inputs=x, outputs=y)
    Operation(graph, "softmax", inputs=(y, x, z), outputs=z, attribs={"axes": [1]})
    operations, tensors = list(graph.operations), list(graph.tensors)
    with pytest.raises(ShapeError, match="3 tensors for 1 parameters"):
        decompose(graph, ["relu", "max", "softmax"])
    assert list(graph.operations) == operations
    assert list(graph.tensors) == tensors
    graph.assert_consistent()

"""Transposes in TensorFlow graphs, and the optimizer of these graphs."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.conversion.nnef_to_tf import Converter
from nnef_tools.conversion.tf_to_nnef import Converter as ToNNEF
from nnef_tools.errors import ShapeError
from nnef_tools.execution import make_executor
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import verify
from nnef_tools.ops.inference import infer_graph
from nnef_tools.optimization.tf.layout import remaining_transposes, remove_transposes
from nnef_tools.optimization.tf_optimizer import Optimizer

HEADER = (
    "version 1.0; extension KHR_enable_operator_expressions; graph g(x) -> (y) { x = external(shape = [2, 4, 6, 6]);"
)
WEIGHTS = "w = variable(shape = [8, 4, 3, 3], label = 'w'); v = variable(shape = [4, 8, 1, 1], label = 'v'); "
CONV = "a = conv(x, w); "


def nnef(body: str) -> Graph:
    graph = build_graph(parse(f"{HEADER} {body} }}"))
    random = np.random.default_rng(0)
    for op in graph.operations:
        if op.type == "variable":
            op.output.data = random.standard_normal(op.attribs["shape"]).astype(np.float32)
    infer_graph(graph)
    return graph


def types(graph: Graph) -> list[str]:
    return [str(op.type) for op in graph.operations if op.type not in ("Const", "Placeholder")]


def check(body: str, transposes: int, **options: bool) -> Graph:
    """The pass leaves that many transposes, and the graph computes what the NNEF graph does (by way of NNEF)."""
    source = nnef(body)
    x = np.random.default_rng(1).standard_normal((2, 4, 6, 6)).astype(np.float32)
    (expected,) = make_executor(source, backend="numpy").run({"x": x}).values()
    graph = Converter(**options)(source)
    names = [t.name for t in (*graph.inputs, *graph.outputs)]
    remove_transposes(graph)
    verify(graph)
    assert types(graph).count("Transpose") == transposes == len(remaining_transposes(graph))
    assert names == [t.name for t in (*graph.inputs, *graph.outputs)]
    for op in graph.operations:
        assert [t.name for t in op.outputs] == [f"{op.name}:{k}" if k else op.name for k in range(len(op.outputs))]
    back = ToNNEF(keep_io_names=True)(graph)
    given = np.moveaxis(x, 1, -1) if options else x
    (found,) = make_executor(back, backend="numpy").run({"x": given}).values()
    wanted = np.moveaxis(expected, 1, -1) if options and expected.ndim > 2 else expected
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    return graph


@pytest.mark.parametrize("known", [(True, False), (False, True), (False, False)], ids=str)
def test_transposes_of_unknown_shape_stay(known: tuple[bool, bool]) -> None:
    """Files of TensorFlow seldom tell the shapes of results."""
    graph = Graph("g")
    x = Tensor(graph, "x", (2, 3, 4), np.float32)
    middle, last = (
        Tensor(graph, name, shape if told else None, np.float32)
        for name, shape, told in zip(("t", "y"), ((3, 2, 4), (2, 3, 4)), known, strict=True)
    )
    Operation(graph, "Placeholder", attribs={"shape": [2, 3, 4], "dtype": np.float32}, outputs=[x])
    for source, result in ((x, middle), (middle, last)):
        Operation(graph, "Transpose", attribs={"perm": [1, 0, 2]}, inputs=[source], outputs=[result])
    graph.inputs, graph.outputs = [x], [last]
    remove_transposes(graph)
    assert types(graph) == ["Transpose", "Transpose"]


@pytest.mark.parametrize(
    "between",
    [
        "b = relu(a);",
        "c = variable(shape = [1, 8], label = 'c'); b = (a * c + 1.0) / (a * a + 2.0);",
        "b = select(a > 0.0, a, exp(a));",
        "b = pad(a, padding = [(0, 0), (0, 0), (1, 0), (2, 1)]);",
        "b = pad(a, padding = [(0, 0), (0, 0), (1, 0), (2, 1)], border = 'reflect');",
        "b = slice(a, axes = [2, 3], begin = [1, -1], end = [5, 0], stride = [2, -1]);",
        "p = slice(a, axes = [1], begin = [0], end = [3]); q = slice(a, axes = [1], begin = [3], end = [8]); "
        "b = concat([q, p], axis = 1);",
        "[p, q] = split(a, axis = 1, ratios = [1, 3]); b = concat([q, p], axis = 1);",
        "b = a * mean_reduce(a, axes = [2, 3]);",
        "b = softmax(a);",
        "b = tile(a, repeats = [1, 1, 2, 1]);",
        "b = batch_normalization(a, 0.5, 1.0, 2.0, 1.0, epsilon = 0.1);",
        "m = max_reduce(a, axes = [1]); b = a - m;",
        "b = cast<scalar>(argmax_reduce(a, axes = [1])) + a;",
        "s = squeeze(unsqueeze(a, axes = [2]), axes = [2]); b = copy(s);",
    ],
)
def test_nothing_remains_between_convolutions(between: str) -> None:
    body = f"{WEIGHTS}{CONV}{between} y = conv(b, v);"
    check(body, 2)
    check(body, 0, io_transpose=True)


def test_flattening_reorders_the_rows_of_matrices() -> None:
    flat = "f = variable(shape = [5, 288], label = 'f'); r = reshape(a, shape = [2, -1]);"
    body = f"{WEIGHTS}{CONV}{flat} y = linear(r, f);"
    graph = check(body, 0, io_transpose=True)
    assert types(graph) == ["Conv2D", "Reshape", "MatMul"]


def test_matrices_take_transposes() -> None:
    body = "t = transpose(x, axes = [0, 1, 3, 2]); y = matmul(x, t);"
    graph = check(body, 0)
    assert types(graph) == ["BatchMatMulV2"]
    assert graph.operations[-1].attribs["adj_y"] is True


def test_what_has_to_stay() -> None:
    graph = check("y = transpose(x, axes = [0, 2, 3, 1]);", 1)
    assert remaining_transposes(graph) == ["axes [0, 2, 3, 1] of shape [2, 4, 6, 6], from input 'x' to output 'y'"]


def test_parameters_come_back_as_they_were() -> None:
    graph = Converter()(nnef("y = reshape(mean_reduce(x, axes = [2, 3]), shape = [2, 4]);"))
    before = [(op.name, op.type, [t.name for t in op.inputs]) for op in graph.operations]
    assert remove_transposes(graph) == 0
    assert [(op.name, op.type, [t.name for t in op.inputs]) for op in graph.operations] == before


# the optimizer


def test_required_operations() -> None:
    graph = Graph("g")
    x = Tensor(graph, "x", (2, 3), np.float32)
    c = Tensor(graph, "c", (3,), np.float32, np.ones(3, np.float32))
    y = Tensor(graph, "y", (2, 3), np.float32)
    Operation(graph, type="AddV2", name="y", inputs=(x, c), outputs=y)
    graph.inputs, graph.outputs = [x], [y]
    optimizer = Optimizer()
    optimizer(graph, only_required=True)
    verify(graph)
    assert [op.type for op in graph.operations] == ["Placeholder", "Const", "AddV2"]
    assert graph.operations[0].attribs == {"dtype": np.float32, "shape": (2, 3)}
    assert graph.operations[-1].attribs == {"T": np.float32}
    assert not isinstance(graph.operations[-1].inputs, tuple)
    assert [item.name for item in optimizer.results] == ["complete-graph"]
    assert Optimizer()(graph, only_required=True) is graph
    x.producers[0].outputs = []
    x.shape = None
    with pytest.raises(ShapeError, match="graph input 'x'"):
        Optimizer()(graph, only_required=True)


def test_custom_optimizers() -> None:
    def fuse(first: Operation, second: Operation) -> None:
        Operation(second.graph, type="Fused", inputs=list(first.inputs), outputs=list(second.outputs), custom=True)

    graph = Converter()(nnef(f"{WEIGHTS}{CONV} y = relu(a);"))
    optimizer = Optimizer({("Conv2D", "Relu"): fuse}, debug=True)
    optimizer(graph)
    verify(graph)
    assert types(graph) == ["Transpose", "Fused", "Transpose"]
    assert {op.name for op in graph.operations} == {t.name for op in graph.operations for t in op.outputs}
    assert [item.count for item in optimizer.results][1:] == [1]

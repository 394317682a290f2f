"""Shapes and data types: single operations, plugin functions, whole graphs, errors."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import ExecutionError, PluginError, ShapeError, UsageError
from nnef_tools.language.parser import parse_fragments
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.model.graph import Graph, Operation, Tensor
from nnef_tools.ops import inference
from nnef_tools.ops.bind import group_arguments
from nnef_tools.ops.inference import evaluate, infer_graph, infer_shapes, result_dtypes
from nnef_tools.ops.library import Library
from nnef_tools.ops.registry import operations

STANDARD = standard_fragments()
CUSTOM = parse_fragments(
    """
    fragment mix(x: tensor<scalar>, values: tensor<scalar>[], y: tensor<scalar>, k: integer = 1)
        -> (z: tensor<scalar>, index: tensor<integer>);
    fragment two(a: tensor<scalar>[], b: tensor<scalar>[]) -> (z: tensor<scalar>);
    """,
    "custom.nnef",
)


def node(
    graph: Graph, type: str, inputs: list[Tensor] | tuple[Tensor, ...], *names: str, **attribs: Any
) -> Tensor | list[Tensor]:
    """An operation with results of these names; returns them."""
    outputs = [Tensor(graph, name) for name in names]
    Operation(graph, type, attribs=attribs, inputs=inputs, outputs=tuple(outputs))
    return outputs[0] if len(outputs) == 1 else outputs


def external(graph: Graph, name: str, *shape: int, dtype: type[Any] = np.float32) -> Tensor:
    return node(graph, "external", (), name, shape=list(shape), dtype=dtype)


def literal(graph: Graph, value: float) -> Tensor:
    data = np.array(value, np.float32)
    return Tensor(graph, shape=(), dtype=np.float32, data=data)


def test_every_standard_operation_has_everything() -> None:
    known = operations()
    assert set(STANDARD) <= set(known)
    assert all(known[name].standard for name in STANDARD)


# Single operations


def test_custom_shapes_come_first_and_see_no_dtype() -> None:
    seen = {}

    def foo(*shapes: list[Any], **attribs: int) -> tuple[list[Any] | tuple[Any, ...], ...]:
        seen.update(attribs)
        return list(shapes[0]), [list(shape) for shape in shapes[1]], ()

    result = infer_shapes("foo", [(2, 3), [(1,), (4, 5)], ()], {"k": 3, "dtype": np.float32}, {"foo": foo})
    assert result == ([2, 3], [[1], [4, 5]], [])
    assert seen == {"k": 3}
    assert infer_shapes("relu", [[2]], {}, {"relu": lambda x: [7]}) == [7]
    assert infer_shapes("relu", [[2]], {}, {"foo": foo}) == [2]


def test_faulty_custom_shapes() -> None:
    def refuses(x: list[int]) -> None:
        assert len(x) == 3, "needs rank 3"

    with pytest.raises(ShapeError, match="foo: needs rank 3"):
        infer_shapes("foo", [[2]], {}, {"foo": refuses})
    with pytest.raises(PluginError, match=r"foo: shape function failed: TypeError: .*unexpected keyword argument 'k'"):
        infer_shapes("foo", [[2]], {"k": 1}, {"foo": lambda x: x})
    for result in (None, ["a"], 3, [None]):
        with pytest.raises(PluginError, match="foo: shape function gave"):
            infer_shapes("foo", [[2]], {}, {"foo": lambda x, result=result: result})


def test_unknown_operation() -> None:
    with pytest.raises(ShapeError, match="foo: the shape of the result of operation 'foo' is not known") as error:
        infer_shapes("foo", [[2]], {})
    assert "--custom-shapes" in str(error.value.hint)
    with pytest.raises(ExecutionError, match="'foo' cannot be evaluated"):
        evaluate("foo", [np.zeros(2)], {})


def test_missing_arguments() -> None:
    with pytest.raises(ShapeError, match=r"add: takes 2 tensor arguments \(x, y\), got 1"):
        infer_shapes("add", [[2]], {})
    with pytest.raises(ShapeError, match="leaky_relu: attribute 'alpha' is missing"):
        infer_shapes("leaky_relu", [[2]], {})
    assert infer_shapes("conv", [[1, 1, 4], [2, 1, 3]], {}) == [1, 2, 4]


def test_evaluate_fills_defaults_and_passes_dtype_on() -> None:
    assert evaluate("softmax", [np.zeros((1, 4))], {}).tolist() == [[0.25] * 4]
    assert evaluate("cast", [np.array([1.7, 0.0])], {"dtype": np.bool_}).tolist() == [True, False]
    assert [a.tolist() for a in evaluate("split", [np.arange(3)], {"axis": 0, "ratios": [1, 2]})] == [[0], [1, 2]]
    assert evaluate("concat", [[np.arange(2), np.arange(1)]], {"axis": 0}).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("name", "inputs", "dtype", "expected"),
    [
        ("relu", [np.float32], None, [np.float32]),
        ("relu", [np.float64], None, [np.float64]),
        ("relu", [np.float16], None, [np.float16]),
        ("relu", [None], None, [np.float32]),
        ("add", [None, ml_dtypes.bfloat16], None, [ml_dtypes.bfloat16]),
        ("add", [np.float16, ml_dtypes.bfloat16], None, [np.float32]),
        ("add", [np.float16, np.float64], None, [np.float64]),
        ("lt", [np.float32, np.float32], None, [np.bool_]),
        ("argmax_reduce", [np.float64], None, [np.int64]),
        ("max_pool_with_index", [np.float16], None, [np.float16, np.int64]),
        ("moments", [np.float64], None, [np.float64, np.float64]),
        ("reshape", [np.int32], None, [np.int32]),
        ("reshape", [np.int32], np.int64, [np.int32]),
        ("reshape", [np.float16], np.float32, [np.float16]),
        ("reshape", [np.float32], np.int64, [np.int64]),
        ("select", [np.bool_, np.int64, None], np.int64, [np.int64]),
        ("select", [np.bool_, None, None], np.float32, [np.float32]),
        ("gather", [np.bool_, np.int64], None, [np.bool_]),
        ("concat", [[np.float16, np.float32]], np.float32, [np.float32]),
        ("cast", [np.float16], np.int64, [np.int64]),
        ("external", [], np.bool_, [np.bool_]),
        ("split", [np.uint8], np.int64, [np.uint8]),
    ],
)
def test_result_dtypes(name: str, inputs: list[Any], dtype: type[Any] | None, expected: list[type[Any]]) -> None:
    assert result_dtypes(STANDARD[name], inputs, dtype) == expected


def test_group_arguments() -> None:
    graph = Graph()
    a, b, c, d = (Tensor(graph, name) for name in "abcd")
    assert group_arguments((a, b)) == [a, b]
    assert group_arguments([a, b]) == [[a, b]]
    assert group_arguments(Operation(graph, "concat", inputs=[a, b]).inputs) == [[a, b]]
    assert group_arguments((a, b), STANDARD["concat"]) == [[a, b]]
    assert group_arguments([a, b], STANDARD["add"]) == [a, b]
    assert group_arguments([a, b, c, d], CUSTOM["mix"]) == [a, [b, c], d]
    assert group_arguments((a, b), CUSTOM["mix"]) == [a, [], b]
    for tensors, fragment in (([a], CUSTOM["mix"]), ([a, b], CUSTOM["two"])):
        with pytest.raises(ShapeError, match="cannot be divided among the parameters"):
            group_arguments(tensors, fragment)


# Graphs


def test_graph() -> None:
    graph = Graph("g")
    x = external(graph, "x", 1, 3, 8, 8)
    data = np.zeros((4, 3, 3, 3), np.float16)
    w = Tensor(graph, "w", data=data)
    Operation(graph, "variable", attribs={"shape": [4, 3, 3, 3], "label": "w", "dtype": np.float32}, outputs=w)
    y = node(graph, "conv", (x, w, literal(graph, 0.0)), "y", stride=[2, 2])
    parts = [Tensor(graph, "p"), Tensor(graph, "q")]
    Operation(graph, "split", attribs={"axis": 1, "ratios": [1, 3], "dtype": np.float32}, inputs=y, outputs=parts)
    z = node(graph, "concat", parts, "z", axis=2, dtype=np.float32)
    with pytest.raises(
        ShapeError, match=r"concat 'z': .*\ninputs: p: \[1, 1, 4, 4\], q: \[1, 3, 4, 4\]\nattributes: axis = 2"
    ):
        infer_graph(graph)
    graph.remove_operation(z.producer, unlink=True)
    m, v = node(graph, "moments", (parts[1],), "m", "v", axes=[2, 3])
    i = node(graph, "argmax_reduce", (v,), "i", axes=[1])
    s = node(graph, "lt", (m, literal(graph, 1.0)), "s")
    infer_graph(graph)
    assert y.shape == (1, 4, 4, 4)
    assert [part.shape for part in parts] == [(1, 1, 4, 4), (1, 3, 4, 4)]
    assert (m.shape, v.shape, i.shape, s.shape) == ((1, 3, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1), (1, 3, 1, 1))
    assert (x.dtype, w.dtype, y.dtype, parts[0].dtype) == (np.float32, np.float16, np.float32, np.float32)
    assert (m.dtype, i.dtype, s.dtype) == (np.float32, np.int64, np.bool_)


def test_half_precision_flows_through() -> None:
    graph = Graph()
    x = external(graph, "x", 2, 3)
    x.dtype = np.float16
    y = node(graph, "mul", (x, literal(graph, 2.0)), "y")
    z = node(graph, "reshape", (y,), "z", shape=[6], dtype=np.float32)
    c = node(graph, "add", (literal(graph, 1.0), literal(graph, 2.0)), "c")
    infer_graph(graph)
    assert (x.dtype, y.dtype, z.dtype, c.dtype) == (np.float16, np.float16, np.float16, np.float32)
    assert c.shape == ()


def test_external_shapes() -> None:
    graph = Graph()
    x = external(graph, "x", 1, 3)
    y = node(graph, "relu", (x,), "y")
    infer_graph(graph, external_shapes={"x": (5, 3)})
    assert y.shape == (5, 3)
    assert x.producer.attribs["shape"] == [5, 3]
    with pytest.raises(UsageError, match=r"no graph input 'y'.*\nhint: the inputs are: x"):
        infer_graph(graph, external_shapes={"y": (5, 3)})
    with pytest.raises(UsageError, match="has another rank"):
        infer_graph(graph, external_shapes={"x": (5,)})
    with pytest.raises(UsageError, match="must be positive"):
        infer_graph(graph, external_shapes={"x": (5, 0)})
    assert x.shape == (5, 3) and x.producer.attribs["shape"] == [5, 3]


def test_custom_operations_in_a_graph() -> None:
    graph = Graph()
    x = external(graph, "x", 1, 3)
    y, index = node(graph, "mix", [x, x, x, x], "y", "index", k=2)
    z = node(graph, "relu", (y,), "z")

    def mix(x: list[int], values: list[list[int]], y: list[int], k: int) -> tuple[list[int], ...]:
        assert values == [x, x] and y == x
        return [*x, k], [k]

    infer_graph(graph, custom_shapes={"mix": mix}, library=Library(CUSTOM))
    assert (y.shape, index.shape, z.shape) == ((1, 3, 2), (2,), (1, 3, 2))
    assert (y.dtype, index.dtype) == (np.float32, np.int64)

    with pytest.raises(ShapeError, match=r"mix 'y, index': the shape of the result.*\n.*\n.*\nhint: .*custom_shapes="):
        infer_graph(graph, library=Library(CUSTOM))
    infer_graph(graph, library=Library(CUSTOM), allow_unknown=True)
    assert (y.shape, index.shape, z.shape) == (None, None, None)
    assert z.dtype == np.float32

    with pytest.raises(ShapeError, match="has 2 results, its shape function gives 1"):
        infer_graph(graph, custom_shapes={"mix": lambda *shapes, k: [1]}, library=Library(CUSTOM))
    with pytest.raises(ShapeError, match="mix 'y, index': refused"):
        infer_graph(graph, custom_shapes={"mix": refuse}, library=Library(CUSTOM))


def refuse(*shapes: list[Any], k: int) -> None:
    raise AssertionError("refused")


def test_tensor_without_shape_is_named() -> None:
    graph = Graph()
    node(graph, "relu", (Tensor(graph, "lost"),), "y")
    with pytest.raises(ShapeError, match="relu 'y': the shape of input 'lost' is not known"):
        infer_graph(graph)
    infer_graph(graph, allow_unknown=True)


def test_kernel_that_breaks_its_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "infer_shapes", lambda *args: [7])
    with pytest.raises(AssertionError, match="relu: kernel gives"):
        evaluate("relu", [np.zeros(2)], {})


# What the reference package crashes on, or accepts silently

BAD = [
    ("conv", [[1, 3], [4, 3], []], {}),
    ("conv", [[1, 3, 8], [], []], {}),
    ("transpose", [[2, 3]], {"axes": [0, 1, 2]}),
    ("squeeze", [[1, 1]], {"axes": [0, 0]}),
    ("reshape", [[4]], {"shape": [-2, -2]}),
    ("transpose", [[]], {"axes": [0]}),
    ("max_pool", [[]], {"size": [1]}),
    ("unsqueeze", [[2]], {"axes": [0, 0]}),
    ("box", [[4]], {"size": [9], "border": "reflect", "padding": [(4, 4)]}),
    ("pad", [[4]], {"padding": [(4, 4)], "border": "reflect"}),
    ("matmul", [[2, 3, 4], [3, 4, 5]], {}),
    ("linear", [[2, 3], [4, 3], [4]], {}),
    ("box", [[4]], {"size": [9], "padding": [(0, 0)]}),
    ("external", [], {"shape": [-1, 2]}),
    ("external", [], {"shape": [0]}),
    ("constant", [], {"shape": [-2], "value": [1.0]}),
    ("split", [[4]], {"axis": 0, "ratios": []}),
    ("area_downsample", [[1, 1, 4]], {"factor": [0]}),
    ("reshape", [[3, 0]], {"shape": [-1, 0]}),
    ("box", [[4]], {"size": [1], "padding": [(-3, -3)]}),
    ("pad", [[4]], {"padding": [(-3, -3)]}),
    ("variable", [], {"shape": [0], "label": "v"}),
    ("tile", [[2]], {"repeats": [0]}),
    ("reshape", [[2]], {"shape": [1, 0]}),
    ("conv", [[3], [3], []], {}),
    ("split", [[5]], {"axis": 0, "ratios": [1, 1]}),
    ("unstack", [[5]], {"axis": 1}),
    ("copy_n", [[5]], {"times": 0}),
]


@pytest.mark.parametrize(("name", "shapes", "attribs"), BAD)
def test_malformed_operations_are_shape_errors(name: str, shapes: list[Any], attribs: dict[str, Any]) -> None:
    with pytest.raises(ShapeError) as error:
        infer_shapes(name, shapes, attribs)
    assert error.value.where == name
    if name not in ("external", "variable"):
        with pytest.raises(ShapeError):
            evaluate(name, [np.zeros(shape) for shape in shapes], attribs)


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_gather_out_of_range_is_an_error(index: int) -> None:
    with pytest.raises((ShapeError, ExecutionError)):
        evaluate("gather", [np.zeros(3), np.array([0, index])], {"axis": 0})

"""NNEF to ONNX: every operation in every item type has a form that onnxruntime has kernels for, and the same values."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph
from nnef_tools.ops.inference import infer_graph

from ...support.nnef_cases import ALL, CUSTOM, RECURRENT, REGIONS, ROI_CASES, ROIS, SEVERAL, X
from ...support.nnef_models import inputs_for, nnef_graph
from ...support.onnx_models import node_model, run_onnx
from .checks import check_back, to_onnx

Array = np.ndarray[Any, Any]


def in_float64(body: str, outputs: tuple[str, ...] = ("y",)) -> tuple[Graph, dict[str, Array]]:
    """The graph with real inputs of float64, and inputs for it."""
    graph = nnef_graph(body, outputs)
    feeds = inputs_for(graph)
    for tensor in graph.inputs:
        if tensor.dtype is np.float32:
            tensor.dtype = tensor.producer.attribs["dtype"] = np.float64
            feeds[tensor.name] = feeds[tensor.name].astype(np.float64)
    infer_graph(graph)
    return graph, feeds


def check_in_float64(body: str, outputs: tuple[str, ...] = ("y",), **feeds: Array) -> None:
    graph, given = in_float64(body, outputs)
    check_back(graph, {**given, **feeds}, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("declarations", "call"), [*ALL, *CUSTOM], ids=[call for _, call in [*ALL, *CUSTOM]])
def test_operation_in_float64(declarations: str, call: str) -> None:
    if call.startswith("multiclass_nms"):
        with pytest.raises(ConversionError, match="NonMaxSuppression has single precision only"):
            check_in_float64(f"{declarations} y = {call};")
    else:
        check_in_float64(f"{declarations} y = {call};")


@pytest.mark.parametrize(("declarations", "statement"), [*SEVERAL, *RECURRENT])
def test_several_results_in_float64(declarations: str, statement: str) -> None:
    check_in_float64(declarations + statement, ("y", "q"))


@pytest.mark.parametrize("call", ROI_CASES)
def test_regions_in_float64(call: str) -> None:
    check_in_float64(f"{X} {ROIS} y = {call};", r=REGIONS.astype(np.float64))


POINTS = [0.0, 1e-300, 1e-17, 1e-9, 1e-5, 0.0312, 0.0626, 0.3, 0.5, 0.999999, 1.0, 1.0000001, 2.5, 5.99, 7.0, 30.0,
          700.0, 1e8, 1e10, 1e155, 1e300, math.inf]  # fmt: skip
FUNCTIONS = {
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "erf": np.vectorize(math.erf),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_in_float64_are_exact(name: str) -> None:
    """To a few units in the last place: far from 0, near it, and where intermediate values could overflow."""
    x = np.asarray([*POINTS, *np.negative(POINTS), math.nan])
    graph, _ = in_float64(f"x = external(shape = [{x.size}]); y = {name}(x);")
    _, model = to_onnx(graph)
    (actual,) = run_onnx(model, {"x": x})
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name](x)
    np.testing.assert_allclose(actual, expected, rtol=4e-15 if name != "tan" else 1e-9, atol=0)


def test_determinant_needs_pivots() -> None:
    x = np.asarray(
        [[[0.0, 2, 1], [3, 0, 4], [1, 5, 0]], [[1, 2, 3], [2, 4, 6], [0, 1, 1]], [[0, 0, 1], [0, 1, 0], [1, 0, 0]]]
    )
    graph, _ = in_float64("x = external(shape = [3, 3, 3]); y = det(x);")
    (actual,) = run_onnx(to_onnx(graph)[1], {"x": x})
    np.testing.assert_allclose(actual, [23.0, 0.0, -1.0], atol=1e-14)


GENERIC = [
    "copy(x)",
    "reshape(x, shape = [0, -1])",
    "transpose(x, axes = [0, 2, 3, 1])",
    "squeeze(slice(x, axes = [1], begin = [0], end = [1]), axes = [1])",
    "unsqueeze(x, axes = [0, 3])",
    "concat([x, z, x], axis = 2)",
    "stack([x, z], axis = 4)",
    "slice(x, axes = [2, 3], begin = [0, -1], end = [6, -4], stride = [2, -2])",
    "tile(x, repeats = [2, 1, 1, 3])",
    "tile(slice(x, axes = [0], begin = [0], end = [1]), repeats = [3, 1, 1, 1])",
    "gather(x, i, axis = 1)",
    "gather_elements(x, j, axis = 3)",
    "gather_nd(x, i)",
    *(f"scatter_elements(x, j, u, axis = 3, reduction = '{r}')" for r in ("none", "add", "mul", "max", "min")),
    *(f"scatter_nd(x, k, v, reduction = '{r}')" for r in ("none", "add", "mul", "max", "min")),
    *(f"{op}(x, axis = 2, {k} = true)" for op in ("cum_sum", "cum_prod") for k in ("exclusive", "reverse")),
    "select(b, x, z)",
    "select(b, x, ONE)",
    "select(b, x, ZERO)",
    "select(b, ONE, z)",
    "select(b, ZERO, z)",
    "select(b, ONE, ZERO)",
    "select(o, x, z)",
    "select(o, x, ZERO)",
    "select(b, z, slice(x, axes = [3], begin = [0], end = [1]))",
    "cast<scalar>(x)",
    "cast<integer>(x)",
    "cast<logical>(x)",
    "reshape(transpose(reshape(x, shape = [2, 1, 2, 2, 6, 4]), axes = [0, 1, 4, 2, 5, 3]), shape = [2, 1, 12, 8])",
    "reshape(transpose(reshape(x, shape = [2, 4, 3, 2, 2, 2]), axes = [0, 3, 5, 1, 2, 4]), shape = [2, 16, 3, 2])",
]  # fmt: skip
LITERALS = {"scalar": ("1.0", "0.0"), "integer": ("1", "0"), "logical": ("true", "false")}


def generic(kind: str) -> str:
    return (
        f"x = external<{kind}>(shape = [2, 4, 6, 4]); z = external<{kind}>(shape = [2, 4, 6, 4]); "
        "i = external<integer>(shape = [2, 3]); j = external<integer>(shape = [2, 4, 6, 2]); "
        f"k = external<integer>(shape = [3, 2]); u = external<{kind}>(shape = [2, 4, 6, 2]); "
        f"v = external<{kind}>(shape = [3, 6, 4]); b = external<logical>(shape = [2, 4]); "
        "o = external<logical>(shape = [1]); "
    )


@pytest.mark.parametrize("call", GENERIC)
@pytest.mark.parametrize("kind", LITERALS)
def test_generic_operation(kind: str, call: str) -> None:
    one, zero = LITERALS[kind]
    body = f"{generic(kind)} y = {call.replace('ONE', one).replace('ZERO', zero)};"
    for opset in (13, 16, 21, 26):
        if "scatter" not in call or "none" in call or opset > 18:
            check_back(nnef_graph(body), opset=opset)
    if kind == "scalar" and "cast" not in call:
        check_in_float64(body)


GENERIC_SEVERAL = [
    "[y, q] = split(x, axis = 2, ratios = [1, 2]);",
    "[y, q] = unstack(x, axis = 0);",
    "[y, q] = copy_n(x, times = 2);",
    "y, q = top_k(x, k = 3, axis = 2);",
]


@pytest.mark.parametrize("statement", GENERIC_SEVERAL)
@pytest.mark.parametrize("kind", LITERALS)
def test_generic_operation_with_several_results(kind: str, statement: str) -> None:
    check_back(nnef_graph(generic(kind) + statement, ["y", "q"]))


def test_selecting_truth_values_by_hand() -> None:
    graph = nnef_graph(
        "c = external<logical>(shape = [4]); x = external<logical>(shape = [4]); z = external<logical>(shape = [4]); "
        "y = select(c, x, z); p = select(c, x, false); q = select(c, true, z);",
        ["y", "p", "q"],
    )
    c, x, z = np.asarray([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0]], bool)
    _, model = to_onnx(graph)
    y, p, q = run_onnx(model, {"c": c, "x": x, "z": z})
    assert y.tolist() == [True, False, True, False]
    assert p.tolist() == [True, False, False, False]
    assert q.tolist() == [True, True, True, False]
    assert {"And", "Or"} <= {node.op_type for node in model.graph.node}


TYPES = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32,
         np.uint64, np.bool_]  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES)
def test_interface(dtype: type) -> None:
    """Inputs and outputs of any type, and constants."""
    kind = "logical" if dtype is np.bool_ else "scalar" if np.dtype(dtype).kind == "f" else "integer"
    graph = nnef_graph(
        f"x = external<{kind}>(shape = [2, 3]); c = external<logical>(shape = [2]); y = select(c, x, copy(x));"
    )
    graph.inputs[0].dtype = graph.inputs[0].producer.attribs["dtype"] = dtype
    infer_graph(graph)
    x = np.asarray([[0, 1, 2], [100, 17, 1]]).astype(dtype)
    _, model = to_onnx(graph)
    (y,) = run_onnx(model, {"x": x, "c": np.asarray([True, False])})
    assert y.dtype == dtype and np.array_equal(y, x)


def test_float8e8m0() -> None:
    """Powers of two are carried in both directions; what would have to be rounded to them is refused."""
    x = np.asarray([0.5, 1, 4], ml_dtypes.float8_e8m0fnu)
    graph = Converter()(onnx_model_to_graph(node_model("Identity", [x], opset=24)))
    _, model = to_onnx(graph)
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)} == {24}
    for node in (
        node_model("Cast", [np.ones(3, np.float32)], opset=24, to=24),
        node_model("CastLike", [np.ones(3, np.float32), x], opset=24),
    ):
        with pytest.raises(ConversionError, match="data type 24 of ONNX cannot be carried by NNEF"):
            Converter()(onnx_model_to_graph(node))

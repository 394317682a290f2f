"""What is fused on the way to TensorFlow Lite: as few operators as its own converter writes, with the same results."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.conversion.nnef_to_tflite import Converter
from nnef_tools.optimization.tflite_optimizer import Optimizer

from ...support.nnef_models import nnef_graph
from .checks import check_lite, converted_to_tflite, operators

pytest.importorskip("ai_edge_litert", reason="LiteRT runs the converted models")

IMAGE = "t = external(shape = [1, 8, 7, 3]); x = transpose(t, axes = [0, 3, 1, 2]); "
BACK = "y = transpose(r, axes = [0, 2, 3, 1]); "
FILTER = (
    "w = constant(shape = [4, 3, 3, 3], value = [0.1]); b = constant(shape = [1, 4], value = [1.0, -2.0, 3.0, 0.5]); "
)
X = "x = external(shape = [1, 2, 3, 4]); "

NETWORKS = [
    ("r = relu(conv(x, w, b));", ["CONV_2D"]),
    ("r = clamp(conv(x, w, b), 0.0, 6.0);", ["CONV_2D"]),
    ("r = clamp(conv(x, w, b, padding = []), -1.0, 1.0);", ["CONV_2D"]),
    ("r = tanh(conv(x, w, b));", ["CONV_2D", "TANH"]),
    ("r = relu(batch_normalization(conv(x, w), b, 2.0, b, b, epsilon = 0.1));", ["CONV_2D"]),
    ("r = conv(x, w, padding = [(1, 1), (1, 1)], stride = [2, 1]);", ["PAD", "CONV_2D"]),
    ("r = conv(x, w, padding = [(1, 1), (1, 1)]);", ["CONV_2D"]),
    ("p = pad(x, padding = [(0, 0), (0, 0), (0, 1), (1, 1)]); r = conv(p, w, padding = V, stride = [2, 2]);",
     ["CONV_2D"]),
    ("p = pad(x, padding = [(0, 0), (0, 0), (1, 0), (1, 1)]); r = conv(p, w, padding = V, stride = [2, 2]);",
     ["PAD", "CONV_2D"]),
    ("c = conv(x, w); r = relu(c) + c;", ["CONV_2D", "RELU", "ADD"]),
    ("r = max(conv(x, w, b), 0.25);", ["CONV_2D", "MAXIMUM"]),
    ("r = relu(max_pool(x, size = [1, 1, 2, 2], border = 'ignore'));", ["MAX_POOL_2D"]),
    ("c = constant(shape = [1, 3], value = [0.1, -0.2, 0.3]); r = prelu(x, c);", ["PRELU"]),
    ("d = constant(shape = [3, 4, 3, 3], value = [0.1]); r = deconv(x, d, b, padding = [(1, 1), (1, 1)]);",
     ["TRANSPOSE_CONV"]),
    # constants before weights, of which only factors may be followed by a padding
    ("r = conv(x * c, w, b, padding = []);", ["CONV_2D"]),
    ("r = conv((x * 2.0 + 0.0) / 1.0, w, padding = []);", ["CONV_2D"]),
    ("r = conv(x - c, w, b, padding = V);", ["CONV_2D"]),
    ("r = conv(c - x, w, b, padding = V);", ["SUB", "CONV_2D"]),
    ("r = conv(x + c, w, b, padding = []);", ["ADD", "CONV_2D"]),
    ("m = x * c; r = concat([conv(m, w, padding = []), m], axis = 1);", ["MUL", "CONV_2D", "CONCATENATION"]),
    ("r = conv(x * c, v, padding = [], groups = 3);", ["DEPTHWISE_CONV_2D"]),
    ("r = relu(batch_normalization(conv(x, large), much, much, much, much, epsilon = 0.1));", ["CONV_2D"]),
    ("r = mean_reduce(x, axes = [2, 3]);", ["MEAN"]),
    ("s = reshape(squeeze(mean_reduce(x, axes = [2, 3]), axes = [2, 3]), shape = [1, 3, 1, 1]); r = conv(s, w1);",
     ["MEAN", "CONV_2D"]),
    ("d = constant(shape = [3, 1, 3, 3], value = [0.1]); r = conv(x, d, groups = 0);", ["DEPTHWISE_CONV_2D"]),
]  # fmt: skip
CONSTANTS = (
    "c = constant(shape = [1, 3], value = [0.5, -0.25, 2.0]); v = constant(shape = [6, 1, 3, 3], value = [0.1]); "
    "large = constant(shape = [1100, 3, 1, 1], value = [0.1]); much = constant(shape = [1, 1100], value = [0.7]); "
    "w1 = constant(shape = [2, 3, 1, 1], value = [0.3]); "
)


@pytest.mark.parametrize(("body", "expected"), NETWORKS)
def test_images(body: str, expected: list[str]) -> None:
    valid = body.replace(" V", " [(0, 0), (0, 0)]")
    constants = "" if " constant(" in body or "c = " in body else CONSTANTS
    check_lite(nnef_graph(IMAGE + FILTER + constants + valid + BACK), ops=expected)


@pytest.mark.parametrize(("groups", "expected"), [(0, "DEPTHWISE_CONV_2D"), (1, "CONV_2D")])
def test_images_of_one_channel(groups: int, expected: str) -> None:
    """Their transposes move nothing, so that they are reshapes."""
    image = "t = external(shape = [1, 8, 7, 1]); x = transpose(t, axes = [0, 3, 1, 2]); "
    filter = "w = constant(shape = [4, 1, 3, 3], value = [0.1]); "
    check_lite(nnef_graph(f"{image}{filter}r = conv(x, w, groups = {groups}); {BACK}"), ops=[expected])


def test_matrices_keep_dimensions() -> None:
    text = "x = external(shape = [2, 3, 4, 5]); r = reshape(x, shape = [6, 20]); "
    text += "w = constant(shape = [7, 20], value = [0.1]); y = reshape(linear(r, w), shape = [2, 3, 7]);"
    check_lite(nnef_graph(text), ops=["RESHAPE", "FULLY_CONNECTED"])
    text = "x = external(shape = [2, 5, 3, 3]); m = mean_reduce(x, axes = [2, 3]); r = reshape(m, shape = [2, 5]); "
    text += "w = constant(shape = [7, 5], value = [0.1]); y = linear(r, w);"
    check_lite(nnef_graph(text), ops=["MEAN", "FULLY_CONNECTED"])
    text = "x = external(shape = [2, 1, 1, 5]); r = reshape(x, shape = [2, 5]); "
    text += "w = constant(shape = [7, 5], value = [0.1]); y = linear(r, w);"
    check_lite(nnef_graph(text), ops=["FULLY_CONNECTED"])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("0.5 * x * (1.0 + erf(x / 1.4142135))", ["GELU"]),
        ("x * (1.0 + erf(0.70710678 * x)) * 0.5", ["GELU"]),
        ("0.5 * x * (1.0 - erf(-x / 1.4142135))", ["GELU"]),
        ("0.5 * x * (1.0 + tanh(0.7978845608 * (x + 0.044715 * pow(x, 3.0))))", ["GELU"]),
        ("x * clamp(x / 6.0 + 0.5, 0.0, 1.0)", ["HARD_SWISH"]),
        ("x * clamp(x + 3.0, 0.0, 6.0) / 6.0", ["HARD_SWISH"]),
        ("x * (clamp(x + 3.0, 0.0, 6.0) * 0.16666667)", ["HARD_SWISH"]),
        ("x / max(sqrt(sum_reduce(sqr(x), axes = [3])), 0.000001)", ["L2_NORMALIZATION"]),
        ("x * rsqrt(max(sum_reduce(sqr(x), axes = [3]), 0.000000000001))", ["L2_NORMALIZATION"]),
        ("relu(x) + relu(-x) * [[[[0.1, 0.2, 0.3, -0.4]]]]", None),
        ("squeeze(mean_reduce(x, axes = [2, 3]), axes = [2, 3])", ["MEAN"]),
        ("sqr(x - 0.5)", ["SQUARED_DIFFERENCE"]),
        ("unsqueeze(squeeze(x, axes = [0]), axes = [0, 1])", ["RESHAPE"]),
    ],
)
def test_idioms(call: str, expected: list[str] | None) -> None:
    if expected is None:
        call = "relu(x) + relu(-x) * c"
        constant = "c = constant(shape = [1, 1, 1, 4], value = [0.1, 0.2, 0.3, -0.4]); "
        check_lite(nnef_graph(f"{X}{constant} y = {call};"), ops=["PRELU"])
        return
    check_lite(nnef_graph(f"{X} y = {call};"), ops=expected)


@pytest.mark.parametrize(
    "call",
    [
        "0.4 * x * (1.0 + erf(x / 1.4142135))",
        "0.5 * x * (1.0 + erf(x / 1.5))",
        "x * clamp(x / 5.0 + 0.5, 0.0, 1.0)",
        "x / max(sqrt(sum_reduce(sqr(x), axes = [3])), 0.1)",
        "x / max(sqrt(sum_reduce(sqr(x), axes = [2])), 0.000001)",
    ],
)
def test_near_idioms_stay(call: str) -> None:
    converted = check_lite(nnef_graph(f"{X} y = {call};"))
    assert len(operators(converted)) > 2


def test_blocks() -> None:
    blocks = "g = reshape(x, shape = [1, 3, 2, 2, 2, 2]); p = transpose(g, axes = [0, 1, 3, 2, 4, 5]); "
    check_lite(
        nnef_graph(f"x = external(shape = [1, 3, 2, 8]); {blocks} y = reshape(p, shape = [1, 6, 4, 2]);"),
        ops=["DEPTH_TO_SPACE"],
    )
    check_lite(
        nnef_graph(f"x = external(shape = [1, 6, 4, 2]); {blocks} y = reshape(p, shape = [1, 3, 2, 8]);"),
        ops=["SPACE_TO_DEPTH"],
    )


def test_matrices() -> None:
    weights = "w = constant(shape = [5, 4], value = [0.5]); b = constant(shape = [1, 5], value = [1.0]); "
    rows = "x = external(shape = [2, 3, 4]); m = reshape(x, shape = [6, 4]); "
    check_lite(
        nnef_graph(f"{rows}{weights} y = relu(reshape(linear(m, w, b), shape = [2, 3, 5]));"), ops=["FULLY_CONNECTED"]
    )
    left = "x = external(shape = [4, 3]); w = constant(shape = [5, 4], value = [0.5]); y = matmul(w, x);"
    check_lite(nnef_graph(left))


def test_names_stay() -> None:
    converted = converted_to_tflite(nnef_graph(IMAGE + FILTER + "r = relu(conv(x, w, b));" + BACK))
    assert [t.name for t in (*converted.inputs, *converted.operations[0].inputs[1:], *converted.outputs)] == [
        "t", "w", "b", "y"
    ]  # fmt: skip


def test_halves_stay_halves() -> None:
    graph = nnef_graph(IMAGE + FILTER + "r = conv(x, w, b);" + BACK)
    weights = next(t for t in graph.tensors if t.name == "w")
    constant = weights.producer
    assert constant is not None
    constant.type, constant.attribs = "variable", {"label": "w", "shape": [4, 3, 3, 3]}
    weights.data = np.linspace(-1, 1, 108, dtype=np.float16).reshape(4, 3, 3, 3)
    converted = converted_to_tflite(graph)
    assert operators(converted) == ["DEQUANTIZE", "CONV_2D"]
    stored = converted.operations[0].input
    assert (stored.name, stored.dtype) == ("w", np.float16)
    assert np.array_equal(np.asarray(stored.data), np.asarray(weights.data).transpose(0, 2, 3, 1))


def test_optimizer() -> None:
    converted = Converter()(nnef_graph(IMAGE + FILTER + "r = relu(conv(x, w, b));" + BACK))
    count = len(converted.operations)
    optimizer = Optimizer()
    optimizer(converted, only_required=True)
    assert len(converted.operations) == count
    optimizer(converted)
    assert operators(converted) == ["CONV_2D"]
    assert [item.name for item in optimizer.results] == ["remove-transposes", "fuse-operators"]

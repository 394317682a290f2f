"""Per-channel multiplications and additions go into the weights of linear operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.model import Operation, Tensor
from nnef_tools.optimization.nnef.affine import fold_affine

from .net import Net, check, types

PADDED = {"padding": [(1, 1), (0, 2)]}
UNPADDED = {"padding": [(0, 0), (0, 0)]}


def conv(n: Net, x: Tensor, bias: bool = True, **attribs: Any) -> Tensor:
    """4 -> 6 channels, or other input channels than 4 with as many groups as fit."""
    groups = attribs.get("groups", 1)
    filters = n.variable((6, x.shape[1] // (groups or x.shape[1]), 3, 2))
    return n.conv(x, filters, *([n.variable((1, 6))] if bias else []), **attribs)


# name -> (channels of the input, channels of the result, function)
LINEAR = {
    "conv": (4, 6, conv),
    "conv without bias": (4, 6, lambda n, x: conv(n, x, bias=False, **PADDED)),
    "conv in groups": (4, 6, lambda n, x: conv(n, x, groups=2, stride=[2, 1], **PADDED)),
    "conv depth-wise": (3, 6, lambda n, x: conv(n, x, groups=0, dilation=[1, 2])),
    "conv with singleton bias": (4, 6, lambda n, x: n.conv(x, n.variable((6, 4, 1, 1)), n.variable((1, 1)))),
    "conv with literal bias": (4, 6, lambda n, x: n.conv(x, n.variable((6, 4, 1, 1)), -0.5)),
    "conv reflecting": (4, 6, lambda n, x: conv(n, x, border="reflect", **PADDED)),
    "deconv": (4, 6, lambda n, x: n.deconv(x, n.variable((4, 6, 3, 2)), n.variable((1, 6)), stride=[2, 1])),
    "deconv in groups": (
        4,
        6,
        lambda n, x: n.deconv(x, n.variable((4, 3, 3, 2)), n.variable((1, 6)), groups=2, stride=[2, 2], **UNPADDED),
    ),
    "deconv depth-wise": (4, 4, lambda n, x: n.deconv(x, n.variable((4, 1, 3, 2)), n.variable((1, 4)), groups=0)),
    "separable_conv": (
        3,
        5,
        lambda n, x: n.separable_conv(x, n.variable((6, 1, 3, 2)), n.variable((5, 6, 1, 1)), n.variable((1, 5))),
    ),
    "separable_conv in groups": (
        3,
        4,
        lambda n, x: n.separable_conv(
            x, n.variable((6, 1, 3, 2)), n.variable((4, 3, 1, 1)), n.variable((1, 4)), groups=2
        ),
    ),
    "separable_deconv": (
        5,
        4,
        lambda n, x: n.separable_deconv(x, n.variable((4, 1, 3, 2)), n.variable((5, 4, 1, 1)), n.variable((1, 4))),
    ),
    "separable_deconv in groups": (
        6,
        4,
        lambda n, x: n.separable_deconv(x, n.variable((4, 1, 3, 2)), n.variable((6, 2, 1, 1)), groups=2),
    ),
    "linear": (4, 6, lambda n, x: n.linear(x, n.variable((6, 4)), n.variable((1, 6)))),
    "linear without bias": (4, 6, lambda n, x: n.linear(x, n.variable((6, 4)))),
    "matmul": (4, 6, lambda n, x: n.matmul(x, n.variable((4, 6)))),
    "matmul transposed": (4, 6, lambda n, x: n.matmul(x, n.variable((6, 4)), transposeB=True)),
}  # fmt: skip


def channel(n: Net, size: int, positive: bool = False) -> Tensor:
    data = n.random.normal(size=(1, size)).astype(np.float32)
    return n.variable(np.abs(data) + 0.5 if positive else data)


SCALES = {
    "mul": lambda n, x: n.mul(x, channel(n, x.shape[1])),
    "mul from the left": lambda n, x: n.mul(channel(n, x.shape[1]), x),
    "mul by a literal": lambda n, x: n.mul(x, -2.5),
    "div": lambda n, x: n.div(x, channel(n, x.shape[1], positive=True)),
    "neg": lambda n, x: n.neg(x),
}
OFFSETS = {
    "add": lambda n, x: n.add(x, channel(n, x.shape[1])),
    "add a literal": lambda n, x: n.add(3.0, x),
    "sub": lambda n, x: n.sub(x, channel(n, x.shape[1])),
    "sub from": lambda n, x: n.sub(channel(n, x.shape[1]), x),
    "batch_normalization": lambda n, x: n.batch_normalization(
        x, *(channel(n, x.shape[1], positive=k == 1) for k in range(4)), epsilon=1e-3
    ),
}
AFFINE = {**SCALES, **OFFSETS}


def external(n: Net, type: str, channels: int) -> Tensor:
    return n.external(2, channels) if type in ("linear", "matmul") else n.external(2, channels, 6, 5)


@pytest.mark.parametrize("affine", AFFINE.values(), ids=AFFINE.keys())
@pytest.mark.parametrize("kind", LINEAR)
def test_after(net: Net, kind: str, affine: Callable[..., Any]) -> None:
    channels, _, linear = LINEAR[kind]
    type = kind.split()[0]
    y = affine(net, linear(net, external(net, type, channels)))
    graph = net.done(net.exp(net.mul(net.sigmoid(y), 1.0)))
    to_linear = type == "matmul" and any(affine is other for other in OFFSETS.values())
    check(graph, fold_affine, ["linear" if to_linear else type, "sigmoid", "mul", "exp"])


@pytest.mark.parametrize("affine", SCALES.values(), ids=SCALES.keys())
@pytest.mark.parametrize("kind", LINEAR)
def test_scale_before(net: Net, kind: str, affine: Callable[..., Any]) -> None:
    channels, _, linear = LINEAR[kind]
    type = kind.split()[0]
    graph = net.done(net.exp(net.sigmoid(linear(net, affine(net, external(net, type, channels))))))
    check(graph, fold_affine, [type, "sigmoid", "exp"])


@pytest.mark.parametrize("affine", OFFSETS.values(), ids=OFFSETS.keys())
@pytest.mark.parametrize(
    ("type", "linear"),
    [
        ("linear", lambda n, x: n.linear(x, n.variable((6, 4)), n.variable((1, 6)))),
        ("conv", lambda n, x: conv(n, x, **UNPADDED)),
        ("conv", lambda n, x: conv(n, x, groups=2, **UNPADDED)),
        ("conv", lambda n, x: conv(n, x, border="replicate", **PADDED)),
        ("conv", lambda n, x: conv(n, x, border="reflect-even")),
        ("conv", lambda n, x: n.conv(x, n.variable((6, 4, 1, 1)), stride=[2, 2])),
    ],
)
def test_offset_before(net: Net, type: str, linear: Callable[..., Any], affine: Callable[..., Any]) -> None:
    graph = net.done(net.sigmoid(linear(net, affine(net, external(net, type, 4)))))
    check(graph, fold_affine, [type, "sigmoid"])


@pytest.mark.parametrize("affine", OFFSETS.values(), ids=OFFSETS.keys())
@pytest.mark.parametrize(
    "kind", ["conv", "conv without bias", "conv in groups", "deconv", "separable_conv", "separable_deconv", "matmul"]
)
def test_an_offset_before_zeros_or_partial_windows_stays(net: Net, kind: str, affine: Callable[..., Any]) -> None:
    channels, _, linear = LINEAR[kind]
    graph = net.done(net.sigmoid(linear(net, affine(net, external(net, kind, channels)))))
    check(graph, fold_affine, types(graph))


def test_a_chain_folds_completely(net: Net) -> None:
    x = net.external(1, 4, 5, 5)
    y = conv(net, SCALES["mul"](net, x), **PADDED)
    for name in ("batch_normalization", "add", "mul", "sub from"):
        y = AFFINE[name](net, y)
    graph = net.done(net.relu(y))
    check(graph, fold_affine, ["conv", "relu"])


@pytest.mark.parametrize("shape", [(1, 6, 1, 1), (1, 1), (1, 1, 1, 1)])
def test_constants_of_any_rank(net: Net, shape: tuple[int, ...]) -> None:
    y = net.mul(conv(net, net.external(1, 4, 5, 5)), net.variable(shape))
    check(net.done(net.relu(y)), fold_affine, ["conv", "relu"])


@pytest.mark.parametrize("shape", [(2,), (2, 6), (1, 6, 3, 4), (1, 1, 1, 4), (1, 6, 1, 1, 1), (1, 1, 1, 1, 2)])
def test_constants_that_vary_otherwise_or_extend_the_shape_stay(net: Net, shape: tuple[int, ...]) -> None:
    y = net.mul(net.conv(net.external(2, 4, 5, 5), net.variable((6, 4, 3, 2)), **UNPADDED), net.variable(shape))
    check(net.done(net.relu(y)), fold_affine, ["conv", "mul", "relu"])


def test_constants_that_extend_the_channels_stay(net: Net) -> None:
    y = net.mul(net.conv(net.external(2, 4, 5, 5), net.variable((1, 4, 3, 2))), net.variable((1, 6)))
    check(net.done(net.relu(y)), fold_affine, ["conv", "mul", "relu"])


def test_matmul_of_batches(net: Net) -> None:
    y = net.matmul(net.external(2, 3, 4), net.variable((1, 4, 5)))
    check(net.done(net.relu(net.mul(y, net.variable((1, 1, 5))))), fold_affine, ["matmul", "relu"])


def test_matmul_of_batches_has_no_bias(net: Net) -> None:
    y = net.matmul(net.external(2, 3, 4), net.variable((1, 4, 5)))
    check(net.done(net.relu(net.add(y, net.variable((1, 1, 5))))), fold_affine, ["matmul", "add", "relu"])


def test_matmul_with_a_transposed_input(net: Net) -> None:
    x = net.mul(net.external(4, 2), net.variable((4, 1)))
    graph = net.done(net.relu(net.matmul(x, net.variable((4, 5)), transposeA=True)))
    check(graph, fold_affine, ["matmul", "relu"])


def test_matmul_scaled_per_row_stays(net: Net) -> None:
    y = net.mul(net.matmul(net.external(4, 2), net.variable((2, 4))), net.variable((4, 1)))
    check(net.done(net.relu(y)), fold_affine, ["matmul", "mul", "relu"])


def test_the_output_keeps_its_name(net: Net) -> None:
    check(net.done(net.mul(conv(net, net.external(1, 4, 5, 5)), 2.0)), fold_affine, ["conv"])


def test_the_input_may_be_folded_away_from(net: Net) -> None:
    check(net.done(conv(net, net.mul(net.external(1, 4, 5, 5), 2.0))), fold_affine, ["conv"])


@pytest.mark.parametrize("affine", AFFINE.values(), ids=AFFINE.keys())
def test_after_a_normalization(net: Net, affine: Callable[..., Any]) -> None:
    y = affine(net, AFFINE["batch_normalization"](net, net.external(2, 4, 3)))
    check(net.done(net.relu(y)), fold_affine, ["batch_normalization", "relu"])


def test_after_a_normalization_of_computed_offset(net: Net) -> None:
    x, c = net.external(2, 4, 3), net.external(1, 4)
    y = net.batch_normalization(x, *(channel(net, 4, positive=True) for _ in range(2)), c, c, epsilon=0.0)
    check(net.done(net.relu(net.mul(y, 2.0))), fold_affine, ["batch_normalization", "mul", "relu"])


# where it must not fire


def test_fork_after(net: Net) -> None:
    t = conv(net, net.external(1, 4, 5, 5))
    check(net.done(net.mul(t, 2.0), net.relu(t)), fold_affine, ["conv", "mul", "relu"])


def test_fork_before(net: Net) -> None:
    t = net.mul(net.external(1, 4, 5, 5), 2.0)
    check(net.done(conv(net, t), net.relu(t)), fold_affine, ["mul", "conv", "relu"])


@pytest.mark.parametrize("before", [False, True])
def test_output_in_the_middle(net: Net, before: bool) -> None:
    x = net.external(1, 4, 5, 5)
    t = net.mul(x, 2.0) if before else conv(net, x)
    y = conv(net, t) if before else net.mul(t, 2.0)
    check(net.done(t, y), fold_affine, ["mul", "conv"] if before else ["conv", "mul"])


@pytest.mark.parametrize("before", [False, True])
def test_quantized_intermediate(net: Net, before: bool) -> None:
    x = net.external(1, 4, 5, 5)
    t = net.mul(x, 2.0) if before else conv(net, x)
    t.quant = {"op-name": "zero_point_linear_quantize"}
    graph = net.done(conv(net, t) if before else net.mul(t, 2.0))
    assert fold_affine(graph) == 0


def test_quantized_weights(net: Net) -> None:
    graph = net.done(net.mul(conv(net, net.external(1, 4, 5, 5)), 2.0))
    graph.operations[1].output.quant = {"op-name": "zero_point_linear_quantize"}
    assert fold_affine(graph) == 0


def test_computed_weights_and_factors(net: Net) -> None:
    x = net.external(1, 4, 5, 5)
    check(net.done(net.mul(net.conv(x, net.external(6, 4, 1, 1)), 2.0)), fold_affine, ["conv", "mul"])
    net.__init__()
    check(net.done(net.mul(conv(net, net.external(1, 4, 5, 5)), net.external(1, 6))), fold_affine, ["conv", "mul"])


@pytest.mark.parametrize("constant", [2.0, None])
def test_a_computed_bias_stays_whatever_is_added(net: Net, constant: float | None) -> None:
    y = net.linear(net.external(2, 4), net.variable((6, 4)), net.external(1, 6))
    y = net.add(y, net.variable((1, 6)) if constant is None else constant)
    check(net.done(net.relu(y)), fold_affine, ["linear", "add", "relu"])


def test_a_computed_bias_is_no_obstacle_before(net: Net) -> None:
    y = net.linear(net.mul(net.external(2, 4), 2.0), net.variable((6, 4)), net.external(1, 6))
    check(net.done(net.relu(y)), fold_affine, ["linear", "relu"])


def test_weights_that_are_updated(net: Net) -> None:
    x, new = net.external(2, 4), net.external(6, 4)
    weights = net.variable((6, 4))
    graph = net.done(net.mul(net.linear(x, weights), 2.0), net.update(weights, new))
    assert fold_affine(graph) == 0


def test_a_channel_vector_of_rank_one_is_no_bias(net: Net) -> None:
    """Some exporters write [C]; what that means is left to the executor."""
    x, filters, bias = net.external(2, 6), net.variable((6, 6)), net.variable((6,))
    y = net.tensor((2, 6), np.float32)
    Operation(net.graph, type="linear", inputs=(x, filters, bias), outputs=y)
    graph = net.done(net.mul(y, 2.0))
    assert fold_affine(graph) == 0


@pytest.mark.parametrize("factor", [1e38, 1e-44])
def test_factors_that_overflow_or_vanish(net: Net, factor: float) -> None:
    filters = net.variable(np.full((6, 4), 100 if factor > 1 else 1e-3, np.float32))
    graph = net.done(net.mul(net.linear(net.external(2, 4), filters), factor))
    assert fold_affine(graph) == 0


def test_division_by_zero(net: Net) -> None:
    divisor = net.variable(np.array([[1, 0]], np.float32))
    graph = net.done(net.div(net.linear(net.external(2, 4), net.variable((2, 4))), divisor))
    assert fold_affine(graph) == 0


# weights


def test_shared_weights_are_not_changed(net: Net) -> None:
    weights, x = net.variable((6, 4), label="w"), net.external(2, 4)
    graph = net.done(net.relu(net.linear(x, weights)), net.relu(net.mul(net.linear(x, weights), 2.0)))
    original = weights.data.copy()
    check(graph, fold_affine, ["linear", "relu", "linear", "relu"])
    assert np.array_equal(weights.data, original)
    assert {op.attribs["label"] for op in graph.operations if op.type == "variable"} == {"w", "w_1"}


def labels_of(operation: Operation) -> list[Any]:
    return [tensor.producer and tensor.producer.attribs["label"] for tensor in operation.inputs[1:]]


@pytest.mark.parametrize("bias", [None, "bias"])
def test_names_of_folded_normalizations(net: Net, bias: str | None) -> None:
    """The filter and the bias keep their names; the offset stands in for a bias that there is not."""
    x, weights = net.external(1, 3, 5, 5), net.variable((4, 3, 1, 1), label="filter")
    own = [net.variable((1, 4), label=bias)] if bias else []
    variance = net.variable(np.full((1, 4), 2, np.float32), label="variance")
    mean, offset, scale = (net.variable((1, 4), label=label) for label in ("mean", "offset", "scale"))
    graph = net.done(net.batch_normalization(net.conv(x, weights, *own), mean, variance, offset, scale, epsilon=1e-5))
    assert fold_affine(graph) == 1
    (conv,) = (op for op in graph.operations if op.type == "conv")
    assert labels_of(conv) == ["filter", bias or "offset"]


@pytest.mark.parametrize(
    ("kind", "shared", "expected"),
    [("add", False, ["c"]), ("sub", False, ["c"]), ("add", True, ["variable1"]), ("mul", False, [None])],
)
def test_names_of_constants_that_become_a_bias(net: Net, kind: str, shared: bool, expected: list[Any]) -> None:
    """Only if nothing else uses them. A factor makes no bias."""
    constant = net.variable((1, 6), label="c")
    y = net.op(kind, net.linear(net.external(2, 4), net.variable((6, 4), label="w")), constant)
    graph = net.done(y, *([net.neg(constant)] if shared else []))
    assert fold_affine(graph) == 1
    (linear,) = (op for op in graph.operations if op.type == "linear")
    assert labels_of(linear) == ["w", *expected]


def test_weights_that_are_an_output_are_not_changed(net: Net) -> None:
    weights = net.variable((6, 4))
    check(net.done(net.mul(net.linear(net.external(2, 4), weights), 2.0), weights), fold_affine, ["linear"])


def test_weights_with_the_label_of_others_are_not_changed(net: Net) -> None:
    first, second = net.variable(np.ones((6, 4), np.float32), label="w"), net.variable((6, 4), label="W")
    second.data = first.data
    x = net.external(2, 4)
    graph = net.done(net.mul(net.linear(x, first), 2.0), net.linear(x, second))
    assert fold_affine(graph) == 1
    assert first.data[0, 0] == 1


def test_arrays_are_not_changed_in_place(net: Net) -> None:
    weights = net.variable((6, 4))
    data = weights.data
    original = data.copy()
    graph = net.done(net.mul(net.linear(net.external(2, 4), weights), 2.0))
    assert fold_affine(graph) == 1
    assert np.array_equal(data, original) and np.array_equal(weights.data, original * 2)


def test_half_precision_weights_stay_half(net: Net) -> None:
    weights = net.variable(np.ones((6, 4), np.float16))
    graph = net.done(net.mul(net.linear(net.external(2, 4), weights), 2.0))
    check(graph, fold_affine, ["linear"])
    assert weights.data.dtype == np.float16 and weights.dtype is np.float16


def test_constant_operations_become_variables(net: Net) -> None:
    weights = net.constant(np.arange(8), 2, 4)
    check(net.done(net.mul(net.linear(net.external(3, 4), weights), 2.0)), fold_affine, ["linear"])


def test_half_precision_weights_become_single_where_they_would_be_rounded(net: Net) -> None:
    """What is stored in half precision is computed in float32, before and after."""
    weights = net.variable(np.linspace(0.1, 1, 24, dtype=np.float16).reshape(6, 4))
    exact = np.asarray(weights.data, np.float64) * 1.1
    graph = net.done(net.mul(net.linear(net.external(2, 4), weights), 1.1))
    check(graph, fold_affine, ["linear"])
    assert weights.data.dtype == np.float32
    np.testing.assert_allclose(weights.data, exact, rtol=1e-6)

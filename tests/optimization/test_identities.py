"""Operations that change nothing: structure, numbers and validity, and what must stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.optimization.nnef.identities import remove_identities

from .net import Net, check, types

WINDOW = {"border": "ignore", "padding": [(0, 0)] * 4, "stride": [1] * 4, "dilation": [1] * 4, "size": [1] * 4}

IDENTITIES = {
    "copy": lambda n, x: n.copy(x),
    "transpose": lambda n, x: n.transpose(x, axes=[0, 1, 2]),
    "reshape": lambda n, x: n.reshape(x, shape=[2, -1, 0, 5]),
    "reshape part": lambda n, x: n.reshape(x, shape=[3, 4], axis_start=1, axis_count=2),
    "squeeze": lambda n, x: n.squeeze(x, axes=[]),
    "unsqueeze": lambda n, x: n.unsqueeze(x, axes=[]),
    "pad": lambda n, x: n.pad(x, padding=[(0, 0)] * 4, border="reflect"),
    "slice": lambda n, x: n.slice(x, axes=[1, 2], begin=[0, -4], end=[3, 0], stride=[]),
    "slice beyond": lambda n, x: n.slice(x, axes=[1], begin=[-3], end=[9], stride=[1]),
    "concat": lambda n, x: n.concat([x], axis=1),
    "split": lambda n, x: n.split(x, axis=1, ratios=[3])[0],
    "add_n": lambda n, x: n.add_n([x]),
    "tile": lambda n, x: n.tile(x, repeats=[1] * 4),
    "cast": lambda n, x: n.cast(x, dtype=np.float32),
    "mul 1": lambda n, x: n.mul(x, 1.0),
    "1 mul": lambda n, x: n.mul(1.0, x),
    "mul ones": lambda n, x: n.mul(x, n.variable(np.ones((1, 3), np.float32))),
    "mul constant": lambda n, x: n.mul(n.constant([1.0], 1, 3), x),
    "div": lambda n, x: n.div(x, 1.0),
    "pow": lambda n, x: n.pow(x, 1.0),
    "add": lambda n, x: n.add(x, 0.0),
    "0 add": lambda n, x: n.add(n.variable(np.zeros((2, 3, 4, 5), np.float32)), x),
    "sub": lambda n, x: n.sub(x, 0.0),
    "box": lambda n, x: n.box(x, normalize=True, **WINDOW),
    "box automatic": lambda n, x: n.box(x, **{**WINDOW, "padding": [], "stride": []}),
    "debox": lambda n, x: n.debox(x, output_shape=[2, 3, 4, 5], **WINDOW),
    "max_pool": lambda n, x: n.max_pool(x, **WINDOW),
    "avg_pool": lambda n, x: n.avg_pool(x, **WINDOW),
    "nearest_downsample": lambda n, x: n.nearest_downsample(x, factor=[1, 1]),
    "area_downsample": lambda n, x: n.area_downsample(x, factor=[1, 1]),
    "nearest_upsample": lambda n, x: n.nearest_upsample(x, factor=[1, 1]),
    "multilinear_upsample": lambda n, x: n.multilinear_upsample(x, factor=[1, 1], method="aligned"),
    "sum_reduce": lambda n, x: n.sum_reduce(x, axes=[]),
    "mean_reduce of ones": lambda n, x: n.mean_reduce(n.sum_reduce(x, axes=[1, 2]), axes=[1, 2]),
    "max_reduce of ones": lambda n, x: n.max_reduce(n.sum_reduce(x, axes=[1, 2]), axes=[2]),
}  # fmt: skip


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES.keys())
def test_identity_in_the_middle(net: Net, identity: Callable[..., Any]) -> None:
    y = identity(net, net.neg(net.external(2, 3, 4, 5)))
    graph = net.done(net.exp(y))
    expected = [type for type in types(graph) if type in ("neg", "exp", "sum_reduce")]
    check(graph, remove_identities, expected if y.shape != (2, 3, 4, 5) else ["neg", "exp"])


def test_all_is_a_reduction_too(net: Net) -> None:
    x = net.external(2, 1, dtype=np.bool_)
    y = getattr(net, "not")(net.all_reduce(net.any_reduce(x, axes=[1], dtype=np.bool_), axes=[], dtype=np.bool_))
    y.dtype = np.bool_
    check(net.done(y), remove_identities, ["not"])


NOT_IDENTITIES = {
    "transpose": lambda n, x: n.transpose(x, axes=[1, 0]),
    "reshape": lambda n, x: n.reshape(x, shape=[2, 12]),
    "unsqueeze": lambda n, x: n.unsqueeze(x, axes=[0]),
    "pad": lambda n, x: n.pad(x, padding=[(0, 0), (0, 1), (0, 0)]),
    "slice reversed": lambda n, x: n.slice(x, axes=[1], begin=[-1], end=[-4], stride=[-1]),
    "slice": lambda n, x: n.slice(x, axes=[1], begin=[0], end=[2], stride=[1]),
    "concat": lambda n, x: n.concat([x, x], axis=1),
    "stack": lambda n, x: n.stack([x], axis=1),
    "tile": lambda n, x: n.tile(x, repeats=[1, 2, 1]),
    "cast": lambda n, x: n.cast(x, dtype=np.int64),
    "mul": lambda n, x: n.mul(x, n.variable(np.array([[1, 1, 2]], np.float32))),
    "mul extends the rank": lambda n, x: n.mul(x, n.variable(np.ones((1, 1, 1, 1), np.float32))),
    "add extends an extent": lambda n, x: n.add(n.sum_reduce(x, axes=[1]), n.variable(np.zeros((1, 3), np.float32))),
    "1 div": lambda n, x: n.div(1.0, x),
    "1 pow": lambda n, x: n.pow(1.0, x),
    "0 sub": lambda n, x: n.sub(0.0, x),
    "unknown": lambda n, x: n.mul(x, n.external(1, 3)),
    "box": lambda n, x: n.box(x, size=[1, 1, 1], stride=[1, 1, 2]),
    "box with padding": lambda n, x: n.box(x, size=[1, 1, 1], padding=[(0, 0), (0, 0), (0, 1)]),
    "rms_pool": lambda n, x: n.rms_pool(x, size=[1, 1, 1]),
    "sum_reduce": lambda n, x: n.sum_reduce(x, axes=[1]),
    "argmax_reduce of ones": lambda n, x: n.argmax_reduce(n.sum_reduce(x, axes=[1]), axes=[1], dtype=np.int64),
}


@pytest.mark.parametrize("other", NOT_IDENTITIES.values(), ids=NOT_IDENTITIES.keys())
def test_what_is_no_identity_stays(net: Net, other: Callable[..., Any]) -> None:
    y = other(net, net.neg(net.external(2, 3, 4)))
    if y.producer.type == "cast":
        y.dtype = np.int64
    graph = net.done(y)
    check(graph, remove_identities, types(graph))


def test_a_variable_that_is_updated_is_no_constant(net: Net) -> None:
    x = net.external(1, 3)
    one = net.variable(np.ones((1, 3), np.float32))
    graph = net.done(net.mul(x, one), net.update(one, x))
    assert remove_identities(graph) == 0


def test_an_output_keeps_its_name(net: Net) -> None:
    check(net.done(net.copy(net.neg(net.external(2)), name="y")), remove_identities, ["neg"])


def test_consumers_of_the_source_use_the_output(net: Net) -> None:
    source = net.neg(net.external(2))
    check(net.done(net.copy(source), net.exp(source)), remove_identities, ["neg", "exp"])


def test_a_copy_of_an_input_stays_if_it_is_an_output(net: Net) -> None:
    check(net.done(net.copy(net.external(2))), remove_identities, ["copy"])


def test_any_identity_of_an_input_becomes_a_copy_if_it_is_an_output(net: Net) -> None:
    check(net.done(net.mul(net.external(2), 1.0)), remove_identities, ["copy"])


def test_a_copy_between_two_outputs_stays(net: Net) -> None:
    source = net.neg(net.external(2))
    check(net.done(source, net.copy(source)), remove_identities, ["neg", "copy"])


def test_a_copy_of_a_variable_stays_if_it_is_an_output(net: Net) -> None:
    graph = net.done(net.copy(net.variable((2,))), net.neg(net.external(2)))
    check(graph, remove_identities, ["copy", "neg"])


def test_a_split_of_one_that_is_an_output_of_an_input_becomes_a_copy(net: Net) -> None:
    graph = net.done(*net.split(net.external(2), axis=0, ratios=[1]))
    check(graph, remove_identities, ["copy"])
    assert isinstance(graph.operations[-1].outputs, tuple)


QUANT = {"op-name": "zero_point_linear_quantize", "zero_point": 0, "scale": 0.5, "bits": 8}


def test_a_quantized_result_stays(net: Net) -> None:
    y = net.copy(net.neg(net.external(2)))
    y.quant = dict(QUANT)
    check(net.done(net.exp(y)), remove_identities, ["neg", "copy", "exp"])


def test_the_quantization_of_the_source_moves_to_an_output(net: Net) -> None:
    source = net.neg(net.external(2))
    source.quant = dict(QUANT)
    graph = net.done(net.copy(source))
    check(graph, remove_identities, ["neg"])
    assert graph.outputs[0].quant == QUANT


def test_unknown_shapes_are_no_identity(net: Net) -> None:
    x = net.neg(net.external(2, 3))
    y = net.reshape(x, shape=[2, 3])
    graph = net.done(net.exp(y))
    x.shape = y.shape = None
    assert remove_identities(graph) == 0

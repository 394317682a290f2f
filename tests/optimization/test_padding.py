"""pad goes into the convolution or pooling after it."""

from __future__ import annotations

from typing import Any

import pytest

from nnef_tools.model import Tensor
from nnef_tools.optimization.nnef.padding import fold_padding

from .net import Net, check

SPATIAL = [(0, 0), (0, 0), (1, 2), (0, 1)]
FULL = [(0, 0), (1, 0), (1, 2), (0, 1)]
NONE = [(0, 0)] * 4
OWN = [(0, 0), (0, 0), (1, 0), (2, 1)]


def window(
    n: Net,
    type: str,
    x: Tensor,
    padding: list[tuple[int, ...]],
    border: str = "constant",
    size: tuple[int, ...] = (1, 1, 3, 2),
) -> Tensor:
    if type == "conv":
        return n.conv(x, n.variable((4, x.shape[1], 3, 2)), padding=padding[2:], border=border, stride=[2, 1])
    if type == "separable_conv":
        filters = n.variable((x.shape[1], 1, 3, 2)), n.variable((4, x.shape[1], 1, 1))
        return n.separable_conv(x, *filters, padding=padding[2:], border=border)
    extra = {"normalize": True} if type == "box" else {}
    y = n.op(type, x, size=list(size), padding=padding, border=border, stride=[1, 1, 2, 1], **extra)
    return y[0] if type == "max_pool_with_index" else y


CONVOLUTIONS = ("conv", "separable_conv")
POOLS = ("box", "avg_pool", "max_pool", "rms_pool", "max_pool_with_index")


@pytest.mark.parametrize("border", ["constant", "replicate", "reflect", "reflect-even"])
@pytest.mark.parametrize("type", [*CONVOLUTIONS, *POOLS])
def test_window_without_padding_takes_over_padding_and_border(net: Net, type: str, border: str) -> None:
    x = net.pad(net.external(2, 3, 6, 5), padding=SPATIAL, border=border)
    graph = net.done(net.exp(net.neg(net.abs(window(net, type, x, NONE)))))
    check(graph, fold_padding, [type, "abs", "neg", "exp"])
    operation = next(op for op in graph.operations if op.type == type)
    assert operation.attribs["border"] == border
    assert operation.attribs["padding"] == (SPATIAL[2:] if type in CONVOLUTIONS else SPATIAL)


@pytest.mark.parametrize("type", POOLS)
def test_the_border_of_a_pool_without_padding_did_not_matter(net: Net, type: str) -> None:
    x = net.pad(net.external(2, 3, 6, 5), padding=FULL)
    graph = net.done(window(net, type, x, NONE, border="ignore", size=(1, 2, 3, 2)))
    check(graph, fold_padding, [type])


@pytest.mark.parametrize("type", [*CONVOLUTIONS, *POOLS])
def test_zeros_add_up(net: Net, type: str) -> None:
    x = net.pad(net.external(2, 3, 6, 5), padding=SPATIAL)
    graph = net.done(window(net, type, x, OWN))
    check(graph, fold_padding, [type])
    padding = [(0, 0), (0, 0), (2, 2), (2, 2)]
    assert graph.operations[-1].attribs["padding"] == (padding[2:] if type in CONVOLUTIONS else padding)


STAY = {
    "channels of a conv": ("conv", {"padding": FULL}, NONE, "constant"),
    "another value": ("conv", {"padding": SPATIAL, "value": 1.0}, NONE, "constant"),
    "cropping": ("conv", {"padding": [(0, 0), (0, 0), (-1, 1), (0, 0)]}, NONE, "constant"),
    "automatic": ("conv", {"padding": SPATIAL}, [], "constant"),
    "automatic pool": ("avg_pool", {"padding": SPATIAL}, [], "constant"),
    "ignored and counted": ("avg_pool", {"padding": SPATIAL}, OWN, "ignore"),
    "edge and zeros": ("conv", {"padding": SPATIAL, "border": "replicate"}, OWN, "constant"),
    "zeros and edge": ("conv", {"padding": SPATIAL}, OWN, "replicate"),
    "reflection twice": ("conv", {"padding": SPATIAL, "border": "reflect"}, OWN, "reflect"),
}


@pytest.mark.parametrize(("type", "pad", "own", "border"), STAY.values(), ids=STAY.keys())
def test_other_paddings_stay(net: Net, type: str, pad: dict[str, Any], own: list[tuple[int, ...]], border: str) -> None:
    graph = net.done(window(net, type, net.pad(net.external(2, 3, 6, 5), **pad), own, border))
    check(graph, fold_padding, ["pad", type])


def test_fork(net: Net) -> None:
    t = net.pad(net.external(2, 3, 6, 5), padding=SPATIAL)
    check(net.done(window(net, "conv", t, NONE), net.exp(t)), fold_padding, ["pad", "conv", "exp"])


def test_output_in_the_middle(net: Net) -> None:
    t = net.pad(net.external(2, 3, 6, 5), padding=SPATIAL)
    check(net.done(window(net, "conv", t, NONE), t), fold_padding, ["pad", "conv"])


def test_padded_filters_stay(net: Net) -> None:
    filters = net.pad(net.external(2, 3, 2, 2), padding=SPATIAL)
    check(net.done(net.conv(net.external(2, 3, 6, 5), filters, padding=NONE[2:])), fold_padding, ["pad", "conv"])


def test_an_input_that_is_the_filter_as_well_stays(net: Net) -> None:
    t = net.pad(net.external(3, 3, 4, 4), padding=[(0, 0), (0, 0), (1, 1), (1, 1)])
    check(net.done(net.conv(t, t, padding=NONE[2:])), fold_padding, ["pad", "conv"])

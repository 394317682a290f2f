"""Idioms are recognized on NNEF graphs, for targets that want them; what they stand for goes if nothing needs it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nnef_tools.model import Graph
from nnef_tools.optimization.nnef import idioms
from nnef_tools.optimization.nnef.idioms import IDIOMS, with_idioms

from ..support.nnef_models import nnef_graph

SIGMOID = "x = external(shape = [2, 3]); a = mul(x, 0.5); b = add(a, 0.5); y = clamp(b, 0.0, 1.0);"
LAYER = (
    "x = external(shape = [2, 4]); s = constant(shape = [1, 4], value = [2.0, 1.0, 3.0, 4.0]); {moments} "
    "n = mul(sub(x, m), {inverse}); u = mul(n, s); y = add(u, s);"
)
INVERSE = "rsqrt(add(v, 0.001))"
BLOCKS = "x = external(shape = {}); y = reshape(transpose(reshape(x, shape = {}), axes = {}), shape = {});"


def types(graph: Graph) -> list[str]:
    return [str(op.type) for op in graph.operations if op.type not in ("external", "constant")]


def recognized(body: str, outputs: Sequence[str] = ("y",)) -> list[str]:
    return types(with_idioms(nnef_graph(body, outputs), IDIOMS))


def test_the_graph_itself_stays_as_it_is() -> None:
    graph = nnef_graph(SIGMOID)
    result = with_idioms(graph, IDIOMS)
    assert types(graph) == ["mul", "add", "clamp"]
    assert types(result) == [idioms.HARD_SIGMOID]
    assert result.operations[-1].attribs == {"alpha": 0.5, "beta": 0.5}
    assert [t.name for t in result.tensors if t.name] == ["x", "y"]


def test_only_what_a_target_wants() -> None:
    graph = nnef_graph(SIGMOID)
    assert with_idioms(graph, [idioms.PIXEL_SHUFFLE]) is graph


@pytest.mark.parametrize("kept", ["mul", "add", "clamp"])
def test_what_plugins_convert_stays(kept: str) -> None:
    graph = nnef_graph(SIGMOID)
    assert with_idioms(graph, IDIOMS, {kept}) is graph


@pytest.mark.parametrize("name", ["a", "b"])
def test_rounded_intermediate_results_stay(name: str) -> None:
    graph = nnef_graph(SIGMOID)
    next(t for t in graph.tensors if t.name == name).quant = {"op-name": "linear_quantize", "bits": 8}
    assert with_idioms(graph, IDIOMS) is graph


def test_double_precision_stays() -> None:
    graph = nnef_graph(SIGMOID)
    for tensor in graph.tensors:
        tensor.dtype = np.float64
    graph.operations[0].attribs["dtype"] = np.float64
    assert with_idioms(graph, IDIOMS) is graph


def test_intermediate_results_that_are_used_stay() -> None:
    assert recognized(SIGMOID, ["y", "a"]) == ["mul", idioms.HARD_SIGMOID]


@pytest.mark.parametrize(
    "moments",
    [
        "m, v = moments(x, axes = [1]);",
        "m = mean_reduce(x, axes = [1]); v = mean_reduce(sqr(sub(x, m)), axes = [1]);",
        "m = sum_reduce(x, axes = [1], normalize = true); d = sub(x, m); v = mean_reduce(pow(d, 2.0), axes = [1]);",
        "m = mean_reduce(x, axes = [1]); k, v = moments(x, axes = [1]);",
    ],
)
@pytest.mark.parametrize("inverse", [INVERSE, "rcp(sqrt(add(0.001, v)))"])
def test_layer_normalization(moments: str, inverse: str) -> None:
    assert recognized(LAYER.format(moments=moments, inverse=inverse)) == [idioms.LAYER_NORMALIZATION]


@pytest.mark.parametrize(
    "moments",
    [
        "m, v = moments(x, axes = [0]);",
        "v, m = moments(x, axes = [1]);",
        "m = sum_reduce(x, axes = [1]); k, v = moments(x, axes = [1]);",
        "m = mean_reduce(x, axes = [1]); v = mean_reduce(pow(sub(x, m), 3.0), axes = [1]);",
        "m = mean_reduce(x, axes = [1]); v = mean_reduce(sqr(sub(m, x)), axes = [1]);",
    ],
)
def test_what_is_no_layer_normalization(moments: str) -> None:
    assert idioms.LAYER_NORMALIZATION not in recognized(LAYER.format(moments=moments, inverse=INVERSE))


@pytest.mark.parametrize(
    ("type", "parts"),
    [
        (idioms.PIXEL_SHUFFLE, ([1, 8, 3, 5], [1, 2, 2, 2, 3, 5], [0, 1, 4, 2, 5, 3], [1, 2, 6, 10])),
        (idioms.DEPTH_TO_SPACE, ([1, 12, 3, 5], [1, 2, 2, 3, 3, 5], [0, 3, 4, 1, 5, 2], [1, 3, 6, 10])),
        (idioms.SPACE_TO_DEPTH, ([1, 3, 6, 10], [1, 3, 3, 2, 5, 2], [0, 3, 5, 1, 2, 4], [1, 12, 3, 5])),
        (idioms.DEPTH_TO_SPACE_NHWC, ([1, 3, 5, 12], [1, 3, 5, 2, 2, 3], [0, 1, 3, 2, 4], [1, 6, 10, 3])),
        (idioms.SPACE_TO_DEPTH_NHWC, ([1, 6, 10, 3], [1, 3, 2, 5, 2, 3], [0, 1, 3, 2, 4], [1, 3, 5, 12])),
        ("reshape", ([1, 3, 5, 12], [1, 3, 5, 2, 2, 3], [0, 1, 3, 2, 4], [1, 10, 6, 3])),
        ("reshape", ([1, 3, 5, 12], [1, 3, 5, 2, 3, 2], [0, 1, 3, 2, 4], [1, 6, 15, 2])),
    ],
)
def test_moved_blocks(type: str, parts: tuple[list[int], ...]) -> None:
    assert recognized(BLOCKS.format(*parts))[-1] == type


def test_indices_of_elements_may_be_negative_for_all_targets() -> None:
    start = "x = external(shape = [4, 3]); i = external<integer>(shape = [2, 3]); r = cast<scalar>(i); "
    wrapped = f"{start} p = cast<integer>(select(lt(r, 0.0), add(r, 4.0), r)); "
    elements = nnef_graph(f"{wrapped} y = gather_elements(x, p, axis = 0);")
    assert types(with_idioms(elements, ())) == ["gather_elements"]
    graph = nnef_graph(f"{wrapped} y = gather(x, p, axis = 0);")
    assert with_idioms(graph, ()) is graph
    assert types(with_idioms(graph, IDIOMS)) == [idioms.SIGNED_GATHER]

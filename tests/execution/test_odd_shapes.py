"""Operations on shapes and with attributes at the edge of what is legal: all backends give what numpy gives."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import NnefToolsError
from nnef_tools.execution import make_executor

from ..support.nnef_cases import ROIS
from ..support.nnef_models import inputs_for, nnef_graph

BACKENDS = ("torch", "onnxruntime")
SHAPES = ([], [1], [3], [2, 3], [2, 1, 3], [1, 2, 1, 1], [1, 1, 2, 3, 2], [1, 1, 2, 1, 2, 2])
BORDERS = ("constant", "replicate", "reflect", "reflect-even", "ignore")
REGIONS = [[0, 0, 6, 5], [-5, -5, -1, -1], [7, 7, 20, 20], [-3, 2, 8, 3], [1.2, 0.6, 4.4, 4.7], [5, 5, 2, 2],
           [2, 2, 2, 2], [-99, -99, 99, 99]]  # fmt: skip


def agree(body: str, **feeds: Any) -> None:
    """torch and onnxruntime compute the same; nothing is compared if that is not legal."""
    try:
        graph = nnef_graph(body)
    except NnefToolsError:
        return
    given = {**inputs_for(graph), **feeds}
    expected = make_executor(graph, backend="numpy").run(given)["y"]
    for backend in BACKENDS:
        actual = make_executor(graph, backend=backend).run(given)["y"]
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), (body, backend)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4, err_msg=f"{body} {backend}")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_moves_and_reductions(shape: list[int]) -> None:
    x, rank = f"x = external(shape = {shape}); ", len(shape)
    every = list(range(rank))
    for axes in ([], every, every[::-1], every[-1:]):
        for call in ("transpose", "squeeze", "unsqueeze", "sum_reduce", "max_reduce", "argmax_reduce", "softmax"):
            agree(f"{x} y = {call}(x, axes = {axes});")
        zeros, step = [0] * len(axes), [7] * len(axes)
        agree(f"{x} y = slice(x, axes = {axes}, begin = {zeros}, end = {[1] * len(axes)}, stride = {step});")
    calls = (
        "reshape(x, shape = [-1])",
        "reshape(x, shape = [1], axis_count = 0)",
        f"tile(x, repeats = {[2] * rank})",
        "stack([x, x], axis = 0)",
        "select(lt(x, 0.0), x, 0.5)",
        "clamp(0.3, x, 0.5)",
        "add_n([x])",
    )
    for call in calls:
        agree(f"{x} y = {call};")


@pytest.mark.parametrize("border", BORDERS[:4])
def test_paddings_that_crop(border: str) -> None:
    """Also all that there is, and more."""
    for shape, pair in product(SHAPES[1:5], [(5, 5), (1, -1), (-1, 1), (2, -2), (-9, 9), (-1, 0)]):
        for pairs in ([pair] * len(shape), [(0, 0)] * (len(shape) - 1) + [pair]):
            agree(f"x = external(shape = {shape}); y = pad(x, padding = {pairs}, border = '{border}');")


def test_cropped_away_by_hand() -> None:
    graph = nnef_graph(
        "x = external(shape = [1]); y = pad(x, padding = [(2, -2)], border = 'replicate'); "
        "z = pad(x, padding = [(-3, 4)], border = 'constant', value = 0.5);",
        ["y", "z"],
    )
    for backend in ("numpy", *BACKENDS):
        results = make_executor(graph, backend=backend).run({"x": np.asarray([3], np.float32)})
        assert (results["y"].tolist(), results["z"].tolist()) == ([3], [0.5, 0.5])


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("call", ["box", "max_pool", "avg_pool", "argmax_pool", "debox"])
def test_windows(call: str, border: str) -> None:
    """Larger than the input, with strides that are, in all dimensions."""
    for shape in SHAPES[1:6]:
        ones = [1] * len(shape)
        for size, stride, dilation, pair in ((2, 5, 1, None), (2, 1, 3, None), (1, 7, 1, (0, 0)), (1, 1, 1, (2, 2))):
            window = f"size = {[size * n for n in ones]}, stride = {[stride * n for n in ones]}"
            window += f", dilation = {[dilation * n for n in ones]}, border = '{border}'"
            window += "" if pair is None else f", padding = {[pair for _ in ones]}"
            agree(f"x = external(shape = {shape}); y = {call}(x, {window});")


@pytest.mark.parametrize("call", ["conv", "deconv"])
def test_convolutions_over_four_dimensions(call: str) -> None:
    filters = "w = external(shape = [2, 2, 2, 1, 2, 1]); "
    for attribs in ("padding = []", "stride = [2, 1, 1, 1], padding = [(1, 0), (0, 0), (1, 1), (0, 0)]"):
        agree(f"x = external(shape = [1, 2, 3, 1, 2, 2]); {filters} y = {call}(x, w, 0.3, {attribs});")


def test_desampling_over_four_dimensions() -> None:
    window = "size = [2, 2, 2, 2], stride = [2, 2, 2, 2], border = 'constant'"
    agree(
        f"x = external(shape = [2, 2, 4, 4]); y = desample(max_pool(x, {window}), argmax_pool(x, {window}), {window});"
    )


def test_normalization_across_channels() -> None:
    """onnxruntime knows it for images only."""
    for shape in ([2, 3], [1, 4, 5], [1, 4, 2, 3, 2]):
        size = [1, 3] + [1] * (len(shape) - 2)
        agree(f"x = external(shape = {shape}); y = local_response_normalization(x, size = {size}, alpha = 0.5);")


@pytest.mark.parametrize("extents", [[6, 5], [1, 1], [3, 1]])
@pytest.mark.parametrize("size", [[1, 1], [2, 3], [7, 7]])
def test_regions_beyond_the_image(extents: list[int], size: list[int]) -> None:
    regions = ROIS.replace("4, 4", "8, 4").replace("[4]", "[8]")
    inputs = f"x = external(shape = [2, 3, {extents[0]}, {extents[1]}]); {regions}"
    feeds = {"r": np.asarray(REGIONS, np.float32), "j": np.arange(8) % 2}
    for call in ("avg_roi_pool", "max_roi_pool", "roi_resample"):
        agree(f"{inputs} y = {call}(x, r, j, output_size = {size});", **feeds)
    for call in ("avg_roi_align", "max_roi_align"):
        agree(f"{inputs} y = {call}(x, r, j, output_size = {size}, sampling_rate = [2, 1]);", **feeds)

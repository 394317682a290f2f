"""NNEF to ONNX: resampling in all modes, by all factors: onnxruntime runs it and takes the elements that are meant."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nnef_tools.ops.resize import COORDINATE_MODES, NEAREST_MODES

from ...support.nnef_models import nnef_graph
from ...support.onnx_models import run_onnx
from .checks import check_back, to_onnx

SIZES = [
    ([1, 2, 5, 6], [5, 9]),  # an axis that keeps its size
    ([1, 2, 5, 6], [10, 6]),
    ([1, 2, 5, 6], [3, 4]),
    ([1, 2, 5, 6], [5, 6]),
    ([1, 2, 1, 6], [4, 1]),
    ([1, 2, 6], [9]),
    ([1, 2, 7], [1]),
    ([1, 2, 9], [21]),
    ([6], [4]),
    ([1, 1, 3, 4, 5], [3, 8, 2]),
    ([1, 2, 2, 3, 2, 2], [4, 3, 3, 2]),
    ([2, 2, 4, 4], [4, 4, 4]),
]
MODES = [
    *(f"mode = 'nearest', nearest_mode = '{mode}'" for mode in NEAREST_MODES),
    "mode = 'linear'",
    "mode = 'linear', antialias = true",
    "mode = 'cubic'",
    "mode = 'cubic', exclude_outside = true",
]


@pytest.mark.parametrize("coordinates", COORDINATE_MODES)
@pytest.mark.parametrize("mode", MODES)
def test_resize(mode: str, coordinates: str) -> None:
    for (shape, size), scaled in product(SIZES, (False, True)):
        cropped = coordinates == "tf_crop_and_resize"
        if cropped and (scaled or "nearest" in mode or "antialias" in mode):
            continue
        attribs = f"output_size = {size}, {mode}, coordinate_mode = '{coordinates}'"
        if cropped:
            attribs += f", roi = {[0.1] * len(size) + [1.3] * len(size)}, extrapolation_value = 5.0"
        if scaled:
            attribs += f", scales = {[n / m for n, m in zip(size, shape[-len(size) :], strict=True)]}"
        check_back(nnef_graph(f"x = external(shape = {shape}); y = resize(x, {attribs});"))


def test_an_axis_that_keeps_its_size_by_hand() -> None:
    """As in onnxruntime, it stays; the formula of tf_half_pixel_for_nn would move it by half an element."""
    graph = nnef_graph(
        "x = external(shape = [1, 1, 2, 2]); y = resize(x, output_size = [2, 4], mode = 'nearest', "
        "coordinate_mode = 'tf_half_pixel_for_nn', nearest_mode = 'ceil');"
    )
    x = np.asarray([[[[1, 2], [3, 4]]]], np.float32)
    model = check_back(graph, {"x": x})
    assert run_onnx(model, {"x": x})[0].tolist() == [[[[2, 2, 2, 2], [4, 4, 4, 4]]]]


def test_operators() -> None:
    """Resize wherever it does the same."""
    for shape, attribs, ops in (
        ([1, 2, 4, 4], "output_size = [8, 8], mode = 'cubic'", ["Resize"]),
        ([1, 2, 4], "output_size = [8], mode = 'linear'", ["Resize"]),
        ([1, 2, 4], "output_size = [8], mode = 'cubic'", ["Gather", "Mul", "ReduceSum", "Squeeze"]),
        ([1, 2, 4, 4], "output_size = [8, 4], coordinate_mode = 'asymmetric', nearest_mode = 'floor'", ["Resize"]),
        ([1, 2, 4, 4], "output_size = [8, 4], nearest_mode = 'floor'", ["Gather"]),
    ):
        _, model = to_onnx(nnef_graph(f"x = external(shape = {shape}); y = resize(x, {attribs});"))
        assert [node.op_type for node in model.graph.node] == ops


@pytest.mark.parametrize("align", ["true", "false"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_grid_sample_halfway_and_far_outside(mode: str, padding: str, align: str) -> None:
    """Places at elements, between them, and halfway, in which runtimes round in float32."""
    rng = np.random.default_rng(0)
    for spatial in ([4, 5], [1, 6], [1, 1], [2, 3], *([[3, 4, 5]] if mode != "cubic" else [])):
        axes = []
        for n in spatial:
            place = np.arange(-2 * n - 2, 3 * n + 2, 0.25)
            far = [77.77, 1e3, -1e3]
            axes.append([*((2 * place + 1) / n - 1 if align == "false" else 2 * place / max(n - 1, 1) - 1), *far])
        points = np.stack([rng.choice(axis, 600) for axis in axes[::-1]], axis=-1).astype(np.float32)
        grid = points.reshape([1, *[1] * (len(spatial) - 1), 600, len(spatial)])
        x = np.arange(1, np.prod(spatial) + 1, dtype=np.float32).reshape([1, 1, *spatial])
        graph = nnef_graph(
            f"x = external(shape = {list(x.shape)}); g = external(shape = {list(grid.shape)}); "
            f"y = grid_sample(x, g, mode = '{mode}', padding_mode = '{padding}', align_corners = {align});"
        )
        check_back(graph, {"x": x, "g": grid}, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", ["true", "false"])
def test_grid_sample_of_lines(mode: str, padding: str, align: str) -> None:
    graph = nnef_graph(
        "x = external(shape = [2, 3, 7]); g = external(shape = [2, 5, 1]);"
        f"y = grid_sample(x, g, mode = '{mode}', padding_mode = '{padding}', align_corners = {align});"
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 7)).astype(np.float32)
    check_back(graph, {"x": x, "g": np.asarray([-1.4, -0.9, 0.1, 0.3, 1.2] * 2, np.float32).reshape(2, 5, 1)})

"""NNEF to TensorFlow: every standard operation and custom fragment over a matrix of attributes, run by TensorFlow."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from nnef_tools.conversion.nnef_to_tf import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.ops.fragments import extension_fragments, helper_fragments

from ...support.nnef_cases import ALL, BORDERS, CUSTOM, RECURRENT, REGIONS, ROI_CASES, ROIS, SEVERAL, I, V, X
from ...support.nnef_models import inputs_for, nnef_graph
from .checks_back import check_back

pytest.importorskip("tensorflow", reason="TensorFlow runs the converted models")

D = "x = external(shape = [2, 4, 5, 6, 3]); "
Y = "x = external(shape = [2, 4, 7]); "
Q = "x = external(shape = [2, 4, 7, 5]); "
SAMPLES = "g = external(shape = [2, 4, 3, 2]); "

CONVOLUTIONS = [
    *(
        (Y + "w = external(shape = [6, 4, 3]); k = external(shape = [1, 6]); ", f"conv(x, w, k, {window})")
        for window in ("stride = [2]", "padding = [(0, 0)], dilation = [2]", "padding = [(2, 1)], stride = [3]")
    ),
    (Y + "w = external(shape = [8, 1, 3]); ", "conv(x, w, groups = 4, stride = [2])"),
    (Y + "w = external(shape = [8, 1, 3]); ", "conv(x, w, groups = 4, dilation = [2])"),
    (Q + "w = external(shape = [6, 2, 3, 2]); ", "conv(x, w, groups = 2, stride = [1, 2], dilation = [2, 1])"),
    (Q + "w = external(shape = [6, 2, 3, 2]); ", "conv(x, w, groups = 2, padding = [(1, 0), (2, 1)])"),
    *(
        (
            Q + "w = external(shape = [8, 1, 3, 2]); k = external(shape = [1, 8]); ",
            f"conv(x, w, k, groups = 0, {window})",
        )
        for window in ("stride = [2, 2]", "stride = [1, 2]", "dilation = [2, 1]", "padding = [(1, 2), (0, 1)]")
    ),
    ("x = external(shape = [2, 1, 7, 5]); w = external(shape = [3, 1, 3, 2]); ", "conv(x, w, groups = 0)"),
    *(
        (D + "w = external(shape = [6, 4, 3, 2, 2]); k = external(shape = [1, 6]); ", f"conv(x, w, k, {window})")
        for window in (
            "stride = [2, 1, 2]",
            "padding = [(1, 0), (0, 1), (1, 1)]",
            "dilation = [2, 3, 1]",
            "border = 'replicate', padding = [(1, 0), (0, 1), (1, 1)]",
        )
    ),
    (D + "w = external(shape = [6, 2, 3, 2, 2]); ", "conv(x, w, groups = 2)"),
    (Q + "w = constant(shape = [6, 4, 3, 2], value = [0.5]); ", "conv(x, w, 1.5)"),
    # transposed
    *(
        (Y + "w = external(shape = [4, 6, 3]); k = external(shape = [1, 6]); ", f"deconv(x, w, k, {window})")
        for window in ("stride = [2]", "padding = [(0, 0)], dilation = [2]", "padding = [(2, 1)], stride = [3]")
    ),
    (Y + "w = external(shape = [4, 1, 3]); ", "deconv(x, w, groups = 4, stride = [2])"),
    (Q + "w = external(shape = [4, 3, 3, 2]); k = external(shape = [1, 6]); ", "deconv(x, w, k, groups = 2)"),
    *(
        (
            Q + "w = external(shape = [4, 1, 3, 2]); k = external(shape = [1, 4]); ",
            f"deconv(x, w, k, groups = 0, {window})",
        )
        for window in ("stride = [2, 2]", "stride = [1, 2]", "dilation = [2, 1]", "padding = [(1, 1), (0, 1)]")
    ),
    (Q + "w = external(shape = [4, 1, 3, 2]); ", "deconv(x, w, groups = 2, stride = [2, 2])"),
    *(
        (D + "w = external(shape = [4, 6, 3, 2, 2]); k = external(shape = [1, 6]); ", f"deconv(x, w, k, {window})")
        for window in (
            "stride = [2, 1, 2]",
            "padding = [(1, 0), (0, 1), (1, 1)]",
            "padding = [(0, 0), (0, 0), (0, 0)], dilation = [2, 2, 1]",
            "border = 'replicate', padding = [(1, 0), (0, 1), (1, 1)]",
        )
    ),
    (D + "w = external(shape = [4, 3, 3, 2, 2]); ", "deconv(x, w, groups = 2)"),
    *(
        (Q + "w = external(shape = [4, 6, 2, 2]); ", f"deconv(x, w, {window})")
        for window in (
            "padding = [(0, 0), (0, 0)], stride = [3, 3]",
            "padding = [(0, 0), (0, 0)], stride = [3, 3], output_shape = [2, 6, 22, 16]",
            "padding = [(0, -1), (-2, -1)], stride = [3, 3]",
            "stride = [3, 3], output_shape = [2, 6, 21, 15]",
            "stride = [3, 3], output_shape = [2, 6, 20, 14]",
        )
    ),
]
POOLS = [
    *(
        (declarations, f"{op}(x, {window}, border = '{border}')")
        for op, border in product(("max_pool", "avg_pool", "box"), ("constant", "ignore"))
        for declarations, window in (
            (Y, "size = [1, 1, 3], stride = [1, 1, 2]"),
            (Y, "size = [1, 1, 3], padding = [(0, 0), (0, 0), (1, 2)]"),
            (Y, "size = [1, 1, 7], padding = [(0, 0), (0, 0), (0, 0)]"),
            (Q, "size = [1, 1, 3, 3], padding = [(0, 0), (0, 0), (1, 1), (1, 1)], stride = [1, 1, 2, 2]"),
            (Q, "size = [1, 1, 7, 5], padding = [(0, 0), (0, 0), (0, 0), (0, 0)]"),
            (Q, "size = [1, 4, 1, 1], padding = [(0, 0), (0, 0), (0, 0), (0, 0)]"),
            (D, "size = [1, 1, 3, 2, 2], stride = [1, 1, 1, 2, 3]"),
            (D, "size = [1, 1, 3, 2, 2], padding = [(0, 0), (0, 0), (1, 0), (0, 1), (1, 1)]"),
        )
    ),
    (D, "argmax_pool(x, size = [1, 1, 2, 2, 2], border = 'ignore')"),
    (Y, "debox(x, size = [1, 1, 3], stride = [1, 1, 2])"),
    (D, "debox(x, size = [1, 1, 2, 3, 1], stride = [1, 1, 2, 1, 1])"),
]
RESAMPLING = [
    (Y, "nearest_upsample(x, factor = [7])"),
    (Q, "nearest_upsample(x, factor = [49, 1])"),
    (D, "nearest_upsample(x, factor = [2, 3, 2])"),
    (D, "nearest_downsample(x, factor = [5, 2, 3])"),
    (D, "area_downsample(x, factor = [5, 2, 3])"),
    *(
        (declarations, f"multilinear_upsample(x, {factor}, method = '{method}', border = '{border}')")
        for declarations, factor in ((Y, "factor = [3]"), (D, "factor = [2, 1, 3]"))
        for method, border in product(("symmetric", "asymmetric", "aligned"), BORDERS[:4])
    ),
    *(
        (Q, f"resize(x, output_size = [{size}], mode = '{mode}', coordinate_mode = '{coordinates}')")
        for size, mode, coordinates in product(
            ("9, 4", "3, 5", "1, 1"),
            ("nearest", "linear", "cubic"),
            ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
             "tf_half_pixel_for_nn"),
        )
    ),
    *(
        (Q, f"resize(x, output_size = [10, 4], nearest_mode = '{mode}')")
        for mode in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    (Q, "resize(x, output_size = [2, 4, 3, 9], mode = 'linear')"),
    (Q, "resize(x, output_size = [3, 5, 3, 9], mode = 'linear')"),
    (D, "resize(x, output_size = [3, 9, 2], mode = 'linear')"),
    (Q, "resize(x, output_size = [10, 4], scales = [1.5, 0.9], mode = 'linear')"),
    ("x = external(shape = [2, 1500, 2]); ", "resize(x, output_size = [1000, 2], mode = 'linear', antialias = true)"),
    (Q, "resize(x, output_size = [3, 4], mode = 'cubic', antialias = true, exclude_outside = true)"),
    (Q, "resize(x, output_size = [4, 4], mode = 'linear', coordinate_mode = 'tf_crop_and_resize', "
        "roi = [-0.2, 0.1, 0.7, 1.3], extrapolation_value = 7.0)"),
    *(
        (X + SAMPLES, f"grid_sample(x, g, mode = '{mode}', padding_mode = '{padding}', align_corners = {corners})")
        for mode, padding, corners in product(
            ("nearest", "linear", "cubic"), ("zeros", "border", "reflection"), ("true", "false")
        )
    ),
    ("x = external(shape = [2, 3, 3, 4, 5]); g = external(shape = [2, 2, 3, 4, 3]); ", "grid_sample(x, g)"),
]  # fmt: skip
INDICES = [
    (I, "cum_sum(i, axis = 1)"),
    (V, "cum_sum(x, axis = -2)"),
    *(
        (I + "j = external<integer>(shape = [2, 3]); ", f"bitwise_{name}(bitwise_not(i), j)")
        for name in ("and", "or", "xor")
    ),
    (I, "gather(i, i, axis = 1)"),
    (V + "i = external<integer>(shape = [2, 3, 4]); ",
     "gather_elements(x, cast<integer>(cast<scalar>(i) - 2.0), axis = 2)"),
    (V + "i = external<integer>(shape = [5, 2]); ", "gather_nd(x, cast<integer>(cast<scalar>(i) - 2.0))"),
    (V + "i = external<integer>(shape = [2, 3, 1]); ", "gather_nd(x, i, batch_dims = 1)"),
    *(
        (V + "i = external<integer>(shape = [2, 3, 1]); u = external(shape = [2, 3, 1]); ",
         f"scatter_elements(x, i, u, axis = 2, reduction = '{reduction}')")
        for reduction in ("none", "add", "min", "max")
    ),
    (V + "i = external<integer>(shape = [3, 2]); u = external(shape = [3, 7]); ",
     "scatter_nd(x, i, u, reduction = 'add')"),
    ("x = external(shape = [2, 3, 3]); ", "inverse(x)"),
    (V + "y0 = external(shape = [2]); ", "fmod(x, y0)"),
]  # fmt: skip
EXTRA = [
    (X, "slice(x, axes = [3], begin = [1], end = [5], stride = [3])"),
    (X, "pad(x, padding = [(0, 0), (2, -1), (-1, 2), (0, 0)], border = 'reflect')"),
    ("x = external(shape = [1, 2, 3, 1, 4, 2]); ",
     "pad(x, padding = [(0, 0), (0, 0), (1, 1), (0, 0), (2, 0), (0, 0)], border = 'reflect-even')"),
    (X, "clamp(x, 0.0, 6.0)"),
    (X, "round(x * 2.0 + 0.5)"),
    (X, "elu(x * 20.0)"),
    (X, "softmax(x * 50.0, axes = [2])"),
    (X, "min_max_linear_quantize(x, -1.0, 1.0, bits = 8, signed = true, symmetric = true)"),
    (X, "min_max_linear_quantize(x, 0.0, 1.5, bits = 8, signed = false, symmetric = false)"),
    (X + "c = external(shape = [1, 3]); ",
     "min_max_linear_quantize(x, -abs(c), abs(c) + 1.0, bits = 8, signed = true, symmetric = false)"),
    (X + "c = external(shape = [1, 3]); ",
     "zero_point_linear_quantize(x, 3, abs(c) + 0.1, bits = 8, signed = true, symmetric = false)"),
    (X, "zero_point_linear_quantize(x, 300, 0.1, bits = 8, signed = false, symmetric = false)"),
    ("x = external(shape = [4, 3]); w = constant(shape = [5, 3], value = [0.25]); k = external(shape = [1, 5]); ",
     "linear(x, w, k)"),
    ("x = external(shape = [4, 3]); c = external(shape = [1, 3]); ",
     "batch_normalization(x, c, 1.0, c, c, epsilon = 0.1)"),
]  # fmt: skip

SINGLE = [*ALL, *CUSTOM, *CONVOLUTIONS, *POOLS, *RESAMPLING, *INDICES, *EXTRA]


@pytest.mark.parametrize(("declarations", "call"), SINGLE, ids=[call for _, call in SINGLE])
def test_operation(declarations: str, call: str) -> None:
    graph = nnef_graph(f"{declarations} y = {call};")
    if call.startswith("multiclass_nms"):
        with pytest.raises(ConversionError, match="there is no rule for multiclass_nms"):
            Converter()(graph)
    else:
        check_back(graph, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize(("declarations", "statement"), [*SEVERAL, *RECURRENT])
def test_operation_with_several_results(declarations: str, statement: str) -> None:
    check_back(nnef_graph(declarations + statement, ["y", "q"]))


@pytest.mark.parametrize("kind", ["avg", "max"])
def test_regions_do_not_meet_what_is_outside(kind: str) -> None:
    graph = nnef_graph(f"{X} {ROIS} y = {kind}_roi_pool(x, r, j, output_size = [2, 2]);")
    feeds = inputs_for(graph)
    feeds["x"][:, :, 0, 0] = np.inf
    feeds["r"] = np.full_like(REGIONS, [1, 1, 4, 4])
    check_back(graph, feeds)


@pytest.mark.parametrize("call", ROI_CASES)
def test_regions(call: str) -> None:
    graph = nnef_graph(f"{X} {ROIS} y = {call};")
    check_back(graph, {**inputs_for(graph), "r": REGIONS})


@pytest.mark.parametrize("call", ["top_k(x, k = 3, axis = 1)", "top_k(x, k = 2, axis = -1, largest = false)"])
@pytest.mark.parametrize("kind", ["scalar", "integer"])
def test_best_elements_of_equal_ones(call: str, kind: str) -> None:
    graph = nnef_graph(f"x = external<{kind}>(shape = [3, 4, 5]); y, q = {call};", ["y", "q"])
    values = np.random.default_rng(0).integers(-2, 3, (3, 4, 5))
    values[0, 0, :2] = np.iinfo(np.int64).min if kind == "integer" else -5
    check_back(graph, {"x": values.astype(graph.inputs[0].dtype)})


def test_windows_over_nothing_and_ties() -> None:
    graph = nnef_graph(f"{X} y = argmax_pool(x, size = [1, 1, 3, 3], border = 'constant');")
    check_back(graph, {"x": np.random.default_rng(0).integers(-2, 1, (2, 3, 6, 5)).astype(np.float32)})


def test_every_operation_is_tested() -> None:
    texts = " ".join([call for _, call in (*SINGLE, *SEVERAL, *RECURRENT)] + ROI_CASES)
    tested = set(re.findall(r"([a-z_0-9]+)(?:<\w+>)?\(", texts))
    missing = {*standard_fragments(), *extension_fragments()} - tested - helper_fragments()
    assert missing == {"external", "variable", "constant", "update"}

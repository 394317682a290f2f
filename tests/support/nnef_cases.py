"""NNEF models that the tests of converters from NNEF share: every standard operation over a matrix of attributes."""

from __future__ import annotations

from itertools import product

import numpy as np

from .nnef_models import nnef_graph

REGIONS = np.array([[0, 0, 6, 5], [1.2, 0.6, 4.4, 4.7], [2, 1, 2, 4], [-1, 2, 8, 3]], np.float32)

X = "x = external(shape = [2, 3, 6, 5]); "
Z = "z = external(shape = [2, 3, 6, 5]); "
C = "c = external(shape = [1, 3]); "
V = "x = external(shape = [2, 3, 7]); "
L = "b = external<logical>(shape = [2, 3, 6, 5]); "
I = "i = external<integer>(shape = [2, 3]); "  # noqa: E741

UNARY = ("copy", "neg", "rcp", "exp", "abs", "sign", "floor", "ceil", "round", "sin", "cos", "tan", "sinh", "cosh",
         "tanh", "asinh", "atan", "sqr", "rsqr", "relu", "sigmoid", "softplus", "elu", "selu", "gelu", "silu",
         "erf")  # fmt: skip
POSITIVE = ("log", "log2", "sqrt", "rsqrt")
BOUNDED = ("asin", "acos", "atanh")
BINARY = ("add", "sub", "mul", "div", "lt", "gt", "le", "ge", "eq", "ne", "min", "max", "fmod")
BORDERS = ("constant", "replicate", "reflect", "reflect-even", "ignore")

WINDOWS = [
    "size = [1, 1, 3, 2]",
    "size = [1, 1, 3, 2], padding = [(0, 0), (0, 0), (1, 1), (0, 1)], stride = [1, 1, 2, 1]",
    "size = [1, 1, 2, 2], padding = [(0, 0), (0, 0), (0, 1), (1, 1)], dilation = [1, 1, 2, 1]",
    "size = [1, 2, 1, 3], padding = [(0, 0), (1, 0), (0, 0), (1, 1)]",
    "size = [2, 2, 2, 2], stride = [1, 1, 2, 2]",
]
POOLS = [f"{op}(x, {window}, border = '{border}')" for op in ("box", "max_pool", "avg_pool", "argmax_pool")
         for window, border in product(WINDOWS, BORDERS)]  # fmt: skip
FACTORS = [f"multilinear_upsample(x, factor = {factor}, method = '{method}', border = '{border}')"
           for factor in ("[2, 3]", "[1, 2]") for method in ("symmetric", "asymmetric", "aligned")
           for border in BORDERS[:4]]  # fmt: skip

CASES = [
    *((X, f"{op}(x)") for op in UNARY),
    *((X, f"{op}(abs(x) + 0.1)") for op in POSITIVE),
    *((X, f"{op}(x / (abs(x) + 1.0))") for op in BOUNDED),
    (X, "acosh(abs(x) + 1.5)"),
    *((X + Z, f"{op}(x, z)") for op in BINARY),
    *((X + C, f"{op}(x, c)") for op in BINARY),
    *((X + C, f"{op}(c, x)") for op in ("sub", "div", "max", "gt")),
    *((X, f"{op}(x, 0.5)") for op in BINARY),
    (X, "sub(1.0, x)"),
    (X, "pow(abs(x), 1.7)"),
    (X + C, "pow(abs(x), c)"),
    (L + "d = external<logical>(shape = [2, 3]); ", "and(b, d)"),
    (L + "d = external<logical>(shape = [2, 3]); ", "or(b, d)"),
    (L, "not(b)"),
    (X + L, "select(b, x, 0.0)"),
    (X + L + C, "select(b, c, x)"),
    (X + "d = external<logical>(shape = [2]); ", "select(d, x, -x)"),
    (I + "d = external<logical>(shape = [2]); ", "select(d, i, 7)"),
    (X, "clamp(x, -0.5, 0.7)"),
    (X + C, "clamp(x, -abs(c), abs(c))"),
    (X + C, "clamp(x, abs(c), -abs(c))"),
    (X, "elu(x, alpha = 0.7)"),
    (X, "selu(x, alpha = 1.5, lambda = 1.2)"),
    (X, "leaky_relu(x, alpha = 0.1)"),
    (X + C, "prelu(x, c)"),
    (X, "prelu(x, 0.3)"),
    *((X, f"softmax(x, axes = {axes})") for axes in ("[1]", "[3]", "[1, 3]", "[0, 1, 2, 3]")),
    # convolution
    *(
        (X + "w = external(shape = [4, 3, 3, 2]); k = external(shape = [1, 4]); ", f"conv(x, w{bias}, {attribs})")
        for bias, attribs in product(
            ("", ", k", ", 0.5"),
            (
                "padding = []",
                "padding = [(1, 0), (0, 2)], stride = [2, 1]",
                "stride = [2, 2], dilation = [2, 1]",
                "border = 'replicate', padding = [(2, 1), (1, 1)]",
                "border = 'reflect', padding = [(1, 1), (1, 0)]",
                "border = 'reflect-even', padding = [(2, 1), (1, 1)]",
                "padding = [(-1, 0), (1, -1)]",
            ),
        )
    ),
    (X + "w = external(shape = [6, 1, 2, 2]); ", "conv(x, w, groups = 0)"),
    (X + "w = external(shape = [3, 1, 2, 2]); ", "conv(x, w, groups = 3)"),
    (V + "w = external(shape = [2, 3, 3]); ", "conv(x, w)"),
    ("x = external(shape = [1, 2, 4, 3, 3]); w = external(shape = [2, 2, 2, 2, 1]); ", "conv(x, w)"),
    *(
        (X + "w = external(shape = [3, 4, 3, 2]); k = external(shape = [1, 4]); ", f"deconv(x, w, {attribs})")
        for attribs in (
            "padding = []",
            "k, padding = [], stride = [2, 3]",
            "k, padding = [(1, 1), (0, 1)], stride = [2, 1]",
            "0.5, padding = [(0, 0), (0, 0)], dilation = [2, 2]",
            "k, padding = [(1, 1), (0, 0)], stride = [2, 2], output_shape = [2, 4, 12, 10]",
            "k, padding = [(-1, 0), (0, -1)], stride = [2, 2]",
            "padding = [(1, 1), (1, 0)], stride = [2, 1], border = 'replicate'",
        )
    ),
    (X + "w = external(shape = [3, 1, 2, 2]); ", "deconv(x, w, groups = 0)"),
    (
        X + "p = external(shape = [3, 1, 3, 3]); q = external(shape = [4, 3, 1, 1]); k = external(shape = [1, 4]); ",
        "separable_conv(x, p, q, k, stride = [2, 1])",
    ),
    (
        X + "p = external(shape = [4, 1, 3, 3]); q = external(shape = [3, 4, 1, 1]); k = external(shape = [1, 4]); ",
        "separable_deconv(x, p, q, k, stride = [2, 1])",
    ),
    # windows
    *((X, call) for call in POOLS),
    *((X, f"box(x, {window}, border = '{border}', normalize = true)") for window in WINDOWS for border in BORDERS),
    (X, "box(x, size = [1, 1, 2, 2], padding = [(0, 0), (0, 0), (3, 2), (0, 0)], border = 'ignore', normalize = true)"),
    (X, "max_pool(x, size = [1, 1, 2, 2], padding = [(0, 0), (0, 0), (3, 2), (0, 0)], border = 'ignore')"),
    (X, "max_pool(x, size = [1, 1, 3, 3], padding = [(0, 0), (0, 0), (-1, 1), (0, 0)], border = 'ignore')"),
    (V, "max_pool(x, size = [1, 1, 3], stride = [1, 1, 2], border = 'ignore')"),
    ("x = external(shape = [6, 5]); ", "avg_pool(x, size = [2, 3])"),
    ("x = external(shape = [6]); ", "box(x, size = [3])"),
    *((X, f"rms_pool(x, {window})") for window in WINDOWS),
    *(
        (X, f"debox(x, {window}, normalize = {normalize}, border = '{border}')")
        for window, normalize, border in product(
            (
                "size = [1, 1, 3, 2], stride = [1, 1, 2, 1]",
                "size = [1, 1, 3, 3], padding = [(0, 0), (0, 0), (1, 1), (0, 0)], stride = [1, 1, 2, 2]",
                "size = [1, 2, 2, 2], padding = [(0, 0), (0, 0), (0, 0), (1, 0)], dilation = [1, 1, 2, 1]",
                "size = [2, 2, 2, 2], padding = [(0, 0), (0, 0), (0, 0), (0, 0)]",
            ),
            ("false", "true"),
            ("constant", "ignore", "replicate"),
        )
    ),
    *(
        (X, f"sample(x, argmax_pool(x, {window}), {window}, border = '{border}')")
        for window in WINDOWS
        for border in BORDERS[:4]
    ),
    *(
        (
            X,
            f"desample(max_pool(x, {window}, border = 'ignore'), argmax_pool(x, {window}, border='ignore'), {window})",
        )
        for window in (
            "size = [1, 1, 2, 2], stride = [1, 1, 2, 2], padding = [(0, 0), (0, 0), (0, 0), (0, 0)]",
            "size = [1, 1, 3, 3], padding = [(0, 0), (0, 0), (1, 1), (1, 1)]",
            "size = [1, 2, 1, 2], padding = [(0, 0), (0, 0), (0, 0), (0, 0)]",
            "size = [1, 1, 1, 1]",
        )
    ),
    (
        X,
        "desample(max_pool(x, size = [1, 1, 2, 2], stride = [1, 1, 2, 2], border = 'ignore'), argmax_pool(x, size = "
        "[1, 1, 2, 2], stride = [1, 1, 2, 2], border = 'ignore'), size = [1, 1, 2, 2], stride = [1, 1, 2, 2], "
        "output_shape = [2, 3, 6, 5])",
    ),
    (X, "nearest_downsample(x, factor = [2, 5])"),
    (X, "area_downsample(x, factor = [3, 1])"),
    (X, "nearest_upsample(x, factor = [2, 3])"),
    (V, "nearest_upsample(x, factor = [2])"),
    (V, "multilinear_upsample(x, factor = [2])"),
    *((X, call) for call in FACTORS),
    # reductions
    *(
        (X, f"{op}(x, axes = {axes})")
        for op in (
            "sum_reduce",
            "mean_reduce",
            "max_reduce",
            "min_reduce",
            "argmax_reduce",
            "argmin_reduce",
            "product_reduce",
        )
        for axes in ("[1]", "[0, 3]", "[1, 2, 3]", "[3, 1]", "[]")
    ),
    (X, "sum_reduce(x, axes = [2], normalize = true)"),
    *((L, f"{op}(b, axes = {axes})") for op in ("any_reduce", "all_reduce") for axes in ("[3]", "[0, 2]", "[]")),
    # movement
    (X, "reshape(x, shape = [0, -1])"),
    (X, "reshape(x, shape = [15, 2], axis_start = 2, axis_count = 2)"),
    (X, "reshape(x, shape = [1], axis_start = 1, axis_count = 0)"),
    (X, "transpose(x, axes = [1, 0])"),
    (X, "transpose(x, axes = [3, 0, 2, 1])"),
    (X, "squeeze(mean_reduce(x, axes = [1, 3]), axes = [1, 3])"),
    (X, "unsqueeze(x, axes = [0, 3])"),
    (X + Z, "concat([x, z, x], axis = 2)"),
    (X, "concat([x], axis = 2)"),
    (X + Z, "stack([x, z], axis = 4)"),
    *(
        (X, f"slice(x, {attribs})")
        for attribs in (
            "axes = [2, 3], begin = [1, 0], end = [0, 3]",
            "axes = [1], begin = [-2], end = [-1]",
            "axes = [2, 3], begin = [0, -1], end = [6, -6], stride = [2, -2]",
            "axes = [2], begin = [5], end = [0], stride = [-1]",
        )
    ),
    *(
        (X, f"pad(x, padding = [(0, 0), (0, 1), ({p}, 2), (1, 0)], border = '{border}')")
        for p in ("1", "-1")
        for border in BORDERS[:4]
    ),
    (X, "pad(x, padding = [(0, 0), (0, 0), (1, 1), (2, 0)], value = 1.5)"),
    (X, "tile(x, repeats = [2, 1, 1, 3])"),
    ("x = external(shape = [1, 3, 1]); ", "tile(x, repeats = [4, 1, 5])"),
    (X + I, "gather(x, i, axis = 2)"),
    (X + I, "gather(x, i)"),
    (X, "cast<integer>(x * 3.0)"),
    (X, "cast<logical>(floor(x))"),
    (L, "cast<scalar>(b)"),
    (I, "cast<scalar>(i) / 2.0"),
    # matrices and normalization
    (X + "m = external(shape = [2, 3, 5, 4]); ", "matmul(x, m)"),
    (X + "m = external(shape = [1, 3, 4, 5]); ", "matmul(x, m, transposeB = true)"),
    (X + "m = external(shape = [2, 1, 6, 4]); ", "matmul(x, m, transposeA = true)"),
    (
        "x = external(shape = [4, 3]); m = external(shape = [5, 4]); ",
        "matmul(x, m, transposeA = true, transposeB = true)",
    ),
    *(
        (
            "x = external(shape = [4, 3]); w = external(shape = [5, 3]); k = external(shape = [1, 5]); ",
            f"linear(x, w{b})",
        )
        for b in ("", ", k", ", 0.5")
    ),
    (X, "local_response_normalization(x, size = [1, 3, 1, 1], alpha = 0.5, beta = 0.7, bias = 2.0)"),
    (X, "local_response_normalization(x, size = [1, 2, 1, 1], alpha = 0.5)"),
    (X, "local_response_normalization(x, size = [1, 1, 3, 2], alpha = 0.5, beta = 0.7, bias = 2.0)"),
    (X, "local_mean_normalization(x, size = [1, 1, 3, 2])"),
    (X, "local_variance_normalization(x, size = [1, 1, 3, 2], bias = 0.1, epsilon = 0.5)"),
    (X, "local_contrast_normalization(x, size = [1, 3, 2, 1], bias = 0.1, epsilon = 0.5)"),
    (X, "l1_normalization(x, axes = [1], bias = 0.1, epsilon = 0.3)"),
    (X, "l2_normalization(x, axes = [2, 3], bias = 0.1, epsilon = 0.3)"),
    (X + C, "batch_normalization(x, c, abs(c), c, c, epsilon = 0.1)"),
    (X + C, "batch_normalization(x, 0.5, abs(c), 0.0, 1.0, epsilon = 0.1)"),
    (X, "batch_normalization(x, mean_reduce(x, axes = [2, 3]), 2.0, 0.0, 1.0, epsilon = 0.1)"),
    # quantization
    *((X, f"linear_quantize(x, -1.0, 1.0, bits = {bits})") for bits in (2, 8)),
    *(
        (X, f"min_max_linear_quantize(x, -1.0, 1.5, bits = 4, signed = {s}, symmetric = {t})")
        for s, t in product(("true", "false"), ("true", "false"))
    ),
    *(
        (X, f"zero_point_linear_quantize(x, {z}, 0.1, bits = 4, signed = {s}, symmetric = {t})")
        for z, s, t in ((3, "true", "true"), (-2, "true", "false"), (5, "false", "false"))
    ),
    (X, "logarithmic_quantize(x, 3.0, bits = 3)"),
    (X + Z, "add_n([x, z, x])"),
    (X, "add_n([x])"),
]
SUPPRESSION = (
    "y, q = non_max_suppression(x, s, max_boxes = 4, positions = 6, iou_threshold = 0.2, score_threshold = 0.1);"
)
SEVERAL = [
    (X, "y, q = moments(x, axes = [0, 2]);"),
    (X, "[y, q] = split(x, axis = 2, ratios = [1, 2]);"),
    (X, "[y, q] = unstack(x, axis = 0);"),
    (X, "[y, q] = copy_n(x, times = 2);"),
    *(
        (X, f"y, q = max_pool_with_index(x, {window}, border = '{border}');")
        for window in WINDOWS
        for border in BORDERS
    ),
    (V, "y, q = top_k(x, k = 2, axis = 2, largest = false);"),
    ("x = external(shape = [2, 6, 4]); s = external(shape = [2, 3, 6]); ", SUPPRESSION),
]
RECURRENT = [
    (
        "x = external(shape = [5, 2, 3]); "
        f"w = external(shape = [{d}, {g * 4}, 3]); r = external(shape = [{d}, {g * 4}, 4]); "
        f"b = external(shape = [{d}, {g * 8}]); h = external(shape = [{d}, 2, 4]); c = external(shape = [{d}, 2, 4]); ",
        f"y, q{more} = {name}(x, w, r, b, {states}, steps = 5{options}{directions});",
    )
    for name, g, more, states, variants in (
        ("lstm_layer", 4, ", s", "h, c", [""]),
        ("gru_layer", 3, "", "h", ["", ", linear_before_reset = true"]),
        ("rnn_layer", 1, "", "h", ["", ", rectified = true"]),
    )
    for options in variants
    for d, directions in ((1, ""), (1, ", reverse = true"), (2, ", bidirectional = true"))
]
ROIS = "r = external(shape = [4, 4]); j = external<integer>(shape = [4]); "
ROI_CASES = [
    "avg_roi_pool(x, r, j, output_size = [2, 3])",
    "max_roi_pool(x, r, j, output_size = [2, 3])",
    *(f"roi_resample(x, r, j, output_size = [2, 3], method = '{m}')" for m in ("symmetric", "asymmetric", "aligned")),
    "avg_roi_align(x, r, j, output_size = [2, 2], sampling_rate = [2, 3])",
    "max_roi_align(x, r, j, output_size = [2, 2], sampling_rate = [2, 3])",
]
CUSTOM = [
    (V, "cum_sum(x, axis = 2, exclusive = true, reverse = true)"),
    (V, "cum_prod(x, axis = 2)"),
    (V, "cum_prod(x, axis = -1, exclusive = true)"),
    (V, "cum_prod(x, axis = 1, reverse = true)"),
    (V, "cum_prod(x, axis = 2, exclusive = true, reverse = true)"),
    ("x = external(shape = [2, 4, 4]); ", "det(x)"),
    (V, "dynamic_quantize(x)"),
    ("x = external(shape = [2, 1, 6, 4]); s = external(shape = [2, 3, 6]); ",
     "multiclass_nms(x, s, score_threshold = 0.1, iou_threshold = 0.4, candidates = 5, kept = 4)"),
    (I + "j = external<integer>(shape = [2, 3]); ", "shift_left(i, j)"),
    (I + "j = external<integer>(shape = [2, 3]); ", "shift_right(cast<integer>(cast<scalar>(i) * -37.0), j)"),
    (I, "bitwise_not(i)"),
    (V + "i = external<integer>(shape = [2, 3, 4]); ", "gather_elements(x, i, axis = 2)"),
    (V + "i = external<integer>(shape = [5, 2]); ", "gather_nd(x, i)"),
    (V + "i = external<integer>(shape = [2, 3, 1]); u = external(shape = [2, 3, 1]); ",
     "scatter_elements(x, i, u, axis = 2)"),
    (V + "i = external<integer>(shape = [1, 2]); u = external(shape = [1, 7]); ", "scatter_nd(x, i, u)"),
    (X, "resize(x, output_size = [9, 4], mode = 'linear')"),
    (X, "resize(x, output_size = [9, 4], mode = 'cubic', coordinate_mode = 'align_corners', cubic_coeff_a = -0.5)"),
    (X, "resize(x, output_size = [9, 4], coordinate_mode = 'asymmetric', nearest_mode = 'floor')"),
]  # fmt: skip


def valid(declarations: str, call: str) -> bool:
    """argmax_pool and sample have no border 'ignore' in some combinations; reflections need room."""
    try:
        nnef_graph(f"{declarations} y = {call};")
    except Exception as error:
        return "border" not in str(error) and "reflection" not in str(error)
    return True


ALL = [case for case in CASES if valid(*case)]

"""Samplers of operations over windows, regions and sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .generator import Drawing, ImpossibleError, Operand
from .registry import Call, sampler

# Windows


def window(d: Drawing, extents: Sequence[int], size: Sequence[int], borders: Sequence[str]) -> dict[str, Any]:
    """border, padding, stride and dilation for a window over axes of those extents; some are left out."""
    result: dict[str, Any] = {}
    if d.chance(0.6):
        result["border"] = d.pick(borders)
    if d.chance(0.7):
        most = [min(n - 1, k) for n, k in zip(extents, size, strict=True)]
        result["padding"] = [(d.whole(-1 if d.chance(0.1) else 0, max(m, 0)), d.whole(0, max(m, 0))) for m in most]
    if d.chance(0.6):
        # below the extent: kernels of TensorFlow 2.21 misplace single windows with a stride (Conv2D of oneDNN, Conv3D)
        result["stride"] = [d.whole(1, max(1, min(3, n - 1))) for n in extents]
    if d.chance(0.3):
        result["dilation"] = [d.whole(1, 2) for _ in size]
    return result


BORDERS = ("constant", "replicate", "reflect", "reflect-even")


def image(d: Drawing, low: int = 3) -> Operand:
    return d.some(low=low, high=5)


def kernel(d: Drawing, extents: Sequence[int]) -> list[int]:
    return [d.whole(1, min(n + 1, 3)) for n in extents]


def bias(d: Drawing, channels: int) -> list[Operand]:
    if d.chance(0.4):
        return []
    return [d.literal() if d.chance(0.2) else d.fresh([1, channels])]


def groups_of(d: Drawing, channels: int) -> int:
    return int(d.pick([1, 1, *(g for g in range(1, channels + 1) if channels % g == 0)]))


@sampler("conv")
def conv(d: Drawing) -> Call:
    x = image(d)
    size = kernel(d, x.shape[2:])
    groups = groups_of(d, x.shape[1])
    outputs = groups * d.whole(1, 3)
    weights = d.fresh([outputs, x.shape[1] // groups, *size])
    attribs = window(d, x.shape[2:], size, BORDERS)
    if groups > 1 or d.chance(0.2):
        attribs["groups"] = 0 if groups == x.shape[1] and d.chance(0.5) else groups
    return [x, weights, *bias(d, outputs)], attribs


@sampler("deconv")
def deconv(d: Drawing) -> Call:
    x = image(d)
    size = kernel(d, x.shape[2:])
    groups = groups_of(d, x.shape[1])
    outputs = d.whole(1, 3)
    weights = d.fresh([x.shape[1], outputs, *size])
    attribs = window(d, x.shape[2:], size, ("constant",) if d.chance(0.8) else BORDERS)
    if groups > 1 or d.chance(0.2):
        attribs["groups"] = 0 if groups == x.shape[1] and d.chance(0.5) else groups
    return [x, weights, *bias(d, outputs * groups)], attribs


@sampler("separable_conv", "separable_deconv")
def separable(d: Drawing, name: str) -> Call:
    x = image(d)
    size = kernel(d, x.shape[2:])
    channels, outputs = x.shape[1], d.whole(1, 3)
    ones = [1] * len(size)
    if name == "separable_conv":
        multiplier = d.whole(1, 2)
        plane, point = [channels * multiplier, 1, *size], [outputs, channels * multiplier, *ones]
    else:
        plane, point = [outputs, 1, *size], [channels, outputs, *ones]
    attribs = window(d, x.shape[2:], size, ("constant",))
    return [x, d.fresh(plane), d.fresh(point), *bias(d, outputs)], attribs


def pooling(d: Drawing, borders: Sequence[str]) -> tuple[Operand, dict[str, Any]]:
    x = image(d, low=1)
    size = [d.whole(1, min(n + 1, 3)) if axis > 1 or d.chance(0.2) else 1 for axis, n in enumerate(x.shape)]
    return x, {"size": size, **window(d, x.shape, size, borders)}


@sampler("box", "avg_pool", "rms_pool", "max_pool", "max_pool_with_index", "argmax_pool", "debox")
def pool(d: Drawing, name: str) -> Call:
    x, attribs = pooling(d, (*BORDERS, "ignore"))
    if name in ("box", "debox") and d.chance(0.5):
        attribs["normalize"] = d.chance(0.7)
    return [x], attribs


@sampler("sample", "desample")
def sampling(d: Drawing, name: str) -> Call:
    """The positions come from argmax_pool itself, run here."""
    from nnef_tools.ops.inference import evaluate

    x, attribs = pooling(d, BORDERS)
    if name == "desample":
        attribs["border"] = "constant"
    index = evaluate("argmax_pool", [x.value], attribs)
    positions = d.fresh(index.shape, "integer", index)
    return [x if name == "sample" else d.like(index.shape), positions], attribs


@sampler("nearest_downsample", "area_downsample", "nearest_upsample")
def by_factors(d: Drawing, name: str) -> Call:
    x = image(d)
    if name == "nearest_upsample":
        return [x], {"factor": [d.whole(1, 3) for _ in x.shape[2:]]}
    return [x], {"factor": [d.pick([k for k in range(1, n + 1) if n % k == 0]) for n in x.shape[2:]]}


@sampler("multilinear_upsample")
def multilinear_upsample(d: Drawing) -> Call:
    x = image(d)
    attribs: dict[str, Any] = {"factor": [d.whole(1, 3) for _ in x.shape[2:]]}
    if d.chance(0.7):
        attribs["method"] = d.pick(["symmetric", "asymmetric", "aligned"])
    if d.chance(0.7):
        attribs["border"] = d.pick(BORDERS)
    return [x], attribs


LOCAL = [
    "local_response_normalization",
    "local_mean_normalization",
    "local_variance_normalization",
    "local_contrast_normalization",
]


@sampler(*LOCAL)
def local(d: Drawing, name: str) -> Call:
    x = image(d, low=2)
    attribs: dict[str, Any] = {"size": [d.whole(1, min(n, 3)) for n in x.shape]}
    if name == "local_response_normalization":
        attribs |= {"alpha": d.number(0.1, 1), "beta": d.number(0.3, 1), "bias": d.number(0.5, 2)}
    elif name != "local_mean_normalization":
        attribs |= {"bias": d.number(0, 1), "epsilon": d.number(0.1, 1)}
    return [x], attribs


# Regions and resampling


@sampler("avg_roi_pool", "max_roi_pool", "roi_resample", "avg_roi_align", "max_roi_align")
def regions(d: Drawing, name: str) -> Call:
    x = image(d, low=4)
    if x.rank != 4:
        raise ImpossibleError
    count = d.whole(1, 4)
    h, w = x.shape[2:]
    begin = d.random.uniform(-1, [w - 0.5, h - 0.5], (count, 2))
    boxes = np.concatenate([begin, begin + d.random.uniform(0.3, [w, h], (count, 2))], axis=1)
    if d.chance(0.3):
        boxes = np.round(boxes)
    attribs: dict[str, Any] = {"output_size": [d.whole(1, 3), d.whole(1, 3)]}
    if name.endswith("align"):
        attribs["sampling_rate"] = [d.whole(1, 2), d.whole(1, 2)]
    if not name.endswith("pool") and d.chance(0.6):
        attribs["method" if name == "roi_resample" else "resize_method"] = d.pick(
            ["symmetric", "asymmetric", "aligned"]
        )
    return [x, d.fresh(boxes.shape, values=boxes), d.index([count], x.shape[0])], attribs


@sampler("grid_sample")
def grid_sample(d: Drawing) -> Call:
    x = image(d)
    spatial = x.rank - 2
    grid = d.random.uniform(-1.4, 1.4, (x.shape[0], *(d.whole(1, 4) for _ in range(spatial)), spatial))
    mode = d.pick(["linear", "nearest"] if spatial != 2 else ["linear", "nearest", "cubic"])
    padding = d.pick(["zeros", "border", "reflection"])
    attribs = {"mode": mode, "padding_mode": padding, "align_corners": d.chance(0.5)}
    return [x, d.fresh(grid.shape, values=grid)], attribs


@sampler("resize")
def resize(d: Drawing) -> Call:
    x = image(d, low=2)
    mode = d.pick(["nearest", "linear", "cubic"])
    count = d.whole(1, min(x.rank, 2 if mode == "cubic" else 3))
    size = [d.whole(1, 2 * n) if d.chance(0.75) else n for n in x.shape[x.rank - count :]]
    coordinates = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
    attribs: dict[str, Any] = {"output_size": size, "mode": mode}
    attribs["coordinate_mode"] = d.pick([*coordinates, "tf_half_pixel_for_nn"] if mode == "nearest" else coordinates)
    if mode == "nearest" and d.chance(0.7):
        attribs["nearest_mode"] = d.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic" and d.chance(0.5):
        attribs["cubic_coeff_a"] = -0.5
    if mode == "cubic" and d.chance(0.3):
        attribs["exclude_outside"] = True
    if mode != "nearest" and d.chance(0.2):
        attribs["antialias"] = True
    return [x], attribs


# Recurrent layers


@sampler("lstm_layer", "gru_layer", "rnn_layer")
def recurrent(d: Drawing, name: str) -> Call:
    # Sums of large numbers that cancel inside of the layer would show the order of additions.
    x = d.some(low=3, high=3, fits=lambda t: bool((np.abs(t.value) < 5).all()))
    steps, batch, width = x.shape

    def drawn(shape: Sequence[int]) -> Operand:
        return d.fresh(shape, values=d.random.standard_normal(tuple(shape)))

    hidden, gates = d.whole(1, 4), {"lstm_layer": 4, "gru_layer": 3, "rnn_layer": 1}[name]
    both = d.chance(0.4)
    n = 2 if both else 1
    states = [drawn([n, batch, hidden]) for _ in range(2 if name == "lstm_layer" else 1)]
    weights = [
        drawn([n, gates * hidden, width]),
        drawn([n, gates * hidden, hidden]),
        drawn([n, 2 * gates * hidden]),
    ]
    attribs: dict[str, Any] = {"steps": steps, "reverse": not both and d.chance(0.4), "bidirectional": both}
    if name == "gru_layer":
        attribs["linear_before_reset"] = d.chance(0.5)
    if name == "rnn_layer":
        attribs["rectified"] = d.chance(0.3)
    return [x, *weights, *states], attribs

"""Samplers of operations on elements, axes and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .generator import DTYPES, Drawing, ImpossibleError, Operand
from .registry import Call, sampler
from .window_samplers import BORDERS, bias

# Elements

# fmt: off
UNARY = (
    "copy", "neg", "rcp", "exp", "abs", "sign", "floor", "ceil", "round", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sqr", "rsqr", "relu", "sigmoid", "softplus",
    "gelu", "silu", "log", "log2", "sqrt", "rsqrt", "selu", "erf",
)
# fmt: on
DOMAINS = {
    **dict.fromkeys(("log", "log2", "sqrt", "rsqrt", "rsqr", "rcp"), (0.01, 9)),
    **dict.fromkeys(("asin", "acos", "atanh"), (-0.99, 0.99)),
    **dict.fromkeys(("cos", "sin", "tan"), (-9, 9)),
    "acosh": (1.01, 9),
}
"""Of operations that few values of a model would do for."""


@sampler(*UNARY)
def unary(d: Drawing, name: str) -> Call:
    kind = d.pick(["scalar", "scalar", "integer", "logical"]) if name == "copy" else "scalar"
    if name in DOMAINS and d.chance(0.8):
        return [d.fresh((), values=d.random.uniform(*DOMAINS[name], d.shape()))], {}
    return [d.some(kind)], {"alpha": d.number(0.5, 2), "lambda": 1.25} if name == "selu" and d.chance(0.5) else {}


@sampler("not")
def negation(d: Drawing) -> Call:
    return [d.some("logical")], {}


@sampler(*["add", "sub", "mul", "div", "min", "max", "lt", "gt", "le", "ge", "eq", "ne", "fmod"])
def binary(d: Drawing, name: str) -> Call:
    x = d.some()
    both = [x, d.fitting(x.shape)]
    return both[::-1] if d.chance(0.4) else both, {}


@sampler("pow")
def power(d: Drawing) -> Call:
    x = d.some(fits=lambda t: bool((t.value > 0).all())) if d.chance(0.5) else d.some()
    return [x, d.literal() if d.chance(0.5) else d.fitting(x.shape)], {}


@sampler("and", "or")
def logical(d: Drawing, name: str) -> Call:
    x = d.some("logical")
    return [x, d.fitting(x.shape, "logical")], {}


@sampler("select")
def select(d: Drawing) -> Call:
    kind = d.pick(["scalar", "scalar", "integer", "logical"])
    x = d.some(kind)
    condition = d.fitting(x.shape, "logical")
    other = d.fitting(x.shape, kind)
    return [condition, x, other] if d.chance(0.5) else [condition, other, x], {}


@sampler("clamp")
def clamp(d: Drawing) -> Call:
    x = d.some()
    return [x, d.fitting(x.shape), d.fitting(x.shape)], {}


@sampler("elu")
def elu(d: Drawing) -> Call:
    return [d.some()], {"alpha": d.number(0.1, 2)} if d.chance(0.5) else {}


@sampler("leaky_relu")
def leaky_relu(d: Drawing) -> Call:
    return [d.some()], {"alpha": d.number(-0.5, 1.5)}


@sampler("prelu")
def prelu(d: Drawing) -> Call:
    x = d.some()
    return [x, d.fitting(x.shape)], {}


@sampler("softmax")
def softmax(d: Drawing) -> Call:
    x = d.some(low=1)
    return [x], {"axes": d.axes(x.rank, 1)}


@sampler("cast")
def cast(d: Drawing) -> Call:
    x = d.some(d.pick(["scalar", "integer", "logical"]))
    return [x], {"dtype": DTYPES[d.pick(["scalar", "integer", "logical"])]}


@sampler("bitwise_and", "bitwise_or", "bitwise_xor")
def bits(d: Drawing, name: str) -> Call:
    x = d.some("integer")
    return [x, d.fitting(x.shape, "integer")], {}


@sampler("bitwise_not")
def bitwise_not(d: Drawing) -> Call:
    return [d.some("integer")], {}


@sampler("shift_left", "shift_right")
def shift(d: Drawing, name: str) -> Call:
    x = d.some("integer")
    return [x, d.fresh(x.shape, "integer", d.random.integers(0, 20, x.shape))], {}


@sampler("constant")
def constant(d: Drawing) -> Call:
    shape = d.shape(0, 4)
    kind = d.pick(["scalar", "integer", "logical"])
    values = [d.literal(kind).value.item() for _ in range(1 if d.chance(0.3) else int(np.prod(shape)))]
    return [], {"shape": list(shape), "value": values, "dtype": DTYPES[kind]}


@sampler("copy_n")
def copy_n(d: Drawing) -> Call:
    return [d.some(d.pick(["scalar", "integer"]))], {"times": d.whole(1, 3)}


@sampler("add_n")
def add_n(d: Drawing) -> Call:
    x = d.some()
    return [[x, *(d.like(x.shape) for _ in range(d.whole(0, 3)))]], {}


# Reductions


@sampler("sum_reduce", "mean_reduce", "max_reduce", "min_reduce", "argmax_reduce", "argmin_reduce", "product_reduce",
         "moments")  # fmt: skip
def reduce(d: Drawing, name: str) -> Call:
    x = d.some()
    normalize = {"normalize": d.chance(0.5)} if name == "sum_reduce" and d.chance(0.5) else {}
    return [x], {"axes": d.axes(x.rank), **normalize}


@sampler("any_reduce", "all_reduce")
def reduce_logical(d: Drawing, name: str) -> Call:
    x = d.some("logical")
    return [x], {"axes": d.axes(x.rank)}


@sampler("l1_normalization", "l2_normalization")
def normalization(d: Drawing, name: str) -> Call:
    x = d.some(low=1)
    return [x], {"axes": d.axes(x.rank, 1), "bias": d.number(0, 1), "epsilon": d.number(0.1, 1)}


@sampler("batch_normalization")
def batch_normalization(d: Drawing) -> Call:
    x = d.some(low=2)

    def parameter(positive: bool = False) -> Operand:
        return d.literal(positive=positive) if d.chance(0.1) else d.like([1, x.shape[1]], positive=positive)

    return [x, parameter(), parameter(True), parameter(), parameter()], {"epsilon": d.number(0.01, 0.1)}


@sampler("cum_sum", "cum_prod")
def running(d: Drawing, name: str) -> Call:
    x = d.some(d.pick(["scalar", "scalar", "integer"]) if name == "cum_sum" else "scalar", low=1)
    axis = d.whole(-x.rank, x.rank - 1)
    return [x], {"axis": axis, "exclusive": d.chance(0.4), "reverse": d.chance(0.4)}


@sampler("top_k")
def top_k(d: Drawing) -> Call:
    x = d.some(d.pick(["scalar", "scalar", "integer"]), low=1)
    axis = d.whole(-x.rank, x.rank - 1)
    return [x], {"k": d.whole(1, x.shape[axis]), "axis": axis, "largest": d.chance(0.6)}


# Movement

KINDS = ("scalar", "scalar", "scalar", "integer", "logical")


def anything(d: Drawing, low: int = 0) -> Operand:
    return d.some(d.pick(KINDS), low=low)


@sampler("reshape")
def reshape(d: Drawing) -> Call:
    x = anything(d)
    start = d.whole(0, x.rank) if d.chance(0.4) else 0
    count = d.whole(0, x.rank - start) if d.chance(0.4) else -1
    volume = int(np.prod(x.shape[start:] if count < 0 else x.shape[start : start + count]))
    shape = []
    rest = volume
    for _ in range(d.whole(0, 3)):
        shape.append(d.pick([k for k in range(1, rest + 1) if rest % k == 0][:8]))
        rest //= shape[-1]
    shape.append(-1 if d.chance(0.5) else rest)
    if shape and not start and x.rank and shape[0] == x.shape[0] and d.chance(0.5):
        shape[0] = 0
    return [x], {"shape": shape} if not start and count < 0 else {
        "shape": shape,
        "axis_start": start,
        "axis_count": count,
    }


@sampler("transpose")
def transpose(d: Drawing) -> Call:
    x = anything(d)
    leading = d.whole(0, x.rank) if d.chance(0.2) else x.rank
    return [x], {"axes": [int(axis) for axis in d.random.permutation(leading)]}


@sampler("squeeze")
def squeeze(d: Drawing) -> Call:
    x = anything(d)
    return [x], {"axes": [axis for axis, n in enumerate(x.shape) if n == 1 and d.chance(0.7)]}


@sampler("unsqueeze")
def unsqueeze(d: Drawing) -> Call:
    x = anything(d)
    if x.rank > 4:
        raise ImpossibleError
    more = d.whole(0, 2)
    return [x], {"axes": sorted(int(axis) for axis in d.random.permutation(x.rank + more)[:more])}


@sampler("concat")
def concat(d: Drawing) -> Call:
    x = anything(d, low=1)
    axis = d.whole(0, x.rank - 1)
    others = []
    for _ in range(d.whole(0, 2)):
        shape = list(x.shape)
        shape[axis] = d.whole(1, 4)
        others.append(d.like(shape, x.kind))
    items = [x, *others]
    return [items if d.chance(0.7) else [*items, x]], {"axis": axis}


@sampler("stack")
def stack(d: Drawing) -> Call:
    x = anything(d)
    return [[x, *(d.like(x.shape, x.kind) for _ in range(d.whole(0, 2)))]], {"axis": d.whole(0, x.rank)}


@sampler("split")
def split(d: Drawing) -> Call:
    x = anything(d, low=1)
    axis = d.whole(0, x.rank - 1)
    ratios, rest = [], x.shape[axis]
    while rest and len(ratios) < 3:
        ratios.append(d.whole(1, rest))
        rest -= ratios[-1]
    return [x], {"axis": axis, "ratios": [*ratios, rest] if rest else ratios}


@sampler("unstack")
def unstack(d: Drawing) -> Call:
    x = anything(d, low=1)
    axis = d.pick([axis for axis, n in enumerate(x.shape) if n <= 4] or [0])
    return [x], {"axis": axis}


@sampler("slice")
def slices(d: Drawing) -> Call:
    x = anything(d, low=1)
    axes = d.axes(x.rank, 1)
    begin, end, stride = [], [], []
    for axis in axes:
        n = x.shape[axis]
        low = d.whole(0, n - 1)
        high = d.whole(low + 1, n)
        step = d.pick([1, 1, 1, 2, 3])
        if d.chance(0.2) and low:  # downwards
            begin.append(high - 1 if d.chance(0.5) else high - 1 - n)
            end.append(low - 1)
            stride.append(-step)
            continue
        begin.append(low if d.chance(0.7) else low - n)
        end.append((0 if d.chance(0.5) else n) if high == n else high if d.chance(0.7) else high - n)
        stride.append(step)
    return [x], {"axes": axes, "begin": begin, "end": end, **({} if set(stride) == {1} else {"stride": stride})}


@sampler("pad")
def pad(d: Drawing) -> Call:
    x = d.some()
    low = -1 if d.chance(0.2) else 0
    attribs: dict[str, Any] = {"padding": [(d.whole(low, min(n, 2)), d.whole(low, min(n, 2))) for n in x.shape]}
    if d.chance(0.7):
        attribs["border"] = d.pick(BORDERS)
    elif d.chance(0.5):
        attribs["value"] = d.number(-2, 2)
    return [x], attribs


@sampler("tile")
def tile(d: Drawing) -> Call:
    x = anything(d)
    return [x], {"repeats": [d.whole(1, 3) if d.chance(0.4) else 1 for _ in x.shape]}


@sampler("gather")
def gather(d: Drawing) -> Call:
    x = anything(d, low=1)
    axis = d.whole(0, x.rank - 1)
    indices = d.index(d.shape(0, 2), x.shape[axis])
    return [x, indices], {"axis": axis} if axis or d.chance(0.5) else {}


@sampler("gather_elements", "scatter_elements")
def by_elements(d: Drawing, name: str) -> Call:
    x = d.some(d.pick(["scalar", "scalar", "integer"]), low=1)
    axis = d.whole(-x.rank, x.rank - 1)
    shape = [d.whole(1, n) for n in x.shape]
    if name == "gather_elements":
        return [x, d.index(shape, x.shape[axis], negative=True)], {"axis": axis}
    reduction = d.pick(["none", "add", "mul", "min", "max"])
    shape = list(x.shape) if d.chance(0.3) else shape
    index = d.index(shape, x.shape[axis], negative=True)
    if reduction == "none":  # which of two for the same place wins is open in some engines
        order = np.argsort(
            d.random.random((*shape[: axis % x.rank], *shape[axis % x.rank + 1 :], x.shape[axis])), axis=-1
        )
        order = np.moveaxis(order, -1, axis % x.rank)
        index = d.fresh(shape, "integer", np.take(order, range(shape[axis]), axis=axis % x.rank))
    return [x, index, d.like(shape, x.kind)], {"axis": axis, "reduction": reduction}


@sampler("gather_nd", "scatter_nd")
def by_tuples(d: Drawing, name: str) -> Call:
    x = d.some(d.pick(["scalar", "scalar", "integer"]), low=1)
    batch = d.whole(0, min(1, x.rank - 1)) if name == "gather_nd" else 0
    depth = d.whole(1, x.rank - batch)
    extents = x.shape[batch : batch + depth]
    reduction = d.pick(["none", "add", "mul", "min", "max"])
    count = d.whole(1, 4)
    if name == "scatter_nd" and reduction == "none":
        places = d.random.permutation(int(np.prod(extents)))[:count]
    else:
        places = d.random.integers(0, int(np.prod(extents)), (*x.shape[:batch], count))
    index = np.stack(np.unravel_index(places, extents), axis=-1)
    indices = d.fresh(index.shape, "integer", index)
    if name == "gather_nd":
        return [x, indices], {"batch_dims": batch} if batch or d.chance(0.3) else {}
    return [x, indices, d.like([*index.shape[:-1], *x.shape[depth:]], x.kind)], {"reduction": reduction}


# Matrices


@sampler("matmul")
def matmul(d: Drawing) -> Call:
    x = d.some(low=2, high=4)
    a, b = d.chance(0.3), d.chance(0.3)
    inner = x.shape[-2] if a else x.shape[-1]
    other = [inner, d.extent()]
    lead = [n if d.chance(0.8) else 1 for n in x.shape[:-2]]
    y = d.like([*lead, *(other[::-1] if b else other)])
    return [x, y], {**({"transposeA": True} if a else {}), **({"transposeB": True} if b else {})}


@sampler("linear")
def linear(d: Drawing) -> Call:
    x = d.some(low=2, high=2)
    outputs = d.extent()
    return [x, d.like([outputs, x.shape[1]]), *bias(d, outputs)], {}


@sampler("det", "inverse")
def square(d: Drawing, name: str) -> Call:
    n = d.whole(1, 4)
    return [d.fresh([*d.shape(0, 2), n, n], values=None)], {}


@sampler("multiclass_nms")
def detections(d: Drawing) -> Call:
    images, classes, count = d.whole(1, 2), d.whole(1, 3), d.whole(1, 6)
    corners = d.random.integers(0, 9, (images, d.pick([1, classes]), count, 4)) / 8
    scores = d.fresh([0], values=d.random.integers(0, 9, (images, classes, count)) / 8)
    attribs = {
        "score_threshold": 0.3,
        "iou_threshold": 0.43,
        "candidates": d.whole(1, count),
        "kept": d.whole(1, 8),
        "background": d.whole(-1, classes - 1) if classes > 1 else -1,
    }
    return [d.fresh([0], values=corners), scores], attribs


@sampler("non_max_suppression")
def suppression(d: Drawing) -> Call:
    images, classes, count = d.whole(1, 2), d.whole(1, 3), d.whole(1, 6)
    corners = d.random.integers(0, 9, (images, count, 4)) / 8
    scores = d.fresh([0], values=d.random.integers(0, 9, (images, classes, count)) / 8)
    attribs = {"max_boxes": d.whole(1, 7), "positions": count, "iou_threshold": 0.3, "score_threshold": 0.2}
    return [d.fresh([0], values=corners), scores], attribs


# Quantization


@sampler("min_max_linear_quantize", "linear_quantize")
def by_range(d: Drawing, name: str) -> Call:
    x = d.some()
    low = d.number(-2, -0.1)
    high = d.number(0.1, 2)
    ends = [Operand(repr(end), np.float32(end), np.float32(end)) for end in (low, high)]
    attribs: dict[str, Any] = {"bits": d.pick([2, 4, 8])}
    if name == "min_max_linear_quantize":
        attribs |= {"signed": d.chance(0.5), "symmetric": d.chance(0.5)}
    return [x, *ends], attribs


@sampler("zero_point_linear_quantize")
def by_zero_point(d: Drawing) -> Call:
    x = d.some()
    zero, scale = d.whole(-3, 3), d.number(0.01, 0.2)
    literals = [
        Operand(repr(zero), np.asarray(zero), np.asarray(zero)),
        Operand(repr(scale), np.float32(scale), np.float32(scale)),
    ]
    return [x, *literals], {"bits": d.pick([4, 8]), "signed": d.chance(0.5), "symmetric": d.chance(0.5)}


@sampler("dynamic_quantize")
def by_own_range(d: Drawing) -> Call:
    return [d.some(low=1)], {}


@sampler("logarithmic_quantize")
def logarithmic(d: Drawing) -> Call:
    high = Operand("3.0", np.float32(3), np.float32(3))
    return [d.some(), high], {"bits": d.pick([2, 3, 4])}

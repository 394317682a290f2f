"""NNEF to ONNX: detected objects."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import dtype_code, shape


@from_nnef("onnx", "multiclass_nms")
def multiclass_nms(
    b: OnnxBuilder,
    boxes: Tensor,
    scores: Tensor,
    *,
    score_threshold: float,
    iou_threshold: float,
    candidates: int,
    kept: int,
    background: int,
    eta: float,
) -> Tensor:
    """multiclass_nms -> TopK, and for each image NonMaxSuppression, whose result is brought to a fixed size.

    NonMaxSuppression lists boxes by class and falling score, so that sorted positions are in order.
    """
    if eta < 1 and iou_threshold > 0.5:
        raise Unsupported(f"eta = {eta}: NonMaxSuppression has one threshold for all boxes")
    dtype = scores.dtype
    if dtype is np.float64:
        raise Unsupported("NonMaxSuppression has single precision only")
    boxes, scores = b.cast(boxes, np.float32), b.cast(scores, np.float32)
    images, classes, _ = shape(scores)
    fake = np.full((images * kept, 7), -1, np.float32)
    fake[:images, 0] = np.arange(images)
    if classes == 1 and background == 0:
        return b.cast(b.constant(fake), dtype)
    limits = [b.constant([value], np.float32) for value in (iou_threshold, score_threshold)]
    parts = []
    for image in range(images):
        own = b.slice(scores, {0: range(image, image + 1)})
        corners = b.slice(boxes, {0: range(image, image + 1)})
        parts.append(_image(b, corners, own, limits, candidates, kept, background, image))
    rows = _packed(b, b.concat(parts, 0)) if images > 1 else parts[0]
    best = b.reduce("max", b.slice(rows, {1: range(1, 2)}), [0, 1])
    some = known(b.Greater(best, b.constant(-1, np.float32)), [1, 1], np.bool_)
    return b.cast(known(b.Where(some, rows, b.constant(fake)), list(fake.shape), np.float32), dtype)


@from_nnef("onnx", "non_max_suppression")
def non_max_suppression(
    b: OnnxBuilder,
    boxes: Tensor,
    scores: Tensor,
    *,
    max_boxes: int,
    positions: int,
    iou_threshold: float,
    score_threshold: float,
) -> tuple[Tensor, Tensor]:
    """non_max_suppression -> NonMaxSuppression, whose rows are brought to their places among those of all classes."""
    if scores.dtype is np.float64:
        raise Unsupported("NonMaxSuppression has single precision only")
    images, kinds, _ = shape(scores)
    groups, count = images * kinds, b.ints([max_boxes])
    overlap, least = (b.constant([value], np.float32) for value in (iou_threshold, score_threshold))
    boxes, scores = b.cast(boxes, np.float32), b.cast(scores, np.float32)
    chosen = _integers(b.NonMaxSuppression(boxes, scores, count, overlap, least))
    image, kind, box = (_column(b, chosen, k) for k in range(3))
    room = b.constant(np.zeros(groups * max_boxes), np.int64)
    if groups == 1:
        flat = known(b.Slice(_integers(b.Concat(box, room, axis=0)), b.ints([0]), count), [max_boxes], np.int64)
        total = known(b.Shape(box), [1], np.int64)
    else:
        group = _integers(b.Add(_integers(b.Mul(image, b.constant(kinds, np.int64))), kind))
        own = b.Equal(_integers(b.Unsqueeze(group, b.ints([1]))), b.constant(np.arange(groups)[None], np.int64))
        own.dtype = np.bool_
        ones = _integers(b.Cast(own, to=dtype_code(np.int64)))
        total = known(b.ReduceSum(ones, b.ints([0]), keepdims=0), [groups], np.int64)
        before = known(b.CumSum(total, b.constant(0, np.int64), exclusive=1), [groups], np.int64)
        start = _integers(b.Sub(_integers(b.Mul(group, b.constant(max_boxes, np.int64))),
                                _integers(b.Gather(before, group))))  # fmt: skip
        number = known(b.Squeeze(known(b.Shape(box), [1], np.int64), b.ints([0])), [], np.int64)
        rows = b.Range(b.constant(0, np.int64), number, b.constant(1, np.int64))
        place = _integers(b.Add(start, _integers(rows)))
        flat = known(b.ScatterElements(room, place, box, axis=0), [groups * max_boxes], np.int64)
    return b.reshape(flat, [images, kinds, max_boxes]), b.reshape(total, [images, kinds])


def _column(b: OnnxBuilder, rows: Tensor, k: int) -> Tensor:
    return _integers(b.Squeeze(_integers(b.Gather(rows, b.ints([k]), axis=1)), b.ints([1])))


def _packed(b: OnnxBuilder, rows: Tensor) -> Tensor:
    """The rows with those that are filled in behind the others, which stay in order."""
    count = shape(rows)[0]
    missing = known(b.Less(b.slice(rows, {1: range(1, 2)}), b.constant(0, np.float32)), [count, 1], np.bool_)
    late = known(b.Mul(b.cast(missing, np.float32), b.constant(count, np.float32)), [count, 1], np.float32)
    places = b.constant(np.arange(count)[:, None], np.float32)
    key = known(b.Add(late, places), [count, 1], np.float32)
    _, order = _best(b, b.reshape(key, [count]), count, largest=False)
    return known(b.Gather(rows, order, axis=0), shape(rows), np.float32)


def _best(b: OnnxBuilder, x: Tensor, count: int, *, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The best of a vector, or of the rows of a matrix, in order, and their positions."""
    axis = 0 if x.rank is None else len(shape(x)) - 1
    dims = [*([] if axis == 0 else shape(x)[:-1]), count]
    values, places = b.TopK(x, b.ints([count]), axis=axis, largest=int(largest), sorted=1, outputs=2)
    return known(values, dims, x.dtype), known(places, dims, np.int64)


def _image(
    b: OnnxBuilder,
    boxes: Tensor,
    scores: Tensor,
    limits: list[Tensor],
    candidates: int,
    kept: int,
    background: int,
    image: int,
) -> Tensor:
    """The rows of one image: [kept, 7]."""
    _, classes, count = shape(scores)
    kinds = [kind for kind in range(classes) if kind != background]
    scores = b.reshape(b.take(b.reshape(scores, [classes, count]), np.asarray(kinds), 0), [len(kinds), count])
    boxes = b.reshape(boxes, [shape(boxes)[1], count, 4])
    if shape(boxes)[0] > 1:
        boxes = b.take(boxes, np.asarray(kinds), 0)
    if candidates < count:
        scores, order = _best(b, scores, candidates)
        boxes = b.expand(boxes, [len(kinds), count, 4])
        places = b.expand(b.reshape(order, [len(kinds), candidates, 1]), [len(kinds), candidates, 4])
        boxes = known(b.GatherElements(boxes, places, axis=1), [len(kinds), candidates, 4], np.float32)
    own = shape(boxes)[0] > 1
    given = b.reshape(scores, [*([len(kinds), 1] if own else [1, len(kinds)]), shape(scores)[1]])
    chosen = _integers(b.NonMaxSuppression(_proper(b, boxes), given, b.ints([shape(scores)[1]]), *limits))
    kind, place = (_column(b, chosen, k) for k in (0 if own else 1, 2))
    group = kind if own else _integers(b.Mul(kind, b.constant(0, np.int64)))
    corners = b.GatherND(boxes, _pairs(b, group, place))
    score = b.GatherND(scores, _pairs(b, kind, place))
    label = b.Gather(b.constant(kinds, np.float32), kind, axis=0)
    head = [b.Unsqueeze(t, b.ints([1])) for t in (b.Mul(label, b.constant(0, np.float32)), label, score)]
    found = b.Concat(b.Add(head[0], b.constant(image, np.float32)), head[1], head[2], corners, axis=1)
    rows = b.Concat(found, b.constant(np.full((kept, 7), -1, np.float32)), axis=0)
    lowest = b.constant(np.full(kept, np.finfo(np.float32).min, np.float32))
    ranked = b.Concat(score, lowest, axis=0)
    _, places = _best(b, ranked, kept)
    ordered, _ = _best(b, places, kept, largest=False)
    return known(b.Gather(rows, ordered, axis=0), [kept, 7], np.float32)


def _proper(b: OnnxBuilder, boxes: Tensor) -> Tensor:
    """Boxes whose second corner is not before the first: NonMaxSuppression would exchange them, but they are empty."""
    low, high = (b.slice(boxes, {2: part}) for part in (range(2), range(2, 4)))
    return b.concat([low, known(b.Max(low, high), shape(low), np.float32)], 2)


def _pairs(b: OnnxBuilder, first: Tensor, second: Tensor) -> Tensor:
    """Positions in two dimensions, from those in each."""
    axis = b.ints([1])
    columns = [_integers(b.Unsqueeze(t, axis)) for t in (first, second)]
    return _integers(b.Concat(*columns, axis=1))


def _integers(x: Tensor) -> Tensor:
    """A tensor of integers whose extents depend on the data."""
    x.dtype = np.int64
    return x

"""Boolean masks and non-maximum suppression: TensorFlow tells what they give."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ...support.arrays import Array
from ...support.lite_models import Fixed, operator_graph, run_litert
from ...support.tf_programs import Traced
from .checks import check, convert, refusal

raw = tf.raw_ops
POST_PROCESS = "TFLite_Detection_PostProcess"


def given(seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    mask = random.random(4) < 0.6
    mask[seed] = True
    return [random.standard_normal((4, 5)).astype(np.float32), mask]


def boxes_and_scores(seed: int, boxes: tuple[int, ...] = (12, 4), scores: tuple[int, ...] = (12,)) -> list[Array]:
    random = np.random.default_rng(seed)
    values = random.permutation(int(np.prod(scores))) / 30
    return [(random.integers(0, 20, boxes) / 8).astype(np.float32), values.reshape(scores).astype(np.float32)]


def _of_rows(x, m):
    i = tf.where(m)
    return tf.tensor_scatter_nd_update(x, i, tf.fill([tf.shape(i)[0], 5], 3.0))


MASKS = {
    "mean": lambda x, m: tf.reduce_mean(tf.boolean_mask(x, m), 0),
    "sum of items": lambda x, m: (
        tf.reduce_sum(tf.boolean_mask(x, x > 0)) + tf.cast(tf.size(tf.where(x > 0)), tf.float32)
    ),
    "changed rows": lambda x, m: tf.tensor_scatter_nd_update(x, tf.where(m), tf.exp(tf.gather_nd(x, tf.where(m)))),
    "filled rows": _of_rows,
    "scattered": lambda x, m: tf.scatter_nd(tf.where(m), tf.boolean_mask(x, m), [4, 5]),
    "segments": lambda x, m: tf.math.unsorted_segment_sum(tf.boolean_mask(x, m), tf.where(m)[:, 0] % 2, 3),
    "ranks": lambda x, m: tf.reduce_sum(
        tf.boolean_mask(x, m) * tf.cast(tf.range(tf.shape(tf.where(m))[0]), tf.float32)[:, None], 0
    ),
    "first two": lambda x, m: tf.reduce_sum(tf.boolean_mask(x, m)[:2, 1:], 0),
    "layer": lambda x, m: tf.reduce_max(tf.nn.relu(tf.matmul(tf.boolean_mask(x, m), tf.ones([5, 3]))), 0),
}


@pytest.mark.parametrize("name", MASKS)
def test_rows_that_are_counted(name: str) -> None:
    for seed in range(2):
        check(MASKS[name], *given(seed))


def test_numbers_of_rows_that_show() -> None:
    x, mask = given(0)
    assert "--fixed-nms gives room" in refusal(lambda x, m: tf.boolean_mask(x, m), x, mask)
    rows, count = convert(lambda x, m: tf.boolean_mask(x, m), x, mask, fixed_nms=True).outputs
    assert count == mask.sum()
    assert np.array_equal(rows[:count], x[mask])
    assert not rows[count:].any()
    assert "a slice takes a part of them that does not begin at 0" in refusal(
        lambda x, m: tf.reduce_sum(tf.boolean_mask(x, m)[1:]), x, mask
    )


SELECTIONS = {
    "V2": lambda b, s: raw.NonMaxSuppressionV2(boxes=b, scores=s, max_output_size=5, iou_threshold=0.3),
    "V3": lambda b, s: raw.NonMaxSuppressionV3(
        boxes=b, scores=s, max_output_size=20, iou_threshold=0.3, score_threshold=0.1
    ),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("equal", [False, True])
def test_chosen_boxes(name: str, equal: bool) -> None:
    boxes, scores = boxes_and_scores(1)
    scores = np.round(scores * 8) / 8 if equal else scores
    expected = SELECTIONS[name](boxes, scores).numpy()
    rows, count = convert(SELECTIONS[name], boxes, scores, fixed_nms=True).outputs
    assert rows[:count].tolist() == expected.tolist()


@pytest.mark.parametrize("most", [4, 20])
def test_results_of_fixed_size_need_no_option(most: int) -> None:
    limits = {"max_output_size": most, "iou_threshold": 0.3, "score_threshold": 0.1, "pad_to_max_output_size": True}
    given = boxes_and_scores(2)
    check(lambda b, s: raw.NonMaxSuppressionV4(boxes=b, scores=s, **limits), *given)
    check(lambda b, s: raw.NonMaxSuppressionV5(boxes=b, scores=s, soft_nms_sigma=0.0, **limits), *given)
    soft = {**limits, "soft_nms_sigma": 0.5}
    assert "soft_nms_sigma = 0.5" in refusal(lambda b, s: raw.NonMaxSuppressionV5(boxes=b, scores=s, **soft), *given)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("options", [{}, {"clip_boxes": False}, {"pad_per_class": True}])
def test_combined_suppression(groups: int, options: dict[str, bool]) -> None:
    given = boxes_and_scores(3, (2, 12, groups, 4), (2, 12, 3))
    check(lambda b, s: tf.image.combined_non_max_suppression(b, s, 4, 20, 0.4, 0.2, **options), *given)


def test_the_end_of_a_detector_for_tensorflow_lite() -> None:
    """Graphs that are made for TensorFlow Lite have its operator, which TensorFlow itself does not know."""
    random = np.random.default_rng(3)
    encodings, scores = (random.random((1, 8, n)).astype(np.float32) for n in (4, 3))
    anchors = (random.random((8, 4)) + 0.1).astype(np.float32)
    scales = {"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0}
    limits = {"nms_score_threshold": 1e-8, "nms_iou_threshold": 0.5}
    counts = {"max_detections": 6, "max_classes_per_detection": 1, "num_classes": 2, "detections_per_class": 100}
    given = {**scales, **limits, **counts, "use_regular_nms": False}
    shapes = [(1, 6, 4), (1, 6), (1, 6), (1,)]
    operands = [encodings, scores, Fixed(anchors)]
    lite = operator_graph(POST_PROCESS, operands, shapes=shapes, dtypes=[np.float32] * 4, custom=True, **given)
    expected = run_litert(lite, [encodings, scores])

    with tf.Graph().as_default() as graph:
        for k, array in enumerate([encodings, scores]):
            tf.compat.v1.placeholder(tf.float32, array.shape, name=f"x{k}")
        tf.constant(anchors, name="anchors")
    graph_def = graph.as_graph_def()
    node = graph_def.node.add(name="detections", op=POST_PROCESS, input=["x0", "x1", "anchors"])
    for key, value in given.items():
        setattr(node.attr[key], {bool: "b", int: "i", float: "f"}[type(value)], value)
    node.attr["_output_quantized"].b = True
    check(Traced(graph_def, ["detections"]), encodings, scores, expected=expected)

"""Layers of SSD: against a plain implementation of their definitions, and against what OpenCV has computed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, run_model
from nnef_tools.errors import ConversionError

from ...support.arrays import Array, assert_agree
from ...support.caffe_nets import SSD, net_names, recorded_net

pytestmark = pytest.mark.filterwarnings("ignore::nnef_tools.execution.kernels.loading.ModelWarning")

CELLS, SIZES, SIDE = (3, 4), 2, 60
COUNT = CELLS[0] * CELLS[1] * SIZES


def net_text(detection: str, *, batch: int, groups: int, classes: int) -> str:
    declared = {
        "loc": (batch, COUNT * groups * 4), "conf": (batch, COUNT * classes),
        "x": (1, 1, *CELLS), "data": (1, 1, SIDE, SIDE),
    }  # fmt: skip
    text = "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}\n'
        for name, shape in declared.items()
    )
    return f"""{text}
    layer {{ name: "p" type: "PriorBox" bottom: "x" bottom: "data" top: "p" prior_box_param {{ min_size: 20
      aspect_ratio: 2 flip: false variance: 0.1 variance: 0.2 variance: 0.3 variance: 0.4 }} }}
    layer {{ name: "out" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "p" top: "out"
      detection_output_param {{ num_classes: {classes} {detection} }} }}"""


def prior_boxes() -> list[list[float]]:
    """Corners of the boxes of the net above, by the definition."""
    boxes = []
    for row in range(CELLS[0]):
        for column in range(CELLS[1]):
            x, y = (column + 0.5) / CELLS[1], (row + 0.5) / CELLS[0]
            for ratio in (1, 2):
                w, h = 20 * math.sqrt(ratio) / SIDE, 20 / math.sqrt(ratio) / SIDE
                boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return boxes


def decoded(delta: Array, box: list[float], code: str, encoded: bool) -> list[float]:
    factor = [1.0] * 4 if encoded else [0.1, 0.2, 0.3, 0.4]
    w, h = box[2] - box[0], box[3] - box[1]
    if code == "CORNER":
        return [corner + v * d for corner, v, d in zip(box, factor, delta, strict=True)]
    if code == "CORNER_SIZE":
        return [corner + v * d * s for corner, v, d, s in zip(box, factor, delta, (w, h, w, h), strict=True)]
    x = (box[0] + box[2]) / 2 + factor[0] * delta[0] * w
    y = (box[1] + box[3]) / 2 + factor[1] * delta[1] * h
    w, h = w * math.exp(factor[2] * delta[2]), h * math.exp(factor[3] * delta[3])
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def overlap(a: list[float], b: list[float]) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    areas = [0.0 if c[2] < c[0] or c[3] < c[1] else (c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return w * h / (areas[0] + areas[1] - w * h)


def detected(loc: Array, conf: Array, classes: int, groups: int, options: dict[str, Any]) -> list[list[float]]:
    """The rows that the papers' definitions give: classes in their order, in each the best boxes first."""
    rows = []
    for image in range(len(loc)):
        deltas = loc[image].reshape(COUNT, groups, 4).astype(float)
        scores = conf[image].reshape(COUNT, classes)
        found = []
        for kind in range(classes):
            if kind == options["background"]:
                continue
            boxes = [
                decoded(deltas[k, kind if groups > 1 else 0], box, options["code"], options["encoded"])
                for k, box in enumerate(prior_boxes())
            ]
            order = sorted(
                (k for k in range(COUNT) if scores[k, kind] > options["least"]), key=lambda k: -scores[k, kind]
            )
            kept: list[int] = []
            threshold = options["overlap"]
            for k in order[: options["top_k"]]:
                if all(overlap(boxes[k], boxes[other]) <= threshold for other in kept):
                    kept.append(k)
                    threshold *= options["eta"] if threshold > 0.5 else 1
            found += [[image, kind, scores[k, kind], *boxes[k]] for k in kept]
        best = sorted(range(len(found)), key=lambda k: -found[k][2])[: options["keep"]]
        rows += [found[k] for k in sorted(best)]
    return rows


def padded(rows: list[list[float]], count: int, batch: int) -> Array:
    """What follows the objects: as in SSD, the numbers of the images if there are none."""
    result = np.full((count, 7), -1.0)
    result[: len(rows)] = rows if rows else np.empty((0, 7))
    if not rows:
        result[:batch, 0] = range(batch)
    return result[None, None]


@pytest.mark.parametrize(
    ("changes", "batch", "shared"),
    [
        ({}, 1, True),
        ({"keep": 5}, 1, True),
        ({"keep": 4}, 2, True),
        ({"top_k": 6}, 2, True),
        ({"top_k": 5, "keep": 7}, 1, False),
        ({}, 2, False),
        ({"code": "CORNER"}, 1, True),
        ({"code": "CORNER_SIZE", "encoded": True}, 1, True),
        ({"encoded": True, "background": -1, "keep": 9}, 1, True),
        ({"overlap": 0.8, "eta": 0.7}, 1, True),
        ({"least": 2.0}, 2, True),
        ({"least": 0.93, "keep": 6}, 2, True),
    ],
)
def test_detection_output(changes: dict[str, Any], batch: int, shared: bool, tmp_path: Path) -> None:
    options = {
        "code": "CENTER_SIZE", "encoded": False, "background": 0, "least": 0.3, "overlap": 0.4, "top_k": COUNT,
        "eta": 1.0, "keep": -1, **changes,
    }  # fmt: skip
    classes, groups = 3, 1 if shared else 3
    text = f"""share_location: {str(shared).lower()} background_label_id: {options["background"]}
      nms_param {{ nms_threshold: {options["overlap"]} top_k: {options["top_k"]} eta: {options["eta"]} }}
      code_type: {options["code"]} keep_top_k: {options["keep"]} confidence_threshold: {options["least"]}
      variance_encoded_in_target: {str(options["encoded"]).lower()}"""
    path = tmp_path / "net.prototxt"
    path.write_text(net_text(text, batch=batch, groups=groups, classes=classes))
    rng = np.random.default_rng(len(str(changes)))
    loc = rng.standard_normal((batch, COUNT * groups * 4)).astype(np.float32)
    conf = rng.uniform(0, 1, (batch, COUNT * classes)).astype(np.float32).round(2)  # many are equal
    most = (classes - (options["background"] >= 0)) * options["top_k"]
    count = most if options["keep"] < 0 else options["keep"]
    rows = detected(loc, conf, classes, groups, {**options, "keep": count})
    expected = padded(rows, count * batch, batch).astype(np.float32)
    inputs = [loc, conf, np.zeros((1, 1, *CELLS), np.float32), np.zeros((1, 1, SIDE, SIDE), np.float32)]
    results = [run_model(path, inputs, backend=backend)["out"] for backend in ("numpy", "torch")]
    target = tmp_path / "net.onnx"
    if options["eta"] == 1:
        convert_model(path, target)
        results += run_model(target, inputs).values()
    for result in results:
        assert_agree(result, expected, rtol=0, atol=1e-5)


def test_thresholds_that_change_are_refused_for_onnx(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    text = "nms_param { nms_threshold: 0.6 eta: 0.9 } code_type: CENTER_SIZE"
    path.write_text(net_text(text, batch=1, groups=1, classes=3))
    with pytest.raises(ConversionError, match="eta"):
        convert_model(path, tmp_path / "net.onnx")


def by_score(rows: Array) -> Array:
    """The rows with objects, which OpenCV orders by score."""
    found = rows.reshape(-1, 7)
    found = found[found[:, 2] > 0]
    return found[np.argsort(-found[:, 2], kind="stable")]


@pytest.mark.parametrize("name", net_names(SSD))
def test_opencv_computes_the_same(name: str, tmp_path: Path) -> None:
    net = recorded_net(name, tmp_path, SSD)
    results = [run_model(net.path, net.inputs, backend="numpy")]
    target = net.path.with_suffix(".onnx")
    convert_model(net.path, target)
    results.append(run_model(target, list(net.inputs.values())))
    (expected,) = net.outputs.values()
    for result in results:
        (value,) = result.values()
        if name.startswith("ssd"):
            assert_agree(by_score(value), by_score(expected), rtol=0, atol=1e-5)
        else:
            assert_agree(value, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))

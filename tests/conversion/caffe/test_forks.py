"""Layers that forks have added: against plain implementations of their definitions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, run_model
from nnef_tools.errors import ConversionError

from ...support.arrays import Array, assert_agree, random, uniform

pytestmark = pytest.mark.filterwarnings("ignore::nnef_tools.execution.kernels.loading.ModelWarning")


def blob_text(w: Array) -> str:
    values = " ".join(f"data: {v}" for v in w.reshape(-1))
    return f" blobs {{ shape {{ {' '.join(f'dim: {d}' for d in w.shape)} }} {values} }}"


def run(tmp_path: Path, type: str, body: str, *inputs: Array, tops: int = 1, weights: Any = None) -> list[Array]:
    """What a net of one layer computes in numpy; in onnxruntime it is the same."""
    names = [f"x{k}" for k in range(len(inputs))]
    text = "".join(
        f'input: "{n}" input_shape {{ {" ".join(f"dim: {d}" for d in x.shape)} }}\n'
        for n, x in zip(names, inputs, strict=True)
    )
    ends = "".join(f' top: "y{k}"' for k in range(tops))
    bottoms = "".join(f' bottom: "{name}"' for name in names)
    blobs = "".join(map(blob_text, weights or ()))
    path = tmp_path / "net.prototxt"
    path.write_text(f'{text}layer {{ name: "l" type: "{type}"{bottoms}{ends} {body}{blobs} }}')
    results = list(run_model(path, list(inputs), backend="numpy").values())
    convert_model(path, tmp_path / "net.onnx")
    for result, other in zip(results, run_model(tmp_path / "net.onnx", list(inputs)).values(), strict=True):
        assert_agree(other, result, rtol=1e-5, atol=1e-5)
    return results


def nearest(value: float) -> int:
    """C's round: ties away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


ROIS = np.array([[0, 1, 2, 9, 8], [1, 0.4, 0.6, 3, 3], [0, 6, 6, 6, 6], [1, 2, 3, 40, 30], [0, 7, 7, 2, 2]], np.float32)


def test_roi_pooling(tmp_path: Path) -> None:
    x, scale, cells = random(2, 3, 8, 10), 0.7, (3, 2)
    expected = np.zeros((len(ROIS), 3, *cells), np.float32)
    for n, (image, *corners) in enumerate(ROIS):
        x1, y1, x2, y2 = (nearest(c * np.float32(scale)) for c in corners)
        h, w = max(y2 - y1 + 1, 1) / cells[0], max(x2 - x1 + 1, 1) / cells[1]
        for i in range(cells[0]):
            for j in range(cells[1]):
                top, bottom = (np.clip(f(k * h) + y1, 0, 8) for f, k in ((math.floor, i), (math.ceil, i + 1)))
                left, right = (np.clip(f(k * w) + x1, 0, 10) for f, k in ((math.floor, j), (math.ceil, j + 1)))
                if bottom > top and right > left:
                    expected[n, :, i, j] = x[int(image), :, top:bottom, left:right].max((1, 2))
    body = f"roi_pooling_param {{ pooled_h: 3 pooled_w: 2 spatial_scale: {scale} }}"
    (y,) = run(tmp_path, "ROIPooling", body, x, ROIS)
    assert_agree(y, expected, rtol=0, atol=0)


def test_psroi_pooling(tmp_path: Path) -> None:
    group, outputs, scale = 2, 3, np.float32(0.5)
    x = random(2, outputs * group**2, 6, 7)
    expected = np.zeros((len(ROIS), outputs, group, group), np.float32)
    for n, (image, *corners) in enumerate(ROIS):
        x1, y1 = (nearest(c) * scale for c in corners[:2])
        x2, y2 = ((nearest(c) + 1) * scale for c in corners[2:])
        h, w = max(y2 - y1, np.float32(0.1)) / group, max(x2 - x1, np.float32(0.1)) / group
        for c in range(outputs):
            for i in range(group):
                for j in range(group):
                    top, bottom = np.clip([math.floor(i * h + y1), math.ceil((i + 1) * h + y1)], 0, 6)
                    left, right = np.clip([math.floor(j * w + x1), math.ceil((j + 1) * w + x1)], 0, 7)
                    if bottom > top and right > left:
                        part = x[int(image), (c * group + i) * group + j, top:bottom, left:right]
                        expected[n, c, i, j] = part.mean()
    body = f"psroi_pooling_param {{ spatial_scale: {scale} output_dim: {outputs} group_size: {group} }}"
    (y,) = run(tmp_path, "PSROIPooling", body, x, ROIS)
    assert_agree(y, expected, rtol=1e-5, atol=1e-6)


def proposals(scores: Array, deltas: Array, info: Array, number: int, first: int) -> list[list[float]]:
    """Regions as Faster R-CNN's proposal layer makes them, with ratios 0.5 and 1 and a scale of 2."""
    anchors = []
    for ratio in (0.5, 1):
        w = np.round(math.sqrt(256 / ratio))
        h = np.round(w * ratio)
        anchors.append([7.5 - (2 * w - 1) / 2, 7.5 - (2 * h - 1) / 2, 7.5 + (2 * w - 1) / 2, 7.5 + (2 * h - 1) / 2])
    found = []
    for row in range(scores.shape[2]):
        for column in range(scores.shape[3]):
            for a, anchor in enumerate(anchors):
                x1, y1, x2, y2 = anchor + np.array([column, row, column, row]) * 16
                w, h = x2 - x1 + 1, y2 - y1 + 1
                dx, dy, dw, dh = deltas[0, 4 * a : 4 * a + 4, row, column]
                cx, cy, w2, h2 = dx * w + x1 + w / 2, dy * h + y1 + h / 2, math.exp(dw) * w, math.exp(dh) * h
                box = [cx - w2 / 2, cy - h2 / 2, cx + w2 / 2, cy + h2 / 2]
                box = [min(max(v, 0), side - 1) for v, side in zip(box, (info[1], info[0]) * 2, strict=True)]
                if box[2] - box[0] + 1 >= 16 * info[2] and box[3] - box[1] + 1 >= 16 * info[2]:
                    found.append((scores[0, 2 + a, row, column], box))
    found.sort(key=lambda item: -item[0])
    kept: list[tuple[float, list[float]]] = []
    for score, box in found[:first]:
        overlaps = []
        for _, other in kept:
            w, h = min(box[2], other[2]) - max(box[0], other[0]) + 1, min(box[3], other[3]) - max(box[1], other[1]) + 1
            common = max(w, 0) * max(h, 0)
            areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (box, other)]
            overlaps.append(common / (sum(areas) - common))
        if all(value <= 0.5 for value in overlaps):
            kept.append((score, box))
    return [[0, *box, score] for score, box in kept[:number]]


@pytest.mark.parametrize("number", [6, 40])
def test_proposal(number: int, tmp_path: Path) -> None:
    scores, deltas = uniform(1, 4, 3, 4), random(1, 8, 3, 4) * 0.4
    info = np.array([[48, 60, 1.25]], np.float32)
    body = f"""proposal_param {{ feat_stride: 16 base_size: 16 min_size: 16 ratio: 0.5 ratio: 1 scale: 2
      pre_nms_topn: 18 post_nms_topn: {number} nms_thresh: 0.5 }}"""
    rois, values = run(tmp_path, "Proposal", body, scores, deltas, info, tops=2)
    rows = proposals(scores, deltas, info[0], number, 18)
    assert 3 < len(rows) <= number
    expected = np.zeros((number, 6), np.float32)
    expected[: len(rows)] = rows
    assert_agree(np.concatenate([rois, values], axis=1), expected, rtol=1e-4, atol=1e-3)


def test_python_layers_other_than_proposals_are_refused(tmp_path: Path) -> None:
    body = 'python_param { module: "mine" layer: "Mine" }'
    with pytest.raises(ConversionError, match=r"it runs Python code, mine.Mine"):
        run(tmp_path, "Python", body, random(1, 2))


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("height: 9 width: 13", (9, 13)),
        ("height: 3 width: 4", (3, 4)),
        ("zoom_factor: 3", (13, 16)),
        ("shrink_factor: 2", (3, 3)),
        ("shrink_factor: 2 zoom_factor: 4", (9, 9)),
        ("pad_beg: -1 pad_end: -1 zoom_factor: 2", (5, 7)),
    ],
)
def test_interp(body: str, size: tuple[int, int], tmp_path: Path) -> None:
    x = random(2, 3, 5, 6)
    (y,) = run(tmp_path, "Interp", f"interp_param {{ {body} }}", x)
    image = x[:, :, 1:-1, 1:-1] if "pad" in body else x
    for axis, (n, m) in enumerate(zip(image.shape[2:], size, strict=True), 2):
        place = np.arange(m) * (n - 1) / (m - 1)
        low = np.minimum(place.astype(int), n - 2)
        part = (place - low).reshape(-1, *[1] * (3 - axis))
        image = np.take(image, low, axis) * (1 - part) + np.take(image, low + 1, axis) * part
    assert_agree(y, image.astype(np.float32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("body", ["height: 9 width: 8 zoom_factor: 2", "height: 9", "width: 8 shrink_factor: 2"])
def test_interp_with_sizes_that_do_not_fit_together(body: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="give both extents or factors"):
        run(tmp_path, "Interp", f"interp_param {{ {body} }}", np.ones((1, 2, 5, 6), np.float32))


def test_upsample_repeats_or_takes_positions(tmp_path: Path) -> None:
    x = random(1, 2, 3, 4)
    (y,) = run(tmp_path, "Upsample", "upsample_param { scale: 2 }", x)
    assert_agree(y, x.repeat(2, 2).repeat(2, 3), rtol=0, atol=0)
    index = np.stack([np.random.default_rng(k).permutation(48)[:12].reshape(3, 4) for k in (0, 1)])[None]
    (y,) = run(tmp_path, "Upsample", "upsample_param { scale: 2 }", x, index.astype(np.float32))
    expected = np.zeros((1, 2, 48), np.float32)
    for channel in (0, 1):
        expected[0, channel, index[0, channel].reshape(-1)] = x[0, channel].reshape(-1)
    assert_agree(y, expected.reshape(1, 2, 6, 8), rtol=0, atol=0)


def test_small_layers(tmp_path: Path) -> None:
    x, y, a = random(2, 4, 3, 3) * 4, random(2, 4, 3, 3), random(2, 4, 1, 1)
    axis = (2, 4, 1, 1)
    assert_agree(run(tmp_path, "Axpy", "", a, x, y)[0], a * x + y, rtol=1e-6, atol=1e-6)
    assert_agree(run(tmp_path, "HardSwish", "", x)[0], x * np.clip(x + 3, 0, 6) / 6, rtol=1e-5, atol=1e-6)
    slope, bias, mean, variance = (uniform(4, seed=k) + 0.5 for k in range(4))
    shaped = [t.reshape(1, 4, 1, 1) for t in (slope, bias, mean, variance)]
    (z,) = run(tmp_path, "BN", "bn_param { bn_mode: INFERENCE }", x, weights=shaped[:2])
    assert_agree(z, x * shaped[0] + shaped[1], rtol=1e-5, atol=1e-5)
    (z,) = run(tmp_path, "BN", "bn_param { frozen: true eps: 0.01 }", x, weights=[slope, bias, mean, variance])
    exact = (x - shaped[2]) / np.sqrt(shaped[3] + 0.01) * shaped[0] + shaped[1]
    assert_agree(z, exact.astype(np.float32), rtol=1e-4, atol=1e-4)
    (z,) = run(tmp_path, "BatchNorm", "batch_norm_param { use_global_stats: false }", x,
               weights=[mean, variance, np.ones(1, np.float32)])  # fmt: skip
    exact = (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)
    assert_agree(z, exact, rtol=1e-4, atol=1e-4)
    w = random(4, 1, 3, 3)
    for type in ("DepthwiseConvolution", "ConvolutionDepthwise"):
        body = "convolution_param { num_output: 4 kernel_size: 3 bias_term: false }"
        (z,) = run(tmp_path, type, body, x, weights=[w])
        assert_agree(z[..., 0, 0], (x * w[None, :, 0]).sum((2, 3)), rtol=1e-4, atol=1e-4)
    assert axis == a.shape
    with pytest.raises(ConversionError, match="bn_mode LEARN"):
        run(tmp_path, "BN", "", x, weights=shaped[:2])


def test_lstm_unit(tmp_path: Path) -> None:
    c, x, cont = random(1, 2, 3), random(1, 2, 12), np.array([[1, 0]], np.float32)
    after, h = run(tmp_path, "LSTMUnit", "", c, x, cont, tops=2)
    i, f, o = (1 / (1 + np.exp(-x[..., 3 * k : 3 * k + 3])) for k in range(3))
    expected = cont[..., None] * f * c + i * np.tanh(x[..., 9:])
    assert_agree(after, expected, rtol=1e-5, atol=1e-6)
    assert_agree(h, o * np.tanh(expected), rtol=1e-5, atol=1e-6)


def test_stochastic_pooling(tmp_path: Path) -> None:
    """Caffe has it on the GPU only: each item weighted by itself."""
    x = random(1, 2, 5, 4)
    (y,) = run(tmp_path, "Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }", x)
    for i in range(3):
        for j in range(2):
            part = x[0, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(2, -1)
            expected = [np.square(p).sum() / p.sum() if p.sum() > 0 else 0 for p in part]
            np.testing.assert_allclose(y[0, :, i, j], expected, rtol=1e-4, atol=1e-6)


def test_ceil_mode_of_forks(tmp_path: Path) -> None:
    x = random(1, 1, 6, 6)
    (y,) = run(tmp_path, "Pooling", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }", x)
    assert y.shape == (1, 1, 2, 2)


def test_fields_that_rules_do_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="attribute 'slop' is not supported"):
        run(tmp_path, "ReLU", "relu_param { slop: 0.1 }", random(1, 2))


def test_positions_of_maxima(tmp_path: Path) -> None:
    """SegNet's second top of Pooling: positions in the image, as floats."""
    x = random(1, 2, 4, 6)
    values, mask = run(tmp_path, "Pooling", "pooling_param { kernel_size: 2 stride: 2 }", x, tops=2)
    flat = np.take_along_axis(x.reshape(1, 2, 24), mask.reshape(1, 2, 6).astype(int), 2)
    assert_agree(flat.reshape(values.shape), values, rtol=0, atol=0)

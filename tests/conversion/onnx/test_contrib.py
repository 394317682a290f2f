"""Operators of com.microsoft that are no fusions, and experimental ones, against onnxruntime or their definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from nnef_tools.errors import ConversionError

from ...support.onnx_models import Typed, const, contrib_model, node_model, onnx_model
from .checks import check, check_contrib, convert

F = np.float32


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_distances(metric, random):
    check_contrib("CDist", [random(4, 3), random(5, 3)], metric=metric)


@pytest.mark.parametrize("attributes", [{}, {"mode": "nearest", "padding_mode": "border", "align_corners": 1}])
def test_samples(attributes, random):
    check_contrib("GridSample", [random(2, 3, 5, 4), np.tanh(random(2, 4, 3, 2)) * F(1.2)], **attributes)


def test_positions(random):
    check_contrib("GatherND", [random(3, 4, 2), np.array([[0, 1], [2, 3]])])
    inputs = [random(5, 3), np.array([[0, 4], [2, 2]])]
    expected = inputs[0][inputs[1]]
    model = contrib_model("TorchEmbedding", [*inputs, const(1)], [F])
    check(model, inputs, expected=[expected])


@pytest.mark.parametrize(("numbers", "dtype"), [((1, 7, 2), F), ((1, 7), np.int64), ((5, 1, -2), np.int32)])
def test_ranges(numbers, dtype, random):
    names = ["start", "limit", "delta"][: len(numbers)]
    nodes = [helper.make_node("Range", names, ["r"], domain="com.microsoft"),
             helper.make_node("Cast", ["r"], ["f"], to=1), helper.make_node("Add", ["x", "f"], ["y"])]  # fmt: skip
    constants = dict(zip(names, (np.asarray(n, dtype) for n in numbers), strict=True))
    x = random(1)
    check(onnx_model(nodes, {"x": x}, {"y": Typed(F)}, constants, domains=["com.microsoft"]), [x])


@pytest.mark.parametrize(("dim", "size", "step"), [(-1, 3, 1), (1, 2, 2), (0, 2, 1)])
def test_windows(dim, size, step, random):
    check_contrib("UnfoldTensor", [random(2, 5, 7)], dim=dim, size=size, step=step)


def test_integers():
    generator = np.random.default_rng(0)
    x, y = (generator.integers(-300, 300, shape).astype(np.int16) for shape in ((3, 4), (4, 2)))
    check_contrib("MatMulInteger16", [x, const(y, np.int16)], [np.int32])
    a, b = np.array([[1, 250]], np.uint8), np.array([[9], [4]], np.uint8)
    model = contrib_model("MulInteger", [a, const(3, np.uint8), b, const(5, np.uint8)], [np.int32])
    check(model, [a, b], expected=[(a.astype(np.int32) - 3) * (b.astype(np.int32) - 5)])
    model = contrib_model("ReduceSumInteger", [a], [np.int32], axes=[-1], keepdims=0)
    check(model, [a], expected=[a.sum(-1, dtype=np.int32)])


@pytest.mark.parametrize("op", ["ComplexMul", "ComplexMulConj"])
def test_complex_numbers(op, random):
    x, y = random(2, 3, 2), random(3, 2)
    left, right = (t[..., 0] + 1j * t[..., 1] for t in (x, y))
    product = left * (right.conj() if op == "ComplexMulConj" else right)
    check(contrib_model(op, [x, y], [F]), [x, y], expected=[np.stack([product.real, product.imag], -1).astype(F)])


def test_spectrum(random):
    x = random(2, 6)
    spectrum = np.fft.rfft(x)
    expected = np.stack([spectrum.real, spectrum.imag], -1).astype(F)
    check(contrib_model("Rfft", [x], [F], signal_ndim=1), [x], expected=[expected], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Affine", {"alpha": 0.5, "beta": 0.2}),
        ("ParametricSoftplus", {"alpha": 0.5, "beta": 2.0}),
        ("ScaledTanh", {"alpha": 0.5, "beta": 2.0}),
        ("Scale", {"scale": 2.0}),
        ("ImageScaler", {"scale": 0.5, "bias": [0.1, 0.2, 0.3]}),
        ("Crop", {"border": [1, 2, 1, 0]}),
        ("Crop", {"border": [1, 2, 1, 0], "scale": [2, 3]}),
    ],
)
def test_experimental_operators(op, attributes, random):
    x = random(2, 3, 6, 5)
    check(node_model(op, [x], opset=9, **attributes), [x])


def test_dynamic_slices(random):
    x = random(2, 3, 6, 5)
    for operands in ([[1, -3], [9, -1], [1, 2]], [[1, 0], [9, 2]]):
        check(node_model("DynamicSlice", [x, *map(const, operands)], opset=9), [x])


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "reason"),
    [
        ("CDist", [(2, 3), (4, 3)], {"metric": "cosine"}, "metric = 'cosine'"),
        ("UnfoldTensor", [(2, 3)], {"size": 4}, "windows of 4"),
        ("Rfft", [(2, 4)], {"signal_ndim": 2}, "signal_ndim = 2"),
    ],
)
def test_what_is_refused(op, shapes, attributes, reason, random):
    inputs: list[Any] = [random(*shape) for shape in shapes]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model(op, inputs, [F], **attributes), inputs)
    assert reason in "\n".join(raised.value.details)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [({"border": [1, 2, 4, 4]}, "leave the image"), ({"border": [0, 0, 0, 0], "scale": [7, 1]}, "leave the image")],
)
def test_crops_that_do_not_fit(attributes, reason, random):
    x = random(2, 3, 6, 5)
    with pytest.raises(ConversionError) as raised:
        convert(node_model("Crop", [x], opset=9, **attributes), [x])
    assert reason in "\n".join(raised.value.details)

"""Non-maximum suppression: the boxes that onnxruntime chooses, in its order, and room for the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from nnef_tools import convert_model, load_model, run_model
from nnef_tools.conversion.onnx_to_nnef import Converter

from ...support.arrays import Array
from ...support.onnx_models import read_model, run_onnx, text_model
from .checks import check, convert


def boxes_and_scores(images: int, kinds: int, count: int, seed: int) -> list[Array]:
    """Boxes with corners in any order, some without area; many scores are equal."""
    random = np.random.default_rng(seed)
    boxes, scores = random.integers(0, 20, (images, count, 4)) / 8, random.integers(0, 9, (images, kinds, count)) / 8
    return [boxes.astype(np.float32), scores.astype(np.float32)]


def suppression(sizes: tuple[int, int, int], most: int, overlap: float, least: float | None, body: str) -> ModelProto:
    """A model that chooses `y`, followed by a body."""
    images, kinds, count = sizes
    limit = f"u = Constant<value = float[1] {{{least}}}>()" if least is not None else ""
    return text_model(f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[{images},{count},4] b, float[{images},{kinds},{count}] s) => ({body.split("|")[0]}) {{
            m = Constant<value = int64[1] {{{most}}}>() t = Constant<value = float[1] {{{overlap}}}>() {limit}
            chosen = NonMaxSuppression(b, s, m, t{", u" if limit else ""}) {body.split("|")[1]} }}""")


@pytest.mark.parametrize("sizes", [(1, 1, 20), (2, 3, 12)])
@pytest.mark.parametrize(
    ("most", "overlap", "least"), [(5, 0.5, 0.25), (30, 0.0, None), (9223372036854775807, 0.3, 2.0)]
)
def test_chosen_boxes(sizes: tuple[int, int, int], most: int, overlap: float, least: float | None) -> None:
    model = suppression(sizes, most, overlap, least, "int64[k,3] y|y = Identity(chosen)")
    for seed in range(2):
        given = boxes_and_scores(*sizes, seed)
        (expected,) = run_onnx(model, given)
        result = convert(model, given, fixed_nms=True, keep_io_names=True)
        rows, count = result.outputs
        assert [t.name for t in result.graph.outputs] == ["y", "y_count"]
        assert len(rows) == sizes[0] * sizes[1] * min(most, sizes[2])
        assert count == len(expected)
        assert np.array_equal(rows[:count], expected)
        assert not rows[count:].any()


DETECTOR = """float[k,4] y, float[k] z, float total|
    two = Constant<value = int64[1] {2}>() one = Constant<value = int64[1] {1}>()
    zero = Constant<value = int64[1] {0}>()
    i = Gather<axis = 1>(chosen, two) j = Squeeze(i, one) f = Squeeze(b, zero) y = Gather(f, j)
    flat = Constant<value = int64[1] {-1}>() g = Reshape(s, flat) z = Gather(g, j) total = ReduceSum<keepdims = 0>(z)"""


def test_what_follows_a_selection() -> None:
    model = suppression((1, 1, 20), 8, 0.4, 0.1, DETECTOR)
    for seed in range(3):
        given = boxes_and_scores(1, 1, 20, seed)
        y, z, total = run_onnx(model, given)
        found = convert(model, given, fixed_nms=True)
        n = int(found.outputs[3])
        assert n == len(y)
        assert found.outputs[0].shape == (8, 4)
        assert np.array_equal(found.outputs[0][:n], y)
        assert np.array_equal(found.outputs[1][:n], z)
        assert np.isclose(found.outputs[2], total)
        assert len(found.outputs) == 4  # one number for both


def test_without_the_option_where_the_number_does_not_show() -> None:
    body = DETECTOR.replace("float[k,4] y, float[k] z, ", "")
    model = suppression((1, 1, 20), 8, 0.4, 0.1, body)
    given = boxes_and_scores(1, 1, 20, 0)
    check(model, given, expected=run_onnx(model, given))


def test_the_warning_names_the_number() -> None:
    model = suppression((1, 1, 20), 8, 0.4, 0.1, "int64[k,3] y|y = Identity(chosen)")
    converter = Converter(fixed_nms=True)
    converter(read_model(model))
    assert any("output 'y' has room for [8, 3]" in text and "'y_count'" in text for text in converter.warnings)


@pytest.mark.parametrize("suffix", ["nnef.tgz", "onnx", "pb", "tflite"])
def test_other_formats_are_verified_by_the_rows_that_count(suffix: str, tmp_path: Path) -> None:
    model = suppression((1, 2, 15), 6, 0.4, 0.3, "int64[k,3] y|y = Identity(chosen)")
    source, middle = tmp_path / "m.onnx", tmp_path / "m.nnef"
    onnx.save(model, source)
    convert_model(source, middle, output_format="nnef", fixed_nms=True)
    if suffix == "onnx":
        convert_model(middle, tmp_path / "back.onnx", verify=2, random="uniform(0, 1)")
        return
    report = convert_model(source, tmp_path / f"m.{suffix}", fixed_nms=True, verify=2, random="uniform(0, 1)")
    assert report.verification is not None
    assert [check.source for check in report.verification.outputs] == ["y", "y_count"]
    assert load_model(tmp_path / f"m.{suffix}").outputs[1].name.partition(":")[0] == "y_count"


@pytest.mark.parametrize("sizes", [(1, 1, 13), (2, 3, 8)])
def test_the_standard_operations_choose_the_same_boxes(sizes: tuple[int, int, int], tmp_path: Path) -> None:
    model = suppression(sizes, 5, 0.4, 0.3, "int64[k,3] y|y = Identity(chosen)")
    onnx.save(model, tmp_path / "m.onnx")
    target = tmp_path / "m.nnef"
    convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef.tgz", fixed_nms=True)
    convert_model(tmp_path / "m.nnef.tgz", target, output_format="nnef", decompose=["non_max_suppression"])
    assert all(op.type != "non_max_suppression" for op in load_model(target).operations)
    for seed in range(2):
        given = boxes_and_scores(*sizes, seed)
        (expected,) = run_onnx(model, given)
        rows, count = run_model(target, given, backend="numpy").values()
        assert np.array_equal(rows[:count], expected)

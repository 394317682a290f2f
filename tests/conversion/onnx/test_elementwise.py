"""Shifts, bitwise logic, reinterpretation, integer casts and remainders."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor

from ...support.arrays import Array
from ...support.onnx_models import const, node_model, text_model
from .checks import check, check_node, convert

UNSIGNED = [np.uint8, np.uint16, np.uint32]
SIGNED = [np.int8, np.int16, np.int32, np.int64]


def some(dtype: type) -> Array:
    info = np.iinfo(dtype)
    return np.array([0, 1, 5, info.max // 3, info.max - 1, info.max, info.min, info.min // 2, 77, 100], dtype)


def run_wide(op: str, inputs: list[Array], opset: int = 28, **attribs: object) -> tuple[Array, list[str]]:
    """The result of the torch backend, where every integer has 64 bits as in NNEF, whatever the ONNX type."""
    result = convert(node_model(op, inputs, opset=opset, **attribs), inputs)
    executor = make_executor(result.graph, backend="torch")
    feeds = {i.name: x for i, x in zip(executor.inputs, inputs, strict=True)}
    return executor.run(feeds)[executor.outputs[0].name], result.ops


@pytest.mark.parametrize("dtype", [*UNSIGNED, *SIGNED])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("constant", [True, False])
def test_shift(dtype, direction, constant):
    x = some(dtype)
    bits = np.iinfo(dtype).bits
    y = np.array([0, 1, 2, 3, 1, 7, 1, 2, bits - 1, 4], dtype)
    expected = x << y if direction == "LEFT" else x >> y
    inputs = [x, const(y, dtype) if constant else y]
    check_node("BitShift", inputs, opset=28, direction=direction, expected=[expected], rtol=0, atol=0)
    if not constant:
        wide, ops = run_wide("BitShift", inputs, direction=direction)
        np.testing.assert_array_equal(wide, expected.astype(np.int64))
        assert f"shift_{direction.lower()}" in ops


def test_shift_by_a_constant_inside_the_width_needs_no_selection():
    x = np.array([1, 200, 255], np.uint8)
    check_node("BitShift", [x, const(1, np.uint8)], direction="RIGHT", ops=["shift_right"])
    result = check_node("BitShift", [x, const(1, np.uint8)], direction="LEFT")
    assert "select" not in result.ops


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
def test_shift_beyond_the_width_leaves_the_sign(dtype):
    x = some(dtype)
    y = np.full_like(x, np.iinfo(dtype).bits)
    check_node("BitShift", [x, y], opset=28, direction="LEFT", expected=[np.zeros_like(x)])
    check_node("BitShift", [x, y], opset=28, direction="RIGHT", expected=[np.where(x < 0, -1, 0).astype(dtype)])


@pytest.mark.parametrize("dtype", [*UNSIGNED, *SIGNED])
def test_bitwise_logic(dtype):
    x, y = some(dtype), some(dtype)[::-1].copy()
    for op, expected in (("BitwiseAnd", x & y), ("BitwiseOr", x | y), ("BitwiseXor", x ^ y)):
        check_node(op, [x, y], expected=[expected])
        np.testing.assert_array_equal(run_wide(op, [x, y])[0], expected)
    check_node("BitwiseNot", [x], expected=[~x])
    np.testing.assert_array_equal(run_wide("BitwiseNot", [x])[0], ~x)


@pytest.mark.parametrize(
    ("source", "target"), [(np.int32, 12), (np.uint32, 6), (np.int8, 2), (np.uint8, 3), (np.int64, 13)]
)
def test_bit_cast_between_integers(source, target):
    x = some(source)
    types = {12: np.uint32, 6: np.int32, 2: np.uint8, 3: np.int8, 13: np.uint64}
    check_node("BitCast", [x], opset=26, to=target, expected=[x.view(types[target])])


def test_bit_cast_of_a_constant():
    model = text_model(
        """<ir_version: 8, opset_import: ["" : 26]>
        g (int32[2] x) => (int32[2] y) {
            c = Constant <value: tensor = float[2] {1.0, -2.5}> ()
            k = BitCast <to = 6> (c)
            y = BitwiseXor (x, k)
        }"""
    )
    x = np.array([5, -7], np.int32)
    check(model, [x], expected=[x ^ np.array([1.0, -2.5], np.float32).view(np.int32)])


def test_bits_of_reals_are_refused():
    x = np.array([1.0, -2.5], np.float32)
    with pytest.raises(ConversionError) as raised:
        convert(node_model("BitCast", [x], opset=26, to=6), [x])
    assert "float32 as int32: NNEF does not say how numbers are represented in bits" in "\n".join(raised.value.details)


@pytest.mark.parametrize(("source", "target"), [(np.int64, np.uint8), (np.int32, np.int8), (np.int16, np.uint16)])
def test_integer_casts_wrap(source, target):
    x = some(source)
    code = {np.uint8: 2, np.int8: 3, np.uint16: 4}[target]
    check_node("Cast", [x], to=code, rtol=0, atol=0)
    np.testing.assert_array_equal(run_wide("Cast", [x], opset=21, to=code)[0], x.astype(target))


def test_shift_after_a_widening_cast_uses_the_new_width():
    x = np.array([200, 255], np.uint8)
    model = text_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (uint8[2] x) => (uint32[2] y) {
            w = Cast <to = 12> (x)
            s = Constant <value: tensor = uint32 {4}> ()
            y = BitShift <direction = "LEFT"> (w, s)
        }"""
    )
    check(model, [x])


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_reals_are_exact(fmod):
    x = np.array([7.5, -7.5, 7.5, -7.5, 1e9, -1e9, 6, -6, 0.3, 2.0**40], np.float32)
    y = np.array([2, 2, -2, -2, 0.7, 0.7, 3, -3, 0.1, 3], np.float32)
    expected = np.fmod(x, y) if fmod else np.mod(x, y)
    result = check_node("Mod", [x, y], opset=28, fmod=fmod, expected=[expected], rtol=0, atol=0)
    assert result.ops[0] == "fmod" and not result.converter.warnings
    if fmod:
        check_node("Mod", [x, y], opset=13, fmod=1, ops=["fmod"], rtol=0, atol=0)


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_integers(fmod):
    x = np.array([7, -7, 7, -7, 16777215, 6, -6, 0], np.int32)
    y = np.array([3, 3, -3, -3, 7, 3, -3, 5], np.int32)
    check_node("Mod", [x, y], fmod=fmod, rtol=0, atol=0)

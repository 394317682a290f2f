"""graph.quant: entries, defaults, arrays, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import FormatError, ParseError
from nnef_tools.language.parser import parse_fragments
from nnef_tools.language.quant_file import format_quantization, parse_quantization

CUSTOM = parse_fragments(
    "fragment q(x: tensor<scalar>, scale: tensor<scalar> = 1.0, bits: integer = 8) -> (y: tensor<scalar>);"
)


def test_entries() -> None:
    entries = parse_quantization(
        """# comment
        "x": min_max_linear_quantize(min = -1.0, max = 1.0, bits = 8, signed = true, symmetric = false);
        'w' : zero_point_linear_quantize(zero_point = [1, -2], scale = [[0.5, 0.25]], bits = 8, signed = true,
            symmetric = true);
        "a": q();
        """,
        fragments=CUSTOM,
    )
    assert list(entries) == ["x", "w", "a"]
    assert entries["x"] == {
        "op-name": "min_max_linear_quantize",
        "min": -1.0,
        "max": 1.0,
        "bits": 8,
        "signed": True,
        "symmetric": False,
    }
    assert entries["a"] == {"op-name": "q", "bits": 8, "scale": 1.0}
    zero, scale = entries["w"]["zero_point"], entries["w"]["scale"]
    np.testing.assert_array_equal(zero, np.array([1, -2]))
    np.testing.assert_array_equal(scale, np.array([[0.5, 0.25]], np.float32))
    assert (zero.dtype, scale.dtype) == (np.int64, np.float32)
    assert parse_quantization("") == {}


def test_round_trip() -> None:
    entries = {
        "x": {"op-name": "linear_quantize", "min": 0.0, "max": 0.1, "bits": 8, "note": None},
        "w": {
            "op-name": "zero_point_linear_quantize",
            "zero_point": np.array([[1], [2]]),
            "scale": np.float32(0.1),
            "bits": 8,
            "signed": False,
            "symmetric": False,
        },
    }
    text = format_quantization(entries)
    assert text == (
        '"x": linear_quantize(min = 0.0, max = 0.1, bits = 8);\n'
        '"w": zero_point_linear_quantize(zero_point = [[1], [2]], scale = 0.1, bits = 8, signed = false, '
        "symmetric = false);\n"
    )
    again = parse_quantization(text)
    assert again["x"]["max"] == 0.1
    np.testing.assert_array_equal(again["w"]["zero_point"], [[1], [2]])
    assert format_quantization(again) == text


def test_entries_without_operation_cannot_be_written() -> None:
    with pytest.raises(FormatError, match="'x' names no operation"):
        format_quantization({"x": {"min": 0.0}})


LINEAR = '"x": linear_quantize(%s);'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: relu();", "in quotes"),
        ('"x" linear_quantize(min = 0.0, max = 1.0, bits = 8);', "expected ':'"),
        ('"a/b": q();', "not the name of a tensor"),
        ('"x": nosuch(a = 1);', "not defined"),
        ('"x": 3;', "expected a quantization operation"),
        ('"x": constant(shape = [1], value = [1.0]);', "first parameter is not a tensor"),
        ('"x": concat(axis = 1);', "first parameter is not a tensor"),
        (LINEAR % "0.0, max = 1.0, bits = 8", "must be named"),
        (LINEAR % "x = 0.0, min = 0.0, max = 1.0, bits = 8", "must be left out"),
        (LINEAR % "min = 0.0, max = 1.0", "'bits' of 'linear_quantize' is missing"),
        (LINEAR % "min = 0.0, min = 0.0, max = 1.0, bits = 8", "given twice"),
        (LINEAR % "min = 0.0, max = 1.0, bits = 8, sign = true", "no parameter 'sign'"),
        (LINEAR % "min = 0, max = 1.0, bits = 8", "cannot be integer"),
        (LINEAR % "min = 0.0, max = 1.0, bits = [8]", "cannot be integer[]"),
        (LINEAR % "min = y, max = 1.0, bits = 8", "must be a literal"),
        (LINEAR % "min = 1.0 + 1.0, max = 1.0, bits = 8", "not enabled"),
        (LINEAR % "min = [], max = 1.0, bits = 8", "empty"),
        (LINEAR % "min = [[]], max = 1.0, bits = 8", "empty"),
        (LINEAR % "min = [1.0, 'a'], max = 1.0, bits = 8", "of type scalar"),
        (LINEAR % "min = [1, 2], max = 1.0, bits = 8", "of type scalar"),
        (LINEAR % "min = [[1.0], [1.0, 2.0]], max = 1.0, bits = 8", "jagged"),
        (LINEAR % "min = [[1.0], 1.0], max = 1.0, bits = 8", "jagged"),
        (LINEAR % ("min = " + "[" * 65 + "1.0" + "]" * 65 + ", max = 1.0, bits = 8"), "dimensions"),
        (LINEAR % ("min = " + "[" * 200_000 + ", max = 1.0, bits = 8"), "nested deeper"),
        (2 * (LINEAR % "min = 0.0, max = 1.0, bits = 8"), "two entries"),
        (LINEAR % "min = 0.0, max = 1.0, bits = 8" + " graph", "in quotes"),
        ('"x": linear_quantize(min = 0.0', "expected"),
        (LINEAR % "min = 0.0, max = 1.0, bits = 0", "0 does not lie in [1, 64]"),
        (LINEAR % "min = 0.0, max = 1.0, bits = 65", "65 does not lie in [1, 64]"),
        (LINEAR % "min = 0.0, max = 1.0, bits = 899999999999", "899999999999 does not lie in [1, 64]"),
    ],
)
def test_rejected(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_quantization(text, "m/graph.quant", CUSTOM)
    assert message in str(caught.value)
    assert str(caught.value).startswith("m/graph.quant:1:")

"""The wording of errors: options of the command line in `hint`, parameters in the error as a string."""

from __future__ import annotations

import pytest

from nnef_tools.conversion.engine.refusal import Refusal
from nnef_tools.errors import NnefToolsError, in_python, shape_hint, shape_text
from nnef_tools.report import format_table, group_refusals, refusal_table


@pytest.mark.parametrize(
    ("command_line", "python"),
    [
        ("give it with --input-shapes", "give it with input_shapes={..}"),
        ("--static-only leaves it out, or --output-names a.b 'c d' converts only what leads there",
         "static_only=True leaves it out, or output_names=['a.b', 'c d'] converts only what leads there"),
        ("give ?: --shape 'x:?,3' 'in put:0:1,2'", "give ?: input_shapes={'x': (?, 3), 'in put:0': (1, 2)}"),
        ("extents (--shape x:1,3) or values", "extents (input_shapes={'x': (1, 3)}) or values"),
        ("it needs operator set version 18 (--opset 18)", "it needs operator set version 18 (opset=18)"),
        ("'erf', which --standard-only excludes", "'erf', which standard_only=True excludes"),
        ("tensor 'a--static-only-b' and '--static-onlyx'", "tensor 'a--static-only-b' and '--static-onlyx'"),
        ("pip install --upgrade onnx", "pip install --upgrade onnx"),
    ],
)  # fmt: skip
def test_python_does_not_get_words_of_the_command_line(command_line: str, python: str) -> None:
    assert in_python(command_line) == python
    error = NnefToolsError("it is wrong", [command_line], hint=command_line)
    assert str(error).splitlines() == ["it is wrong", python, f"hint: {python}"]
    assert error.hint == command_line


def test_unknown_extents_are_question_marks() -> None:
    assert [shape_text(shape) for shape in ([1, None, 3], (None,), (), None)] == ["[1, ?, 3]", "[?]", "[]", "?"]
    assert shape_hint({"x": (None, 3, 8), "a b": None}).endswith(": --shape 'x:?,3,8' 'a b:?'")


ROWS = [
    ("operator", "count", "reason", "for example"),
    (
        "NonZero",
        "1",
        "the shape of the result depends on the data, which is computed from the inputs",
        "scope/NonZero_12",
    ),
    ("Foo", "12", "there is no rule for Foo-1", ""),
]


@pytest.mark.parametrize("width", [60, 80, 110])
def test_tables_fit_the_terminal(width: int) -> None:
    lines = list(format_table(ROWS, width))
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert {word for row in ROWS for cell in row for word in cell.split() if "/" not in word} <= set(words)


def test_tables_are_plain_elsewhere() -> None:
    lines = list(format_table(ROWS))
    assert len(lines) == len(ROWS) and ROWS[1][2] in lines[1]


def test_operators_without_name_are_found_by_their_result() -> None:
    refusal = Refusal("Foo", "", "no rule", False, {}, (), (), output="conv5_out")
    assert refusal_table(group_refusals([refusal]))[1] == ("Foo", "1", "no rule", "conv5_out")

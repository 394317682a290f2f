"""A TensorFlow program computes in NNEF what it did before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from nnef_tools.conversion.tf_to_nnef import Converter
from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.conversions import Converted, assert_computes, convert_to_nnef
from ...support.tf_programs import Program, Traced, trace


def convert(program: Program | Traced, *inputs: Array, **options: Any) -> Converted:
    """Converts a program and runs the result."""
    traced = program if isinstance(program, Traced) else trace(program, inputs)
    return convert_to_nnef(Converter(**options), traced.read(), inputs)


def check(
    program: Program | Traced,
    *inputs: Array,
    ops: Sequence[str] | None = None,
    expected: Program | Sequence[Array] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    **options: Any,
) -> Converted:
    """The converted program computes what TensorFlow does, in the same shapes and kinds of items.

    ops: the operations that it must consist of. expected: the results, or an equivalent program that TensorFlow can
    run, where it has no kernel for the original on the CPU.
    """
    traced = program if isinstance(program, Traced) else trace(program, inputs)
    if expected is None:
        expected = traced.run(inputs)
    elif callable(expected):
        expected = trace(expected, inputs).run(inputs)
    result = convert(traced, *inputs, **options)
    assert_computes(result, expected, ops=ops, rtol=rtol, atol=atol)
    return result


def refusal(program: Program, *inputs: Array, **options: Any) -> str:
    """Why the program cannot be converted."""
    with pytest.raises(ConversionError) as caught:
        Converter(**options)(trace(program, inputs).read())
    return "\n".join([caught.value.message, *caught.value.details])

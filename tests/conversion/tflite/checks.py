"""An operator of TensorFlow Lite computes in NNEF what LiteRT's reference kernels compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tflite_to_nnef import Converter
from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.conversions import Converted, assert_computes, convert_to_nnef
from ...support.lite_models import Argument, operator_graph, read_back, run_litert

INTEGERS = "NNEF has no integer arithmetic"


def check(
    type: str,
    *arguments: Argument,
    dtypes: Sequence[Any] | None = None,
    expected: Sequence[Array] | None = None,
    reference: bool = True,
    ops: Sequence[str] | None = None,
    tolerance: float = 1e-5,
    **options: Any,
) -> Converted:
    """dtypes: of the results, by default that of the first argument that is fed. expected: where LiteRT has no kernel.

    reference: of the reference kernels, or of the optimized ones? ops: the operations that the result must consist of.
    tolerance: relative to the largest item; integers are exact.
    """
    fed = [a for a in arguments if isinstance(a, np.ndarray)]
    types = [fed[0].dtype.type] if dtypes is None else list(dtypes)
    shapes: list[Sequence[int]] = [()] * len(types)
    if expected is None:  # the kernels find the shapes
        graph = operator_graph(type, arguments, shapes=shapes, dtypes=types, **options)
        expected = run_litert(graph, fed, reference=reference)
    graph = operator_graph(type, arguments, shapes=[y.shape for y in expected], dtypes=types, **options)
    result = convert_to_nnef(Converter(), read_back(graph), fed)
    assert all(text.startswith(INTEGERS) for text in result.converter.warnings), result.converter.warnings
    finite = [y[np.isfinite(y)] for y in expected if y.dtype.kind == "f"]
    scale = max((float(np.abs(y).max()) for y in finite if y.size), default=0.0)
    assert_computes(result, expected, ops=ops, rtol=0.0, atol=tolerance * scale)
    return result


def refusal(type: str, *arguments: Argument, dtypes: Sequence[Any] = (np.float32,), **options: Any) -> str:
    """Why the operator cannot be converted."""
    shapes = options.pop("shapes", [(1,)] * len(dtypes))
    graph = operator_graph(type, arguments, shapes=shapes, dtypes=dtypes, **options)
    with pytest.raises(ConversionError) as caught:
        Converter()(read_back(graph))
    return "\n".join([caught.value.message, *caught.value.details])

"""What becomes of a case: converted to an NNEF folder, read back, run, and compared with what is expected."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from nnef_tools.errors import ConversionError, NnefToolsError
from nnef_tools.pipeline import convert_model

from ..support.arrays import Array, nnef_kind
from ..support.nnef_models import run_nnef
from .differences import DIFFERENCES
from .suite import Case

RTOL, ATOL = 1e-3, 1e-5


@dataclass(frozen=True)
class Outcome:
    """state: right, refused (a ConversionError), wrong (other numbers, shapes or kinds) or broken (any other error).

    `different` are other numbers for a reason that differences.py names and that explains them.
    """

    state: str
    reason: str = ""


def run(case: Case, folder: Path, backend: str = "numpy") -> Outcome:
    """The outcome of a case; the model is written to `folder`/nnef."""
    source, target = folder / "case.onnx", folder / "nnef"
    shutil.rmtree(target, ignore_errors=True)
    onnx.save(case.model, source)
    try:
        shapes = {name: array.shape for name, array in case.inputs.items()}
        convert_model(source, target, output_format="nnef", input_shapes=shapes)
        given = [array for array in case.inputs.values() if array.size]  # NNEF has no empty inputs
        with np.errstate(all="ignore"):
            arrays = run_nnef(target, given, backend=backend)
    except ConversionError as error:
        return Outcome("refused", _reason(error))
    except NnefToolsError as error:
        return Outcome("broken", f"{type(error).__name__}: {error.message}")
    except Exception as error:
        return Outcome("broken", f"traceback of {type(error).__name__}: {error}")
    outcome = compare(arrays, case.outputs)
    difference = DIFFERENCES.get(case.name)
    if outcome.state == "wrong" and difference is not None and difference.explains(case, arrays):
        return Outcome("different", difference.reason)
    return outcome


def compare(results: Sequence[Array], expected: Sequence[Array]) -> Outcome:
    """Right if shapes and kinds are equal and the values within the tolerances."""
    if len(results) != len(expected):
        return Outcome("wrong", f"{len(results)} outputs instead of {len(expected)}")
    for k, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        if result.shape != wanted.shape:
            return Outcome("wrong", f"output {k}: shape {list(result.shape)} instead of {list(wanted.shape)}")
        if nnef_kind(result.dtype) != nnef_kind(wanted.dtype):
            return Outcome("wrong", f"output {k}: {result.dtype} instead of {wanted.dtype}")
        a, b = result.astype(np.float64), wanted.astype(np.float64)
        differ = ~np.isclose(a, b, RTOL, ATOL, equal_nan=True)
        if differ.any():
            first = np.argmax(differ.reshape(-1))
            pair = f"{a.reshape(-1)[first]:.6g} instead of {b.reshape(-1)[first]:.6g}"
            return Outcome("wrong", f"output {k}: {np.count_nonzero(differ)} of {a.size} values differ, first {pair}")
    return Outcome("right")


def _reason(error: ConversionError) -> str:
    """The first refusal, without the name of the node, or the message of an error about the whole graph."""
    lines = [line for line in error.details if line.startswith("Conversion of operator")]
    return re.sub(r" \(node '[^']*'\)", "", lines[0]) if lines else error.message

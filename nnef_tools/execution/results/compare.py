"""Comparison of the results of two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from ..executor import Array


@dataclass(frozen=True)
class OutputComparison:
    """The comparison of one output with its reference; the numbers are NaN if the shapes differ.

    max_error: largest absolute difference of the finite items. scale: largest absolute finite item of the reference.
    cosine: of the angle between the finite items as vectors (1 if both are zero). specials_equal: are NaN and
    infinities the same, at the same positions? ok: is the difference within tolerance?
    """

    name: str
    reference_shape: tuple[int, ...]
    result_shape: tuple[int, ...]
    reference_dtype: str
    result_dtype: str
    max_error: float
    scale: float
    cosine: float
    specials_equal: bool
    ok: bool

    @property
    def relative_error(self) -> float:
        """max_error relative to the scale of the reference; 0 for two equal outputs, inf if only the scale is 0."""
        if self.max_error == 0.0:
            return 0.0
        return self.max_error / self.scale if self.scale else (float("inf") if self.max_error else 0.0)

    @property
    def shapes_equal(self) -> bool:
        return self.reference_shape == self.result_shape

    @property
    def dtypes_equal(self) -> bool:
        return self.reference_dtype == self.result_dtype


@dataclass(frozen=True)
class Comparison:
    """The comparison of all outputs; ok if every one is."""

    outputs: tuple[OutputComparison, ...]

    def __repr__(self) -> str:
        """One line: the verdict, and the worst tensor."""
        if not self.outputs:
            return "<Comparison: nothing compared>"
        wrong = [output for output in self.outputs if not output.ok]
        verdict = f"{len(wrong)} of {len(self.outputs)} differ" if wrong else f"{len(self.outputs)} within tolerance"
        worst = max(wrong or self.outputs, key=_badness)
        error = f"error {worst.max_error:.2g}, {worst.relative_error:.2g} of its scale"
        if not worst.shapes_equal:
            error = f"shapes {list(worst.reference_shape)} and {list(worst.result_shape)}"
        elif not worst.specials_equal:
            error = "infinite or not-a-number items in other places"
        return f"<Comparison: {verdict}; the worst is '{worst.name}': {error}>"

    @property
    def ok(self) -> bool:
        return all(output.ok for output in self.outputs)

    @property
    def max_error(self) -> float:
        """The largest absolute error; NaN if the shapes of an output differ."""
        errors = [output.max_error for output in self.outputs]
        return float(np.max(errors)) if errors else 0.0


def _badness(output: OutputComparison) -> tuple[bool, float]:
    return not (output.shapes_equal and output.specials_equal), output.relative_error if output.shapes_equal else 0.0


def compare_outputs(
    reference: Mapping[str, Array],
    result: Mapping[str, Array],
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    relative_to_scale: float = 1e-4,
) -> Comparison:
    """Compares the outputs of the reference with the outputs with the same names in the result.

    An item may differ by `atol + rtol * |reference item| + relative_to_scale * (largest |reference item|)`. Integer and
    logical outputs must be equal (if both sides are). Not-a-number and infinite items must be the same on both sides;
    shapes must be equal; item types are compared, but may differ. UsageError if an output is missing.
    """
    missing = [name for name in reference if name not in result]
    if missing:
        raise UsageError(f"the result has no output {', '.join(map(repr, missing))}", hint=f"it has {sorted(result)}")
    return Comparison(
        tuple(
            _compare(name, np.asarray(expected), np.asarray(result[name]), rtol, atol, relative_to_scale)
            for name, expected in reference.items()
        )
    )


def _compare(name: str, reference: Array, result: Array, rtol: float, atol: float, to_scale: float) -> OutputComparison:
    max_error = scale = cosine = float("nan")
    specials = ok = False
    if reference.shape == result.shape:
        exact = reference.dtype.kind in "biu" and result.dtype.kind in "biu"
        if exact:
            rtol = atol = to_scale = 0.0
        a, b = (np.asarray(array, np.float64).reshape(-1) for array in (reference, result))
        finite = np.isfinite(a) & np.isfinite(b)
        specials = bool(np.array_equal(a[~finite], b[~finite], equal_nan=True))
        a, b = a[finite], b[finite]
        errors = np.abs(a - b)
        max_error = float(errors.max(initial=0.0))
        scale = float(np.abs(a).max(initial=0.0))
        cosine = _cosine(a, b)
        within = bool(np.all(errors <= atol + rtol * np.abs(a) + to_scale * scale))
        # float64 is not exact for integers above 2**53, so those are compared as integers
        ok = specials and (bool(np.array_equal(reference, result)) if exact else within)
    return OutputComparison(
        name=name,
        reference_shape=reference.shape,
        result_shape=result.shape,
        reference_dtype=reference.dtype.name,
        result_dtype=result.dtype.name,
        max_error=max_error,
        scale=scale,
        cosine=cosine,
        specials_equal=specials,
        ok=ok,
    )


def _cosine(a: Array, b: Array) -> float:
    largest = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    a, b = a / largest, b / largest  # so that squares neither overflow nor vanish
    norms = float(np.sqrt(np.sum(a * a)) * np.sqrt(np.sum(b * b)))
    return float(np.sum(a * b)) / norms if norms else 0.0

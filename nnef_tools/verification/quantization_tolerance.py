"""How much results of a quantized model may differ from runtime to runtime.

Where a value lies at, or within the rounding errors of floating point from, the middle of two codes, runtimes choose
different ones. Such a flip is worth a step of the codes, and steps of the next layers follow from it. How much that is
in the end depends on the model; onnxruntime with and without its optimizations shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..execution.executor import Array
from ..model import Graph, Tensor

MOST_STEPS = 4.0
"""How many steps an item of an output may be off."""

TYPICAL_STEPS = 1.0
"""How many steps all items of an output may be off as a root of the mean square: errors, unlike flips, are many."""

SYSTEMATIC_STEPS = 0.5
"""How many steps errors may follow the values or be the same for all, as a wrong scale or zero point makes them."""

CHANCE_FACTOR = 3.0
"""How many times as strong such a dependence must be as chance makes it, in as many items as there are."""

SPREAD_FACTOR = 3.0
"""How many times the deviation between runs of the same model errors may be, if that is more."""

LIMIT_SLACK = 1e-4
"""Relative slack for rounding when errors are compared with their limits."""

NARROW = (np.int8, np.uint8, np.int16, np.uint16)
"""Item types of outputs that may be codes; indices are wider."""


@dataclass(frozen=True)
class Coarseness:
    """How coarse the codes in an NNEF graph with quantized activations are.

    bits: the fewest of an activation. steps: of one code, by the name of a quantized output.
    of_source: is it the graph that is converted, or the one that it is converted to?
    """

    bits: int
    steps: Mapping[str, float]
    of_source: bool

    @classmethod
    def of(cls, graph: Graph, of_source: bool) -> Coarseness | None:
        """None if no activation is quantized: then nothing is rounded to codes while the model runs."""
        activations = [t for t in graph.tensors if t.data is None and (t.quant or {}).get("op-name")]
        if not activations:
            return None
        steps = {str(t.name): step for t in graph.outputs if t in activations and (step := _step(t)) is not None}
        return cls(min(int((t.quant or {}).get("bits") or 8) for t in activations), steps, of_source)

    def step(self, name: str, dtype: Any, expected: Array) -> float | None:
        """The step of an output: of its own codes, or else of as many bits as the coarsest activation has.

        None for integers that are no codes, and for logical values.
        """
        if expected.dtype.kind in "biu":
            return 1.0 if dtype in NARROW else None
        if name in self.steps:
            return self.steps[name]
        finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
        return math.ldexp(float(finite.max(initial=0.0)), -self.bits)


def _step(tensor: Tensor) -> float | None:
    quant = tensor.quant or {}
    if "scale" in quant:
        return float(np.max(np.abs(np.asarray(quant["scale"], np.float64))))
    if "min" in quant and "max" in quant:
        span = np.asarray(quant["max"], np.float64) - np.asarray(quant["min"], np.float64)
        return float(np.max(span)) / ((1 << int(quant["bits"])) - 1)
    return None


@dataclass(frozen=True)
class Deviation:
    """How far two results are from each other: the largest difference, and the root of the mean square."""

    most: float = 0.0
    typical: float = 0.0

    @classmethod
    def between(cls, a: Array, b: Array) -> Deviation:
        """Infinite if the shapes differ, or the places of infinities and NaN."""
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        finite = np.isfinite(a) & np.isfinite(b) if a.shape == b.shape else np.False_
        if a.shape != b.shape or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return cls(np.inf, np.inf)
        errors = np.abs(a - b)[finite]
        return cls(float(errors.max()), float(np.sqrt(np.mean(errors**2)))) if errors.size else cls()

    def __or__(self, other: Deviation) -> Deviation:
        """The larger of both."""
        return Deviation(max(self.most, other.most), max(self.typical, other.typical))

    def is_noise(self, step: float, spread: Deviation) -> bool:
        """Is that no more than flips of codes make? spread: between runs of one model in different ways."""
        most = max(MOST_STEPS * step, SPREAD_FACTOR * spread.most)
        typical = max(TYPICAL_STEPS * step, SPREAD_FACTOR * spread.typical)
        return self.most <= most * (1 + LIMIT_SLACK) and self.typical <= typical * (1 + LIMIT_SLACK)


NO_DEVIATION = Deviation()


@dataclass
class Noise:
    """The errors of one output of a quantized model in several runs: flips of codes, or errors of the model?"""

    _runs: list[tuple[Deviation, float | None]] = field(default_factory=list)
    _spread: Deviation = NO_DEVIATION
    _moments: Array = field(default_factory=lambda: np.zeros((3, 3)))
    """Sums of the products of 1, value and error: what a fit of the errors by a line needs."""

    @property
    def step(self) -> float | None:
        """The largest step of a code; None if the output is not quantized, or no run was added."""
        return max((step for _, step in self._runs if step is not None), default=None)

    def add(self, expected: Array, result: Array, step: float | None, spread: Deviation) -> None:
        """Notes a run. spread: between runs of one model in different ways."""
        self._runs.append((Deviation.between(expected, result), step))
        self._spread |= spread
        if expected.shape == result.shape:
            values, results = np.asarray(expected, np.float64).ravel(), np.asarray(result, np.float64).ravel()
            finite = np.isfinite(values) & np.isfinite(results)
            terms = np.stack([np.ones(int(finite.sum())), values[finite], (results - values)[finite]])
            self._moments = self._moments + terms @ terms.T

    def is_flips(self) -> bool:
        """Are the errors of all runs no more than flips of codes make, and without a system?"""
        small = all(step is not None and error.is_noise(step, self._spread) for error, step in self._runs)
        return small and not self._is_systematic()

    def _is_systematic(self) -> bool:
        """Is a part of the errors a linear function of the values?"""
        count, squares = float(self._moments[0, 0]), float(self._moments[2, 2])
        if not count or not squares:
            return False
        line = np.linalg.lstsq(self._moments[:2, :2], self._moments[:2, 2], rcond=None)[0]
        explained = math.sqrt(max(0.0, float(line @ self._moments[:2, 2])) / count)
        chance = CHANCE_FACTOR * math.sqrt(squares / count) * math.sqrt(2 / count)
        return explained > max(SYSTEMATIC_STEPS * (self.step or 0.0), self._spread.typical, chance)

"""Bounds for the differences between runtimes in the results of a quantized model.

Where a value lies in the middle of two codes, or so near that rounding decides, runtimes choose different codes. Such a
flip changes the value by one step, and steps in later layers follow from it. How much that changes the outputs depends
on the model; the difference between onnxruntime with and without its optimizations shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..language.attributes import MAX_BITS
from ..model import Graph, Tensor

if TYPE_CHECKING:  # a conversion that is not verified needs no runtimes
    from ..execution.executor import Array

MOST_STEPS = 4.0
"""The largest accepted error of an item of an output, in steps."""

TYPICAL_STEPS = 1.0
"""The largest accepted root mean square error of an output, in steps: unlike other errors, flips are few."""

SYSTEMATIC_STEPS = 0.5
"""The largest accepted systematic error, in steps: a linear function of the values, as a wrong scale gives."""

CHANCE_FACTOR = 3.0
"""How many times stronger than chance such a part must be to count, given the number of items."""

SPREAD_FACTOR = 3.0
"""The largest accepted error as a multiple of the deviation between runs of the same model, if that is more."""

LIMIT_SLACK = 1e-4
"""Relative slack for rounding when errors are compared with their limits."""

NARROW = (np.int8, np.uint8, np.int16, np.uint16)
"""Item types of outputs that may be quantization codes; indices are wider."""


PASSING = frozenset({
    "copy", "reshape", "transpose", "squeeze", "unsqueeze", "slice", "split", "concat", "stack", "unstack", "pad",
    "tile", "gather", "add", "sub", "neg", "abs", "min", "max", "clamp", "relu", "max_pool", "max_reduce", "min_reduce",
})  # fmt: skip
"""Operations that pass an error of an input on as it is: a flip of a code there is as large in the result."""


class QuantizationSteps(NamedTuple):
    """The sizes of the steps between codes in an NNEF graph with quantized activations.

    bits: the fewest of any activation. steps: name of a quantized output -> step. of_source: are names those of the
    graph that is converted, or of its result? ratios: name -> how many times as large are the steps of codes that the
    output comes from, where these are larger.
    """

    bits: int
    steps: Mapping[str, float]
    of_source: bool
    ratios: Mapping[str, float] = {}

    @classmethod
    def of(cls, graph: Graph, of_source: bool) -> QuantizationSteps | None:
        """The steps of a graph; None if no activation is quantized, so that nothing is rounded to codes in a run."""
        activations = [t for t in graph.tensors if t.data is None and (t.quant or {}).get("op-name")]
        if not activations:
            return None
        coded = {str(t.name): _copied(t) for t in graph.outputs}
        steps = {name: step for name, t in coded.items() if t in activations and (step := _step(t)) is not None}
        passed = passed_steps(graph)
        ratios = {name: passed.get(coded[name], step) / step for name, step in steps.items() if step}
        return cls(min(_bits(t) or 8 for t in activations), steps, of_source, ratios)

    def step(self, name: str, dtype: Any, expected: Array) -> float | None:
        """The step of an output: that of its own codes, or else of codes with the fewest bits of any activation.

        Of finer codes than those that they come from, it is the step of these: a flip there is several steps here. None
        for integers that are not codes, and for logical values.
        """
        if expected.dtype.kind in "biu":
            return self.ratios.get(name, 1.0) if dtype in NARROW else None
        if name in self.steps:
            return self.steps[name] * self.ratios.get(name, 1.0)
        finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
        return math.ldexp(float(finite.max(initial=0.0)), -self.bits)


def passed_steps(graph: Graph) -> dict[Tensor, float]:
    """The step of each tensor, or that of codes that its values come from, if it is larger; 0 without codes."""
    steps: dict[Tensor, float] = {}
    for op in graph.operations:
        before = max((steps.get(t, 0.0) for t in op.inputs), default=0.0) if op.type in PASSING else 0.0
        for tensor in op.outputs:
            own = _step(tensor) if tensor.data is None else None
            steps[tensor] = max(own or 0.0, before)
    return steps


def _copied(tensor: Tensor) -> Tensor:
    """The tensor whose values an output has: itself, or what it is a copy of, as dequantized codes are."""
    while not tensor.quant and tensor.producer is not None and tensor.producer.type == "copy":
        tensor = tensor.producer.input
    return tensor


def _bits(tensor: Tensor) -> int | None:
    """The width of the codes of a tensor; None if it is not known, as for a custom operation."""
    bits = (tensor.quant or {}).get("bits")
    return int(bits) if isinstance(bits, (int, np.integer)) and 1 <= bits <= MAX_BITS else None


def _step(tensor: Tensor) -> float | None:
    quant, bits = tensor.quant or {}, _bits(tensor)
    if "scale" in quant:
        return float(np.max(np.abs(np.asarray(quant["scale"], np.float64))))
    if "min" in quant and "max" in quant and bits is not None:
        span = np.asarray(quant["max"], np.float64) - np.asarray(quant["min"], np.float64)
        return float(np.max(span)) / ((1 << bits) - 1)
    return None


@dataclass(frozen=True)
class Deviation:
    """The distance of two results: the largest difference, and the root mean square."""

    most: float = 0.0
    typical: float = 0.0

    @classmethod
    def between(cls, a: Array, b: Array) -> Deviation:
        """The deviation of two arrays; infinite if their shapes or the positions of infinities and NaN differ."""
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        finite = np.isfinite(a) & np.isfinite(b) if a.shape == b.shape else np.False_
        if a.shape != b.shape or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return cls(np.inf, np.inf)
        errors = np.abs(a - b)[finite]
        return cls(float(errors.max()), float(np.sqrt(np.mean(errors**2)))) if errors.size else cls()

    def __or__(self, other: Deviation) -> Deviation:
        """The larger of the two deviations, in each field."""
        return Deviation(max(self.most, other.most), max(self.typical, other.typical))

    def is_noise(self, step: float, spread: Deviation) -> bool:
        """Can flips of codes explain the deviation? spread: between runs of one model in different ways."""
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
    """Sums of the products of 1, value and error, from which a line is fitted to the errors."""

    @property
    def step(self) -> float | None:
        """The largest step of a code; None if the output is not quantized, or no run was added."""
        return max((step for _, step in self._runs if step is not None), default=None)

    def add(self, expected: Array, result: Array, step: float | None, spread: Deviation) -> None:
        """Takes a run into account. spread: the deviation between runs of one model in different ways."""
        self._runs.append((Deviation.between(expected, result), step))
        self._spread |= spread
        if expected.shape == result.shape:
            values, results = np.asarray(expected, np.float64).ravel(), np.asarray(result, np.float64).ravel()
            finite = np.isfinite(values) & np.isfinite(results)
            terms = np.stack([np.ones(int(finite.sum())), values[finite], (results - values)[finite]])
            self._moments = self._moments + terms @ terms.T

    def is_flips(self) -> bool:
        """Can flips of codes explain the errors of all runs, and is there no systematic part in them?"""
        small = all(step is not None and error.is_noise(step, self._spread) for error, step in self._runs)
        return small and not self._is_systematic()

    def _is_systematic(self) -> bool:
        """Is a significant part of the errors a linear function of the values?"""
        count, squares = float(self._moments[0, 0]), float(self._moments[2, 2])
        if not count or not squares:
            return False
        line = np.linalg.lstsq(self._moments[:2, :2], self._moments[:2, 2], rcond=None)[0]
        explained = math.sqrt(max(0.0, float(line @ self._moments[:2, 2])) / count)
        chance = CHANCE_FACTOR * math.sqrt(squares / count) * math.sqrt(2 / count)
        return explained > max(SYSTEMATIC_STEPS * (self.step or 0.0), self._spread.typical, chance)

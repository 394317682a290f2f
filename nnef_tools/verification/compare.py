"""Compares two models tensor by tensor on the same inputs, and finds where a difference begins.

The models run one after the other, and only so many tensors at a time as fit into MOST_BYTES, so that the memory is
that of the larger model and these tensors.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import NamedTuple

import numpy as np

from ..execution.executor import Array, Executor, known_name
from ..execution.results.compare import Comparison, OutputComparison, compare_outputs
from .alignment import ORDER, Pair, align
from .compare_exact import Distances, ExactTensors
from .compare_inputs import Given, other_layout
from .compared_model import ComparedModel
from .evidence import Evidence
from .first_difference import fetch, groups
from .layout import Move, fitting, move_label, moved
from .measures import QuantizationNoise, quantization_noise, ulps
from .quantization_tolerance import NARROW, NO_DEVIATION, Noise
from .real_values import comparable, range_of, step_of
from .verdicts import ABSOLUTE_TOLERANCE, TOLERANCE

EXACT_BITS = 2.0**-23
"""Relative errors below this one are taken for as large: one step of float32."""

CLEAR_JUMP = 100.0
"""How many times larger than that of its operands the error of a tensor is where an error clearly begins."""

LEAST_JUMP = 30.0
"""How many times larger it is at least, if a difference below the tolerance is taken for the beginning."""

MOST_JUDGED = 8
"""The largest number of tensors that are computed in float64 at a time."""

MOST_AXES = 5
"""The largest rank of tensors whose axes are tried in all orders."""

FEWEST_BITS = 8
"""The width of the codes that is assumed of a quantized model."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TensorComparison:
    """The comparison of two tensors that are the same.

    operators: what computes it in either model, empty for inputs. by: how it is known that they are the same.
    comparison: of the values, on the axes of the second model. ulps: the largest error in units in the last place of
    the item, of the narrower type; None for integers. move: of the channels, from the first model to the
    second. is_reshaped: are the items equal, but the shapes are not? noise: measured for quantized models.
    """

    a: str
    b: str
    operators: tuple[str, str]
    by: str
    comparison: OutputComparison
    ok: bool
    ulps: float | None = None
    move: Move = None
    is_reshaped: bool = False
    is_moved: bool = False
    noise: QuantizationNoise | None = None
    sample: int = 0
    distances: Distances | None = None

    @property
    def layout(self) -> str:
        """Where the channels are in the second model, if elsewhere than in the first; empty if they are not."""
        return move_label(self.move)

    @property
    def error(self) -> float:
        """The largest error relative to the scale; infinite if values cannot be subtracted."""
        found = self.comparison
        if self.is_reshaped:
            return 0.0
        if not found.shapes_equal or not found.specials_equal:
            return math.inf
        return found.relative_error

    @property
    def badness(self) -> tuple[bool, float]:
        """Sort key that grows with badness."""
        return not self.ok, math.inf if math.isnan(self.error) else self.error

    @property
    def is_computed(self) -> bool:
        """Is it no input of the models?"""
        return any(self.operators)


@dataclass(frozen=True)
class Operand:
    """A tensor from which another one is computed, with its relative error; None if it was not compared."""

    a: str
    b: str
    error: float | None


@dataclass(frozen=True)
class FirstDivergence:
    """Where a difference begins. operands: the nearest tensors before it that both models have.

    sources: the names in the models that these were made of, None if they are not known. operations: their names.
    """

    tensor: TensorComparison
    operands: tuple[Operand, ...]
    sources: tuple[str | None, str | None]
    operations: tuple[str | None, str | None]


@dataclass(frozen=True, repr=False)
class ModelComparison(Comparison):
    """The comparison of two models: `outputs`, and all `tensors` that both have, in the order in which the first runs.

    first: where the difference begins, None if no tensor differs. backends: what ran the models. missing: how many
    computed tensors of either have no counterpart. given: the inputs of both models, by name, of the sample in which
    `first` was found. samples: their number; each tensor has its worst comparison. alone: the outputs of either model
    that the other one does not have; such models are not equal. note: why float64 does not judge, if it should.
    weak: outputs that prove little on these inputs, and why.
    """

    tensors: tuple[TensorComparison, ...] = ()
    first: FirstDivergence | None = None
    backends: tuple[str, str] = ("", "")
    missing: tuple[int, int] = (0, 0)
    given: tuple[Mapping[str, Array], Mapping[str, Array]] = field(default=({}, {}), compare=False)
    samples: int = 1
    alone: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    note: str = ""
    weak: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        return super().ok and not any(self.alone)


def compare_tensors(
    a: ComparedModel,
    b: ComparedModel,
    given: Given | Sequence[Given],
    *,
    mapping: Mapping[str, str] | None = None,
    tolerance: float = TOLERANCE,
    quantized: bool = False,
    progress: Progress | None = None,
) -> ModelComparison:
    """Compares all tensors that both models have on the given inputs, of one run or several; `a` is the reference.

    mapping: see `align`. tolerance: the largest error relative to the scale of a tensor; beyond it, a tensor is equal
    only if float64 shows that rounding explains the error, and the tolerance is not less than the default. quantized:
    measure the noise of quantization, too. progress: called with what is being done. UsageError if the models do not
    fit together, ExecutionError if one cannot be run.
    """
    samples = [given] if isinstance(given, Given) else list(given)
    pairs = align(a, b, mapping)
    options = tolerance, quantized, progress or (lambda text: None)
    found = _compare(a, b, samples, pairs, *options)
    others = [other for sample in samples if (other := other_layout(a, b, sample)) is not None]
    if found.ok or not others:
        return found
    moved_inputs = _compare(a, b, others, pairs, *options)
    return moved_inputs if moved_inputs.ok else found


def _compare(
    a: ComparedModel,
    b: ComparedModel,
    samples: Sequence[Given],
    pairs: Sequence[Pair],
    tolerance: float,
    quantized: bool,
    progress: Progress,
) -> ModelComparison:
    outputs = {str(tensor.name) for tensor in a.interface[1]}
    runs = _Runs(a, b, samples, progress)
    judge = _Judge(a, b, tolerance, quantized)
    rounding = Rounding(a, b, outputs) if tolerance >= TOLERANCE and not judge.is_quantized else None
    worst: dict[str, TensorComparison] = {}
    evidence = {name: Evidence() for name in outputs}
    for group in groups(pairs, lambda pair: len(samples) * (_size(a, pair.a) or _size(b, pair.b))):
        for k, (expected, results) in enumerate(zip(*runs.values(group), strict=True)):
            compared = list(judge.compared(group, expected, results, k))
            _observe(evidence, compared)
            plain = [item.tensor for item in compared]
            for tensor in plain if rounding is None else rounding.settled(compared, samples, k):
                before = worst.get(tensor.a)
                worst[tensor.a] = tensor if before is None else _worse(before, tensor)
    found = list(worst.values())
    first = _first_divergence(a, b, found)
    computed = sum(t.is_computed for t in found)
    shown = samples[0 if first is None else first.tensor.sample]
    return ModelComparison(
        tuple(replace(t.comparison, ok=t.ok) for t in found if t.a in outputs),
        tuple(found),
        first,
        runs.backends,
        (_count(a) - computed, _count(b) - computed),
        (shown.a, shown.b),
        len(samples),
        _alone(a, b, found),
        "" if rounding is None else rounding.note,
        tuple(
            (name, text) for name, item in evidence.items() if name in worst and (text := item.weakness()) is not None
        ),
    )


def _observe(evidence: Mapping[str, Evidence], compared: Sequence[Compared]) -> None:
    """Notes the values of the outputs; of those whose shape changes with the inputs, too."""
    for item in compared:
        if item.tensor.a in evidence and item.values is not None and item.values[0].dtype.kind in "biuf":
            with suppress(ValueError):  # another shape than before
                evidence[item.tensor.a].add(item.values[0])


def _alone(
    a: ComparedModel, b: ComparedModel, found: Sequence[TensorComparison]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The outputs of either model that were not compared."""
    known = {t.a for t in found}, {t.b for t in found}
    missing = [
        tuple(str(t.name) for t in model.interface[1] if t.name not in names)
        for model, names in zip((a, b), known, strict=True)
    ]
    return missing[0], missing[1]


def _worse(one: TensorComparison, other: TensorComparison) -> TensorComparison:
    """The worse of two comparisons of a tensor, with the larger noise of quantization."""
    noises = [item.noise for item in (one, other) if item.noise is not None]
    return replace(max(one, other, key=lambda item: item.badness), noise=min(noises, key=lambda n: n.snr, default=None))


def _count(model: ComparedModel) -> int:
    return len(model.tensors) - len(model.graph.inputs)


def _size(model: ComparedModel, name: str) -> int:
    tensor = model.tensors[name]
    return 4 * (tensor.volume or 0)


class _Runs:
    """Runs of both models, one after the other; small models stay open. With a state, samples are one sequence."""

    def __init__(self, a: ComparedModel, b: ComparedModel, samples: Sequence[Given], progress: Progress) -> None:
        self._models = a, b
        self._given = [item.a for item in samples], [item.b for item in samples]
        self._progress = progress
        self._is_small = all(model.is_small for model in self._models)
        self._opened: list[Executor | None] = [None, None]
        self.backends = ("", "")

    def values(self, pairs: Sequence[Pair]) -> tuple[list[dict[str, Array]], list[dict[str, Array]]]:
        """The values of the tensors in both models for each sample, as far as these give them."""
        names = list(dict.fromkeys(pair.a for pair in pairs)), list(dict.fromkeys(pair.b for pair in pairs))
        return self._run(0, names[0]), self._run(1, names[1])

    def _run(self, k: int, names: Sequence[str]) -> list[dict[str, Array]]:
        self._progress(f"run {self._models[k].where}")
        executor = self._opened[k] or self._models[k].open()
        self._opened[k] = executor if self._is_small else None
        self.backends = (executor.backend, self.backends[1]) if k == 0 else (self.backends[0], executor.backend)
        known = set(executor.tensor_names)
        forms = {name: form for name in names if (form := known_name(name, known)) is not None}
        wanted = list(dict.fromkeys(forms.values()))
        results: list[dict[str, Array]] = []
        executor.reset()
        for inputs in self._given[k]:
            given = {info.name: value for info, value in zip(executor.inputs, inputs.values(), strict=True)}
            if executor.has_state and not results:
                wanted = list(fetch(executor, given, wanted))  # what can be had, since each try changes the state
                executor.reset()
            found = fetch(executor, given, wanted)
            own = {name: array for name, array in inputs.items() if name in names}
            results.append({**own, **{name: np.asarray(found[form]) for name, form in forms.items() if form in found}})
        del executor
        if not self._is_small:
            gc.collect()  # graphs are circular
        return results


class Compared(NamedTuple):
    """A comparison with its values, the expected one on the axes of B; None if they have different shapes."""

    tensor: TensorComparison
    values: tuple[Array, Array] | None = None


class Rounding:
    """Settles by float64 which tensors beyond the tolerance differ by rounding only. outputs: names in A.

    Behind a tensor that differs by more, rounding explains nothing; only the distances of outputs are measured.
    """

    def __init__(self, a: ComparedModel, b: ComparedModel, outputs: Collection[str]) -> None:
        self._exact = ExactTensors(a, b)
        self._outputs = outputs
        self._begun: set[int] = set()

    @property
    def note(self) -> str:
        """Why float64 does not judge, if it should have."""
        return self._exact.note

    def settled(self, compared: Sequence[Compared], samples: Sequence[Given], sample: int) -> list[TensorComparison]:
        """The comparisons, of which those that rounding explains are ok."""
        results = {item.tensor.a: item.tensor for item in compared}
        waiting = [item for item in compared if not item.tensor.ok and item.tensor.comparison.specials_equal]
        while waiting:
            if sample in self._begun:
                waiting = [item for item in waiting if item.tensor.a in self._outputs]
            part, waiting = waiting[:MOST_JUDGED], waiting[MOST_JUDGED:]
            values = {(item.tensor.a, item.tensor.b): item.values for item in part if item.values is not None}
            found = self._exact.distances(samples[: sample + 1], values)
            for item in part:
                distances = found.get(item.tensor.a)
                explained = distances is not None and distances.explained and sample not in self._begun
                results[item.tensor.a] = replace(item.tensor, ok=explained, distances=distances)
                if not explained:
                    self._begun.add(sample)
        return list(results.values())


_FLATTENING = ("reshape", "flatten", "squeeze")
"""Operators, in lower case, whose results are flattened values."""


class _Judge:
    """Compares the values of two tensors, on equal axes and in equal terms."""

    def __init__(self, a: ComparedModel, b: ComparedModel, tolerance: float, quantized: bool) -> None:
        self._a, self._b = a, b
        self._tolerance = tolerance
        self._measures = quantized
        self._is_same_layout = a.format.dialect.channels_last == b.format.dialect.channels_last
        self.is_quantized = any(_has_codes(model) for model in (a, b))
        self._last: Move = None

    def compared(
        self, pairs: Sequence[Pair], expected: dict[str, Array], results: Mapping[str, Array], sample: int
    ) -> Iterator[Compared]:
        """The comparisons of the pairs of which both values are there and have common terms."""
        for pair in pairs:
            if pair.a in expected and pair.b in results:
                found = self._compared(pair, expected.pop(pair.a), results[pair.b])
                if found is not None:
                    yield found._replace(tensor=replace(found.tensor, sample=sample))

    def _compared(self, pair: Pair, expected: Array, result: Array) -> Compared | None:
        codes = self._a.codes.get(pair.a), self._b.codes.get(pair.b)
        values = comparable(expected, result, codes)
        if values is None or any(value.dtype.kind in "OSU" for value in values):
            return None
        steps = [step for item in codes if item is not None and (step := step_of(item)) is not None]
        if steps:
            steps += [self._a.steps.get(pair.a, 0.0), self._b.steps.get(pair.b, 0.0)]
        moves = fitting(values[0].shape, values[1].shape, is_same_layout=self._is_same_layout)
        candidates = [
            (move, *self._judged(pair, moved(values[0], move), values[1], max(steps, default=None)))
            for move in sorted(moves, key=lambda move: move != self._last)
        ]
        if not candidates:
            return self._on_other_axes(pair, *values, max(steps, default=None)) or Compared(
                self._of_other_shape(pair, *values)
            )
        move, comparison, ok = min(candidates, key=lambda item: (not item[2], item[1].relative_error))
        self._last = move if move is not None or values[0].ndim > 3 else self._last
        expected, result = moved(values[0], move), values[1]
        if not ok and self._is_flattened(pair):
            in_order = np.sort(expected, axis=None), np.sort(result, axis=None)
            sorted_comparison, is_permuted = self._judged(pair, *in_order, max(steps, default=None))
            if is_permuted:
                (expected, result), comparison, ok = in_order, sorted_comparison, True
        tensor = TensorComparison(
            pair.a,
            pair.b,
            self._operators(pair),
            pair.by,
            comparison,
            ok,
            ulps(expected, result),
            move,
            is_moved=not ok and self._is_same_layout and self._is_moved(pair, expected, result),
            noise=self._noise(pair, expected, result) if self._measures else None,
        )
        return Compared(tensor, (expected, result))

    def _is_flattened(self, pair: Pair) -> bool:
        """Can the items stand in another order, as those of flattened channels that are elsewhere?"""
        outputs = {tensor.name for tensor in self._a.interface[1]}
        flat = all(name.lower() in _FLATTENING for name in self._operators(pair))
        return flat and not self._is_same_layout and pair.a not in outputs

    def _is_moved(self, pair: Pair, expected: Array, result: Array) -> bool:
        """Are the items equal with the channels moved?"""
        moves = fitting(expected.shape, result.shape, is_same_layout=False)
        return any(self._judged(pair, moved(expected, move), result, None)[1] for move in moves if move is not None)

    def _judged(self, pair: Pair, expected: Array, result: Array, step: float | None) -> tuple[OutputComparison, bool]:
        comparison = compare_outputs(
            {pair.a: expected}, {pair.a: result}, atol=ABSOLUTE_TOLERANCE, relative_to_scale=self._tolerance
        ).outputs[0]
        if comparison.ok or not self.is_quantized:
            return comparison, comparison.ok
        if step is None and expected.dtype.kind in "biu":
            step = 1.0 if expected.dtype in NARROW else None
        elif step is None:
            step = math.ldexp(comparison.scale, -FEWEST_BITS)
        noise = Noise()
        noise.add(expected, result, step, NO_DEVIATION)
        return comparison, noise.is_flips()

    def _on_other_axes(self, pair: Pair, expected: Array, result: Array, step: float | None) -> Compared | None:
        """The comparison of values that are equal with the axes in another order, as behind moved channels.

        Only where the models have channels in other places; None if no order makes them equal.
        """
        if self._is_same_layout or not 2 < expected.ndim <= MOST_AXES:
            return None
        for axes in permutations(range(expected.ndim)):
            if tuple(expected.shape[axis] for axis in axes) == result.shape:
                turned = expected.transpose(axes)
                comparison, ok = self._judged(pair, turned, result, step)
                if ok:
                    found = TensorComparison(
                        pair.a, pair.b, self._operators(pair), pair.by, comparison, ok, ulps(turned, result)
                    )
                    return Compared(found, (turned, result))
        return None

    def _of_other_shape(self, pair: Pair, expected: Array, result: Array) -> TensorComparison:
        """The comparison of tensors whose shapes no moved channels explain."""
        comparison = compare_outputs({pair.a: expected}, {pair.a: result}).outputs[0]
        same_items = False
        if expected.size == result.size:
            same_items = self._judged(pair, expected.reshape(-1), result.reshape(-1), None)[1]
        return TensorComparison(
            pair.a, pair.b, self._operators(pair), pair.by, comparison, ok=False, is_reshaped=same_items
        )

    def _operators(self, pair: Pair) -> tuple[str, str]:
        found = [model.makers.get(name) for model, name in ((self._a, pair.a), (self._b, pair.b))]
        names = ["" if op is None else str(op.type) for op in found]
        inputs = [{t.name for t in model.graph.inputs} for model in (self._a, self._b)]
        return ("" if pair.a in inputs[0] else names[0], "" if pair.b in inputs[1] else names[1])

    def _noise(self, pair: Pair, expected: Array, result: Array) -> QuantizationNoise:
        codes, tensor = self._b.codes.get(pair.b), self._b.tensors[pair.b]
        limits = None if codes is None else range_of(codes, tensor)
        axis = -1 if self._b.format.dialect.channels_last else 1
        return quantization_noise(expected, result, limits, axis)


def _has_codes(model: ComparedModel) -> bool:
    """Does the model compute codes?"""
    return bool(model.codes) or any(
        tensor.dtype in (np.int8, np.uint8) for name, tensor in model.tensors.items() if name in model.makers
    )


def _first_divergence(
    a: ComparedModel, b: ComparedModel, tensors: Sequence[TensorComparison]
) -> FirstDivergence | None:
    """Where the difference begins: the first tensor that differs or, if its operands do nearly as much, before it."""
    compared = {tensor.a: tensor for tensor in tensors}
    first = next((tensor for tensor in tensors if not tensor.ok), None)
    if first is None:
        return None
    found = max(_with_smaller_errors(a, first, compared), key=lambda item: item[1], default=(first, 0.0))
    if found[1] >= LEAST_JUMP and _jump(a, first, compared) < CLEAR_JUMP and found[1] > _jump(a, first, compared):
        first = found[0]
    operands = tuple(Operand(name, compared[name].b, compared[name].error) for name in _nearest(a, first.a, compared))
    makers = a.makers.get(first.a), b.makers.get(first.b)
    return FirstDivergence(
        first,
        operands,
        (a.sources.get(first.a), b.sources.get(first.b)),
        (makers[0].name if makers[0] else None, makers[1].name if makers[1] else None),
    )


def _with_smaller_errors(
    a: ComparedModel, first: TensorComparison, compared: Mapping[str, TensorComparison]
) -> Iterator[tuple[TensorComparison, float]]:
    """The tensors before the first one that differs, on which it depends, with the growth of the error at each."""
    waiting, seen = [first.a], {first.a}
    while waiting:
        for name in _nearest(a, waiting.pop(), compared):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
                if compared[name].is_computed and compared[name].error > EXACT_BITS:
                    yield compared[name], _jump(a, compared[name], compared)


def _jump(a: ComparedModel, tensor: TensorComparison, compared: Mapping[str, TensorComparison]) -> float:
    """How many times larger the error of a tensor is than those of its operands."""
    before = [compared[name].error for name in _nearest(a, tensor.a, compared)]
    return tensor.error / max([EXACT_BITS, *before])


def _nearest(model: ComparedModel, name: str, compared: Mapping[str, TensorComparison]) -> list[str]:
    """The nearest tensors before one that were compared."""
    found: dict[str, None] = {}
    waiting, seen = list(model.operands(name)), {name}
    while waiting:
        item = waiting.pop(0)
        if item in seen:
            continue
        seen.add(item)
        if item in compared:
            found[item] = None
        else:
            waiting += model.operands(item)
    return list(found)


__all__ = ["ORDER", "FirstDivergence", "ModelComparison", "Operand", "TensorComparison", "compare_tensors"]

"""Compares the outputs of two models on the same inputs, and decides by which criterion each output passes or fails.

Differences that are small relative to both the magnitude of an output and its variation over the inputs are rounding.
For larger ones, a computation in float64 tells whether rounding can explain them; see `exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import NnefToolsError
from ..execution.executor import Array, Executor, TensorInfo
from ..execution.feeds.sources import RandomSource
from ..execution.results.compare import OutputComparison, compare_outputs
from ..ops.precision import is_floating
from .evidence import VARIATION_TOLERANCE, Evidence
from .exact import ROUNDING_FACTOR, Exact, Judge, differences, largest
from .interface import Port
from .quantization_tolerance import NO_DEVIATION, Deviation, Noise, QuantizationSteps
from .replay import replaying

TOLERANCE = 1e-4
"""The largest accepted error of an output, relative to the largest magnitude in it."""

ABSOLUTE_TOLERANCE = 1e-6
"""The absolute error that is always accepted: rounding before a sigmoid or softmax whose results are all tiny."""

SOURCE_FACTOR = 2.0
"""The largest accepted distance of the written model from float64, as a multiple of the source runtime's distance."""

EQUAL, NEARER, DIFFERS = "equal", "nearer to float64", "differs"


@dataclass(frozen=True)
class Run:
    """The inputs and outputs of both models in one run; outputs have the candidate's names and axes.

    before: the earlier runs since the models were reset, if they have a state.
    """

    given: Mapping[str, Array]
    converted: Mapping[str, Array]
    expected: Mapping[str, Array]
    results: Mapping[str, Array]
    before: tuple[Run, ...] = ()


class Models:
    """The reference and the candidate, whose inputs and outputs correspond by their order."""

    def __init__(
        self,
        reference: Executor,
        candidate: Executor,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        empty: Sequence[tuple[Port, Any]] = (),
    ) -> None:
        self.reference = reference
        self.candidate = candidate
        self.inputs = inputs
        self._empty = {port.name: np.empty(shape, port.dtype) for port, shape in empty}
        self.ports = {info.name: port for port, info in zip(outputs, candidate.outputs, strict=True)}

    def draw(self, random: RandomSource) -> dict[str, Array]:
        """Random inputs of the reference, with values that both models can take."""
        return {
            port.name: self._draw(random, port, info)
            for port, info in zip(self.inputs, self.candidate.inputs, strict=True)
        }

    def redraw(
        self, random: RandomSource, given: Mapping[str, Array], name: str, times: int
    ) -> dict[str, Array] | None:
        """The inputs with a new value for one of them; None if no different value comes within the given draws."""
        for port, info in zip(self.inputs, self.candidate.inputs, strict=True):
            for _ in range(times if port.name == name else 0):
                value = self._draw(random, port, info)
                if not np.array_equal(value, given[name]):
                    return {**given, name: value}
        return None

    @property
    def source_inputs(self) -> list[TensorInfo]:
        """The inputs of the reference, with the shapes that both models have."""
        return [_source_info(port, info) for port, info in zip(self.inputs, self.candidate.inputs, strict=True)]

    def take(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Given inputs of the reference, as values that both models can take."""
        return {
            port.name: self._shared(port, info, values[port.name])
            for port, info in zip(self.inputs, self.candidate.inputs, strict=True)
        }

    def _draw(self, random: RandomSource, port: Port, info: TensorInfo) -> Array:
        return self._shared(port, info, random.load(_source_info(port, info)))

    def _shared(self, port: Port, info: TensorInfo, value: Array) -> Array:
        if info.dtype is None:
            return value
        return port.translated(port.translated(value, info.dtype).astype(info.dtype), port.dtype).astype(value.dtype)

    @property
    def has_state(self) -> bool:
        """Does a run of one of the models depend on those before?"""
        return self.reference.has_state or self.candidate.has_state

    def reset(self) -> None:
        """Brings both models to the state before the first run."""
        self.reference.reset()
        self.candidate.reset()

    def run(self, given: Mapping[str, Array], before: Sequence[Run] = ()) -> Run:
        """Runs both models. before: the earlier runs since the last reset, if they have a state."""
        given = {**self._empty, **given}
        converted = {
            info.name: port.translated(port.moved(given[port.name]), info.dtype).astype(
                info.dtype or given[port.name].dtype, copy=False
            )
            for port, info in zip(self.inputs, self.candidate.inputs, strict=True)
        }
        results = {
            name: self.ports[name].translated(np.asarray(value), self.ports[name].dtype)
            for name, value in self.candidate.run(converted).items()
        }
        return Run(given, converted, self._expected(self.reference, given), results, tuple(before))

    def run_source(self, given: Mapping[str, Array], before: Sequence[Run]) -> dict[str, Array]:
        """The outputs of the reference after earlier runs, with the candidate's names and axes."""
        return self._expected(replaying(self.reference, [run.given for run in before]), given)

    def _expected(self, reference: Executor, given: Mapping[str, Array]) -> dict[str, Array]:
        results = reference.run({**self._empty, **given}, output_names=[port.name for port in self.ports.values()])
        return {name: port.moved(np.asarray(results[port.name])) for name, port in self.ports.items()}


def _source_info(port: Port, info: TensorInfo) -> TensorInfo:
    return TensorInfo(port.name, port.dtype, port.source_shape(info))


@dataclass(frozen=True)
class Verdict:
    """The comparison of an output, and the decision. run: the one it was made in; the other fields: see OutputCheck."""

    comparison: OutputComparison
    passed: bool
    text: str
    criterion: str
    run: Run | None = None
    variation: float | None = None
    weakness: str | None = None
    target_to_float64: float | None = None
    source_to_float64: float | None = None
    rounding: float | None = None

    @property
    def badness(self) -> tuple[bool, bool, float]:
        """Sort key that grows with badness: failure first, then whether a judgment was needed, then the error."""
        error = self.comparison.relative_error
        return not self.passed, self.text != EQUAL, float("inf") if np.isnan(error) else error


@dataclass
class _Output:
    """What the runs so far have shown of an output. noise: its errors, if the model is quantized."""

    port: Port
    evidence: Evidence = field(default_factory=Evidence)
    worst: Verdict | None = None
    noise: Noise = field(default_factory=Noise)


class Verdicts:
    """Collects runs and gives one verdict for each output.

    make_judge: gives None if nothing can judge. judge_has_source_names: is the judge's graph that of the reference?
    """

    def __init__(
        self,
        models: Models,
        quantization_steps: QuantizationSteps | None,
        make_judge: Callable[[], Judge] | None,
        *,
        judge_has_source_names: bool,
    ) -> None:
        self._models = models
        self._quantization_steps = quantization_steps
        self._make_judge = None if quantization_steps is not None else make_judge
        self._judge: Judge | None = None
        self._has_source_names = judge_has_source_names
        self._outputs = {name: _Output(port) for name, port in models.ports.items()}
        self._judged: tuple[Run, dict[str, Exact]] | None = None
        self.last: Run | None = None
        self.note = ""

    def add(self, run: Run) -> None:
        """Takes the outputs of both models in a run into account."""
        self.last = run
        self.observe(run.expected)
        compared = _compared(run)
        spread = self._spread(run) if self._quantization_steps is not None else {}
        for comparison in compared:
            output = self._outputs[comparison.name]
            if comparison.name in spread:
                self._note_steps(output, comparison.name, run, spread[comparison.name])
            verdict = self._first_verdict(comparison, run)
            if output.worst is None or verdict.badness > output.worst.badness:
                output.worst = verdict

    def observe(self, outputs: Mapping[str, Array]) -> None:
        """Takes outputs of the reference into account, for their variation."""
        for name, value in outputs.items():
            self._outputs[name].evidence.add(value)

    def final(self) -> list[Verdict]:
        """The verdicts on all outputs, in the order of the outputs."""
        return [self._final(name, output) for name, output in self._outputs.items() if output.worst is not None]

    def _first_verdict(self, comparison: OutputComparison, run: Run) -> Verdict:
        """The verdict on one run: by the tolerances or, beyond them, by float64."""
        criterion = f"relative tolerance {TOLERANCE:g}"
        if not comparison.ok and _rounding_to_type(comparison):
            comparison = _compared(run, _rounding_to_type(comparison), [comparison.name])[0]
            criterion += f" beyond one rounding to {comparison.result_dtype}"
        if not comparison.ok and self._quantization_steps is None and comparison.shapes_equal:
            exact = self._exact(run)
            if exact is not None:
                return self._beyond_tolerance(comparison, run, exact[comparison.name])
        if _is_exact(comparison):
            criterion = "equal items"
        elif comparison.ok and comparison.relative_error > TOLERANCE + _rounding_to_type(comparison):
            criterion = f"absolute tolerance {ABSOLUTE_TOLERANCE:g}"
        return Verdict(comparison, comparison.ok, EQUAL if comparison.ok else DIFFERS, criterion, run)

    def _beyond_tolerance(self, comparison: OutputComparison, run: Run, exact: Exact) -> Verdict:
        """The verdict on a larger difference: is it rounding, and not much more than that of the source runtime?"""
        expected, result = run.expected[comparison.name], run.results[comparison.name]
        if _is_exact(comparison):
            wrong, of_source = result != exact.value, expected != exact.value
            passed = (
                not ((expected != result) & ~exact.unstable).any() and wrong.sum() <= SOURCE_FACTOR * of_source.sum()
            )
            text = NEARER if passed else DIFFERS
            return Verdict(comparison, bool(passed), text, "items that rounding of float32 changes", run)
        errors = differences(expected, exact.value)
        to_target, to_source = largest(differences(result, exact.value)), largest(errors)
        passed = comparison.specials_equal and to_target <= SOURCE_FACTOR * to_source and exact.explains(errors)
        return Verdict(
            comparison,
            passed,
            NEARER if passed else DIFFERS,
            f"float64, at most {SOURCE_FACTOR:g} times as far as the source and within {ROUNDING_FACTOR:g} roundings",
            run,
            target_to_float64=to_target,
            source_to_float64=to_source,
            rounding=exact.rounding,
        )

    def _final(self, name: str, output: _Output) -> Verdict:
        verdict, evidence = output.worst, output.evidence
        assert verdict is not None
        step = output.noise.step
        if step is not None and not verdict.passed and output.noise.is_flips():
            criterion = "flips of codes, of few steps and around the same values"
            verdict = replace(verdict, passed=True, text=EQUAL, criterion=criterion)
        elif verdict.passed and verdict.text == EQUAL and self._quantization_steps is None:
            verdict = self._within_tolerance(verdict, evidence.variation)
        return replace(verdict, variation=evidence.variation, weakness=evidence.weakness(step))

    def _within_tolerance(self, verdict: Verdict, variation: float | None) -> Verdict:
        """Judges errors that are small relative to magnitude, but not to variation: rounding has to explain them."""
        comparison = verdict.comparison
        if _is_exact(comparison) or variation is None or comparison.max_error <= VARIATION_TOLERANCE * variation:
            return verdict
        assert verdict.run is not None
        judged = self._exact(verdict.run)
        if judged is None:
            return verdict
        name = comparison.name
        exact, expected = judged[name], verdict.run.expected[name]
        errors = differences(expected, verdict.run.results[name])
        passed = exact.explains(np.maximum(errors - _rounding_to_type(comparison) * np.abs(expected), 0.0))
        criterion = f"within {ROUNDING_FACTOR:g} roundings of float32"
        if not passed:
            criterion += f", as it varies by {variation:.2g} only"
        text = EQUAL if passed else DIFFERS
        return replace(verdict, passed=passed, text=text, criterion=criterion, rounding=exact.rounding)

    def _exact(self, run: Run) -> dict[str, Exact] | None:
        """The outputs of the run in float64, with the candidate's names and axes; None if they cannot be computed."""
        if self._judged is not None and self._judged[0] is run:
            return self._judged[1]
        if self._make_judge is None:
            return None
        ports = self._models.ports
        try:
            self._judge = self._judge or self._make_judge()
            if self._has_source_names:
                before = [earlier.given for earlier in run.before]
                found = self._judge.run(run.given, [port.name for port in ports.values()], before)
                exact = {name: found[port.name].moved(port.moved) for name, port in ports.items()}
            else:
                before = [earlier.converted for earlier in run.before]
                exact = self._judge.run(run.converted, list(ports), before)
        except (NnefToolsError, MemoryError) as error:
            self._make_judge = None
            self.note = f"not judged by float64: {error}".splitlines()[0]
            return None
        self._judged = run, exact
        return exact

    def _note_steps(self, output: _Output, name: str, run: Run, spread: Deviation) -> None:
        quantization_steps = self._quantization_steps
        assert quantization_steps is not None
        own = output.port.name if quantization_steps.of_source else name
        step = quantization_steps.step(own, output.port.dtype, run.expected[name])
        output.noise.add(run.expected[name], run.results[name], step, spread)

    def _spread(self, run: Run) -> dict[str, Deviation]:
        """The distance between runs of one model in different ways, such as with and without optimizations."""
        ports = self._models.ports
        own = {port.name: name for name, port in ports.items()}
        reference = replaying(self._models.reference, [earlier.given for earlier in run.before])
        candidate = replaying(self._models.candidate, [earlier.converted for earlier in run.before])
        source = _deviation_of_runs(reference, run.given, {p: run.expected[n] for p, n in own.items()}, ports, own)
        target = _deviation_of_runs(candidate, run.converted, {name: run.results[name] for name in ports}, ports, None)
        return {name: source[port.name] | target[name] for name, port in ports.items()}


def _deviation_of_runs(
    executor: Executor,
    inputs: Mapping[str, Array],
    results: Mapping[str, Array],
    ports: Mapping[str, Port],
    names: Mapping[str, str] | None,
) -> dict[str, Deviation]:
    """The distance of results from those of another run, in which onnxruntime computes without optimizations.

    names: name of a result -> name of the candidate's output, if the results have the candidate's axes.
    """
    if executor.backend != "onnxruntime":
        return dict.fromkeys(results, NO_DEVIATION)
    bound = {info.name for info in (*executor.inputs, *executor.outputs)}
    inner = [name for name in executor.tensor_names if name not in bound][:1]
    again = executor.run(inputs, output_names=[*results, *inner])
    return {
        name: Deviation.between(
            value,
            ports[name].translated(again[name], ports[name].dtype)
            if names is None
            else ports[names[name]].moved(again[name]),
        )
        for name, value in results.items()
    }


def _is_exact(comparison: OutputComparison) -> bool:
    """Do both outputs hold integers or logical values, so that they have to be equal?"""
    return all(
        dtype.startswith(("int", "uint", "bool")) for dtype in (comparison.reference_dtype, comparison.result_dtype)
    )


def _rounding_to_type(comparison: OutputComparison) -> float:
    """The largest relative error of rounding to the result's item type, if that is narrower than the reference's."""
    own, reference = (_epsilon(name) for name in (comparison.result_dtype, comparison.reference_dtype))
    return own / 2 if own > reference > 0 else 0.0


def _epsilon(dtype: str) -> float:
    """The distance of 1 to the next number of a floating-point type; 0 for other types."""
    type = np.dtype(dtype)
    return float(ml_dtypes.finfo(type).eps) if is_floating(type.type) else 0.0  # type: ignore[no-untyped-call]


def _compared(run: Run, rounding: float = 0.0, names: Sequence[str] | None = None) -> tuple[OutputComparison, ...]:
    """The outputs of the run (by default all) by the tolerances. rounding: a relative error that each item may have."""
    expected = {name: value for name, value in run.expected.items() if names is None or name in names}
    return compare_outputs(
        expected, run.results, rtol=rounding, atol=ABSOLUTE_TOLERANCE, relative_to_scale=TOLERANCE
    ).outputs

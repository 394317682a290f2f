"""Checks that a written model computes what its source computes: both run on the same inputs, random or given."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NnefToolsError, UsageError, VerificationError
from ..execution.executor import Array, EngineError, Executor
from ..execution.feeds.distributions import parse_distribution
from ..execution.feeds.input_ranges import InputRange, input_ranges, ranges_by_name
from ..execution.feeds.samples import load_samples
from ..execution.feeds.sources import RandomSource
from ..execution.kernels.loading import ModelWarning, read_graph
from ..execution.results.compare import OutputComparison
from ..execution.runtimes import AUTO, is_converted, kernel_backends, make_executor
from ..formats import FORMATS, NNEF, InputShapes, load
from ..model import Graph
from ..ops.inference import infer_graph
from ..optimization.inputs import set_inputs as _set_inputs
from ..report import FirstDifference, OutputCheck, Verification, format_table
from .exact import Judge, rounding_of
from .first_difference import find_first_difference
from .interface import Hub, Insides, Interface
from .quantization_tolerance import MOST_STEPS, QuantizationSteps
from .replay import replaying
from .room import WithRoom
from .verdicts import ABSOLUTE_TOLERANCE, TOLERANCE, Models, Run, Verdict, Verdicts

MOST_INPUTS = 16
"""The largest number of inputs that are changed one at a time."""

STEPS = 4
"""The number of runs that follow each other in a sample of a model with a state."""

REDRAWS = 4
"""How often a random input is drawn again to get a different one."""

DISTRIBUTIONS = {"scalar": parse_distribution("uniform(-1, 1)"), "integer": parse_distribution("integers(0, 9)")}
"""Distributions of random inputs. Integers whose range is not known from the graph are small."""


def random_source(distribution: str | None, seed: int, ranges: Mapping[str, InputRange] | None = None) -> RandomSource:
    """A source of random values by a distribution such as `normal(0, 1)`, by default DISTRIBUTIONS. UsageError.

    ranges: of integer inputs, see RandomSource.
    """
    return RandomSource(DISTRIBUTIONS if distribution is None else parse_distribution(distribution), seed, ranges)


def verify_conversion(
    source: tuple[Path, str],
    target: tuple[Path, str],
    interface: Interface,
    *,
    samples: int,
    inputs: Path | None = None,
    seed: int = 0,
    distribution: str | None = None,
    custom_operators: Mapping[str, Callable[..., Any]] | None = None,
    reader_options: Mapping[str, Any] | None = None,
    input_shapes: InputShapes | None = None,
    set_inputs: Mapping[str, Array] | None = None,
    quantization_steps: QuantizationSteps | None = None,
    insides: Insides | None = None,
    hub: Hub | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Runs source and target, each given as path and format name, on `samples` random inputs and compares the outputs.

    Models with a state run on a sequence of inputs for each sample. Outputs and inputs correspond by their order.
    inputs: where all samples come from, instead of random ones (see `load_samples`); to models with a state they are
    one sequence.
    reader_options: those of the source. input_shapes: those that the conversion of the source was asked for.
    set_inputs: values of inputs of the source that the target does not have.
    quantization_steps: of a model with quantized activations, whose outputs may also differ by steps. insides: if
    given, a failure names the first tensor that differs. hub: the NNEF graph between the two, if neither is NNEF.
    progress: called with `verify 2/3` before the second of three runs. VerificationError, with a table of the
    outputs, if they differ by more than the tolerances; UsageError if a model cannot be run.
    """
    if hub is None:
        graph, of_source = _kernel_graph(source, target, input_shapes, set_inputs)
    else:
        graph, of_source = hub.graph, hub.has_source_axes
    if graph is not None:
        interface = interface.quantized_as(graph)
    random = random_source(distribution, seed, _ranges(graph, interface))
    candidate = _executor(target, custom_operators)
    reference, comment = open_source(source, candidate.backend, reader_options or {}, input_shapes, set_inputs)
    if interface.rows:
        reference = WithRoom(reference, interface.rows)
    models = Models(reference, candidate, interface.inputs, interface.outputs, interface.empty)
    judge = None if graph is None else _judge(graph, interface, custom_operators)
    verdicts = Verdicts(models, quantization_steps, judge, judge_has_source_names=of_source)
    sequences = _sequences(models, random, samples, inputs)
    count = _run_all(models, verdicts, sequences, None if inputs else samples, progress)
    idle = _idle_inputs(models, verdicts, random, count)
    final = verdicts.final()
    outputs = tuple(_output_check(verdict, port.name) for verdict, port in zip(final, interface.outputs, strict=True))
    difference, note = None, verdicts.note
    failed = next((verdict for verdict in final if not verdict.passed), None)
    if failed is not None and failed.run is not None:
        difference, note = _first_difference(models, failed.run, insides or Insides(), quantization_steps)
    steps = None if quantization_steps is None else MOST_STEPS
    tolerances, is_given = (TOLERANCE, ABSOLUTE_TOLERANCE), inputs is not None
    result = Verification(count, seed, *tolerances, outputs, steps, idle, difference, note, comment, is_given)
    if not result.passed:
        raise _failure(source[0], result)
    return result


def _run_all(
    models: Models,
    verdicts: Verdicts,
    sequences: Iterable[Iterable[dict[str, Array]]],
    count: int | None,
    progress: Callable[[str], None] | None,
) -> int:
    """Runs both models on all inputs, and returns the number of sequences. count: that number, None if not known."""
    done = 0
    for done, sequence in enumerate(sequences, 1):
        if progress is not None:
            progress(f"verify {done}" + (f"/{count}" if count else ""))
        models.reset()
        before: list[Run] = []
        for given in sequence:
            before.append(models.run(given, before if models.has_state else ()))
            verdicts.add(before[-1])
    return done


def _sequences(
    models: Models, random: RandomSource, samples: int, inputs: Path | None
) -> Iterator[Iterable[dict[str, Array]]]:
    """The inputs of the runs between resets."""
    if inputs is None:
        for _ in range(samples):
            yield [models.draw(random) for _ in range(STEPS if models.has_state else 1)]
        return
    given = map(models.take, load_samples(models.source_inputs, inputs))
    yield from ([given] if models.has_state else ([item] for item in given))


def _output_check(verdict: Verdict, source: str) -> OutputCheck:
    return OutputCheck(
        name=verdict.comparison.name,
        source=source,
        max_error=verdict.comparison.max_error,
        scale=verdict.comparison.scale,
        error=verdict.comparison.relative_error,
        passed=verdict.passed,
        verdict=verdict.text,
        criterion=verdict.criterion,
        variation=verdict.variation,
        weakness=verdict.weakness,
        target_to_float64=verdict.target_to_float64,
        source_to_float64=verdict.source_to_float64,
        rounding=verdict.rounding,
    )


def _failure(source: Path, result: Verification) -> VerificationError:
    first = result.first_difference
    found = [first.text()] if first is not None else [result.note] if result.note else []
    judged = [f"output '{o.name}': {o.float64_text()}" for o in result.outputs if not o.passed and o.float64_text()]
    error = VerificationError(
        f"the written model does not compute what {source} computes; nothing was written",
        [*format_table(result.table()), *judged, *found],
        hint="nnef-tools compare shows all tensors of two models",
    )
    error.verification = result
    return error


def open_source(
    source: tuple[Path, str],
    candidate: str,
    options: Mapping[str, Any],
    input_shapes: InputShapes | None,
    values: Mapping[str, Array] | None = None,
) -> tuple[Executor, str]:
    """What runs the source, and what that is, if it is not a runtime of its own. candidate: the backend of the result.

    Without such a runtime, a program that reads the format takes its place or, if that is not installed or does not
    know the model, its conversion to NNEF, in another backend than the result.
    """
    path, name = source
    format = FORMATS[name]
    if not is_converted(name):
        return _executor(source, None, options, input_shapes, values), ""
    reason = f"{format.title} has no runtime"
    witness = format.witness
    if witness is not None and witness.is_installed and not input_shapes and not values:
        try:
            executor: Executor = load(witness.executor)(path, **options)
            executor.run({i.name: np.zeros([n or 1 for n in i.shape or ()], np.float32) for i in executor.inputs})
        except (EngineError, UsageError) as error:
            reason = f"{reason}, and {witness.name} does not run this model ({error.message})"
        else:
            return executor, f"the source ran in {witness.name}, since {reason}"
    backend = next((item for item in reversed(kernel_backends(NNEF.name)) if item != candidate), AUTO)
    with _no_warnings():
        executor = make_executor(
            path, format=name, backend=backend, input_shapes=input_shapes, set_inputs=values, **options
        )
    return executor, f"{reason}: backends of NNEF are compared with each other, {executor.backend} with {candidate}"


def _executor(
    model: tuple[Path, str],
    custom_operators: Mapping[str, Callable[..., Any]] | None,
    reader_options: Mapping[str, Any] | None = None,
    input_shapes: InputShapes | None = None,
    values: Mapping[str, Array] | None = None,
) -> Executor:
    """Opens a model for running. NNEF runs in kernels: onnxruntime would need the conversion that is being verified."""
    path, format = model
    backends = kernel_backends(format)
    if not backends:
        backend, options = FORMATS[format].verifying or AUTO, reader_options or {}
        return make_executor(
            path, format=format, backend=backend, input_shapes=input_shapes, set_inputs=values, **options
        )
    with _no_warnings():
        return make_executor(
            path,
            format=format,
            backend=backends[0],
            custom_operators=custom_operators,
            input_shapes=input_shapes,
            set_inputs=values,
        )


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Context manager without warnings of models, which the report of the conversion has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        yield


def _kernel_graph(
    source: tuple[Path, str],
    target: tuple[Path, str],
    input_shapes: InputShapes | None,
    values: Mapping[str, Array] | None,
) -> tuple[Graph | None, bool]:
    """The NNEF graph that kernels run, with shapes as far as known, and whether it is that of the source.

    input_shapes, values: of inputs of the source.
    """
    for path, format in (source, target):
        if kernel_backends(format):
            is_source = path is source[0]
            with _no_warnings():
                graph = read_graph(path, input_shapes=input_shapes if is_source else None)
            _set_inputs(graph, (values or {}) if is_source else {})
            infer_graph(graph, allow_unknown=True)
            return graph, path is source[0]
    return None, False


def _ranges(graph: Graph | None, interface: Interface) -> dict[str, InputRange]:
    """Input name -> range of the integers that make sense as values of that input of the source."""
    found = input_ranges(graph) if graph is not None else [None] * len(interface.inputs)
    return ranges_by_name([(port.name, port.dtype, port.quantization is not None) for port in interface.inputs], found)


def _judge(
    graph: Graph, interface: Interface, custom_operators: Mapping[str, Callable[..., Any]] | None
) -> Callable[[], Judge]:
    """Makes the judge."""
    rounding = rounding_of(port.dtype for port in (*interface.inputs, *interface.outputs))
    return lambda: Judge(graph, custom_operators, rounding)


def _idle_inputs(models: Models, verdicts: Verdicts, random: RandomSource, samples: int) -> tuple[str, ...]:
    """The inputs that change no output when they alone are changed. The runs also show how much the outputs vary."""
    last = verdicts.last
    names = [port.name for port in models.inputs][:MOST_INPUTS]
    if last is None or (len(names) == 1 and samples > 1):
        return ()
    idle = []
    for name in names:
        given = models.redraw(random, last.given, name, REDRAWS)
        if given is None:
            continue
        try:
            outputs = models.run_source(given, last.before)
        except NnefToolsError:  # the new value does not fit the other inputs
            continue
        verdicts.observe(outputs)
        if all(np.array_equal(outputs[key], last.expected[key], equal_nan=_is_real(outputs[key])) for key in outputs):
            idle.append(name)
    return tuple(idle)


def _is_real(array: Array) -> bool:
    return array.dtype.kind in "fc"


def _first_difference(
    models: Models, run: Run, insides: Insides, quantization_steps: QuantizationSteps | None
) -> tuple[FirstDifference | None, str]:
    """The first tensor that differs in the run, or None and the reason why it is not known."""

    def accept(comparison: OutputComparison, expected: Array) -> bool:
        step = None if quantization_steps is None else quantization_steps.step(comparison.name, None, expected)
        return comparison.ok or (step is not None and comparison.max_error <= MOST_STEPS * step)

    mapping = {**insides.mapping, **{port.name: name for name, port in models.ports.items()}}
    try:
        found = find_first_difference(
            (replaying(models.reference, [earlier.given for earlier in run.before]), run.given),
            (replaying(models.candidate, [earlier.converted for earlier in run.before]), run.converted),
            mapping,
            insides.sizes,
            accept,
            insides.codes,
        )
    except NnefToolsError as error:
        return (
            None,
            f"the first tensor that differs is not known: the inner tensors cannot be computed ({error.message})",
        )
    if found is None:
        return None, "no inner tensor differs by more than the tolerance: the differences add up"
    return FirstDifference(
        found.source,
        found.target,
        insides.source.get(found.source, "an operator"),
        insides.target.get(found.target, "an operator"),
        found.comparison.max_error,
        found.comparison.scale,
        found.comparison.relative_error,
    ), ""

"""Checks that a written model computes what its source computes: both run on the same random inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dialects.onnx.state import METADATA_PROPS, read_states
from ..errors import NnefToolsError, VerificationError
from ..execution.executor import Array, Executor
from ..execution.feeds.distributions import parse_distribution
from ..execution.feeds.input_ranges import InputRange, input_ranges
from ..execution.feeds.sources import RandomSource
from ..execution.kernels.loading import read_graph
from ..execution.results.compare import OutputComparison
from ..execution.runtimes import kernel_backends, make_executor
from ..model import Graph, Tensor
from ..model.channels import Selection
from ..model.copying import copy_graph
from ..ops.inference import infer_graph
from ..report import FirstDifference, OutputCheck, Verification, format_table
from .exact import ROUNDING, Judge
from .first_difference import find_first_difference
from .quantization_tolerance import MOST_STEPS, QuantizationSteps
from .replay import replaying
from .verdicts import ABSOLUTE_TOLERANCE, TOLERANCE, Models, Port, Run, Verdict, Verdicts

MOST_INPUTS = 16
"""The largest number of inputs that are changed one at a time."""

STEPS = 4
"""The number of runs that follow each other in a sample of a model with a state."""

REDRAWS = 4
"""How often a random input is drawn again to get a different one."""

DISTRIBUTIONS = {"scalar": parse_distribution("uniform(-1, 1)"), "integer": parse_distribution("integers(0, 9)")}
"""Distributions of random inputs. Integers whose range is not known from the graph are small."""


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of the source graph, in order, as they were just before conversion.

    empty: inputs without items, with their shapes. The converted model does not have them.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    empty: tuple[tuple[Port, tuple[int | None, ...]], ...] = ()

    @classmethod
    def of(cls, graph: Graph, outputs: Sequence[Tensor]) -> Interface:
        """The interface of a source graph, with the tensors that are outputs of the converted one.

        Executors connect the states of ONNX models themselves.
        """
        states = read_states(graph.metadata.get(METADATA_PROPS, {}))
        hidden = {name for state in states for name in (state.input, state.output)}
        inputs = [tensor for tensor in graph.inputs if tensor.name not in hidden]
        return cls(
            tuple(Port.of(tensor) for tensor in inputs if tensor.volume != 0),
            tuple(Port.of(tensor) for tensor in outputs if tensor.name not in hidden),
            tuple((Port.of(tensor), tensor.shape or ()) for tensor in inputs if tensor.volume == 0),
        )

    def transposed(self, selected: Selection, channels_last: bool) -> Interface:
        """The interface if the converted model has the channels of the selected tensors elsewhere.

        channels_last: are they last in the source (and become second), or second (and become last)?
        """
        inputs, outputs = (
            tuple(port.transposed(selected, channels_last) for port in ports) for ports in (self.inputs, self.outputs)
        )
        return replace(self, inputs=inputs, outputs=outputs)


@dataclass(frozen=True)
class Insides:
    """The tensors inside of both models, which are compared to find where a difference begins.

    mapping: source name -> target name. source, target: tensor name -> type of the operator that produces it. sizes:
    name in either model -> bytes, as far as they are known.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hub:
    """The NNEF graph in the middle of a conversion between two other dialects.

    Its inputs and outputs have the names and axes of either the source or the target.
    """

    graph: Graph
    has_source_axes: bool

    @classmethod
    def of(cls, graph: Graph, interface: Interface, target: Graph, *, has_source_axes: bool) -> Hub:
        """Copies the NNEF graph, apart from its constants. interface: of the source. target: the converted graph."""
        copy = copy_graph(graph)
        inputs = [port.name for port in interface.inputs] if has_source_axes else [t.name for t in target.inputs]
        outputs = [port.name for port in interface.outputs] if has_source_axes else [t.name for t in target.outputs]
        for tensor in copy.tensors:
            tensor.name = None
        for tensor, name in (*zip(copy.inputs, inputs, strict=True), *zip(copy.outputs, outputs, strict=True)):
            tensor.name = name
        return cls(copy, has_source_axes)


def operator_types(graph: Graph) -> dict[str, str]:
    """Tensor name -> type of the operator that produces it."""
    return {t.name: str(op.type) for op in graph.operations for t in op.outputs if t.name}


def tensor_sizes(graph: Graph) -> dict[str, int]:
    """Tensor name -> bytes, as far as shapes are known; an item counts as 4 bytes."""
    return {t.name: 4 * t.volume for t in graph.tensors if t.name and t.volume is not None}


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
    seed: int = 0,
    distribution: str | None = None,
    custom_operators: Mapping[str, Callable[..., Any]] | None = None,
    quantization_steps: QuantizationSteps | None = None,
    insides: Insides | None = None,
    hub: Hub | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Runs source and target, each given as path and format name, on `samples` random inputs and compares the outputs.

    Models with a state run on a sequence of inputs for each sample.

    Outputs and inputs correspond by their order. quantization_steps: of a model with quantized activations, whose
    outputs may also differ by steps. insides: if given, a failure names the first tensor that differs. hub: the NNEF
    graph between the two, if neither is NNEF. progress: called with `verify 2/3` before the second of three runs.
    VerificationError, with a table of the outputs, if they differ by more than the tolerances; UsageError if a model
    cannot be run.
    """
    graph, of_source = _kernel_graph(source, target) if hub is None else (hub.graph, hub.has_source_axes)
    random = random_source(distribution, seed, _ranges(graph, interface))
    models = Models(
        _executor(source, None),
        _executor(target, custom_operators),
        interface.inputs,
        interface.outputs,
        interface.empty,
    )
    judge = None if graph is None else _judge(graph, interface, custom_operators)
    verdicts = Verdicts(models, quantization_steps, judge, judge_has_source_names=of_source)
    for k in range(samples):
        if progress is not None:
            progress(f"verify {k + 1}/{samples}")
        models.reset()
        before: list[Run] = []
        for _ in range(STEPS if models.has_state else 1):
            before.append(models.run(models.draw(random), before))
            verdicts.add(before[-1])
    idle = _idle_inputs(models, verdicts, random, samples)
    final = verdicts.final()
    outputs = tuple(_output_check(verdict, port.name) for verdict, port in zip(final, interface.outputs, strict=True))
    difference, note = None, verdicts.note
    failed = next((verdict for verdict in final if not verdict.passed), None)
    if failed is not None and failed.run is not None:
        difference, note = _first_difference(models, failed.run, insides or Insides(), quantization_steps)
    steps = None if quantization_steps is None else MOST_STEPS
    result = Verification(samples, seed, TOLERANCE, ABSOLUTE_TOLERANCE, outputs, steps, idle, difference, note)
    if not result.passed:
        raise _failure(source[0], result)
    return result


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
        hint="compare_models with a tensor mapping compares all tensors",
    )
    error.verification = result
    return error


def _executor(model: tuple[Path, str], custom_operators: Mapping[str, Callable[..., Any]] | None) -> Executor:
    """Opens a model for running. NNEF runs in kernels: onnxruntime would need the conversion that is being verified."""
    path, format = model
    backends = kernel_backends(format)
    if not backends:
        return make_executor(path, format=format)
    return make_executor(path, format=format, backend=backends[0], custom_operators=custom_operators)


def _kernel_graph(source: tuple[Path, str], target: tuple[Path, str]) -> tuple[Graph | None, bool]:
    """The NNEF graph that kernels run, with shapes as far as known, and whether it is that of the source."""
    for path, format in (source, target):
        if kernel_backends(format):
            graph = read_graph(path)
            infer_graph(graph, allow_unknown=True)
            return graph, path is source[0]
    return None, False


def _ranges(graph: Graph | None, interface: Interface) -> dict[str, InputRange]:
    """Input name -> range of the integers that make sense as values of that input of the source."""
    found = input_ranges(graph) if graph is not None else [None] * len(interface.inputs)
    ranges = {}
    for port, known in zip(interface.inputs, found, strict=False):
        dtype = np.dtype(port.dtype or np.float32)
        if dtype.kind not in "iu":
            if known is not None and known.is_limit:  # floats that are converted to indices
                ranges[port.name] = known
            continue
        ends = np.iinfo(dtype)
        if known is not None and known.low <= ends.max and known.high >= ends.min:
            ranges[port.name] = InputRange(max(known.low, ends.min), min(known.high, ends.max), known.is_limit)
        elif dtype.itemsize == 1:  # quantization codes or pixels: every value occurs
            ranges[port.name] = InputRange(ends.min, ends.max, is_limit=False)
    return ranges


def _judge(
    graph: Graph, interface: Interface, custom_operators: Mapping[str, Callable[..., Any]] | None
) -> Callable[[], Judge] | None:
    """Makes the judge; None for models with a state, which has changed by the time of the judgment."""
    if any(op.type == "update" for op in graph.operations):
        return None
    types = [np.dtype(port.dtype) for port in (*interface.inputs, *interface.outputs) if port.dtype is not None]
    narrow = [dtype for dtype in types if dtype.kind in "fV" and dtype.itemsize == 2]
    rounding = ROUNDING if not narrow else 2.0**-11 if all(dtype.kind == "f" for dtype in narrow) else 2.0**-8
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

"""Does a written model compute what its source computes? Both run on the same random inputs, each in its runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np

from .errors import VerificationError
from .execution.backend import Array, Executor, TensorInfo, kernel_backend, make_executor
from .execution.coarseness import MOST_STEPS, NO_DEVIATION, Coarseness, Deviation
from .execution.compare import OutputComparison, compare_outputs
from .execution.distributions import parse_distribution
from .execution.sources import RandomSource
from .model import Graph, Tensor
from .report import OutputCheck, Verification, format_table

TOLERANCE = 1e-4
"""The largest accepted error of an output, relative to the largest magnitude in it."""

ABSOLUTE_TOLERANCE = 1e-6
"""An error that is accepted whatever the magnitude: rounding before a sigmoid or softmax whose results are all tiny."""


@dataclass(frozen=True)
class Port:
    """An input or output of the source model. move: where the source and the other model have channels, if that is
    not the same, for rank 3 and up."""

    name: str
    dtype: Any
    move: tuple[int, int] | None

    @classmethod
    def of(cls, tensor: Tensor, io_transpose: bool | Sequence[str], channels_last: bool = True) -> Port:
        """The port that a tensor of the source graph is. channels_last: there, as opposed to in second place."""
        chosen = io_transpose if isinstance(io_transpose, bool) else tensor.name in io_transpose
        move = ((-1, 1) if channels_last else (1, -1)) if chosen else None
        return cls(tensor.name or "", tensor.dtype, move)


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of the source graph, in order, as they were just before conversion.

    empty: inputs without items, with their shapes. They are no inputs of the converted model.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    empty: tuple[tuple[Port, tuple[int | None, ...]], ...] = ()

    @classmethod
    def of(
        cls,
        graph: Graph,
        outputs: Sequence[Tensor],
        io_transpose: bool | Sequence[str] = False,
        channels_last: bool = True,
    ) -> Interface:
        """The inputs of a source graph and those of its tensors that are outputs of the converted one.

        channels_last: where what io_transpose selects has its channels there.
        """
        return cls(
            tuple(Port.of(tensor, io_transpose, channels_last) for tensor in graph.inputs if tensor.volume != 0),
            tuple(Port.of(tensor, io_transpose, channels_last) for tensor in outputs),
            tuple((Port.of(t, False), t.shape or ()) for t in graph.inputs if t.volume == 0),
        )


DISTRIBUTIONS = {"scalar": parse_distribution("uniform(-1, 1)"), "integer": parse_distribution("integers(0, 9)")}
"""Of random inputs. The integers are few and small, since most are indices whose range the model does not tell."""


def random_source(distribution: str | None, seed: int) -> RandomSource:
    """Random values of the distribution, for example `normal(0, 1)`, by default of DISTRIBUTIONS. UsageError."""
    return RandomSource(DISTRIBUTIONS if distribution is None else parse_distribution(distribution), seed)


def verify_conversion(
    source: tuple[Path, str],
    target: tuple[Path, str],
    interface: Interface,
    *,
    samples: int,
    seed: int = 0,
    distribution: str | None = None,
    custom_operators: Mapping[str, Callable[..., Any]] | None = None,
    coarseness: Coarseness | None = None,
) -> Verification:
    """Runs source and target (path and format name each) on `samples` random inputs and compares the outputs.

    Outputs and inputs correspond by their order. coarseness: of a model with quantized activations, whose outputs may
    differ by steps, too. VerificationError, with a table of the outputs, if they differ by more than the tolerances;
    UsageError if a model cannot be run.
    """
    random = random_source(distribution, seed)
    reference = _executor(source, None)
    candidate = _executor(target, custom_operators)
    worst: dict[str, OutputComparison] = {}
    runs = [_compare_once(reference, candidate, interface, random, coarseness) for _ in range(samples)]
    for check in _judged(runs):
        known = worst.get(check.name)
        if known is None or _badness(check) > _badness(known):
            worst[check.name] = check
    outputs = tuple(
        OutputCheck(
            name=info.name,
            source=port.name,
            max_error=worst[info.name].max_error,
            scale=worst[info.name].scale,
            error=worst[info.name].relative_error,
            passed=worst[info.name].ok,
        )
        for port, info in zip(interface.outputs, candidate.outputs, strict=True)
    )
    steps = None if coarseness is None else MOST_STEPS
    result = Verification(samples, seed, TOLERANCE, ABSOLUTE_TOLERANCE, outputs, steps)
    if not result.passed:
        raise VerificationError(
            f"the written model does not compute what {source[0]} computes; nothing was written",
            list(format_table(result.table())),
            hint="compare_models with a tensor mapping shows the first tensor that differs",
        )
    return result


def _executor(model: tuple[Path, str], custom_operators: Mapping[str, Callable[..., Any]] | None) -> Executor:
    """NNEF is run by functions of our own: onnxruntime would need the conversion that is to be verified."""
    path, format = model
    if format != "nnef":
        return make_executor(path, format=format)
    return make_executor(path, format=format, backend=kernel_backend(), custom_operators=custom_operators)


@dataclass(frozen=True)
class _Compared:
    """An output of both models. Of quantized ones also the step of its codes, and how far runs of each model differ."""

    check: OutputComparison
    step: float | None = None
    error: Deviation = NO_DEVIATION
    spread: Deviation = NO_DEVIATION


def _judged(runs: Sequence[Sequence[_Compared]]) -> Iterator[OutputComparison]:
    """The comparisons of all runs. Outputs of quantized models may deviate by flips of codes, too."""
    for outputs in zip(*runs, strict=True):
        spread = reduce(or_, (output.spread for output in outputs))
        for output in outputs:
            noise = output.step is not None and output.error.is_noise(output.step, spread)
            yield replace(output.check, ok=output.check.ok or noise)


def _compare_once(
    reference: Executor,
    candidate: Executor,
    interface: Interface,
    random: RandomSource,
    coarseness: Coarseness | None,
) -> list[_Compared]:
    given: dict[str, Array] = {port.name: np.empty(shape, port.dtype) for port, shape in interface.empty}
    converted: dict[str, Array] = {}
    for port, info in zip(interface.inputs, candidate.inputs, strict=True):
        value = random.load(TensorInfo(port.name, port.dtype, _source_shape(port, info)))
        exact = value if info.dtype is None else value.astype(info.dtype)  # what both models can take
        given[port.name] = exact.astype(value.dtype)
        converted[info.name] = _moved(exact, port)
    ports = {info.name: port for port, info in zip(interface.outputs, candidate.outputs, strict=True)}
    source_names = [port.name for port in interface.outputs]
    wanted = reference.run(given, output_names=source_names)
    expected = {name: _moved(wanted[port.name], port) for name, port in ports.items()}
    results = candidate.run(converted)
    checks = compare_outputs(expected, results, atol=ABSOLUTE_TOLERANCE, relative_to_scale=TOLERANCE).outputs
    if coarseness is None:
        return [_Compared(check) for check in checks]
    of_source = _spread(reference, given, wanted)
    of_target = _spread(candidate, converted, {name: results[name] for name in ports})
    return [
        _Compared(
            check,
            coarseness.step(port.name if coarseness.of_source else name, port.dtype, np.asarray(expected[name])),
            Deviation.between(expected[name], results[name]),
            of_source[port.name] | of_target[name],
        )
        for check, (name, port) in zip(checks, ports.items(), strict=True)
    ]


def _spread(executor: Executor, inputs: Mapping[str, Array], results: Mapping[str, Array]) -> dict[str, Deviation]:
    """How far results are from those of another run: onnxruntime gives inner tensors without optimizations."""
    if executor.backend != "onnxruntime":
        return dict.fromkeys(results, NO_DEVIATION)
    bound = {info.name for info in (*executor.inputs, *executor.outputs)}
    inner = [name for name in executor.tensor_names if name not in bound][:1]
    again = executor.run(inputs, output_names=[*results, *inner])
    return {name: Deviation.between(results[name], again[name]) for name in results}


def _source_shape(port: Port, info: TensorInfo) -> tuple[int | None, ...] | None:
    if port.move is None or info.shape is None or len(info.shape) <= 2:
        return info.shape
    shape = list(info.shape)
    source, target = (axis % len(shape) for axis in port.move)
    shape.insert(source, shape.pop(target))
    return tuple(shape)


def _moved(value: Array, port: Port) -> Array:
    return value if port.move is None or value.ndim <= 2 else np.moveaxis(value, *port.move)


def _badness(check: OutputComparison) -> tuple[bool, float]:
    error = check.relative_error
    return not check.ok, float("inf") if np.isnan(error) else error

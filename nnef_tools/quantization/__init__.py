"""Quantization of models after training: ranges from statistics or samples, codes for activations and constants."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import Limits, within
from ..errors import FileError, UsageError
from ..execution.executor import Array, TensorInfo
from ..execution.feeds.distributions import parse_distribution
from ..execution.feeds.inputs import interface_codes
from ..execution.feeds.samples import load_samples
from ..execution.feeds.sources import RandomSource, load_inputs
from ..execution.results.statistics import StatisticsCollector, read_statistics
from ..execution.session import open_executor
from ..formats import FORMATS, NNEF, InputShapes, detect_input, has_suffix
from ..formats.destination import Destination
from ..model import Graph
from ..model.copying import copy_graph
from ..model.dtypes import is_float
from ..model.facts import tensor_facts, with_tensor_facts
from ..model.state import effects
from ..model.utils import generate_missing_tensor_names_from_op_type, remove_unreachable
from ..optimization.nnef_optimizer import Optimizer
from ..pipeline import convert_model, open_graph
from .apply import WEIGHTS, Scheme, TensorRow, apply, decibels
from .correction import Means
from .measure import Error, Samples, StreamedSamples, measure, sensitivities
from .plan import COMPUTING, make_plan
from .prepare import expand_separable, mean_for_sums, mean_for_whole_pools, multiply_for_divide
from .ranges import METHODS, Codes, Observed

__all__ = [
    "METHODS",
    "WEIGHTS",
    "Codes",
    "QuantizationReport",
    "Scheme",
    "TensorRow",
    "quantize_graph",
    "quantize_model",
]

STATISTICS = "graph.stats"
"""The file of statistics within an NNEF folder that is taken by default."""

_PROBES = 8
"""Samples that sensitivity is measured with."""


@dataclass
class QuantizationReport:
    """What was done. tensors: in the order of activations, weights, biases, other constants.

    operations: number of those that compute with codes. real: type -> number of those that compute, and do not. left:
    what --sensitivity left out. effects: see `measure.sensitivities`. outputs: name -> signal to noise in dB, mean
    squared and largest error; empty without samples.
    """

    tensors: list[TensorRow] = field(default_factory=list)
    operations: int = 0
    real: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    effects: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, dict[str, float | None]] = field(default_factory=dict)
    samples: int = 0
    warnings: list[str] = field(default_factory=list)
    written: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON form: plain values."""
        return asdict(self)


def quantize_model(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    statistics: Sequence[str | PathLike[str]] = (),
    input_path: str | PathLike[str] | None = None,
    random: str | None = None,
    samples: int = 100,
    seed: int | None = None,
    scheme: Scheme | None = None,
    exclude: Collection[str] = (),
    sensitivity: int = 0,
    io_codes: bool = False,
    format: str | None = None,
    input_shapes: InputShapes | None = None,
    progress: Callable[[str], None] = lambda text: None,
    limits: Limits | None = None,
) -> QuantizationReport:
    """Quantizes a model of any format, and writes it as NNEF with `graph.quant`, or as what the target's suffix says.

    statistics: files of `execute --statistics`, which are added up. input_path: samples to take statistics of, and to
    measure errors with, see `load_samples`; random: as many `samples` of a distribution instead. By default it is the
    file graph.stats of an NNEF folder. exclude: types of NNEF operations, and tensors whose operations stay real.
    sensitivity: number of further operations that do, those which change the outputs most; wants samples.
    io_codes: are inputs and outputs codes, of the type of activations, in what the result is converted to?
    input_shapes: input name -> extents, where the model leaves them open. UsageError, FileError, FormatError,
    ConversionError.
    """
    path, destination = Path(source), Destination.of(target, Path(target), NNEF.name)
    other = next((f for f in FORMATS.values() if f.name != NNEF.name and has_suffix(Path(target), f.suffixes)), None)
    if other is not None:
        raise UsageError(
            f"a quantized model is written as NNEF, not as {other.title}",
            hint=f"write NNEF first, and then: nnef-tools convert QUANTIZED {target}",
        )
    if input_path is not None and random is not None:
        raise UsageError("--random and --input-path exclude each other")
    if sensitivity and input_path is None and random is None:
        raise UsageError("--sensitivity is measured on samples", hint="give --input-path DIR")
    with within(limits), destination.locked():
        progress("read")
        graph, mapping, warnings = _optimized(path, format, input_shapes)
        feeds = _samples(graph, mapping, input_path, random, samples, seed)
        seen = _observed(path, graph, mapping, statistics, feeds, progress)
        report, quantized = quantize_graph(
            graph, seen, scheme, exclude=exclude, sensitivity=sensitivity, samples=feeds, progress=progress
        )
        report.warnings = [*warnings, *report.warnings]
        if io_codes:
            report.warnings += _set_io_codes(quantized)
        progress("write")
        report.written = tuple(map(str, destination.write(quantized).paths[:1])) or (str(destination.path),)
    return report


def quantize_graph(
    graph: Graph,
    seen: Mapping[str, Observed],
    scheme: Scheme | None = None,
    *,
    exclude: Collection[str] = (),
    sensitivity: int = 0,
    samples: Samples | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[QuantizationReport, Graph]:
    """Quantizes an NNEF graph, which stays as it is, and measures errors if there are samples; see `quantize_model`."""
    report = QuantizationReport()
    chosen = scheme or Scheme()

    def quantized_without(names: Collection[str]) -> Graph:
        result = copy_graph(graph)
        apply(result, make_plan(result, names), seen, chosen)
        return result

    left = list(exclude)
    if sensitivity and samples is not None:
        plan = make_plan(graph, exclude)
        names = [str(op.output.name) for op in plan.operations if op.type in COMPUTING and op.output not in plan.fused]
        fused = {str(t.consumers[0].output.name): str(t.name) for t in plan.fused}
        groups = {name: [name, *([fused[name]] if name in fused else [])] for name in names}
        others = {name: [*exclude, *(n for other in names if other != name for n in groups[other])] for name in names}
        report.effects = sensitivities(graph, list(islice(samples, _PROBES)), others, quantized_without, progress)
        report.left = [name for name, effect in list(report.effects.items())[:sensitivity] if effect > 0]
        left += [n for name in report.left for n in groups[name]]
    progress("quantize")
    result = copy_graph(graph)
    plan = make_plan(result, left)
    report.operations = len(plan.operations)
    before = sum(bool(t.quant) for t in result.tensors)
    if before:
        report.warnings.append(f"{before} tensors had codes before; these stay, and so do the operations between them")
    if not plan.operations:
        report.warnings.append("no operation can compute with codes: nothing is quantized")
    for op in result.operations:
        is_real = any(t.dtype is not None and is_float(t.dtype) for t in op.outputs)
        if is_real and op not in plan.operations and op.type not in ("external", "variable", "constant"):
            report.real[str(op.type)] = report.real.get(str(op.type), 0) + 1
    report.tensors = apply(result, plan, seen, chosen)
    if samples is not None:
        _measure(report, graph, result, samples, progress)
    return report, result


def _set_io_codes(graph: Graph) -> list[str]:
    """States the types of codes as those of inputs and outputs, and returns warnings of those that stay real."""
    facts = {name: fact.copy() for name, fact in tensor_facts(graph.metadata).items()}
    warnings = []
    for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            codes = interface_codes(tensor)
            if codes is not None:
                facts.setdefault(str(tensor.name), {})["dtype"] = codes.dtype.__name__
            elif tensor.dtype is not None and is_float(tensor.dtype):
                warnings.append(f"{kind} '{tensor.name}' stays real, as no operation beside it computes with codes")
    graph.metadata = with_tensor_facts(graph.metadata, facts)
    return warnings


def _measure(
    report: QuantizationReport, graph: Graph, result: Graph, samples: Samples, progress: Callable[[str], None]
) -> None:
    outputs = [str(t.name) for t in graph.outputs]
    rows = {row.name: row for row in report.tensors if row.kind == "activation"}
    given = {str(t.name) for t in graph.inputs}
    inner = [name for name in rows if name not in given]
    errors, report.samples = measure(graph, result, samples, list(dict.fromkeys([*inner, *outputs])), progress)
    for name, error in errors.items():
        if name in rows:
            rows[name].measured = decibels(error.signal, error.noise)
    report.outputs = {name: _facts(errors[name]) for name in outputs if name in errors}


def _facts(error: Error) -> dict[str, float | None]:
    return {
        "signal_to_noise": decibels(error.signal, error.noise),
        "mean_squared_error": error.mean_squared if isfinite(error.mean_squared) else None,
        "largest_error": error.largest if isfinite(error.largest) else None,
    }


def _optimized(
    path: Path, format: str | None, shapes: InputShapes | None
) -> tuple[Graph, Mapping[str, str], list[str]]:
    """The model as an optimized NNEF graph, as normalizations have to be part of weights before these get codes.

    Also source tensor name -> name in the graph, of a model that was converted, and the warnings of the conversion.
    """
    found = detect_input(path, format)
    warnings: list[str] = []
    mapping: Mapping[str, str] = {}
    if found.name == NNEF.name:
        graph = open_graph(path, format=found.name, input_shapes=shapes)
    else:
        folder = Path(tempfile.mkdtemp(prefix="nnef-tools-"))
        try:
            report = convert_model(
                path, folder / "model.tgz", input_format=found.name, input_shapes=shapes, optimize=True, keep_names=True
            )
            mapping, warnings = report.tensor_mapping, list(report.warnings)
            graph = copy_graph(open_graph(folder / "model.tgz"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    graph = Optimizer()(graph)
    expand_separable(graph)
    mean_for_whole_pools(graph)
    mean_for_sums(graph)
    multiply_for_divide(graph)
    remove_unreachable(graph, keep=effects(graph))
    generate_missing_tensor_names_from_op_type(graph)
    return graph, mapping, warnings


def _samples(
    graph: Graph,
    mapping: Mapping[str, str],
    path: str | PathLike[str] | None,
    random: str | None,
    count: int,
    seed: int | None,
) -> Samples | None:
    """The inputs of runs; None if neither a path nor a distribution is given. Files have the names of the source."""
    if path is None and random is None:
        return None
    infos = [TensorInfo(str(t.name), t.dtype, t.shape) for t in graph.inputs]
    if path is not None:
        sources = {target: source for source, target in mapping.items()}
        named = [replace(info, name=sources.get(info.name, info.name)) for info in infos]
        own = {source.name: info.name for source, info in zip(named, infos, strict=True)}
        return StreamedSamples(
            lambda: ({own[name]: x for name, x in sample.items()} for sample in load_samples(named, Path(path)))
        )
    assert random is not None
    distribution = parse_distribution(random)
    first = int(np.random.default_rng().integers(1 << 32)) if seed is None else seed

    def draw() -> Iterator[dict[str, Array]]:
        source = RandomSource(distribution, first)
        return (load_inputs(infos, source) for _ in range(count))

    return StreamedSamples(draw)


def _observed(
    path: Path,
    graph: Graph,
    mapping: Mapping[str, str],
    statistics: Sequence[str | PathLike[str]],
    samples: Samples | None,
    progress: Callable[[str], None],
) -> dict[str, Observed]:
    """What is known of the values of tensors, by name: from files, and samples."""
    files = list(statistics)
    if not files and samples is None:
        files = [path / STATISTICS]
        if not (path.is_dir() and Path(files[0]).exists()):
            raise FileError(
                "there are no statistics of the model",
                where=str(files[0]),
                hint="give --statistics FILE (see nnef-tools execute --statistics), or samples: --input-path DIR",
            )
    total, means = StatisticsCollector(), Means(graph)
    known = {t.name for t in graph.tensors}
    for file in files:
        found = read_statistics(file)
        names = {name: mapping[name] for name in found.statistics if name in mapping and name not in known}
        total.merge(found.renamed(names), where=str(file))
    if samples is not None:
        own = _collected(graph, samples, means, progress)
        if files:
            own.statistics = {name: found for name, found in own.statistics.items() if name in total.statistics}
            own.merge(total, where=str(files[0]))
        total = own
    mean = means.values
    return {
        name: Observed(found, total.histograms.get(name), mean.get(name)) for name, found in total.statistics.items()
    }


def _collected(graph: Graph, samples: Samples, means: Means, progress: Callable[[str], None]) -> StatisticsCollector:
    collector = StatisticsCollector(has_histograms=True)
    constants = {t.name for t in graph.tensors if t.data is not None}

    def observe(name: str, array: np.ndarray[Any, Any]) -> None:
        if name not in constants:
            collector(name, array)
            means(name, array)

    executor = open_executor(copy_graph(graph))
    for k, sample in enumerate(samples, 1):
        progress(f"calibrate {k}")
        executor.reset()
        executor.run(sample, observe=observe)
    return collector

"""The stages of a conversion, a function each; commands that only look at a model use the first one, `open_graph`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ..budget import Limits, within
from ..conversion.engine.base import unmatched_warning
from ..errors import ConversionError, FormatError, UsageError, VerificationError, shape_hint, shape_text
from ..formats import Dialect, Format, InputShapes, detect_input, load, make_optimizer, make_reader
from ..formats.destination import Destination, Written
from ..io.input_values import Values
from ..language.gc_pause import paused_collector
from ..language.parser import parse_fragments
from ..model import Graph, Tensor
from ..model.cut import cut
from ..model.facts import FRAGMENTS, merged_tensors, opset_versions
from ..model.utils import keep_static
from ..optimization.custom import unmatched_optimizers
from ..optimization.inputs import set_inputs
from ..plugins import Plugins, check_fragments
from ..report import ModelFacts, PassFacts, Verification, count_operations, size_on_disk
from ..verification.interface import Hub, Insides, Interface, operator_types, tensor_sizes
from ..verification.quantization_tolerance import QuantizationSteps
from ..verification.real_values import Codes, tensor_codes
from .job import CONVERTER_OPTIONS, HUB, READER_OPTIONS, Job, Log, Progress, Step

NO_PLUGINS = Plugins()


# opening


class OpenModel(NamedTuple):
    """A model that has been read, cut and sorted.

    facts: of the model as it was read. warnings: of the reader. values: arrays, of inputs that were set to them.
    """

    graph: Graph
    format: Format
    facts: ModelFacts
    warnings: tuple[str, ...] = ()
    values: Mapping[str, Any] = {}


def open_graph(
    source: str | PathLike[str],
    *,
    format: str | None = None,
    input_shapes: InputShapes | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    signature: str | None = None,
    weights: str | PathLike[str] | None = None,
    plugins: Plugins = NO_PLUGINS,
    limits: Limits | None = None,
) -> Graph:
    """The graph of a model file or folder in the dialect of its format, sorted.

    format: its name, by default recognized by content and suffix. input_shapes: name -> extents of inputs, in place of
    those of the model. input_names, output_names: keep only the part between these tensors. signature: which one of a
    TFLite model or SavedModel. weights: the file with the weights of a Caffe net. limits: see `convert_model`.
    UsageError, FormatError, FileError, LimitError, PluginError, MissingPackageError.
    """
    path = Path(source)
    found = detect_input(path, format)
    shapes = found.dialect.by_tensor_name(input_shapes or {})
    inputs, outputs = map(found.dialect.tensor_names, (input_names, output_names))
    with within(limits):
        options = {"signature": signature, "weights": weights}
        return open_model(path, found, shapes, inputs, outputs, options, plugins, Log()).graph


def open_model(
    path: Path,
    format: Format,
    input_shapes: InputShapes,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    reader_options: Mapping[str, Any],
    plugins: Plugins,
    log: Log,
    values: Values | None = None,
) -> OpenModel:
    """Reads a model and prepares its graph. Tensors are named as in graphs; see `open_graph` for the parameters.

    reader_options: those that one format or another has; the reader of this one gets its own. values: of inputs.
    """
    inner = {name: shape for name, shape in input_shapes.items() if name in (input_names or ())}
    outer = {name: shape for name, shape in input_shapes.items() if name not in inner}
    with log.stage("read"):
        given = {"custom_shapes": plugins.shapes or None, "set_inputs": values or None, **reader_options}
        options = {key: value for key, value in given.items() if value is not None and key in format.reader_options}
        reader = make_reader(format, **options)
        with paused_collector():
            graph = reader(str(path), outer)
        facts = ModelFacts.of(graph, path, format.name, size_on_disk(getattr(reader, "files", (path,))))
        arrays = getattr(reader, "values", None) if "set_inputs" in options else set_inputs(graph, values or {})
        if plugins.fragments:
            check_fragments(plugins.fragments, graph.metadata.get(FRAGMENTS, {}))
    with log.stage("prepare"):
        _set_shapes(graph, inner)
        if input_names is not None and format.dialect.complete_shapes is not None:
            load(format.dialect.complete_shapes)(
                graph,
                custom_transforms=plugins.transforms,
                custom_functions=plugins.functions,
                custom_shapes=plugins.shapes,
            )
        cut(graph, input_names, output_names)
        _set_shapes(graph, inner)
        optimizer = make_optimizer(format.dialect)
        if optimizer is not None:
            optimizer(graph, only_required=True)
        _sort(graph)
    return OpenModel(graph, format, facts, tuple(getattr(reader, "warnings", ())), arrays or {})


def _set_shapes(graph: Graph, shapes: InputShapes) -> None:
    """Sets the shapes of graph inputs, as far as the graph leaves them open. UsageError if one does not fit."""
    merged = merged_tensors(graph.metadata)
    shapes = {merged.get(name, name): shape for name, shape in shapes.items()}
    for tensor in graph.inputs:
        shape = shapes.get(tensor.name or "")
        if shape is None:
            continue
        known = tensor.shape if tensor.shape is not None else (None,) * len(shape)
        if len(known) != len(shape) or any(a not in (None, b) for a, b in zip(known, shape, strict=True)):
            raise UsageError(
                f"input '{tensor.name}' has shape {shape_text(tensor.shape)}, it cannot get {shape_text(shape)}"
            )
        tensor.shape = tuple(shape)


def _sort(graph: Graph) -> None:
    if not graph.sort():
        raise FormatError("the operations of the model depend on each other in a cycle")


def replaced_shapes(job: Job) -> str | None:
    """A hint that names the shapes of inputs that the job replaces, for a model that cannot be converted with them."""
    if not job.options.input_shapes:
        return None
    reader = make_reader(job.format, **_reader_options(job))
    own = {tensor.name: tensor.shape for tensor in reader(str(job.source)).inputs}
    replaced = [
        f"{name}:{','.join('?' if extent is None else str(extent) for extent in own[name] or ())}"
        for name, shape in job.options.input_shapes.items()
        if own.get(name) is not None and any(a not in (None, b) for a, b in zip(own[name] or (), shape, strict=True))
    ]
    if not replaced:
        return None
    return f"--shape replaces {' '.join(replaced)}, for which the model may be made, as by Reshape to constant extents"


# conversion


class Conversion(NamedTuple):
    """The state of a conversion: the graph after the steps so far, and what is known about it.

    interface: inputs and outputs of the source. mapping: source tensor name -> present name, of the tensors that are
    still there. route: the steps that were taken. quantization_steps: of an NNEF model with quantized activations.
    transposes: where some are left, None if the layout is the same. between: the NNEF graph between two other dialects,
    and whether its inputs and outputs have the axes of the source. idle: transforms of plugins that were of no use so
    far.
    """

    graph: Graph
    interface: Interface
    mapping: Callable[[], dict[str, str]]
    route: tuple[Step, ...] = ()
    quantization_steps: QuantizationSteps | None = None
    passes: tuple[PassFacts, ...] = ()
    transposes: tuple[str, ...] | None = None
    between: tuple[Graph, bool] | None = None
    idle: tuple[str, ...] = ()


def convert_graph(job: Job, source: OpenModel, log: Log) -> Conversion:
    """Converts along the route of the job, and optimizes each result. ConversionError.

    A model that only makes a detour over NNEF stays in its dialect, with a warning, if NNEF cannot express it, or only
    by more operations: loops are unrolled there, and fused operators taken apart.
    """
    if not job.detour:
        return _follow(job, source, job.route, log)
    warnings, between = list(log.warnings), None
    try:
        before = count_operations(source.graph)
        result = _follow(job, source, job.route, log)
        after = count_operations(result.graph)
        if after <= before:
            return result
        reason, between = f"it would have {after} operations instead of {before}", result.between
    except ConversionError as error:
        hint = f" ({error.hint})" if error.hint else ""
        reason = f"{HUB.title} cannot express it: {'; '.join([error.message, *error.details])}{hint}"
    log.warnings[:] = [*warnings, f"the model is not optimized: {reason}"]
    return _follow(job, source, (), log)._replace(between=between)


def _follow(job: Job, source: OpenModel, route: Sequence[Step], log: Log) -> Conversion:
    graph, dialect = source.graph, source.format.dialect
    if not route and dialect.complete_shapes is not None and (job.options.static_only or job.plugins.optimizers):
        load(dialect.complete_shapes)(graph)
    if job.options.static_only and not route:
        _keep_static(graph)
    names = {tensor: tensor.name for tensor in graph.tensors if tensor.name}
    interface = Interface.of(graph, graph.outputs)
    state = Conversion(graph, interface, lambda: _surviving(names))
    if dialect is HUB:
        state = state._replace(quantization_steps=QuantizationSteps.of(graph, of_source=True))
    if not route or dialect is HUB:
        with log.stage("convert"):
            _decompose(job, graph, dialect, route)
    if not route or (dialect is HUB and job.options.optimize):
        with log.stage("optimize"):
            state = _optimized(job, state, dialect, layout_changes=False)
    transposing = _transposing_step(job, route)
    for step in route:
        with log.stage("convert"), _explained(job, step), paused_collector():
            state = _converted(job, step, state, log, is_last=step is route[-1], transposes=step is transposing)
            _decompose(job, state.graph, step.target, route)
        with log.stage("optimize"):
            state = _optimized(
                job, state, step.target, layout_changes=step.source.channels_last != step.target.channels_last
            )
    if job.options.optimize:
        log.warnings += unmatched_optimizers(job.plugins.optimizers, {item.name for item in state.passes})
    return state


def _transposing_step(job: Job, route: Sequence[Step]) -> Step | None:
    """The step that changes the axes of inputs and outputs: the last one that can."""
    able = [step for step in route if "io_transpose" in step.converter.honors]
    return able[-1] if able and job.options.io_transpose else None


def _converted(job: Job, step: Step, state: Conversion, log: Log, *, is_last: bool, transposes: bool) -> Conversion:
    """Runs one step. In the graph between two steps, tensors keep the names of the source."""
    names = state.mapping()
    selected = job.options.io_transpose if transposes else False
    if not isinstance(selected, bool):
        selected = [names.get(name, name) for name in selected]
    options = _converter_options(job, step, state.graph)
    options |= {"io_transpose": selected} if transposes else {}
    options |= {"keep_io_names": True, "keep_names": True} if not is_last else {}
    converter = step.converter(**{name: value for name, value in options.items() if name in step.converter.honors})
    graph = converter(state.graph)
    idle = [place for place in state.idle if place in converter.unmatched] if state.between else converter.unmatched
    reported = unmatched_warning(converter.unmatched)  # the last converter reports for all of them
    log.warnings += [warning for warning in converter.warnings if warning not in reported]
    log.warnings += unmatched_warning(idle) if is_last else ()
    is_first = not state.route
    interface = state.interface
    if is_first:
        interface = Interface.of(state.graph, converter.outputs).with_rows(converter.counted_rows)
    if transposes:
        interface = interface.transposed(job.options.io_transpose, channels_last=step.target is HUB)
    between = state.between
    if not is_last:
        declared = parse_fragments("\n".join(job.plugins.fragments.values()), "custom fragments")
        graph.metadata[FRAGMENTS] = {**graph.metadata.get(FRAGMENTS, {}), **declared}
        between = graph, not transposes
    return state._replace(
        graph=graph,
        interface=interface,
        mapping=lambda: _joined(names, converter.tensor_mapping()) if not is_first else converter.tensor_mapping(),
        route=(*state.route, step),
        between=between,
        idle=tuple(idle),
    )


def _converter_options(job: Job, step: Step, graph: Graph) -> dict[str, Any]:
    """The options of the job, by the names that converters have for them."""
    plugins = job.plugins
    options = {called: getattr(job.options, name) for name, called in CONVERTER_OPTIONS.items()}
    del options["io_transpose"]
    options |= {
        "custom_transforms": plugins.transforms,
        "custom_functions": plugins.functions,
        "custom_shapes": plugins.shapes,
        "custom_fragments": plugins.fragments,
        "infer_shapes": bool(plugins.shapes),
    }
    version = opset_versions(graph.metadata).get("")
    if job.detour and options["opset"] is None and version in step.converter.opsets:
        options["opset"] = version  # what keeps its dialect keeps its version
    return options


def _optimized(job: Job, state: Conversion, dialect: Dialect, *, layout_changes: bool) -> Conversion:
    """The conversion with its graph sorted and, if the job asks for it, optimized."""
    graph = state.graph
    layout = load(dialect.layout) if layout_changes and dialect.layout is not None else None
    passes = state.passes
    if layout is not None:  # removes the transposes that converters put around operations with other axes
        result = layout.run_layout(graph)
        passes += (PassFacts(result.name, result.count, result.difference),) if result.modified else ()
    optimizer = make_optimizer(dialect, custom_optimizers=job.plugins.optimizers, dequantize=job.options.dequantize)
    if optimizer is not None:
        optimizer(graph, only_required=not job.options.optimize)
        passes += tuple(PassFacts(item.name, item.count, item.difference) for item in optimizer.results)
    _sort(graph)
    quantization_steps = state.quantization_steps
    if quantization_steps is None and dialect is HUB:
        quantization_steps = QuantizationSteps.of(graph, of_source=False)
    transposes = tuple(layout.remaining_transposes(graph)) if layout is not None else state.transposes
    return state._replace(passes=passes, transposes=transposes, quantization_steps=quantization_steps)


@contextmanager
def _explained(job: Job, step: Step) -> Iterator[None]:
    """Adds to the message of a refusal the step, if there are several, and the warnings of the report."""
    try:
        yield
    except ConversionError as error:
        if len(job.route) > 1:
            error.message = f"{step.title}: {error.message}"
        error.hint = "; ".join([*job.plugins.warnings, *([error.hint] if error.hint else [])]) or None
        raise


def _joined(names: Mapping[str, str], following: Mapping[str, str]) -> dict[str, str]:
    """The composition of two mappings of names."""
    return {name: following[between] for name, between in names.items() if between in following}


def _surviving(names: Mapping[Tensor, str]) -> dict[str, str]:
    """Former name -> present name, for the tensors that are still part of a graph and have a name."""
    return {name: tensor.name for tensor, name in names.items() if tensor.graph is not None and tensor.name}


def _keep_static(graph: Graph) -> None:
    if not keep_static(graph):
        shapes = {str(tensor.name): tensor.shape for tensor in graph.inputs if tensor.volume is None}
        names = ", ".join(f"'{name}'" for name in shapes)
        raise ConversionError(f"the shape of input {names} is not known", hint=shape_hint(shapes))


def _decompose(job: Job, graph: Graph, dialect: Dialect, route: Sequence[Step]) -> None:
    """Replaces compound operations by their definitions, if the job asks for it and the graph is in NNEF."""
    if not job.options.decompose:
        return
    if dialect is not HUB:
        if not any(step.target is HUB for step in route) and not any(step.source is HUB for step in route):
            raise UsageError("only NNEF operations can be decomposed")
        return
    from ..ops.decomposition import decompose_operations
    from ..ops.library import Library

    library = Library.of(graph, parse_fragments("\n".join(job.plugins.fragments.values()), "custom fragments"))
    names = job.options.decompose
    decompose_operations(graph, None if isinstance(names, bool) else names, library, job.plugins.shapes)


# results


def verify(
    job: Job,
    source: OpenModel,
    result: Conversion,
    source_types: Mapping[str, str],
    source_codes: Mapping[str, Codes],
    progress: Progress | None,
) -> Verification:
    """Writes the result to a temporary folder, and runs it and the source on random inputs. VerificationError.

    source_types: name of a tensor of the source -> type of the operator that produces it. source_codes: name -> codes.
    """
    from ..verification.check import verify_conversion  # imports what runs models

    hub, quantization_steps = None, result.quantization_steps
    if result.between is not None:
        graph, has_source_axes = result.between
        hub = Hub.of(graph, result.interface, result.graph, has_source_axes=has_source_axes)
        quantization_steps = QuantizationSteps.of(hub.graph, of_source=has_source_axes)
    with job.destination.elsewhere() as trial:
        write(job, result, trial)
        verification = verify_conversion(
            (job.source, job.format.name),
            (trial.path, trial.format.name),
            result.interface,
            samples=job.options.verify,
            inputs=None if job.options.verify_inputs is None else Path(job.options.verify_inputs),
            seed=job.options.seed or 0,
            distribution=job.options.random,
            custom_operators=job.plugins.operators(),
            reader_options=_reader_options(job),
            input_shapes=job.options.input_shapes or None,
            set_inputs=source.values,
            quantization_steps=quantization_steps,
            insides=Insides(
                result.mapping(),
                source_types,
                operator_types(result.graph),
                tensor_sizes(result.graph),
                (source_codes, tensor_codes(result.graph)),
            ),
            hub=hub,
            progress=progress,
        )
    if job.options.verify_strict and verification.weaknesses:
        error = VerificationError(
            "the check of the written model saw too little, so that nothing was written",
            list(verification.weaknesses),
            hint="--verify-inputs, --random or more of them may show more; without --verify-strict such a check passes",
        )
        error.verification = verification
        raise error
    return verification


def _reader_options(job: Job) -> dict[str, Any]:
    """The options that are given for the reader of the source."""
    given = {name: getattr(job.options, name) for name in READER_OPTIONS if name in job.format.reader_options}
    return {name: value for name, value in given.items() if value is not None}


def write(job: Job, result: Conversion, destination: Destination) -> Written:
    """Writes the result to the destination of the job. FileError, FormatError."""
    given = {name: getattr(job.options, name) for name in destination.format.writer_options}
    if "custom_fragments" in given:
        given["fragments"] = job.plugins.fragments
        del given["custom_fragments"]
    return destination.write(result.graph, **given)

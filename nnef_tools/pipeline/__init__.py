"""The conversion of a model, stage by stage. This is the page to read first.

    file --reader--> graph --cut, sort--> graph --converter--> graph --optimizer--> graph --writer--> file --> verified

Every stage works on the same `model.Graph`; only the dialect of its operations differs. Every conversion leads to NNEF
or from NNEF: between two other formats there are two converters, each followed by an optimizer. Within one dialect
there is no converter, and the rest is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from typing import Any, NamedTuple

from ..budget import Limits, within
from ..errors import ConversionError
from ..formats import InputShapes
from ..formats.destination import Written
from ..io.files import json_file, transaction
from ..plugins import Modules
from ..report import ModelFacts, Report, size_on_disk
from ..verification.interface import operator_types
from ..verification.real_values import Codes, tensor_codes
from .job import Job, Log, Options, Progress, given_values
from .stages import Conversion, OpenModel, convert_graph, open_graph, open_model, replaced_shapes, verify, write

__all__ = ["convert_model", "open_graph"]


def convert_model(
    source: str | PathLike[str],
    target: str | PathLike[str] | None = None,
    *,
    input_format: str | None = None,
    output_format: str | None = None,
    input_shapes: InputShapes | None = None,
    fold_constants: bool = False,
    optimize: bool = False,
    keep_io_names: bool = False,
    io_transpose: bool | Sequence[str] = False,
    custom_converters: Modules = (),
    custom_shapes: Modules = (),
    custom_fragments: Modules = (),
    custom_optimizers: Modules = (),
    mirror_unsupported: bool = False,
    generate_custom_fragments: bool = False,
    decompose: bool | Sequence[str] = False,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    static_only: bool = False,
    tensor_mapping: str | PathLike[str] | None = None,
    annotate_shapes: bool = False,
    compress: int | None = None,
    dequantize: bool = False,
    standard_only: bool = False,
    opset: int | None = None,
    external_data: bool = False,
    verify: int = 0,
    seed: int | None = None,
    random: str | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    keep_names: bool = False,
    limits: Limits | None = None,
    signature: str | None = None,
    weights: str | PathLike[str] | None = None,
    verify_strict: bool = False,
    verify_inputs: str | PathLike[str] | None = None,
    fixed_nms: bool = False,
    set_inputs: Mapping[str, Any] | None = None,
) -> Report:
    """Converts a model file or folder to another format, or rewrites it in its own.

    source, target: paths; target is by default the source's path with the suffix of the output format.
    input_format, output_format: names of formats, by default recognized by content and suffix (NNEF if there is no
    target). input_shapes: name -> extents, for inputs and input_names, in place of those of the model.
    fold_constants: compute what depends on constants only. optimize: rewrite for speed; custom_optimizers: plugin
    modules with further rewrites; dequantize: drop quantization while optimizing. keep_io_names: keep the names of
    inputs and outputs. keep_names: keep those of all tensors and weights. io_transpose: the source's inputs and
    outputs of rank 3 and up (or the named ones) have channels last, and get them second. custom_converters,
    custom_shapes, custom_fragments: plugin modules. mirror_unsupported: copy operators without conversion as custom
    ones; generate_custom_fragments: declare these in the NNEF text. standard_only: refuse what needs a custom
    fragment. decompose: compound NNEF operations (True: all) that are written as their definition. input_names,
    output_names: convert only the part between these tensors. static_only: leave out what has no static shape.
    tensor_mapping: path of a JSON file to write, source tensor name -> target tensor name. annotate_shapes: write
    shapes as comments. compress: 0 to 9, write NNEF as a .tgz archive. opset: version of ONNX's operator set that
    NNEF is converted to. external_data: write the weights of an ONNX model into a file beside it. verify: run
    source and result on that many random inputs before anything existing is replaced; random: their distribution,
    such as `normal(0, 1)` (default: floats uniform in [-1, 1), integers within what they index or are compared
    with, else from 0 to 9); seed: of them, by default 0; verify_inputs: run on these instead, a folder or file as
    `execute --input-path` takes it, or of the only input; verify_strict: fail if the inputs could not show all of
    the model. progress: called with the name of each stage, and with `verify 2/3` for each input. dry_run: do
    everything but write. limits: of the work that a model may ask for, name -> value, where they differ from the
    defaults (`nnef_tools.budget.Budget` explains them). signature: which one of a TFLite model or SavedModel with
    several to convert. weights: the file with the weights of a Caffe net, if it is not beside it under the same name.
    fixed_nms: outputs whose number of rows depends on the data, as that of the boxes that non-maximum suppression
    chooses, have room for the most there can be, and a further output tells the number. set_inputs: input name -> value
    (a number, logical, nested list or array, or the path of a `.npy`, `.npz` or `.dat` file), for inputs that the
    result does not have, since they always have this value.

    Raises subclasses of NnefToolsError: UsageError, FormatError, FileError, ConversionError (with all operators that
    cannot be converted), VerificationError, PluginError, MissingPackageError. On an error nothing is written.
    """
    options = Options(
        input_shapes=input_shapes or {},
        fold_constants=fold_constants,
        optimize=optimize,
        keep_io_names=keep_io_names,
        io_transpose=io_transpose,
        custom_converters=custom_converters,
        custom_shapes=custom_shapes,
        custom_fragments=custom_fragments,
        custom_optimizers=custom_optimizers,
        mirror_unsupported=mirror_unsupported,
        generate_custom_fragments=generate_custom_fragments,
        decompose=decompose,
        input_names=input_names,
        output_names=output_names,
        static_only=static_only,
        fixed_nms=fixed_nms,
        tensor_mapping=tensor_mapping,
        annotate_shapes=annotate_shapes,
        compress=compress,
        dequantize=dequantize,
        standard_only=standard_only,
        opset=opset,
        external_data=external_data,
        verify=verify,
        verify_strict=verify_strict,
        verify_inputs=verify_inputs,
        seed=seed,
        random=random,
        dry_run=dry_run,
        keep_names=keep_names,
        signature=signature,
        weights=weights,
        set_inputs=set_inputs or {},
    )
    with within(limits):
        return run(Job.of(source, target, input_format, output_format, options), Log(progress))


def run(job: Job, log: Log) -> Report:
    """Does a job, stage by stage, while nobody else writes its destination. On an error nothing is written."""
    with nullcontext() if job.options.dry_run else job.destination.locked():
        return _run(job, log)


def _run(job: Job, log: Log) -> Report:
    options = job.options
    log.warnings += job.in_place_warning()
    log.warnings += job.plugins.warnings
    source, result, source_types, source_codes = _opened_and_converted(job, log)
    mapping = result.mapping()
    verification = None
    if options.verifies:
        with log.stage("verify"):
            verification = verify(job, source, result, source_types, source_codes, log.progress)
    written = Written()
    if not options.dry_run:
        path, together = options.tensor_mapping, transaction(job.destination.path)
        with log.stage("write"), together, nullcontext() if path is None else json_file(path, mapping):
            written = write(job, result, job.destination)
        log.warnings += written.warnings
    others = () if options.dry_run or options.tensor_mapping is None else (options.tensor_mapping,)
    size = size_on_disk(written.paths)
    return Report(
        source=source.facts,
        target=ModelFacts.of(result.graph, job.destination.path, job.destination.format.name, size),
        way=(job.format.dialect.title, *(step.target.title for step in result.route)),
        written=tuple(map(str, (*written.paths, *others))),
        warnings=tuple(log.warnings),
        unused_options=job.unused_options(result.route),
        tensor_mapping=mapping,
        passes=result.passes,
        transposes=result.transposes,
        timings=log.timings,
        verification=verification,
    )


class _Converted(NamedTuple):
    """A source, what becomes of it, and what verification has to know of the source as it was before."""

    source: OpenModel
    result: Conversion
    types: Mapping[str, str]
    codes: Mapping[str, Codes]


def _opened_and_converted(job: Job, log: Log) -> _Converted:
    """Reads and converts the source.

    Constants are folded while converting, so that weights keep their names. A reader that can fold them does so where
    that is not enough, and where there is no converter.
    """
    can_fold = job.options.fold_constants and "fold_constants" in job.format.reader_options
    if can_fold and job.route:
        warnings = list(log.warnings)
        try:
            return _with_reader(job, log, {})
        except ConversionError:
            log.warnings = warnings
    return _with_reader(job, log, {"fold_constants": True} if can_fold else {})


def _with_reader(job: Job, log: Log, reader_options: Mapping[str, Any]) -> _Converted:
    options = job.options
    source = open_model(
        job.source,
        job.format,
        options.input_shapes,
        options.input_names,
        options.output_names,
        {"signature": options.signature, "weights": options.weights, **reader_options},
        job.plugins,
        log,
        given_values(options.set_inputs),
    )
    log.warnings += source.warnings
    types = operator_types(source.graph) if options.verifies else {}
    codes = tensor_codes(source.graph) if options.verifies else {}
    try:
        return _Converted(source, convert_graph(job, source, log), types, codes)
    except ConversionError as error:
        error.warnings = source.warnings  # what a reader leaves out may be the reason
        replaced = replaced_shapes(job)
        if replaced is not None:  # which is the reason, unless there are operators without a rule
            without_rule = not all(refusal.implemented for refusal in error.refused)
            error.hint = f"{replaced}; {error.hint}" if without_rule and error.hint else replaced
        raise

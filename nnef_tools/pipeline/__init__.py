"""How a model is converted: the one page to read first.

    file --reader--> graph --cut, sort--> graph --converter--> graph --optimizer--> graph --writer--> file --> verified

Every stage works on the same `model.Graph`; only the dialect of its operations differs. Between two formats of one
dialect there is no converter, and the rest is the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import ConversionError, FormatError, UsageError, check_lists, shape_hint, shape_text
from ..formats import (
    Format,
    InputShapes,
    accepted_options,
    detect_input,
    find_converter,
    make_optimizer,
    make_reader,
)
from ..formats.destination import Target, Written, target_format
from ..io.files import replace_file
from ..model import Graph, Tensor
from ..model.cut import cut
from ..model.utils import keep_static
from ..optimization.custom import unmatched_optimizers
from ..plugins import (
    Modules,
    check_fragments,
    load_fragments,
    load_operators,
    load_optimizers,
    load_shapes,
    load_transforms,
    missing_tables,
)
from ..report import ModelFacts, PassFacts, Report, size_on_disk
from ..verification.check import Insides, Interface, operator_types, tensor_sizes, verify_conversion
from ..verification.quantization_tolerance import Coarseness

PACKAGE = __package__.partition(".")[0]
Progress = Callable[[str], None]

CHANNELS_LAST = ("tf", "tflite")
"""Dialects whose operators want channels last: tensors keep their layout in the conversion, so transposes are left."""

LAYOUTS = ("nnef", "tf")
"""Dialects of which transposes can be removed."""

CUSTOM_MODULES = ("custom_converters", "custom_shapes", "custom_fragments")
CONVERTER_OPTIONS = {
    "custom_converters": "custom_transforms",
    **{
        name: name
        for name in (
            *("custom_shapes", "custom_fragments", "mirror_unsupported", "keep_io_names", "keep_names", "io_transpose"),
            *("fold_constants", "standard_only", "static_only", "opset"),
        )
    },
}
"""Parameters of `convert_model` that are for the converter -> what it calls them."""

WRITER_OPTIONS = {
    "nnef": ("external_data",),
    "onnx": ("generate_custom_fragments", "annotate_shapes", "compress"),
    "tf": ("generate_custom_fragments", "annotate_shapes", "compress", "external_data"),
}
"""Parameters of `convert_model` that are for the writer, by the format whose writer does not have them."""


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
) -> Report:
    """Converts a model file or folder to another format, or rewrites it in its own.

    source, target: paths; without target it is the source's path and the suffix of the output format. input_format,
    output_format: names of formats, by default told by content and suffix (NNEF if there is no target).
    input_shapes: input name -> extents, for inputs whose shape the model leaves open, and for input_names.
    fold_constants: compute what depends on constants only. optimize: rewrite for speed; custom_optimizers: plugin
    modules with further rewrites; dequantize: drop quantization while optimising.
    keep_io_names: keep the names of inputs and outputs. keep_names: keep those of all tensors and weights.
    io_transpose: the source's inputs and outputs of rank 3 and up (or the named ones) have channels last, and get them
    second.
    custom_converters, custom_shapes, custom_fragments: plugin modules. mirror_unsupported: copy operators without
    conversion as custom ones; generate_custom_fragments: declare these in the NNEF text. standard_only: refuse what
    needs a custom fragment. decompose: compound NNEF operations (True: all) that are written as their definition.
    input_names, output_names: convert only the part between these tensors. static_only: leave out what has no static
    shape. tensor_mapping: path of a JSON file to write, source tensor name -> target tensor name.
    annotate_shapes: write shapes as comments. compress: 0 to 9, write NNEF as a .tgz archive. opset: version of ONNX's
    operator set that NNEF is converted to. external_data: write the weights of an ONNX model into a file beside it.
    verify: run source and result on that many random inputs before anything existing is replaced; random: their
    distribution, such as `normal(0, 1)` (default: floats uniform in [-1, 1), integers within what they index or are
    compared with, else from 0 to 9); seed: of them, by default 0. progress: called with the name of each stage, and
    with `verify 2/3` for each input. dry_run: do everything but write.

    Raises subclasses of NnefToolsError: UsageError, FormatError, FileError, ConversionError (with all operators that
    cannot be converted), VerificationError, PluginError, MissingPackageError. On an error nothing is written.
    """
    log = _Log(progress)
    check_lists(
        input_names=input_names,
        output_names=output_names,
        io_transpose=io_transpose,
        decompose=decompose,
        custom_converters=custom_converters,
        custom_shapes=custom_shapes,
        custom_fragments=custom_fragments,
        custom_optimizers=custom_optimizers,
    )
    source = Path(source)
    read_format = detect_input(source, input_format)
    if target is None and output_format is None and read_format.name == "nnef":
        raise UsageError("neither the file to write nor its format is given")
    if read_format.dialect == "tf":
        input_names, output_names = _short(input_names), _short(output_names)
        io_transpose = io_transpose if isinstance(io_transpose, bool) else _short(io_transpose) or ()
        input_shapes = {name.removesuffix(":0"): shape for name, shape in (input_shapes or {}).items()}
    is_compressed = target_format(target, output_format).name == "nnef"
    destination = Target.of(target, source, output_format, compress if is_compressed else None)
    if tensor_mapping is not None and Path(tensor_mapping).absolute() == destination.path.absolute():
        raise UsageError("the model and the tensor mapping cannot have the same file", where=str(tensor_mapping))
    converter_class = find_converter(read_format, destination.format)
    unused = _unused_options(
        {
            "custom_converters": custom_converters,
            "mirror_unsupported": mirror_unsupported,
            "keep_io_names": keep_io_names,
            "keep_names": keep_names,
            "io_transpose": io_transpose,
            "fold_constants": fold_constants,
            "standard_only": standard_only,
            "static_only": static_only,
            "opset": opset,
            "custom_shapes": custom_shapes,
            "custom_fragments": custom_fragments,
            "custom_optimizers": custom_optimizers,
            "dequantize": dequantize,
            "generate_custom_fragments": generate_custom_fragments,
            "annotate_shapes": annotate_shapes,
            "compress": compress is not None,
            "external_data": external_data,
            "random": random,
            "seed": seed is not None,
            "tensor_mapping": tensor_mapping,
        },
        (read_format, destination.format),
        converter_class,
        optimize=optimize,
        verify=verify > 0,
        dry_run=dry_run,
        partial=bool(decompose or input_names),
    )
    if verify < 0:
        raise UsageError(f"the number of inputs to verify on cannot be {verify}")
    if dry_run and verify:
        raise UsageError("a dry run writes nothing that could be verified")
    if verify and input_names is not None:
        raise UsageError("a part with inputs of its own cannot be verified: the source model does not take them")

    transforms, functions = load_transforms(custom_converters)
    shapes = load_shapes(custom_shapes)
    fragments = load_fragments(custom_fragments)
    optimizers = load_optimizers(custom_optimizers)
    missing = [
        *missing_tables(custom_converters, "CUSTOM_TRANSFORMS"),
        *missing_tables(custom_shapes, "CUSTOM_SHAPES"),
        *missing_tables(custom_fragments, "CUSTOM_FRAGMENTS"),
        *missing_tables(custom_optimizers, "CUSTOM_OPTIMIZERS"),
    ]
    log.warnings += missing

    with log.stage("read"):
        inner = {name: shape for name, shape in (input_shapes or {}).items() if name in (input_names or ())}
        outer = {name: shape for name, shape in (input_shapes or {}).items() if name not in inner}
        graph, files = _read(source, read_format, outer, shapes, log)
        facts = ModelFacts.of(graph, source, read_format.name, size_on_disk(files))
        if fragments:
            check_fragments(fragments, graph.metadata.get("fragments", {}))

    with log.stage("prepare"):
        _set_shapes(graph, inner)
        if input_names is not None and read_format.dialect == "tf":
            from ..conversion.tf.to_nnef.converter import fill_shapes

            fill_shapes(graph, custom_transforms=transforms, custom_functions=functions, custom_shapes=shapes)
        cut(graph, input_names, output_names)
        _set_shapes(graph, inner)
        _optimize(graph, read_format, only_required=True)
        if static_only and converter_class is None:
            _keep_static(graph)
        _sort(graph)

    coarseness = Coarseness.of(graph, of_source=True) if read_format.dialect == "nnef" else None
    source_types = operator_types(graph) if verify else {}
    with log.stage("convert"), _hinting(missing):
        if decompose and read_format.dialect == "nnef":
            _decompose(graph, read_format, decompose, fragments, shapes)
        conversion = _convert(
            graph,
            converter_class,
            custom_transforms=transforms,
            custom_functions=functions,
            custom_shapes=shapes,
            custom_fragments=fragments,
            infer_shapes=bool(shapes),
            mirror_unsupported=mirror_unsupported,
            keep_io_names=keep_io_names,
            keep_names=keep_names,
            io_transpose=io_transpose,
            fold_constants=fold_constants,
            standard_only=standard_only,
            static_only=static_only,
            opset=opset,
        )
        log.warnings += conversion.warnings
        interface = Interface.of(
            graph, conversion.outputs, conversion.io_transpose, channels_last=read_format.dialect != "nnef"
        )
        graph = conversion.graph

    with log.stage("optimize"):
        if decompose and read_format.dialect != "nnef":
            _decompose(graph, destination.format, decompose, fragments, shapes)
        layout = _layout_pass(read_format, destination.format)
        passes = _remove_transposes(graph, layout) if layout else ()
        passes += _optimize(
            graph,
            destination.format,
            only_required=not optimize,
            custom_optimizers=optimizers,
            dequantize=dequantize,
        )
        log.warnings += unmatched_optimizers(optimizers, {item.name for item in passes}) if optimize else ()
        _sort(graph)
        transposes = tuple(layout.remaining_transposes(graph)) if layout else None
        mapping = conversion.tensor_mapping()

    writer_options: dict[str, Any] = {}
    if destination.format.name == "nnef":
        writer_options = {
            "fragments": fragments,
            "generate_custom_fragments": generate_custom_fragments,
            "annotate_shapes": annotate_shapes,
        }
    elif destination.format.name == "onnx":
        writer_options = {"external_data": external_data}
    if coarseness is None and destination.format.dialect == "nnef":
        coarseness = Coarseness.of(graph, of_source=False)
    verification = None
    if verify:
        with log.stage("verify"), destination.elsewhere() as trial:
            trial.write(graph, **writer_options)
            verification = verify_conversion(
                (source, read_format.name),
                (trial.path, trial.format.name),
                interface,
                samples=verify,
                seed=seed or 0,
                distribution=random,
                custom_operators=load_operators([*custom_converters, *custom_shapes, *custom_fragments]),
                coarseness=coarseness,
                insides=Insides(mapping, source_types, operator_types(graph), tensor_sizes(graph)),
                progress=progress,
            )
    written = Written()
    if not dry_run:
        with log.stage("write"), _mapping_file(tensor_mapping, mapping):
            written = destination.write(graph, **writer_options)
        log.warnings += written.warnings

    others = () if dry_run or tensor_mapping is None else (tensor_mapping,)
    return Report(
        source=facts,
        target=ModelFacts.of(graph, destination.path, destination.format.name, size_on_disk(written.paths)),
        written=tuple(map(str, (*written.paths, *others))),
        warnings=tuple(log.warnings),
        unused_options=unused,
        tensor_mapping=mapping,
        passes=passes,
        transposes=transposes,
        timings=log.timings,
        verification=verification,
    )


def _short(names: Sequence[str] | None) -> list[str] | None:
    """Names of tensors as graphs have them: TensorFlow itself adds `:0` to that of a node."""
    return None if names is None else [name.removesuffix(":0") for name in names]


@dataclass
class _Log:
    """Collects what is to be reported, and tells the caller which stage is under way."""

    progress: Progress | None
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        self.timings[name] = time.perf_counter() - start


@dataclass(frozen=True)
class _Conversion:
    """The converted graph and what belongs to it.

    outputs: the source's tensors that are its outputs. io_transpose: which inputs and outputs have got other axes.
    """

    graph: Graph
    outputs: Sequence[Tensor]
    tensor_mapping: Callable[[], dict[str, str]]
    io_transpose: bool | Sequence[str] = False
    warnings: Sequence[str] = ()


def _read(
    source: Path,
    format: Format,
    input_shapes: InputShapes | None,
    custom_shapes: Mapping[str, Callable[..., Any]],
    log: _Log,
) -> tuple[Graph, Sequence[Path]]:
    """The graph, and the files or the folder that it was read from."""
    options = {"custom_shapes": custom_shapes} if custom_shapes and format.dialect == "nnef" else {}
    reader = make_reader(format, **options)
    graph = reader(str(source), input_shapes)
    log.warnings += getattr(reader, "warnings", ())
    return graph, getattr(reader, "files", (source,))


def _convert(graph: Graph, converter_class: Any, **options: Any) -> _Conversion:
    """Converts, or keeps a graph whose dialect is right already."""
    if converter_class is None:
        names = {tensor: tensor.name for tensor in graph.tensors if tensor.name}
        return _Conversion(graph, graph.outputs, lambda: _surviving(names))
    accepted = accepted_options(converter_class, options)
    converter = converter_class(**accepted)
    converted = converter(graph)
    transposed = accepted.get("io_transpose", False)
    return _Conversion(converted, converter.outputs, converter.tensor_mapping, transposed, converter.warnings)


@contextmanager
def _hinting(warnings: Sequence[str]) -> Iterator[None]:
    """Adds warnings, which a report would show, to the hint of a refusal."""
    try:
        yield
    except ConversionError as error:
        error.hint = "; ".join([*warnings, *([error.hint] if error.hint else [])]) or None
        raise


def _surviving(names: Mapping[Tensor, str]) -> dict[str, str]:
    """Former name -> present name, of the tensors that are still part of a graph and have a name."""
    return {name: tensor.name for tensor, name in names.items() if tensor.graph is not None and tensor.name}


def _unused_options(
    given: Mapping[str, Any],
    formats: tuple[Format, Format],
    converter_class: Any,
    *,
    optimize: bool,
    verify: bool,
    dry_run: bool,
    partial: bool,
) -> dict[str, str]:
    """Those of the given parameters of `convert_model` that this call has no use for -> where they have none.

    formats: of the source and the target. partial: operations are decomposed, or the model is cut at inner tensors.
    """
    source, target = formats
    parameters = (
        () if converter_class is None else accepted_options(converter_class, dict.fromkeys(CONVERTER_OPTIONS.values()))
    )
    unused = {name: "in this conversion" for name, wanted in CONVERTER_OPTIONS.items() if wanted not in parameters}
    unused |= dict.fromkeys(WRITER_OPTIONS.get(target.name, ()), f"on {target.title} models")
    if converter_class is None:
        del unused["static_only"]
    if source.dialect == "nnef" or partial:
        unused.pop("custom_shapes", None)
    if target.dialect == "nnef" or partial:
        unused.pop("custom_fragments", None)
    if target.dialect != "nnef":
        unused["dequantize"] = f"on {target.title} models"
    if not optimize:
        unused |= dict.fromkeys(("dequantize", "custom_optimizers"), "without optimization")
    if verify:  # these modules may have what custom operators compute
        unused = {name: where for name, where in unused.items() if name not in CUSTOM_MODULES}
    else:
        unused |= dict.fromkeys(("random", "seed"), "without verification")
    if dry_run:
        unused["tensor_mapping"] = "in a dry run"
    return {name: where for name, where in unused.items() if given.get(name)}


def _optimize(graph: Graph, format: Format, *, only_required: bool, **options: Any) -> tuple[PassFacts, ...]:
    optimizer = make_optimizer(format, **options)
    if optimizer is None:
        return ()
    optimizer(graph, only_required=only_required)
    return tuple(PassFacts(item.name, item.count, item.difference) for item in optimizer.results)


def _layout_pass(source: Format, target: Format) -> Any:
    """The module that removes transposes from the result of a conversion, None if it leaves none."""
    if (source.dialect in CHANNELS_LAST) == (target.dialect in CHANNELS_LAST):
        return None
    path = f"{PACKAGE}.optimization.{target.dialect}.layout"
    return import_module(path) if target.dialect in LAYOUTS else None


def _remove_transposes(graph: Graph, layout: Any) -> tuple[PassFacts, ...]:
    """Removes what converters put around operations that want other axes, as far as that cancels out."""
    result = layout.run_layout(graph)
    return (PassFacts(result.name, result.count, result.difference),) if result.modified else ()


def _set_shapes(graph: Graph, shapes: InputShapes) -> None:
    """Sets the shapes of graph inputs, as far as the graph leaves them open. UsageError if one does not fit."""
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


def _keep_static(graph: Graph) -> None:
    if not keep_static(graph):
        shapes = {str(tensor.name): tensor.shape for tensor in graph.inputs if tensor.volume is None}
        names = ", ".join(f"'{name}'" for name in shapes)
        raise ConversionError(f"the shape of input {names} is not known", hint=shape_hint(shapes))


def _sort(graph: Graph) -> None:
    if not graph.sort():
        raise FormatError("the operations of the model depend on each other in a cycle")


@contextmanager
def _mapping_file(path: str | PathLike[str] | None, mapping: Mapping[str, str]) -> Iterator[None]:
    """Writes the mapping, if it is wanted and the block succeeds."""
    if path is None:
        yield
        return
    with replace_file(path) as file:
        file.write((json.dumps(mapping, indent=4) + "\n").encode())
        yield


def _decompose(
    graph: Graph,
    format: Format,
    names: bool | Sequence[str],
    custom_fragments: Mapping[str, str],
    custom_shapes: Mapping[str, Callable[..., Any]],
) -> None:
    """Replaces compound operations by their definition, and infers the shapes of what that adds."""
    if format.dialect != "nnef":
        raise UsageError("only NNEF operations can be decomposed")
    from ..language.parser import parse_fragments
    from ..ops.decomposition import decompose_operations
    from ..ops.library import Library

    library = Library.of(graph, parse_fragments("\n".join(custom_fragments.values()), "custom fragments"))
    decompose_operations(graph, None if isinstance(names, bool) else names, library, custom_shapes)

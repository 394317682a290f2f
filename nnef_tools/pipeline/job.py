"""The plan of a conversion: the options of a call, checked, with everything decided that does not need the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError, check_lists
from ..execution.feeds.array_files import ARRAY_FILES, read_array, suffix_of
from ..formats import FORMATS, NNEF, Dialect, Format, InputShapes, detect_input, load
from ..formats.destination import Destination, target_format
from ..io.files import is_stream
from ..plugins import Modules, Plugins

Progress = Callable[[str], None]

HUB = NNEF.dialect
"""The dialect that every conversion between two others passes through."""

MODULES = ("custom_converters", "custom_shapes", "custom_fragments", "custom_optimizers")
"""Options that name plugin modules."""


class Options(NamedTuple):
    """The options of `convert_model`, which explains them; tensors are named as in graphs."""

    input_shapes: InputShapes
    fold_constants: bool
    optimize: bool
    keep_io_names: bool
    keep_names: bool
    io_transpose: bool | Sequence[str]
    custom_converters: Modules
    custom_shapes: Modules
    custom_fragments: Modules
    custom_optimizers: Modules
    mirror_unsupported: bool
    generate_custom_fragments: bool
    decompose: bool | Sequence[str]
    input_names: Sequence[str] | None
    output_names: Sequence[str] | None
    static_only: bool
    fixed_nms: bool
    tensor_mapping: str | PathLike[str] | None
    annotate_shapes: bool
    compress: int | None
    dequantize: bool
    standard_only: bool
    opset: int | None
    external_data: bool
    verify: int
    verify_strict: bool
    verify_inputs: str | PathLike[str] | None
    seed: int | None
    random: str | None
    dry_run: bool
    signature: str | None
    weights: str | PathLike[str] | None
    set_inputs: Mapping[str, Any]

    @property
    def verifies(self) -> bool:
        """Is the result compared with the source?"""
        return bool(self.verify) or self.verify_inputs is not None

    def given(self) -> set[str]:
        """The names of the options that differ from their defaults."""
        values = {**self._asdict(), "compress": self.compress is not None, "seed": self.seed is not None}
        return {name for name, value in values.items() if value}


class Step(NamedTuple):
    """One converter on the way from the source to the destination. converter: the class."""

    source: Dialect
    target: Dialect
    converter: Any

    @property
    def title(self) -> str:
        """Source and target of the step, for messages."""
        return f"{self.source.title} to {self.target.title}"


class Job(NamedTuple):
    """A conversion that is to be carried out. route: its steps, none if the model keeps its dialect.

    detour: may the route be left out? It is only there because NNEF can be optimized.
    """

    source: Path
    format: Format
    destination: Destination
    options: Options
    plugins: Plugins
    route: tuple[Step, ...]
    detour: bool

    @classmethod
    def of(
        cls,
        source: str | PathLike[str],
        target: str | PathLike[str] | None,
        input_format: str | None,
        output_format: str | None,
        options: Options,
    ) -> Job:
        """The job that a call describes. UsageError, FileError, FormatError, PluginError, MissingPackageError."""
        check_lists(
            input_names=options.input_names,
            output_names=options.output_names,
            io_transpose=options.io_transpose,
            decompose=options.decompose,
            **{name: getattr(options, name) for name in MODULES},
        )
        source = Path(source)
        format = detect_input(source, input_format)
        if target is None and output_format is None and format is NNEF:
            raise UsageError("neither the file to write nor its format is given")
        options = _with_tensor_names(options, format.dialect)
        compressed = bool(target_format(target, output_format).archive_suffixes)
        destination = Destination.of(target, source, output_format, options.compress if compressed else None)
        detour = format.dialect is destination.format.dialect and _is_optimized_over_hub(format.dialect, options)
        route = find_route(format, destination.format, detour=detour)
        _check(options, destination)
        plugins = Plugins.load(*(getattr(options, name) for name in MODULES))
        return cls(source, format, destination, options, plugins, route, detour)

    def in_place_warning(self) -> list[str]:
        """Says that the source is replaced, or that one of source and destination is in the other; [] if not."""
        source, target = self.source.resolve(), self.destination.path.resolve()
        if self.options.dry_run or is_stream(self.destination.path):
            return []
        if source == target:
            return [f"'{self.destination.path}' is replaced by the result: it is the source, too"]
        if source in target.parents:
            return ["the result is written into the folder of the source"]
        return ["the source is in the folder that is written"] if target in source.parents else []

    def unused_options(self, route: Sequence[Step]) -> dict[str, str]:
        """Those of the given options that are of no use on the route that was taken -> where they are none."""
        return unused_options(self.options, self.format, self.destination.format, route)


def find_route(source: Format, target: Format, *, detour: bool = False) -> tuple[Step, ...]:
    """The steps that lead from one format to another: to NNEF, and on from NNEF. There are none within one dialect.

    detour: go over NNEF also within one dialect. UsageError if there is no way, MissingPackageError.
    """
    if source.dialect is target.dialect and not detour:
        return ()
    ends = (
        (source.dialect, HUB, source.dialect.to_nnef, source),
        (HUB, target.dialect, target.dialect.from_nnef, target),
    )
    steps = [Step(a, b, load(name, format)) for a, b, name, format in ends if a is not b and name is not None]
    if len(steps) != sum(a is not b for a, b, _, _ in ends):
        read = ", ".join(format.name for format in FORMATS.values() if format.reader)
        written = ", ".join(format.name for format in FORMATS.values() if format.writer)
        raise UsageError(
            f"unsupported conversion: {source.name} to {target.name}",
            hint=f"formats that can be read: {read}; that can be written: {written}",
        )
    return tuple(steps)


def _is_optimized_over_hub(dialect: Dialect, options: Options) -> bool:
    """Is a model of the dialect optimized as NNEF? Not if the user's own optimizers are meant for its operations."""
    both_ways = dialect.to_nnef is not None and dialect.from_nnef is not None
    return options.optimize and both_ways and not options.custom_optimizers


def _with_tensor_names(options: Options, dialect: Dialect) -> Options:
    """The options, with the names that tensors have in graphs of the dialect."""
    selected = options.io_transpose
    return options._replace(
        input_names=dialect.tensor_names(options.input_names),
        output_names=dialect.tensor_names(options.output_names),
        io_transpose=selected if isinstance(selected, bool) else dialect.tensor_names(selected) or (),
        input_shapes=dialect.by_tensor_name(options.input_shapes),
        set_inputs=dialect.by_tensor_name(options.set_inputs),
    )


def given_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for inputs, those in files read. FileError, FormatError, LimitError."""
    return {name: _from_file(name, value) for name, value in values.items()}


def _from_file(name: str, value: Any) -> Any:
    is_file = isinstance(value, PathLike) or (isinstance(value, str) and suffix_of(value) in ARRAY_FILES)
    return read_array(value, name) if is_file else value


def _check(options: Options, destination: Destination) -> None:
    mapping = options.tensor_mapping
    if mapping is not None and Path(mapping).absolute() == destination.path.absolute():
        raise UsageError("the model and the tensor mapping cannot have the same file", where=str(mapping))
    if options.verify < 0:
        raise UsageError(f"the number of inputs to verify on cannot be {options.verify}")
    if options.verify_inputs is not None and (options.random is not None or options.seed is not None):
        raise UsageError("given inputs to verify on and random ones exclude each other")
    if options.dry_run and options.verifies:
        raise UsageError("a dry run writes nothing that could be verified")
    if options.verifies and options.input_names is not None:
        raise UsageError("a part with inputs of its own cannot be verified: the source model does not take them")


CONVERTER_OPTIONS = {
    "custom_converters": "custom_transforms",
    **{
        name: name
        for name in (
            *("custom_shapes", "custom_fragments", "mirror_unsupported", "keep_io_names", "keep_names", "io_transpose"),
            *("fold_constants", "standard_only", "static_only", "fixed_nms", "opset"),
        )
    },
}
"""Options for converters -> the names that converters have for them."""

READER_OPTIONS = ("signature", "weights")
"""Options for the reader only."""

WRITER_OPTIONS = ("generate_custom_fragments", "annotate_shapes", "external_data")
"""Options for the writer only."""

OPTIMIZER_OPTIONS = ("dequantize", "custom_optimizers")
"""Options for optimizers only."""


def unused_options(options: Options, source: Format, target: Format, route: Sequence[Step]) -> dict[str, str]:
    """Those of the given options that have no effect -> the circumstances in which they have none, for a warning."""
    dialects = {source.dialect, target.dialect, *(step.target for step in route)}
    honored = frozenset[str]().union(*(step.converter.honors for step in route))
    partial = bool(options.decompose or options.input_names)
    used = {name for name, called in CONVERTER_OPTIONS.items() if called in honored}
    if not route:
        used.add("static_only")
    if partial:
        used |= {"custom_shapes", "custom_fragments"}
    if options.verifies:  # these modules may define the functions of custom operators
        used |= {"custom_converters", "custom_shapes", "custom_fragments"}
    used |= source.reader_options | target.writer_options
    unused = {name: "in this conversion" for name in CONVERTER_OPTIONS if name not in used}
    on_target = [name for name in WRITER_OPTIONS if name not in used]
    if not target.archive_suffixes:
        on_target.append("compress")
    unused |= {name: f"on {source.title} models" for name in READER_OPTIONS if name not in used}
    if not any("dequantize" in dialect.optimizer_options for dialect in dialects):
        on_target.append("dequantize")
    unused |= dict.fromkeys(on_target, f"on {target.title} models")
    if not options.optimize:
        unused |= dict.fromkeys(OPTIMIZER_OPTIONS, "without optimization")
    if not options.verifies:
        unused |= dict.fromkeys(("random", "seed", "verify_strict"), "without verification")
    if options.dry_run:
        unused["tensor_mapping"] = "in a dry run"
    given = options.given()
    return {name: where for name, where in unused.items() if name in given}


@dataclass
class Log:
    """Collects warnings and timings for the report, and tells the caller which stage is running."""

    progress: Progress | None = None
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Context manager that measures the time of a stage."""
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - start

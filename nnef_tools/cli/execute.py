"""`nnef-tools execute`: inputs from files, a pipe or a random generator; outputs and statistics to files or a pipe."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .options import (
    FORMAT_NAMES,
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    guarded,
    integer,
    names_or_all,
    option_name,
    parse_literal,
    parse_shapes,
    shortened,
)
from .paths import check_output, file_name, folder_name, is_output, source_path
from .render import note, print_json, print_result, progress, standard_output, warn, warn_all

if TYPE_CHECKING:
    from ..execution.backend import Array, Executor, TensorInfo
    from ..execution.feeds.sources import InputSource
    from ..formats import Format

SHORTENED = (
    "--format", "--random", "--seed", "--input-path", "--output-path", "--output-names", "--io-transpose",
    "--decompose", "--statistics", "--custom-operators", "--batch-size", "--tensor-mapping",
)  # fmt: skip
"""The options of the 1.0 series, which could be shortened there. New ones cannot, so that they never get in the way."""

OUTPUT_NAMES_EXAMPLE = "{'tensor': 'file name'}"

BACKENDS = ("auto", "numpy", "torch", "onnxruntime", "tensorflow")


def build_parser(prog: str = "nnef-tools execute") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL",
        "Run a model. Inputs come from --input-path, --random, or as tensors on standard input in the order of the\n"
        "model; outputs go to --output-path, or as tensors to standard output.",
        items={"--shape": SHAPE_WORD},
        shortened=SHORTENED,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model to run")
    parser.add_argument("--format", choices=FORMAT_NAMES, help="of the model (default: told by content and suffix)")

    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--input-path", metavar="DIR", help="folder with a file <input>.dat for each input")
    inputs.add_argument(
        "--random",
        metavar="DISTRIBUTION",
        help="random inputs: uniform(0,1), normal(0,1), integers(0,9), bernoulli(0.5)",
    )
    inputs.add_argument("--seed", type=integer, metavar="N", help="of the random inputs")
    inputs.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        metavar="NAME:EXTENTS",
        help="extents of random inputs, where the model leaves them open: x:1,3,224,224",
    )
    inputs.add_argument(
        "--batch-size",
        type=integer,
        metavar="N",
        help="run N samples, in parts of the model's batch size; 0: as many as the inputs have",
    )
    inputs.add_argument(
        "--io-transpose",
        nargs="*",
        action=Names,
        metavar="NAME",
        help="values outside have channels second if the model has them last (TensorFlow), else last (no names: all "
        "of rank 3 and up)",
    )

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-path", metavar="DIR", help="folder to write a file <output>.dat to for each output")
    outputs.add_argument(
        "--output-names",
        nargs="+",
        action=Names,
        metavar="NAME",
        help="tensors to save: names, {'tensor': 'file name'}, or * for all",
    )
    outputs.add_argument(
        "--statistics", nargs="?", const="stats.json", metavar="FILE", help="write min, max, mean, std of all tensors"
    )
    outputs.add_argument(
        "--tensor-mapping",
        metavar="FILE",
        help="rename the tensors of the statistics by this mapping: of a source model forward, of a converted one back",
    )

    running = parser.add_argument_group("running")
    running.add_argument("--backend", choices=BACKENDS, default="auto", help="default: the fastest that there is")
    running.add_argument("--device", help="where torch or onnxruntime runs it: cpu, cuda, ..")
    running.add_argument(
        "--decompose",
        nargs="*",
        action=Names,
        metavar="OP",
        help="run these compound operations by their definition (none: all)",
    )
    running.add_argument(
        "--custom-operators",
        nargs="+",
        action=Names,
        metavar="MODULE",
        help="plugin modules with CUSTOM_OPERATORS",
    )
    add_common_options(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs a model as the arguments say and returns the exit status; options that `args` lacks have their default."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..execution.feeds.sources import load_inputs, run_batches
    from ..execution.feeds.tensor_files import tensor_files, write_tensors
    from ..execution.results.statistics import StatisticsCollector, tensor_renames
    from ..formats import detect_input

    warn_all(getattr(args, "warnings", ()))
    path = _model(args)
    source = _input_source(args)
    statistics, folder = file_name(args.statistics), folder_name("--output-path", args.output_path)
    streamed = _is_streamed(args)
    check_output({"--statistics": statistics}, *["the outputs"] * streamed, *["--json"] * args.json)
    mapping = _mapping(args)
    collector = StatisticsCollector() if statistics else None

    with progress() as show:
        show("load")
        start = perf_counter()
        format = detect_input(path, args.format)
        _warn_unused(args, format.name, is_saved=streamed or args.json or folder is not None)
        executor = _executor(args, path, format.name)
        layout = _Layout.of(executor, format, names_or_all(args.io_transpose))
        wanted = _wanted(args.output_names, executor)
        files = {} if folder is None else tensor_files(wanted.values())
        if statistics and Path(statistics).absolute() in [
            Path(folder or "", file).absolute() for file in files.values()
        ]:
            raise UsageError("an output and the statistics cannot have the same file", where=statistics)
        expected = _with_shapes([layout.outside(info) for info in executor.inputs], args)
        given = load_inputs(expected, source, args.batch_size)
        inputs = {name: layout.inward(name, value) for name, value in given.items()}
        show(f"run in {executor.backend}")
        loaded = perf_counter()
        if args.batch_size is None:
            results = executor.run(inputs, output_names=list(wanted), observe=collector)
        else:
            results = run_batches(executor, inputs, output_names=list(wanted), observe=collector)
        ran = perf_counter()
    note(f"ran in {executor.backend}" + (f" ({executor.note})" if executor.note else ""))
    if args.verbose:
        note(f"{path}: device {executor.device}, loaded in {loaded - start:.3g} s, ran in {ran - loaded:.3g} s")
    if layout.chosen and not any(layout.applies(name, value.ndim) for name, value in {**given, **results}.items()):
        warn("--io-transpose has no effect on inputs and outputs of rank below 3, nor on other tensors")

    outputs = {file: layout.outward(name, results[name]) for name, file in wanted.items()}
    written = []
    renames = tensor_renames(collector.statistics, mapping) if collector is not None else {}
    with _statistics_file(statistics, collector.to_json(renames) if collector is not None else {}):
        if folder is not None:
            written += write_tensors(folder, {files[file]: array for file, array in outputs.items()})
        elif streamed:
            _write_stream(outputs)
    if statistics:
        written.append(statistics)
    if args.json:
        print_json(_facts(executor, outputs, written))
    for file in written if not args.json else ():
        (note if streamed or is_output(statistics) else print_result)(f"Written {file}")
    return 0


def _model(args: argparse.Namespace) -> Path:
    if args.model is None:
        hint = build_parser().swallowed(args) or "nnef-tools execute MODEL --random 'uniform(0, 1)' --output-path DIR"
        raise UsageError("the following argument is required: MODEL", hint=hint)
    return Path(source_path(args.model))


def _warn_unused(args: argparse.Namespace, format: str, *, is_saved: bool) -> None:
    """Tells which options have no effect in a run of a model of that format. is_saved: outputs are."""
    for name, unused, where in (
        ("seed", args.random is None, "without --random"),
        ("shape", args.random is None, "on given inputs, which have their own (--random makes others)"),
        ("output_names", not is_saved, "without --output-path"),
        ("tensor_mapping", not args.statistics, "without --statistics"),
        ("custom_operators", format != "nnef", "on models that are not NNEF"),
        ("decompose", format != "nnef", "on models that are not NNEF"),
    ):
        if unused and getattr(args, name) is not None:
            warn(f"{option_name(name)} has no effect {where}")


def _input_source(args: argparse.Namespace) -> InputSource:
    from ..execution.feeds.distributions import parse_distribution
    from ..execution.feeds.sources import FolderSource, RandomSource, StreamSource

    if args.random is not None and args.input_path is not None:
        raise UsageError("--random and --input-path exclude each other")
    if args.batch_size is not None and args.batch_size < 0:
        raise UsageError(f"the batch size cannot be {args.batch_size}")
    if args.random is not None:
        if args.batch_size == 0:
            raise UsageError("--batch-size 0 takes the batch of given inputs, random ones have none")
        return RandomSource(parse_distribution(args.random), args.seed)
    folder = folder_name("--input-path", args.input_path)
    if folder is not None:
        return FolderSource(folder)
    if sys.stdin.isatty():
        raise UsageError("Input must be piped", hint="or give --input-path DIR or --random DISTRIBUTION")
    return StreamSource(sys.stdin.buffer)


def _is_streamed(args: argparse.Namespace) -> bool:
    """Do the outputs go to standard output?"""
    if args.output_path is not None or args.json:
        return False
    if not sys.stdout.isatty():
        return True
    if args.statistics:
        return False
    raise UsageError("Output must be piped", hint="or give --output-path DIR")


def _mapping(args: argparse.Namespace) -> Mapping[str, str]:
    if args.tensor_mapping is None:
        return {}
    from ..api import read_tensor_mapping

    return read_tensor_mapping(args.tensor_mapping)


def _executor(args: argparse.Namespace, path: Path, format: str) -> Executor:
    from ..execution.backend import make_executor
    from ..plugins import load_operators

    is_nnef = format == "nnef"
    return make_executor(
        path,
        format=format,
        backend=args.backend,
        custom_operators=(load_operators(args.custom_operators or ()) or None) if is_nnef else None,
        decomposed=_decomposed(args.decompose) if is_nnef else None,
        device=args.device,
    )


def _with_shapes(infos: Sequence[TensorInfo], args: argparse.Namespace) -> list[TensorInfo]:
    """The inputs, with the shapes that are given for them. UsageError if one does not fit the model."""
    from ..execution.backend import known_name

    shapes = parse_shapes(None, args.shape or ()) or {}
    names = [info.name for info in infos]
    for name in list(shapes):
        found = known_name(name, names)
        if found is None:
            raise UsageError(f"--shape: the model has no input '{name}'", hint=f"its inputs: {', '.join(names)}")
        shapes[found] = shapes.pop(name)
    for info in infos:
        shape = shapes.get(info.name)
        if shape is None or info.shape is None:
            continue
        if len(shape) != len(info.shape) or any(a not in (None, b) for a, b in zip(info.shape, shape, strict=True)):
            wanted = ["?" if extent is None else extent for extent in info.shape]
            raise UsageError(f"--shape: input '{info.name}' has shape {wanted}, not {list(shape)}")
    return [replace(info, shape=shapes.get(info.name, info.shape)) for info in infos]


def _decomposed(names: list[str] | None) -> list[str] | None:
    if names is None or names:
        return names
    from ..ops.library import Library

    return Library().compounds


def _wanted(values: list[str] | str | None, executor: Executor) -> dict[str, str]:
    """Tensor name -> file name, of the tensors to save. UsageError if two would have one file."""
    if values is None:
        return {info.name: info.name for info in executor.outputs}
    pairs: dict[str, str] = {}
    for word in [values] if isinstance(values, str) else values:
        pairs.update({name: name for name in executor.tensor_names} if word == "*" else _named(word))
    files = list(pairs.values())
    twice = sorted({file for file in files if files.count(file) > 1}) if len(set(files)) < len(files) else []
    if twice:
        raise UsageError(f"--output-names: several tensors would be saved as '{twice[0]}'")
    return pairs


def _named(word: str) -> dict[str, str]:
    """Tensor name -> file name, from a name, or a literal list of names or dict."""
    if word.lstrip()[:1] not in ("{", "[", "("):
        return {word: word}
    literal = parse_literal(word, "--output-names", OUTPUT_NAMES_EXAMPLE)
    pairs = (
        list(literal.items())
        if isinstance(literal, dict)
        else [(name, None) for name in (literal if isinstance(literal, (list, tuple)) else [literal])]
    )
    if not pairs or not all(isinstance(name, str) and isinstance(file or name, str) for name, file in pairs):
        raise UsageError(
            f"--output-names: not names, or names with file names: {shortened(word)}",
            hint=f'--output-names "{OUTPUT_NAMES_EXAMPLE}"',
        )
    return {name: file or name for name, file in pairs}


@dataclass(frozen=True)
class _Layout:
    """Moves channels between where they are in the model (at axis `inside`) and where they are outside."""

    chosen: bool | list[str]
    inside: int
    outer: int

    @classmethod
    def of(cls, executor: Executor, format: Format, chosen: bool | list[str]) -> _Layout:
        """chosen: names, or all. UsageError if a name is no tensor of the model."""
        from ..execution.backend import known_name
        from ..pipeline import CHANNELS_LAST

        inside, outer = (-1, 1) if format.dialect in CHANNELS_LAST else (1, -1)
        names = set(executor.tensor_names) if chosen and not isinstance(chosen, bool) else ()
        for name in () if isinstance(chosen, bool) else chosen:
            if known_name(name, names) is None:
                raise UsageError(f"--io-transpose: the model has no tensor '{name}'")
        return cls(chosen, inside, outer)

    def applies(self, name: str, rank: int) -> bool:
        """Is a tensor of that rank one of those whose channels move?"""
        from ..execution.backend import known_name

        return rank > 2 and (
            self.chosen if isinstance(self.chosen, bool) else known_name(name, self.chosen) is not None
        )

    def outside(self, info: TensorInfo) -> TensorInfo:
        """What the values of an input look like outside."""
        if info.shape is None or not self.applies(info.name, len(info.shape)):
            return info
        shape = list(info.shape)
        shape.insert(self.outer % len(shape), shape.pop(self.inside))
        return replace(info, shape=tuple(shape))

    def inward(self, name: str, value: Array) -> Array:
        """The value as the model wants it."""
        return self._move(name, value, self.outer, self.inside)

    def outward(self, name: str, value: Array) -> Array:
        """The value as it is saved."""
        return self._move(name, value, self.inside, self.outer)

    def _move(self, name: str, value: Array, source: int, target: int) -> Array:
        import numpy as np

        return np.moveaxis(value, source, target) if self.applies(name, value.ndim) else value


def _write_stream(outputs: Mapping[str, Array]) -> None:
    from ..language.tensor_file import write_tensor

    with standard_output() as stream:
        for array in outputs.values():
            write_tensor(stream.buffer, array)


@contextmanager
def _statistics_file(path: str | None, statistics: Mapping[str, Any]) -> Iterator[None]:
    """Writes the statistics, if they are wanted and the block succeeds."""
    from ..io.files import replace_file

    if not path:
        yield
        return
    with replace_file(path) as file:
        file.write((json.dumps(statistics, indent=4) + "\n").encode())
        yield


def _facts(executor: Executor, outputs: Mapping[str, Array], written: Sequence[str]) -> dict[str, Any]:
    """The JSON form of a run."""
    facts = {name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in outputs.items()}
    return {
        "schema": "nnef-tools.execution/1",
        "status": "ok",
        "backend": executor.backend,
        "outputs": facts,
        "written": list(written),
    }

"""The command `nnef-tools execute`: inputs from files, a pipe or a random generator, outputs to files or a pipe."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..execution.runtimes import AUTO, BACKENDS, is_converted, kernel_backends, make_executor
from .image_options import ITEMS, add_image_options, given_image_options, image_options
from .options import (
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    add_input_format,
    add_limits,
    add_reader_options,
    guarded,
    integer,
    names_or_all,
    option_name,
    parse_literal,
    parse_shapes,
    shortened,
)
from .paths import check_output, file_name, folder_name, is_output, source_path
from .render import Progress, note, print_json, print_result, progress, standard_output, warn, warn_all

if TYPE_CHECKING:
    from ..execution.executor import Array, Executor
    from ..execution.feeds.sources import InputSource
    from ..execution.results.statistics import StatisticsCollector
    from ..execution.session import Session
    from ..formats import Format

SHORTENED = (
    "--format", "--random", "--seed", "--input-path", "--output-path", "--output-names", "--io-transpose",
    "--decompose", "--statistics", "--custom-operators", "--batch-size", "--tensor-mapping",
)  # fmt: skip
"""The options of the 1.0 series, which may be shortened as there. New ones may not, so that they cannot conflict."""

INPUT_WORD = re.compile(r"[^=]+=.+", re.DOTALL)
"""The form of a value of --input."""

ARRAY_FILES = (".npy", ".npz")
"""Suffixes of --output-path that mean a file."""

OUTPUT_NAMES_EXAMPLE = "{'tensor': 'file name'}"


def build_parser(prog: str = "nnef-tools execute") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL",
        "Run a model. Inputs come from --input-path, --random, or as tensors on standard input in the order of the\n"
        "model; outputs go to --output-path, or as tensors to standard output.",
        items={"--shape": SHAPE_WORD, "--input": INPUT_WORD, **ITEMS},
        shortened=SHORTENED,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model to run")
    add_input_format(parser, "--format", "--input-format")
    _add_inputs(parser)
    _add_images(parser)
    _add_outputs(parser)
    _add_running(parser)
    add_common_options(parser)
    add_limits(parser)
    return parser


def add_input_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options that say what the inputs of a model are."""
    group.add_argument(
        "--input-path",
        metavar="DIR",
        help="folder with a file <input>.dat (.npy, .wav, .png, ..) for each input, or an .npz; or with a folder for "
        "each sample",
    )
    group.add_argument(
        "--input",
        nargs="+",
        action=Names,
        metavar="NAME=FILE",
        help="the file of one input: .dat, .npy, .npz, .wav or an image, or a pattern for a batch of images",
    )
    group.add_argument(
        "--random",
        metavar="DISTRIBUTION",
        help="random inputs: uniform(0,1), normal(0,1), integers(0,9), bernoulli(0.5)",
    )
    group.add_argument("--seed", type=integer, metavar="N", help="of the random inputs")
    group.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        metavar="NAME:EXTENTS",
        help="extents of random inputs, in place of those of a model that is not NNEF: x:1,3,224,224",
    )


def _add_inputs(parser: Parser) -> None:
    group = parser.add_argument_group("inputs")
    add_input_options(group)
    group.add_argument(
        "--batch-size",
        type=integer,
        metavar="N",
        help="run N samples, in parts of the model's batch size; 0: as many as the inputs have",
    )
    group.add_argument(
        "--io-transpose",
        nargs="*",
        action=Names,
        metavar="NAME",
        help="values outside have channels second if the model has them last (TensorFlow), else last (no names: all "
        "of rank 3 and up)",
    )


def _add_images(parser: Parser) -> None:
    group = parser.add_argument_group("images", "inputs that are images have the size and layout of the model")
    add_image_options(group)


def _add_outputs(parser: Parser) -> None:
    group = parser.add_argument_group("outputs")
    group.add_argument(
        "--output-path",
        metavar="DIR",
        help="folder to write a file <output>.dat to for each output, or an .npz file (.npy for one output)",
    )
    group.add_argument(
        "--output-names",
        nargs="+",
        action=Names,
        metavar="NAME",
        help="tensors to save: names, {'tensor': 'file name'}, or * for all",
    )
    group.add_argument(
        "--statistics", nargs="?", const="stats.json", metavar="FILE", help="write min, max, mean, std of all tensors"
    )
    group.add_argument(
        "--histograms", action="store_true", help="counts and histograms in the statistics, for quantize and adding up"
    )
    group.add_argument(
        "--add-statistics", nargs="+", action=Names, metavar="FILE", help="add those of other runs (with histograms)"
    )
    group.add_argument(
        "--tensor-mapping",
        metavar="FILE",
        help="rename the tensors of the statistics by this mapping: of a source model forward, of a converted one back",
    )


def _add_running(parser: Parser) -> None:
    group = parser.add_argument_group("running")
    group.add_argument("--backend", choices=BACKENDS, default=AUTO, help="default: the fastest that there is")
    add_reader_options(group)
    group.add_argument("--device", help="where torch or onnxruntime runs it: cpu, cuda, ..")
    group.add_argument(
        "--decompose",
        nargs="*",
        action=Names,
        metavar="OP",
        help="run these compound operations by their definition (none: all)",
    )
    group.add_argument(
        "--custom-operators",
        nargs="+",
        action=Names,
        metavar="MODULE",
        help="plugin modules with CUSTOM_OPERATORS",
    )


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..execution.feeds.tensor_files import tensor_files
    from ..execution.results.statistics import StatisticsCollector
    from ..formats import detect_input

    warn_all(getattr(args, "warnings", ()))
    path = _model(args)
    source = _input_source(args)
    statistics, target = file_name(args.statistics), folder_name("--output-path", args.output_path)
    folder = None if _is_array_file(target) else target
    streamed = _is_streamed(args)
    check_output({"--statistics": statistics}, *["the outputs"] * streamed, *["--json"] * args.json)
    mapping = _mapping(args)
    collector = StatisticsCollector(args.histograms or bool(args.add_statistics)) if statistics else None

    with progress() as show:
        show("load")
        start = perf_counter()
        format = detect_input(path, args.format)
        _warn_unused(args, format.name, is_saved=streamed or args.json or target is not None)
        session = _session(args, path, format)
        wanted = _wanted(args.output_names, session.executor)
        samples = _samples(args, source, [info.name for info in session.inputs])
        files = {} if folder is None else tensor_files(place + file for place in samples for file in wanted.values())
        _check_statistics(statistics, folder, files.values())
        check_given(args, [info.name for info in session.inputs])
        loaded = perf_counter()
        outputs, is_moved = _outputs(args, session, samples, wanted, collector, show)
        ran = perf_counter()
    executor = session.executor
    note(f"ran in {executor.backend}" + (f" ({executor.note})" if executor.note else ""))
    if args.verbose:
        note(f"{path}: device {executor.device}, loaded in {loaded - start:.3g} s, ran in {ran - loaded:.3g} s")
    if session.transposed and not is_moved:
        warn("--io-transpose has no effect on inputs and outputs of rank below 3, nor on other tensors")

    with _statistics_file(statistics, collector, mapping, args.add_statistics or ()):
        written = _save(outputs, target, files, streamed=streamed)
    if statistics:
        written.append(statistics)
    if args.json:
        print_json(_facts(executor, outputs, written, len(samples)))
    for file in written if not args.json else ():
        (note if streamed or is_output(statistics) else print_result)(f"Written {file}")
    return 0


def _samples(args: argparse.Namespace, source: InputSource, names: Sequence[str]) -> dict[str, InputSource]:
    """The inputs of each run, by the start of the names of its outputs: `sample/`, or nothing for a single one.

    names: of the inputs of the model.
    """
    from ..execution.feeds.samples import sample_folders
    from ..execution.feeds.sources import FolderSource

    if args.input_path is None or args.input is not None:
        return {"": source}
    folders = sample_folders(Path(args.input_path), names)
    if folders and _is_array_file(args.output_path):
        raise UsageError(f"--output-path: {len(folders)} samples have a folder each, which no file can hold")
    return {f"{folder.name}/": FolderSource(folder, image_options(args)) for folder in folders} or {"": source}


def _outputs(
    args: argparse.Namespace,
    session: Session,
    samples: Mapping[str, InputSource],
    wanted: Mapping[str, str],
    collector: StatisticsCollector | None,
    show: Progress,
) -> tuple[dict[str, Array], bool]:
    """Runs the samples, and returns the wanted tensors by file name; were channels of any value moved?"""
    from ..execution.feeds.sources import load_inputs
    from ..execution.session import with_shapes

    with _errors_of("--shape"):
        expected = with_shapes(session.inputs, parse_shapes(None, args.shape or ()) or {})
    outputs: dict[str, Array] = {}
    is_moved = False
    for k, (place, source) in enumerate(samples.items()):
        inputs = load_inputs(expected, source, args.batch_size)
        show(f"run {k + 1}/{len(samples)} in {session.executor.backend}")
        if k:
            session.executor.reset()
        batched = args.batch_size is not None
        results = session.run(inputs, output_names=list(wanted), batched=batched, observe=collector, show=show)
        outputs.update({place + file: results[name] for name, file in wanted.items()})
        is_moved = is_moved or session.moves_any({**inputs, **results})
    return outputs, is_moved


def _model(args: argparse.Namespace) -> Path:
    if args.model is None:
        hint = build_parser().swallowed(args) or "nnef-tools execute MODEL --random 'uniform(0, 1)' --output-path DIR"
        raise UsageError("the following argument is required: MODEL", hint=hint)
    return Path(source_path(args.model))


def _warn_unused(args: argparse.Namespace, format: str, *, is_saved: bool) -> None:
    """Warns about options that have no effect in a run of a model of the format. is_saved: are outputs saved?"""
    takes_operators = bool(kernel_backends(format))
    for name, unused, where in (
        ("seed", args.random is None, "without --random"),
        ("shape", args.random is None, "on given inputs, which have their own (--random makes others)"),
        ("output_names", not is_saved, "without --output-path"),
        ("tensor_mapping", not args.statistics, "without --statistics"),
        ("histograms", not args.statistics, "without --statistics"),
        ("add_statistics", not args.statistics, "without --statistics"),
        ("custom_operators", not takes_operators, "on models that are not NNEF"),
        ("decompose", not takes_operators, "on models that are not NNEF"),
    ):
        if unused and getattr(args, name) not in (None, False):
            warn(f"{option_name(name)} has no effect {where}")
    if args.input is None and args.input_path is None:
        for option in given_image_options(args):
            warn(f"{option} has no effect without images")


def _input_source(args: argparse.Namespace) -> InputSource:
    from ..execution.feeds.sources import FileSource

    others = _other_inputs(args)
    if args.input is None:
        if others is None:
            raise UsageError("Input must be piped", hint="or give --input-path DIR or --random DISTRIBUTION")
        return others
    return FileSource(input_files(args), others, image_options(args))


def input_files(args: argparse.Namespace) -> dict[str, str]:
    """Input name -> its file. UsageError."""
    files: dict[str, str] = {}
    for word in args.input or ():
        name, equals, file = word.partition("=")
        if not (name and equals and file):
            raise UsageError(f"--input: '{shortened(word)}' is not an input with its file", hint="--input x=photo.jpg")
        if name in files:
            raise UsageError(f"--input: input '{name}' is given twice")
        files[name] = file
    return files


def check_given(args: argparse.Namespace, names: Sequence[str]) -> None:
    """Raises UsageError if --input names what is no input of the model."""
    from ..execution.executor import known_name

    for name in input_files(args):
        if known_name(name, names) is None:
            raise UsageError(f"--input: the model has no input '{name}'", hint=f"its inputs: {', '.join(names)}")


def _other_inputs(args: argparse.Namespace) -> InputSource | None:
    """The source of the inputs that --input does not name; None for none."""
    from ..execution.feeds.distributions import parse_distribution
    from ..execution.feeds.sources import ArchiveSource, FolderSource, RandomSource, StreamSource

    if args.random is not None and args.input_path is not None:
        raise UsageError("--random and --input-path exclude each other")
    if args.batch_size is not None and args.batch_size < 0:
        raise UsageError(f"the batch size cannot be {args.batch_size}")
    if args.random is not None:
        if args.batch_size == 0:
            raise UsageError("--batch-size 0 takes the batch of given inputs, random ones have none")
        return RandomSource(parse_distribution(args.random), args.seed)
    folder = folder_name("--input-path", args.input_path)
    if folder is not None and folder.lower().endswith(".npz") and not Path(folder).is_dir():
        return ArchiveSource(folder)
    if folder is not None:
        return FolderSource(folder, image_options(args))
    if args.input is not None or sys.stdin.isatty():
        return None
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


def _session(args: argparse.Namespace, path: Path, format: Format) -> Session:
    from ..execution.session import Session
    from ..ops.library import Library
    from ..plugins import load_operators

    functions, decomposed = None, None
    if kernel_backends(format.name):
        functions = load_operators(args.custom_operators or ()) or None
        decomposed = Library().compounds if args.decompose == [] else args.decompose
    with _errors_of("--shape"):
        replaces = args.random and args.io_transpose is None and not kernel_backends(format.name)
        given = parse_shapes(None, args.shape or ()) if replaces or is_converted(format.name) else None
    executor = make_executor(
        path,
        format=format.name,
        backend=args.backend,
        custom_operators=functions,
        decomposed=decomposed,
        device=args.device,
        signature=args.signature,
        weights=args.weights,
        input_shapes=format.dialect.by_tensor_name(given or {}),
    )
    with _errors_of("--io-transpose"):
        transposed = names_or_all(args.io_transpose)
        return Session.of(executor, transposed, channels_last=format.dialect.channels_last)


@contextmanager
def _errors_of(option: str) -> Iterator[None]:
    """Context manager that puts the option in front of the messages of UsageErrors."""
    try:
        yield
    except UsageError as error:
        error.message = f"{option}: {error.message}"
        raise


def _check_statistics(statistics: str | None, folder: str | None, files: Iterable[str]) -> None:
    """Raises UsageError if an output would be written to the file of the statistics."""
    if statistics and Path(statistics).absolute() in [Path(folder or "", file).absolute() for file in files]:
        raise UsageError("an output and the statistics cannot have the same file", where=statistics)


def _wanted(values: list[str] | str | None, executor: Executor) -> dict[str, str]:
    """Tensor name -> file name, for the tensors to save. UsageError if two would have the same file."""
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


def _is_array_file(path: str | None) -> bool:
    """Is it a file for outputs, not a folder?"""
    return path is not None and path.lower().endswith(ARRAY_FILES) and not Path(path).is_dir()


def _save(outputs: Mapping[str, Array], path: str | None, files: Mapping[str, str], *, streamed: bool) -> list[str]:
    """Writes the outputs to files or standard output, and returns the paths of the files."""
    from ..execution.feeds.array_files import write_arrays
    from ..execution.feeds.tensor_files import write_tensors
    from ..language.tensor_file import write_tensor

    if path is not None and _is_array_file(path):
        write_arrays(path, outputs)
        return [path]
    if path is not None:
        return write_tensors(path, {files[file]: array for file, array in outputs.items()})
    if streamed:
        with standard_output() as stream:
            for array in outputs.values():
                write_tensor(stream.buffer, array)
    return []


def _statistics_file(
    path: str | None, collector: StatisticsCollector | None, mapping: Mapping[str, str], others: Sequence[str]
) -> AbstractContextManager[None]:
    """Context manager that writes the statistics, if they are asked for and the block succeeds.

    others: files whose statistics are added.
    """
    from ..execution.results.statistics import read_statistics, tensor_renames
    from ..io.files import json_file

    if path is None or collector is None:
        return nullcontext()
    total = collector.renamed(tensor_renames(collector.statistics, mapping))
    for other in others:
        total.merge(read_statistics(other), where=other)
    return json_file(path, total.to_json())


def _facts(executor: Executor, outputs: Mapping[str, Array], written: Sequence[str], samples: int) -> dict[str, Any]:
    """The JSON form of a run; `samples` is there for several ones."""
    facts = {name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in outputs.items()}
    return {
        "schema": "nnef-tools.execution/1",
        "status": "ok",
        "backend": executor.backend,
        **({"samples": samples} if samples > 1 else {}),
        "outputs": facts,
        "written": list(written),
    }

"""`nnef-tools execute`: inputs from files, a pipe or a random generator; outputs and statistics to files or a pipe."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .options import FORMAT_NAMES, Parser, add_common_options, guarded, names_or_all, parse_literal, parse_shapes
from .render import note, print_json, progress

if TYPE_CHECKING:
    from ..execution.backend import Array, Executor, TensorInfo
    from ..execution.sources import InputSource
    from ..formats import Format

BACKENDS = ("auto", "numpy", "torch", "onnxruntime", "tensorflow")


def build_parser(prog: str = "nnef-tools execute") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL",
        "Run a model. Inputs come from --input-path, --random, or as tensors on standard input in the order of the\n"
        "model; outputs go to --output-path, or as tensors to standard output.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model to run")
    parser.add_argument("--format", choices=FORMAT_NAMES, help="of the model (default: told by content and suffix)")

    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--input-path", metavar="DIR", help="folder with a file <input>.dat for each input")
    inputs.add_argument(
        "--random",
        metavar="DISTRIBUTION",
        help="random inputs: uniform(0,1), normal(0,1), integers(0,9), bernoulli(0.5)",
    )
    inputs.add_argument("--seed", type=int, metavar="N", help="of the random inputs")
    inputs.add_argument(
        "--shape",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME:EXTENTS",
        help="extents of random inputs, where the model leaves them open: x:1,3,224,224",
    )
    inputs.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="run N samples, in parts of the model's batch size; 0: as many as the inputs have",
    )
    inputs.add_argument(
        "--io-transpose",
        nargs="*",
        metavar="NAME",
        help="values outside have channels second if the model has them last (TensorFlow), else last (no names: all "
        "of rank 3 and up)",
    )

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-path", metavar="DIR", help="folder to write a file <output>.dat to for each output")
    outputs.add_argument(
        "--output-names",
        nargs="+",
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
        "--decompose", nargs="*", metavar="OP", help="run these compound operations by their definition (none: all)"
    )
    running.add_argument(
        "--custom-operators", nargs="+", default=[], metavar="MODULE", help="plugin modules with CUSTOM_OPERATORS"
    )
    add_common_options(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs a model as the arguments say and returns the exit status; options that `args` lacks have their default."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..execution.sources import load_inputs, run_batches
    from ..execution.statistics import StatisticsCollector, tensor_renames

    source = _input_source(args)
    streamed = _is_streamed(args)
    mapping = _mapping(args)
    collector = StatisticsCollector() if args.statistics else None

    with progress() as show:
        show("loading")
        executor, format = _executor(args)
        layout = _Layout.of(executor, format, names_or_all(args.io_transpose))
        wanted = _wanted(args.output_names, executor)
        files = {name: _file_name(file) for name, file in wanted.items()} if args.output_path is not None else {}
        expected = _with_shapes([layout.outside(info) for info in executor.inputs], args)
        given = load_inputs(expected, source, args.batch_size)
        inputs = {name: layout.inward(name, value) for name, value in given.items()}
        show(f"running in {executor.backend}")
        if args.batch_size is None:
            results = executor.run(inputs, output_names=list(wanted), observe=collector)
        else:
            results = run_batches(executor, inputs, output_names=list(wanted), observe=collector)
    note(f"ran in {executor.backend}" + (f" ({executor.note})" if executor.note else ""))

    outputs = {file: layout.outward(name, results[name]) for name, file in wanted.items()}
    written = []
    statistics = collector.to_json(tensor_renames(collector.statistics, mapping)) if collector is not None else {}
    with _statistics_file(args.statistics, statistics):
        if args.output_path is not None:
            written += _write_folder(Path(args.output_path), dict(zip(files.values(), outputs.values(), strict=True)))
        elif streamed:
            _write_stream(outputs)
    if collector is not None:
        written.append(args.statistics)
    if args.json:
        print_json(_facts(executor, outputs, written))
    else:
        for path in written:
            print(f"Written {path}", file=sys.stderr if streamed else sys.stdout)
    return 0


def _input_source(args: argparse.Namespace) -> InputSource:
    from ..execution.distributions import parse_distribution
    from ..execution.sources import FolderSource, RandomSource, StreamSource

    if args.random is not None and args.input_path is not None:
        raise UsageError("--random and --input-path exclude each other")
    if args.shape and args.random is None:
        raise UsageError("--shape is for random inputs; given ones have their own", hint="--random 'uniform(0, 1)'")
    if args.batch_size is not None and args.batch_size < 0:
        raise UsageError(f"the batch size cannot be {args.batch_size}")
    if args.random is not None:
        if args.batch_size == 0:
            raise UsageError("--batch-size 0 takes the batch of given inputs, random ones have none")
        return RandomSource(parse_distribution(args.random), args.seed)
    if args.input_path is not None:
        return FolderSource(args.input_path)
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


def _executor(args: argparse.Namespace) -> tuple[Executor, Format]:
    from ..execution.backend import make_executor
    from ..formats import detect_input
    from ..plugins import load_operators

    if args.backend == "numpy" and args.device not in (None, "cpu"):
        raise UsageError(f"the numpy backend does not run on '{args.device}'", hint="--backend torch, or onnxruntime")
    path = Path(args.model)
    found = detect_input(path, args.format)
    executor = make_executor(
        path,
        format=found.name,
        backend=args.backend,
        custom_operators=load_operators(args.custom_operators or ()) or None,
        decomposed=_decomposed(args.decompose),
        device=args.device,
    )
    return executor, found


def _with_shapes(infos: Sequence[TensorInfo], args: argparse.Namespace) -> list[TensorInfo]:
    """The inputs, with the shapes that are given for them. UsageError if one does not fit the model."""
    from ..execution.backend import known_name

    shapes = parse_shapes(None, args.shape) or {}
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
    from ..language.stdlib import standard_fragments
    from ..ops.extensions import extension_fragments

    known = {**standard_fragments(), **extension_fragments()}
    return [name for name, fragment in known.items() if fragment.is_compound]


def _wanted(values: list[str] | str | None, executor: Executor) -> dict[str, str]:
    """Tensor name -> file name, of the tensors to save. UsageError if two would have one file."""
    pairs = _named(values, executor)
    files = list(pairs.values())
    twice = sorted({file for file in files if files.count(file) > 1}) if len(set(files)) < len(files) else []
    if twice:
        raise UsageError(f"--output-names: several tensors would be saved as '{twice[0]}'")
    return pairs


def _named(values: list[str] | str | None, executor: Executor) -> dict[str, str]:
    """Tensor name -> file name, from names, `*`, or one literal list or dict."""
    if values is None:
        return {info.name: info.name for info in executor.outputs}
    names = [values] if isinstance(values, str) else values
    if names == ["*"]:
        return {name: name for name in executor.tensor_names}
    if len(names) == 1 and names[0].lstrip()[:1] in ("{", "[", "("):
        literal = parse_literal(names[0], "--output-names", "{'tensor': 'file name'}")
        pairs = dict(literal) if isinstance(literal, dict) else dict.fromkeys(literal)
        if not all(isinstance(name, str) and isinstance(file or name, str) for name, file in pairs.items()):
            raise UsageError(f"--output-names: names are strings: {names[0]}")
        return {name: file or name for name, file in pairs.items()}
    return {name: name for name in names}


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

    def _applies(self, name: str, rank: int) -> bool:
        from ..execution.backend import known_name

        return rank > 2 and (
            self.chosen if isinstance(self.chosen, bool) else known_name(name, self.chosen) is not None
        )

    def outside(self, info: TensorInfo) -> TensorInfo:
        """What the values of an input look like outside."""
        if info.shape is None or not self._applies(info.name, len(info.shape)):
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

        return np.moveaxis(value, source, target) if self._applies(name, value.ndim) else value


def _write_folder(folder: Path, outputs: Mapping[str, Array]) -> list[str]:
    from ..io.files import replace_folder
    from ..language.tensor_file import write_tensor

    with replace_folder(folder) as staged:
        for file, array in outputs.items():
            path = staged / file
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tensor(path, array)
    return [str(folder / file) for file in outputs]


def _file_name(name: str) -> str:
    """`<name>.dat`; slashes in the name make sub-folders, and nothing leads out of the folder."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in name:
        raise UsageError(f"'{name}' cannot be the name of a file", hint="--output-names \"{'tensor': 'file name'}\"")
    return "/".join(parts) + ".dat"


def _write_stream(outputs: Mapping[str, Array]) -> None:
    from ..language.tensor_file import write_tensor

    for array in outputs.values():
        write_tensor(sys.stdout.buffer, array)


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

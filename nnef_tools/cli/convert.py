"""The command `nnef-tools convert`: its options, a call of `convert_model`, and the printing of its report."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..formats import FORMATS
from .options import (
    SHAPE_WORD,
    VALUE_WORD,
    Names,
    Parser,
    add_common_options,
    add_limits,
    add_reader_options,
    guarded,
    integer,
    names_or_all,
    option_name,
    parse_shapes,
    parse_values,
)
from .paths import check_output, file_name, is_output, source_path
from .render import note, print_json, print_result, print_table, progress, warn_all

if TYPE_CHECKING:
    from ..report import Report

DEFAULT_SAMPLES = "3"
DEFAULT_LEVEL = "1"

SHORTENED = (
    "--input-model", "--input-format", "--output-format", "--output-model", "--input-shapes", "--io-transpose",
    "--fold-constants", "--optimize", "--dequantize", "--custom-converters", "--custom-shapes", "--custom-fragments",
    "--custom-optimizers", "--mirror-unsupported", "--generate-custom-fragments", "--keep-io-names", "--decompose",
    "--input-names", "--output-names", "--static-only", "--tensor-mapping", "--annotate-shapes", "--compress",
)  # fmt: skip
"""The options of the 1.0 series, which may be shortened as there. New ones may not, so that they cannot conflict."""


def build_parser(prog: str = "nnef-tools convert") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL [OUTPUT]",
        "Convert a model to another format, or rewrite it in its own: nnef-tools convert model.onnx model.nnef",
        optional_numbers={"--verify": DEFAULT_SAMPLES, "--compress": DEFAULT_LEVEL},
        items={"--shape": SHAPE_WORD, "--set": VALUE_WORD},
        shortened=SHORTENED,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model to read")
    parser.add_argument(
        "output",
        nargs="?",
        metavar="OUTPUT",
        help="the file or folder to write: a name in .nnef is a folder, .tgz an archive",
    )
    _add_models(parser)
    _add_conversion(parser)
    _add_plugins(parser)
    _add_output(parser)
    _add_verification(parser)
    add_common_options(parser)
    add_limits(parser)
    return parser


def _add_models(parser: Parser) -> None:
    group = parser.add_argument_group("models")
    group.add_argument("--input-model", metavar="PATH", help="the model to read, as an option")
    group.add_argument(
        "--output-model", metavar="PATH", help="the file or folder to write (default: the input's name and suffix)"
    )
    group.add_argument("--input-format", choices=tuple(FORMATS), help="default: recognized by content and suffix")
    group.add_argument("--output-format", choices=tuple(FORMATS), help="default: recognized by the suffix")
    group.add_argument("--input-shapes", metavar="DICT", help="extents of inputs: \"{'x': (1, 3, 224, 224)}\"")
    group.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        default=[],
        metavar="NAME:EXTENTS",
        help="the same in short: x:1,3,224,224",
    )
    group.add_argument(
        "--input-names", nargs="+", action=Names, metavar="NAME", help="convert only what follows these tensors"
    )
    group.add_argument(
        "--output-names", nargs="+", action=Names, metavar="NAME", help="convert only what leads to these tensors"
    )
    group.add_argument(
        "--set",
        nargs="+",
        action=Names,
        default=[],
        metavar="NAME=VALUE",
        help="values of inputs that the result does not have: keep_prob=1.0 training=false mask=mask.npy",
    )
    add_reader_options(group)
    group.add_argument("--static-only", action="store_true", help="leave out what has no static shape")
    group.add_argument(
        "--fixed-nms",
        action="store_true",
        help="give outputs whose number of rows depends on the data, such as the boxes that non-maximum suppression "
        "chooses, room for the most there can be, and add an output with the number",
    )


def _add_conversion(parser: Parser) -> None:
    group = parser.add_argument_group("conversion")
    group.add_argument(
        "--fold-constants",
        action="store_true",
        help="compute what depends on constants only (operators without a rule by TensorFlow, if it is installed)",
    )
    group.add_argument("--optimize", action="store_true", help="rewrite the result for speed")
    group.add_argument("--dequantize", action="store_true", help="with --optimize: drop quantization")
    group.add_argument("--keep-io-names", action="store_true", help="keep the names of inputs and outputs")
    group.add_argument("--keep-names", action="store_true", help="keep the names of all tensors and weights")
    group.add_argument(
        "--io-transpose",
        nargs="*",
        action=Names,
        metavar="NAME",
        help="make channels-last inputs and outputs channels-first (no names: all of rank 3 and up)",
    )
    group.add_argument(
        "--decompose",
        nargs="*",
        action=Names,
        metavar="OP",
        help="write these compound operations as their definition (none: all)",
    )
    group.add_argument("--standard-only", action="store_true", help="refuse what needs a custom fragment")
    group.add_argument("--opset", type=integer, metavar="N", help="version of ONNX's operator set to convert to")
    group.add_argument("--mirror-unsupported", action="store_true", help="copy what cannot be converted as it is")


def _add_plugins(parser: Parser) -> None:
    group = parser.add_argument_group("plugins", "modules by dotted name or path of the .py file; the last one wins")
    for name, table in (
        ("converters", "CUSTOM_TRANSFORMS"),
        ("shapes", "CUSTOM_SHAPES"),
        ("fragments", "CUSTOM_FRAGMENTS"),
        ("optimizers", "CUSTOM_OPTIMIZERS"),
    ):
        group.add_argument(
            f"--custom-{name}", nargs="+", action=Names, default=[], metavar="MODULE", help=f"modules with {table}"
        )
    group.add_argument("--generate-custom-fragments", action="store_true", help="declare custom operations in the text")


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--compress",
        nargs="?",
        type=integer,
        const=int(DEFAULT_LEVEL),
        metavar="LEVEL",
        help="write NNEF as a .tgz archive; 0 to 9 (default 1), the higher the smaller",
    )
    group.add_argument("--external-data", action="store_true", help="write ONNX weights into a file beside the model")
    group.add_argument("--annotate-shapes", action="store_true", help="write shapes as comments")
    group.add_argument(
        "--tensor-mapping",
        nargs="?",
        const="tensor_mapping.json",
        metavar="FILE",
        help="write source tensor name -> target tensor name (default file: tensor_mapping.json)",
    )
    group.add_argument("--dry-run", action="store_true", help="write nothing, only report")


def _add_verification(parser: Parser) -> None:
    group = parser.add_argument_group("verification")
    group.add_argument(
        "--verify",
        nargs="?",
        type=integer,
        const=int(DEFAULT_SAMPLES),
        default=0,
        metavar="N",
        help=f"run source and result on N (default {DEFAULT_SAMPLES}) random inputs; if they differ, write nothing",
    )
    group.add_argument(
        "--verify-inputs",
        metavar="PATH",
        help="run on all of these inputs instead: what `execute --input-path` takes, or a file of the only input",
    )
    group.add_argument(
        "--verify-strict",
        action="store_true",
        help="also fail if these inputs could not show all, as with outputs that are zero for each of them",
    )
    group.add_argument(
        "--random",
        metavar="DISTRIBUTION",
        help="of these inputs: uniform(-1,1), normal(0,1), integers(0,9), bernoulli(0.5)",
    )
    group.add_argument("--seed", type=integer, metavar="N", help="of these inputs")


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..pipeline import convert_model

    warn_all(getattr(args, "warnings", ()))
    source, target = _paths(args)
    tensor_mapping = file_name(args.tensor_mapping)
    check_output({"the model": target, "--tensor-mapping": tensor_mapping}, *["--json"] * args.json)
    with progress() as show:
        report = convert_model(
            source,
            target,
            input_format=args.input_format,
            output_format=args.output_format,
            input_shapes=parse_shapes(args.input_shapes, args.shape),
            fold_constants=args.fold_constants,
            optimize=args.optimize,
            keep_io_names=args.keep_io_names,
            keep_names=args.keep_names,
            io_transpose=names_or_all(args.io_transpose),
            custom_converters=args.custom_converters or (),
            custom_shapes=args.custom_shapes or (),
            custom_fragments=args.custom_fragments or (),
            custom_optimizers=args.custom_optimizers or (),
            mirror_unsupported=args.mirror_unsupported,
            generate_custom_fragments=args.generate_custom_fragments,
            decompose=names_or_all(args.decompose),
            input_names=args.input_names,
            output_names=args.output_names,
            static_only=args.static_only,
            fixed_nms=args.fixed_nms,
            tensor_mapping=tensor_mapping,
            annotate_shapes=args.annotate_shapes,
            compress=args.compress,
            dequantize=args.dequantize,
            standard_only=args.standard_only,
            opset=args.opset,
            external_data=args.external_data,
            verify=args.verify,
            verify_strict=args.verify_strict,
            verify_inputs=args.verify_inputs,
            seed=args.seed,
            random=args.random,
            progress=show,
            dry_run=args.dry_run,
            signature=args.signature,
            weights=args.weights,
            set_inputs=parse_values(args.set),
        )
    _print_report(report, verbose=args.verbose)
    if args.json:
        print_json(report.to_json())
    on_output = is_output(target) or is_output(tensor_mapping)
    for path in report.written if not args.json else ():
        (note if on_output else print_result)(f"Written '{path}'")
    if args.dry_run:
        note("dry run: nothing written")
    return 0


def _paths(args: argparse.Namespace) -> tuple[str, str | None]:
    """The model to read and the one to write, from positional arguments or options; `-` is standard output."""
    positional = [path for path in (args.model, args.output) if path is not None]
    source = args.input_model or (positional.pop(0) if positional else None)
    target = args.output_model or (positional.pop(0) if positional else None)
    if positional:
        raise UsageError(f"'{positional[0]}' is one model too many")
    if source is None:
        hint = build_parser().swallowed(args) or "nnef-tools convert model.onnx model.nnef"
        raise UsageError("no model to convert", hint=hint)
    return source_path(source), file_name(target)


def _print_report(report: Report, *, verbose: bool) -> None:
    """Prints the report on standard error."""
    from ..report import plural

    warn_all(f"{option_name(name)} has no effect {where}" for name, where in report.unused_options.items())
    warn_all(report.warnings)
    if len(report.way) > 2:
        verb = "optimized as" if report.way[0] == report.way[-1] else "converted by way of"
        note(f"{verb} {report.way[1]}")
    note(report.source.summary())
    note(report.target.summary())
    if report.transposes is not None:
        note(f"transposes left: {len(report.transposes)}")
        for place in report.transposes if verbose else ():
            note(f"  {place}")
    if verbose:
        print_table(report.operations_table())
        if report.passes:
            print_table(report.passes_table())
        print_table(report.timings_table())
        note(f"{plural(len(report.renamed()), 'tensor')} renamed (--tensor-mapping writes their names)")
    if report.verification is not None:
        note(report.verification.summary(), "yellow" if report.verification.weaknesses else "green")
        if verbose:
            print_table(report.verification.table())

"""The command `nnef-tools quantize`: a model with codes of 8 or 16 bits, from statistics or samples."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..formats import FORMATS
from .options import (
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    add_limits,
    guarded,
    integer,
    parse_limits,
    parse_shapes,
)
from .paths import source_path
from .render import note, print_json, print_result, print_rows, progress, warn, warn_all

if TYPE_CHECKING:
    from ..quantization import QuantizationReport, Scheme, TensorRow
    from ..report import Rows

SHORTENED = ("--output", "--statistics", "--signed", "--symmetric", "--wide-bias", "--percentile")
"""The options of the 1.0 series, which may be shortened as there."""

METHODS = ("min-max", "percentile", "mse")
WEIGHTS = ("per-channel", "per-tensor", "as-activations")

IO_TYPES = {"uint8": (8, False), "int8": (8, True), "uint16": (16, False), "int16": (16, True)}
"""Type of codes -> bits, and whether they have a sign."""

WORST = 10
"""Rows of the report unless --tensors is given."""


def build_parser(prog: str = "nnef-tools quantize") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL",
        "Quantize a model: codes of 8 bits for activations, weights and biases, by the ranges that statistics or\n"
        "samples show. The result is an NNEF model with graph.quant.",
        items={"--shape": SHAPE_WORD},
        shortened=SHORTENED,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model to quantize, of any format")
    parser.add_argument("--format", choices=tuple(FORMATS), help="of the model (default: by content and suffix)")
    parser.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        metavar="NAME:EXTENTS",
        help="extents of inputs, in place of those of the model: x:1,3,224,224",
    )
    parser.add_argument("--output", metavar="PATH", help="the NNEF folder or .tgz to write")
    _add_values(parser)
    _add_codes(parser)
    _add_choice(parser)
    add_common_options(parser)
    add_limits(parser)
    return parser


def _add_values(parser: Parser) -> None:
    group = parser.add_argument_group("values of the model")
    group.add_argument(
        "--statistics",
        nargs="+",
        action=Names,
        metavar="FILE",
        help="files of execute --statistics, which are added up (default: MODEL/graph.stats)",
    )
    group.add_argument(
        "--input-path",
        metavar="DIR",
        help="samples to take statistics of and to measure errors with: a folder for each, or stacked in the files of "
        "one folder or .npz",
    )
    group.add_argument("--random", metavar="DISTRIBUTION", help="random samples, to try things out: normal(0, 1)")
    group.add_argument("--samples", type=integer, metavar="N", help="number of random samples (default: 100)")
    group.add_argument("--seed", type=integer, metavar="N", help="of the random samples")


def _add_codes(parser: Parser) -> None:
    group = parser.add_argument_group("codes")
    group.add_argument("--bits", type=integer, metavar="N", help="of activations: 8 (default) or 16")
    group.add_argument("--signed", action="store_true", help="signed codes for activations (default: unsigned)")
    group.add_argument(
        "--io-type",
        choices=("float32", *IO_TYPES),
        help="of inputs and outputs, in what the result is converted to: real numbers (float32, the default) or codes; "
        "activations have the same type then",
    )
    group.add_argument("--symmetric", action="store_true", help="ranges of activations symmetric around 0")
    group.add_argument(
        "--weights",
        choices=WEIGHTS,
        help="signed codes of 8 bits with zero point 0, with a scale for each channel (default) or tensor; or codes "
        "like those of activations, as in the 1.0 series",
    )
    group.add_argument(
        "--wide-bias", action="store_true", help="biases of 32 bits (the default but for --weights as-activations)"
    )


def _add_choice(parser: Parser) -> None:
    group = parser.add_argument_group("ranges and exceptions")
    group.add_argument(
        "--method",
        choices=METHODS,
        help="ranges of activations: that of all values (default), of --coverage of them, or of the least mean "
        "squared error",
    )
    group.add_argument(
        "--coverage", type=float, metavar="PERCENT", help="of the values, for --method percentile (default: 99.99)"
    )
    group.add_argument(
        "--percentile", type=float, metavar="K", help="ranges are the mean and K standard deviations around it"
    )
    group.add_argument(
        "--exclude",
        nargs="+",
        action=Names,
        metavar="NAME",
        help="NNEF operations, or tensors whose operations, that compute with real numbers",
    )
    group.add_argument(
        "--sensitivity",
        type=integer,
        metavar="N",
        help="leave out the N operations that change the outputs most, as samples show",
    )
    parser.add_argument_group("report").add_argument(
        "--tensors", action="store_true", help=f"print a row for each tensor, not only the {WORST} worst"
    )


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..quantization import quantize_model

    warn_all(getattr(args, "warnings", ()))
    if args.model is None or args.output is None:
        lacking = "MODEL" if args.model is None else "--output"
        hint = build_parser().swallowed(args) or "nnef-tools quantize MODEL --output PATH --input-path DIR"
        raise UsageError(f"the following argument is required: {lacking}", hint=hint)
    scheme = _scheme(args)
    for name, unused in (("samples", args.random is None), ("seed", args.random is None)):
        if unused and getattr(args, name) is not None:
            warn(f"--{name} has no effect without --random")
    if args.sensitivity is not None and args.sensitivity < 0:
        raise UsageError(f"--sensitivity cannot be {args.sensitivity}: it is a number of operations")
    if args.samples is not None and args.samples < 1:
        raise UsageError(f"--samples cannot be {args.samples}: it is 1 or more")
    with progress() as show:
        report = quantize_model(
            source_path(args.model),
            args.output,
            statistics=args.statistics or (),
            input_path=args.input_path,
            random=args.random,
            samples=args.samples or 100,
            seed=args.seed,
            scheme=scheme,
            exclude=args.exclude or (),
            sensitivity=args.sensitivity or 0,
            io_codes=args.io_type in IO_TYPES,
            format=args.format,
            input_shapes=parse_shapes(None, args.shape or ()),
            progress=show,
            limits=parse_limits(args.limits),
        )
    if args.json:
        print_json({"schema": "nnef-tools.quantization/1", "status": "ok", **report.to_json()})
        return 0
    warn_all(report.warnings)
    for line in _lines(report):
        note(line)
    print_rows(_table(report, whole=args.tensors))
    print_result(f"Written {report.written[0]}")
    return 0


def _scheme(args: argparse.Namespace) -> Scheme:
    """How tensors are to be quantized. UsageError for what cannot be."""
    from ..quantization import Codes, Scheme

    bits, signed = 8 if args.bits is None else args.bits, args.signed
    if args.io_type in IO_TYPES:
        bits, signed = IO_TYPES[args.io_type]
        if args.bits not in (None, bits) or (args.signed and not signed):
            given = f"--bits {args.bits}" if args.bits not in (None, bits) else "--signed"
            raise UsageError(
                f"{given} and --io-type {args.io_type} exclude each other: activations have one type of codes",
                hint="leave out --bits and --signed, which follow from --io-type",
            )
    if bits not in (8, 16):
        raise UsageError(f"--bits cannot be {bits}: there are codes of 8 and 16 bits")
    coverage = 99.99 if args.coverage is None else args.coverage
    if not 50 <= coverage <= 100:
        raise UsageError(f"--coverage is a percentage from 50 to 100, not {coverage:g}")
    if args.percentile is not None and not 0 < args.percentile < float("inf"):
        raise UsageError(
            f"--percentile is a number of standard deviations above 0, not {args.percentile:g}",
            hint="--method percentile --coverage 99.9 takes a share of the values",
        )
    if args.percentile is not None and args.method is not None:
        raise UsageError("--percentile and --method exclude each other")
    if args.coverage is not None and args.method != "percentile":
        warn("--coverage has no effect without --method percentile")
    return Scheme(
        activations=Codes(bits, signed, args.symmetric),
        method=args.method or "min-max",
        deviations=args.percentile,
        coverage=coverage,
        weights=args.weights or "per-channel",
        wide_bias=args.wide_bias,
    )


def _lines(report: QuantizationReport) -> Iterator[str]:
    """What was done, for people."""
    real = ", ".join(f"{count} {type}" for type, count in sorted(report.real.items()))
    yield f"{report.operations} operations compute with codes" + (f"; with real numbers: {real}" if real else "")
    if report.left:
        effects = (f"{name} ({report.effects[name]:.2g})" for name in report.left)
        yield f"left out, with the error of the outputs that they cause: {', '.join(effects)}"
    for name, facts in report.outputs.items():
        noise, squared, largest = facts["signal_to_noise"], facts["mean_squared_error"], facts["largest_error"]
        yield (
            f"output '{name}' over {report.samples} samples: signal to noise {_decibels(noise) or '-'}, "
            f"mean squared error {_number(squared)}, largest error {_number(largest)}"
        )


def _table(report: QuantizationReport, *, whole: bool) -> Rows:
    """A row for each tensor, or for those with the largest error, below a header."""

    def quality(row: TensorRow) -> float:
        known = [item for item in (row.measured, row.signal_to_noise) if item is not None]
        return min(known) if known else float("inf")

    rows = report.tensors if whole else sorted(report.tensors, key=quality)[:WORST]
    header = ("tensor", "kind", "bits", "scale", "zero point", "range", "rounding", "clipped", "measured")
    return [header] + [
        (
            row.name,
            row.kind,
            str(row.bits),
            f"{row.scale:.4g}",
            str(row.zero_point),
            f"{row.low:.4g} .. {row.high:.4g}",
            _decibels(row.signal_to_noise),
            "" if row.clipped is None else f"{100 * row.clipped:.2g} %",
            _decibels(row.measured),
        )
        for row in rows
    ]


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} dB"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"

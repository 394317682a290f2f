"""The command `nnef-tools inspect`: what a model is, takes and costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .models import add_model_options, amount, assumed_text, model_parser, open_for, shape_of, wrapped
from .options import Parser, guarded
from .render import print_json, print_result, print_rows, warn_all

if TYPE_CHECKING:
    from ..inspection.opening import Interface
    from ..inspection.summary import OperatorRow, Summary
    from ..report import Rows

WIDTH = 14
"""Characters of the labels of lines."""

SHOWN_TEXT = 200


def build_parser(prog: str = "nnef-tools inspect") -> Parser:
    """The parser of the subcommand."""
    parser = model_parser(
        prog,
        "Show what a model is, takes and costs: inputs and outputs, operators, parameters, memory, MACs, metadata.\n"
        "Weights stay on disk.",
    )
    parser.add_argument_group("amount").add_argument("--ops", action="store_true", help="print a row for each operator")
    add_model_options(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ..inspection.summary import operator_rows, summarize

    warn_all(getattr(args, "warnings", ()))
    model = open_for(args, build_parser())
    summary = summarize(model)
    rows = operator_rows(model) if args.ops else None
    if args.json:
        facts = {"schema": "nnef-tools.summary/1", "status": "ok", **summary.to_json()}
        if rows is not None:
            facts["operator_rows"] = [asdict(row) for row in rows]
        print_json(facts)
        return 0
    warn_all(summary.warnings)
    for line in _lines(summary, model.model.format.title):
        for part in wrapped(line, WIDTH):
            print_result(part)
    if rows is not None:
        print_result("")
        print_rows(operator_table(rows))
    return 0


def operator_table(rows: list[OperatorRow]) -> Rows:
    """A row for each operator, below a header."""
    return [("operator", "name", "result", "type", "MACs", "parameters", "bytes")] + [
        (
            row.type,
            row.name,
            " ".join(map(shape_of, row.shapes)),
            " ".join(row.dtypes),
            "?" if row.macs is None else f"{row.macs:,}",
            f"{row.parameters:,}",
            "?" if row.activation_size is None else f"{row.activation_size:,}",
        )
        for row in rows
    ]


def _lines(summary: Summary, title: str) -> Iterator[str]:
    """The summary for people."""
    from ..report import format_size

    versions = ", ".join(f"{name} {version}" for name, version in summary.versions.items())
    yield _line("model", summary.path)
    origin = f", converted from {summary.origin}" if summary.origin else ""
    yield _line("format", title + origin + (f" ({versions})" if versions else ""))
    yield from _interface_lines("inputs", summary.inputs)
    yield from _interface_lines("outputs", summary.outputs)
    operators = sorted(summary.operators.items(), key=lambda item: (-item[1], item[0]))
    yield _line("operators", _counted(sum(summary.operators.values()), {type: str(n) for type, n in operators}))
    parameters = {dtype: f"{n:,}" for dtype, n in summary.parameters.items()}
    yield _line("parameters", _counted(sum(summary.parameters.values()), parameters))
    if summary.problem is None:
        yield _line("activations", ", ".join(f"{n} {dtype}" for dtype, n in summary.dtypes.items()) or "none")
    if summary.quantized:
        yield _line("quantized", f"{summary.quantized} tensors")
    if summary.size_on_disk is not None:
        yield _line("on disk", format_size(summary.size_on_disk))
    yield _line("in memory", _memory(summary))
    yield _line("MACs", _macs(summary))
    for item in summary.uncounted:
        yield _line("", f"without {item.count} {item.type}: {item.reason}")
    if summary.hint:
        yield _line("", summary.hint)
    if summary.assumed:
        yield _line("", f"counted with --shape {assumed_text(summary.assumed)}")
    for part, names in summary.signatures.items():
        yield _line("signature", f"{part}: {', '.join(f'{name} = {tensor}' for name, tensor in names.items())}")
    for key, text in {**summary.license, **summary.metadata}.items():
        yield _line(key, text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}..")


def _line(label: str, text: str) -> str:
    return f"{label:<{WIDTH}}{text}" if len(label) < WIDTH else f"{label}  {text}"


def _interface_lines(label: str, tensors: tuple[Interface, ...]) -> Iterator[str]:
    for k, item in enumerate(tensors):
        quantization = f", {item.quantization}" if item.quantization else ""
        yield _line("" if k else label, f"{item.name}: {item.dtype} {shape_of(item.shape)}{quantization}")


def _counted(total: int, parts: Mapping[str, str]) -> str:
    """`12: 8 Conv, 4 Relu`."""
    return f"{total:,}" + (f": {', '.join(f'{text} {name}' for name, text in parts.items())}" if parts else "")


def _memory(summary: Summary) -> str:
    from ..report import format_size

    weights = f"{format_size(summary.weight_size)} weights"
    if summary.problem is not None:
        return f"{weights}; activations not known"
    place = f" (at '{summary.activation_peak_at}')" if summary.activation_peak_at else ""
    unknown = summary.activations_of_unknown_size
    without = f", without {unknown} of unknown size" if unknown else ""
    peak = format_size(summary.activation_peak)
    return f"{weights}, {peak} activations at most{place}{without}"


def _macs(summary: Summary) -> str:
    if summary.macs is None:
        return f"not known: {summary.problem}"
    more = {group: amount(count) for group, count in summary.optional_macs.items() if count}
    extra = f"; {', '.join(f'{text} of {group}' for group, text in more.items())} not included" if more else ""
    return amount(summary.macs) + extra

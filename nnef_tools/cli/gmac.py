"""The command `nnef-tools gmac`: the multiply-accumulate operations of a model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .models import add_model_options, assumed_text, model_parser, open_for, shape_of
from .options import Parser, guarded
from .render import note, print_json, print_result, print_rows, print_table, warn, warn_all

if TYPE_CHECKING:
    from ..inspection.opening import SizedModel
    from ..inspection.summary import OperatorRow
    from ..report import Rows

GROUPS = ("pooling", "upsampling", "normalization", "reduction")

SHORTENED = (*(f"--include-{group}" for group in GROUPS), "--custom-shapes")


def build_parser(prog: str = "nnef-tools gmac") -> Parser:
    """The parser of the subcommand."""
    parser = model_parser(
        prog,
        "Count the multiply-accumulate operations (MACs) of a model: those of convolutions, matrix products and\n"
        "recurrent layers, and of others on request. Every format is counted by the same definition.",
        SHORTENED,
    )
    group = parser.add_argument_group("counting")
    for name, what in zip(
        GROUPS,
        ("pooling", "upsampling by interpolation", "normalizations", "reductions"),
        strict=True,
    ):
        group.add_argument(f"--include-{name}", action="store_true", help=f"count {what}, too")
    group.add_argument("--ops", action="store_true", help="print a row for each operator")
    add_model_options(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..inspection.macs import all_items
    from ..inspection.summary import operator_rows

    warn_all(getattr(args, "warnings", ()))
    groups = [group for group in GROUPS if getattr(args, f"include_{group}")]
    model = open_for(args, build_parser())
    warn_all(model.model.warnings)
    count = model.count
    total, items = count.total(groups), all_items(model.graph, count)
    rows = operator_rows(model)
    uncounted = count.uncounted
    if args.json:
        print_json(_facts(model, rows, groups, total, items))
        return 0
    if args.ops:
        print_rows(_table(rows, groups))
    if model.assumed:
        note(f"counted with --shape {assumed_text(model.assumed)}")
    if uncounted:
        missing = sum(item.count for item in uncounted)
        warn(f"the MACs of {missing} operator(s) are not known, and are not in the sum:")
        print_table([("count", "operator", "reason"), *((str(i.count), i.type, i.reason) for i in uncounted)])
    print_result(f"GMACs = {total / 1e9}")
    print_result(f"Total memory in Mbytes (supposing float32) = {items * 4 / 1e6}")
    return 0


def _table(rows: Sequence[OperatorRow], groups: Sequence[str]) -> Rows:
    """A row for each operator, below a header."""
    return [("operator", "name", "result", "MACs", "parameters", "bytes")] + [
        (
            row.type,
            row.name,
            " ".join(map(shape_of, row.shapes)),
            "?" if row.macs is None else f"{row.total(groups):,}",
            f"{row.parameters:,}",
            "?" if row.activation_size is None else f"{row.activation_size:,}",
        )
        for row in rows
    ]


def _facts(
    model: SizedModel, rows: Sequence[OperatorRow], groups: Sequence[str], total: int, items: int
) -> dict[str, Any]:
    """The JSON form of the count."""
    from dataclasses import asdict

    return {
        "schema": "nnef-tools.macs/1",
        "status": "ok",
        "path": str(model.path),
        "format": model.model.format.name,
        "included": list(groups),
        "macs": total,
        "items": items,
        "assumed": {name: list(shape) for name, shape in model.assumed.items()},
        "uncounted": [asdict(item) for item in model.count.uncounted],
        "operators": [asdict(row) for row in rows],
    }

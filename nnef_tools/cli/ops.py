"""The command `nnef-tools ops`: what conversions support, and what a model needs that they lack."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import ConversionError, UsageError
from ..formats import FORMATS, NNEF
from .models import SHAPE_ITEMS, add_model_options, open_for
from .options import Names, Parser, guarded
from .paths import check_output, file_name
from .render import note, print_json, print_result, print_rows, print_table, progress, warn, warn_all

if TYPE_CHECKING:
    from ..inspection.missing import Missing
    from ..inspection.support import OperatorSupport


def build_parser(prog: str = "nnef-tools ops") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "",
        "List the operators that a conversion supports, or those that a model needs and the conversion lacks.\n"
        "A plugin module to be completed for these goes to standard output, or to --plugin.",
        items=SHAPE_ITEMS,
    )
    group = parser.add_argument_group("conversion")
    group.add_argument("--from", dest="source", choices=tuple(FORMATS), help="the format to convert from")
    group.add_argument("--to", dest="target", choices=tuple(FORMATS), help="the format to convert to")
    group.add_argument("--op", nargs="+", action=Names, metavar="NAME", help="only these operators")
    missing = parser.add_argument_group("missing operators")
    missing.add_argument("--missing", dest="model", metavar="MODEL", help="what this model needs and --to (NNEF) lacks")
    missing.add_argument("--plugin", metavar="FILE", help="write the plugin module there")
    add_model_options(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    warn_all(getattr(args, "warnings", ()))
    return _list(args) if args.model is None else _find_missing(args)


def _list(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ..inspection.support import supported

    if args.plugin is not None:
        raise UsageError("--plugin needs a model", hint="nnef-tools ops --missing MODEL --plugin FILE")
    found = supported(args.source, args.target, args.op or ())
    if args.json:
        print_json({"schema": "nnef-tools.operators/1", "status": "ok", "operators": [asdict(item) for item in found]})
    elif args.source is None and args.target is None and args.op is None:
        print_rows(_counts(found))
        print_result("nnef-tools ops --from FORMAT or --to FORMAT lists the operators, --op NAME one of them")
    else:
        print_rows(_table(found))
    return 0


def _counts(found: list[OperatorSupport]) -> list[tuple[str, ...]]:
    """A row for each conversion, below a header."""
    pairs = dict.fromkeys((item.source, item.target) for item in found)
    rows: list[tuple[str, ...]] = [("from", "to", "operators by a rule", "by definition", "refused by name")]
    for pair in pairs:
        ways = [item.by for item in found if (item.source, item.target) == pair]
        rows.append((*pair, *(str(ways.count(way)) for way in ("rule", "definition", "refused"))))
    return rows


def _table(found: list[OperatorSupport]) -> list[tuple[str, ...]]:
    """A row for each operator, below a header."""
    several = len({(item.source, item.target) for item in found}) > 1
    rows = [("operator", "versions", "by", "constant inputs", "what")]
    for item in found:
        versions = ", ".join(f"{version}+" for version in item.since)
        rows.append((item.operator, versions, item.by, ", ".join(item.constants), item.text))
    if not several:
        return list(rows)
    ways = ["conversion", *(f"{item.source} to {item.target}" for item in found)]
    return [(way, *row) for way, row in zip(ways, rows, strict=True)]


def _find_missing(args: argparse.Namespace) -> int:
    from ..inspection.missing import find_missing, plugin_text
    from ..io.files import replace_file
    from ..report import refusal_table

    if args.source is not None and args.format is None:
        args.format = args.source
    plugin = file_name(args.plugin)
    check_output({"--plugin": plugin}, *["--json"] * args.json)
    model = open_for(args, build_parser(), counted=False)
    if args.target is None and model.model.format is NNEF:
        raise UsageError("an NNEF model lacks nothing in NNEF", hint="name the format to convert to with --to")
    with progress() as show:
        show("convert")
        missing = find_missing(model, args.target)
    text = plugin_text(missing) if any(item.replaceable for item in missing.refusals) else ""
    if plugin is not None and text:
        with replace_file(plugin) as stream:
            stream.write(text.encode())
    if args.json:
        print_json(_facts(missing, text))
        return ConversionError.exit_code if missing.refusals else 0
    if not missing.refusals:
        print_result(f"all operators convert to {missing.target}")
        return 0
    print_table(refusal_table(missing.groups))
    if not text:
        warn("no plugin can convert them")
    elif plugin is None:
        for line in text.splitlines():
            print_result(line)
    else:
        note(f"complete the plugin: {plugin}")
    return ConversionError.exit_code


def _facts(missing: Missing, text: str) -> dict[str, Any]:
    """The JSON form of what is missing."""
    from dataclasses import asdict

    return {
        "schema": "nnef-tools.missing/1",
        "status": "ok",
        "from": missing.source,
        "to": missing.target,
        "missing": [asdict(group) for group in missing.groups],
        "plugin": text,
    }

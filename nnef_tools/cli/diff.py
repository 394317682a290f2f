"""The command `nnef-tools diff`: what differs between two models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..formats import FORMATS
from .options import (
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    add_limits,
    add_reader_options,
    guarded,
    parse_shapes,
    reader_options,
)
from .paths import check_output, file_name, source_path
from .render import note, print_json, print_result, progress, warn_all

if TYPE_CHECKING:
    from ..inspection.difference import Change, Difference

DIFFERENT = 1
"""The exit status for models that differ, as of other commands that compare."""


def build_parser(prog: str = "nnef-tools diff") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "A B",
        "Show what differs between two models: operations that were added, removed or changed, with attributes,\n"
        "shapes, and weights by value. Models of different formats are compared as NNEF. The exit status is 0 if they\n"
        "are equal, and 1 if they differ.",
        items={"--shape": SHAPE_WORD},
    )
    parser.add_argument("models", nargs="*", metavar="A B", help="the models to compare, the old one first")
    group = parser.add_argument_group("result")
    group.add_argument("--format", choices=("text", "html"), help="a list (text), or a page with both models (html)")
    group.add_argument("-o", "--output", metavar="FILE", help="the page to write (default: A-B.html)")
    group = parser.add_argument_group("models")
    formats = tuple(FORMATS)
    group.add_argument("--input-format-a", choices=formats, help="of the first model (default: by content and suffix)")
    group.add_argument("--input-format-b", choices=formats, help="of the second model")
    group.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        metavar="NAME:EXTENTS",
        help="extents of inputs, where the models leave them open: x:1,3,224,224",
    )
    add_reader_options(group)
    add_common_options(parser)
    add_limits(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..formats import detect_input
    from ..inspection.difference import difference_of_files

    warn_all(getattr(args, "warnings", ()))
    if len(args.models) != 2:
        hint = build_parser().swallowed(args) or "nnef-tools diff A B"
        raise UsageError(f"two models are needed, {len(args.models)} are given", hint=hint)
    a, b = (Path(source_path(path)) for path in args.models)
    output = _output(args, a, b)
    check_output({"--output": output}, *["--json"] * args.json)
    with progress() as show:
        show("compare")
        formats = detect_input(a, args.input_format_a), detect_input(b, args.input_format_b)
        found = difference_of_files(
            a,
            b,
            formats=(formats[0].name, formats[1].name),
            input_shapes=parse_shapes(None, args.shape or ()),
            **reader_options(args, *formats),
        )
    warn_all(found.warnings)
    if output is not None:
        _write_page(found, (a.name, b.name), output)
    if args.json:
        print_json({**_facts(found), "written": [] if output is None else [output]})
    elif output is not None:
        (note if output == "/dev/stdout" else print_result)(f"Written {output}")
    else:
        for line in _lines(found):
            print_result(line)
    return DIFFERENT if found.changes else 0


def _output(args: argparse.Namespace, a: Path, b: Path) -> str | None:
    """The page to write; None if there is none to write. UsageError."""
    if args.format == "text" and args.output is not None:
        raise UsageError("--output is for --format html; text goes to standard output")
    if args.format == "html" or args.output is not None:
        return file_name(args.output) or f"{a.name}-{b.name}.html"
    return None


def _write_page(found: Difference, titles: tuple[str, str], output: str) -> None:
    from ..inspection.picture.comparison import comparison_page
    from ..io.files import replace_file

    content = comparison_page(found, titles).encode()
    with replace_file(output) as file:
        file.write(content)


def _lines(found: Difference) -> list[str]:
    """The differences as text, a line each, below their number."""
    if not found.changes:
        return ["no differences"]
    parts = ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count)
    lines = [f"{len(found.changes)} difference{'s' if len(found.changes) > 1 else ''} in {found.dialect}: {parts}"]
    lines += [f"{change.kind:<8} {change.text}" for change in found.changes]
    if found.shapes_follow:
        lines.append(f"{found.shapes_follow} further operations have results of other shapes, as their inputs have")
    return lines


def _facts(found: Difference) -> dict[str, Any]:
    """The differences as JSON."""
    return {
        "schema": "nnef-tools.difference/1",
        "status": "ok",
        "equal": not found.changes,
        "compared_in": found.dialect,
        "counts": dict(found.counts),
        "changes": list(map(_change, found.changes)),
        "operations_with_shapes_that_follow": found.shapes_follow,
    }


def _change(change: Change) -> dict[str, Any]:
    from ..inspection.summary import label_of

    def end(operation: Any) -> dict[str, str] | None:
        return None if operation is None else {"type": operation.type, "name": label_of(operation)}

    return {
        "kind": change.kind,
        "interface": change.name or None,
        "a": end(change.a),
        "b": end(change.b),
        "details": list(change.details),
    }

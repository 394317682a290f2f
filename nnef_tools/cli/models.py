"""What the commands that look at a model have in common: the options that open it, and numbers for people."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .options import (
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    add_input_format,
    add_limits,
    add_reader_options,
    parse_limits,
    parse_shapes,
    reader_options,
)
from .paths import source_path
from .render import progress, warn_all

if TYPE_CHECKING:
    from ..inspection.opening import SizedModel
    from ..model.graph import Shape

SHAPE_ITEMS = {"--shape": SHAPE_WORD}


def model_parser(prog: str, description: str, shortened: tuple[str, ...] = ()) -> Parser:
    """A parser for a command that looks at one model."""
    parser = Parser(prog, "MODEL", description, items=SHAPE_ITEMS, shortened=shortened)
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model to look at")
    return parser


def add_model_options(parser: Parser) -> None:
    """Adds the options that open the model, and those of every command."""
    group = parser.add_argument_group("model")
    add_input_format(group, "--format", "--input-format")
    group.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        metavar="NAME:EXTENTS",
        help="extents of inputs, in place of those of the model: x:1,3,224,224 (default of open ones: a batch of 1)",
    )
    add_reader_options(group)
    group.add_argument(
        "--custom-shapes",
        nargs="+",
        action=Names,
        metavar="MODULE",
        help="plugin modules with CUSTOM_SHAPES, for custom operators",
    )
    add_common_options(parser)
    add_limits(parser)


def open_for(args: argparse.Namespace, parser: Parser, *, counted: bool = True) -> SizedModel:
    """Opens the model of a command line, with progress on a terminal. counted: count it, too."""
    from ..formats import detect_input
    from ..inspection.opening import open_sized
    from ..plugins import Plugins

    if args.model is None:
        hint = parser.swallowed(args) or f"{parser.prog} MODEL"
        raise UsageError("the following argument is required: MODEL", hint=hint)
    path = source_path(args.model)
    options = reader_options(args, detect_input(Path(path), args.format))
    plugins = Plugins.load(shapes=args.custom_shapes or ())
    warn_all(plugins.warnings)
    with progress() as show:
        show("read")
        model = open_sized(
            path,
            format=args.format,
            input_shapes=parse_shapes(None, args.shape or ()),
            **options,
            plugins=plugins,
            limits=parse_limits(args.limits),
        )
        if counted:
            show("count")
            _ = model.problem
    return model


def assumed_text(assumed: Mapping[str, Shape]) -> str:
    """The shapes that were taken for inputs, as an option: `x:1,3,224,224`."""
    return " ".join(f"{name}:{','.join(map(str, shape))}" for name, shape in assumed.items())


def shape_of(shape: tuple[int | str | None, ...] | None) -> str:
    """A shape for people; names stand for open extents."""
    return "?" if shape is None else f"[{', '.join('?' if extent is None else str(extent) for extent in shape)}]"


def wrapped(line: str, indent: int) -> list[str]:
    """A line for standard output: in parts that fit a terminal, the further ones indented; as it is for a file."""
    if not sys.stdout.isatty():
        return [line]
    width = max(shutil.get_terminal_size().columns, 2 * indent)
    return textwrap.wrap(line, width, subsequent_indent=" " * indent, break_on_hyphens=False) or [""]


def amount(count: int) -> str:
    """A large number for people: `987`, `4.09 G`."""
    value, unit = float(count), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, f" {larger}"
    return f"{value:.3g}{unit}" if unit else str(count)

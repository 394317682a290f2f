"""The options of commands that read images."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .options import Names, shortened

if TYPE_CHECKING:
    from ..execution.feeds.images import ImageOptions

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

ITEMS = dict.fromkeys(("--size", "--range", "--mean", "--std"), NUMBER)
"""Options with several numbers, which end where a word is none."""

LAYOUTS = ("NCHW", "NHWC")


def add_image_options(group: Any) -> None:
    """Adds them to a group of a parser."""
    group.add_argument(
        "--size", nargs="+", action=Names, type=extent, metavar="N", help="height and width that images are resized to"
    )
    group.add_argument("--color", choices=("RGB", "BGR"), default="RGB", help="order of the channels (default: RGB)")
    group.add_argument(
        "--range",
        nargs="+",
        action=Names,
        type=number,
        metavar="N",
        help="what black and white become (default: 0 1; 0 255 for integers)",
    )
    group.add_argument("--mean", nargs="+", action=Names, type=number, metavar="N", help="is subtracted, by channel")
    group.add_argument("--std", nargs="+", action=Names, type=number, metavar="N", help="is divided by, by channel")


def image_options(args: argparse.Namespace, **others: Any) -> ImageOptions:
    """The options of a command line. UsageError."""
    from ..execution.feeds.images import ImageOptions

    size, values = args.size, args.range
    if size is not None and len(size) > 2:
        raise UsageError(f"--size: height and width are wanted, got {len(size)} numbers", hint="--size 224 224")
    if values is not None and len(values) != 2:
        raise UsageError(f"--range: two numbers are wanted, got {len(values)}", hint="--range -1 1")
    return ImageOptions(
        size=None if size is None else (size[0], size[-1]),
        color=args.color,
        range=None if values is None else (values[0], values[1]),
        mean=tuple(args.mean or (0.0,)),
        std=tuple(args.std or (1.0,)),
        **others,
    )


def given_image_options(args: argparse.Namespace) -> list[str]:
    """The options that differ from their defaults."""
    values = {"--size": args.size, "--range": args.range, "--mean": args.mean, "--std": args.std}
    return [name for name, value in values.items() if value is not None] + ["--color"] * (args.color != "RGB")


def number(text: str) -> float:
    """Reads a finite number. ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{shortened(text)}' is not a number")
    return value


def extent(text: str) -> int:
    """Reads a positive number of items. ArgumentTypeError."""
    if not text.isdecimal() or len(text) > 18 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{shortened(text)}' is not a positive integer")
    return int(text)

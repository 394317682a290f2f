"""The command `nnef-tools image_tensor`: images as a tensor."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from .image_options import ITEMS, LAYOUTS, add_image_options, image_options
from .options import Parser, add_common_options, add_limits, guarded
from .render import progress, warn_all
from .tensor_output import DTYPES, add_output, check_target, write_output

SHORTENED = ("--size", "--dtype", "--color", "--format", "--range", "--mean", "--std", "--output")


def build_parser(prog: str = "nnef-tools image_tensor") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "IMAGE..",
        "Make a tensor of images, one batch in the order that is given. They are turned upright; gray ones get three\n"
        "channels, transparency is left out. Pixels between 0 and 1 are scaled to --range, --mean is subtracted, and\n"
        "they are divided by --std.",
        items=ITEMS,
        shortened=SHORTENED,
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="files, or patterns such as 'photos/*.jpg'")
    group = parser.add_argument_group("tensor")
    add_image_options(group)
    group.add_argument("--format", choices=LAYOUTS, default="NCHW", help="order of the axes (default: NCHW)")
    group.add_argument("--dtype", choices=DTYPES[:-1], default="float32", help="of its items (default: float32)")
    add_output(group)
    add_common_options(parser)
    add_limits(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    import numpy as np

    from ..execution.feeds.images import image_files, load_images

    warn_all(getattr(args, "warnings", ()))
    if not args.images:
        raise UsageError(
            "the following argument is required: IMAGE",
            hint="nnef-tools image_tensor photo.jpg --size 224 224 --output x.dat",
        )
    options = image_options(args, layout=args.format, dtype=np.dtype(args.dtype).type)
    check_target(args)
    with progress() as show:
        files = image_files(args.images)
        show(f"read {len(files)} image(s)")
        array = load_images(files, options)
    write_output(args, array, "nnef-tools.tensor/1")
    return 0

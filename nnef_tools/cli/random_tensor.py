"""The command `nnef-tools random_tensor`: a tensor of random numbers."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from .image_options import NUMBER, extent
from .options import Names, Parser, add_common_options, add_limits, guarded, integer
from .render import warn_all
from .tensor_output import DTYPES, add_output, check_target, write_output

SHORTENED = ("--shape", "--dtype", "--output")


def build_parser(prog: str = "nnef-tools random_tensor") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "DISTRIBUTION",
        "Make a tensor of random numbers: uniform(min=0, max=1), normal(mean=0, std=1), bernoulli(prob=0.5) or\n"
        "integers(min, max), both of which belong to them.",
        items={"--shape": NUMBER},
        shortened=SHORTENED,
    )
    parser.add_argument("distribution", nargs="?", metavar="DISTRIBUTION", help="'uniform(-1, 1)', for example")
    group = parser.add_argument_group("tensor")
    group.add_argument("--shape", nargs="+", action=Names, type=extent, metavar="N", help="its extents")
    group.add_argument("--dtype", choices=DTYPES, default="float32", help="of its items (default: float32)")
    group.add_argument("--seed", type=integer, metavar="N", help="the same seed gives the same numbers")
    add_output(group)
    add_common_options(parser)
    add_limits(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from math import prod

    import numpy as np

    from ..budget import ask_items
    from ..execution.feeds.distributions import parse_distribution

    warn_all(getattr(args, "warnings", ()))
    if args.distribution is None or args.shape is None:
        missing = "DISTRIBUTION" if args.distribution is None else "--shape"
        raise UsageError(
            f"the following argument is required: {missing}",
            hint="nnef-tools random_tensor 'uniform(0, 1)' --shape 1 3 224 224 --output x.dat",
        )
    if args.seed is not None and args.seed < 0:
        raise UsageError(f"the seed cannot be {args.seed}: it is 0 or more")
    distribution = parse_distribution(args.distribution)
    check_target(args)
    ask_items(prod(args.shape), "the tensor")
    generator, dtype = np.random.default_rng(args.seed), np.dtype(args.dtype)
    if dtype.kind in "iu":
        values = distribution.sample(generator, args.shape, np.int64)
        limits = np.iinfo(dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise UsageError(f"values of {distribution} exceed what {dtype.name} can hold")
        array = values.astype(dtype)
    else:
        array = distribution.sample(generator, args.shape, dtype.type)
    write_output(args, array, "nnef-tools.tensor/1")
    return 0

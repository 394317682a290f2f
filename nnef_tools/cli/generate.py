"""The command `nnef-tools generate`: random weights and inputs for an NNEF model."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .options import Parser, add_common_options, add_limits, guarded, integer
from .paths import source_path
from .render import note, print_json, progress, warn_all

SHORTENED = ("--random", "--seed", "--weights", "--inputs")


def build_parser(prog: str = "nnef-tools generate") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL",
        "Fill an NNEF model folder with random weights and inputs, one file after the other; files that are there are\n"
        "replaced. Without --random scalars are uniform(0, 1), integers integers(0, 100), logicals bernoulli(0.5).",
        shortened=SHORTENED,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the folder of the model")
    group = parser.add_argument_group("values")
    group.add_argument(
        "--random",
        metavar="DISTRIBUTION",
        help="of the type that it yields: uniform(-1,1); or {'scalar': normal(0,1), 'integer': integers(0,9)}",
    )
    group.add_argument("--seed", type=integer, metavar="N", help="the same seed gives the same numbers")
    group.add_argument("--weights", action="store_true", help="write MODEL/<label>.dat for each variable")
    group.add_argument(
        "--inputs", nargs="?", const=".", metavar="DIR", help="write MODEL/DIR/<input>.dat for each input (default: .)"
    )
    add_common_options(parser)
    add_limits(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..execution.feeds.distributions import parse_distributions
    from ..execution.feeds.generation import generate

    warn_all(getattr(args, "warnings", ()))
    if args.model is None:
        raise UsageError("the following argument is required: MODEL", hint="nnef-tools generate MODEL --weights")
    if not args.weights and args.inputs is None:
        raise UsageError("there is nothing to generate", hint="give --weights, --inputs or both")
    distributions = {} if args.random is None else parse_distributions(args.random)
    written = []
    with progress() as show:
        for item in generate(
            Path(source_path(args.model)), distributions, seed=args.seed, weights=args.weights, inputs=args.inputs
        ):
            show(f"generate {item.name}")
            written.append(str(item.file))
            if args.verbose:
                note(f"Generated {item.kind} '{item.name}'")
    if args.json:
        print_json({"schema": "nnef-tools.generation/1", "status": "ok", "written": written})
    return 0

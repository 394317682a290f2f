"""The command `nnef-tools`: finds the subcommand, whose module is imported only then, and runs it.

A subcommand module has `build_parser(prog) -> Parser` and `main(args) -> int`, which returns the exit status.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from ..errors import UsageError
from .options import EXIT_CODES, guarded
from .render import prepare_streams, print_error

COMMANDS = {
    "convert": "convert a model to another format, or optimize it within its format",
    "execute": "run a model on given or random inputs; save its outputs, activations and statistics",
    "visualize": "draw a model, or make a page to look around in: svg, html, pdf, png, dot",
    "inspect": "show what a model is, takes and costs: inputs, operators, parameters, memory, MACs",
    "gmac": "count the multiply-accumulate operations of a model, and the memory of its tensors",
    "diff": "show what differs between two models of any formats, as text or as a page with both",
    "compare": "run two models of any formats on the same inputs, and find the first tensor that differs",
    "ops": "list what conversions support, or what a model needs and they lack, with a plugin to complete",
    "quantize": "make a model of 8 or 16 bits, with ranges from statistics or samples, and report the errors",
    "random_tensor": "make a tensor of random numbers",
    "image_tensor": "make a tensor of images",
    "generate": "fill an NNEF model folder with random weights and inputs",
    "cache": "show, limit or clear the cache that makes NNEF models load faster in onnxruntime",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    first = arguments[0] if arguments else None
    if first in COMMANDS:
        return run_command(first, arguments[1:])
    prepare_streams()
    return guarded(lambda _: _explain(first, arguments[1:]), argparse.Namespace(debug=False, json=False))


def _explain(first: str | None, rest: Sequence[str]) -> int:
    """Prints the help, the version or a script for a shell, or an error about the first argument."""
    if first in ("-h", "--help"):
        print(_help())
        return 0
    if first in ("-V", "--version"):
        print(f"nnef-tools {__version__}")
        return 0
    if first == "--print-completion":
        from .completion import completion_script

        print(completion_script(rest[0] if rest else None, COMMANDS))
        return 0
    if first is None:
        print(_help(), file=sys.stderr)
        return UsageError.exit_code
    import difflib  # many modules, for what is rare

    similar = difflib.get_close_matches(first, COMMANDS, n=1)
    hint = f"did you mean '{similar[0]}'?" if similar else f"commands: {', '.join(COMMANDS)}"
    print_error(UsageError(f"unknown command '{first}'", hint=hint))
    return UsageError.exit_code


def run_command(name: str, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Runs one subcommand and returns the exit status. prog: the command as the user typed it, for messages."""
    arguments = sys.argv[1:] if argv is None else argv
    module = import_module(f".{name.replace('-', '_')}", __package__)

    def run(_: argparse.Namespace) -> int:
        try:
            args = module.build_parser(prog or f"nnef-tools {name}").parse(arguments)
        except SystemExit as stop:  # raised by argparse after --help
            return int(stop.code or 0)
        status: int = module.main(args)
        return status

    prepare_streams()
    return guarded(run, argparse.Namespace(debug="--debug" in arguments, json="--json" in arguments))


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return f"""usage: nnef-tools COMMAND [options]

Convert and run Khronos NNEF neural network models.

commands:
{commands}

`nnef-tools COMMAND --help` explains a command; `--version` prints the version;
`--print-completion bash` (zsh, tcsh) a script that completes commands and options.

{EXIT_CODES}"""


if __name__ == "__main__":
    sys.exit(main())

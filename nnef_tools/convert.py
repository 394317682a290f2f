"""`python -m nnef_tools.convert` is `nnef-tools convert`; `main(args)` takes its parsed arguments."""

import sys

from .cli.convert import build_parser, main
from .cli.main import run_command

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("convert", prog="python -m nnef_tools.convert"))

"""Makes `python -m nnef_tools.convert` the same as `nnef-tools convert`; `main(args)` takes parsed arguments."""

import sys

from .cli.convert import build_parser, main
from .cli.main import run_command

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("convert", prog="python -m nnef_tools.convert"))

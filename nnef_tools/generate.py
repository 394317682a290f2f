"""Makes `python -m nnef_tools.generate` the same as `nnef-tools generate`; `main(args)` takes parsed arguments."""

import sys

from .cli.generate import build_parser, main
from .cli.main import run_command

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("generate", prog="python -m nnef_tools.generate"))

"""Makes `python -m nnef_tools.visualize` the same as `nnef-tools visualize`; `main(args)` takes parsed arguments."""

import sys

from .cli.main import run_command
from .cli.visualize import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("visualize", prog="python -m nnef_tools.visualize"))

"""Makes `python -m nnef_tools.random_tensor` the same as `nnef-tools random_tensor`; `main` takes its arguments."""

import sys

from .cli.main import run_command
from .cli.random_tensor import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("random_tensor", prog="python -m nnef_tools.random_tensor"))

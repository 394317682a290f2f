"""Makes `python -m nnef_tools.quantize` the same as `nnef-tools quantize`; `main(args)` takes parsed arguments."""

import sys

from .cli.main import run_command
from .cli.quantize import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("quantize", prog="python -m nnef_tools.quantize"))

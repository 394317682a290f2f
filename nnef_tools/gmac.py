"""Makes `python -m nnef_tools.gmac` the same as `nnef-tools gmac`; `main(args)` takes parsed arguments."""

import sys

from .cli.gmac import build_parser, main
from .cli.main import run_command

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("gmac", prog="python -m nnef_tools.gmac"))

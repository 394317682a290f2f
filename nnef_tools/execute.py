"""Makes `python -m nnef_tools.execute` the same as `nnef-tools execute`; `main(args)` takes parsed arguments."""

import sys

from .cli.execute import build_parser, main
from .cli.main import run_command

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("execute", prog="python -m nnef_tools.execute"))

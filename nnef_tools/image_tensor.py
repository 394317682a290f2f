"""Makes `python -m nnef_tools.image_tensor` the same as `nnef-tools image_tensor`; `main(args)` takes its arguments."""

import sys

from .cli.image_tensor import build_parser, main
from .cli.main import run_command

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(run_command("image_tensor", prog="python -m nnef_tools.image_tensor"))

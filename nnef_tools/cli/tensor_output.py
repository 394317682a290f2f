"""The output of commands that make one tensor: a file, or standard output if that is no terminal."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .paths import check_output, file_name, is_output
from .render import note, print_json, print_result, standard_output

if TYPE_CHECKING:
    from ..execution.executor import Array

DTYPES = (
    *(
        "float32",
        "float64",
        "float16",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
    ),
)


def add_output(group: Any) -> None:
    """Adds the option for the file."""
    group.add_argument(
        "--output", metavar="FILE", help="file to write: .dat, .npy or .npz (default: .dat to standard output)"
    )


def check_target(args: argparse.Namespace) -> None:
    """Raises UsageError if the tensor has nowhere to go; before it is made."""
    check_output({"--output": file_name(args.output)}, *["--json"] * args.json)
    if args.output is None and args.json:
        raise UsageError("the tensor and --json cannot both go to standard output", hint="give --output FILE")
    if args.output is None and sys.stdout.isatty():
        raise UsageError("Output must be piped", hint="or give --output FILE")


def write_output(args: argparse.Namespace, array: Array, schema: str) -> None:
    """Writes the tensor, and says so. FileError, UsageError."""
    from ..execution.feeds.array_files import write_arrays
    from ..language.tensor_file import write_tensor

    path = file_name(args.output)
    if path is None or is_output(path):
        with standard_output() as stream:
            write_tensor(stream.buffer, array)
        return
    write_arrays(path, {"tensor": array})
    if args.json:
        facts = {"dtype": array.dtype.name, "shape": list(array.shape), "written": [path]}
        print_json({"schema": schema, "status": "ok", **facts})
        return
    print_result(f"Written {path}")
    if args.verbose:
        note(f"{array.dtype.name} {list(array.shape)}")

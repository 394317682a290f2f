"""The command line, run in this process or in another one."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nnef_tools
from nnef_tools.cli.main import main

ROOT = Path(nnef_tools.__file__).parents[1]
"""The folder of the package, for the search path of other processes."""

Run = Callable[..., tuple[int, str, str]]
Done = subprocess.CompletedProcess[bytes]


def runner(capfd: pytest.CaptureFixture[str]) -> Run:
    """A function that runs `nnef-tools` with arguments: its status, what it prints on standard output and on error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return (status, *capfd.readouterr())

    return run


def run_module(module: str, *arguments: str, folder: Path, stdin: bytes = b"") -> Done:
    """Runs `python -m nnef_tools.MODULE` with arguments in a folder."""
    command = [sys.executable, "-m", f"nnef_tools.{module}", *arguments]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, input=stdin, capture_output=True, check=False
    )


def shell(line: str, *, folder: Path | None = None, **environment: str) -> Done:
    """Runs a line of bash, in which NNEF is the command `nnef-tools`."""
    command = f'NNEF() {{ {shlex.quote(sys.executable)} -m nnef_tools "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

"""Scripts for shells that complete commands and options, made by shtab."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ..errors import MissingPackageError, UsageError

SHELLS = ("bash", "zsh", "tcsh")

_FILES = ("MODEL", "SOURCE", "TARGET", "FILE", "IMAGE", "FILE=", "NAME=FILE")
_FOLDERS = ("DIR",)


def completion_script(shell: str | None, commands: Mapping[str, str]) -> str:
    """The script for a shell. commands: name -> what it does. UsageError, MissingPackageError without shtab."""
    if shell not in SHELLS:
        raise UsageError(
            f"there is no completion for '{shell}'" if shell else "the shell is missing",
            hint=f"nnef-tools --print-completion {'|'.join(SHELLS)}",
        )
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise MissingPackageError("shtab", "for the completion of shells", "completion") from error
    kinds = {**dict.fromkeys(_FILES, shtab.FILE), **dict.fromkeys(_FOLDERS, shtab.DIRECTORY)}
    script: str = shtab.complete(_whole_parser(commands, kinds), shell)
    return script


def _whole_parser(commands: Mapping[str, str], kinds: Mapping[str, Any]) -> argparse.ArgumentParser:
    """A parser of all commands, in which arguments that are files are marked. kinds: metavar -> mark."""

    def made(prog: str, **_: Any) -> argparse.ArgumentParser:
        module = import_module(f".{prog.split()[-1].replace('-', '_')}", __package__)
        parser: argparse.ArgumentParser = module.build_parser(prog)
        for action in parser._actions:
            kind = kinds.get(str(action.metavar).partition("..")[0])
            if kind is not None and action.nargs != 0:
                action.complete = kind  # type: ignore[attr-defined]  # an attribute that shtab reads
        return parser

    whole = argparse.ArgumentParser("nnef-tools", description="Convert, run and inspect neural network models.")
    whole.add_argument("--version", action="store_true", help="print the version")
    subparsers: Any = whole.add_subparsers(parser_class=made)  # type: ignore[call-overload]
    for name, what in commands.items():
        subparsers.add_parser(name, help=what)
    return whole

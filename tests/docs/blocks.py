"""The code blocks of a page, and how its commands are run.

A comment in the line before a block says what it is for:

* `<!-- file: NAME -->`: the contents of a file
* `<!-- run -->`, `<!-- run: STATUS -->`: a shell script or Python program that ends with status 0, or that one
* `<!-- output -->`: what the last run prints. Numbers may differ; `...` stands for any lines
* `<!-- model: NAME -->` (anywhere): the page needs the pre-trained model of the tutorial under this name
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_MARK = re.compile(r"<!-- (file|run|output|model)(?:: (\S+))? -->")
_FENCE = re.compile(r"\s*```(\w*)")
_NUMBER = re.compile(r"\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A code block. kind: of the comment before it, '' without one; argument: of that comment."""

    page: Path
    line: int
    kind: str
    argument: str
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages of the documentation."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    kind = argument = ""
    start: tuple[int, str] | None = None
    text: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if start is not None:
            if fence is None:
                text.append(line)
                continue
            yield Block(page, start[0], kind, argument, start[1], "\n".join(text) + "\n")
            kind, argument, start, text = "", "", None, []
        elif fence is not None:
            start = (number, fence[1])
        elif mark := _MARK.fullmatch(line.strip()):
            kind, argument = mark[1], mark[2] or ""
    assert start is None, f"{page}: a block is not closed"


def needed_model(page: Path) -> str | None:
    """The name under which the page needs the pre-trained model."""
    found = [mark[2] for mark in _MARK.finditer(page.read_text("utf-8")) if mark[1] == "model"]
    return found[0] if found else None


def run_page(page: Path, folder: Path) -> None:
    """Does what a page says in an empty folder. AssertionError, with the place, if something else comes out."""
    tools = folder / ".tools"
    tools.mkdir()
    for name, arguments in (("python", ""), ("nnef-tools", "-m nnef_tools ")):
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:."}
    printed = ""
    for block in blocks(page):
        if block.kind == "file":
            (folder / block.argument).write_text(block.text, "utf-8")
        elif block.kind == "run":
            command = ["sh", "-e", "-c"] if block.language == "sh" else [sys.executable, "-c"]
            done = subprocess.run(
                [*command, block.text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            printed = done.stdout.decode()
            assert done.returncode == int(block.argument or 0), f"{block.place}: {printed}"
        elif block.kind == "output":
            check_output(block, printed)


def check_output(block: Block, printed: str) -> None:
    """Compares an output block with what was printed."""
    found = [_plain(line) for line in printed.splitlines()]
    position, skipping = 0, False
    for line in block.text.splitlines():
        if line.strip() == "...":
            skipping = True
            continue
        wanted = _plain(line)
        if skipping:
            assert wanted in found[position:], f"{block.place}: not printed: {line!r}\n{printed}"
            position = found.index(wanted, position)
        assert found[position : position + 1] == [wanted], f"{block.place}: expected {line!r}, printed:\n{printed}"
        position, skipping = position + 1, False
    assert skipping or position == len(found), f"{block.place}: more is printed:\n{printed}"


def _plain(line: str) -> str:
    """The line with numbers alike, and columns as wide as they need to be."""
    return re.sub(r"\s+", " ", _NUMBER.sub("0", line)).strip()

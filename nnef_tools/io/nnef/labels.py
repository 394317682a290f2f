"""Labels of variables and the files that they name (section 1.2 of the digest of the standard)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...errors import FormatError

_LEGAL = re.compile(r"[A-Za-z0-9_\-./\\]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_\-./]+")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_LONGEST_PART = 200  # file systems take 255 bytes, and a number and a suffix may follow
_FILES = ("graph.nnef", "graph.quant", "nnef_tools.json")


def label_file(label: str) -> str:
    """The file of a label, relative to the model folder: `/conv1\\w` -> `conv1/w.dat`.

    Leading slashes are stripped, since exporters write them. FormatError if the label is empty, has other characters
    than the standard allows, or would lead out of the folder.
    """
    if not _LEGAL.fullmatch(label):
        raise FormatError(
            f"'{label}' cannot be the label of a variable", hint="labels consist of letters, digits and _ - . / \\"
        )
    parts = [part for part in label.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise FormatError(f"label '{label}' leads out of the model folder")
    return "/".join(parts) + ".dat"


def label_key(label: str) -> str:
    """Equal for labels that name the same storage: upper and lower case make no difference."""
    return label_file(label).lower()


def legal_label(name: str) -> str:
    """A label like `name`, whose file has that name as path: `conv0.weight`, `layer/kernel`; '' if nothing is left.

    Other characters become `_`. Parts that lead elsewhere, or mean something to some system (`..`, `aux`), are changed.
    """
    parts = [_legal_part(part) for part in _ILLEGAL.sub("_", name).split("/")]
    return "/".join(part for part in parts if part)


def _legal_part(part: str) -> str:
    part = part.strip(".")[:_LONGEST_PART].rstrip(".")
    return f"_{part}" if _DEVICES.fullmatch(part) or part.lower() in _FILES else part


class FreshLabels:
    """Labels like the names that are wanted, each with a file of its own, also where case makes no difference."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last number given to each stem
        for label in taken:
            self._take(label.replace("\\", "/").strip("/"))

    def __call__(self, name: str | None) -> str:
        """The label for that name: itself as far as it is legal, with a number behind it where that is taken."""
        stem = legal_label(name or "")
        if any(folder in self._files for folder in _parents(stem.lower())):
            stem = stem.replace("/", "_")  # a number would not help
        label = stem
        while not label or not self._is_free(label):
            number = self._numbers[stem] = self._numbers.get(stem, 0) + 1
            label = f"{stem}_{number}" if stem else f"variable{number}"
        self._take(label)
        return label

    def _is_free(self, label: str) -> bool:
        file = f"{label.lower()}.dat"
        return file not in self._files and file not in self._folders

    def _take(self, label: str) -> None:
        file = f"{label.lower()}.dat"
        self._files.add(file)
        self._folders.update(_parents(file))


def _parents(file: str) -> Iterator[str]:
    """The folders that a file is in: `a/b/c` is in `a/b` and `a`."""
    while "/" in file:
        file = file.rpartition("/")[0]
        yield file

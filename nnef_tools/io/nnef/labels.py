"""Labels of variables and the files that they name (section 1.2 of the digest of the standard)."""

from __future__ import annotations

import re

from ...errors import FormatError

_LEGAL = re.compile(r"[A-Za-z0-9_\-./\\]+")


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

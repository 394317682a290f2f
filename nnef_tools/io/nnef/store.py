"""Writes the files of a model to a folder or a compressed archive: complete or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ...errors import FormatError
from ..files import create_file, replace_file, replace_folder
from .labels import label_file
from .model_files import GRAPH, QUANTIZATION, SIDECAR

_LABEL = re.compile(r"""\blabel\s*=\s*(?:'([^'\n]*)'|"([^"\n]*)")""")


class NewFile(NamedTuple):
    """A file to be written. size: bytes that `write` puts into the stream it is given."""

    size: int
    write: Callable[[BinaryIO], object]

    @classmethod
    def of(cls, content: bytes) -> NewFile:
        """A file with these contents."""
        return cls(len(content), lambda stream: stream.write(content))


def write_folder(path: Path, files: Mapping[str, NewFile]) -> None:
    """Writes a model folder; of a model that is there already, the files that are not needed any more are removed."""
    with replace_folder(path, owned=_previous(path), main=GRAPH) as folder:
        for name, file in sorted(files.items()):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with create_file(target) as stream:
                file.write(stream)


def write_archive(path: Path, files: Mapping[str, NewFile], level: int) -> None:
    """Writes a .tgz with the files at its root, in the order of their names; the same files give the same bytes."""
    from ..archive import TarWriter, gzip_stream  # imports many modules

    with replace_file(path) as stream, gzip_stream(stream, level) as compressed:
        archive = TarWriter(compressed)
        for name, file in sorted(files.items()):
            with archive.member(name, file.size) as member:
                file.write(member)
        archive.close()


def _previous(path: Path) -> Iterator[str]:
    """The files that the model in a folder consists of, without trusting it."""
    graph = path / GRAPH
    if graph.is_file():
        yield from (GRAPH, QUANTIZATION, SIDECAR)
        with graph.open("rb") as file:
            text = file.read(os.fstat(file.fileno()).st_size).decode("latin-1")
        for single, double in _LABEL.findall(text):
            with suppress(FormatError):
                yield label_file(single or double)

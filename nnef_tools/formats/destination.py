"""The place that a conversion writes to: its path, its format, and the call of the writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import FileError, UsageError
from ..io.files import check_path, is_stream, lock, named_as, staging_path
from ..model import Graph
from . import NNEF, Format, detect_output, find_format, has_suffix, make_writer

DEFAULT_COMPRESSION = 1


class Written(NamedTuple):
    """The result of writing. paths: of what was written, the model itself first. warnings: of the writer."""

    paths: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def target_format(path: str | PathLike[str] | None, name: str | None = None) -> Format:
    """The format to write: the named one, or the one that the path shows, or NNEF. UsageError if it is not clear."""
    if name:
        return find_format(name)
    return NNEF if path is None else detect_output(Path(path))


class Destination(NamedTuple):
    """A file or folder that is to be written. compression: level of an NNEF archive, None for anything else."""

    path: Path
    format: Format
    compression: int | None = None

    @classmethod
    def of(
        cls,
        path: str | PathLike[str] | None,
        source: Path,
        format_name: str | None = None,
        compress: int | None = None,
    ) -> Destination:
        """The destination that the options of a call describe.

        Without a path it is the source's, with the suffix of the format, which is NNEF by default. UsageError if the
        format is not clear or cannot be compressed, FileError for an impossible path.
        """
        format = target_format(path, format_name)
        path = Path(f"{source}{format.suffixes[0]}" if path is None else path)
        check_path(path)
        if not format.archive_suffixes:
            if compress is not None:
                raise UsageError(f"only {NNEF.title} models are compressed, not {format.title}")
            return cls(path, format)
        if has_suffix(path, (".tar",)):
            message = f"{format.title} archives are written compressed, as {format.archive_suffixes[0]}"
            raise UsageError(message, where=str(path))
        archived = has_suffix(path, format.archive_suffixes)
        if compress is None and not archived:
            if is_stream(path):
                raise UsageError(
                    f"an {format.title} folder cannot be written to a stream", where=str(path), hint="--compress"
                )
            return cls(path, format)
        level = DEFAULT_COMPRESSION if compress is None else compress
        if level not in range(10):
            raise UsageError(f"the compression level is 0 to 9, not {level}")
        return cls(path if archived or is_stream(path) else Path(f"{path}{format.archive_suffixes[0]}"), format, level)

    def write(self, graph: Graph, **options: Any) -> Written:
        """Writes the graph completely, or leaves everything as it was. FileError, FormatError.

        options: passed to the writer of the format. UsageError if it has no such option.
        """
        if self.format.archive_suffixes:
            options["compression"] = self.compression
        writer = make_writer(self.format, **options)
        writer(graph, str(self.path))
        return Written(tuple(getattr(writer, "files", (self.path,))), tuple(getattr(writer, "warnings", ())))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps others from writing the destination, for as long as the block lasts. FileError if another one does."""
        if is_stream(self.path):
            yield
            return
        with lock(self.path):
            yield

    @contextmanager
    def elsewhere(self) -> Iterator[Destination]:
        """The same destination in a temporary folder, for as long as the block lasts. FileError.

        The folder is on the same file system, unless the target is a stream.
        """
        import shutil  # many modules, for what is rare
        import tempfile

        if is_stream(self.path):
            suffix = self.format.suffixes[1 if self.compression is not None else 0]
            folder, name = Path(tempfile.mkdtemp(prefix="nnef-tools-")), f"{self.path.name}{suffix}"
        else:
            place = next(folder for folder in self.path.absolute().parents if folder.is_dir())
            folder, name = staging_path(place / self.path.name), self.path.name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FileError(f"cannot write: {error.strerror} ('{folder.parent}')", where=str(self.path)) from error
        try:
            with named_as(trial := folder / name, self.path):
                yield self._replace(path=trial)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

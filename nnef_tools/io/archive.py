"""Tar archives, plain or compressed with gzip: read member by member, and written reproducibly.

An archive is recognized by its content. It is never unpacked into the file system to be read: members are views of one
read-only map of the tar data, that is of the file itself, or of an anonymous temporary file that it is decompressed to.
"""

from __future__ import annotations

import gzip
import mmap
import os
import stat
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Union, cast

from ..errors import FileError, FormatError
from .plain_file import plain_file

PathLike = Union[str, "os.PathLike[str]"]

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc": "7z",
}
_BLOCK = 1 << 20
_MAX_MEMBERS = 100_000
_MIN_LIMIT = 1 << 28
_MAX_RATIO = 100


def read_archive(path: PathLike) -> dict[str, memoryview]:
    """The files of a .tar, .tar.gz or .tgz by name, as read-only views that take no memory until they are used.

    Names are relative, with `/`; folders are left out. FormatError if it is not such an archive, or one that cannot be
    trusted: absolute or `..` names, links, devices, two members of one name, sizes that do not fit, or more than 100
    times (and 256 MiB) as large as its compressed form. FileError if the file cannot be read.
    """
    where = os.fspath(path)
    with plain_file(Path(where)) as file:
        data = _map(file, where)
        if data[:2] == _GZIP:
            data = _decompress(file, len(data), where)
    return _members(data, where)


def extract_archive(path: PathLike, folder: PathLike) -> None:
    """Writes the files of an archive into a folder, which is created. Errors as for `read_archive`; nothing is written
    outside of the folder, also not through symbolic links that are in it."""
    members = read_archive(path)
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, content in members.items():
            target = root / name
            for part in (*reversed(target.relative_to(root).parents[:-1]), target.relative_to(root)):
                if (root / part).is_symlink():
                    raise FileError(f"cannot extract '{name}': '{part}' is a symbolic link", where=str(root))
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for start in range(0, len(content), _BLOCK):
                    file.write(content[start : start + _BLOCK])
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot extract: {error.strerror or error}", where=error.filename or str(root)) from error


class TarWriter:
    """Writes members one after the other to a binary stream. Contents alone decide the bytes: no times, no owners."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0

    @contextmanager
    def member(self, name: str, size: int) -> Iterator[BinaryIO]:
        """Gives the stream, to which exactly `size` bytes have to be written."""
        info = tarfile.TarInfo(name)
        info.size = size
        info.mode = 0o644
        self._put(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        counted = _Counted(self._stream)
        yield cast(BinaryIO, counted)
        if counted.count != size:
            raise FileError(f"'{name}' changed its size while it was written")
        self._size += size
        self._put(bytes(-size % tarfile.BLOCKSIZE))

    def close(self) -> None:
        """Writes the end mark; the stream stays open."""
        self._put(bytes(2 * tarfile.BLOCKSIZE))
        self._put(bytes(-self._size % tarfile.RECORDSIZE))

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._size += len(data)


class _Counted:
    """A binary stream for a writer, which counts the bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def write(self, data: bytes) -> int:
        written = self._stream.write(data)
        self.count += written
        return written


@contextmanager
def gzip_stream(stream: BinaryIO, level: int) -> Iterator[BinaryIO]:
    """A stream that compresses into another one (level 0 to 9); the same data gives the same bytes."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=stream, mtime=0) as compressed:
        yield cast(BinaryIO, compressed)


def pack_folder(folder: PathLike, stream: BinaryIO, level: int) -> None:
    """Writes all files of a folder as a gzip-compressed tar archive with sorted members at the root.

    FileError if something cannot be read, or is neither a file nor a folder. Other OSErrors are those of the stream.
    """
    root = Path(folder)
    with _reading(root):
        files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*")) if not _is_folder(file)}
    with gzip_stream(stream, level) as compressed:
        writer = TarWriter(compressed)
        for name in sorted(files):
            with _reading(files[name]):
                source = files[name].open("rb")
            with source, writer.member(name, os.fstat(source.fileno()).st_size) as member:
                for block in _blocks(source, files[name]):
                    member.write(block)
        writer.close()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot pack: {error.strerror or error}", where=error.filename or str(path)) from error


def _blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while True:
        with _reading(path):
            block = file.read(_BLOCK)
        if not block:
            return
        yield block


def _is_folder(path: Path) -> bool:
    mode = path.lstat().st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise FileError("cannot pack: it is neither a file nor a folder", where=str(path))
    return stat.S_ISDIR(mode)


def _map(file: BinaryIO, where: str) -> mmap.mmap:
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise FormatError("the archive is empty", where=where) from None


def _decompress(file: BinaryIO, size: int, where: str) -> mmap.mmap:
    import tempfile  # the import takes milliseconds, and few models are compressed

    limit = max(_MIN_LIMIT, _MAX_RATIO * size)
    total = 0
    with tempfile.TemporaryFile() as spool:
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                while block := stream.read(_BLOCK):
                    total += len(block)
                    if total > limit:
                        raise FormatError(
                            f"the archive grows to more than {limit} bytes from {size}, which looks like an attack",
                            where=where,
                            hint="unpack it with tar and give the folder, if you trust it",
                        )
                    spool.write(block)
        except (zlib.error, EOFError, gzip.BadGzipFile, struct.error) as error:
            raise FormatError(f"the gzip data is damaged: {error}", where=where) from error
        spool.flush()
        return _map(spool, where)


def _members(data: mmap.mmap, where: str) -> dict[str, memoryview]:
    for magic, kind in _OTHERS.items():
        if data[: len(magic)] == magic:
            raise FormatError(f"{kind} files are not supported", where=where, hint="use a folder, .tar or .tgz")
    view = memoryview(data)
    members: dict[str, memoryview] = {}
    for info in _headers(data, where):
        if info.isdir():
            continue
        name = _safe_name(info.name, where)
        if not info.isreg() or info.issparse():
            raise FormatError(f"member '{name}' is a link or special file, which a model cannot have", where=where)
        if name in members:
            raise FormatError(f"there are two members '{name}'", where=where)
        if not 0 <= info.size <= len(view) - info.offset_data:
            raise FormatError(f"member '{name}' is cut off", where=where)
        members[name] = view[info.offset_data : info.offset_data + info.size]
    return members


def _headers(data: mmap.mmap, where: str) -> Iterator[tarfile.TarInfo]:
    # The map as a file: a read of any claimed size stops at the end of the map.
    count = 0
    try:
        with tarfile.open(fileobj=data, mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or they would all be kept
                count += 1
                if count > _MAX_MEMBERS:
                    raise FormatError(f"the archive has more than {_MAX_MEMBERS} members", where=where)
                yield info
    except FormatError:
        raise
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, struct.error, MemoryError) as error:
        raise FormatError(f"not a tar archive, or a damaged one: {error}", where=where) from error


def _safe_name(name: str, where: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    if path.is_absolute() or ".." in path.parts or drive or not path.parts:
        raise FormatError(f"member '{name}' would be outside of the model", where=where)
    return path.as_posix()


def below_top_folder(members: Mapping[str, memoryview], main: str) -> dict[str, memoryview]:
    """The members by name, relative to the folder that holds the file `main`: the root, or the one top folder."""
    if main in members:
        return dict(members)
    tops = [name for name in members if name.count("/") == 1 and name.endswith(f"/{main}") and name[0] != "."]
    if len(tops) != 1:
        return dict(members)
    prefix = tops[0][: -len(main)]
    return {name[len(prefix) :]: content for name, content in members.items() if name.startswith(prefix)}

"""Files that hold arrays, by suffix: NNEF's `.dat`, numpy's `.npy` and `.npz`, sounds and images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...budget import ask_items
from ...errors import FileError, FormatError, NnefToolsError, UsageError
from ...io.files import replace_file
from ...language.tensor_file import read_tensor, write_tensor
from ..executor import Array

DAT, NPY, NPZ, WAV = ".dat", ".npy", ".npz", ".wav"
ARRAY_FILES = (DAT, NPY, NPZ)

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
"""Suffixes of files that are read as images."""

_KINDS = "biuf"


def suffix_of(path: str | Path) -> str:
    """The suffix in lower case, which tells what kind of file it is."""
    return Path(path).suffix.lower()


def is_image(path: str | Path) -> bool:
    """Is the file an image, by its suffix?"""
    return suffix_of(path) in IMAGES


def read_array(path: str | Path, name: str) -> Array:
    """The array in a `.dat`, `.npy` or `.npz` file. name: which one, of an archive with several.

    FileError, FormatError, LimitError; UsageError for another suffix, or an archive without that array.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("there is no such file", where=str(path))
    if suffix_of(path) == DAT:
        return read_tensor(str(path))[0]
    if suffix_of(path) == NPZ:
        return _from_archive(path, name)
    if suffix_of(path) != NPY:
        known = ", ".join((DAT, NPY, NPZ, WAV, *IMAGES))
        raise UsageError(f"cannot tell what kind of file '{path}' is", hint=f"use one of the suffixes {known}")
    with _numpy_errors(path):  # a map is as large as the file, whatever the header says
        return _checked(np.load(path, mmap_mode="r", allow_pickle=False), path)


def write_arrays(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Writes a file by its suffix: one array to `.dat` and `.npy`, any number to `.npz`. FileError, UsageError."""
    kind = suffix_of(path)
    if kind not in (DAT, NPY, NPZ):
        raise UsageError(
            f"cannot tell what kind of file '{path}' is", hint=f"use one of the suffixes {DAT}, {NPY}, {NPZ}"
        )
    if kind != NPZ and len(arrays) != 1:
        raise UsageError(f"'{path}' holds one array, there are {len(arrays)}", hint=f"give a folder, or a {NPZ} file")
    with replace_file(path) as stream:
        if kind == NPZ:
            _write_archive(stream, arrays)
        else:
            write_array(stream, next(iter(arrays.values())), kind)


def write_array(stream: BinaryIO, array: Array, kind: str) -> None:
    """Writes one array as `.dat` or `.npy`."""
    if kind == NPY:
        np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
    else:
        write_tensor(stream, array)


def _write_archive(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Writes an uncompressed `.npz`, in which the same arrays give the same bytes."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}{NPY}"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _from_archive(path: Path, name: str) -> Array:
    with _numpy_errors(path), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(NPY): info for info in archive.infolist()}
        names = (name, name.removesuffix(":0"))  # TensorFlow's full names have a suffix
        info = next((members[key] for key in names if key in members), None)
        if info is None and len(members) == 1:
            info = next(iter(members.values()))
        if info is None:
            some = ", ".join(map(repr, list(members)[:8])) or "nothing"
            raise UsageError(f"the archive has no array '{name}'", where=str(path), hint=f"it has {some}")
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(member)
        ask_items(prod(shape), "the array")
        if dtype.kind in _KINDS and not 0 <= prod(shape) * dtype.itemsize <= info.file_size:
            raise FormatError("the array is shorter than its header says", where=str(path))
        with archive.open(info) as member:
            return _checked(np.lib.format.read_array(member, allow_pickle=False), path)


def _checked(array: Array, path: Path) -> Array:
    if array.dtype.kind not in _KINDS:
        raise FormatError(f"the array has items of type {array.dtype}, not numbers", where=str(path))
    return np.asarray(array)


@contextmanager
def _numpy_errors(path: Path) -> Iterator[None]:
    """Context manager that makes FormatErrors of what numpy and zipfile raise for damaged files."""
    try:
        yield
    except NnefToolsError as error:
        error.where = error.where or str(path)
        raise
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except Exception as error:  # numpy parses headers as Python literals, which may raise anything
        reason: Any = str(error).partition("\n")[0][:200]
        raise FormatError(f"the file is damaged: {reason}", where=str(path)) from error

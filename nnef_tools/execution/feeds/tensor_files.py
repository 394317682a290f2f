"""Files for the tensors in a folder: their names, and the writing of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

from ...errors import FileError, UsageError
from ...io.files import create_file, replace_folder
from ..executor import Array
from .array_files import DAT, NPY, suffix_of, write_array


def tensor_files(names: Iterable[str]) -> dict[str, str]:
    """The file of each name, relative to the folder: `<name>.dat`, or the name itself if it ends with `.npy`.

    Slashes in the name make sub-folders.

    UsageError for a name that cannot be a file name or leads out of the folder, and for two names with the same file.
    """
    files: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        file = files[name] = tensor_file(name)
        owner = owners.setdefault(file, name)
        if owner != name:
            raise UsageError(
                f"tensors '{owner}' and '{name}' would have the same file '{file}'",
                hint="give them other file names: {'tensor': 'file name'}",
            )
    return files


def tensor_file(name: str) -> str:
    """The file for one name, see `tensor_files`."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in name:
        raise UsageError(f"'{name}' cannot be the name of a file", hint="{'tensor': 'file name'} gives it another one")
    path = "/".join(parts)
    return path if suffix_of(path) == NPY else path + DAT


def write_tensors(folder: str | PathLike[str], outputs: Mapping[str, Array]) -> list[str]:
    """Writes arrays, by relative file name, to a folder and returns the paths. On an error nothing is written.

    FileError if that is not possible, also if two names are the same file because the file system ignores case.
    """
    with replace_folder(folder) as staged:
        for file, array in outputs.items():
            path = staged / file
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with create_file(path) as stream:
                    write_array(stream, array, suffix_of(path))
            except FileExistsError as error:
                raise FileError(
                    f"cannot write '{file}': another tensor has a file of that name on this file system",
                    where=str(folder),
                ) from error
    return [str(Path(folder) / file) for file in outputs]

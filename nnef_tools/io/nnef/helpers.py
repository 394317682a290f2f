"""Model folders to `.tgz` archives and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from ...errors import FileError
from ..archive import extract_archive, pack_folder
from ..files import replace_file

PathLike = Union[str, "os.PathLike[str]"]


def tgz_compress(dir_path: PathLike, file_path: PathLike, compression_level: int = 0) -> None:
    """Packs the files of a folder into a gzip-compressed tar archive, at its root; the same files give the same bytes.

    compression_level: 0 (stored) to 9. Missing parent folders are created. FileError if that is not possible.
    """
    if not Path(dir_path).is_dir():
        raise FileError("cannot pack: it is not a folder", where=os.fspath(dir_path))
    with replace_file(file_path) as stream:
        pack_folder(dir_path, stream, compression_level)


def tgz_extract(file_path: PathLike, dir_path: PathLike) -> None:
    """Unpacks a tar archive, compressed or not, into a folder, and never outside of it.

    FormatError if the archive is damaged or has links, devices, or names that lead out.
    """
    extract_archive(file_path, dir_path)

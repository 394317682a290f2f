"""Files read through memory maps."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .plain_file import plain_file

Bytes = npt.NDArray[np.uint8]

# Smaller files are read: that is cheaper than a map, and takes no file descriptor (some models have a file per tensor).
_MAPPED_SIZE = 1 << 20


def read_file(path: Path) -> Bytes:
    """The bytes of a file, read-only; memory-mapped if it is large. Raises FileError."""
    with plain_file(path) as file:
        if os.fstat(file.fileno()).st_size >= _MAPPED_SIZE:
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        return np.frombuffer(file.read(), np.uint8)


def release_pages(data: memoryview | npt.NDArray[Any]) -> None:
    """Gives back the memory of the mapped file that the data are a view of, until they are read again."""
    owner: Any = data
    while not isinstance(owner, mmap.mmap) and owner is not None:
        owner = getattr(owner, "base", None) if isinstance(owner, np.ndarray) else getattr(owner, "obj", None)
    if owner is not None and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)

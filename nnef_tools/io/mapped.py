"""Files read through memory maps."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

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

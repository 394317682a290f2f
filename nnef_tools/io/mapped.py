"""Files read through memory maps."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FileError

Bytes = npt.NDArray[np.uint8]

# Smaller files are read: that is cheaper than a map, and takes no file descriptor (some models have a file per tensor).
_MAPPED_SIZE = 1 << 20


def read_file(path: Path) -> Bytes:
    """The bytes of a file, read-only; memory-mapped if it is large. Raises FileError."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size >= _MAPPED_SIZE:
                return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
            return np.frombuffer(file.read(), np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FileError(f"cannot read the file: {reason}", where=str(path)) from error

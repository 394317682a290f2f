"""A bound on what is made of a file: parts of it may refer to the same place, so that little says a lot."""

from __future__ import annotations

from ....errors import FormatError


class Budget:
    """Bounds the number of items, or of bytes, that are made of a file of some size.

    factor: how many of each byte. least: how many of a file of any size.
    """

    def __init__(self, size: int, factor: int = 1, least: int = 1 << 16) -> None:
        self._factor = factor
        self._left = least + factor * size

    def allow(self, size: int) -> None:
        """Adds another file."""
        self._left += self._factor * size

    def spend(self, amount: int) -> None:
        """Counts something before it is made. FormatError if that is more than files of the size have."""
        self._left -= amount
        if self._left < 0:
            raise FormatError("the file is damaged: what it says is out of proportion to its size")

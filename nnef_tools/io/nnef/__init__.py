"""NNEF models: reading and writing."""

from .reader import Reader
from .writer import Writer

__all__ = ["Reader", "Writer"]

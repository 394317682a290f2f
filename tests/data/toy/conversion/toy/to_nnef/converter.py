"""Toy to NNEF: the converter."""

from __future__ import annotations

from importlib import import_module

from ...engine.to_nnef import ConverterToNNEF
from . import FAMILIES

for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")


class Converter(ConverterToNNEF):
    """Converts a graph of io.toy to NNEF."""

    dialect = "toy"

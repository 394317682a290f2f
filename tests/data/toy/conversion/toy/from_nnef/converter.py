"""NNEF to Toy: the converter."""

from __future__ import annotations

from importlib import import_module

from ....model import Graph
from ... import shared
from ...engine.from_nnef import ConverterFromNNEF
from ..building import ToyBuilder
from . import FAMILIES

for _package, _families in ((shared.__name__, shared.FAMILIES), (__package__, FAMILIES)):
    for _family in _families:
        import_module(f"{_package}.{_family}")


class Converter(ConverterFromNNEF):
    """Converts an NNEF graph to a graph of io.toy."""

    dialect = "toy"

    def _make_builder(self, graph: Graph) -> ToyBuilder:
        return ToyBuilder(graph)

"""Toy: a text file."""

from __future__ import annotations

from .format import Dialect, Format, Runtime, operation_types

TOY = Dialect(
    name="toy",
    title="Toy",
    owns=lambda graph: "sigm" in operation_types(graph),
    to_nnef="conversion.toy.to_nnef.converter:Converter",
    from_nnef="conversion.toy.from_nnef.converter:Converter",
)

FORMATS = (
    Format(
        name="toy",
        title="Toy",
        dialect=TOY,
        suffixes=(".toy",),
        reader="io.toy:Reader",
        writer="io.toy:Writer",
        runtimes=(Runtime("toy", "Toy", "execution.toy:ToyExecutor"),),
    ),
)

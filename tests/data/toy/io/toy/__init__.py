"""Toy files: `input x 2,3`, `relu y x`, `output y`, a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import FormatError
from ...model import Graph, Operation, Tensor
from ..files import replace_file


class Reader:
    """Reads a toy file."""

    def __call__(self, path: str, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
        """The graph. FormatError."""
        graph = Graph(Path(path).stem)
        tensors: dict[str, Tensor] = {}
        for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
            words = line.split()
            match words:
                case []:
                    pass
                case ["input", name, extents]:
                    tensors[name] = Tensor(graph, name, tuple(map(int, extents.split(","))), np.float32)
                    graph.inputs = [*graph.inputs, tensors[name]]
                case ["output", name]:
                    graph.outputs = [*graph.outputs, tensors[name]]
                case [type, name, *operands]:
                    tensors[name] = Tensor(graph, name, dtype=np.float32)
                    Operation(graph, type, inputs=tuple(tensors[x] for x in operands), outputs=(tensors[name],))
                case _:
                    raise FormatError("not a line of a toy file", where=f"{path}:{number}")
        return graph


class Writer:
    """Writes a toy file."""

    def __call__(self, graph: Graph, path: str) -> None:
        """FileError."""
        lines = [f"input {t.name} {','.join(map(str, t.shape or ()))}" for t in graph.inputs]
        lines += [f"{op.type} {op.output.name} {' '.join(str(t.name) for t in op.inputs)}" for op in graph.operations]
        lines += [f"output {t.name}" for t in graph.outputs]
        with replace_file(path) as file:
            file.write(("\n".join(lines) + "\n").encode())

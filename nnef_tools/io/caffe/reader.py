"""Reads Caffe's nets with their weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import FileError, FormatError
from ...model.graph import Graph
from .build import InputShapes, build_graph
from .parse import Net, parse_file

BINARY = ".caffemodel"
_MAX_SHOWN = 5


class Reader:
    """Reads a net (`.prototxt` with its `.caffemodel`, or a `.caffemodel` alone) into a Graph of the Caffe dialect.

    weights: the file with the weights of a `.prototxt`, by default one of the same name beside it, or else the only
    `.caffemodel` there is in the folder.

    The net is that of the phase TEST, in the level and the stages of its `state`. In the Graph, `op.type` is the type
    of the layer and `op.name` its name; `op.attribs` has the fields that its parameters set (`kernel_size`, `pad`):
    those of nested messages too, enumerations by name, shapes as lists; fields for training are left out. Inputs are
    the bottoms, followed by the weights, constants of float32 whose data are read-only views of the mapped file. A blob
    that layers change in place has a tensor for each of its values: `BLOB/LAYER` for all but the last one. Layers for
    data are inputs, losses and Accuracy left out, SoftmaxWithLoss and SigmoidCrossEntropyLoss the probabilities. The
    outputs are what no layer uses, in the order of their names, as in Caffe. Shapes are known of inputs and weights
    only.

    warnings: about the last file. files: what it consists of.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None) -> None:
        self._weights = None if weights is None else Path(weights)
        self.warnings: list[str] = []
        self.files: tuple[Path, ...] = ()

    def __call__(self, filename: str | os.PathLike[str], input_shapes: InputShapes | None = None) -> Graph:
        """input_shapes: input name -> extents, in place of those of the file (None keeps one).

        Raises FileError, FormatError if the files are not valid, UsageError for impossible input shapes.
        """
        path = Path(filename)
        self.files, self.warnings = (path,), []
        net = parse_file(path)
        weights = self._find_weights(path, net)
        try:
            graph, warnings = build_graph(net, weights, input_shapes or {})
        except FormatError as error:
            if error.where and error.where.startswith(str(path)):
                raise
            where = f"{path}: {error.where}" if error.where else str(path)
            details = (*error.details, *(f"{name} is not known" for name in net.unknown[:_MAX_SHOWN]))
            raise FormatError(error.message, details, where=where, hint=error.hint) from error
        except MemoryError as error:
            raise FileError("there is not enough memory to read the file", where=str(path)) from error
        self.warnings += warnings
        return graph

    def _find_weights(self, path: Path, net: Net) -> Net | None:
        """The net with the weights; None if there is no other file, or the net has its own."""
        file = self._weights
        if file is None:
            if net.blobs:
                return None
            beside = sorted(item for item in path.parent.iterdir() if item.suffix.lower() == BINARY)
            same = [item for item in beside if item.stem == path.stem]
            if not same and len(beside) > 1:
                self.warnings.append(f"several files could have the weights: {_listed(beside)}; none is taken")
            if not same and len(beside) != 1:
                return None
            file = (same or beside)[0]
            if not same:
                self.warnings.append(f"the weights are taken from '{file}', the only file with weights beside the net")
        self.files = (*self.files, file)
        return parse_file(file)


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(f"'{file.name}'" for file in files[:4]) + (", .." if len(files) > 4 else "")

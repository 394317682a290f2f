"""Writes GraphDef files, without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

from ....errors import FormatError, UsageError
from ....model.graph import Graph
from ...files import replace_file
from ...protobuf import encode
from ...protobuf.encode import size, write
from .encode import encode_graph
from .reader import MAX_SIZE


class Writer:
    """Writes a Graph of the TensorFlow dialect as a GraphDef in binary form.

    annotate_shapes: write the shapes of all results, as the attribute `_output_shapes` that tools look for.

    Nodes are named after the first result of their operation. Graph inputs without producer become Placeholder, other
    tensors with data Const nodes; attributes that follow from the types and numbers of inputs and outputs (T, N, ..)
    may be left out. Custom operations become PyFunc nodes, as composites are. Where an output of the graph would not
    be recognized as such, an Identity of its name is added. What no output needs is
    left out. Weights are written one by one, without a second copy.
    """

    def __init__(self, annotate_shapes: bool = True) -> None:
        self._annotate_shapes = annotate_shapes

    def __call__(self, graph: Graph, filename: str | os.PathLike[str]) -> None:
        """Raises FormatError for what a GraphDef cannot hold, FileError if the file cannot be written."""
        path = Path(filename)
        if path.suffix.lower() in (".pbtxt", ".keras", ".h5", ".hdf5"):
            raise UsageError(f"TensorFlow graphs are written in binary form only, not as {path.suffix}", hint="use .pb")
        chunks = [encode(message) for message in encode_graph(graph, self._annotate_shapes)]
        total = sum(map(size, chunks))
        if total > MAX_SIZE:
            raise FormatError(f"the graph has {total} bytes, but a TensorFlow graph can have {MAX_SIZE} at most")
        with replace_file(path) as file:
            for part in chunks:
                write(file, part)

"""Reads an NNEF model, a folder or an archive, into a graph of the NNEF dialect."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError, NnefToolsError, UsageError
from ...language.elaborate import build_graph
from ...language.gc_pause import paused_collector
from ...language.parser import KNOWN_EXTENSIONS, UnknownExtensions, parse_fragments, parse_head
from ...language.quant_file import parse_quantization
from ...language.tensor_file import ItemType, TensorHeader
from ...language.types import Fragment
from ...model import Graph, Operation
from ...model.dtypes import nnef_dtype
from ...model.facts import EXTENSIONS, FRAGMENTS
from ...model.facts_schema import facts_of_graph
from ...model.widths import facts_have_doubles, mark_doubles
from ...ops.fragments import foreign_fragments
from ...ops.library import Library
from ..files import read_consistently
from .labels import label_file
from .model_files import GRAPH, QUANTIZATION, SIDECAR, ModelFiles, PathLike, open_model
from .sidecar import parse_facts, size_limit

_SPATIAL_WINDOWS = ("conv", "deconv", "separable_conv", "separable_deconv")
_FULL_WINDOWS = (
    "box", "debox", "argmax_pool", "sample", "desample", "max_pool_with_index", "max_pool", "avg_pool", "rms_pool",
)  # fmt: skip

_SHOWN, _SHOWN_LENGTH = 5, 80  # of damaged facts in a warning, and of characters of each

_ITEMS = {
    "integer": (ItemType.UNSIGNED, ItemType.SIGNED, ItemType.QUANTIZED_UNSIGNED, ItemType.QUANTIZED_SIGNED),
    "logical": (ItemType.BOOL,),
}


class Reader:
    """Reads NNEF models.

    stdlib: declarations of further operations. decomposed: compound operations that are replaced by their definition.
    custom_shapes: shape functions of custom operations. infer_shapes: give every tensor a shape; those that depend on
    custom operations without shape function stay unknown. load_variables: give variables their data, as read-only views
    that take no memory until they are used. on_unknown_extension: 'error' or 'ignore'.

    `warnings` are those of the last model.
    """

    def __init__(
        self,
        stdlib: str | None = None,
        decomposed: Iterable[str] | None = None,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
        infer_shapes: bool = True,
        load_variables: bool = True,
        *,
        on_unknown_extension: UnknownExtensions = "error",
    ) -> None:
        self._stdlib: Mapping[str, Fragment] = parse_fragments(stdlib, "stdlib") if stdlib else {}
        self._decomposed = tuple(decomposed or ())
        self._custom_shapes = custom_shapes or {}
        self._infer_shapes = infer_shapes
        self._load_variables = load_variables
        self._on_unknown_extension = on_unknown_extension
        self.warnings: list[str] = []

    def __call__(self, path: PathLike, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
        """The model at a path. input_shapes: graph input -> extents, instead of those that the model says.

        `graph.metadata` has the facts of the sidecar file, and `fragments` (name -> Fragment, what the model declares)
        and `extensions` (other than those of the standard), if there are any. FileError if the model cannot be read,
        FormatError (ParseError) if it is not valid, ShapeError if shapes do not fit, UsageError for input_shapes.
        """
        with paused_collector():
            main = GRAPH if Path(path).is_dir() else None
            return read_consistently(Path(path), lambda: self._read(path, input_shapes or {}), main)

    def _read(self, path: PathLike, input_shapes: Mapping[str, Sequence[int]]) -> Graph:
        self.warnings = []
        files = open_model(path)
        text = _decode(files.read(GRAPH) or b"")
        place = str(Path(path) / GRAPH) if Path(path).is_dir() else f"{path}:{GRAPH}"  # a path that editors can open
        document = parse_head(text, place, on_unknown_extension=self._on_unknown_extension)
        decomposed = {*self._decomposed, *foreign_fragments(document.fragments)}
        facts, ignored = self._facts(files, text)
        library = Library(self._stdlib, document.fragments)
        doubles = facts_have_doubles(facts)

        def built(real: type) -> Graph:
            return build_graph(document, decomposed=decomposed, fragments=self._stdlib, real=real)

        graph = built(np.float64 if doubles else np.float32)
        if doubles:
            facts, bad = _fitting_doubles(facts, graph, library)
            ignored += bad
            doubles = facts_have_doubles(facts)
            graph = graph if doubles else built(np.float32)
        graph.metadata.update(facts)
        if document.fragments:
            graph.metadata[FRAGMENTS] = dict(document.fragments)
        if extensions := _unknown_extensions(document.extensions, text):
            graph.metadata[EXTENSIONS] = extensions
        _override_shapes(graph, input_shapes)
        self._read_quantization(graph, files, library.declared)
        if self._load_variables:
            _load_variables(graph, files, library.declared)
        if doubles:
            _widen(graph, library)
        if self._infer_shapes:
            self._infer(graph, library)
        for op in graph.operations:
            _fill_steps(op)
        if facts:
            fitting, bad = facts_of_graph(facts, graph)
            graph.metadata.update(fitting)
            ignored += bad
        if ignored:
            self.warnings.append(f"{SIDECAR} has parts that are damaged or do not fit the model: {_listed(ignored)}")
        return graph

    def _facts(self, files: ModelFiles, text: str) -> tuple[dict[str, Any], list[str]]:
        """The facts of the sidecar file, and the places of those that are ignored.

        The model is right without them, so a damaged file is no reason to refuse it.
        """
        try:
            raw = files.read(SIDECAR, size_limit(text))
            return ({}, []) if raw is None else parse_facts(raw)
        except FormatError as error:
            self.warnings.append(f"{SIDECAR} is ignored: {error.message}")
            return {}, []

    def _read_quantization(self, graph: Graph, files: ModelFiles, fragments: Mapping[str, Fragment]) -> None:
        raw = files.read(QUANTIZATION)
        if raw is None:
            return
        tensors = {tensor.name: tensor for tensor in graph.tensors if tensor.name}
        for name, quant in parse_quantization(_decode(raw), QUANTIZATION, fragments).items():
            if name in tensors:
                tensors[name].quant = quant
            else:
                self.warnings.append(f"{QUANTIZATION} has an entry for '{name}', which is not a tensor of the graph")

    def _infer(self, graph: Graph, library: Library) -> None:
        from ...ops.inference import infer_graph

        infer_graph(graph, custom_shapes=self._custom_shapes, library=library, allow_unknown=True)
        unknown = {str(op.type) for op in graph.operations if library.find(op.type) is None} - set(self._custom_shapes)
        if unknown:
            names = ", ".join(sorted(unknown))
            self.warnings.append(f"shapes are not known after custom operations without shape function: {names}")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # old comments; anything but ASCII is only allowed there


def _unknown_extensions(names: Iterable[str], text: str) -> list[str]:
    """The statements about extensions that are not of the standard, with the text that follows their names."""
    unknown = [name for name in names if name not in KNOWN_EXTENSIONS]
    if not unknown:
        return []
    head = re.split(r"\b(?:fragment|graph)\b", re.sub(r"#.*", "", text), maxsplit=1)[0]
    statements = [" ".join(match.split()) for match in re.findall(r"\bextension\s+([^;]*);", head)]
    return [statement for statement in statements if re.split(r"\W", statement)[0] in unknown]


def _widen(graph: Graph, library: Library) -> None:
    """Marks tensors as float64 where facts say so; the width of the numbers beside them follows from that."""
    from ...ops.inference import infer_dtypes

    mark_doubles(graph)
    infer_dtypes(graph, library)


def _fitting_doubles(facts: dict[str, Any], graph: Graph, library: Library) -> tuple[dict[str, Any], list[str]]:
    """See `facts_of_graph`, for facts that say what is float64: that decides how the numbers of the graph are read."""
    from ...ops.inference import infer_dtypes

    infer_dtypes(graph, library)
    return facts_of_graph(facts, graph)


def _listed(places: Sequence[str]) -> str:
    """The first places, so that a message stays short."""
    short = [place if len(place) <= _SHOWN_LENGTH else f"{place[:_SHOWN_LENGTH]}.." for place in places[:_SHOWN]]
    text = ", ".join(place if place.isprintable() else ascii(place)[1:-1] for place in short)
    return f"{text} and {len(places) - _SHOWN} more" if len(places) > _SHOWN else text


def _override_shapes(graph: Graph, shapes: Mapping[str, Sequence[int]]) -> None:
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(f"there is no graph input '{name}'", hint=f"the inputs are {', '.join(map(str, inputs))}")
        extents = list(shape)
        tensor = inputs[name]
        if not all(isinstance(extent, int) and extent > 0 for extent in extents):
            raise UsageError(f"graph input '{name}' cannot have shape {extents}")
        if tensor.rank is not None and tensor.rank != len(extents):
            raise UsageError(f"graph input '{name}' has rank {tensor.rank}, it cannot have shape {extents}")
        tensor.shape = extents
        for op in tensor.producers:
            op.attribs["shape"] = extents


def _load_variables(graph: Graph, files: ModelFiles, fragments: Mapping[str, Fragment]) -> None:
    """Loads the data of variables. Labels that only differ by case share one array."""
    loaded: dict[str, tuple[Any, TensorHeader]] = {}
    for op in graph.operations:
        if op.type != "variable":
            continue
        tensor, label = op.output, op.attribs["label"]
        try:
            file = label_file(label)
            found = loaded.get(file.lower()) or files.tensor(file)
            if found is None:
                raise FormatError(
                    f"there is no file '{file}'", hint="the structure alone can be read without variables"
                )
            loaded[file.lower()] = found
            _check_data(op, found[1])
        except NnefToolsError as error:
            error.details = (*error.details, f"variable '{tensor.name}' with label '{label}'")
            raise
        tensor.data, header = found
        tensor.dtype = tensor.data.dtype.type
        if header.quantization and not tensor.quant:  # the provisional format kept the quantization in the tensor file
            text = f"'{tensor.name}': {header.quantization.rstrip(';')};"
            tensor.quant = parse_quantization(text, label_file(label), fragments)[str(tensor.name)]


def _check_data(op: Operation, header: TensorHeader) -> None:
    declared = list(op.attribs["shape"])
    if list(header.shape) != declared:
        raise FormatError(f"the data has shape {list(header.shape)}, but the graph says {declared}")
    item = nnef_dtype(op.attribs["dtype"])
    # Exporters call all variables scalar, and write integers with the codes of quantized items.
    if item != "scalar" and header.code not in _ITEMS.get(item, ()):
        raise FormatError(f"the data is of type {header.code.name.lower()}, which is not variable<{item}>")


def _fill_steps(op: Operation) -> None:
    """Replaces an empty `stride` or `dilation` by ones, if the number of dimensions is known."""
    attribs = op.attribs
    for key in ("stride", "dilation"):
        if key in attribs and attribs[key] == []:
            count = _step_count(op)
            if count is not None:
                attribs[key] = [1] * count


def _step_count(op: Operation) -> int | None:
    if op.type == "slice":
        return len(op.attribs["axes"])
    if op.type in _FULL_WINDOWS:
        return len(op.attribs["size"])
    if op.type in _SPATIAL_WINDOWS:
        ranks = [tensor.rank for tensor in op.inputs[:2] if tensor.rank is not None and tensor.rank >= 2]
        return ranks[0] - 2 if ranks else None
    return None

"""Reads TensorFlow Lite files, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....dialects.tflite.schema import tflite_schema
from ....errors import FormatError, UsageError, shape_text
from ....model.facts import OPEN_EXTENTS
from ....model.graph import Graph, Tensor
from ...mapped import read_file
from .budget import Budget
from .buffers import Buffers
from .build import GraphBuilder
from .flatbuffer import Table, decode
from .metadata import associated_files, metadata

InputShapes = Mapping[str, Sequence[Any]]

IDENTIFIER = b"TFL3"
VERSION = 3

_HINT = "the file is damaged or truncated, or not a TensorFlow Lite model"


class Reader:
    """Reads a TensorFlow Lite model (`.tflite`) into a Graph of the TFLite dialect.

    signature: the key of the signature to read, for models that have several.

    In the Graph, `op.type` is the name of the builtin operator, as in the schema (`CONV_2D`), or that of a custom one,
    which has `op.custom` set. `op.attribs` are the options in snake case with their defaults, none if the file has
    none; `padding`, `fused_activation_function`, `weights_format`, `kernel_type` and `combiner` are names, other enums
    numbers; those of a custom operator are the items of its FlexBuffer, or `custom_options`, the bytes, and
    `custom_version` if that is not 1. Subgraphs are nested Graphs: `cond_subgraph`, `body_subgraph`, `then_subgraph`,
    `else_subgraph`, `init_subgraph`, `subgraph`, `decomposition_subgraph`; one that several operators use is one
    object. Inputs and outputs are tuples. A missing optional input is one shared tensor named ''. Names of tensors are
    unique: tensors without a name get one, and further ones of a name their number behind it (`x_7`).

    Constants are tensors with `.data`, read-only arrays on the memory-mapped file; sparse ones are dense (a DENSIFY of
    one is gone), those of 4 and 2 bits have items of such a type. Extents that the file leaves open have the value with
    which it was written, unless input_shapes has another one: then they are None for all other tensors. Where an extent
    that is fixed gets another value, all extents of computed tensors are None. The `dtype` is that of the stored items;
    `quant` has min, max, scale, zero_point (numbers, or arrays per channel) and quantized_dimension.
    `graph.metadata` has, where the file has them: description, signature, signature_inputs and signature_outputs (name
    in the signature -> tensor), tflite_metadata (name -> contents) and associated_files (name -> contents), both in
    base64. That of every subgraph has variables (names of tensors that keep their value from run to run),
    open_extents (name -> axes) and original_names (name -> that in the file, None for none).

    warnings: about the last file. files: what it consists of. subgraph: the number of the subgraph that the Graph is.
    """

    def __init__(self, signature: str | None = None) -> None:
        self._signature = signature
        self.warnings: list[str] = []
        self.files: tuple[Path, ...] = ()
        self.subgraph = 0

    def __call__(self, filename: str | os.PathLike[str], input_shapes: InputShapes | None = None) -> Graph:
        """input_shapes: input name -> extents, which count more than those of the file (None keeps one).

        Raises FileError, FormatError if the file is not a valid model, UsageError for impossible input shapes and
        unknown signatures.
        """
        path = Path(filename)
        self.files, self.warnings = (path,), []
        try:
            graph = self._read(path)
        except FormatError as error:
            where = f"{path}: {error.where}" if error.where else str(path)
            raise FormatError(error.message, error.details, where=where, hint=error.hint or _HINT) from error
        self.warnings += _set_input_shapes(graph, input_shapes or {})
        return graph

    def _read(self, path: Path) -> Graph:
        content = read_file(path)
        model = decode(content.data, tflite_schema(), "Model", IDENTIFIER)
        if model["version"] != VERSION:
            raise FormatError(f"version {model['version']} of the format is not supported, only {VERSION}")
        if not model["subgraphs"]:
            raise FormatError("the model has no subgraph")
        budget = Budget(content.size, factor=_FACTOR, least=_LEAST)
        buffers = Buffers(model, content, path, budget)
        builder = GraphBuilder(model, buffers, budget)
        signature = self._chosen(model, path)
        self.subgraph = signature["subgraph_index"] if signature else 0
        graph = builder.graph(self.subgraph)
        self.files = buffers.files
        self.warnings += builder.warnings
        facts: dict[str, Any] = {"description": model["description"]}
        if signature is not None:
            facts.update(_signature_facts(signature, [str(tensor.name) for tensor in graph.tensors if tensor.name]))
        facts["tflite_metadata"] = metadata(model, buffers, budget)
        facts["associated_files"], problem = associated_files(content, budget)
        if problem:
            self.warnings.append(f"the files that are associated with the model cannot be read: {problem}")
        graph.metadata.update((key, value) for key, value in facts.items() if value)
        return graph

    def _chosen(self, model: Table, path: Path) -> Table | None:
        """The signature to read: the one that is asked for, or else one of the first subgraph that is no other's."""
        signatures = {item["signature_key"] or "": item for item in model["signature_defs"] or []}
        known = ", ".join(sorted(signatures)) or "none"
        if self._signature is not None:
            if self._signature not in signatures:
                raise UsageError(
                    f"the model has no signature '{self._signature}'", where=str(path), hint=f"it has {known}"
                )
            found: Table = signatures[self._signature]
            return found
        if len({item["subgraph_index"] for item in signatures.values()}) > 1:
            raise UsageError(
                f"the model has several signatures: {known}", where=str(path), hint="choose one with --signature"
            )
        first = next(iter(signatures.values()), None)
        if len(signatures) > 1 and first is not None:
            self.warnings.append(
                f"the signatures {known} are the same computation; '{first['signature_key']}' is kept "
                "(--signature chooses another)"
            )
        return first


_FACTOR = 64
_LEAST = 1 << 24


def _signature_facts(signature: Table, names: Sequence[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"signature": signature["signature_key"]}
    for key in ("inputs", "outputs"):
        items = signature[key] or []
        if any(item["tensor_index"] >= len(names) for item in items):
            raise FormatError(f"the {key} of a signature are no tensors of its subgraph")
        facts[f"signature_{key}"] = {item["name"] or "": names[item["tensor_index"]] for item in items}
    return facts


def _set_input_shapes(graph: Graph, shapes: InputShapes) -> list[str]:
    """Gives extents to the inputs; if they differ from those of the file, those of other tensors are not known.

    Returns warnings about open extents of inputs that have not been given.
    """
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    for name in shapes.keys() - inputs.keys():
        known = ", ".join(f"'{item}'" for item in inputs)
        raise UsageError(f"the model has no input '{name}'", hint=f"its inputs are {known}")
    open_axes: Mapping[str, Sequence[int]] = graph.metadata.get(OPEN_EXTENTS, {})
    warnings, changed, overridden = [], False, False
    for tensor in graph.inputs:
        name = str(tensor.name)
        before, axes = tensor.shape or (), open_axes.get(name, ())
        if name in shapes:
            tensor.shape = _given_shape(tensor, shapes[name])
            pairs = enumerate(zip(before, tensor.shape or (), strict=True))
            overridden |= any(a != b for axis, (a, b) in pairs if axis not in axes)
        elif axes:
            warnings.append(f"the shape of input '{name}' is open, and taken as {shape_text(before)} as in the file")
        changed |= tensor.shape != before
    if overridden:
        _forget_shapes(graph, {tensor for op in graph.operations for tensor in op.outputs}, set())
    for tensor in graph.tensors if changed else ():
        if tensor not in graph.inputs and tensor.data is None and tensor.shape is not None:
            axes = open_axes.get(str(tensor.name), ())
            tensor.shape = tuple(None if axis in axes else extent for axis, extent in enumerate(tensor.shape))
    if shapes:
        graph.metadata.pop(OPEN_EXTENTS, None)
    return warnings


def _forget_shapes(graph: Graph, computed: set[Tensor], seen: set[Graph]) -> None:
    """Forgets all extents of computed tensors, and of all but constants in nested graphs; variables keep theirs."""
    seen.add(graph)
    for tensor in computed:
        if tensor.data is None and tensor.shape is not None:
            tensor.shape = (None,) * len(tensor.shape)
    for op in graph.operations:
        for inner in op.attribs.values():
            if isinstance(inner, Graph) and inner not in seen:
                _forget_shapes(inner, set(inner.tensors), seen)


def _given_shape(tensor: Tensor, given: Sequence[Any]) -> tuple[int | None, ...]:
    known = tensor.shape or ()
    if len(known) != len(given):
        raise UsageError(
            f"input '{tensor.name}' has shape {shape_text(known)}, it cannot get {shape_text(tuple(given))}"
        )
    return tuple(a if b is None else b for a, b in zip(known, given, strict=True))

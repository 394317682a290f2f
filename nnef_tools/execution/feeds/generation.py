"""Random weights and inputs for an NNEF model in a folder that has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...budget import ask_items
from ...errors import UsageError
from ...io.files import replace_file
from ...io.nnef import Reader
from ...io.nnef.labels import label_file
from ...io.nnef.model_files import GRAPH
from ...language.tensor_file import write_tensor
from ...model import Graph
from ...model.dtypes import integer_of, nnef_dtype
from ..executor import Array
from .distributions import DEFAULTS, Distribution
from .tensor_files import tensor_file

_ITEMS: Mapping[str, Any] = {"scalar": np.float32, "integer": np.int32, "logical": np.bool_}


@dataclass(frozen=True)
class NewTensor:
    """A file to be generated. kind: 'weight' or 'input'. quant: of a weight that is stored as codes."""

    kind: str
    name: str
    file: Path
    shape: tuple[int, ...]
    data_type: str
    quant: Mapping[str, Any]

    def values(self, generator: np.random.Generator, distributions: Mapping[str, Distribution]) -> Array:
        """Random values, or codes of any value."""
        ask_items(prod(self.shape), f"{self.kind} '{self.name}'")
        if self.quant:
            bits, signed = int(self.quant.get("bits", 8)), bool(self.quant.get("signed", False))
            low = -(1 << bits - 1) if signed else 0
            codes = generator.integers(low, low + (1 << bits), self.shape, np.int64)
            return codes.astype(integer_of(bits, signed=signed))
        return distributions[self.data_type].sample(generator, self.shape, _ITEMS[self.data_type])


def generate(
    folder: Path,
    distributions: Mapping[str, Distribution],
    *,
    seed: int | None = None,
    weights: bool = False,
    inputs: str | None = None,
) -> Iterator[NewTensor]:
    """Writes random weights and inputs of the model in a folder, file by file, and tells which.

    distributions: by NNEF data type, in place of the defaults. weights: fill `<label>.dat`. inputs: fill
    `<input>.dat` in this folder below the model. UsageError for a model that is not a folder, or for two tensors with
    one file; FileError, FormatError, LimitError.
    """
    if not (folder / GRAPH).is_file():
        raise UsageError(
            f"'{folder}' is not a folder with an NNEF model", hint="weights are written into it, so it cannot be packed"
        )
    if seed is not None and seed < 0:
        raise UsageError(f"the seed cannot be {seed}: it is 0 or more")
    graph = Reader(infer_shapes=False, load_variables=False)(folder)
    wanted = [*_weights(graph, folder)] * weights + ([] if inputs is None else [*_inputs(graph, folder / inputs)])
    owners: dict[Path, NewTensor] = {}
    for item in wanted:
        owner = owners.setdefault(item.file.absolute(), item)
        if owner is not item and (owner.kind, owner.name) != (item.kind, item.name):
            raise UsageError(
                f"{owner.kind} '{owner.name}' and {item.kind} '{item.name}' would have the same file '{item.file}'",
                hint="--inputs DIR puts the inputs into another folder",
            )
    generator, known = np.random.default_rng(seed), {**DEFAULTS, **distributions}
    for item in owners.values():
        array = item.values(generator, known)
        with replace_file(item.file) as stream:
            write_tensor(stream, array)
        yield item


def _weights(graph: Graph, folder: Path) -> Iterator[NewTensor]:
    for op in graph.operations:
        if op.type == "variable":
            label = str(op.attribs["label"])
            yield _new("weight", label, folder / label_file(label), op.attribs, op.output.quant or {})


def _inputs(graph: Graph, folder: Path) -> Iterator[NewTensor]:
    for op in graph.operations:
        if op.type == "external":
            name = str(op.output.name)
            yield _new("input", name, folder / tensor_file(name), op.attribs, {})


def _new(kind: str, name: str, file: Path, attribs: Mapping[str, Any], quant: Mapping[str, Any]) -> NewTensor:
    shape = tuple(int(extent) for extent in attribs["shape"])
    return NewTensor(kind, name, file, shape, nnef_dtype(attribs.get("dtype", np.float32)), quant)

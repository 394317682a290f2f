"""NNEF graphs from texts, inputs for them, and what our executors compute of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.execution import make_executor
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse
from nnef_tools.model import Graph, Operation
from nnef_tools.ops.definition import OpDef
from nnef_tools.ops.fragments import called_fragments, extension_fragments
from nnef_tools.ops.inference import infer_graph
from nnef_tools.ops.registry import find

from .arrays import Array

EXTENSIONS = "extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;"


def nnef_graph(body: str, outputs: Sequence[str] = ("y",)) -> Graph:
    """A graph of statements such as `x = external(shape = [2, 3]); y = relu(x);`, with our fragments declared."""
    inputs = re.findall(r"(\w+) = external", body)
    called = {name for name in extension_fragments() if re.search(rf"\b{name}(<\w+>)?\(", body)}
    called.update(*(called_fragments().get(name, ()) for name in called))
    header = "\n".join([EXTENSIONS, *(f.text for name, f in extension_fragments().items() if name in called)])
    text = f"version 1.0;\n{header}\ngraph g({', '.join(inputs)}) -> ({', '.join(outputs)}) {{ {body} }}"
    graph = build_graph(parse(text))
    infer_graph(graph)
    return graph


def inputs_for(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Random inputs: normal numbers, small natural ones and truth values."""
    random = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for tensor in graph.inputs:
        shape = [n or 1 for n in tensor.shape or ()]
        values = random.standard_normal(shape).astype(np.float32)
        if tensor.dtype is np.bool_:
            feeds[str(tensor.name)] = values > 0
        elif tensor.dtype is np.int64:
            feeds[str(tensor.name)] = random.integers(0, 2, shape)
        else:
            feeds[str(tensor.name)] = values
    return feeds


def run_nnef(
    model: Graph | Path, inputs: Mapping[str, Any] | Sequence[Any], *, backend: str = "numpy", **options: Any
) -> list[Array]:
    """The outputs that an executor computes, in the order of the model. inputs: by name, or in that order."""
    executor = make_executor(model, backend=backend, **options)
    if not isinstance(inputs, Mapping):
        inputs = {info.name: np.asarray(array) for info, array in zip(executor.inputs, inputs, strict=True)}
    results = executor.run(inputs)
    return [results[info.name] for info in executor.outputs]


def definition_of(name: str) -> OpDef:
    """The definition of an operation that must be known."""
    definition = find(name)
    assert definition is not None, name
    return definition


def computing(graph: Graph) -> list[Operation]:
    """The operations without external and variable."""
    return [op for op in graph.operations if op.type not in ("external", "variable")]


def types(graph: Graph) -> list[str]:
    """The types of the operations without external and variable."""
    return [str(op.type) for op in computing(graph)]

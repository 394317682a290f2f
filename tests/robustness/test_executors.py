"""What reading refuses runs in no backend: damaged files, and damaged graphs that were never written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import load_model, save_model
from nnef_tools.errors import NnefToolsError
from nnef_tools.execution import make_executor
from nnef_tools.model import Graph

from ..support.nnef_cases import ALL, CUSTOM
from ..support.nnef_models import nnef_graph
from .graphs import damaged_graph
from .mutation import damaged_text
from .samples import nnef_files, write_folder

BACKENDS = ("numpy", "torch", "onnxruntime")
MUTANTS = 250


def refusal(action: Any, *arguments: Any, **options: Any) -> NnefToolsError | None:
    try:
        action(*arguments, **options)
    except NnefToolsError as error:
        return error
    return None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("x = external(shape = [1]); y = nearest_upsample(x, factor = [2, 3]);", "batch, channel and spatial"),
        ("x = external(shape = [1, 2, 3]); w = external(shape = [2, 2]); y = conv(x, w);", "rank"),
        ("x = external(shape = [2, 3]); y = reshape(x, shape = [7]);", "reshape"),
        ("x = external(shape = [2, 3]); y = reshape(reshape(x, shape = [4, -1]), shape = [6]);", "reshape"),
        ("x = external(shape = [2, 3]); y = sum_reduce(x, axes = [2]);", "axes"),
        ("x = external(shape = [2, 3]); y = softmax(x, axes = [5]);", "axes"),
    ],
)
def test_shapes_of_a_file(statements: str, message: str, backend: str, tmp_path: Path) -> None:
    head = "version 1.0;\nextension KHR_enable_operator_expressions;\n"
    inputs = "x, w" if "w = " in statements else "x"
    (tmp_path / "graph.nnef").write_text(f"{head}graph g({inputs}) -> (y) {{ {statements} }}")
    reading = refusal(load_model, tmp_path)
    running = refusal(make_executor, tmp_path, backend=backend)
    assert reading is not None and message in str(reading)
    assert running is not None and message in str(running)


@pytest.mark.parametrize("backend", BACKENDS)
def test_unknown_extensions(backend: str, tmp_path: Path) -> None:
    """Nobody knows what they change."""
    text = "version 1.0;\nextension other;\ngraph g(x) -> (y) { x = external(shape = [2]); y = relu(x); }"
    (tmp_path / "graph.nnef").write_text(text)
    for action in (load_model, lambda path: make_executor(path, backend=backend)):
        error = refusal(action, tmp_path)
        assert error is not None and "unknown extension 'other'" in error.message


def test_damaged_files(tmp_path: Path) -> None:
    refused, accepted = 0, []
    for seed in range(MUTANTS):
        rng = np.random.default_rng(seed)
        files = nnef_files()
        files["graph.nnef"] = damaged_text(files["graph.nnef"].decode(), rng).encode()
        path = write_folder(tmp_path / str(seed), files)
        if refusal(load_model, path) is not None:
            refused += 1
            accepted += [(seed, name) for name in BACKENDS if refusal(make_executor, path, backend=name) is None]
    assert refused > MUTANTS / 2
    assert not accepted


def mutants() -> Any:
    cases = [*ALL, *CUSTOM]
    for seed in range(MUTANTS):
        rng = np.random.default_rng(seed)
        declarations, call = cases[rng.integers(len(cases))]
        yield seed, damaged_graph(nnef_graph(f"{declarations} y = {call};"), rng)


def is_readable(graph: Graph, folder: Path) -> bool:
    try:
        return refusal(save_model, graph, folder, format="nnef") is None and refusal(load_model, folder) is None
    except (TypeError, ValueError, AttributeError):  # nothing that has a text
        return False


def test_damaged_graphs(tmp_path: Path) -> None:
    """A graph that cannot be written and read again runs in no backend, and the others are not refused."""
    wrong, counts = [], [0, 0]
    for seed, graph in mutants():
        readable = is_readable(graph, tmp_path / str(seed))
        counts[readable] += 1
        for backend in BACKENDS[:2]:
            error = refusal(make_executor, graph, backend=backend)
            if (error is None) != readable:
                wrong.append((seed, backend, str(error)))
    assert not wrong
    assert min(counts) > MUTANTS / 10


def test_the_check_changes_nothing() -> None:
    graph = nnef_graph("x = external(shape = [2, 3]); y = softmax(x, axes = [1]); ")
    for tensor in graph.tensors:
        if tensor.name == "y":
            tensor.shape = tensor.dtype = None
    make_executor(graph, backend="numpy")
    assert [(tensor.shape, tensor.dtype) for tensor in graph.outputs] == [(None, None)]


def test_operators_of_the_caller_have_their_own_rules() -> None:
    """Attributes, operands and shapes of theirs are no matter of the standard."""
    graph = nnef_graph("x = external(shape = [2, 3]); y = relu(x); ")
    graph.operations[-1].attribs["times"] = 2
    functions = {"relu": lambda x, times: np.tile(x, times)}
    results = make_executor(graph, backend="numpy", custom_operators=functions).run({"x": np.ones((2, 3), np.float32)})
    assert results["y"].shape == (2, 6)

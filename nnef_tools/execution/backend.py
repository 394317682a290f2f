"""What runs a model: the `Executor` protocol, and `make_executor`, which picks and builds one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from typing import Any, Protocol

import numpy as np

from ..errors import UsageError
from ..model import Graph

BACKENDS = ("auto", "numpy", "torch", "onnxruntime")
Array = np.ndarray[Any, Any]
Observer = Callable[[str, Array], None]


@dataclass(frozen=True)
class TensorInfo:
    """Name, item type (a numpy class, None if not known) and shape (None entries: any extent; None: not known)."""

    name: str
    dtype: type | None
    shape: tuple[int | None, ...] | None


class Executor(Protocol):
    """A model that is ready to run, any number of times."""

    @property
    def backend(self) -> str:
        """The engine that was chosen: 'numpy', 'torch' or 'onnxruntime'."""

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """The inputs, in the order of the graph."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """The outputs, in the order of the graph."""

    @property
    def tensor_names(self) -> Sequence[str]:
        """All names that `run` accepts as `output_names`, in the order of the graph."""

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """Runs the model once.

        output_names: any tensors of the model, by default its outputs. observe: called with name and value of each
        tensor as it becomes known. UsageError for wrong inputs or names, ExecutionError if an operator fails.
        """


def make_executor(
    model: Graph | str | PathLike[str],
    *,
    format: str = "nnef",
    backend: str = "auto",
    custom_operators: Mapping[str, Callable[..., Any]] | None = None,
    decomposed: Collection[str] | None = None,
    device: str | None = None,
) -> Executor:
    """An executor for a model file (or a Graph in the NNEF dialect).

    format: 'nnef' or 'onnx'. backend 'auto' takes the fastest one that can run the model: onnxruntime for ONNX, else
    torch if it is installed, else numpy; the result's `.backend` says which. custom_operators: operator name to a
    function of the backend's own arrays. decomposed: operators to run by the bodies of their fragments. device: of
    torch ('cpu', 'cuda', ..). UsageError for an impossible combination.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend '{backend}'", hint=f"choose from {', '.join(BACKENDS)}")
    if format == "onnx":
        if backend not in ("auto", "onnxruntime"):
            raise UsageError(f"backend '{backend}' cannot run ONNX models", hint="convert the model to NNEF first")
        if custom_operators or decomposed:
            raise UsageError("custom and decomposed operators are for NNEF models only")
        if isinstance(model, Graph):
            raise UsageError("an ONNX model is run from its file, not from a Graph")
        from .onnx_backend import OnnxExecutor

        return OnnxExecutor(model)
    if format != "nnef":
        raise UsageError(f"cannot run models of format '{format}'", hint="formats: nnef, onnx")
    if backend == "onnxruntime":
        raise UsageError("backend 'onnxruntime' runs ONNX models only", hint="use auto, torch or numpy")
    if backend == "auto":
        backend = "torch" if find_spec("torch") is not None else "numpy"

    from .interpreter import Backend, GraphExecutor
    from .loading import load_graph

    engine: Backend
    if backend == "torch":
        from .torch_backend import TorchBackend

        engine = TorchBackend(device)
    else:
        from .numpy_backend import NumpyBackend

        engine = NumpyBackend()
    operators = custom_operators or {}
    graph = load_graph(model, lambda name: operators.get(name) or engine.operator(name), decomposed)
    return GraphExecutor(graph, engine, operators)

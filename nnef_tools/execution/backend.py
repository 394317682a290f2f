"""What runs a model: the `Executor` protocol, and `make_executor`, which picks and builds one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from os import PathLike
from typing import Any, Protocol

import numpy as np

from ..errors import ExecutionError, NnefToolsError, UsageError
from ..model import Graph
from ..model.widths import has_doubles

BACKENDS = ("auto", "numpy", "torch", "onnxruntime", "tensorflow")
Array = np.ndarray[Any, Any]
Observer = Callable[[str, Array], None]


@dataclass(frozen=True)
class TensorInfo:
    """Name, item type (a numpy class, None if not known) and shape (None entries: any extent; None: not known)."""

    name: str
    dtype: type | None
    shape: tuple[int | None, ...] | None


class EngineError(ExecutionError):
    """The engine of a backend failed, where another one may not."""


class Executor(Protocol):
    """A model that is ready to run, any number of times."""

    @property
    def backend(self) -> str:
        """The engine that was chosen: 'numpy', 'torch', 'onnxruntime' or 'tensorflow'."""

    @property
    def device(self) -> str:
        """Where it runs: 'cpu', 'cuda:0', .."""

    @property
    def note(self) -> str:
        """Why not another engine was chosen, if there is something to tell."""

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


def known_name(name: str, known: Collection[str]) -> str | None:
    """The known name of a tensor, if there is one: TensorFlow's `x:0` may be given as `x`, and the other way round."""
    return next((form for form in (name, f"{name}:0", name.removesuffix(":0")) if form in known), None)


def no_such_tensor(name: str, known: Sequence[str]) -> UsageError:
    """The error for a name that no tensor of a model has; the hint says similar ones, or some that there are."""
    near = get_close_matches(name, known, n=3)
    some = ", ".join(map(repr, known[:8])) + (", .." if len(known) > 8 else "")
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"there are {some}"
    return UsageError(f"the model has no tensor '{name}'", hint=hint)


# Formats that only the runtime of their own framework can run: title and backend.
_NATIVE = {"onnx": ("ONNX", "onnxruntime"), "tf": ("TensorFlow", "tensorflow")}


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

    format: 'nnef', 'onnx' or 'tf'; the last two are run by their own runtime. backend 'auto' takes, for NNEF, the first
    of onnxruntime, torch and numpy that is installed and can run the model, also if that turns out in a run; the
    result's `.backend` says which, its `.note` why not another. custom_operators: operator name to a function of the
    arrays of torch (numpy where there is no torch, or if that is the backend): onnxruntime cannot call them, so 'auto'
    takes another for models with such operators. decomposed: operators to run by the bodies of their fragments. device:
    'cpu', 'cuda', .., of torch or onnxruntime. UsageError for an impossible combination, for a backend that cannot run
    the model, and for operators to decompose that have no body; FormatError or ShapeError for an invalid graph.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend '{backend}'", hint=f"choose from {', '.join(BACKENDS)}")
    if format in _NATIVE:
        title, own = _NATIVE[format]
        if backend not in ("auto", own):
            raise UsageError(f"backend '{backend}' cannot run {title} models", hint="convert the model to NNEF first")
        if custom_operators or decomposed:
            raise UsageError("custom and decomposed operators are for NNEF models only")
        if isinstance(model, Graph):
            raise UsageError(f"{title} models are run from their file, not from a Graph")
        return _native_executor(format, model, device)
    if format != "nnef":
        raise UsageError(f"cannot run models of format '{format}'", hint=f"formats: nnef, {', '.join(_NATIVE)}")
    if backend == "tensorflow":
        raise UsageError(
            "backend 'tensorflow' runs TensorFlow models only", hint="use auto, onnxruntime, torch or numpy"
        )
    if backend == "numpy" and device not in (None, "cpu"):
        raise UsageError(f"the numpy backend does not run on '{device}'", hint="use torch or onnxruntime")
    return _nnef_executor(model, backend, custom_operators or {}, decomposed, device)


def _nnef_executor(
    model: Graph | str | PathLike[str],
    backend: str,
    operators: Mapping[str, Callable[..., Any]],
    decomposed: Collection[str] | None,
    device: str | None,
) -> Executor:
    from .fallback import FallbackExecutor

    # onnxruntime reads a model file itself, if it does not have to be looked at for this first
    is_read = bool(operators or decomposed or not isinstance(model, (str, PathLike)))
    source = _read_graph(model, decomposed) if is_read else model
    if isinstance(source, Graph):
        _check(source, operators)

    def by_kernels(backend: str, note: str) -> Executor:
        graph = source
        if not isinstance(graph, Graph):
            graph = _read_graph(graph)
            _check(graph, operators)
        return _kernel_executor(graph, backend, operators, device, note, expand=graph is not model)

    note, following = "", kernel_backend() if device in (None, "cpu") else "torch"
    if backend in ("auto", "onnxruntime"):
        types = {str(op.type) for op in source.operations} if operators and isinstance(source, Graph) else set()
        called = sorted(types & set(operators))
        try:
            if not called:
                executor = _onnxruntime_executor(source, device)
                if backend == "onnxruntime":
                    return executor
                return FallbackExecutor(executor, lambda reason: by_kernels(following, reason))
            note = f"onnxruntime cannot call the Python functions of {', '.join(called)}"
            if backend == "onnxruntime":
                raise UsageError(note, hint="use auto, torch or numpy")
        except NnefToolsError as error:
            if backend == "onnxruntime":
                raise
            note = f"onnxruntime cannot run the model: {error.message}"
        backend = following
    return by_kernels(backend, note)


def _check(graph: Graph, operators: Collection[str]) -> None:
    """What reading checks, whichever backend runs the graph."""
    from ..ops.validity import check_graph

    check_graph(graph, operators)


def _read_graph(model: Any, decomposed: Collection[str] | None = None) -> Graph:
    from .kernels.loading import check_decomposed, read_graph

    graph = read_graph(model, decomposed)
    check_decomposed(graph, decomposed or ())
    return graph


def kernel_backend() -> str:
    """The faster one of the backends that run NNEF operations by functions of ours: torch if it is installed."""
    return "torch" if find_spec("torch") is not None else "numpy"


def _onnxruntime_executor(model: Graph | str | PathLike[str], device: str | None) -> Executor:
    from .onnxruntime.nnef import NnefOnnxExecutor

    return NnefOnnxExecutor(model, device=device)


def _kernel_executor(
    graph: Graph,
    backend: str,
    operators: Mapping[str, Callable[..., Any]],
    device: str | None,
    note: str,
    *,
    expand: bool,
) -> Executor:
    from .kernels.loading import expand_missing
    from .kernels.plan import Backend, GraphExecutor

    engine: Backend
    if backend == "torch":
        from .kernels.torch import TorchBackend

        engine = TorchBackend(device, doubles=has_doubles(graph))
    else:
        from .kernels.numpy import NumpyBackend

        engine = NumpyBackend()
    if expand:
        expand_missing(graph, lambda name: operators.get(name) or engine.operator(name))
    return GraphExecutor(graph, engine, operators, note=note)


def _native_executor(format: str, model: str | PathLike[str], device: str | None) -> Executor:
    if format == "onnx":
        from .onnxruntime.onnx import OnnxExecutor

        return OnnxExecutor(model, device=device)
    if device not in (None, "cpu"):
        raise UsageError(f"TensorFlow models are run on the CPU, not on '{device}'")
    from .tensorflow import TensorFlowExecutor

    return TensorFlowExecutor(model)

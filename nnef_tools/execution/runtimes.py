"""The choice of a runtime for a model: `make_executor` picks from those that the pages of the formats list.

To add a runtime, add a module and an entry in a page. numpy is imported only to run something.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from ..budget import Limits, within
from ..errors import LimitError, NnefToolsError, UsageError
from ..formats import FORMATS, NNEF, InputShapes, load
from ..formats.format import Runtime

if TYPE_CHECKING:
    from ..io.input_values import Values
    from ..model import Graph
from .executor import Executor
from .fixed_inputs import FixedInputs

Model: TypeAlias = "Graph | str | PathLike[str]"
Functions: TypeAlias = Mapping[str, Callable[..., Any]]
"""Operator name -> function on the arrays of a runtime."""


AUTO = "auto"
RUNTIMES = tuple(runtime for format in FORMATS.values() for runtime in format.runtimes)
BACKENDS = (AUTO, *dict.fromkeys(runtime.name for runtime in RUNTIMES))
"""The possible values of `backend`."""


def kernel_backends(format: str) -> list[str]:
    """The installed backends that run models of the format by kernels, without a conversion; fastest first."""
    return [runtime.name for runtime in _runtimes(format) if runtime.has_kernels and runtime.is_installed]


def make_executor(
    model: Model,
    *,
    format: str = NNEF.name,
    backend: str = AUTO,
    custom_operators: Functions | None = None,
    decomposed: Collection[str] | None = None,
    device: str | None = None,
    limits: Limits | None = None,
    signature: str | None = None,
    weights: str | PathLike[str] | None = None,
    input_shapes: InputShapes | None = None,
    set_inputs: Values | None = None,
) -> Executor:
    """Makes an executor for a model file, or for a Graph in the NNEF dialect.

    format: 'nnef', 'onnx', 'tf' or 'tflite', all but the first of which are run by their own runtime, or one that has
    none, such as 'caffe', which is run by its conversion to NNEF. backend: 'auto' takes, for
    NNEF, the first of onnxruntime, torch and numpy that is installed and can run the model, even if that turns out only
    in a run; `.backend` of the result tells which, and `.note` why not another. custom_operators: operator name ->
    function on the arrays of torch (of numpy without torch, or if numpy is the backend); onnxruntime cannot call them,
    so 'auto' takes another backend for models with such operators. decomposed: operators to run by the bodies of their
    fragments. device: 'cpu', 'cuda', .., of torch or onnxruntime. limits: those of `nnef_tools.budget` that differ from
    the defaults; LimitError for models beyond them. signature: which one of a TFLite model or SavedModel to run.
    weights: the file with the weights of a Caffe net. input_shapes: of inputs, in place of those of a model file.
    set_inputs: arrays for inputs that have these values in all runs, by the names in a graph of the format. UsageError
    for an impossible combination, for a backend that cannot run the model, and for operators to decompose that have no
    body; FormatError or ShapeError for an invalid graph.
    """
    with within(limits):
        options = {"signature": signature, "weights": weights}
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        if set_inputs and "set_inputs" in FORMATS[format].reader_options:
            given["set_inputs"] = set_inputs
            set_inputs = None
        made = _make_executor(model, format, backend, custom_operators, decomposed, device, given, input_shapes)
        return FixedInputs(made, set_inputs) if set_inputs else made


def _make_executor(
    model: Model,
    format: str,
    backend: str,
    custom_operators: Functions | None,
    decomposed: Collection[str] | None,
    device: str | None,
    options: Mapping[str, Any],
    input_shapes: InputShapes | None,
) -> Executor:
    from ..model import Graph

    if backend not in BACKENDS:
        raise UsageError(f"unknown backend '{backend}'", hint=f"choose from {', '.join(BACKENDS)}")
    able = _runtimes(format)
    foreign = next((name for name in options if name not in FORMATS[format].reader_options), None)
    if foreign is not None:
        raise UsageError(f"{FORMATS[format].title} models have no option {foreign}")
    if is_converted(format):
        if isinstance(model, Graph):
            raise UsageError(f"{FORMATS[format].title} models are run from their file, not from a Graph")
        from .converted import converted_executor

        make = partial(_make_executor, format=NNEF.name, backend=backend, custom_operators=custom_operators,
                       decomposed=decomposed, device=device, options={}, input_shapes=None)  # fmt: skip
        return converted_executor(model, FORMATS[format], options, input_shapes, make)
    chosen = [runtime for runtime in able if backend in (AUTO, runtime.name)]
    if not chosen:
        raise _cannot_run(format, backend, able)
    if any(runtime.has_kernels for runtime in able):
        _check_device(device, chosen, able)
        from .codes import taking_codes

        kernels = [runtime for runtime in able if runtime.has_kernels]
        kernel_model = _KernelModel(model, custom_operators or {}, decomposed, input_shapes)
        return taking_codes(_executor_beside_kernels(kernel_model, chosen, kernels, device))
    if custom_operators or decomposed:
        raise UsageError("custom and decomposed operators are for NNEF models only")
    if isinstance(model, Graph):
        raise UsageError(f"{able[0].models} models are run from their file, not from a Graph")
    _check_device(device, chosen, able)
    given = {**options, "input_shapes": input_shapes} if input_shapes else options
    return _load(chosen[0], model, device, given)


def is_converted(format: str) -> bool:
    """Are models of the format run by their conversion to NNEF, since no runtime of their own is known?"""
    found = FORMATS.get(format)
    return found is not None and not found.runtimes and found.dialect.to_nnef is not None


def _runtimes(format: str) -> list[Runtime]:
    """The runtimes for models of the format, in the order in which 'auto' tries them."""
    found = FORMATS.get(format)
    return list(found.runtimes) if found is not None else []


def _cannot_run(format: str, backend: str, able: Sequence[Runtime]) -> UsageError:
    if not able:
        formats = [name for name, item in FORMATS.items() if item.runtimes]
        return UsageError(f"cannot run models of format '{format}'", hint=f"formats: {', '.join(formats)}")
    if not any(runtime.has_kernels for runtime in able):
        problem = f"backend '{backend}' cannot run {able[0].models} models"
        return UsageError(problem, hint="convert the model to NNEF first")
    models = " and ".join(runtime.models for runtime in RUNTIMES if runtime.name == backend)
    return UsageError(f"backend '{backend}' runs {models} models only", hint=_use(AUTO, *(r.name for r in able)))


def _check_device(device: str | None, chosen: Sequence[Runtime], able: Sequence[Runtime]) -> None:
    """Raises UsageError if none of the chosen runtimes has the device. able: all runtimes that can run the model."""
    if device in (None, "cpu") or any(runtime.devices for runtime in chosen):
        return
    others = [runtime.name for runtime in able if runtime.devices]
    if others:
        raise UsageError(f"the {chosen[0].name} backend does not run on '{device}'", hint=_use(*others))
    raise UsageError(f"{able[0].models} models are run on the CPU, not on '{device}'")


def _use(*names: str) -> str:
    return f"use {', '.join(names[:-1])} or {names[-1]}"


def _load(runtime: Runtime, model: Model, device: str | None, options: Mapping[str, Any] | None = None) -> Executor:
    given: dict[str, Any] = dict(options or {})
    if runtime.devices:
        given["device"] = device
    executor: Executor = load(runtime.executor)(model, **given)
    return executor


def _executor_beside_kernels(
    model: _KernelModel, chosen: Sequence[Runtime], kernels: Sequence[Runtime], device: str | None
) -> Executor:
    """An executor of the first chosen runtime, or one with kernels if the first one fails and is not the only one."""
    from .fallback import FallbackExecutor

    first, is_only = chosen[0], len(chosen) == 1
    if first.has_kernels:
        return model.executor(first, device)
    follow = partial(model.executor, _following(kernels, device), device)
    called = model.called()
    if called:
        note = f"{first.name} cannot call the Python functions of {', '.join(called)}"
        if is_only:
            raise UsageError(note, hint=_use(AUTO, *(runtime.name for runtime in kernels)))
        return follow(note)
    try:
        executor = _load(first, model.source, device)
    except NnefToolsError as error:
        if is_only or isinstance(error, LimitError):
            raise
        note = f"{first.name} cannot run the model: {error.message}"
    else:
        return executor if is_only else FallbackExecutor(executor, follow)
    return follow(note)


def _following(kernels: Sequence[Runtime], device: str | None) -> Runtime:
    """The first runtime with the device that is installed; if none is, the first one with the device."""
    able = [runtime for runtime in kernels if runtime.devices or device in (None, "cpu")]
    return next((runtime for runtime in able if runtime.is_installed), able[0])


class _KernelModel:
    """A model that kernels can run. Its file is read only when needed: a runtime that compiles it may do without."""

    def __init__(
        self,
        model: Model,
        functions: Functions,
        decomposed: Collection[str] | None,
        input_shapes: InputShapes | None = None,
    ) -> None:
        self._model = model
        self._functions = functions
        self._input_shapes = input_shapes
        is_read = functions or decomposed or input_shapes or not isinstance(model, (str, PathLike))
        self.source = self._read(decomposed) if is_read else model

    def _read(self, decomposed: Collection[str] | None = None) -> Graph:
        from ..ops.inference import infer_graph
        from ..ops.library import Library
        from ..ops.validity import check_graph
        from .kernels.loading import check_decomposed, read_graph
        from .sizes import ask_tensors

        graph = read_graph(self._model, decomposed, input_shapes=self._input_shapes)
        check_decomposed(graph, decomposed or ())
        if isinstance(self._model, (str, PathLike)):  # the reader has checked the rest
            infer_graph(graph, library=Library.of(graph, foreign=self._functions), allow_unknown=True)
            ask_tensors(graph)
        else:
            ask_tensors(check_graph(graph, self._functions))
        return graph

    def called(self) -> list[str]:
        """The operators of the model for which functions are given."""
        if not self._functions:
            return []
        return sorted({str(op.type) for op in self._graph().operations} & set(self._functions))

    def _graph(self) -> Graph:
        return self._read() if isinstance(self.source, (str, PathLike)) else self.source

    def executor(self, runtime: Runtime, device: str | None, note: str = "") -> Executor:
        """An executor with the kernels of the runtime. note: why not another runtime."""
        from .kernels.executor import GraphExecutor

        graph = self._graph()
        kernels = load(runtime.executor).for_graph(graph, device)
        return GraphExecutor(graph, kernels, self._functions, note=note, expand=graph is not self._model)

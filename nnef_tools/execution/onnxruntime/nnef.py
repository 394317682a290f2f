"""Runs NNEF models in onnxruntime. Imports onnxruntime; imported only where it is chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ...budget import current, within
from ...errors import ExecutionError, FormatError, NnefToolsError
from ...language.gc_pause import paused_collector
from ...model import Graph, Tensor
from ...model.state import updates
from ..executor import Array, EngineError, Observer, TensorInfo, no_such_tensor
from ..feeds.inputs import check_inputs, interface_codes, tensor_info
from .compiled import CompiledModel
from .model_cache import find_cache
from .onnx import VERSION, first_line, open_session, providers, shared_values
from .state import Memory, states_of


class NnefOnnxExecutor:
    """An `Executor` for the path of an NNEF model or a Graph of the NNEF dialect.

    One session computes the outputs of the graph; for each set of other tensors there is a further one. The compiled
    form of a model folder is cached, see `model_cache`. device: 'cpu' or 'cuda', 'cuda:1', ..; threads: of a session, 0
    for as many as onnxruntime chooses. ConversionError or FormatError if onnxruntime cannot run the model, FileError or
    FormatError if it cannot be read, UsageError for an unknown device.
    """

    backend = "onnxruntime"
    note = ""

    def __init__(self, model: Graph | str | PathLike[str], *, device: str | None = None, threads: int = 0) -> None:
        self.device = device or "cpu"
        self._providers = providers(device)
        self._threads = threads
        self._budget = current()
        self._model = model
        self._warned: list[str] = []  # of what is ignored in the model, which is not cached then, to tell it every time
        self._sessions: dict[tuple[str, ...], _Session] = {}
        self._memory = Memory()
        self._cache = None if isinstance(model, Graph) else find_cache(Path(model), VERSION)
        if not self._open_cached():
            with paused_collector():  # one pause for all steps: after each, everything would be walked
                self._open_uncached()
        self._output_names = [info.name for info in self.outputs]
        self.has_state = any(session.states for session in self._sessions.values())
        session = self._sessions.get(tuple(self._output_names))
        # the session of all outputs, if it takes the inputs unchanged
        fits = session is not None and session.inputs == [info.name for info in self.inputs] and not self.has_state
        self._direct = partial(session.run, session.outputs) if session is not None and fits else None

    def _open_cached(self) -> bool:
        """Opens the session of the outputs from the cache, if the model is there."""
        compiled = None if self._cache is None else self._cache.find()
        if self._cache is None or compiled is None:
            return False
        try:
            session = self._start(compiled)
            if len(session.inputs) != len(compiled.inputs) or len(session.outputs) != len(compiled.outputs):
                raise FormatError("the names do not belong to the model")
        except NnefToolsError:  # cached on another kind of computer, or not by this package
            self._cache.remove()
            return False
        self._sessions[tuple(info.name for info in compiled.outputs)] = session
        self.inputs, self.outputs = list(compiled.inputs), list(compiled.outputs)
        return True

    def _open_uncached(self) -> None:
        """Opens the session of the outputs that have to be computed, and caches it if these are all."""
        self.inputs = [self._info(tensor) for tensor in self._graph.inputs]
        self.outputs = [self._info(tensor) for tensor in self._graph.outputs]
        names = [info.name for info in self.outputs]
        compiled = self._open(tuple(name for name in names if not self._is_known(name)))
        if self._cache is not None and not self._warned and [info.name for info in compiled.outputs] == names:
            self._cache.store(replace(compiled, inputs=self.inputs, outputs=self.outputs))

    def _open(self, names: tuple[str, ...]) -> CompiledModel:
        """Compiles the model and opens a session that computes these tensors."""
        from .compiler import compile_graph

        with paused_collector(), within(self._budget):
            results = [self._tensors[name] for name in names]
            compiled = compile_graph(self._graph, results, from_files=not isinstance(self._model, Graph))
        self._sessions[names] = self._start(compiled)
        return compiled

    def _start(self, compiled: CompiledModel) -> _Session:
        values = shared_values({name: weight.array for name, weight in compiled.weights.items()})
        where = "<model>" if isinstance(self._model, Graph) else str(self._model)
        session = open_session(compiled.model, where, threads=self._threads, providers=self._providers, values=values)
        return _Session(session)

    def _info(self, tensor: Tensor) -> TensorInfo:
        return replace(tensor_info(tensor), codes=self._codes.get(str(tensor.name)))

    @cached_property
    def _graph(self) -> Graph:
        """The graph, with shapes; it is not needed for the cached session of the outputs."""
        from ...model.copying import copy_graph
        from ..kernels.loading import read_graph
        from .compiler import prepare

        with paused_collector():
            if isinstance(self._model, Graph):
                graph = copy_graph(self._model)
            else:
                graph = read_graph(self._model, warned=self._warned)
            if self._sessions and self._cache is not None and not self._cache.is_current():
                raise ExecutionError("the model changed after it was loaded", where=str(self._model))
            # the prepared graph has no facts that tell
            self._codes = {str(t.name): interface_codes(t) for t in (*graph.inputs, *graph.outputs)}
            return prepare(graph)

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        return {t.name: t for t in reversed(self._graph.tensors) if t.name}

    @cached_property
    def _updated(self) -> Collection[Tensor]:
        return updates(self._graph).keys()

    @property
    def tensor_names(self) -> Sequence[str]:
        """See `Executor.tensor_names`."""
        produced = (tensor for op in self._graph.operations for tensor in op.outputs)
        return list(dict.fromkeys(t.name for t in (*self._graph.inputs, *produced) if t.name))

    def reset(self) -> None:
        """See `Executor.reset`."""
        self._memory.clear()

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        if output_names is None and observe is None and self._direct is not None:
            # checks take time in small models: onnxruntime makes them all, except for that of the byte order
            try:
                for array in inputs.values():
                    if not array.dtype.isnative:
                        break
                else:
                    return dict(zip(self._output_names, self._direct(inputs), strict=True))
            except Exception:  # the checks below find the cause
                pass
        arrays = check_inputs(self.inputs, inputs)
        names = self._output_names if output_names is None else list(output_names)
        if tuple(names) in self._sessions and observe is None:
            return dict(zip(names, self._compute(tuple(names), arrays), strict=True))
        for name in names:
            self._check_name(name)
        feeds = dict(zip((info.name for info in self.inputs), arrays, strict=True))
        wanted = list(dict.fromkeys([*self.tensor_names, *names] if observe is not None else names))
        values = {name: self._known(name, feeds) for name in wanted if self._is_known(name)}
        computed = tuple(name for name in wanted if name not in values)
        values.update(zip(computed, self._compute(computed, arrays), strict=True))
        if observe is not None:
            for name in self.tensor_names:
                observe(name, values[name])
        return {name: values[name] for name in names}

    def _is_known(self, name: str) -> bool:
        """Is the tensor a constant, or an unchanged input?"""
        tensor = self._tensors[name]
        producer = tensor.producer
        constant = producer is None or producer.type in ("variable", "constant")
        if constant:
            return tensor not in self._updated
        return producer is not None and producer.type == "external" and not tensor.quant

    def _known(self, name: str, feeds: Mapping[str, Array]) -> Array:
        from ..kernels.constants import constant_data

        return np.array(feeds[name] if name in feeds else constant_data(self._tensors[name]))

    def _check_name(self, name: str) -> None:
        if name not in self._tensors:
            raise no_such_tensor(name, self.tensor_names)

    def _compute(self, names: tuple[str, ...], inputs: Sequence[Array]) -> list[Array]:
        if not names and not self.has_state:
            return []
        if names not in self._sessions:
            self._open(names)
        session = self._sessions[names]
        try:
            feeds = {**dict(zip(session.inputs, inputs, strict=True)), **self._memory.feeds(session.states)}
            results: list[Array] = session.run([*session.outputs, *(state.output for state in session.states)], feeds)
        except Exception as error:  # onnxruntime raises a class of its own for each status
            raise EngineError(f"onnxruntime failed: {first_line(error)}") from error
        count = len(session.outputs)
        self._memory.keep(session.states, results[count:])
        return results[:count]


class _Session:
    """A session of onnxruntime, with the names of its inputs and outputs other than states."""

    def __init__(self, session: Any) -> None:
        self.run: Callable[..., list[Array]] = session.run
        self.states = states_of(session)
        own = {name for state in self.states for name in (state.input, state.output)}
        self.inputs = [item.name for item in session.get_inputs() if item.name not in own]
        self.outputs = [item.name for item in session.get_outputs() if item.name not in own]

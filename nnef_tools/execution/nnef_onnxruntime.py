"""Runs NNEF models in onnxruntime: converted to ONNX in memory, with the weights where they are.

Imports onnx and onnxruntime; imported only where it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conversion.nnef_to_onnx import Converter
from ..errors import ExecutionError
from ..io.onnx.writer import SMALL, Layout, build_message
from ..language.collector import paused_collector
from ..language.stdlib import standard_fragments
from ..model import Graph, Tensor
from ..model.copying import copy_graph
from ..ops.extensions import extension_fragments
from ..ops.inference import infer_graph
from .backend import Array, Observer, no_such_tensor
from .constants import constant_data
from .interpreter import check_inputs, inputs_fit, tensor_info
from .onnx_backend import first_line, open_session, providers, shared_values

if TYPE_CHECKING:
    from ..io.onnx.messages import ModelMessage

_SOURCES = ("external", "variable", "constant")


class NnefOnnxExecutor:
    """An `Executor` for a Graph of the NNEF dialect.

    A session computes the outputs of the graph; for other tensors there is one more for each set of them.
    device: 'cpu' or 'cuda', 'cuda:1', ..; threads: of a session, 0 for as many as onnxruntime chooses. owned: the graph
    is of no more use to the caller, so it may be changed instead of a copy.
    ConversionError or FormatError if onnxruntime cannot run the model, UsageError for a device that there is not.
    """

    backend = "onnxruntime"
    note = ""

    def __init__(self, graph: Graph, *, device: str | None = None, threads: int = 0, owned: bool = False) -> None:
        self._providers = providers(device)
        self._threads = threads
        with paused_collector():
            self._graph = _with_shapes(graph if owned else copy_graph(graph))
        self._tensors = {t.name: t for t in reversed(self._graph.tensors) if t.name}
        self._sessions: dict[tuple[str, ...], tuple[Any, list[str]]] = {}
        self.inputs = [tensor_info(tensor) for tensor in graph.inputs]
        self.outputs = [tensor_info(tensor) for tensor in graph.outputs]
        self._output_names = tuple(info.name for info in self.outputs)
        computed = tuple(name for name in self._output_names if not self._is_known(name))
        session, names = self._session(computed)
        # The session that gives all outputs, if it takes the inputs as they are.
        own_names = [info.name for info in self.inputs]
        self._direct = session if computed == self._output_names and names == own_names else None

    @property
    def tensor_names(self) -> Sequence[str]:
        """See `Executor.tensor_names`."""
        produced = (tensor for op in self._graph.operations for tensor in op.outputs)
        return list(dict.fromkeys(t.name for t in (*self._graph.inputs, *produced) if t.name))

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        plain = output_names is None and observe is None and isinstance(inputs, dict)
        if plain and self._direct is not None and inputs_fit(self.inputs, inputs):
            return dict(zip(self._output_names, _run_session(self._direct, inputs), strict=True))
        arrays = check_inputs(self.inputs, inputs)
        names = list(self._output_names) if output_names is None else list(output_names)
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
        """Is it a constant, or an input that stays as it is?"""
        tensor = self._tensors[name]
        producer = tensor.producer
        constant = producer is None or producer.type in ("variable", "constant")
        return constant or (producer is not None and producer.type == "external" and not tensor.quant)

    def _known(self, name: str, feeds: Mapping[str, Array]) -> Array:
        return np.array(feeds[name] if name in feeds else constant_data(self._tensors[name]))

    def _check_name(self, name: str) -> None:
        if name not in self._tensors:
            raise no_such_tensor(name, self.tensor_names)

    def _compute(self, names: tuple[str, ...], inputs: Sequence[Array]) -> list[Array]:
        if not names:
            return []
        session, input_names = self._session(names)
        return _run_session(session, dict(zip(input_names, inputs, strict=True)))

    def _session(self, names: tuple[str, ...]) -> tuple[Any, list[str]]:
        """The session that computes these tensors, and the names of its inputs."""
        if names not in self._sessions:
            message = self._message(names)
            shared = {name: a for name, a in message.initializers.items() if _is_shared(a)}
            model = Layout(message, dict.fromkeys(shared, ("weights", 0))).to_bytes()
            session = open_session(
                model, "<model>", threads=self._threads, providers=self._providers, values=shared_values(shared)
            )
            self._sessions[names] = session, [item.name for item in session.get_inputs()]
        return self._sessions[names]

    def _message(self, names: Sequence[str]) -> ModelMessage:
        """The model that computes these tensors."""
        outputs = self._graph.outputs
        self._graph.outputs = [self._tensors[name] for name in names]
        try:
            with paused_collector():
                return build_message(Converter()(self._graph), describe_results=False)
        finally:
            self._graph.outputs = outputs


def _run_session(session: Any, feeds: Mapping[str, Array]) -> list[Array]:
    try:
        results: list[Array] = session.run(None, feeds)
    except Exception as error:  # onnxruntime raises a class of its own for each status
        raise ExecutionError(f"onnxruntime failed: {first_line(error)}") from error
    return results


def _is_shared(array: Array) -> bool:
    """Is the array handed to onnxruntime as it is? Small ones are part of the model."""
    return array.nbytes > SMALL and array.dtype.kind in "fiub" and array.dtype.isnative


def _with_shapes(graph: Graph) -> Graph:
    """The graph, with all shapes, and without the facts, so that names stay those of the NNEF graph."""
    graph.metadata = {key: value for key, value in graph.metadata.items() if key != "tensors"}
    if any(tensor.shape is None or None in tensor.shape for tensor in _results(graph)):
        own = graph.metadata.get("fragments") or {}
        fragments = {**standard_fragments(), **extension_fragments(), **own}
        infer_graph(graph, fragments=fragments, allow_unknown=True)
    return graph


def _results(graph: Graph) -> list[Tensor]:
    return [tensor for op in graph.operations if op.type not in _SOURCES for tensor in op.outputs]

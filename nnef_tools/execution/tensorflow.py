"""Runs TensorFlow graphs in TensorFlow, on the CPU. Imports tensorflow; imported only where it is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExecutionError, FileError, MissingPackageError, UsageError
from ..formats import InputShapes
from ..io.input_values import Values
from ..io.mapped import release_pages
from ..io.protobuf import Message
from ..io.tf.graphdef import Reader, import_graph_def, set_input_shapes
from ..io.tf.graphdef.reader import encoded, parse_file
from ..io.tf.graphdef.schema import SCHEMA
from ..io.tf.graphdef.tensors import tensor_value
from .executor import Array, Observer, TensorInfo, no_such_tensor
from .feeds.inputs import check_inputs

try:
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
except ImportError as error:
    raise MissingPackageError("tensorflow", "to run TensorFlow models", "tf") from error


LARGE_WEIGHT, LARGE_GRAPH = 1 << 20, 1 << 26
"""The sizes in bytes from which on a constant, in a graph with constants of that size, is fed."""

ALIGNMENT = 64
"""Of the arrays that TensorFlow takes without a copy, in bytes."""


class TensorFlowExecutor:
    """An `Executor` for a frozen graph (`.pb`), or anything else that the reader of TensorFlow graphs accepts.

    All tensors have TensorFlow's full names, such as `x:0`. `run` also accepts names without `:0`, and returns results
    under the names that were asked for. input_shapes: name -> extents of inputs, in place of those of the graph.
    set_inputs: name -> value of placeholders that are no inputs then. signature: of a SavedModel with several.
    """

    backend = "tensorflow"
    device = "cpu"
    note = ""
    has_state = False  # variables of frozen graphs are constants

    def __init__(
        self,
        model: str | os.PathLike[str],
        input_shapes: InputShapes | None = None,
        set_inputs: Values | None = None,
        signature: str | None = None,
    ) -> None:
        self._path = Path(model)
        if not self._path.exists():
            raise FileError("there is no such file", where=str(self._path))
        reader = Reader(set_inputs=set_inputs, signature=signature)
        graph = reader(self._path, input_shapes)
        self._values = {_full(name): value for name, value in reader.values.items()}
        composites = [op for op in graph.operations if op.custom]
        if composites:
            raise UsageError(
                f"TensorFlow cannot run the composite operation '{composites[0].type}'",
                where=str(self._path),
                hint="export the graph with collapse_composites=False to run it",
            )
        self._weights = self._import(input_shapes or {}, signature)
        self._session: Any = None
        self.inputs = [_info(tensor) for tensor in graph.inputs]
        self.outputs = [_info(tensor) for tensor in graph.outputs]

    def _import(self, input_shapes: InputShapes, signature: str | None) -> dict[str, Array]:
        """Imports the graph. Returns its large weights by full name, to be fed: TensorFlow copies constants."""
        parsed, _ = parse_file(self._path, signature)
        weights = _take_weights(parsed)
        message = GraphDef()
        message.ParseFromString(encoded(parsed))
        self._graph = import_graph_def(set_input_shapes(message, input_shapes) if input_shapes else message)
        found = {}
        for name, tensor in weights.items():
            array = tensor_value(tensor)
            found[_full(name)] = _aligned(array)
            release_pages(array)
        return found

    @property
    def tensor_names(self) -> list[str]:
        """The results of all nodes but constants, in the order of the graph."""
        return [
            str(tensor.name)
            for op in self._graph.get_operations()
            if op.type != "Const"
            for tensor in op.outputs
            if tensor.name not in self._weights and _is_value(tensor)
        ]

    def reset(self) -> None:
        """See `Executor.reset`."""

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`. Constants and tensors inside of loops are not observed."""
        names = [info.name for info in self.outputs] if output_names is None else list(output_names)
        given = {_full(name): value for name, value in inputs.items()}
        arrays = check_inputs(self.inputs, given)
        feeds = {info.name: _fed(info, array) for info, array in zip(self.inputs, arrays, strict=True)}
        wanted = {name: self._tensor(name) for name in names}
        if observe is not None:
            for name in self._observable():
                wanted.setdefault(name, self._tensor(name))
        fetches = {name: tensor for name, tensor in wanted.items() if tensor.name not in feeds}
        values = dict(zip(fetches, self._compute(list(fetches.values()), feeds), strict=True))
        for name, tensor in wanted.items():
            if name not in values:
                values[name] = feeds[tensor.name]
        if observe is not None:
            for name in self._observable():
                observe(name, np.asarray(values[name]))
        return {name: np.asarray(values[name]) for name in names}

    def _observable(self) -> list[str]:
        loops = {op.name for op in self._graph.get_operations() if op._get_control_flow_context() is not None}
        return [name for name in self.tensor_names if name.partition(":")[0] not in loops]

    def _tensor(self, name: str) -> Any:
        try:
            return self._graph.get_tensor_by_name(_full(name))
        except (KeyError, ValueError):
            raise no_such_tensor(name, self.tensor_names) from None

    def _compute(self, tensors: list[Any], feeds: Mapping[str, Any]) -> list[Any]:
        if self._session is None:
            config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
            # its rewrites leave out floor before an argmin, for example, which decides between equal items
            config.graph_options.rewrite_options.arithmetic_optimization = RewriterConfig.OFF
            self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        try:
            values: list[Any] = self._session.run(tensors, {**self._weights, **self._values, **feeds})
        except tf.errors.OpError as error:
            lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
            kept = [line for line in lines if not line.startswith(("Graph execution error", "Detected at"))]
            raise ExecutionError(f"TensorFlow failed: {(kept or lines)[0]}", where=str(self._path)) from error
        except (TypeError, ValueError) as error:
            raise ExecutionError(f"TensorFlow failed: {error}", where=str(self._path)) from error
        return values


def _take_weights(message: Message) -> dict[str, Message]:
    """Makes the large weights of a large graph inputs. Returns their tensors by name of the node."""
    found = {}
    for node in message["node"]:
        tensor = node["attr"]["value"]["tensor"] if node["op"] == "Const" and not node["input"] else None
        if tensor is not None and len(tensor["tensor_content"]) >= LARGE_WEIGHT:
            found[node["name"]] = node, tensor
    if sum(len(tensor["tensor_content"]) for _, tensor in found.values()) < LARGE_GRAPH:
        return {}
    for node, tensor in found.values():
        shape = SCHEMA["AttrValue"](shape=tensor["tensor_shape"])
        node["op"], node["attr"] = "Placeholder", {"dtype": node["attr"]["dtype"], "shape": shape}
    return {name: tensor for name, (_, tensor) in found.items()}


def _aligned(array: Array) -> Array:
    """A copy at an address at which TensorFlow takes arrays without a further copy."""
    buffer = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    copy: Array = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _info(tensor: Any) -> TensorInfo:
    return TensorInfo(_full(tensor.name), tensor.dtype, tensor.shape)


def _fed(info: TensorInfo, array: Array) -> Array:
    """The value in the form that TensorFlow accepts: strings as objects."""
    return array.astype(np.object_) if info.dtype is np.str_ else array


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _is_value(tensor: Any) -> bool:
    """Can the value of the tensor be fetched? Handles and lists cannot."""
    return tensor.dtype.base_dtype not in (tf.resource, tf.variant)

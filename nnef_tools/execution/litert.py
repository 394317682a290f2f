"""Runs TensorFlow Lite models in LiteRT, on the CPU. Imports ai_edge_litert; imported only where it is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from ..conversion.tflite.to_nnef.quantization import hybrid_kind, quantized_form
from ..dialects.tflite.bridges import CUSTOM
from ..errors import ExecutionError, FileError, MissingPackageError
from ..formats import InputShapes
from ..io.tf.lite import Reader, Writer
from ..model import Graph, Operation, Tensor
from ..model.facts import OPEN_EXTENTS
from ..model.state import VARIABLES
from .executor import Array, Observer, TensorInfo, no_such_tensor
from .feeds.inputs import check_inputs

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
except ImportError as error:
    raise MissingPackageError("ai_edge_litert", "to run TFLite models", "tflite") from error

_DETECTION = "TFLite_Detection_PostProcess"


class LiteRtExecutor:
    """An `Executor` for a `.tflite` file, with LiteRT's optimized kernels.

    Inputs and outputs are what the model has: codes, where it is quantized. Variables keep their values from run to
    run, `reset` gives them their first ones. Tensors have the names that `io.tf.lite.Reader` gives them. signature: the
    one to run, of models that have several. input_shapes: name -> extents of inputs, in place of those of the model.
    """

    backend = "litert"
    device = "cpu"
    note = ""
    _kernels: ClassVar[Any] = OpResolverType.AUTO
    _observable_kernels: ClassVar[Any] = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # delegates hide tensors

    def __init__(
        self, model: str | os.PathLike[str], signature: str | None = None, input_shapes: InputShapes | None = None
    ) -> None:
        self._path = Path(model)
        if not self._path.exists():
            raise FileError("there is no such file", where=str(self._path))
        reader = Reader(signature)
        graph = reader(self._path, input_shapes)  # LiteRT itself may crash on damaged files
        self._subgraph = reader.subgraph
        self._facts = graph.metadata
        graphs = _with_subgraphs(graph)
        custom = {str(op.type) for item in graphs for op in item.operations if op.custom}
        self._custom = sorted(custom.difference(CUSTOM))
        self.has_state = any(
            VARIABLES in item.metadata or any(op.type == "VAR_HANDLE" for op in item.operations) for item in graphs
        )
        self._index = {str(tensor.name): k for k, tensor in enumerate(graph.tensors) if tensor.name}
        computed = {tensor for op in graph.operations for tensor in op.outputs}
        self.tensor_names = [
            str(tensor.name)
            for tensor in graph.tensors
            if tensor in computed and tensor.dtype not in (np.void, np.object_)
        ]
        self._detections = {
            str(tensor.name): op
            for op in graph.operations
            if op.custom and op.type == _DETECTION and len(op.outputs) == 4
            for tensor in op.outputs[:3]
        }
        self._interpreters: dict[bool, Any] = {}
        self._prepared: dict[Any, list[tuple[int, ...]]] = {}  # interpreter -> shapes of inputs that it is ready for
        self._open(preserving=self.has_state)
        self.inputs = [_info(tensor, graph) for tensor in graph.inputs]
        self.outputs = [_info(tensor, graph) for tensor in graph.outputs]

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        arrays = check_inputs(self.inputs, inputs)
        names = [info.name for info in self.outputs] if output_names is None else list(output_names)
        for name in names:
            if name not in self._index:
                raise no_such_tensor(name, self.tensor_names)
        outputs = {info.name for info in self.outputs}
        counts = [str(self._detections[name].outputs[3].name) for name in names if name in self._detections]
        inner = observe is not None or not outputs.issuperset([*names, *counts])
        opened = self._open(preserving=inner or self.has_state)
        try:
            self._invoke(opened, arrays)
            values = {name: np.array(self._value(opened, name)) for name in names}
            for name in self.tensor_names if observe is not None else ():
                assert observe is not None
                observe(name, self._value(opened, name))
        except (RuntimeError, ValueError) as error:
            raise self._failure(error) from error
        return values

    def reset(self) -> None:
        """Gives all variables their first value, by new interpreters: LiteRT's own reset leaves out resources."""
        if self.has_state:
            self._interpreters.clear()
            self._prepared.clear()

    def _open(self, *, preserving: bool) -> Any:
        """The interpreter, made when it is first needed. preserving: do the values of inner tensors stay?"""
        if preserving not in self._interpreters:
            try:
                opened = Interpreter(
                    str(self._path),
                    experimental_op_resolver_type=self._observable_kernels if preserving else self._kernels,
                    experimental_preserve_all_tensors=preserving,
                )
            except (RuntimeError, ValueError) as error:
                raise self._failure(error) from error
            self._interpreters[preserving] = opened
        return self._interpreters[preserving]

    def _invoke(self, opened: Any, arrays: Sequence[Array]) -> None:
        if self._subgraph:  # only a signature leads to another subgraph than the first
            by_name = {info.name: array for info, array in zip(self.inputs, arrays, strict=True)}
            names = self._facts["signature_inputs"] if self.inputs else {}
            opened.get_signature_runner(self._facts["signature"])(**{key: by_name[name] for key, name in names.items()})
            return
        self._feed(opened, arrays)
        opened.invoke()

    def _value(self, opened: Any, name: str) -> Any:
        value = opened.get_tensor(self._index[name], self._subgraph)
        op = self._detections.get(name)
        if op is None:
            return value
        count = opened.get_tensor(self._index[str(op.outputs[3].name)], self._subgraph)
        return _detected(op, value, int(count[0]))

    def _feed(self, opened: Any, arrays: Sequence[Array]) -> None:
        details = opened.get_input_details()
        shapes = [array.shape for array in arrays]
        if self._prepared.get(opened) != shapes:  # not before, as the extents of the file may be impossible
            for item, shape in zip(details, shapes, strict=True):
                if tuple(item["shape"]) != shape:
                    opened.resize_tensor_input(item["index"], shape)
            opened.allocate_tensors()
            self._prepared[opened] = shapes
        for item, array in zip(details, arrays, strict=True):
            opened.set_tensor(item["index"], np.asarray(array, order="C"))  # keeps rank 0

    def _failure(self, error: Exception) -> ExecutionError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        hint = f"LiteRT has no custom operator {', '.join(self._custom)}" if self._custom else None
        return ExecutionError(f"LiteRT failed: {lines[0] if lines else error}", where=str(self._path), hint=hint)


class LiteRtReferenceExecutor(LiteRtExecutor):
    """The same with LiteRT's reference kernels, which define what operators compute."""

    backend = "litert-reference"
    _kernels = OpResolverType.BUILTIN_REF
    _observable_kernels = OpResolverType.BUILTIN_REF


class LiteRtRealWeightsExecutor(LiteRtExecutor):
    """The same with weights as real numbers, where operators on real numbers have them as codes (dynamic range).

    LiteRT quantizes the inputs of these operators when it runs, with scales that depend on the inputs. This computes
    what the model says without that.
    """

    backend = "litert-real-weights"

    def __init__(
        self, model: str | os.PathLike[str], signature: str | None = None, input_shapes: InputShapes | None = None
    ) -> None:
        graph = Reader(signature)(model)
        weights = [t for item in _with_subgraphs(graph) for t in item.tensors if hybrid_kind(t) is not None]
        if not weights:
            super().__init__(model, signature, input_shapes)
            return
        for tensor in weights:
            tensor.data = np.asarray(quantized_form(tensor))
            tensor.dtype, tensor.quant = np.float32, {}
        self._folder = TemporaryDirectory()
        path = Path(self._folder.name) / Path(model).name
        Writer()(graph, path)
        super().__init__(path, input_shapes=input_shapes)


def _detected(op: Operation, value: Array, count: int) -> Array:
    """A result of the operator with zeros behind the detections, where its kernel leaves what memory held before."""
    options = op.attribs
    step = 1 if options.get("use_regular_nms") else options["max_classes_per_detection"]
    box, kind = np.divmod(np.arange(value.shape[1]), step)
    written = (box < count) & (kind < options["num_classes"])
    return np.where(written.reshape(1, -1, *[1] * (value.ndim - 2)), value, np.zeros((), value.dtype))


def _with_subgraphs(graph: Graph) -> list[Graph]:
    """The graph and all that its operations have, each once."""
    found = {graph: None}
    waiting = [graph]
    while waiting:
        for op in waiting.pop().operations:
            for value in op.attribs.values():
                for item in value if isinstance(value, list) else (value,):
                    if isinstance(item, Graph) and item not in found:
                        found[item] = None
                        waiting.append(item)
    return list(found)


def _info(tensor: Tensor, graph: Graph) -> TensorInfo:
    open_axes = graph.metadata.get(OPEN_EXTENTS, {}).get(tensor.name, ())
    extents = tuple(None if axis in open_axes else extent for axis, extent in enumerate(tensor.shape or ()))
    return TensorInfo(str(tensor.name), np.bytes_ if tensor.dtype is np.str_ else tensor.dtype, extents)

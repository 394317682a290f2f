"""Runs TensorFlow Lite models in LiteRT, on the CPU. Imports ai_edge_litert; imported only where it is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import ExecutionError, FileError, MissingPackageError
from ..io.tf.lite import Reader
from ..model import Tensor
from .executor import Array, Observer, TensorInfo, no_such_tensor
from .feeds.inputs import check_inputs

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
except ImportError as error:
    raise MissingPackageError("ai_edge_litert", "to run TFLite models", "tflite") from error


class LiteRtExecutor:
    """An `Executor` for a `.tflite` file, with LiteRT's optimized kernels.

    Inputs and outputs are what the model has: codes, where it is quantized. Variables keep their values from run to
    run, `reset` gives them their first ones. Tensors without a name are called by their number, such as `#12`.
    """

    backend = "litert"
    device = "cpu"
    note = ""
    _kernels: ClassVar[Any] = OpResolverType.AUTO
    _observable_kernels: ClassVar[Any] = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # delegates hide tensors

    def __init__(self, model: str | os.PathLike[str]) -> None:
        self._path = Path(model)
        if not self._path.exists():
            raise FileError("there is no such file", where=str(self._path))
        graph = Reader()(self._path)  # LiteRT itself may crash on damaged files
        self._custom = sorted({str(op.type) for op in graph.operations if op.custom})
        self.has_state = any(op.type == "VAR_HANDLE" for op in graph.operations) or "variables" in graph.metadata
        self._index = {_name(tensor, k): k for k, tensor in enumerate(graph.tensors) if tensor.name != ""}
        computed = {tensor for op in graph.operations for tensor in op.outputs}
        self.tensor_names = [
            _name(t, k) for k, t in enumerate(graph.tensors) if t in computed and t.dtype not in (np.void, np.object_)
        ]
        self._interpreters: dict[bool, Any] = {}
        opened = self._open(preserving=self.has_state)
        self.inputs = [_info(item) for item in opened.get_input_details()]
        self.outputs = [_info(item) for item in opened.get_output_details()]
        self._index.update({item["name"]: item["index"] for item in opened.get_output_details()})

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
        inner = observe is not None or not outputs.issuperset(names)
        opened = self._open(preserving=inner or self.has_state)
        try:
            self._feed(opened, arrays)
            opened.invoke()
            values = {name: np.array(opened.get_tensor(self._index[name])) for name in names}
            for name in self.tensor_names if observe is not None else ():
                assert observe is not None
                observe(name, opened.get_tensor(self._index[name]))
        except (RuntimeError, ValueError) as error:
            raise self._failure(error) from error
        return values

    def reset(self) -> None:
        """Gives all variables their first value."""
        for opened in self._interpreters.values():
            opened.reset_all_variables()

    def _open(self, *, preserving: bool) -> Any:
        """The interpreter, made when it is first needed. preserving: do the values of inner tensors stay?"""
        if preserving not in self._interpreters:
            try:
                opened = Interpreter(
                    str(self._path),
                    experimental_op_resolver_type=self._observable_kernels if preserving else self._kernels,
                    experimental_preserve_all_tensors=preserving,
                )
                opened.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise self._failure(error) from error
            self._interpreters[preserving] = opened
        return self._interpreters[preserving]

    def _feed(self, opened: Any, arrays: Sequence[Array]) -> None:
        details = opened.get_input_details()
        changed = [
            item["index"] for item, array in zip(details, arrays, strict=True) if tuple(item["shape"]) != array.shape
        ]
        if changed:
            for item, array in zip(details, arrays, strict=True):
                opened.resize_tensor_input(item["index"], array.shape)
            opened.allocate_tensors()
        for item, array in zip(details, arrays, strict=True):
            opened.set_tensor(item["index"], np.ascontiguousarray(array))

    def _failure(self, error: Exception) -> ExecutionError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        hint = f"LiteRT has no custom operator {', '.join(self._custom)}" if self._custom else None
        return ExecutionError(f"LiteRT failed: {lines[0] if lines else error}", where=str(self._path), hint=hint)


class LiteRtReferenceExecutor(LiteRtExecutor):
    """The same with LiteRT's reference kernels, which define what operators compute."""

    backend = "litert-reference"
    _kernels = OpResolverType.BUILTIN_REF
    _observable_kernels = OpResolverType.BUILTIN_REF


def _name(tensor: Tensor, index: int) -> str:
    return tensor.name or f"#{index}"


def _info(details: Mapping[str, Any]) -> TensorInfo:
    shape = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    extents = tuple(None if extent < 0 else int(extent) for extent in shape)
    return TensorInfo(details["name"] or f"#{details['index']}", details["dtype"], extents)

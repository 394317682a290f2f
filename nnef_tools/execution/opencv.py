"""Runs Caffe nets in OpenCV's dnn module, as a second opinion: it is not Caffe, and computes some layers otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import MissingPackageError, UsageError
from ..io.caffe import Reader
from ..model import Operation
from .executor import Array, EngineError, Observer, no_such_tensor
from .feeds.inputs import check_inputs, tensor_info

_MAX_VERSION = 5
"""The first version that cannot read Caffe's files any more."""

_DEVIATIONS: Sequence[tuple[str, str, Callable[[Operation], bool]]] = (
    ("Deconvolution", "a dilated Deconvolution", lambda op: set(op.attribs.get("dilation", [1])) != {1}),
    ("DetectionOutput", "DetectionOutput (rows are ordered by score)", lambda op: True),
    ("InnerProduct", "InnerProduct with transpose", lambda op: bool(op.attribs.get("transpose"))),
    ("Log", "Log with a base", lambda op: op.attribs.get("base", -1) != -1),
    ("LRN", "LRN with k", lambda op: op.attribs.get("k", 1) != 1),
    ("MVN", "MVN with eps", lambda op: op.attribs.get("eps", 1e-9) != 1e-9),
    ("PriorBox", "PriorBox without clip", lambda op: "clip" not in op.attribs),
    ("PriorBox", "PriorBox with img_size", lambda op: bool({"img_size", "img_h", "img_w"} & op.attribs.keys())),
    ("Scale", "Scale of two bottoms with a bias", lambda op: len(op.inputs) > 2 and op.inputs[1].data is None),
    ("Swish", "Swish with beta", lambda op: op.attribs.get("beta", 1) != 1),
)
"""Type of a layer, what it may ask for that OpenCV 4.14 ignores, and whether it does. Found with tests/data/caffe."""


class OpenCvExecutor:
    """An `Executor` for a Caffe net, whose tensors have the names that `io.caffe.Reader` gives them.

    EngineError if OpenCV does not know a layer, or is known to compute it otherwise than Caffe.
    """

    backend = "opencv"
    device = "cpu"
    note = ""
    has_state = False

    def __init__(self, model: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None) -> None:
        cv2 = _import()
        reader = Reader(weights)
        graph = reader(model)
        for op in graph.operations:
            reason = _deviation(op)
            if reason:
                raise EngineError(f"OpenCV computes {reason} otherwise than Caffe")
        self.inputs = [tensor_info(tensor) for tensor in graph.inputs]
        self.outputs = [tensor_info(tensor) for tensor in graph.outputs]
        try:
            self._net: Any = cv2.dnn.readNetFromCaffe(*map(os.fspath, reader.files))
        except cv2.error as error:
            raise EngineError(f"OpenCV cannot read the net: {_reason(error)}") from error
        names = set(self._net.getLayerNames())  # those of some types are the names of their tops
        made = [(str(op.outputs[0].name), str(op.name)) for op in graph.operations if op.outputs]
        self._layers = {top: layer if layer in names else top for top, layer in made if names & {layer, top}}
        self.tensor_names = [*(info.name for info in self.inputs), *self._layers]
        for info in self.outputs:
            if info.name not in self._layers:
                raise EngineError(f"OpenCV does not give the result '{info.name}'")

    def reset(self) -> None:
        """See `Executor.reset`."""

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        cv2 = _import()
        arrays = check_inputs(self.inputs, inputs)
        values = dict(zip([info.name for info in self.inputs], arrays, strict=True))
        wanted = [info.name for info in self.outputs] if output_names is None else list(output_names)
        layers = [name for name in wanted if name not in values]
        unknown = next((name for name in layers if name not in self._layers), None)
        if unknown is not None:
            raise no_such_tensor(unknown, self.tensor_names)
        try:
            for name, array in values.items():
                self._net.setInput(np.ascontiguousarray(array, np.float32), name)
            results = self._net.forward([self._layers[name] for name in layers]) if layers else []
        except cv2.error as error:
            raise EngineError(f"OpenCV cannot run the net: {_reason(error)}") from error
        values.update(zip(layers, (np.array(result) for result in results), strict=True))
        for name in layers if observe is not None else ():
            assert observe is not None
            observe(name, values[name])
        return {name: values[name] for name in wanted}


def _import() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingPackageError("cv2", "to run Caffe nets", "caffe") from error
    if int(cv2.__version__.partition(".")[0]) >= _MAX_VERSION:
        raise UsageError(f"OpenCV {cv2.__version__} cannot read Caffe nets, versions before {_MAX_VERSION} can")
    return cv2


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def _deviation(op: Operation) -> str:
    """What a layer asks for that OpenCV ignores; empty if there is nothing that is known."""
    return next((what for type, what, asks in _DEVIATIONS if op.type == type and asks(op)), "")

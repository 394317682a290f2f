"""Types and shapes that the onnx package infers, in a process of its own.

Its C++ code trusts models to be valid: small files make it crash, loop, or take all memory. No conversion needs it:
rules infer shapes themselves. It is asked for what rules cannot tell, such as the shapes after a refused operator.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ...model.graph import Graph, Tensor
from ..protobuf import Message
from .schema import parse_model
from .shapes import declared_types

SECONDS = 60
"""How long the inference may take."""

MEMORY = 4 << 30
"""How many bytes its process may allocate."""

MAX_RESULT = 1 << 28
"""The most bytes that it may give back."""

_CODE = f"""
import sys
sys.path[:] = {{path!r}}
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, OSError, ValueError):
    pass
import onnx.shape_inference
result = onnx.shape_inference.infer_shapes(sys.stdin.buffer.read(), data_prop=True).SerializeToString()
if len(result) <= {MAX_RESULT}:
    sys.stdout.buffer.write(result)
"""


def infer_shapes(graph: Graph) -> None:
    """Gives the tensors of an ONNX graph the types and shapes that are not known, as far as onnx infers them, in place.

    Nested graphs too. The graph must be sorted. Nothing changes if onnx is not installed or fails.
    """
    if all(_is_complete(tensor) for op in graph.operations for tensor in op.outputs):
        return
    model = _model(graph)
    inferred = None if model is None else _inferred(model)
    if inferred is not None:
        _fill(graph, inferred["graph"])


def complete_shapes(graph: Graph, **options: Any) -> None:
    """See `infer_shapes`. options: of converters, which make no difference."""
    infer_shapes(graph)


def _model(graph: Graph) -> bytes | None:
    """The bytes of a model without large values; None if the graph is not complete enough to be one."""
    try:
        from .messages import ModelMessage
        from .writer import light_model

        model: bytes = light_model(ModelMessage(graph, typed=False)).SerializeToString()
    except Exception:  # whatever is wrong with the graph is told where it matters
        return None
    return model


def _inferred(model: bytes) -> Message | None:
    """The model with the results of the inference; None if it fails, or if there is no Python to start."""
    if getattr(sys, "frozen", False):  # the executable is the program itself
        return None
    code = _CODE.format(path=[str(Path(path).absolute()) for path in sys.path])
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], input=model, capture_output=True, timeout=SECONDS, check=True
        )
        return parse_model(done.stdout)
    except Exception:  # whatever the inference of onnx stumbles over, its result is only an extra
        return None


def _fill(graph: Graph, message: Message) -> None:
    types = declared_types(message)
    for tensor in graph.tensors:
        if not _is_complete(tensor) and tensor.name in types:
            dtype, shape = types[tensor.name]
            tensor.dtype = tensor.dtype or dtype
            if shape is not None and (tensor.shape is None or len(tensor.shape) == len(shape)):
                tensor.shape = shape
    for op, node in zip(graph.operations, message["node"], strict=False):
        for attribute in node["attribute"]:
            value = op.attribs.get(attribute["name"])
            if isinstance(value, Graph) and "g" in attribute:
                _fill(value, attribute["g"])


def _is_complete(tensor: Tensor) -> bool:
    return tensor.data is not None or (tensor.dtype is not None and tensor.volume is not None)

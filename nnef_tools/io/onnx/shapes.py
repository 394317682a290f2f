"""Types and shapes of the values of an ONNX graph: declared, given by the user, and inferred.

Imports onnx at the top: import this module lazily.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, TypeProto

from ...errors import UsageError
from .hazards import is_hazardous
from .storage import Storage
from .tensors import element_class, is_small, raw_bytes
from .wire import THIS_FILE

Shape = tuple[int | None, ...]
_EXTERNAL = 1


def value_type(proto: TypeProto) -> tuple[type | None, Shape | None]:
    """Numpy scalar class and shape of a tensor type; both None for sequences, maps and optionals."""
    if proto.HasField("sparse_tensor_type"):
        sparse = proto.sparse_tensor_type
        return element_class(sparse.elem_type), _shape(sparse.shape) if sparse.HasField("shape") else None
    if not proto.HasField("tensor_type"):
        return None, None
    tensor = proto.tensor_type
    return element_class(tensor.elem_type), _shape(tensor.shape) if tensor.HasField("shape") else None


def _shape(proto: Any) -> Shape:
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None for dim in proto.dim)


def symbols(graph: GraphProto) -> dict[str, list[int | str | None]]:
    """Tensor name -> extents, for each declared shape in which an extent has a name."""
    found: dict[str, list[int | str | None]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if any(dim.dim_param for dim in dims):
            extents = _shape(value.type.tensor_type.shape)
            found[value.name] = [dim.dim_param or extent for dim, extent in zip(dims, extents, strict=True)]
    return found


def set_input_shapes(graph: GraphProto, shapes: Mapping[str, Sequence[Any]]) -> None:
    """Gives extents to the inputs of a graph, in place.

    shapes: input name -> an int for each extent, or None to leave it as it is. A named extent that gets a value gets it
    on all inputs, unless values contradict each other. Raises UsageError for a name that is not an input, for a rank
    that does not fit and for an extent that is already fixed to another value.
    """
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in initializers}
    bound: dict[str, set[int]] = {}
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(
                f"input shape given for '{name}', which is not an input of the model",
                hint=f"the inputs are: {', '.join(inputs) or 'none'}",
            )
        if inputs[name].type.WhichOneof("value") != "tensor_type":
            raise UsageError(f"input shape given for '{name}', which is not a tensor")
        _set_shape(name, inputs[name].type.tensor_type, _extents(name, shape), bound)
    for value in inputs.values():
        for dim in value.type.tensor_type.shape.dim:
            values = bound.get(dim.dim_param, set())
            if dim.dim_param and len(values) == 1:
                dim.dim_value = next(iter(values))


def _extents(name: str, shape: Sequence[Any]) -> list[int | None]:
    try:
        extents = [None if extent is None else operator.index(extent) for extent in shape]
    except TypeError as error:
        raise UsageError(f"shape {shape!r} of input '{name}' is not a sequence of integers") from error
    if any(extent is not None and not 0 <= extent < 1 << 63 for extent in extents):
        raise UsageError(f"shape {shape!r} of input '{name}' has an extent out of range")
    return extents


def _set_shape(name: str, tensor: TypeProto.Tensor, extents: list[int | None], bound: dict[str, set[int]]) -> None:
    if not tensor.HasField("shape"):
        tensor.shape.SetInParent()
        for _ in extents:
            tensor.shape.dim.add()
    if len(tensor.shape.dim) != len(extents):
        raise UsageError(
            f"input '{name}' has rank {len(tensor.shape.dim)}, but the given shape {extents} has rank {len(extents)}"
        )
    for declared, dim, extent in zip(_shape(tensor.shape), tensor.shape.dim, extents, strict=True):
        if extent is None:
            continue
        if declared is not None and declared != extent:
            raise UsageError(
                f"the given shape {extents} of input '{name}' contradicts its shape {list(_shape(tensor.shape))} "
                f"in the model",
                hint="only extents that the model leaves open can be given",
            )
        if dim.dim_param:
            bound.setdefault(dim.dim_param, set()).add(extent)
        dim.dim_value = extent


def infer(model: ModelProto, storage: Storage) -> ModelProto:
    """The model with the types and shapes that onnx infers; the model as it is if it cannot.

    Small tensors in other files are put into the model first, since shapes may depend on them.
    """
    for tensor in model.graph.initializer:
        locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
        if tensor.data_location == _EXTERNAL and locations != [THIS_FILE] and is_small(tensor):
            tensor.raw_data = raw_bytes(tensor, storage)
            tensor.ClearField("data_location")
            del tensor.external_data[:]
    if is_hazardous(model):
        return model
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # whatever the inference of onnx stumbles over, its result is only an extra
        return model

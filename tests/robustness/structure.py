"""Damage to the structure of ONNX models: files that can be read, of operators that make no sense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

INTEGERS = (0, 1, -1, 2, 3, -3, 7, 100, 2**31, -(2**31), 2**62, -(2**63))
FLOATS = (0.0, -1.0, 1e30, -1e-30, float("nan"), float("inf"), float("-inf"))
STRINGS = (b"", b"x", b"SAME_UPPER", b"\xff\xfe", b"constant", b"linear")
TYPES = sorted({schema.name for schema in onnx.defs.get_all_schemas()})


def damaged_structure(model: ModelProto, rng: np.random.Generator) -> ModelProto:
    """A copy with one to three changes to operators, their attributes and inputs, tensors, shapes or versions."""
    result = ModelProto()
    result.CopyFrom(model)
    for _ in range(rng.integers(1, 4)):
        _CHANGES[rng.integers(len(_CHANGES))](result, rng)
    return result


def _node(model: ModelProto, rng: np.random.Generator) -> NodeProto | None:
    nodes = model.graph.node
    return nodes[rng.integers(len(nodes))] if nodes else None


def _change_attribute(model: ModelProto, rng: np.random.Generator) -> None:
    node = _node(model, rng)
    if node is None or not node.attribute:
        return
    attribute = node.attribute[rng.integers(len(node.attribute))]
    kind = rng.integers(4)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1 and attribute.ints:
        attribute.ints[rng.integers(len(attribute.ints))] = INTEGERS[rng.integers(len(INTEGERS))]
    elif kind == 2 and attribute.ints:
        attribute.ints.append(INTEGERS[rng.integers(len(INTEGERS))])
    else:
        attribute.i = INTEGERS[rng.integers(len(INTEGERS))]
        attribute.f = FLOATS[rng.integers(len(FLOATS))]
        attribute.s = STRINGS[rng.integers(len(STRINGS))]


def _retype_attribute(model: ModelProto, rng: np.random.Generator) -> None:
    node = _node(model, rng)
    if node is not None and node.attribute:
        node.attribute[rng.integers(len(node.attribute))].type = int(rng.integers(0, 15))  # type: ignore[assignment]


def _change_type(model: ModelProto, rng: np.random.Generator) -> None:
    node = _node(model, rng)
    if node is not None:
        node.op_type = TYPES[rng.integers(len(TYPES))]


def _change_inputs(model: ModelProto, rng: np.random.Generator) -> None:
    node = _node(model, rng)
    if node is None or not node.input:
        return
    k = int(rng.integers(len(node.input)))
    names = [value.name for value in model.graph.input] + [tensor.name for tensor in model.graph.initializer]
    kind = rng.integers(4)
    if kind == 0:
        del node.input[k]
    elif kind == 1:
        node.input[k] = ""
    elif kind == 2:
        node.input.append(node.input[k])
    elif names:
        node.input[k] = names[rng.integers(len(names))]


def _change_outputs(model: ModelProto, rng: np.random.Generator) -> None:
    node = _node(model, rng)
    if node is not None and rng.integers(2):
        node.output.append("further")
    elif node is not None and len(node.output) > 1:
        del node.output[-1]


def _change_shape(model: ModelProto, rng: np.random.Generator) -> None:
    value = model.graph.input[rng.integers(len(model.graph.input))] if model.graph.input else None
    if value is None:
        return
    dims = value.type.tensor_type.shape.dim
    if dims and rng.integers(3):
        dims[rng.integers(len(dims))].dim_value = (0, 1, 2, 3, 5, -1)[rng.integers(6)]
    elif rng.integers(2):
        dims.add().dim_value = int(rng.integers(1, 4))
    elif dims:
        del dims[-1]


def _change_element_type(model: ModelProto, rng: np.random.Generator) -> None:
    if model.graph.input:
        value = model.graph.input[rng.integers(len(model.graph.input))]
        value.type.tensor_type.elem_type = int(rng.integers(0, 26))


def _change_tensor(model: ModelProto, rng: np.random.Generator) -> None:
    if not model.graph.initializer:
        return
    tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
    kind = rng.integers(3)
    if kind == 0 and tensor.dims:
        tensor.dims[rng.integers(len(tensor.dims))] = INTEGERS[rng.integers(len(INTEGERS))]
    elif kind == 1:
        tensor.data_type = int(rng.integers(0, 30))
    elif tensor.raw_data:
        width = len(tensor.raw_data)
        tensor.raw_data = b"".join(
            int(INTEGERS[rng.integers(len(INTEGERS))]).to_bytes(8, "little", signed=True) for _ in range(width // 8 + 1)
        )[:width]


def _change_version(model: ModelProto, rng: np.random.Generator) -> None:
    model.opset_import[rng.integers(len(model.opset_import))].version = int(rng.integers(0, 30))


_CHANGES: tuple[Callable[[ModelProto, np.random.Generator], None], ...] = (
    _change_attribute,
    _change_attribute,
    _change_attribute,
    _change_inputs,
    _change_inputs,
    _change_tensor,
    _change_tensor,
    _change_shape,
    _change_shape,
    _change_type,
    _change_outputs,
    _retype_attribute,
    _change_element_type,
    _change_version,
)

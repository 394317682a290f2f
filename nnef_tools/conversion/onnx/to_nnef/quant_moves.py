"""Operators that move codes as operators that move real values, so that tensors between quantized operators are real.

`QuantizeLinear, MaxPool, DequantizeLinear` become `QuantizeLinear, DequantizeLinear, MaxPool, QuantizeLinear,
DequantizeLinear`, all with the same parameters; pairs of the two become quantized tensors (`qdq.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ....model import Graph, Operation, Tensor
from ....model.dtypes import is_integer
from .qdq import is_plain, parameters_of

Form = tuple[float, int]
"""Scale and zero point of all items of a tensor."""

_OPEN: Form = (0.0, 0)
"""Stands for any form, in codes that leave the model."""

_FIRST = frozenset(
    ("DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "MaxPool", "Pad",
     "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze")
)  # fmt: skip
"""Operators whose results have items of their first input."""
_ALL = frozenset(("Concat", "Max", "Min"))
"""Operators whose result has items of all inputs."""
_PADDED = 11
"""The first version in which the number that Pad adds is an input."""


def find_moves(graph: Graph, version: int) -> dict[Operation, Form]:
    """The operators that move codes from quantized tensors to quantized tensors -> the parameters of the codes."""
    movers = {op: moved for op in graph.operations if (moved := _moved(op, version))}
    if not movers:
        return {}
    bound = {tensor for op in graph.operations for tensor in op.captures}
    wanted: dict[Tensor, Form | None] = {}

    def find_wanted(tensor: Tensor) -> Form | None:
        readers = None if tensor in bound else [_read(op, tensor, movers, wanted) for op in tensor.consumers]
        return None if readers is None else _common([*readers, *([_OPEN] if tensor in graph.outputs else [])])

    for op in reversed(graph.operations):
        wanted.update((tensor, find_wanted(tensor)) for tensor in op.outputs)
    known: dict[Tensor, Form | None] = {}
    found: dict[Operation, Form] = {}
    for op in graph.operations:
        if op.type == "QuantizeLinear":
            known[op.outputs[0]] = _quantized(op)
        for tensor in movers.get(op, ()):
            if tensor not in known and not tensor.has_producer:  # an input or a constant: what readers take it for
                known[tensor] = find_wanted(tensor)
        forms = {known.get(tensor) for tensor in movers.get(op, ())}
        form = forms.pop() if len(forms) == 1 else None
        if form not in (None, _OPEN) and all(wanted[t] in (form, _OPEN) for t in op.outputs):
            assert form is not None
            known.update(dict.fromkeys(op.outputs, form))
            found[op] = form
    return found


def _moved(op: Operation, version: int) -> Sequence[Tensor]:
    """The inputs whose items are those of the results; none if the operator does more."""
    if op.domain != "" or not op.inputs or any(t.dtype is not None and not is_integer(t.dtype) for t in op.outputs):
        return ()
    if op.type in _ALL:
        return op.inputs
    if op.type not in _FIRST or (op.type == "MaxPool" and len(op.outputs) != 1):
        return ()
    if op.type == "Resize":
        plain = op.attribs.get("mode", "nearest") == "nearest"
        return (
            op.inputs[:1] if plain and op.attribs.get("coordinate_transformation_mode") != "tf_crop_and_resize" else ()
        )
    if op.type == "Pad" and (version < _PADDED or (len(op.inputs) > 2 and op.inputs[2].data is None)):
        return ()
    return op.inputs[:1]


def _read(
    op: Operation, tensor: Tensor, movers: Mapping[Operation, Sequence[Tensor]], wanted: Mapping[Tensor, Form | None]
) -> Form | None:
    """What an operator takes codes for; None for mere integers."""
    if op.type == "DequantizeLinear":
        return parameters_of(op, tensor)
    others = [t for t in op.inputs if not any(t is moved for moved in movers.get(op, ()))]
    if op not in movers or any(t is tensor for t in others):
        return None
    return _common([wanted[t] for t in op.outputs])


def _common(forms: Sequence[Form | None]) -> Form | None:
    """The form that all are, where the open one is any; None if there is none."""
    closed = {form for form in forms if form != _OPEN}
    if not closed:
        return _OPEN if forms else None
    return closed.pop() if len(closed) == 1 else None


def _quantized(op: Operation) -> Form | None:
    """Scale and zero point of the codes that QuantizeLinear makes, if they are constant and hold for all items."""
    if not is_plain(op) or len(op.inputs) < 3 or op.inputs[1].dtype is not np.float32:
        return None
    scale, zero_point = np.asarray(op.inputs[1].data), np.asarray(op.inputs[2].data)
    if scale.size != 1 or zero_point.size != 1:
        return None
    return float(scale.reshape(())), int(zero_point.reshape(()))


def move_values(graph: Graph, op: Operation, form: Form, version: int) -> None:
    """Lets an operator that `find_moves` gave move real values, in place."""
    moved = _moved(op, version)
    dtype = _type_of(moved[0])
    scale = Tensor(graph, shape=(), dtype=np.float32, data=np.asarray(form[0], np.float32))
    zero_point = Tensor(graph, shape=(), dtype=dtype, data=np.asarray(form[1], dtype))
    values: dict[Tensor, Tensor] = {}
    for codes in moved:
        if codes not in values:
            values[codes] = Tensor(graph, shape=codes.shape, dtype=np.float32)
            parameters = (codes, scale, zero_point)
            Operation(graph, type="DequantizeLinear", inputs=parameters, outputs=(values[codes],))
    inputs = [values.get(t, t) if k < len(moved) else t for k, t in enumerate(op.inputs)]
    if op.type == "Pad" and op.attribs.get("mode", "constant") == "constant":
        given = len(inputs) > 2 and inputs[2].name != ""
        code = int(np.asarray(inputs[2].data).reshape(())) if given else 0
        value = np.asarray((code - form[1]) * np.float32(form[0]), np.float32)
        inputs[2:3] = [Tensor(graph, shape=(), dtype=np.float32, data=value)]
    op.inputs = tuple(inputs)
    results = op.outputs
    op.outputs = tuple(Tensor(graph, shape=t.shape, dtype=np.float32) for t in results)
    for real, codes in zip(op.outputs, results, strict=True):
        codes.dtype = dtype
        Operation(graph, type="QuantizeLinear", inputs=(real, scale, zero_point), outputs=(codes,))


def _type_of(codes: Tensor) -> type:
    """The type of codes, which files need not declare."""
    maker = codes.producer
    dtype: type = maker.inputs[2].dtype if codes.dtype is None and maker is not None else codes.dtype
    return dtype

"""Small TensorFlow graphs, and damage to their structure: files that can be read, of operators that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.dialects.tf import operators

from ..io.tf.messages import (
    BOOL,
    CLASSES,
    FLOAT,
    INT32,
    STRING,
    attr,
    const,
    func,
    function,
    graph,
    items,
    node,
    placeholder,
    shape,
    tensor,
    unary,
)

INTEGERS = (0, 1, -1, 2, 3, -3, 7, 100, 2**31, -(2**31), 2**62, -(2**63))
FLOATS = (0.0, -1.0, 1e30, -1e-30, float("nan"), float("inf"))
STRINGS = (b"", b"x", b"SAME", b"VALID", b"EXPLICIT", b"NHWC", b"NCHW", b"\xff\xfe", b"REFLECT", b"bilinear")
TYPES = [line.split()[0] for line in Path(operators.__file__).with_name("operators.txt").read_text().splitlines()]

F = attr(type=FLOAT)


def floats(name: str, *dims: int) -> Any:
    values = np.linspace(-1, 1, int(np.prod(dims, dtype=int)), dtype=np.float32)
    return const(name, tensor(FLOAT, dims, tensor_content=values.tobytes()))


def integers(name: str, *values: int) -> Any:
    return const(name, tensor(INT32, (len(values),), int_val=values))


def scalar(name: str, value: int) -> Any:
    return const(name, tensor(INT32, (), int_val=[value]))


def network() -> Any:
    """Convolution, pooling, slices, reductions and shapes."""
    image = {"T": F, "strides": items(i=[1, 1, 1, 1]), "padding": attr(s=b"SAME")}
    window = {"T": F, "ksize": items(i=[1, 2, 2, 1]), "strides": items(i=[1, 2, 2, 1]), "padding": attr(s=b"VALID")}
    indices = {"T": F, "Tidx": attr(type=INT32), "Index": attr(type=INT32)}
    return graph(
        placeholder("x", 1, 4, 4, 2),
        floats("w", 3, 3, 2, 4),
        floats("b", 4),
        node("Conv2D", "conv", "x", "w", **image),
        node("BiasAdd", "bias", "conv", "b", T=F),
        unary("Relu", "relu", "bias"),
        node("MaxPool", "pool", "relu", **window),
        integers("axes", 1, 2),
        node("Mean", "mean", "pool", "axes", keep_dims=attr(b=False), T=F, Tidx=attr(type=INT32)),
        integers("begin", 0, 1),
        integers("end", 1, 4),
        integers("steps", 1, 1),
        node("StridedSlice", "slice", "mean", "begin", "end", "steps", shrink_axis_mask=attr(i=1), **indices),
        node("Shape", "shape", "pool", T=F),
        node("Reshape", "flat", "pool", "shape", T=F, Tshape=attr(type=INT32)),
        scalar("axis", -1),
        node("ConcatV2", "joined", "flat", "pool", "axis", N=attr(i=2), T=F, Tidx=attr(type=INT32)),
        node("Split", "parts", "axis", "joined", num_split=attr(i=2), T=F),
        unary("AddV2", "sum", "parts", "parts:1"),
    )


def control() -> Any:
    """Loops, branches, calls, texts and assertions."""
    types = {"Tin": items(type=[FLOAT]), "Tout": items(type=[FLOAT])}
    one = const("one", tensor(FLOAT, (), float_val=[1]))
    functions = (
        function("then", "a", {"r": "n:y:0"}, unary("Neg", "n", "a")),
        function("else", "a", {"r": "s:z:0"}, one, unary("Sub", "s", "a", "one:output:0")),
        function("body", "k a", {"k2": "k3:z:0", "a2": "d:z:0"}, one, unary("AddV2", "k3", "k", "one:output:0"),
                 unary("Mul", "d", "a", "a")),
        function("cond", "k a", {"r": "l:z:0"}, one, unary("Less", "l", "k", "one:output:0")),
    )  # fmt: skip
    functions[3].signature.output_arg[0].type = BOOL
    return graph(
        placeholder("x", 2, 3),
        placeholder("p", dtype=BOOL),
        const("text", tensor(STRING, (2,), string_val=[b"a", b"\xff"])),
        node("Assert", "check", "p", "text", T=items(type=[STRING])),
        node("If", "if", "p", "x", "^check", Tcond=attr(type=BOOL), then_branch=func("then"), else_branch=func("else"),
             **types),
        node("PartitionedCall", "call", "if", f=func("then"), **types),
        const("zero", tensor(FLOAT, (), float_val=[0])),
        node("StatelessWhile", "loop", "zero", "call", T=items(type=[FLOAT, FLOAT]), cond=func("cond"),
             body=func("body"), output_shapes=items(shape=[shape(), shape(2, 3)])),
        unary("Identity", "y", "loop:1"),
        functions=functions,
    )  # fmt: skip


def old_control() -> Any:
    """A conditional of TensorFlow 1."""
    return graph(
        placeholder("x", 2, 3),
        placeholder("p", dtype=BOOL),
        unary("Switch", "switch", "x", "p"),
        unary("Neg", "n", "switch:1"),
        unary("Abs", "a", "switch"),
        node("Merge", "merge", "a", "n", T=F, N=attr(i=2)),
        unary("Relu", "y", "merge"),
    )


SAMPLES: tuple[Callable[[], Any], ...] = (network, control, old_control)


def damaged_graph(message: Any, rng: np.random.Generator) -> Any:
    """A copy with one to three changes to nodes, their attributes, inputs and values, or to functions."""
    result = CLASSES["GraphDef"]()
    result.CopyFrom(message)
    for _ in range(rng.integers(1, 4)):
        _CHANGES[rng.integers(len(_CHANGES))](result, rng)
    return result


def _one(items: Any, rng: np.random.Generator) -> Any:
    return items[rng.integers(len(items))]


def _node(message: Any, rng: np.random.Generator) -> Any:
    """Of the graph, or of one of its functions."""
    groups = [message.node, *(item.node_def for item in message.library.function)]
    nodes = [node for group in groups for node in group]
    return _one(nodes, rng)


def _attribute(message: Any, rng: np.random.Generator) -> tuple[Any, str]:
    node = _node(message, rng)
    return node.attr, _one(sorted(node.attr), rng) if node.attr else "T"


def _drop_attribute(message: Any, rng: np.random.Generator) -> None:
    attributes, name = _attribute(message, rng)
    attributes.pop(name, None)


def _change_attribute(message: Any, rng: np.random.Generator) -> None:
    attributes, name = _attribute(message, rng)
    value = attributes[name]
    kinds = {
        "i": _one(INTEGERS, rng),
        "f": _one(FLOATS, rng),
        "s": _one(STRINGS, rng),
        "b": bool(rng.integers(2)),
        "type": int(rng.integers(0, 31)),
        "placeholder": "T",
    }
    present = [field.name for field, _ in value.ListFields() if field.name in kinds]
    kind = present[0] if present and rng.integers(2) else _one(sorted(kinds), rng)
    value.Clear()
    setattr(value, kind, kinds[kind])


def _change_list(message: Any, rng: np.random.Generator) -> None:
    attributes, name = _attribute(message, rng)
    items = attributes[name].list
    for values, choice in ((items.i, INTEGERS), (items.type, range(31)), (items.f, FLOATS), (items.s, STRINGS)):
        if len(values) and rng.integers(3):
            values[rng.integers(len(values))] = _one(choice, rng)
        elif len(values):
            del values[-1]
        elif rng.integers(8) == 0:
            values.append(_one(choice, rng))


def _change_input(message: Any, rng: np.random.Generator) -> None:
    node = _node(message, rng)
    if not node.input:
        return
    k = int(rng.integers(len(node.input)))
    kind = rng.integers(5)
    if kind == 0:
        del node.input[k]
    elif kind == 1:
        node.input.append(node.input[k])
    elif kind == 2:
        node.input[k] = f"{node.input[k].partition(':')[0]}:{_one((0, 1, 5, -1), rng)}"
    elif kind == 3:
        node.input[k] = f"^{node.input[k].partition(':')[0]}"
    else:
        node.input[k] = _one(message.node, rng).name


def _change_operator(message: Any, rng: np.random.Generator) -> None:
    _node(message, rng).op = _one(TYPES, rng)


def _change_tensor(message: Any, rng: np.random.Generator) -> None:
    values = [node.attr["value"].tensor for node in message.node if node.op == "Const"]
    if not values:
        return
    value = _one(values, rng)
    kind = rng.integers(4)
    if kind == 0:
        value.dtype = int(rng.integers(0, 31))
    elif kind == 1 and len(value.int_val):
        value.int_val[rng.integers(len(value.int_val))] = int(np.clip(_one(INTEGERS, rng), -(2**31), 2**31 - 1))
    elif kind == 2 and len(value.tensor_shape.dim):
        _one(value.tensor_shape.dim, rng).size = _one(INTEGERS, rng)
    elif kind == 3:
        value.tensor_shape.dim.add(size=int(rng.integers(0, 3)))


def _change_shape(message: Any, rng: np.random.Generator) -> None:
    inputs = [node for node in message.node if node.op == "Placeholder"]
    if not inputs:
        return
    value = _one(inputs, rng).attr["shape"].shape
    kind = rng.integers(4)
    if kind == 0 and len(value.dim):
        _one(value.dim, rng).size = _one((0, 1, 2, 3, 5, -1, -7, 2**40), rng)
    elif kind == 1:
        value.dim.add(size=int(rng.integers(1, 4)))
    elif kind == 2 and len(value.dim):
        del value.dim[-1]
    else:
        value.unknown_rank = True


def _change_function(message: Any, rng: np.random.Generator) -> None:
    if not message.library.function:
        return
    body = _one(message.library.function, rng)
    arguments = body.signature.input_arg if rng.integers(2) else body.signature.output_arg
    kind = rng.integers(4)
    if kind == 0 and len(arguments):
        del arguments[-1]
    elif kind == 1 and len(arguments):
        _one(arguments, rng).type = int(rng.integers(0, 31))
    elif kind == 2:
        arguments.add(name="further", type=FLOAT)
    elif body.ret:
        body.ret[_one(sorted(body.ret), rng)] = _one(("a", "k", "nowhere", "one:output:0", "one:1"), rng)


_CHANGES: tuple[Callable[[Any, np.random.Generator], None], ...] = (
    _drop_attribute,
    _drop_attribute,
    _change_attribute,
    _change_attribute,
    _change_list,
    _change_input,
    _change_input,
    _change_operator,
    _change_tensor,
    _change_tensor,
    _change_shape,
    _change_function,
)

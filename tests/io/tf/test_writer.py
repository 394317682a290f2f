"""Written GraphDefs, as the protobuf package reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import FormatError, NnefToolsError, UsageError
from nnef_tools.io.tf.graphdef import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor

from .messages import (
    BOOL,
    CLASSES,
    FLOAT,
    INT32,
    INT64,
    STRING,
    attr,
    const,
    func,
    function,
    graph,
    items,
    node,
    shape,
    tensor,
    unary,
)
from .messages import placeholder as placeholder_node


def write(g: Graph, folder: Path, **options: Any) -> Any:
    """The message that is written."""
    Writer(**options)(g, folder / "out.pb")
    return CLASSES["GraphDef"].FromString((folder / "out.pb").read_bytes())


def add_input(g: Graph, name: str = "x", extents: tuple[int | None, ...] = (2,), dtype: Any = np.float32) -> Tensor:
    x = Tensor(g, name, extents, dtype)
    g.inputs = [*g.inputs, x]
    return x


def add(g: Graph, op: str, inputs: list[Tensor], name: str | None, dtype: Any = np.float32, **attribs: Any) -> Tensor:
    y = Tensor(g, name, inputs[0].shape if inputs else (), dtype)
    Operation(g, op, attribs=attribs, inputs=inputs, outputs=[y])
    return y


def test_nodes(tmp_path: Path) -> None:
    g = Graph()
    x = add_input(g, extents=(None, 3))
    w = Tensor(g, None, (3, 4), np.float32, np.arange(12, dtype=np.float32).reshape(3, 4))
    y = add(g, "MatMul", [x, w], "scope/y", transpose_a=False)
    g.outputs = [add(g, "Relu", [y], "z")]
    message = write(g, tmp_path)
    nodes = {n.name: n for n in message.node}
    assert [n.op for n in message.node] == ["Placeholder", "Const", "MatMul", "Relu"]
    assert nodes["x"].attr["dtype"].type == FLOAT
    assert [d.size for d in nodes["x"].attr["shape"].shape.dim] == [-1, 3]
    assert list(nodes["scope/y"].input) == ["x", message.node[1].name]
    assert nodes["scope/y"].attr["T"].type == FLOAT, "follows from the types of the inputs"
    assert nodes["scope/y"].attr["transpose_a"].WhichOneof is not None
    value = message.node[1].attr["value"].tensor
    assert value.dtype == FLOAT
    assert [d.size for d in value.tensor_shape.dim] == [3, 4]
    assert value.tensor_content == w.data.tobytes()
    assert message.versions.producer > 1000
    shapes = {name: node.attr["_output_shapes"].list.shape for name, node in nodes.items()}
    assert {name: [[d.size for d in shape.dim] for shape in found] for name, found in shapes.items()} == {
        "x": [[-1, 3]],
        message.node[1].name: [[3, 4]],
        "scope/y": [[-1, 3]],
        "z": [[-1, 3]],
    }
    assert all("_output_shapes" not in node.attr for node in write(g, tmp_path, annotate_shapes=False).node)


def test_shapes_of_results_that_nothing_uses(tmp_path: Path) -> None:
    """TensorFlow wants as many as the operator has."""
    g = Graph()
    x, c = Tensor(g, "x", (1, 2, 2, 3), np.float32), Tensor(g, "c", (3,), np.float32, np.ones(3, np.float32))
    y = Tensor(g, "y", (1, 2, 2, 3), np.float32)
    Operation(g, "FusedBatchNormV3", attribs={"is_training": False}, inputs=[x, c, c, c, c], outputs=[y])
    g.inputs, g.outputs = [x], [y]
    (node,) = (node for node in write(g, tmp_path).node if node.op == "FusedBatchNormV3")
    shapes = node.attr["_output_shapes"].list.shape
    assert [d.size for d in shapes[0].dim] == [1, 2, 2, 3]
    assert [shape.unknown_rank for shape in shapes] == [False, *[True] * 5]


@pytest.mark.parametrize(
    "data",
    [
        np.array([[1.5, -2], [0, 3]], np.float32).T,
        np.broadcast_to(np.float32(1.5), (1000, 1000)),
        np.broadcast_to(np.float16(1.5), (3,)),
        np.broadcast_to(np.array(-1.5, ml_dtypes.bfloat16), (3,)),
        np.broadcast_to(np.array(1.5, ml_dtypes.float8_e5m2), (3,)),
        np.broadcast_to(np.int8(-5), (3,)),
        np.broadcast_to(np.uint64(2**64 - 1), (3,)),
        np.broadcast_to(np.True_, (3,)),
        np.array([1.5, 2], ">f4"),
        np.array([-8, 7], ml_dtypes.int4),
        np.array(["a", b"\xff"], np.object_),
        np.array(7, np.int64),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
    ],
)
def test_constants(tmp_path: Path, data: np.ndarray[Any, Any]) -> None:
    g = Graph()
    c = Tensor(g, "c", data.shape, np.str_ if data.dtype == np.object_ else data.dtype, data)
    g.outputs = [add(g, "Unheard", [c], "y")]
    message = write(g, tmp_path)
    assert message.ByteSize() < 500
    back = Reader()(tmp_path / "out.pb").operations[0].output.data
    assert back.tolist() == data.tolist()
    assert back.dtype == data.dtype.newbyteorder("=")


def test_attributes_have_the_types_of_the_signature(tmp_path: Path) -> None:
    g = Graph()
    x = add_input(g, extents=(1, 5, 5, 2))
    strides = (1, 1, 1, 1)
    pool = add(g, "MaxPool", [x], "p", ksize=[1, 2, 2, 1], strides=strides, padding="SAME", explicit_paddings=None)
    g.outputs = [add(g, "LeakyRelu", [pool], "y", alpha=1)]
    message = write(g, tmp_path)
    assert list(message.node[1].attr["strides"].list.i) == [1, 1, 1, 1], "a tuple, but no shape"
    assert "explicit_paddings" not in message.node[1].attr
    assert message.node[2].attr["alpha"].f == 1.0
    with pytest.raises(FormatError, match="'ksize' is not given"):
        g.outputs = [add(g, "AvgPool", [x], "q", strides=strides, padding="SAME")]
        write(g, tmp_path)


@pytest.mark.parametrize("value", ["text", [1], {}, np.float32])
def test_wrong_attribute_types(tmp_path: Path, value: Any) -> None:
    g = Graph()
    g.outputs = [add(g, "LeakyRelu", [add_input(g)], "y", alpha=value)]
    with pytest.raises(FormatError, match=r"LeakyRelu 'y'.*'alpha'"):
        write(g, tmp_path)


def test_numbers_of_inputs_and_outputs(tmp_path: Path) -> None:
    g = Graph()
    x, z = add_input(g, "x"), add_input(g, "z")
    axis = Tensor(g, "axis", (), np.int32, np.array(0, np.int32))
    joined = add(g, "ConcatV2", [x, z, axis], "joined")
    outputs = [Tensor(g, f"s{k}", (2,), np.float32) for k in range(2)]
    Operation(g, "Split", inputs=[axis, joined], outputs=outputs)
    g.outputs = outputs
    nodes = {n.name: n for n in write(g, tmp_path).node}
    assert nodes["joined"].attr["N"].i == 2
    assert nodes["joined"].attr["Tidx"].type == INT32
    assert nodes["s0"].attr["num_split"].i == 2
    assert nodes["s1"].op == "Identity", "a second output is called s0:1, and not s1"
    assert list(nodes["s1"].input) == ["s0:1"]


def test_composites(tmp_path: Path) -> None:
    g = Graph()
    x = add_input(g)
    outputs = [Tensor(g, "lp", (2,), np.float32), Tensor(g, "lp:1", (None, 3), np.int64)]
    attribs = {"p": 2, "eps": 0.5, "flag": True, "flags": [True, False], "dtype": np.int64, "size": (1, None),
               "mode": "fast", "nothing": None, "w": np.array([1.5]), "ratios": (0.5, 2), "empty": [],
               "pads": [(0, 1), (1, 1)]}  # fmt: skip
    Operation(g, "lp_norm", attribs=attribs, inputs=[x], outputs=outputs, custom=True)
    g.outputs = outputs
    found = write(g, tmp_path).node[1]
    assert (found.op, found.name, found.attr["token"].s) == ("PyFunc", "lp", b"lp_norm")
    assert list(found.attr["Tin"].list.type) == [FLOAT]
    assert list(found.attr["Tout"].list.type) == [FLOAT, INT64]
    assert len(found.attr["_output_shapes"].list.shape) == 2
    assert found.attr["_$p$_"].i == 2
    assert found.attr["_$flag$_"].b is True
    assert list(found.attr["_$flags$_"].list.b) == [True, False]
    assert list(found.attr["_$ratios$_"].list.f) == [0.5, 2]
    assert found.attr["_$dtype$_"].type == INT64
    assert "_$nothing$_" not in found.attr
    back = Reader()(tmp_path / "out.pb").operations[1]
    assert back.custom
    assert back.type == "lp_norm"
    expected = {key: list(v) if key == "ratios" else v for key, v in attribs.items() if v is not None and key != "w"}
    assert {key: value for key, value in back.attribs.items() if key != "w"} == expected
    assert back.attribs["w"].tolist() == [1.5]
    assert [t.shape for t in back.outputs] == [(2,), (None, 3)]


@pytest.mark.parametrize("value, message", [({"a": 1}, "dict"), ([1, "a"], "different types"), ([[1]], "different")])
def test_composite_attributes_that_cannot_be_written(tmp_path: Path, value: Any, message: str) -> None:
    g = Graph()
    x = add_input(g)
    y = Tensor(g, "y", (2,), np.float32)
    Operation(g, "mine", attribs={"strange": value}, inputs=[x], outputs=[y], custom=True)
    g.outputs = [y]
    with pytest.raises(FormatError, match=message) as caught:
        write(g, tmp_path)
    assert "'strange'" in str(caught.value)
    assert "mine 'y'" in str(caught.value)


def outputs_after_reading(folder: Path) -> list[str | None]:
    return [t.name for t in Reader()(folder / "out.pb").outputs]


def test_outputs_stay(tmp_path: Path) -> None:
    """Also those that the graph uses, that are inputs or constants, or are not in the order of the nodes."""
    g = Graph()
    x = add_input(g)
    c = Tensor(g, "c", (2,), np.float32, np.ones(2, np.float32))
    a = add(g, "Neg", [x], "a")
    b = add(g, "Relu", [a], "b")
    d = add(g, "Abs", [x], "d")
    g.outputs = [d, b, a]
    write(g, tmp_path)
    assert outputs_after_reading(tmp_path) == ["d", "b", "a"]
    g.outputs = [c, b, a, d]
    write(g, tmp_path)
    assert outputs_after_reading(tmp_path) == ["c", "b", "a", "d"]
    g.outputs = [x, d]
    message = write(g, tmp_path)
    assert outputs_after_reading(tmp_path) == ["x/output", "d"]
    assert "b" not in {n.name for n in message.node}, "it would be an output"


def test_results_that_nothing_uses_are_no_outputs(tmp_path: Path) -> None:
    g = Graph()
    x = add_input(g)
    k = Tensor(g, "k", (), np.int32, np.array(1, np.int32))
    values, indices = Tensor(g, "values", (1,), np.float32), Tensor(g, "indices", (1,), np.int32)
    Operation(g, "TopKV2", name="top", inputs=[x, k], outputs=[values, indices])
    g.outputs = [indices]
    write(g, tmp_path)
    assert outputs_after_reading(tmp_path) == ["indices"]


@pytest.mark.parametrize("name, expected", [("_x", "t_x"), ("a b:é", "a_b__"), ("x:0", "x"), ("", "t")])
def test_names_are_made_valid(tmp_path: Path, name: str, expected: str) -> None:
    g = Graph()
    g.outputs = [add(g, "Neg", [add_input(g, "in put")], name)]
    message = write(g, tmp_path)
    assert message.node[0].name == "in_put"
    assert list(message.node[1].input) == ["in_put"]
    if name:
        assert message.node[1].name == expected


def test_names_are_unique(tmp_path: Path) -> None:
    g = Graph()
    x = add_input(g)
    y = add(g, "Neg", [add(g, "Neg", [add(g, "Neg", [x], "n")], "n")], None)
    g.outputs = [add(g, "Neg", [y], "n")]
    message = write(g, tmp_path)
    names = [n.name for n in message.node]
    assert len(set(names)) == 5
    assert names[-1] == "n", "the name of the output stays"


def test_nested_graphs_become_functions(tmp_path: Path) -> None:
    cond = function("cond", "a", {"r": "less:z:0"}, const("k", tensor(FLOAT, (), float_val=[9])),
                    unary("Less", "less", "a", "k:output:0"))  # fmt: skip
    body = function("body", "a", {"r": "top:values:0"}, const("k", tensor(INT32, (), int_val=[1])),
                    node("TopKV2", "top", "a", "k:output:0", T=attr(type=FLOAT)))  # fmt: skip
    loop = node("While", "w", "x", T=items(type=[FLOAT]), cond=func("cond"), body=func("body"))
    source = graph(placeholder_node("x", 3), loop, functions=(cond, body))
    path = tmp_path / "in.pb"
    path.write_bytes(source.SerializeToString())
    message = write(Reader()(path), tmp_path)
    functions = {f.signature.name: f for f in message.library.function}
    assert set(functions) == {"cond", "body"}
    assert message.node[1].attr["body"].func.name == "body"
    assert list(functions["body"].ret.values()) == ["top:values:0"]
    assert [list(n.input) for n in functions["body"].node_def] == [[], ["arg0", "k:output:0"]]
    assert functions["cond"].signature.output_arg[0].type == BOOL
    again = Reader()(tmp_path / "out.pb")
    assert [op.type for op in again.operations[1].attribs["body"].operations] == ["Const", "TopKV2"]


def test_what_is_read_is_written_again(tmp_path: Path) -> None:
    source = graph(
        placeholder_node("x", 2),
        const("s", tensor(STRING, (1,), string_val=[b"abc"])),
        node("Unheard", "u", "x", "s", f=attr(f=0.1), l=items(f=[0.1]), b=attr(b=True), t=attr(type=INT64),
             shapes=items(shape=[shape(2, None)]), fn=func("name", k=attr(i=1))),
        unary("Identity", "out", "u"),
        producer=27,
    )  # fmt: skip
    (tmp_path / "in.pb").write_bytes(source.SerializeToString())
    message = write(Reader()(tmp_path / "in.pb"), tmp_path)
    attrs = dict(source.node[2].attr)
    assert {key: value for key, value in message.node[2].attr.items() if key in attrs} == attrs
    assert message.node[2].name == "out"
    assert message.versions.producer == 27


def test_refusals(tmp_path: Path) -> None:
    g = Graph()
    x = Tensor(g, "loose", (2,), np.float32)
    g.outputs = [add(g, "Neg", [x], "y")]
    with pytest.raises(FormatError, match="'loose' has neither"):
        write(g, tmp_path)
    assert not (tmp_path / "out.pb").exists()
    g.inputs = [x]
    with pytest.raises(UsageError, match="pbtxt"):
        Writer()(g, tmp_path / "out.pbtxt")
    x.dtype = None
    with pytest.raises(FormatError, match="data type"):
        write(g, tmp_path)
    x.dtype = np.float32
    huge = np.broadcast_to(np.arange(2, dtype=np.float32)[:, None], (2, 1 << 29))
    big = Tensor(g, "big", huge.shape, np.float32, huge)
    g.outputs = [add(g, "Neg", [big], "z")]
    with pytest.raises(NnefToolsError, match="2147483647 at most"):
        write(g, tmp_path)

"""Reading GraphDefs that the protobuf package wrote."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import FormatError, UsageError
from nnef_tools.io.tf.graphdef import Reader
from nnef_tools.model import Graph

from ...support.graphs import all_types, names
from .messages import (
    BFLOAT16,
    BOOL,
    CLASSES,
    DOUBLE,
    FLOAT,
    HALF,
    INT32,
    INT64,
    RESOURCE,
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


def test_structure(read: Any) -> None:
    weights = np.arange(6, dtype=np.float32)
    g = read(
        graph(
            placeholder("x", None, 3),
            const("w", tensor(FLOAT, (3, 2), tensor_content=weights.tobytes())),
            node("MatMul", "scope/y", "x", "w:0", "^w", T=attr(type=FLOAT), transpose_a=attr(b=False)),
            unary("Relu", "z", "scope/y"),
        )
    )
    assert all_types(g) == ["Placeholder", "Const", "MatMul", "Relu"]
    assert names(g.inputs) == ["x"]
    assert names(g.outputs) == ["z"]
    x, w, y, z = g.operations
    assert not isinstance(y.inputs, tuple) and not isinstance(y.outputs, tuple)
    assert names(y.inputs) == ["x", "w"]
    assert names(y.outputs) == ["scope/y"]
    assert y.name == "scope/y"
    assert x.output.shape == (None, 3)
    assert x.output.dtype is np.float32
    assert x.attribs["dtype"] is np.float32
    np.testing.assert_array_equal(w.attribs["value"], weights.reshape(3, 2))
    assert w.output.data is w.attribs["value"]
    assert w.output.shape == (3, 2)
    assert y.attribs["transpose_b"] is False, "a default of TensorFlow"
    assert z.output.dtype is np.float32
    assert g.metadata["versions"]["producer"] == 1882


def test_nodes_are_sorted_and_may_come_in_any_order(read: Any) -> None:
    g = read(graph(unary("Relu", "b", "a"), unary("Neg", "a", "x"), placeholder("x", 2)))
    assert all_types(g) == ["Placeholder", "Neg", "Relu"]


@pytest.mark.parametrize(
    "value, expected",
    [
        (tensor(FLOAT, (2,), float_val=[1.5, -2.0]), np.array([1.5, -2], np.float32)),
        (tensor(FLOAT, (2, 3), float_val=[1.5]), np.full((2, 3), 1.5, np.float32)),
        (tensor(FLOAT, (4,), float_val=[1, 2]), np.array([1, 2, 2, 2], np.float32)),
        (tensor(FLOAT, (2, 2)), np.zeros((2, 2), np.float32)),
        (tensor(FLOAT, (0, 2)), np.zeros((0, 2), np.float32)),
        (tensor(FLOAT, (), float_val=[7]), np.array(7, np.float32)),
        (tensor(DOUBLE, (2,), double_val=[0.1, 1e300]), np.array([0.1, 1e300])),
        (tensor(INT32, (2,), int_val=[-5, 2**31 - 1]), np.array([-5, 2**31 - 1], np.int32)),
        (tensor(6, (3,), int_val=[-128, 127]), np.array([-128, 127, 127], np.int8)),
        (tensor(4, (1,), int_val=[255]), np.array([255], np.uint8)),
        (tensor(5, (1,), int_val=[-300]), np.array([-300], np.int16)),
        (tensor(17, (1,), int_val=[65535]), np.array([65535], np.uint16)),
        (tensor(INT64, (2,), int64_val=[-(2**63), 2**63 - 1]), np.array([-(2**63), 2**63 - 1])),
        (tensor(22, (1,), uint32_val=[2**32 - 1]), np.array([2**32 - 1], np.uint32)),
        (tensor(23, (1,), uint64_val=[2**64 - 1]), np.array([2**64 - 1], np.uint64)),
        (tensor(BOOL, (3,), bool_val=[True, False]), np.array([True, False, False])),
        (tensor(BOOL, (2,), tensor_content=b"\0\2"), np.array([False, True])),
        (tensor(HALF, (2,), half_val=[0x3E00, 0xC000]), np.array([1.5, -2], np.float16)),
        (tensor(HALF, (1,), tensor_content=b"\0\x3e"), np.array([1.5], np.float16)),
        (tensor(BFLOAT16, (2,), half_val=[0x3FC0]), np.array([1.5, 1.5], ml_dtypes.bfloat16)),
        (tensor(24, (2,), float8_val=b"\x3e\xc0"), np.array([1.5, -2], ml_dtypes.float8_e5m2)),
        (tensor(25, (1,), float8_val=b"\x3c"), np.array([1.5], ml_dtypes.float8_e4m3fn)),
        (tensor(29, (2,), int_val=[-8, 7]), np.array([-8, 7], ml_dtypes.int4)),
        (tensor(30, (2,), tensor_content=b"\x0f\x01"), np.array([15, 1], ml_dtypes.uint4)),
    ],
)
def test_tensor_encodings(read: Any, value: Any, expected: np.ndarray[Any, Any]) -> None:
    data = read(graph(const("c", value), unary("Neg", "y", "c"))).operations[0].output.data
    assert data.dtype == expected.dtype
    assert data.shape == expected.shape
    np.testing.assert_array_equal(data.astype(np.float64), expected.astype(np.float64))
    assert not data.flags.writeable


@pytest.mark.parametrize("content", [b"\x02\x01\x00ab\xff", None])
def test_strings(read: Any, content: bytes | None) -> None:
    """tensor_content has the lengths of all strings first."""
    value = (
        tensor(STRING, (3,), tensor_content=content)
        if content
        else tensor(STRING, (3,), string_val=[b"ab", b"\xff", b""])
    )
    data = read(graph(const("c", value), node("StringLength", "y", "c"))).operations[0].output.data
    assert data.tolist() == ["ab", b"\xff", ""]


@pytest.mark.parametrize(
    "field, value", [("float_val", [1.5, 2]), ("int_val", [-1, 300]), ("int64_val", [1]), ("bool_val", [True, False])]
)
def test_values_that_are_not_packed(read: Any, field: str, value: list[Any]) -> None:
    dtype = {"float_val": FLOAT, "int_val": INT32, "int64_val": INT64, "bool_val": BOOL}[field]
    unpacked = CLASSES["UnpackedTensor"](dtype=dtype, tensor_shape=shape(len(value)), **{field: value})
    entry = bytes([0x42, len(unpacked.SerializeToString())]) + unpacked.SerializeToString()  # AttrValue.tensor
    message = graph(const("c", tensor(dtype, (len(value),))), unary("Neg", "y", "c", dtype=dtype))
    message.node[0].attr["value"].ParseFromString(entry)
    assert read(message).operations[0].output.data.tolist() == value


@pytest.mark.parametrize(
    "value",
    [
        tensor(8, (2,), scomplex_val=[1, 2, 3, 4]),
        tensor(18, (2,), dcomplex_val=[1, 2, 3, 4]),
        tensor(8, (2,), tensor_content=np.asarray([1 + 2j, 3 + 4j], np.complex64).tobytes()),
    ],
)
def test_complex_values(read: Any, value: Any) -> None:
    assert read(graph(const("c", value), unary("Neg", "y", "c"))).operations[0].output.data.tolist() == [1 + 2j, 3 + 4j]


@pytest.mark.parametrize(
    "value, message",
    [
        (tensor(8, (1,), scomplex_val=[1, 2, 3]), "an odd number"),
        (tensor(18, (1,), dcomplex_val=[1, 2, 3, 4]), "2 items"),
        (tensor(RESOURCE, ()), "resource"),
        (tensor(99, ()), "unknown data type 99"),
        (tensor(0, ()), "no data type"),
        (tensor(FLOAT, (2,), tensor_content=b"123"), "3 bytes"),
        (tensor(FLOAT, (1,), float_val=[1, 2]), "2 items"),
        (tensor(FLOAT, (None,), float_val=[1, 2]), "not fully known"),
        (tensor(FLOAT, (1 << 40,)), "limit of 67,108,864"),
        (tensor(FLOAT, (1 << 40, 1 << 40)), "too large"),
        (tensor(FLOAT, (1,) * 33), "33 dimensions"),
        (tensor(STRING, (2,), tensor_content=b"\x01"), "truncated"),
    ],
)
def test_impossible_tensors(read: Any, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        read(graph(const("the_constant", value), unary("Neg", "y", "the_constant")))
    assert "the_constant" in str(caught.value)
    assert "model.pb" in str(caught.value)


def test_large_values_stay_in_the_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=1 << 20).astype(np.float32)
    path = tmp_path / "model.pb"
    message = graph(const("c", tensor(FLOAT, (1 << 20,), tensor_content=values.tobytes())), unary("Neg", "y", "c"))
    path.write_bytes(message.SerializeToString())
    data = Reader()(path).operations[0].output.data
    np.testing.assert_array_equal(data, values)
    base = data
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    assert isinstance(base, mmap.mmap)


def test_attribute_values(read: Any) -> None:
    attrs = {
        "i": attr(i=-3),
        "f": attr(f=0.5),
        "b": attr(b=True),
        "s": attr(s=b"NHWC"),
        "raw": attr(s=b"\xff"),
        "type": attr(type=INT64),
        "ref": attr(type=101),
        "shape": attr(shape=shape(1, None)),
        "unknown": attr(shape=CLASSES["TensorShapeProto"](unknown_rank=True)),
        "unset": attr(),
        "t": attr(tensor=tensor(FLOAT, (1,), float_val=[2])),
        "fn": func("f", k=attr(i=1)),
        "empty": items(),
        "ints": items(i=[1, -2]),
        "floats": items(f=[0.5]),
        "bools": items(b=[True, False]),
        "strings": items(s=[b"a", b"b"]),
        "types": items(type=[FLOAT, BOOL]),
        "shapes": items(shape=[shape(2)]),
        "tensors": items(tensor=[tensor(INT32, (), int_val=[5])]),
    }
    got = read(graph(placeholder("x"), node("Unheard", "y", "x", **attrs))).operations[1].attribs
    assert got["i"] == -3 and got["f"] == 0.5 and got["b"] is True and got["s"] == "NHWC" and got["raw"] == b"\xff"
    assert got["type"] is np.int64 and got["ref"] is np.float32
    assert got["shape"] == (1, None) and got["unknown"] is None and got["unset"] is None
    assert got["t"].tolist() == [2]
    assert got["fn"].name == "f" and got["fn"].attrs == {"k": 1}
    assert got["empty"] == [] and got["ints"] == [1, -2] and got["floats"] == [0.5] and got["bools"] == [True, False]
    assert got["strings"] == ["a", "b"] and got["types"] == [np.float32, np.bool_] and got["shapes"] == [(2,)]
    assert got["tensors"][0].tolist() == 5


def test_outputs_are_results_of_nodes_that_nothing_uses(read: Any) -> None:
    g = read(
        graph(
            placeholder("x", 4),
            node("Split", "s", "dim", "x", T=attr(type=FLOAT), num_split=attr(i=2)),
            const("dim", tensor(INT32, (), int_val=[0])),
            unary("Neg", "n", "s:1"),
            node("TopKV2", "top", "x", "dim", T=attr(type=FLOAT)),
        )
    )
    assert names(g.outputs) == ["n", "top", "top:1"]
    split = next(op for op in g.operations if op.type == "Split")
    assert names(split.outputs) == ["s", "s:1"]
    top = next(op for op in g.operations if op.type == "TopKV2")
    assert [t.dtype for t in top.outputs] == [np.float32, np.int32]


def test_checks_and_what_they_need_are_left_out(read: Any) -> None:
    g = read(
        graph(
            placeholder("x", 2),
            node("IsNan", "nan", "x", T=attr(type=FLOAT)),
            node("Assert", "check", "nan", "x", T=items(type=[FLOAT])),
            node("NoOp", "group", "^check"),
            unary("Neg", "y", "x", "^group"),
        )
    )
    assert all_types(g) == ["Placeholder", "Neg"]
    assert names(g.outputs) == ["y"]


def test_passing_nodes_are_resolved(read: Any) -> None:
    g = read(
        graph(
            placeholder("x", 2),
            const("c", tensor(FLOAT, (2,), float_val=[1])),
            unary("Identity", "i", "x"),
            node("IdentityN", "n", "i", "c", T=items(type=[FLOAT, FLOAT])),
            unary("StopGradient", "s", "n:1"),
            node("PlaceholderWithDefault", "d", "s", dtype=attr(type=FLOAT)),
            unary("CheckNumerics", "k", "n"),
            node("ReadVariableOp", "r", "d", dtype=attr(type=FLOAT)),
            unary("Add", "y", "k", "r"),
            unary("PreventGradient", "out", "y"),
        )
    )
    assert all_types(g) == ["Placeholder", "Const", "Add"]
    assert names(g.operations[2].inputs) == ["x", "c"]
    assert names(g.outputs) == ["out"], "the name of the output stays"
    assert g.operations[2].name == "y"
    passed = {"i": "x", "n": "x", "n:1": "c", "s": "c", "d": "c", "k": "x", "r": "c"}
    assert g.metadata["aliases"] == {**passed, "y": "out"}


def test_identities_of_inputs_and_second_names_stay(read: Any) -> None:
    g = read(
        graph(
            placeholder("x", 2),
            unary("Identity", "a", "x"),
            unary("Neg", "n", "x"),
            unary("Identity", "b", "n"),
            unary("Identity", "c", "n"),
        )
    )
    assert names(g.outputs) == ["a", "b", "c"]
    assert all_types(g) == ["Placeholder", "Identity", "Neg", "Identity"]
    assert len({id(t) for t in g.outputs}) == 3


def test_variables_that_are_not_frozen_stay(read: Any) -> None:
    g = read(
        graph(
            node("VarHandleOp", "v", dtype=attr(type=FLOAT), shape=attr(shape=shape(2))),
            node("ReadVariableOp", "r", "v", dtype=attr(type=FLOAT)),
        )
    )
    assert all_types(g) == ["VarHandleOp", "ReadVariableOp"]


CALL = {"Tin": items(type=[FLOAT]), "Tout": items(type=[FLOAT, FLOAT])}


def test_functions_are_put_in(read: Any) -> None:
    inner = function(
        "inner", "a", {"r": "neg:y:0"}, node("Neg", "neg", "a", T=attr(placeholder="T")), attrs={"T": attr(type=FLOAT)}
    )
    outer = function(
        "outer",
        "a",
        {"first": "top:values:0", "second": "call:output:0"},
        const("k", tensor(INT32, (), int_val=[2])),
        node("TopKV2", "top", "a", "k:output:0", T=attr(type=FLOAT)),
        node(
            "StatefulPartitionedCall",
            "call",
            "top:values",
            f=func("inner", T=attr(type=FLOAT)),
            Tin=items(type=[FLOAT]),
            Tout=items(type=[FLOAT]),
        ),
    )
    for op, attrs in (("PartitionedCall", {**CALL, "f": func("outer")}), ("outer", {})):
        g = read(
            graph(
                placeholder("x", 4),
                node(op, "f", "x", **attrs),
                unary("Identity", "y", "f"),
                unary("Identity", "z", "f:1"),
                functions=(inner, outer),
            )
        )
        assert all_types(g) == ["Placeholder", "Const", "TopKV2", "Neg"]
        assert [op.name for op in g.operations] == ["x", "f/k", "f/top", "f/call/neg"]
        assert names(g.outputs) == ["y", "z"]
        assert g.operations[3].attribs["T"] is np.float32
        assert names(g.operations[3].inputs) == ["y"]


def test_outputs_of_calls(read: Any) -> None:
    """They are the results of the function, whatever uses them in it; and nothing else that is in it."""
    inner = function(
        "inner",
        "a",
        {"first": "neg:y:0", "second": "abs:y:0", "same": "abs:y:0"},
        unary("Neg", "neg", "a"),
        unary("Abs", "abs", "neg:y:0"),
        unary("Square", "unused", "a"),
    )
    call = node(
        "StatefulPartitionedCall", "f", "x", f=func("inner"), Tin=items(type=[FLOAT]), Tout=items(type=[FLOAT] * 3)
    )
    g = read(graph(placeholder("x", 4), call, functions=(inner,)))
    assert all_types(g) == ["Placeholder", "Neg", "Abs", "Identity"]
    assert names(g.outputs) == ["f", "f:1", "f:2"]
    g = read(graph(placeholder("x", 4), call, unary("Neg", "y", "f:1"), functions=(inner,)))
    assert all_types(g) == ["Placeholder", "Neg", "Abs", "Neg"]
    assert names(g.outputs) == ["y"]


def test_a_function_that_returns_its_argument(read: Any) -> None:
    same = function("same", "a", {"r": "a"})
    call = node("PartitionedCall", "f", "x", f=func("same"), Tin=items(type=[FLOAT]), Tout=items(type=[FLOAT]))
    g = read(graph(placeholder("x", 4), call, unary("Neg", "y", "f"), functions=(same,)))
    assert names(g.operations[1].inputs) == ["x"]


def test_bodies_are_nested_graphs(read: Any) -> None:
    cond = function(
        "cond",
        "a",
        {"r": "less:z:0"},
        const("k", tensor(FLOAT, (), float_val=[9])),
        unary("Less", "less", "a", "k:output:0"),
    )
    body = function("body", "a", {"r": "sq:y:0"}, unary("Square", "sq", "a"))
    loop = node("While", "w", "x", T=items(type=[FLOAT]), cond=func("cond"), body=func("body"))
    g = read(graph(placeholder("x"), loop, functions=(cond, body)))
    op = g.operations[1]
    assert isinstance(op.attribs["cond"], Graph)
    assert all_types(op.attribs["cond"]) == ["Const", "Less"]
    assert all_types(op.attribs["body"]) == ["Square"]
    assert names(op.attribs["body"].inputs) == ["a"]
    assert op.attribs["body"].inputs[0].dtype is np.float32
    assert op.attribs["body"].operations[0].input is op.attribs["body"].inputs[0]


@pytest.mark.parametrize("op, attrs", [("PartitionedCall", {"f": func("f"), **CALL}), ("f", {})])
def test_recursive_functions_are_refused(read: Any, op: str, attrs: Any) -> None:
    recursive = function("f", "a", {"r": "again"}, node(op, "again", "a", **attrs))
    with pytest.raises(FormatError, match="calls itself"):
        read(graph(placeholder("x"), node("f", "y", "x"), functions=(recursive,)))


def test_functions_cannot_multiply_without_limit(read: Any) -> None:
    functions = [function("f0", "a", {"r": "n:y:0"}, unary("Neg", "n", "a"))]
    functions += [
        function(f"f{k}", "a", {"r": "c1"}, *(node(f"f{k - 1}", f"c{j}", "a") for j in range(2))) for k in range(1, 40)
    ]
    with pytest.raises(FormatError, match="more than 300000 nodes"):
        read(graph(placeholder("x"), node("f39", "y", "x"), functions=tuple(functions)))


def test_composites(read: Any) -> None:
    g = read(
        graph(
            placeholder("x", 2),
            unary("Neg", "n", "lp:1"),
            node(
                "PyFunc",
                "lp",
                "x",
                token=attr(s=b"lp_norm"),
                Tin=items(type=[FLOAT]),
                Tout=items(type=[FLOAT, INT64]),
                _output_shapes=items(shape=[shape(2), shape(None)]),
                **{"_$p$_": attr(i=2), "_$flags$_": items(b=[True])},
            ),
        )
    )
    op = next(op for op in g.operations if op.type == "lp_norm")
    assert op.custom
    assert op.name == "lp"
    assert op.attribs == {"p": 2, "flags": [True]}
    assert [(t.name, t.shape, t.dtype) for t in op.outputs] == [("lp", (2,), np.float32), ("lp:1", (None,), np.int64)]


def test_input_shapes(read: Any) -> None:
    message = graph(
        placeholder("x", None, 3),
        node("Neg", "y", "x", T=attr(type=FLOAT), _output_shapes=items(shape=[shape(None, 3)])),
    )
    g = read(message, {"x": (2, 3)})
    assert g.inputs[0].shape == (2, 3)
    assert g.operations[0].attribs["shape"] == (2, 3)
    assert g.outputs[0].shape == (None, 3)
    g = read(message, {"x:0": (2, 4)})
    assert g.inputs[0].shape == (2, 4)
    assert g.outputs[0].shape is None, "it followed from the old shape"
    for wrong, text in (({"z": (1,)}, "no input 'z'"), ({"x": (1,)}, "rank 2"), ({"x": (-2, 3)}, "not a shape")):
        with pytest.raises(UsageError, match=text):
            read(message, wrong)


def test_unknown_shapes_of_old_producers(read: Any) -> None:
    message = graph(placeholder("x"), unary("Neg", "y", "x"))
    assert read(message).inputs[0].shape == ()
    message.versions.producer = 21
    assert read(message).inputs[0].shape is None

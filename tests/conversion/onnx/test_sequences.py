"""Sequences of known length against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import text_model
from .checks import check, convert

Random = Callable[..., Array]
HEADER = '<ir_version: 8, opset_import: ["" : 17]>'


def model(body: str, inputs: str = "float[3,6] x", outputs: str = "float[] y") -> Any:
    """A model of these nodes."""
    return text_model(f"{HEADER} g ({inputs}) => ({outputs}) {{ {body} }}")


def integer(name: str, value: int) -> str:
    """A node that makes a number."""
    return f"{name} = Constant<value_int = {value}>()"


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(
    ("split", "attributes"),
    [
        ("", "keepdims = 1"),
        ("", "keepdims = 0"),
        (integer("k", 1), "keepdims = 0"),
        (integer("k", 2), "keepdims = 1"),
        (integer("k", 4), "keepdims = 1"),
        ("k = Constant<value_ints = [1, 2, {rest}]>()", "keepdims = 0"),
    ],
)
def test_parts_of_a_tensor(axis: int, split: str, attributes: str, random: Random) -> None:
    extent = (3, 6)[axis]
    if "rest" in split:
        if extent == 3:
            split = split.replace(", {rest}", "")
        split = split.replace("{rest}", "3")
    operands = "x, k" if split else "x"
    nodes = f"""{split} s = SplitToSequence<axis = {axis}, {attributes}>({operands})
        {integer("i", 0)} {integer("j", -1)} y = SequenceAt(s, i) z = SequenceAt(s, j) n = SequenceLength(s)"""
    result = check(model(nodes, outputs="float[] y, float[] z, int64 n"), [random(3, 6)])
    assert set(result.ops) <= {"split", "unstack", "squeeze", "copy"}


@pytest.mark.parametrize("dtype", ["float", "double", "int64", "int32", "bool", "uint8", "float16"])
def test_items_of_all_types(dtype: str, random: Random) -> None:
    nodes = f"""{integer("first", 0)} {integer("last", -1)} e = SequenceEmpty<dtype = {{code}}>()
        s = SequenceInsert(e, a) t = SequenceInsert(s, b, first) u = SequenceInsert(t, c, last)
        v = SequenceErase(u, first) w = SequenceInsert(v, b) q = SequenceErase(w) y = ConcatFromSequence<axis = 1>(q)
        z = ConcatFromSequence<axis = -1, new_axis = 1>(u)"""
    codes = {"float": 1, "double": 11, "int64": 7, "int32": 6, "bool": 9, "uint8": 2, "float16": 10}
    kinds = {"float": np.float32, "double": np.float64, "bool": np.bool_}
    items = [(random(2, 3) * 5).astype(kinds.get(dtype, dtype)) for _ in range(3)]
    given, results = (
        ", ".join(f"{dtype}[2,3] {name}" for name in "abc"),
        f"{dtype}[2,n] y, {dtype}[2,3,3] z",
    )
    result = check(model(nodes.replace("{code}", str(codes[dtype])), given, results), items)
    assert result.ops == ["concat", "stack"]


def test_what_was_split_is_joined_without_operations(random: Random) -> None:
    nodes = f"""{integer("k", 2)} s = SplitToSequence<axis = 1>(x, k) t = Identity(s)
        a = ConcatFromSequence<axis = 1>(t) u = SplitToSequence<axis = 1, keepdims = 0>(a)
        b = ConcatFromSequence<axis = -1, new_axis = 1>(u) y = Neg(b)"""
    check(model(nodes), [random(3, 6)], ops=["neg"])


@pytest.mark.parametrize("position", [-3, -1, 0, 2])
def test_position_that_is_computed(position: int, random: Random) -> None:
    nodes = f"""{integer("zero", 0)} s = SequenceConstruct(x, a, x) t = SequenceInsert(s, a)
        u = SequenceErase(t, zero) y = SequenceAt(u, i)"""
    given = [random(3, 6), random(3, 6), np.array(position)]
    result = check(model(nodes, "float[3,6] x, float[3,6] a, int64 i"), given)
    assert result.ops.count("gather") == 1


def test_branches_and_loops_pass_sequences(random: Random) -> None:
    nodes = f"""{integer("n", 3)} e = SequenceEmpty<dtype = 1>() on = Cast<to = 9>(n)
        z, s = Loop(n, , x, e) <body = b (int64 i, bool going, float[3,6] state, seq(float[3,6]) items)
            => (bool again, float[3,6] next, seq(float[3,6]) more) {{
                again = Identity(going) k = Cast<to = 1>(i) next = Add(state, k) more = SequenceInsert(items, next) }}>
        t = If (c) <then_branch = p () => (seq(float[3,6]) q) {{ q = SequenceInsert(s, x) }},
            else_branch = o () => (seq(float[3,6]) r) {{ w = Neg(x) r = SequenceInsert(s, w) }}>
        u = If (on) <then_branch = p2 () => (seq(float[3,6]) q2) {{ q2 = Identity(t) }},
            else_branch = o2 () => (seq(float[3,6]) r2) {{ r2 = Identity(s) }}>
        y = ConcatFromSequence<axis = 0>(u)"""
    for condition in (False, True):
        result = check(model(nodes, "float[3,6] x, bool c"), [random(3, 6), np.array(condition)])
        assert result.ops.count("select") == 1


def test_map(random: Random) -> None:
    nodes = """s = SplitToSequence<axis = 1, keepdims = 0>(x) t = SplitToSequence<axis = 1, keepdims = 1>(x)
        u, v = SequenceMap (s, t, a) <body = b (float[3] p, float[3,1] q, float[3] r)
            => (float[3] m, float[1] n) { h = Mul(p, r) m = Sub(h, x0) n = ReduceMax<keepdims = 0>(q) }>
        y = ConcatFromSequence<axis = 1, new_axis = 1>(u) z = ConcatFromSequence<axis = 0, new_axis = 1>(v)"""
    nodes = f"{integer('i', 0)} x0 = Gather<axis = 1>(x, i) {nodes}"
    check(model(nodes, "float[3,6] x, float[3] a", "float[] y, float[] z"), [random(3, 6), random(3)])


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ("s = SequenceConstruct(x, a) y = SequenceAt(s, i)", "2 items have 2 different shapes"),
        ("e = SequenceEmpty() y = ConcatFromSequence<axis = 0>(e)", "a sequence without items is concatenated"),
        (f"s = SequenceConstruct(x, a) {integer('k', 2)} y = SequenceAt(s, k)", "position 2 of a sequence of 2 items"),
        ("""s = SequenceConstruct(x) t = If (c) <then_branch = p () => (seq(float[3,6]) q) { q = Identity(s) },
            else_branch = o () => (seq(float[3,6]) r) { r = SequenceInsert(s, x) }>
            y = ConcatFromSequence<axis = 0>(t)""",
         "the length of a list depends on the data: up to 2 items"),
    ],
)  # fmt: skip
def test_refused(nodes: str, reason: str) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(model(nodes, "float[3,6] x, float[2,6] a, int64 i, bool c"), [])
    assert reason in "\n".join(caught.value.details)


def test_sequences_are_no_inputs_or_outputs() -> None:
    with pytest.raises(ConversionError, match="output 's' is a list of 2 tensors"):
        convert(model("s = SequenceConstruct(x, x)", outputs="seq(float[3,6]) s"), [])
    with pytest.raises(ConversionError, match="input 's' is a sequence"):
        convert(model("y = ConcatFromSequence<axis = 0>(s)", "seq(float[3,6]) s"), [])

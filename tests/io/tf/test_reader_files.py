"""Files of TensorFlow graphs: text, invalid graphs, files that are damaged or no graphs at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from nnef_tools.errors import FileError, FormatError, NnefToolsError, ParseError
from nnef_tools.io.tf.graphdef import Reader

from ...support.graphs import all_types
from .messages import (
    FLOAT,
    STRING,
    attr,
    const,
    func,
    function,
    graph,
    items,
    node,
    placeholder,
    tensor,
    unary,
)


def test_text(tmp_path: Path) -> None:
    message = graph(
        placeholder("x", 2),
        const("c", tensor(FLOAT, (2,), tensor_content=np.array([1.5, -2], np.float32).tobytes())),
        node(
            "Unheard",
            "y",
            "x",
            "c",
            name=attr(s=b'\xff"\n\x01'),
            f=attr(f=float("inf")),
            g=attr(f=-1e-5),
            i=items(i=[1, 2]),
            b=attr(b=True),
        ),
    )
    path = tmp_path / "model.pbtxt"
    text = text_format.MessageToString(message)
    path.write_text("# a comment\n" + text.replace("dtype: 1", "dtype: DT_FLOAT") + "unknown_field { a: [1, 2] b < > }")
    g = Reader()(path)
    assert all_types(g) == ["Placeholder", "Const", "Unheard"]
    assert g.operations[1].output.data.tolist() == [1.5, -2]
    attribs = g.operations[2].attribs
    assert attribs["name"] == b'\xff"\n\x01'
    assert attribs["f"] == float("inf")
    assert attribs["g"] == np.float32(-1e-5) or attribs["g"] == -1e-5
    assert attribs["i"] == [1, 2]
    assert attribs["b"] is True


@pytest.mark.parametrize(
    "text, message",
    [
        ("node {", "expected the name of a field"),
        ("node { name: 5 }", "not a value for 'name'"),
        ("node { name 'a' }", "':'"),
        ("versions { producer: 1.5 }", "not an integer"),
        ("versions { producer: 99999999999 }", "range"),
        ("node { $", "unexpected"),
        ("node: 'x'", "is a message"),
        ("node { name: { } }", "not a message"),
        ("node { name: ['a', 'b'] }", "not repeated"),
        ("node { attr { key: 'a' value { f: 0x10 } } }", "0x10 is not a value for 'f'"),
        ("node { attr { key: 'a' value { f: -0x1p3 } } }", "-0x1 is not a value for 'f'"),
    ],
)
def test_text_errors(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model.pbtxt"
    path.write_text(f"\n{text}")
    with pytest.raises(ParseError, match=message) as caught:
        Reader()(path)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("1f", 1.0), (".5F", 0.5), ("-1.e2", -100.0), ("010", 10.0), ("inf", np.inf), ("-Infinity", -np.inf)],
)
def test_floats_in_text(tmp_path: Path, text: str, value: float) -> None:
    path = tmp_path / "model.pbtxt"
    path.write_text(f"node {{ name: 'y' op: 'Unheard' attr {{ key: 'a' value {{ f: {text} }} }} }}")
    assert Reader()(path).operations[0].attribs["a"] == value


@pytest.mark.parametrize(
    "nodes, message",
    [
        ((), "no nodes"),
        ((unary("Neg", "a", "missing"),), "no 'missing'"),
        ((unary("Neg", "a", "x:1"), placeholder("x")), "no 'x:1'"),
        ((unary("Neg", "a", "x:one"), placeholder("x")), "not the number"),
        ((unary("Neg", "a", "b"), unary("Neg", "b", "a"), unary("Neg", "c", "a")), "cycle"),
        ((unary("Identity", "a", "b"), unary("Identity", "b", "a"), unary("Neg", "c", "a")), "cycle"),
        ((unary("Neg", "a", "a"),), "no outputs"),
        ((placeholder("x"), placeholder("x")), "same name"),
        ((node("", "a"),), "no operator"),
        ((node("Neg", ""),), "no name"),
        ((node("Const", "c"),), "no value"),
        ((placeholder("x"), node("PartitionedCall", "a", "x", f=func("nowhere"))), "'nowhere' is not in the library"),
        ((placeholder("x"), node("PartitionedCall", "a", "x")), "not given"),
        ((placeholder("x"), node("While", "a", "x", cond=func("f"), body=func("f"))), "'T'.* is not given"),
        ((placeholder("p"), node("If", "a", "p", then_branch=func("f"), else_branch=func("f"))), "'Tout'.* not given"),
        ((placeholder("x"), unary("Identity", "a", "x:1")), "no 'x:1'"),
        ((node("Const", "c", value=attr(type=FLOAT)),), "'value' has no value of type tensor"),
        ((node("Placeholder", "x", shape=attr(type=FLOAT)),), "'shape' has no value of type shape"),
        ((node("Placeholder", "x", shape=attr(placeholder="T")),), "'shape' has no value of type shape"),
        (
            (placeholder("x"), node("Conv2D", "a", "x", strides=attr(f=1.0))),
            r"'strides' has no value of type list\(int",
        ),
        (
            (placeholder("x"), node("Unpack", "a", "x", T=attr(type=FLOAT), num=attr(i=1 << 40))),
            "not a number of tensors",
        ),
    ],
)
def test_invalid_graphs(read: Any, nodes: tuple[Any, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(graph(*nodes))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        Reader()(tmp_path / "missing.pb")
    path = tmp_path / "large.pb"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(FormatError, match="2147483647 at most"):
        Reader()(path)


def test_damaged_files(tmp_path: Path) -> None:
    """Truncated, changed and random bytes give one clear error, or a graph."""
    body = function("body", "a", {"r": "sq:y:0"}, unary("Square", "sq", "a"))
    data = graph(
        placeholder("x", 2, 3),
        const("c", tensor(FLOAT, (2, 3), float_val=[1, 2])),
        const("s", tensor(STRING, (1,), string_val=[b"abc"])),
        unary("Add", "y", "x", "c"),
        node("PartitionedCall", "f", "y", f=func("body"), Tin=items(type=[FLOAT]), Tout=items(type=[FLOAT])),
        node("While", "w", "f", T=items(type=[FLOAT]), cond=func("body"), body=func("body")),
        node("Split", "sp", "c", "w", num_split=attr(i=3), T=attr(type=FLOAT)),
        functions=(body,),
    ).SerializeToString()
    rng = np.random.default_rng(7)
    path = tmp_path / "model.pb"
    outcomes = {"graph": 0, "error": 0}
    for k in range(900):
        mutant = bytearray(data)
        if k % 3 == 0:
            del mutant[rng.integers(len(mutant)) :]
        elif k % 3 == 1:
            for _ in range(rng.integers(1, 5)):
                mutant[rng.integers(len(mutant))] ^= 1 << int(rng.integers(8))
        else:
            start, stop = sorted(rng.integers(len(mutant), size=2))
            mutant[start : min(stop, start + 20)] = rng.bytes(int(rng.integers(1, 30)))
        path.write_bytes(mutant)
        try:
            Reader()(path)
            outcomes["graph"] += 1
        except NnefToolsError as error:
            assert str(path) in str(error)
            outcomes["error"] += 1
    assert min(outcomes.values()) > 30, "the changes are too harmless or too harmful to tell anything"


def test_damaged_texts(tmp_path: Path) -> None:
    message = graph(placeholder("x", 2), const("s", tensor(STRING, (1,), string_val=[b'a"b'])), unary("Neg", "y", "x"))
    text = text_format.MessageToString(message).encode()
    rng = np.random.default_rng(5)
    path = tmp_path / "model.pbtxt"
    for _ in range(300):
        mutant = bytearray(text)
        start = int(rng.integers(len(mutant)))
        mutant[start : start + int(rng.integers(1, 6))] = rng.choice(
            list(b'{}[]<>:"#0x1.5e-nfT \\\n\xff'), 2
        ).tobytes()[:2]
        path.write_bytes(mutant)
        try:
            Reader()(path)
        except NnefToolsError as error:
            assert str(path) in str(error)


def test_import_loads_no_tensorflow_and_no_protobuf() -> None:
    code = "import sys, nnef_tools.io.tf.graphdef as _; assert not {'tensorflow', 'google'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

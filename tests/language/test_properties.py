"""Generated documents round trip; mutants of valid documents give a graph or one clean error."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnef_tools.errors import NnefToolsError
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse
from nnef_tools.language.printer import format_graph, format_value
from nnef_tools.language.quant_file import parse_quantization
from nnef_tools.language.stdlib import standard_fragments

from .documents import COMPOSITIONAL, EXTENSIONS, FLAT, MINIMAL

QUANT = """"x": min_max_linear_quantize(min = -1.0, max = [[1.0, 2.0]], bits = 8, signed = true, symmetric = false);
'w': logarithmic_quantize(max = 2.0, bits = 4);
"""
COMPOUND = [name for name, fragment in standard_fragments().items() if fragment.is_compound]
TOKEN = re.compile(r"\w+|\s+|'[^']*'|->|.", re.DOTALL)


def mutant(text: str, chance: random.Random) -> str:
    tokens = TOKEN.findall(text)
    for _ in range(chance.randint(1, 3)):
        k = chance.randrange(len(tokens)) if tokens else 0
        kind = chance.randrange(6)
        if kind == 0:
            del tokens[k:]
        elif kind == 1:
            del tokens[k : k + 1]
        elif kind == 2:
            tokens[k:k] = tokens[k : k + chance.randint(1, 12)]
        elif kind == 3:
            tokens[k : k + 1] = [chance.choice(tokens)] if tokens else []
        elif kind == 4:
            words = [
                "[",
                "]",
                "(",
                ")",
                "-",
                "<?>",
                "1",
                "2.0",
                "'a'",
                "for",
                "if",
                "yield",
                "*",
                "^",
                "x",
                "true",
                "1e400",
            ]
            tokens.insert(k, chance.choice(words))
        elif tokens:
            token = tokens[k]
            at = chance.randrange(len(token))
            tokens[k] = token[:at] + chr(ord(token[at]) ^ (1 << chance.randrange(8))) + token[at + 1 :]
    return "".join(tokens)


@pytest.mark.parametrize("text", [MINIMAL, FLAT, COMPOSITIONAL])
def test_mutants_of_documents(text: str) -> None:
    chance = random.Random(20240607)
    accepted = 0
    start = time.monotonic()
    for k in range(400):
        changed = mutant(text, chance)
        policy: Any = "ignore" if k % 2 else "error"
        try:
            graph = build_graph(parse(changed, on_unknown_extension=policy), decomposed=COMPOUND if k % 3 == 0 else ())
        except NnefToolsError as error:
            assert str(error)
            continue
        accepted += 1
        graph.assert_consistent()
        assert graph.is_sorted()
        assert graph.is_unique()
    assert 0 < accepted < 400
    assert time.monotonic() - start < 60


def test_mutants_of_quantization() -> None:
    chance = random.Random(7)
    accepted = 0
    for _ in range(400):
        try:
            parse_quantization(mutant(QUANT, chance))
            accepted += 1
        except NnefToolsError as error:
            assert str(error)
    assert 0 < accepted < 400


@given(st.text(max_size=60))
def test_any_text_gives_one_clean_error(text: str) -> None:
    with pytest.raises(NnefToolsError):
        parse("version 1.0; graph g(x) -> (y) { " + text)


numbers = st.integers(-(2**63), 2**63 - 1)
singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
strings = st.text(st.characters(codec="ascii", exclude_categories=("C",)), max_size=6)
literals: st.SearchStrategy[Any] = st.one_of(numbers, singles, st.booleans(), strings)
PARAMETERS = {"n": "integer[]", "f": "scalar[][]", "s": "string", "b": "logical", "p": "(integer, string)[]"}


@given(
    n=st.lists(numbers, max_size=4),
    f=st.lists(st.lists(singles, max_size=3), max_size=3),
    s=strings,
    b=st.booleans(),
    p=st.lists(st.tuples(numbers, strings), max_size=3),
)
@settings(deadline=None)
def test_attributes_round_trip(**values: Any) -> None:
    declared = ", ".join(f"{name}: {type_}" for name, type_ in PARAMETERS.items())
    given_ = ", ".join(f"{name} = {format_value(value)}" for name, value in values.items())
    fragment = f"fragment f(x: tensor<scalar>, {declared}) -> (y: tensor<scalar>);\n"
    text = f"{EXTENSIONS}{fragment}graph g(x) -> (y) {{ x = external(shape = [1]); y = f(x, {given_}); }}"
    graph = build_graph(parse(text))
    assert graph.operations[1].attribs == {
        name: pytest.approx(v) if name == "" else v for name, v in _singles(values).items()
    }
    printed = format_graph(graph, extensions=["KHR_enable_fragment_definitions"], fragments=fragment)
    assert (
        format_graph(build_graph(parse(printed)), extensions=["KHR_enable_fragment_definitions"], fragments=fragment)
        == printed
    )


def _singles(values: dict[str, Any]) -> dict[str, Any]:
    """What shortest single-precision text reads back as a double."""
    return {**values, "f": [[float(format_value(item)) for item in row] for row in values["f"]]}


expressions = st.recursive(
    st.one_of(st.integers(-9, 9).map(lambda v: f"({v})")),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"{t[0]} {t[1]} {t[2]}")
    ),
    max_leaves=12,
)


@given(expressions)
@settings(deadline=None)
def test_arithmetic_agrees_with_python(expression: str) -> None:
    value = eval(expression)
    text = f"{EXTENSIONS}graph g(x) -> (y) {{ x = external(shape = [1]); y = pad(x, padding = [({expression}, 0)]); }}"
    assert build_graph(parse(text)).operations[1].attribs["padding"] == [(value, 0)]

"""The standard signatures against the reference parser."""

from __future__ import annotations

from pathlib import Path

import nnef
import pytest

from nnef_tools.language import stdlib
from nnef_tools.language.parser import parse_fragments
from nnef_tools.language.signatures import Overlay
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.language.typecheck import Signatures, check_fragment
from nnef_tools.language.types import REQUIRED, ArrayType, has_tensor

# Attributes for operations that need some, legal at graph level.
NEEDED = {
    "shape": "[2, 3]",
    "label": "'a/b'",
    "value": "[1.0]",
    "axes": "[0]",
    "axis": "0",
    "ratios": "[1]",
    "begin": "[0]",
    "end": "[1]",
    "padding": "[(0, 0), (0, 0)]",
    "repeats": "[1, 1]",
    "size": "[1, 1]",
    "factor": "[2]",
    "output_size": "[2]",
    "sampling_rate": "[2]",
    "bits": "8",
    "signed": "true",
    "symmetric": "false",
    "times": "1",
    "alpha": "0.5",
    "epsilon": "0.125",
}


def test_there_are_118() -> None:
    assert len(standard_fragments()) == 118


def test_every_body_passes_the_checker() -> None:
    signatures = Signatures(standard_fragments())
    for fragment in standard_fragments().values():
        if fragment.body is not None:
            check_fragment(fragment, signatures)


def test_kinds() -> None:
    compound = {name for name, fragment in standard_fragments().items() if fragment.is_compound}
    assert len(compound) == 45
    assert {"min", "max", "softmax", "copy_n", "add_n", "moments", "linear_quantize"} <= compound
    assert compound.isdisjoint({"conv", "pad", "cast", "gather", "squeeze", "stack", "tanh", "roi_resample"})


def _document(name: str) -> str:
    fragment = standard_fragments()[name]
    operands, lines = [], []
    for k, parameter in enumerate(fragment.tensors):
        item = {"<logical>": "logical", "<integer>": "integer"}.get(str(parameter.type)[6:], "scalar")
        lines.append(f"    i{k} = external<{item}>(shape = [2, 3]);")
        operands.append(f"[i{k}]" if isinstance(parameter.type, ArrayType) else f"i{k}")
    inputs = [f"i{k}" for k in range(len(operands))] or ["unused"]
    if not operands:
        lines.append("    unused = external(shape = [1]);")
    if name == "update":
        lines.append("    v = variable(shape = [2, 3], label = 'v');")
        operands[0] = "v"
    operands += [f"{p.name} = {NEEDED[p.name]}" for p in fragment.attributes.values() if p.default is REQUIRED]
    results = [f"[r{k}]" if isinstance(r.type, ArrayType) else f"r{k}" for k, r in enumerate(fragment.results)]
    outputs = [f"r{k}" for k in range(len(results))]
    if name == "external":
        inputs, outputs, lines = ["r0"], ["y"], ["    y = copy(r0);"]
        lines.insert(0, f"    r0 = external({', '.join(operands)});")
    else:
        argument = "<scalar>" if name == "cast" else ""
        lines.append(f"    {', '.join(results)} = {name}{argument}({', '.join(operands)});")
    body = "\n".join(lines)
    return f"version 1.0;\ngraph g({', '.join(inputs)}) -> ({', '.join(outputs)})\n{{\n{body}\n}}\n"


@pytest.mark.parametrize("name", list(standard_fragments()))
def test_signature_agrees_with_the_reference_parser(name: str) -> None:
    """Parameter order, names, defaults, results: the parser fills in every default."""
    graph = nnef.parse_string(_document(name))
    (theirs,) = [op for op in graph.operations if op.name == name][:1]
    fragment = standard_fragments()[name]
    assert list(theirs.inputs) == [p.name for p in fragment.tensors]
    assert list(theirs.outputs) == [r.name for r in fragment.results]
    assert list(theirs.attribs) == list(fragment.attributes)
    for parameter in fragment.parameters:
        if parameter.default is REQUIRED or has_tensor(parameter.type):
            continue
        value = theirs.attribs[parameter.name]
        expected = pytest.approx(parameter.default, rel=1e-7) if isinstance(value, float) else parameter.default
        assert value == expected
        assert type(value) is type(parameter.default)


def test_tensor_defaults() -> None:
    defaults = {
        name: [p.default for p in fragment.tensors if p.default is not REQUIRED]
        for name, fragment in standard_fragments().items()
    }
    with_default = {name: values for name, values in defaults.items() if values}
    assert list(with_default) == ["conv", "deconv", "separable_conv", "separable_deconv", "linear"]
    assert all(values == [0.0] for values in with_default.values())


def test_declarations_that_are_parsed_when_asked_for_are_those_of_the_text() -> None:
    path = Path(stdlib.__file__).with_name("stdlib.nnef")
    whole = parse_fragments(path.read_text("ascii"), path.name)
    assert list(standard_fragments()) == list(whole)
    assert "conv" in standard_fragments() and "none" not in standard_fragments()
    with pytest.raises(KeyError):
        standard_fragments()["none"]
    for name, fragment in whole.items():
        own = standard_fragments()[name]
        assert own is standard_fragments()[name]
        assert (own.name, own.text, own.parameters, own.results) == (
            name, fragment.text, fragment.parameters, fragment.results,
        )  # fmt: skip
        if fragment.body is not None:
            places = [item.body.source.location(item.body.at) for item in (own, fragment)]
            assert places[0] == places[1]


def test_of_several_declarations_the_last_one_counts() -> None:
    first, second = ({name: standard_fragments()[name]} for name in ("relu", "tanh"))
    both = Overlay(first, second, {"relu": standard_fragments()["sin"]})
    assert list(both) == ["relu", "tanh"] and len(both) == 2
    assert both["relu"].name == "sin" and both.get("cos") is None

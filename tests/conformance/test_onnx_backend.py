"""The backend tests of the onnx package, through the written NNEF model.

Every case is converted, written, read back, run and compared, once as it is and once with its parameters (shapes, axes,
..) as initializers. What is not right must be what onnx_expected.json says, so a case that becomes right fails here
until the file is refreshed.
"""

from __future__ import annotations

import json
from pathlib import Path

import nnef
import onnx
import pytest

from .differences import DIFFERENCES
from .expected import OPERATORS, VARIANTS, read_expected, variant_of
from .outcome import Outcome, run
from .suite import PARAMETERS, all_cases

CASES = 1950  # of onnx 1.23.2
RIGHT = {"as is": 1567, "parameters constant": 1813}
SHARDS = 16
REFRESH = "python -m tests.conformance.refresh"


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("variant", VARIANTS)
def test_cases(variant: str, shard: int, tmp_path: Path) -> None:
    """Outcomes are as expected, and the nnef package can parse every written graph with what it declares."""
    expected = read_expected()[variant]
    unexpected, unreadable = [], []
    for name in list(all_cases())[shard::SHARDS]:
        wanted = expected.get(name, Outcome("right"))
        outcome = run(variant_of(all_cases()[name], variant), tmp_path)
        if outcome != wanted:
            unexpected.append(f"{name}: {outcome.state}: {outcome.reason} (expected: {wanted.state}: {wanted.reason})")
        graph = tmp_path / "nnef" / "graph.nnef"
        if graph.exists():
            try:
                nnef.parse_file(str(graph))
            except nnef.Error as error:
                unreadable.append(f"{name}: {error}")
    assert not unexpected, "\n".join([*unexpected, f"if this is right: {REFRESH}"])
    assert not unreadable, "\n".join(unreadable)


@pytest.mark.parametrize("shard", range(4))
def test_torch_backend(shard: int, tmp_path: Path) -> None:
    """Every twelfth case is also right on torch."""
    variant = VARIANTS[1]
    expected = read_expected()[variant]
    names = [name for name in all_cases() if name not in expected][shard * 3 :: 12]
    outcomes = {name: run(variant_of(all_cases()[name], variant), tmp_path, "torch") for name in names}
    assert {name: outcome for name, outcome in outcomes.items() if outcome.state != "right"} == {}


def test_number_of_cases() -> None:
    assert len(all_cases()) == CASES


@pytest.mark.parametrize("variant", VARIANTS)
def test_enough_is_right(variant: str) -> None:
    """The shards prove that the file is true; this one, that it is good enough."""
    assert CASES - len(read_expected()[variant]) >= RIGHT[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_else_is_refused_with_a_reason(variant: str) -> None:
    for name, outcome in read_expected()[variant].items():
        if outcome.state == "different":
            assert outcome.reason == DIFFERENCES[name].reason
        else:
            assert outcome.state == "refused"
            assert outcome.reason.startswith(
                ("Conversion of operator '", "there is nothing to compute: ", "output '")
            ), name


def test_parameters_are_inputs_of_their_operators() -> None:
    for operator, names in PARAMETERS.items():
        schemas = [schema for schema in onnx.defs.get_all_schemas_with_history() if schema.name == operator]
        known = {formal.name for schema in schemas if not schema.domain for formal in schema.inputs}
        assert set(names) <= known, operator


def test_counts_per_operator_fit_the_cases() -> None:
    """The generated reference page shows these numbers."""
    counts = json.loads(OPERATORS.read_text("utf-8"))
    for variant, expected in read_expected().items():
        right = [name for name, case in all_cases().items() if ("", "Conv") in case.operators and name not in expected]
        assert counts[variant]["Conv"][1] == len(right)

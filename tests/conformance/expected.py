"""What is expected of each case: two data files beside this module, written by refresh.py and compared strictly.

onnx_expected.json: variant -> state -> reason -> cases that are not right. onnx_operators.json: variant -> operator ->
number of cases with that operator in them, and how many of those are right.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from .outcome import Outcome
from .suite import Case, all_cases

EXPECTED = Path(__file__).with_name("onnx_expected.json")
OPERATORS = Path(__file__).with_name("onnx_operators.json")

VARIANTS = ("as is", "parameters constant")


def variant_of(case: Case, variant: str) -> Case:
    """The case as it is, or with its parameters as initializers."""
    return case if variant == VARIANTS[0] else case.with_initializers()


def read_expected() -> dict[str, dict[str, Outcome]]:
    """Variant -> case -> outcome, of the cases that are not right."""
    content = json.loads(EXPECTED.read_text("utf-8"))
    return {
        variant: {
            case: Outcome(state, reason)
            for state, reasons in states.items()
            for reason, cases in reasons.items()
            for case in cases
        }
        for variant, states in content.items()
    }


def write_expected(outcomes: Mapping[str, Mapping[str, Outcome]]) -> None:
    """Writes both files. outcomes: variant -> case -> outcome, of all cases."""
    content: dict[str, dict[str, dict[str, list[str]]]] = {}
    counts: dict[str, dict[str, list[int]]] = {}
    for variant, by_case in outcomes.items():
        states = content.setdefault(variant, {})
        for case, outcome in sorted(by_case.items()):
            if outcome.state != "right":
                states.setdefault(outcome.state, {}).setdefault(outcome.reason, []).append(case)
        counts[variant] = _counts(by_case)
    EXPECTED.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    lines = [f' "{variant}": {{\n{_rows(rows)}\n }}' for variant, rows in counts.items()]
    OPERATORS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _counts(outcomes: Mapping[str, Outcome]) -> dict[str, list[int]]:
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for name, outcome in outcomes.items():
        operators = [f"{domain}.{type}".lstrip(".") for domain, type in all_cases()[name].operators]
        total.update(operators)
        if outcome.state == "right":
            right.update(operators)
    return {operator: [total[operator], right[operator]] for operator in sorted(total)}


def _rows(rows: Mapping[str, list[int]]) -> str:
    return ",\n".join(f'  "{operator}": [{total}, {right}]' for operator, (total, right) in rows.items())

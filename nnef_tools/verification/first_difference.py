"""Finds the first tensor, in the order of execution, whose values differ between two models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from ..errors import NnefToolsError
from ..execution.executor import Array, Executor
from ..execution.results.compare import OutputComparison, compare_outputs
from ..model.channels import MIN_RANK, TO_LAST, TO_SECOND
from .real_values import Codes, comparable

MOST_BYTES = 1 << 28
"""The largest total size of the inner tensors that are fetched in one run of a model."""

MOST_TENSORS = 64
"""The largest number of inner tensors that are fetched in one run of a model."""


@dataclass(frozen=True)
class Difference:
    """A pair of tensors with different values, by their names."""

    source: str
    target: str
    comparison: OutputComparison


Item = TypeVar("Item")
Accept = Callable[[OutputComparison, Array], bool]


def find_first_difference(
    reference: tuple[Executor, Mapping[str, Array]],
    candidate: tuple[Executor, Mapping[str, Array]],
    mapping: Mapping[str, str],
    sizes: Mapping[str, int],
    accept: Accept,
    codes: tuple[Mapping[str, Codes], Mapping[str, Codes]] = ({}, {}),
) -> Difference | None:
    """The first pair of the mapping, reference name -> candidate name, whose values are not accepted, or None.

    Reference and candidate are an executor with its inputs each. sizes: name in either model -> bytes. Each pair of
    runs fetches as many tensors as fit into MOST_BYTES, until one differs. Tensors of different shapes are compared if
    moved channels make the shapes equal; others, and those that a model does not give, are left out. codes: name ->
    codes, of the quantized tensors of both, which are compared by their real values.
    """
    known = set(candidate[0].tensor_names)
    order = [name for name in dict.fromkeys(reference[0].tensor_names) if mapping.get(name) in known]
    for names in groups(order, lambda name: sizes.get(name) or sizes.get(mapping[name]) or 0):
        expected = fetch(*reference, names)
        wanted = list(dict.fromkeys(mapping[name] for name in expected))
        results = fetch(*candidate, wanted)
        for name in expected:
            if mapping[name] not in results:
                continue
            pair = codes[0].get(name), codes[1].get(mapping[name])
            values = comparable(expected[name], results[mapping[name]], pair)
            comparison = None if values is None else _compare(name, *values, accept)
            if comparison is not None:
                return Difference(name, mapping[name], comparison)
    return None


def fetch(executor: Executor, inputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """The tensors with these names in a run; one by one if that fails, since some disappear in fused operators."""
    try:
        return executor.run(inputs, output_names=names)
    except NnefToolsError:
        found: dict[str, Array] = {}
        for name in names:
            with suppress(NnefToolsError):
                found |= executor.run(inputs, output_names=[name])
        if not found:
            raise
        return found


def groups(names: Sequence[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """The items in groups of which each fits into one run. size: of an item, in bytes."""
    group: list[Item] = []
    total = 0
    for name in names:
        if group and (total + size(name) > MOST_BYTES or len(group) == MOST_TENSORS):
            yield group
            group, total = [], 0
        group.append(name)
        total += size(name)
    if group:
        yield group


def _compare(name: str, expected: Array, result: Array, accept: Accept) -> OutputComparison | None:
    """The comparison if the values differ however the channels are moved; None if they agree, or have other shapes."""
    fitting = [array for array in _with_moved_channels(expected) if array.shape == result.shape]
    found = None
    for array in fitting:
        comparison = compare_outputs({name: array}, {name: result}).outputs[0]
        if accept(comparison, array):
            return None
        found = found or comparison
    return found


def _with_moved_channels(array: Array) -> Iterator[Array]:
    yield array
    if array.ndim >= MIN_RANK:
        yield TO_SECOND.array(array)
        yield TO_LAST.array(array)

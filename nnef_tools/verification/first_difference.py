"""Finds the first tensor, in the order of execution, whose values differ between two models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import NnefToolsError
from ..execution.executor import Array, Executor
from ..execution.results.compare import OutputComparison, compare_outputs
from ..model.channels import MIN_RANK, TO_LAST, TO_SECOND

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


Accept = Callable[[OutputComparison, Array], bool]


def find_first_difference(
    reference: tuple[Executor, Mapping[str, Array]],
    candidate: tuple[Executor, Mapping[str, Array]],
    mapping: Mapping[str, str],
    sizes: Mapping[str, int],
    accept: Accept,
) -> Difference | None:
    """The first pair of the mapping, reference name -> candidate name, whose values are not accepted, or None.

    Reference and candidate are an executor with its inputs each. sizes: name in either model -> bytes. Each pair of
    runs fetches as many tensors as fit into MOST_BYTES, until one differs. Tensors of different shapes are compared if
    moved channels make the shapes equal; others, and those that a model does not give, are left out.
    """
    known = set(candidate[0].tensor_names)
    order = [name for name in dict.fromkeys(reference[0].tensor_names) if mapping.get(name) in known]
    for names in _groups(order, lambda name: sizes.get(name) or sizes.get(mapping[name]) or 0):
        expected = _values(*reference, names)
        wanted = list(dict.fromkeys(mapping[name] for name in expected))
        results = _values(*candidate, wanted)
        for name in expected:
            if mapping[name] not in results:
                continue
            comparison = _compare(name, expected[name], results[mapping[name]], accept)
            if comparison is not None:
                return Difference(name, mapping[name], comparison)
    return None


def _values(executor: Executor, inputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """The tensors with these names; fetched one by one if that fails, since some disappear in fused operators."""
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


def _groups(names: Sequence[str], size: Callable[[str], int]) -> Iterator[list[str]]:
    group: list[str] = []
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

"""Groups of axes of a reshape that belong together, for permutations of its input or output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .permutations import Perm

Extents = Sequence[int]


class Group(NamedTuple):
    """Axes of the input, and the axes of the output that hold the same items. Axes of extent 1 are in no group."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def groups(source: Extents, target: Extents) -> list[Group]:
    """The smallest groups, in order. A first axis of extent 1 on both sides is a group: it may be a batch."""
    batch = source[:1] == target[:1] == (1,)
    left = [k for k, extent in enumerate(source) if extent != 1 or (batch and k == 0)]
    right = [k for k, extent in enumerate(target) if extent != 1 or (batch and k == 0)]
    found = []
    i = j = 0
    while i < len(left):
        first, second = (i, j)
        volume, other = source[left[i]], target[right[j]]
        i, j = i + 1, j + 1
        while volume != other:
            if volume < other:
                volume, i = volume * source[left[i]], i + 1
            else:
                other, j = other * target[right[j]], j + 1
        found.append(Group(tuple(left[first:i]), tuple(right[second:j])))
    return found


def group_order(groups: list[Group], layout: Perm, *, outputs: bool) -> list[int] | None:
    """The order of the groups in a permutation of inputs or outputs; None if that does not keep them together."""
    sides = [group.outputs if outputs else group.inputs for group in groups]
    start = {side[0]: k for k, side in enumerate(sides)}
    members = {axis for side in sides for axis in side}
    rest = [axis for axis in layout if axis in members]
    order = []
    while rest:
        k = start.get(rest[0])
        if k is None or tuple(rest[: len(sides[k])]) != sides[k]:
            return None
        order.append(k)
        del rest[: len(sides[k])]
    return order


def with_singletons(axes: list[int], rank: int) -> Perm:
    """The given axes in their order, and all others in their own positions."""
    members = set(axes)
    rest = iter(axes)
    return tuple(next(rest) if axis in members else axis for axis in range(rank))


def merged_order(parts: Sequence[Group], layout: Perm, rank: int) -> tuple[tuple[int, ...], Perm] | None:
    """The input axes that the last output axis (of `rank`) holds, and the order that they have in a permutation.

    None if the permutation changes anything else, or no axes are merged into the last one.
    """
    if not parts or parts[-1].outputs != (rank - 1,):
        return None
    merged = parts[-1].inputs
    rest = [axis for axis in layout if any(axis in group.inputs for group in parts[:-1])]
    members = [axis for axis in layout if axis in merged]
    wide = [axis for axis in layout if any(axis in group.inputs for group in parts)]
    if rest != sorted(rest) or wide != rest + members:
        return None
    return merged, tuple(merged.index(axis) for axis in members)

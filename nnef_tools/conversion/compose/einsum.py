"""Einsum: diagonals, sums, matrix products and transposes, two operands at a time from the left."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ...errors import Unsupported
from ...model import Tensor
from ..building.nnef import Builder
from ..building.shapes import reshape, shape, squeeze, transpose, unsqueeze
from .slicing import slice_axes

Labels = list[str]
"""A name for each axis of an operand; the axes of an ellipsis are called '.0', '.1', ... counted from the last."""


def einsum(b: Builder, xs: Sequence[Tensor], equation: str) -> Tensor:
    """Einsum in every form: implicit results, ellipses, repeated labels, any number of operands."""
    inputs, result = _parse(equation, [len(shape(x)) for x in xs])
    wanted = set(result)
    operand, labels = _diagonals(b, xs[0], inputs[0])
    for k in range(1, len(xs)):
        later = wanted.union(*inputs[k + 1 :])
        operand, labels = _product(b, (operand, labels), _diagonals(b, xs[k], inputs[k]), later)
    operand, labels = _summed(b, operand, labels, wanted)
    missing = [label for label in result if label not in labels]
    if missing:
        raise Unsupported(f"equation '{equation}': {missing} appear in the result only")
    return transpose(b, operand, [labels.index(label) for label in result])


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of the operands and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise Unsupported(f"equation '{equation}' has {len(terms)} terms for {len(ranks)} operands")
    inputs = [_labels(term, rank) for term, rank in zip(terms, ranks, strict=True)]
    dots = sorted({label for labels in inputs for label in labels if label[0] == "."}, key=_from_last)
    if arrow:
        head, ellipsis, tail = right.partition("...")
        return inputs, [*head, *(dots if ellipsis else []), *tail]
    counts = Counter(label for labels in inputs for label in labels)
    return inputs, dots + sorted(label for label, n in counts.items() if n == 1 and label[0] != ".")


def _from_last(label: str) -> int:
    return -int(label[1:])


def _labels(term: str, rank: int) -> Labels:
    head, ellipsis, tail = term.partition("...")
    extra = rank - len(head) - len(tail)
    if extra < 0 or (extra and not ellipsis) or (not (head + tail).isalpha() and head + tail):
        raise Unsupported(f"term '{term}' of the equation does not fit an operand of rank {rank}")
    return [*head, *(f".{k}" for k in range(extra - 1, -1, -1)), *tail]


def _diagonals(b: Builder, x: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """Axes with the same label become one: every (n + 1)-th element of the two as one axis."""
    labels = list(labels)
    while len(set(labels)) < len(labels):
        label = next(name for name in labels if labels.count(name) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        rest = [k for k in range(len(labels)) if k not in (first, second)]
        extents = shape(x)
        n = extents[first]
        if extents[second] != n:
            raise Unsupported(f"label '{label}' stands for extents {n} and {extents[second]}")
        flat = reshape(b, transpose(b, x, [*rest, first, second]), [*(extents[k] for k in rest), n * n])
        x = slice_axes(b, flat, [0], [n * n], [len(rest)], [n + 1])
        labels = [*(labels[k] for k in rest), label]
    return x, labels


def _summed(b: Builder, x: Tensor, labels: Labels, kept: set[str]) -> tuple[Tensor, Labels]:
    """The sum over the axes that nothing needs any more."""
    axes = [k for k, label in enumerate(labels) if label not in kept]
    if not axes:
        return x, labels
    return squeeze(b, b.sum_reduce(x, axes=axes), axes), [label for label in labels if label in kept]


def _product(
    b: Builder, left: tuple[Tensor, Labels], right: tuple[Tensor, Labels], later: set[str]
) -> tuple[Tensor, Labels]:
    """Two operands as one: mul, or matmul where labels of both are summed over.

    later: the labels of the result and of the operands to come.
    """
    x, x_labels = _summed(b, *left, later.union(right[1]))
    y, y_labels = _summed(b, *right, later.union(x_labels))
    extents = _extents([(x, x_labels), (y, y_labels)])
    shared = [label for label in x_labels if label in y_labels]
    contracted = [label for label in shared if label not in later]
    batch = [label for label in shared if label in later]
    rows = [label for label in x_labels if label not in shared]
    columns = [label for label in y_labels if label not in shared]
    if not contracted:
        labels = batch + rows + columns
        return b.mul(_arranged(b, x, x_labels, labels), _arranged(b, y, y_labels, labels)), labels
    x, y = (_widened(b, t, names, contracted, extents) for t, names in ((x, x_labels), (y, y_labels)))
    x = _arranged(b, x, x_labels, batch + rows + contracted)
    y = _arranged(b, y, y_labels, batch + contracted + columns)
    count = len(batch)
    height, depth, width = (math.prod(extents[n] for n in group) for group in (rows, contracted, columns))
    z = b.matmul(reshape(b, x, [*shape(x)[:count], height, depth]), reshape(b, y, [*shape(y)[:count], depth, width]))
    labels = batch + rows + columns
    return reshape(b, z, [extents[label] for label in labels]), labels


def _extents(operands: Sequence[tuple[Tensor, Labels]]) -> dict[str, int]:
    """The extent of each label; 1 gives way to others, as in broadcasting."""
    extents: dict[str, int] = {}
    for x, labels in operands:
        for label, extent in zip(labels, shape(x), strict=True):
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            elif extent not in (1, known):
                raise Unsupported(f"label '{label}' stands for extents {known} and {extent}")
    return extents


def _widened(b: Builder, x: Tensor, labels: Labels, names: Sequence[str], extents: dict[str, int]) -> Tensor:
    """x with the axes of these names repeated to their extents."""
    repeats = [extents[label] if label in names and n == 1 else 1 for label, n in zip(labels, shape(x), strict=True)]
    return x if all(r == 1 for r in repeats) else b.tile(x, repeats=repeats)


def _arranged(b: Builder, x: Tensor, labels: Labels, order: Sequence[str]) -> Tensor:
    """x with axes in that order; labels that it does not have get an extent of 1."""
    present = [label for label in order if label in labels]
    x = transpose(b, x, [labels.index(label) for label in present])
    return unsqueeze(b, x, [k for k, label in enumerate(order) if label not in labels])

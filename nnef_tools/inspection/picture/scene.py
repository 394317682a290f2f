"""What a picture shows: boxes in groups, and links between them. No places and no colors yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...model import Operation, Tensor


@dataclass(eq=False)
class Row:
    """A line of a box, with one operation. small: what is printed below. weights: shapes and short values of these."""

    title: str
    family: str
    small: tuple[str, ...] = ()
    operation: Operation | None = None
    weights: tuple[str, ...] = ()


@dataclass(eq=False)
class Node:
    """A box: operations that are drawn as one, or an input, output or weight.

    kind: 'operation', 'input', 'output' or 'weight'. outputs: the tensors that links start with. path: the scopes that
    the node is in, outermost first.
    """

    kind: str
    rows: list[Row]
    outputs: list[Tensor]
    path: tuple[str, ...] = ()

    @property
    def operations(self) -> list[Operation]:
        """The operations in the box."""
        return [row.operation for row in self.rows if row.operation is not None]


@dataclass(eq=False)
class Group:
    """A frame around boxes and other frames. kind: 'scope', or 'block' of one that occurs `count` times in a row.

    hidden: the boxes of the other occurrences, each with the one that is drawn for it.
    """

    kind: str
    title: str
    children: list[Item]
    count: int = 1
    hidden: dict[Node, Node] = field(default_factory=dict)


Item = Node | Group


@dataclass(frozen=True)
class Link:
    """A tensor that leads from one box to another. tensor: one of the outputs of the source."""

    source: Node
    target: Node
    tensor: Tensor


@dataclass
class Scene:
    """A whole picture. left_out: what is not shown -> how many: operations on constants, and in bodies of others."""

    title: str
    children: list[Item]
    links: list[Link]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def nodes(self) -> Iterator[Node]:
        """The boxes, in order."""
        return nodes_of(self.children)


def nodes_of(items: Sequence[Item]) -> Iterator[Node]:
    """The boxes among the items and in their groups, in order."""
    for item in items:
        if isinstance(item, Node):
            yield item
        else:
            yield from nodes_of(item.children)


def groups_of(items: Sequence[Item]) -> Iterator[Group]:
    """The groups among the items and within them, outer ones first."""
    for item in items:
        if isinstance(item, Group):
            yield item
            yield from groups_of(item.children)


def children_by_node(items: Sequence[Item]) -> dict[Node, int]:
    """Box -> index of the item that it is, or is in."""
    return {node: k for k, item in enumerate(items) for node in nodes_of([item])}

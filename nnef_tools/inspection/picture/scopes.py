"""Groups of boxes by the scopes in their names, such that no link leads out of a group and back into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from .scene import Group, Item, Link, Node, children_by_node

MIN_NODES, MIN_OPERATIONS = 2, 3
"""What a frame is drawn around, at least."""

WHOLE = 0.8
"""A scope with more than that part of all boxes is no part of the picture, but the picture."""


def grouped(nodes: Sequence[Node], links: Sequence[Link]) -> list[Item]:
    """The boxes in groups by their scopes. A scope around everything, or around few boxes, is left out."""
    return _level(list(nodes), links, 0)


def _level(nodes: list[Node], links: Sequence[Link], depth: int) -> list[Item]:
    inner = [node for node in nodes if node.kind == "operation"]
    common = _common_depth(inner, depth)
    if common > depth:
        return _level(nodes, links, common)
    members: dict[str, list[Node]] = {}
    for node in nodes:
        if len(node.path) > depth:
            members.setdefault(node.path[depth], []).append(node)
    members = {name: found for name, found in members.items() if _is_worth_a_frame(found)}
    whole = next((found for found in members.values() if len(found) > WHOLE * len(inner)), None)
    if whole is not None and depth == 0:
        for node in whole:
            node.path = node.path[1:]
        return _level(nodes, links, depth)
    owner = {node: (name, 0) for name, found in members.items() for node in found}
    owner = _without_cycles(nodes, links, owner)
    groups: dict[tuple[str, int], Group] = {}
    children: list[Item] = []
    inside: dict[tuple[str, int], list[Node]] = {}
    for node in nodes:
        if node in owner:
            inside.setdefault(owner[node], []).append(node)
    for node in nodes:
        key = owner.get(node)
        if key is None or not _is_worth_a_frame(inside[key]):
            children.append(node)
        elif key not in groups:
            own = set(inside[key])
            inner_links = [link for link in links if link.source in own and link.target in own]
            content = _level(inside[key], inner_links, depth + 1)
            deep = _common_depth(inside[key], depth)
            title = "/".join(inside[key][0].path[depth : max(deep, depth + 1)])
            groups[key] = Group("scope", title, content)
            children.append(groups[key])
    return children


def _is_worth_a_frame(nodes: Sequence[Node]) -> bool:
    return len(nodes) >= MIN_NODES and sum(len(node.rows) for node in nodes) >= MIN_OPERATIONS


def _common_depth(nodes: Sequence[Node], depth: int) -> int:
    """How many leading scopes all boxes have in common, from a depth on at which they do."""
    if not nodes:
        return depth
    first = nodes[0].path
    while len(first) > depth and all(len(n.path) > depth and n.path[depth] == first[depth] for n in nodes):
        depth += 1
    return depth


def _without_cycles(
    nodes: Sequence[Node], links: Iterable[Link], owner: Mapping[Node, tuple[str, int]]
) -> dict[Node, tuple[str, int]]:
    """The groups cut in parts where links lead out of them and back, or given up where that is not enough."""
    result = dict(owner)
    followers: dict[Node, list[Node]] = {}
    for link in links:
        followers.setdefault(link.source, []).append(link.target)
    for key in _cyclic_groups(nodes, followers, result):
        _cut(nodes, followers, result, key)
    while cyclic := _cyclic_groups(nodes, followers, result):
        sizes = Counter(key for key in result.values() if key in cyclic)
        smallest = min(sizes, key=lambda key: (sizes[key], key))
        result = {node: key for node, key in result.items() if key != smallest}
    return result


def _cut(
    nodes: Sequence[Node],
    followers: Mapping[Node, list[Node]],
    owner: dict[Node, tuple[str, int]],
    key: tuple[str, int],
) -> None:
    """Numbers the members of a group by how often a way to them has left the group before."""
    stage: dict[Node, int] = {}
    for node in nodes:  # in topological order
        inside = owner.get(node, ("", 0))[0] == key[0]
        if inside:
            stage.setdefault(node, 0)
        if node not in stage:
            continue
        for follower in followers.get(node, ()):
            enters = not inside and owner.get(follower, ("", 0))[0] == key[0]
            stage[follower] = max(stage.get(follower, 0), stage[node] + enters)
    for node in nodes:
        if owner.get(node, ("", 0))[0] == key[0]:
            owner[node] = (key[0], stage[node])


def _cyclic_groups(
    nodes: Sequence[Node], followers: Mapping[Node, list[Node]], owner: Mapping[Node, tuple[str, int]]
) -> set[tuple[str, int]]:
    """The groups that are in a cycle when each is one vertex: what remains after vertices without predecessors, and
    then those without successors, are taken away again and again."""
    vertex = {node: owner.get(node, node) for node in nodes}
    edges = {(vertex[a], vertex[b]) for a in nodes for b in followers.get(a, ()) if vertex[a] != vertex[b]}
    for source, target in ((0, 1), (1, 0)):
        count: dict[object, int] = dict.fromkeys(vertex.values(), 0)
        after: dict[object, list[object]] = {}
        for edge in edges:
            count[edge[target]] += 1
            after.setdefault(edge[source], []).append(edge[target])
        ready = [v for v, number in count.items() if number == 0]
        done = set(ready)
        while ready:
            for other in after.get(ready.pop(), ()):
                count[other] -= 1
                if count[other] == 0:
                    done.add(other)
                    ready.append(other)
        edges = {edge for edge in edges if edge[0] not in done and edge[1] not in done}
    return {v for edge in edges for v in edge if isinstance(v, tuple)}


def sorted_items(items: Sequence[Item], links: Sequence[Link]) -> list[Item]:
    """The items in a topological order that keeps theirs where it can."""
    index = children_by_node(items)
    after: dict[int, set[int]] = {}
    count = [0] * len(items)
    for link in links:
        a, b = index.get(link.source), index.get(link.target)
        if a is not None and b is not None and a != b and b not in after.setdefault(a, set()):
            after[a].add(b)
            count[b] += 1
    ready = [k for k, number in enumerate(count) if number == 0]
    heapify(ready)
    order = []
    while ready:
        k = heappop(ready)
        order.append(items[k])
        for other in after.get(k, ()):
            count[other] -= 1
            if count[other] == 0:
                heappush(ready, other)
    assert len(order) == len(items), "groups depend on each other in a cycle"
    return order

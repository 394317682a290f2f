"""Minimum cuts of flow networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

SOURCE = "source"
SINK = "sink"
UNBOUNDED = 1 << 400  # far above any sum of costs


class Network:
    """A directed graph with capacities between a source and a sink."""

    def __init__(self) -> None:
        self._left: dict[Hashable, dict[Hashable, int]] = {SOURCE: {}, SINK: {}}

    def connect(self, start: Hashable, end: Hashable, capacity: int) -> None:
        """Adds capacity from one node to another; the nodes need not exist."""
        forward = self._left.setdefault(start, {})
        forward[end] = forward.get(end, 0) + capacity
        self._left.setdefault(end, {}).setdefault(start, 0)

    def sink_side(self) -> set[Hashable]:
        """The nodes on the side of the sink in a minimum cut, as few as possible.

        The algorithm augments shortest paths (Edmonds and Karp 1972).
        """
        while (path := self._path()) is not None:
            flow = min(self._left[start][end] for start, end in path)
            for start, end in path:
                self._left[start][end] -= flow
                self._left[end][start] += flow
        side: set[Hashable] = {SINK}
        queue: deque[Hashable] = deque(side)
        while queue:
            end = queue.popleft()
            for start in self._left[end]:
                if start not in side and self._left[start][end] > 0:
                    side.add(start)
                    queue.append(start)
        return side

    def _path(self) -> list[tuple[Hashable, Hashable]] | None:
        """The edges of a shortest path from the sink back to the source that has capacity left."""
        came_from: dict[Hashable, Hashable] = {SOURCE: SOURCE}
        queue: deque[Hashable] = deque((SOURCE,))
        while queue and SINK not in came_from:
            start = queue.popleft()
            for end, capacity in self._left[start].items():
                if capacity > 0 and end not in came_from:
                    came_from[end] = start
                    queue.append(end)
        if SINK not in came_from:
            return None
        path: list[tuple[Hashable, Hashable]] = []
        node: Hashable = SINK
        while node != SOURCE:
            path.append((came_from[node], node))
            node = came_from[node]
        return path

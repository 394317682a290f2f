"""Optimization passes: their contract, and the loop that runs them.

A pass is a named function over a graph. It edits the graph in place and returns the number of rewrites; passes are
repeated until none makes any. In debug mode, it is checked after each pass that the graph is well formed, and that it
has not changed if the pass reports no rewrite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..errors import NnefToolsError, PluginError
from ..model import Graph
from ..model.verify import verify

MAX_PLUGIN_ROUNDS = 100


@dataclass(frozen=True)
class Pass:
    """A named rewrite. run: rewrites a graph and returns the number of rewrites. plugin: is it that of a plugin?"""

    name: str
    run: Callable[[Graph], int]
    plugin: bool = False


@dataclass(frozen=True)
class PassResult:
    """The effect of a pass. difference: operation type -> change in number."""

    name: str
    count: int
    difference: Mapping[str, int]

    @property
    def modified(self) -> bool:
        return self.count > 0


def run_pass(graph: Graph, item: Pass, *, debug: bool = False) -> PassResult:
    """Runs one pass. NnefToolsError, in debug mode, if the pass violates the contract."""
    before = _count(graph)
    shape = _structure(graph) if debug else None
    count = item.run(graph)
    after = _count(graph)
    if debug:
        _check(graph, item, untouched=count == 0 and shape != _structure(graph))
    difference = {name: after[name] - before[name] for name in sorted({*before, *after}) if after[name] != before[name]}
    return PassResult(item.name, count, difference)


def run_passes(graph: Graph, passes: Iterable[Pass], *, debug: bool = False) -> list[PassResult]:
    """Runs the passes in turn until a whole round changes nothing.

    Returns the summed results of each pass that changed something, in the order of the passes. PluginError if passes of
    plugins still rewrite after MAX_PLUGIN_ROUNDS rounds; built-in passes end, since they always shrink the graph.
    """
    passes = list(passes)
    counts = [0] * len(passes)
    differences: list[Counter[str]] = [Counter() for _ in passes]
    plugin_rounds = 0
    modified = True
    while modified:
        results = [run_pass(graph, item, debug=debug) for item in passes]
        for k, result in enumerate(results):
            counts[k] += result.count
            differences[k].update(result.difference)
        modified = any(result.modified for result in results)
        restless = [item.name for item, result in zip(passes, results, strict=True) if item.plugin and result.modified]
        plugin_rounds += bool(restless)
        if plugin_rounds > MAX_PLUGIN_ROUNDS:
            raise PluginError(f"{', '.join(restless)}: still changing the graph after {MAX_PLUGIN_ROUNDS} rounds")
    return [
        PassResult(item.name, count, {name: change for name, change in sorted(difference.items()) if change})
        for item, count, difference in zip(passes, counts, differences, strict=True)
        if count
    ]


def _count(graph: Graph) -> Counter[str]:
    return Counter(operation.type or "" for operation in graph.operations)


def _structure(graph: Graph) -> list[object]:
    return [
        (id(op), op.type, dict(op.attribs), tuple(map(id, op.inputs)), tuple(map(id, op.outputs)))
        for op in graph.operations
    ]


def _check(graph: Graph, item: Pass, *, untouched: bool) -> None:
    try:
        verify(graph)
    except NnefToolsError as error:
        raise NnefToolsError(f"pass '{item.name}' breaks the graph", [str(error)]) from error
    if untouched:
        raise NnefToolsError(f"pass '{item.name}' changes the graph but reports no rewrite")

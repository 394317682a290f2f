"""Passes for the chains of operations that plugins replace (CUSTOM_OPTIMIZERS)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial, wraps
from typing import Any

from ..errors import NnefToolsError, PluginError
from ..model import Graph
from ..model.chains import ChainItem, replace_chain
from ..model.plugin_code import origin, own_lines, reason
from ..model.verify import find_problems
from .passes import Pass

Chain = tuple[ChainItem, ...]
CustomOptimizers = Mapping[Chain, Callable[..., Any]]


def custom_passes(optimizers: CustomOptimizers | None) -> list[Pass]:
    """Makes a pass of each entry of a mapping from chains to functions. PluginError if the mapping is malformed.

    A chain is a tuple whose items are operation types or containers of types, such as frozensets.
    """
    return [
        Pass(
            _name(chain),
            partial(replace, chain=chain, function=function, place=origin(optimizers, chain)),
            plugin=True,
        )
        for chain, function in (optimizers or {}).items()
        if _check(chain, function)
    ]


def unmatched_optimizers(optimizers: CustomOptimizers, effective: Collection[str]) -> list[str]:
    """A warning about the optimizers that replaced nothing. effective: names of the passes that changed something."""
    unused = [chain for chain in optimizers if _name(chain) not in effective]
    idle = [origin(optimizers, chain) or f"CUSTOM_OPTIMIZERS[{chain!r}]" for chain in unused]
    return [f"no chain of the model was replaced by {', '.join(idle)}"] if idle else []


def _name(chain: Chain) -> str:
    return f"custom optimizer {describe(chain)}"


def replace(graph: Graph, *, chain: Chain, function: Callable[..., Any], place: str | None) -> int:
    """Calls the function on each chain of that kind in the graph. Returns the number of replacements.

    place: the entry of the plugin's table, for messages.

    PluginError if the function fails, leaves the graph malformed, or replaces its own results endlessly.
    """
    where = f"{_name(chain)} ({getattr(function, '__name__', function)!s})"
    if place:
        where = f"{place}: {where}"
    limit = 10 * len(graph.operations) + 1000
    count = 0

    @wraps(function)
    def guarded(*operations: Any) -> Any:
        nonlocal count
        try:
            result = function(*operations)
        except NnefToolsError:
            raise
        except Exception as error:  # the code of a plugin may raise anything
            results = ", ".join(repr(tensor) for tensor in operations[-1].outputs)
            raise PluginError(
                f"fails with {reason(error)}",
                own_lines(error, function),
                where=f"{where}, at the chain that ends in '{results}'",
            ) from error
        count += result is not False
        if count > limit:
            raise PluginError(
                f"replaces {limit} chains and does not come to an end", own_lines(None, function), where=where
            )
        return result

    before = set(find_problems(graph, unique_names=False))
    try:
        replaced = replace_chain(graph, chain, guarded)
    except PluginError as error:
        if error.where is None:
            error.where, error.details = where, (*own_lines(None, function), *error.details)
        raise
    if replaced:
        problems = [p for p in find_problems(graph, unique_names=False) if p not in before]
        if problems:
            raise PluginError(
                "leaves a graph that is not well formed", [*own_lines(None, function), *problems], where=where
            )
        _clear_duplicate_names(graph)
    return count


def _clear_duplicate_names(graph: Graph) -> None:
    """Clears the names of new tensors that older ones have; they get other names in the end."""
    names: set[str] = set()
    for tensor in graph.tensors:
        if tensor.name in names:
            tensor.name = None
        elif tensor.name:
            names.add(tensor.name)


def describe(chain: Chain) -> str:
    """The types of the chain as text: `conv > relu|elu`."""
    return " > ".join(item if isinstance(item, str) else "|".join(_sorted(item)) for item in chain)


def _sorted(item: Any) -> list[str]:
    return sorted(map(str, item)) if hasattr(item, "__iter__") else [repr(item)]


def _check(chain: Any, function: Any) -> bool:
    if not isinstance(chain, tuple) or not chain:
        raise PluginError(f"a key of CUSTOM_OPTIMIZERS must be a tuple of operation types, got {chain!r}")
    for item in chain:
        if not isinstance(item, str) and not hasattr(item, "__contains__"):
            raise PluginError(
                f"an item of the chain {chain!r} must be an operation type or a container of types, got {item!r}"
            )
    if not callable(function):
        raise PluginError(f"the optimizer for the chain {chain!r} must be a function, got {function!r}")
    return True

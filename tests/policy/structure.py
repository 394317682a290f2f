"""Laws of the structure of a package, as functions of its folder: each gives the breaches that it finds, as text."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

MAX_LINES = 60
"""The longest function."""

_BRITISH = re.compile(
    r"""(?i)[a-z]*(?:
    (?:optim|quant|normal|initial|recogn|vector|maxim|minim|serial|general|special|material|summar|canonical|organ
      |real|factor|local|final|standard|symbol|parameter|character|util|token|visual|custom|stabil|linear)
      is(?:e[ds]?|er|ers|ing|ations?)
    | (?:behavi|col|fav|hon|lab|neighb|harb|flav)our | centre | centring | fibre | (?:kilo|milli)?metres? | litres?
    | analys(?:e[ds]?|ing) | catalogue | dialogue | artefact | grey | licence | defence | offence | judgement
    | programmes? | (?:mis)?spelt | learnt | whilst | amongst
    | (?:cancel|label|model|travel|signal|channel|level|tunnel)l(?:ed|ing)
    )[a-z]*""",
    re.VERBOSE,
)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def modules(package: Path) -> dict[str, Path]:
    """Dotted names from the package on, with the files; the package itself is ''."""
    return {
        str(path.relative_to(package).with_suffix("")).replace("/", ".").removesuffix("__init__").rstrip("."): path
        for path in sorted(package.rglob("*.py"))
    }


def import_circles(package: Path) -> list[str]:
    """Groups of modules that import each other, by whatever way: in functions, and for types, too."""
    known = modules(package)
    graph = {name: set(_imported(package, path, known)) - {name} for name, path in known.items()}
    return [" <-> ".join(sorted(group)) for group in _strongly_connected(graph) if len(group) > 1]


def _imported(package: Path, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    folder = path.relative_to(package).parent.parts
    for node in ast.walk(_tree(path)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = [*folder[: len(folder) - node.level + 1], *(node.module.split(".") if node.module else [])]
        for alias in node.names:
            submodule = ".".join([*base, alias.name])
            yield submodule if submodule in known else ".".join(base)


def _strongly_connected(graph: Mapping[str, Collection[str]]) -> Iterator[set[str]]:
    """Tarjan's algorithm: the groups of nodes that reach each other."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> Iterator[set[str]]:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for other in graph[name]:
            if other not in graph:
                continue
            if other not in numbers:
                yield from visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], numbers[other])
        if lowest[name] == numbers[name]:
            group = set(stack[stack.index(name) :])
            del stack[stack.index(name) :]
            yield group

    for name in graph:
        if name not in numbers:
            yield from visit(name)


def format_literals(package: Path, names: Collection[str], allowed: Collection[str]) -> list[str]:
    """Strings that are names of formats or dialects, outside of folders and modules so called and the allowed paths."""
    found = []
    for path in modules(package).values():
        relative = path.relative_to(package)
        if relative.as_posix().startswith(tuple(allowed)):
            continue
        found += [
            f"{relative.as_posix()}:{node.lineno}: '{node.value}'"
            for node in ast.walk(_tree(path))
            if isinstance(node, ast.Constant)
            and node.value in names
            and node.value not in relative.with_suffix("").parts
        ]
    return found


def long_functions(package: Path) -> list[str]:
    """Functions of more than MAX_LINES lines, as `module: name`."""
    return [
        f"{name}: {node.name}"
        for name, path in modules(package).items()
        for node in ast.walk(_tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno >= MAX_LINES
    ]


def family_names(homes: Iterable[tuple[str, str]]) -> list[str]:
    """Operations that stand in families of several names. homes: operations, with a module of what makes them up."""
    families = defaultdict(set)
    for operation, module in homes:
        families[operation].add(module.rpartition(".")[2])
    return [f"{name}: {', '.join(sorted(found))}" for name, found in sorted(families.items()) if len(found) > 1]


def british_spellings(files: Iterable[Path]) -> list[str]:
    """Words of text files whose spelling is British, as `file name:line: word`; the parts of names count, too."""
    return [
        f"{path.name}:{number}: {match[0]}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in _BRITISH.finditer(line)
    ]

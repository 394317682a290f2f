"""Fragments that a graph.nnef has to declare, so that every NNEF parser can read its custom operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ...language.stdlib import standard_fragments
from ...language.types import Fragment
from ...model import Graph
from ...model.facts import FRAGMENTS
from ...ops.fragments import extension_fragments
from ...ops.plugin_fragments import plugin_fragments

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECLARED = re.compile(r"\bfragment\s+([A-Za-z_][A-Za-z0-9_]*)")
_COMMENT = re.compile(r"#.*")


def known_texts(graph: Graph, fragments: Mapping[str, str]) -> dict[str, str]:
    """The declarations that can be written, by name: first those given, then those of the model, then ours.

    Those for plugins come last.
    """
    own: Mapping[str, Fragment] = graph.metadata.get(FRAGMENTS) or {}
    ours = {**plugin_fragments(), **extension_fragments()}
    texts = {name: fragment.text for name, fragment in ours.items()}
    texts.update((name, fragment.text) for name, fragment in own.items() if fragment.text)
    texts.update(fragments)
    return texts


def custom_types(graph: Graph) -> list[str]:
    """The types of operations that are not standard, in the order of their first use."""
    return list(dict.fromkeys(str(op.type) for op in graph.operations if op.type not in standard_fragments()))


def needed_declarations(
    types: Iterable[str], texts: Mapping[str, str], dependencies: Mapping[str, Sequence[str]]
) -> tuple[str, list[str]]:
    """The text that declares these operations and all that they are made of, each before its use.

    dependencies: further operations that one needs. Also returns the types without a known declaration.
    """
    parts: list[str] = []
    done: set[str] = set()
    missing: list[str] = []

    def declare(name: str) -> None:
        if name in done:
            return
        done.add(name)
        text = texts[name]
        code = _COMMENT.sub("", text)
        done.update(_DECLARED.findall(code))
        used = [word for word in dict.fromkeys(_WORD.findall(code)) if word in texts]
        for other in (*dependencies.get(name, ()), *used):
            if other in texts:
                declare(other)
        parts.append(text.strip() + "\n")

    for name in types:
        if name in texts:
            declare(name)
        elif name not in done:
            missing.append(name)
            for other in dependencies.get(name, ()):
                if other in texts:
                    declare(other)
    return "\n".join(parts), missing

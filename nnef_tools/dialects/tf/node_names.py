"""Names of nodes, as TensorFlow allows them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What TensorFlow accepts as the name of a node.
_VALID = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


class Names:
    """Valid names, each given once."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._used = set(reserved)
        self._counts: dict[str, int] = {}

    def take(self, wanted: str | None) -> str:
        """The name that is wanted, changed as little as needed."""
        base = valid_name(wanted or "tensor")
        name, count = base, self._counts.get(base, 0)
        while name in self._used:
            count += 1
            name = f"{base}_{count}"
        self._counts[base] = count
        self._used.add(name)
        return name


def valid_name(name: str) -> str:
    """The name of a tensor (with or without `:0`) as that of a node."""
    name = name.removesuffix(":0")
    if _VALID.fullmatch(name):
        return name
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return name if _VALID.fullmatch(name) else f"t{name}"

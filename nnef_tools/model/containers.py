"""The sequences that a graph hands out: read-only views of lists, and its members with cheap removal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class View(Sequence[T], Generic[T]):
    """Read-only view of a list; slices are lists. Equal to any list or view with the same items."""

    __slots__ = ("_items",)

    def __init__(self, items: list[T]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __contains__(self, item: object) -> bool:
        return any(item is other for other in self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (View, list)) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable underneath, like list

    def __repr__(self) -> str:
        return repr(self._items)


class Members(Sequence[T], Generic[T]):
    """The ordered members of a graph: membership, append and removal in constant time.

    Removal marks the index list as stale; it is rebuilt at the next indexed access, so removing all of n members costs
    O(n) altogether.
    """

    __slots__ = ("_index", "_order")

    def __init__(self) -> None:
        self._order: dict[T, None] = {}
        self._index: list[T] | None = []

    def _list(self) -> list[T]:
        if self._index is None:
            self._index = list(self._order)
        return self._index

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._list()[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._list())

    def __contains__(self, item: object) -> bool:
        return item in self._order

    def __repr__(self) -> str:
        return repr(self._list())

    def _newest(self) -> Iterator[T]:
        """Last member first, without rebuilding the index; the members must not change meanwhile."""
        return reversed(self._order)

    def _append(self, item: T) -> None:
        self._order[item] = None
        if self._index is not None:
            self._index.append(item)

    def _remove(self, item: T) -> None:
        del self._order[item]
        self._index = None

    def _replace(self, items: list[T]) -> None:
        self._order = dict.fromkeys(items)
        self._index = list(items)

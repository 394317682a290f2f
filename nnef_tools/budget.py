"""What a model may ask for: limits that are checked before memory is taken, or work is done.

A few bytes of a model can ask for terabytes or hours. Whatever makes data, operations or loops of numbers in a model
asks here first: `ask_items(count)` raises LimitError if that is more than the budget in force allows. `within(limits)`
sets the budget of a block, and so does the option `--limit`. Weights that are read from files never count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import NamedTuple, TypeAlias

from .errors import LimitError, UsageError


class Budget(NamedTuple):
    """The limits, each of which a model may reach but not exceed.

    items: of one tensor that is computed or generated while a model runs. constants: items of one constant that is
    made while a model is read or converted, unless it has no more than what it is made of. extent: size, stride and
    dilation of a sliding window, and whatever else a kernel goes through item by item. steps: of all loops of a model
    that are unrolled, together. operations: of a model with unrolled loops, those that a single one is converted to,
    and results of a single one. rank: of a tensor.
    """

    items: int = 1 << 30
    constants: int = 1 << 26
    extent: int = 1 << 20
    steps: int = 1 << 14
    operations: int = 1 << 18
    rank: int = 32


Limits: TypeAlias = Mapping[str, float]
"""Name of a limit -> its value, for those that differ from the budget in force."""

LIMITS = Budget._fields

_current: ContextVar[Budget] = ContextVar("budget", default=Budget())  # noqa: B039  # frozen


def current() -> Budget:
    """The budget in force."""
    return _current.get()


@contextmanager
def within(limits: Limits | Budget | None) -> Iterator[None]:
    """Context manager that sets a budget, or some of its limits. UsageError for unknown names and wrong values.

    Whoever opens or runs a model does it in here, so that a lack of memory is a LimitError as well.
    """
    budget = limits if isinstance(limits, Budget) else changed(limits or {})
    token = _current.set(budget)
    try:
        yield
    except MemoryError as error:
        raise out_of_memory(error) from error
    finally:
        _current.reset(token)


def changed(limits: Limits) -> Budget:
    """The budget in force with other values for some limits. UsageError for unknown names and wrong values."""
    for name, value in limits.items():
        if name not in LIMITS:
            from difflib import get_close_matches  # many modules, for what is rare

            near = get_close_matches(str(name), LIMITS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(LIMITS)}"
            raise UsageError(f"there is no limit '{name}'", hint=hint)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value < float("inf"):
            raise UsageError(f"limit '{name}' must be a number of 1 or more, got {value!r}")
    return current()._replace(**{name: int(value) for name, value in limits.items()})


def ask_items(count: int, what: str = "its result") -> None:
    """Asks for a tensor of that many items in a run. LimitError."""
    if count > _current.get().items:
        raise _exceeded("items", count, f"{what} would have {count:,} items")


def ask_constant(count: int, what: str = "its result", *, given: int = 0) -> None:
    """Asks for a constant of that many items. given: the number of items that it is made of. LimitError."""
    if count > _current.get().constants and count > given:
        raise _exceeded("constants", count, f"{what} would be a constant of {count:,} items")


def ask_repeated(shape: Sequence[int], strides: Sequence[int]) -> None:
    """Asks for a constant of that shape if its strides tell that its items are repeated, not read. LimitError."""
    count = prod(shape)
    if count > _current.get().constants and any(s == 0 and n > 1 for n, s in zip(shape, strides, strict=True)):
        ask_constant(count)


def ask_extent(count: int, what: str) -> None:
    """Asks for something that a kernel goes through in that many steps, such as a sliding window. LimitError."""
    if count > _current.get().extent:
        raise _exceeded("extent", count, f"{what} spans {count:,} positions")


def ask_results(count: int) -> None:
    """Asks for an operation with that many results. LimitError."""
    if count > _current.get().operations:
        raise _exceeded("operations", count, f"it would have {count:,} results")


def ask_operations(count: int, what: str = "its windows") -> None:
    """Asks for something that takes that many operations in a model. LimitError."""
    if count > _current.get().operations:
        raise _exceeded("operations", count, f"{what} would take {count:,} operations")


def ask_rank(count: int, what: str = "its result") -> None:
    """Asks for a tensor with that many dimensions. LimitError."""
    if count > _current.get().rank:
        raise _exceeded("rank", count, f"{what} would have {count:,} dimensions")


class Steps:
    """Counts the steps of all loops of one model that are unrolled."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, count: int = 1, operations: int = 0) -> None:
        """Asks for further steps of a loop. operations: how many the model has by now. LimitError."""
        budget = _current.get()
        self._taken += count
        if self._taken > budget.steps:
            raise _exceeded("steps", self._taken, f"the loops of the model would be unrolled in {self._taken:,} steps")
        if operations > budget.operations:
            raise _exceeded("operations", operations, f"unrolling its loops gives the model {operations:,} operations")


def out_of_memory(error: MemoryError) -> LimitError:
    """The error for what the budget allows, but this computer does not."""
    problem = f"out of memory: {error}" if str(error) else "out of memory"
    return LimitError(problem, hint="a lower limit, such as --limit items=100000000, tells which operator asks for it")


def _exceeded(name: str, count: int, problem: str) -> LimitError:
    limit = getattr(_current.get(), name)
    return LimitError(f"{problem}, more than the limit of {limit:,}", hint=f"--limit {name}={count} allows it")

"""What a model that is ready to run can do, whatever runs it: the `Executor` protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ..errors import ExecutionError, UsageError

if TYPE_CHECKING:  # the command line reads the table of runtimes, and does without numpy
    from typing import Any

    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Observer = Callable[[str, Array], None]


@dataclass(frozen=True)
class TensorInfo:
    """Name, item type (a numpy class, None if not known) and shape (None entries: any extent; None: not known)."""

    name: str
    dtype: type | None
    shape: tuple[int | None, ...] | None


class EngineError(ExecutionError):
    """The engine of a backend failed, where another one may not."""


class Executor(Protocol):
    """A model that is ready to run, any number of times."""

    @property
    def backend(self) -> str:
        """The engine that was chosen: 'numpy', 'torch', 'onnxruntime' or 'tensorflow'."""

    @property
    def device(self) -> str:
        """Where it runs: 'cpu', 'cuda:0', .."""

    @property
    def note(self) -> str:
        """Why not another engine was chosen, if there is something to tell."""

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """The inputs, in the order of the graph."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """The outputs, in the order of the graph."""

    @property
    def tensor_names(self) -> Sequence[str]:
        """All names that `run` accepts as `output_names`, in the order of the graph."""

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """Runs the model once.

        output_names: any tensors of the model, by default its outputs. observe: called with name and value of each
        tensor as it becomes known. UsageError for wrong inputs or names, ExecutionError if an operator fails.
        """


def name_forms(name: str) -> tuple[str, ...]:
    """The names of one tensor, best first: TensorFlow's `x:0` may be given as `x`, and the other way round."""
    return name, f"{name}:0", name.removesuffix(":0")


def known_name(name: str, known: Collection[str]) -> str | None:
    """The known name of a tensor in any of its forms, if there is one."""
    return next((form for form in name_forms(name) if form in known), None)


def no_such_tensor(name: str, known: Sequence[str]) -> UsageError:
    """The error for a name that no tensor of a model has; the hint says similar ones, or some that there are."""
    near = get_close_matches(name, known, n=3)
    some = ", ".join(map(repr, known[:8])) + (", .." if len(known) > 8 else "")
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"there are {some}"
    return UsageError(f"the model has no tensor '{name}'", hint=hint)

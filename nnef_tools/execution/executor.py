"""The `Executor` protocol: a model that is ready to run, in any runtime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..errors import ExecutionError, UsageError

if TYPE_CHECKING:  # the command line reads the table of runtimes without numpy
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Observer = Callable[[str, Array], None]


@dataclass(frozen=True)
class InterfaceCodes:
    """The codes of a quantized input or output of an NNEF model. dtype: their numpy class. entry: of `graph.quant`.

    at_source: is it codes in the model that the NNEF model was made of, as the facts in its sidecar tell?
    """

    dtype: type
    entry: Mapping[str, Any]
    at_source: bool


@dataclass(frozen=True)
class TensorInfo:
    """An input or output. dtype: numpy class, None if not known. shape: None if not known, with None for any extent.

    codes: those by which real items are quantized, None if they are not.
    """

    name: str
    dtype: type | None
    shape: tuple[int | None, ...] | None
    codes: InterfaceCodes | None = None


class EngineError(ExecutionError):
    """The engine of a backend failed; another backend may succeed."""


class Executor(Protocol):
    """A model that is ready to run, any number of times. Variables that it updates keep their value from run to run."""

    @property
    def backend(self) -> str:
        """The engine that was chosen: 'numpy', 'torch', 'onnxruntime' or 'tensorflow'."""

    @property
    def device(self) -> str:
        """The device that it runs on: 'cpu', 'cuda:0', .."""

    @property
    def note(self) -> str:
        """Why a faster engine was not chosen; empty if there is nothing to tell."""

    @property
    def has_state(self) -> bool:
        """Does a run depend on the runs before?"""

    def reset(self) -> None:
        """Gives all variables the values that they had before the first run."""

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

        output_names: any tensors of the model, by default its outputs. observe: called with the name and value of each
        tensor when it is computed. UsageError for wrong inputs or names, ExecutionError if an operator fails.
        """


def name_forms(name: str) -> tuple[str, ...]:
    """The names that mean the same tensor, best first: TensorFlow's `x:0` may be given as `x`, and vice versa."""
    return name, f"{name}:0", name.removesuffix(":0")


def known_name(name: str, known: Collection[str]) -> str | None:
    """The form of a tensor name that is among the known names, None if there is none."""
    return next((form for form in name_forms(name) if form in known), None)


def no_such_tensor(name: str, known: Sequence[str]) -> UsageError:
    """The error for the name of a missing tensor; the hint lists similar names, or some existing ones."""
    near = get_close_matches(name, known, n=3)
    some = ", ".join(map(repr, known[:8])) + (", .." if len(known) > 8 else "")
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"there are {some}"
    return UsageError(f"the model has no tensor '{name}'", hint=hint)

"""Opens models, and runs them on values in the axis order of the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import UsageError
from ..formats import NNEF, check_dialect, detect_input, find_format
from ..model import Graph
from ..model.channels import TO_LAST, TO_SECOND, ChannelMove, Selection, is_moved
from .executor import Array, Executor, Observer, TensorInfo, known_name, name_forms
from .feeds.inputs import fits
from .feeds.sources import run_batches
from .runtimes import make_executor

Model: TypeAlias = str | PathLike[str] | Graph
Inputs: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""Arrays by name, or in the order of the inputs."""


def open_executor(model: Model, format: str | None = None, **options: Any) -> Executor:
    """An executor for a model. format: its name, by default recognized by content. options: see `make_executor`.

    UsageError for a graph in another dialect than the format's; further errors as in `detect_input` and
    `make_executor`.
    """
    if isinstance(model, Graph):
        format = format or NNEF.name
        check_dialect(model, find_format(format))
    else:
        format = detect_input(Path(model), format).name
    return make_executor(model, format=format, **options)


def named_inputs(inputs: Inputs, infos: Sequence[TensorInfo]) -> dict[str, Array]:
    """The arrays by name. UsageError if their number is not that of the model's inputs."""
    if isinstance(inputs, Mapping):
        return {name: np.asarray(value) for name, value in inputs.items()}
    if len(inputs) != len(infos):
        names = ", ".join(info.name for info in infos)
        raise UsageError(f"the model has {len(infos)} inputs ({names}), {len(inputs)} are given")
    return {info.name: np.asarray(value) for info, value in zip(infos, inputs, strict=True)}


def with_shapes(infos: Sequence[TensorInfo], shapes: Mapping[str, tuple[int, ...]]) -> list[TensorInfo]:
    """The inputs, with given shapes for some. UsageError for an unknown name or a shape that does not fit."""
    names = [info.name for info in infos]
    given = {}
    for name, shape in shapes.items():
        found = known_name(name, names)
        if found is None:
            raise UsageError(f"the model has no input '{name}'", hint=f"its inputs: {', '.join(names)}")
        given[found] = shape
    for info in infos:
        if info.name in given and info.shape is not None and not fits(info.shape, given[info.name]):
            wanted = ["?" if extent is None else extent for extent in info.shape]
            raise UsageError(f"input '{info.name}' has shape {wanted}, not {list(given[info.name])}")
    return [replace(info, shape=given.get(info.name, info.shape)) for info in infos]


@dataclass(frozen=True)
class Session:
    """A model that is ready to run, on values that may have their channels elsewhere than in the model.

    transposed: the tensors whose values do. inward: the move of the channels from the values to the model.
    """

    executor: Executor
    transposed: Selection
    inward: ChannelMove

    @classmethod
    def of(
        cls, executor: Executor, transposed: bool | Sequence[str] = False, *, channels_last: bool = False
    ) -> Session:
        """A session whose transposed tensors have channels second if the model has them last, otherwise last.

        UsageError if a name is not that of a tensor.
        """
        inward = TO_LAST if channels_last else TO_SECOND
        if isinstance(transposed, bool):
            return cls(executor, transposed, inward)
        names = set(executor.tensor_names) if transposed else set()
        for name in transposed:
            if known_name(name, names) is None:
                raise UsageError(f"the model has no tensor '{name}'")
        return cls(executor, {form for name in transposed for form in name_forms(name)}, inward)

    @property
    def inputs(self) -> list[TensorInfo]:
        """The inputs, with the shapes that the values have."""
        return [self._outside(info) for info in self.executor.inputs]

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str],
        batched: bool = False,
        observe: Observer | None = None,
        show: Callable[[str], None] | None = None,
    ) -> dict[str, Array]:
        """The named tensors for these inputs. batched, show: see `run_batches`. The rest: see `Executor.run`."""
        given = {name: self._move(name, value, self.inward) for name, value in inputs.items()}
        if batched:
            results = run_batches(self.executor, given, output_names=output_names, observe=observe, show=show)
        else:
            results = self.executor.run(given, output_names=output_names, observe=observe)
        return {name: self._move(name, value, self.inward.back) for name, value in results.items()}

    def moves_any(self, values: Mapping[str, Array]) -> bool:
        """Does any of the values have its channels elsewhere than in the model?"""
        return any(is_moved(name, value.ndim, self.transposed) for name, value in values.items())

    def _outside(self, info: TensorInfo) -> TensorInfo:
        if info.shape is None or not is_moved(info.name, len(info.shape), self.transposed):
            return info
        return replace(info, shape=self.inward.back.shape(info.shape))

    def _move(self, name: str, value: Array, move: ChannelMove) -> Array:
        return move.array(value) if is_moved(name, value.ndim, self.transposed) else value

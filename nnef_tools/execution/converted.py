"""An executor of models whose format has no runtime: it runs their conversion to NNEF."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..formats import NNEF, Format, InputShapes, detect_input, load, make_optimizer, make_reader
from ..model import Graph
from .codes import encoded, source_codes
from .executor import Array, Executor, Observer, TensorInfo, no_such_tensor
from .forwarding import ForwardingExecutor
from .kernels.loading import ModelWarning


class ConvertedExecutor(ForwardingExecutor):
    """An `Executor` whose tensors have the names of the source, around one of the NNEF graph.

    names: source tensor name -> name in the NNEF graph. Outputs that are codes in the source are codes.
    """

    def __init__(self, inner: Executor, names: Mapping[str, str], note: str) -> None:
        super().__init__(inner)
        self._names = names
        self._codes = source_codes(inner.outputs)
        self._sources = {name: source for source, name in reversed(list(names.items()))}
        self._note = note

    @property
    def note(self) -> str:
        """See `Executor.note`."""
        return f"{self._note}; {self._executor.note}" if self._executor.note else self._note

    @property
    def tensor_names(self) -> Sequence[str]:
        """See `Executor.tensor_names`."""
        return list(self._names)

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See `Executor.inputs`."""
        return [self._named(info) for info in self._executor.inputs]

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See `Executor.outputs`."""
        return [self._named(info) for info in self._executor.outputs]

    def _named(self, info: TensorInfo) -> TensorInfo:
        dtype = self._codes[info.name].dtype if info.name in self._codes else info.dtype
        return replace(info, name=self._sources.get(info.name, info.name), dtype=dtype)

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        wanted = [info.name for info in self.outputs] if output_names is None else list(output_names)
        unknown = next((name for name in wanted if name not in self._names), None)
        if unknown is not None:
            raise no_such_tensor(unknown, self.tensor_names)
        given = {self._names.get(name, name): array for name, array in inputs.items()}
        watch: Observer | None = None
        if observe is not None:
            see = observe

            def watch(name: str, array: Array) -> None:
                see(self._sources.get(name, name), encoded(array, self._codes.get(name)))

        results = self._executor.run(given, output_names=[self._names[name] for name in wanted], observe=watch)
        return {name: encoded(results[own], self._codes.get(own)) for name in wanted for own in (self._names[name],)}


def converted_executor(
    model: str | PathLike[str],
    format: Format,
    options: Mapping[str, Any],
    input_shapes: InputShapes | None,
    make: Callable[[Graph], Executor],
) -> Executor:
    """An executor for a model of a format that has no runtime. options: of the reader. make: runs the NNEF graph.

    What reader and converter warn of is a ModelWarning. Errors: those of reading, converting and running.
    """
    detect_input(Path(fspath(model)), format.name)  # refuses what is no model
    reader = make_reader(format, **options)
    source = reader(fspath(model), input_shapes)
    converter = load(str(format.dialect.to_nnef), format)(keep_io_names=True, keep_names=True)
    graph: Graph = converter(source)
    for text in (*getattr(reader, "warnings", ()), *converter.warnings):
        warnings.warn(f"{fspath(model)}: {text}", ModelWarning, stacklevel=1)
    optimizer = make_optimizer(NNEF.dialect)
    if optimizer is not None:
        optimizer(graph, only_required=True)
    graph.sort()
    note = f"{format.title} has no runtime: run as NNEF"
    return ConvertedExecutor(make(graph), converter.tensor_mapping(), note)

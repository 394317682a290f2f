"""What quantization does to a model, measured on samples: the error of outputs and inner tensors, and who causes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from ..execution.executor import Array
from ..execution.session import open_executor
from ..model import Graph
from ..model.copying import copy_graph

Samples = Iterable[Mapping[str, Array]]
"""The inputs of runs; may be iterated over more than once."""


@dataclass(frozen=True)
class StreamedSamples:
    """Samples that are read or drawn anew each time, so that one at a time is in memory."""

    make: Callable[[], Iterator[dict[str, Array]]]

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return self.make()


@dataclass
class Error:
    """The error of a tensor over samples: sums of squares of `count` values and of differences, and the largest."""

    count: int = 0
    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0

    def add(self, expected: Array, found: Array) -> None:
        """Adds the error of one value of the tensor."""
        a, b = expected.astype(np.float64), found.astype(np.float64)
        self.count += a.size
        self.signal += float(np.square(a).sum())
        self.noise += float(np.square(a - b).sum())
        self.largest = max(self.largest, float(np.abs(a - b).max(initial=0.0)))

    @property
    def mean_squared(self) -> float:
        """The mean squared error; 0 for no items."""
        return self.noise / self.count if self.count else 0.0


def runs(graph: Graph, samples: Samples, names: Sequence[str]) -> Iterator[dict[str, Array]]:
    """The named tensors of a graph for each sample; every run starts with the first values of variables."""
    executor = open_executor(copy_graph(graph))
    for sample in samples:
        executor.reset()
        yield executor.run(sample, output_names=names)


def measure(
    graph: Graph, quantized: Graph, samples: Samples, names: Collection[str], show: Callable[[str], None]
) -> tuple[dict[str, Error], int]:
    """The error of the named tensors that are numbers in both graphs, by name; and the number of samples."""
    executors = [open_executor(copy_graph(item)) for item in (graph, quantized)]
    known = [set(executor.tensor_names) for executor in executors]
    shared = [name for name in names if all(name in item for item in known)]
    errors = {name: Error() for name in shared}
    count = 0
    for count, sample in enumerate(samples, 1):
        show(f"measure {count}")
        for executor in executors:
            executor.reset()
        expected, found = (executor.run(sample, output_names=shared) for executor in executors)
        for name in shared:
            if expected[name].dtype.kind == "f" and found[name].dtype.kind == "f":
                errors[name].add(expected[name], found[name])
    return errors, count


def sensitivities(
    graph: Graph,
    samples: Samples,
    candidates: Mapping[str, Sequence[str]],
    quantize: Callable[[Collection[str]], Graph],
    show: Callable[[str], None],
) -> dict[str, float]:
    """What each operation contributes: the error of the outputs when it alone computes with codes.

    It is the sum over outputs of mean squared errors, each relative to the mean square of the output. candidates: name
    of a result -> those of the other operations. quantize: the quantized graph without these operations.
    """
    outputs = [str(t.name) for t in graph.outputs]
    expected = list(runs(graph, samples, outputs))
    effects: dict[str, float] = {}
    for k, (name, others) in enumerate(candidates.items()):
        show(f"sensitivity {k + 1}/{len(candidates)}")
        errors = {output: Error() for output in outputs}
        for a, b in zip(expected, runs(quantize(others), samples, outputs), strict=True):
            for output in outputs:
                errors[output].add(a[output], b[output])
        effects[name] = sum(e.noise / e.signal for e in errors.values() if 0 < e.signal < inf and e.noise < inf)
    return dict(sorted(effects.items(), key=lambda item: -item[1]))

"""Runs an NNEF graph in float64 to judge float32 results: how far is each of them off, and how far may it be?

To find how far it may be, the graph runs in float64 again, with each intermediate result disturbed as rounding to
float32 could do. The effect on the outputs is the noise of float32 in this very model: large in one that takes the
logarithm of small differences, small in others. A wrong operator is far above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..execution.executor import Array
from ..execution.kernels.executor import GraphExecutor
from ..execution.kernels.loading import expand_missing
from ..execution.kernels.numpy import NumpyKernels
from ..execution.kernels.plan import Operator
from ..model import Graph
from ..ops import elementwise, registry
from ..ops.precision import is_floating
from .replay import replaying

DISTURBED_RUNS = 3

ROUNDING = 2.0**-24
"""Relative error of a number that is rounded to float32."""

ROUNDING_FACTOR = 128.0
"""The largest accepted ratio of errors to noise, at each of the QUANTILES of both. onnxruntime's STFT reaches 100."""

ITEM_FACTOR = 1024.0
"""The largest accepted ratio of error to noise for a single item, whose noise is estimated from few runs."""

QUANTILES = (0.5, 0.9, 0.99, 1.0)

SUMS = frozenset({
    "conv", "deconv", "separable_conv", "separable_deconv", "matmul", "linear", "box", "debox", "avg_pool",
    "sum_reduce", "mean_reduce", "cum_sum", "add_n",
})  # fmt: skip
"""Sums of products, whose error is relative to the sum of the magnitudes, also where they cancel."""

PRECISE = elementwise.OPERATIONS | {
    "relu", "leaky_relu", "prelu", "sigmoid", "softmax", "max_pool", "max_pool_with_index", "product_reduce", "pad",
    "nearest_downsample", "nearest_upsample", "max_roi_pool",
}  # fmt: skip
"""Operations whose error is relative to the item. The error of all others is relative to the largest item."""


class Float64Kernels(NumpyKernels):
    """The numpy kernels, computing in float64 wherever the model has floating-point numbers.

    rounding: relative size of a random error that is added to each result, 0 for none. seed: of these errors.
    """

    name = "float64"

    def __init__(self, rounding: float = 0.0, seed: int = 0) -> None:
        self._rounding = rounding
        self._generator = np.random.default_rng(seed)

    def operator(self, name: str) -> Operator | None:
        """The kernel of an operation, followed by the rounding errors of that operation."""
        run, definition = super().operator(name), registry.find(name)
        if run is None or definition is None or not self._rounding or definition.fragment.generic or name == "cast":
            return run

        def disturbed(*inputs: Any, **attribs: Any) -> Any:
            values = run(*inputs, **attribs)
            if name in SUMS:
                return self._disturb(values, run(*_each(np.abs, inputs), **attribs))
            return _each(
                lambda value: self._disturb(value, np.abs(value) if name in PRECISE else _largest(value)), values
            )

        return disturbed

    def from_numpy(self, array: Array) -> Array:
        return super().from_numpy(_widened(array))

    def as_value(self, result: Any) -> Array:
        return _widened(np.asarray(result))

    def _disturb(self, value: Array, magnitude: Any) -> Array:
        """The value with errors of that magnitude, except for what float32 holds exactly, such as small integers."""
        if value.dtype.kind != "f":
            return value
        with np.errstate(all="ignore"):
            errors = self._rounding * magnitude * self._generator.uniform(-1, 1, value.shape)
            return np.where(value == value.astype(np.float32), value, value + errors)


@dataclass(frozen=True)
class Exact:
    """An output in float64. noise: how much rounding to float32 changes each item, as the root mean square over runs.

    unstable: the items that change at all.
    """

    value: Array
    noise: Array
    unstable: Array

    @property
    def rounding(self) -> float:
        """The largest change of an item."""
        return float(self.noise.max(initial=0.0))

    def explains(self, errors: Array) -> bool:
        """Can rounding explain these errors of the items (NaN where they do not count)?

        Runtimes add in other orders, and their functions are not all exact. So errors may be a multiple of the noise:
        ROUNDING_FACTOR times at equal quantiles, ITEM_FACTOR times in any single item.
        """
        counted = np.isfinite(errors) & np.isfinite(self.noise)
        errors = errors[counted]
        if not errors.size:
            return True
        scale = float(np.abs(self.value[np.isfinite(self.value)]).max(initial=0.0))
        noise = np.maximum(self.noise[counted], ROUNDING * scale)
        most = ROUNDING_FACTOR * np.quantile(noise, QUANTILES)
        return bool(np.all(errors <= ITEM_FACTOR * noise) and np.all(np.quantile(errors, QUANTILES) <= most))

    def moved(self, move: Callable[[Array], Array]) -> Exact:
        """The same output with its axes in another order."""
        return Exact(move(self.value), move(self.noise), move(self.unstable))


class Judge:
    """Runs an NNEF graph exactly, then DISTURBED_RUNS times disturbed, with one copy of the weights at a time.

    rounding: relative rounding error of the item type of the models that are judged.
    """

    def __init__(
        self, graph: Graph, operators: Mapping[str, Callable[..., Any]] | None = None, rounding: float = ROUNDING
    ) -> None:
        self._graph = graph
        self._operators = dict(operators or {})
        self._rounding = rounding
        find = Float64Kernels().operator
        expand_missing(graph, lambda name: self._operators.get(name) or find(name))

    def run(
        self, inputs: Mapping[str, Array], names: Sequence[str], before: Sequence[Mapping[str, Array]] = ()
    ) -> dict[str, Exact]:
        """The outputs of these names for the inputs. ExecutionError if the numpy kernels cannot compute them.

        before: the inputs of the earlier runs since the reset, which count in a model with a state.
        """
        exact = self._run(Float64Kernels(), inputs, names, before)
        squares = {name: np.zeros(exact[name].shape) for name in names}
        unstable = {name: np.zeros(exact[name].shape, np.bool_) for name in names}
        for seed in range(DISTURBED_RUNS):
            for name, other in self._run(Float64Kernels(self._rounding, seed), inputs, names, before).items():
                with np.errstate(all="ignore"):
                    squares[name] += differences(exact[name], other) ** 2
                unstable[name] |= exact[name] != other
        noise = {name: np.sqrt(total / DISTURBED_RUNS) for name, total in squares.items()}
        return {name: Exact(exact[name], noise[name], unstable[name]) for name in names}

    def _run(
        self,
        kernels: Float64Kernels,
        inputs: Mapping[str, Array],
        names: Sequence[str],
        before: Sequence[Mapping[str, Array]],
    ) -> dict[str, Array]:
        executor = replaying(GraphExecutor(self._graph, kernels, self._operators), before)
        return executor.run(inputs, output_names=names)


def rounding_of(types: Iterable[Any]) -> float:
    """The relative rounding error of models whose inputs and outputs have these item types, None if not known."""
    narrow = [dtype for dtype in map(np.dtype, filter(None, types)) if dtype.kind in "fV" and dtype.itemsize == 2]
    return ROUNDING if not narrow else 2.0**-11 if all(dtype.kind == "f" for dtype in narrow) else 2.0**-8


def differences(a: Array, b: Array) -> Array:
    """The absolute differences of items, NaN where one is not finite. The shapes are equal."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(a) & np.isfinite(b), np.abs(a - b), np.nan)


def largest(errors: Array) -> float:
    """The largest of the differences, NaN left out; 0 if there is none."""
    return float(np.nan_to_num(errors).max(initial=0.0))


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind in "fV" and is_floating(array.dtype.type) else array


def _largest(value: Array) -> float:
    return float(np.abs(value[np.isfinite(value)]).max(initial=0.0)) if value.dtype.kind == "f" else 0.0


def _each(function: Callable[[Array], Array], values: Any) -> Any:
    """Applies the function to each array in nested tuples and lists."""
    if isinstance(values, (tuple, list)):
        return type(values)(_each(function, value) for value in values)
    return function(values)

"""Bias correction: what rounded weights add to the mean of a result is taken from the bias.

Rounding of weights shifts each channel of a result by the same amount in all samples, which does not average out behind
pools, as the rounding of activations does. See Nagel et al., Data-Free Quantization Through Weight Equalization and
Bias Correction, 2019, section 4.2; here the means of inputs are those of samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..execution.executor import Array
from ..model import Graph, Operation
from ..ops.registry import find

CORRECTED = ("conv", "deconv", "linear")
"""Operations with weights, and a bias for each channel along axis 1 of the result."""


class Means:
    """An observer for `Executor.run` that adds up the inputs of operations with weights, item by item."""

    def __init__(self, graph: Graph) -> None:
        self._sums: dict[str, tuple[Array, int]] = {}
        self._names = {
            str(op.inputs[0].name) for op in graph.operations if op.type in CORRECTED and op.inputs[0].data is None
        }

    def __call__(self, name: str, array: Array) -> None:
        """Adds a value; the batch is averaged. Values of other extents than the first one are left out."""
        if name not in self._names or not array.ndim or not array.size:
            return
        mean = array.mean(axis=0, keepdims=True, dtype=np.float64)
        total, count = self._sums.get(name, (np.zeros(mean.shape), 0))
        if total.shape == mean.shape:
            self._sums[name] = (total + mean, count + 1)

    @property
    def values(self) -> dict[str, Array]:
        """Tensor name -> mean, with a batch of 1."""
        return {name: (total / count).astype(np.float32) for name, (total, count) in self._sums.items()}


def mean_shift(op: Operation, mean: Array, error: Array) -> Array | None:
    """What an error of the weights adds to each channel of the result, [channels] in float64, at the mean of the input.

    It is exact, as the result is linear in both. None if it is not finite.
    """
    attribs: dict[str, Any] = dict(op.attribs)
    if attribs.get("output_shape"):
        attribs["output_shape"] = [1, *attribs["output_shape"][1:]]
    definition = find(str(op.type))
    assert definition is not None
    with np.errstate(all="ignore"):
        shift = np.asarray(definition.run(mean, error.astype(np.float32), np.float32(0), **attribs), np.float64)
    shift = shift.mean(axis=tuple(k for k in range(shift.ndim) if k != 1))
    return shift if np.all(np.isfinite(shift)) else None

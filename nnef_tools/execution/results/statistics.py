"""Streaming statistics of tensors, and their JSON form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf, nan, sqrt
from typing import Any

import numpy as np

from ..executor import known_name


@dataclass
class Statistics:
    """The count, extremes, sum and sum of squares of a stream of values; `+` merges two, `+=` does so in place.

    The squared deviations from the mean are kept beside the sums (Chan, Golub, LeVeque: "Updating formulae and a
    pairwise algorithm for computing sample variances", 1979), as `ssum - sum**2 / num` cancels for a large mean.
    """

    num: int = 0
    min: float = inf
    max: float = -inf
    sum: float = 0.0
    ssum: float = 0.0
    _deviation: float | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._deviation is None:
            self._deviation = max(self.ssum - self.sum * self.sum / self.num, 0.0) if self.num else 0.0

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Statistics:
        """The statistics of all items of a numeric or logical array; sums are taken in float64."""
        if array.size == 0:
            return cls()
        with np.errstate(all="ignore"):
            values = np.asarray(array, np.float64)
            total = float(values.sum())
            deviations = values - total / values.size
            return cls(
                num=int(values.size),
                min=float(values.min()),
                max=float(values.max()),
                sum=total,
                ssum=float(np.square(values).sum()),
                _deviation=float(np.square(deviations).sum()),
            )

    def __iadd__(self, other: Statistics) -> Statistics:
        assert self._deviation is not None and other._deviation is not None
        if self.num and other.num:
            shift = other.mean() - self.mean()
            self._deviation += other._deviation + shift * shift * (self.num * other.num / (self.num + other.num))
        else:
            self._deviation += other._deviation
        self.num += other.num
        # numpy's minimum and maximum pass NaN on, unlike min and max
        self.min = float(np.minimum(self.min, other.min))
        self.max = float(np.maximum(self.max, other.max))
        self.sum += other.sum
        self.ssum += other.ssum
        return self

    def __add__(self, other: Statistics) -> Statistics:
        result = Statistics(self.num, self.min, self.max, self.sum, self.ssum, self._deviation)
        result += other
        return result

    def mean(self) -> float:
        """The mean; NaN for no values."""
        return self.sum / self.num if self.num else nan

    def variance(self, unbiased: bool = True) -> float:
        """The variance, over num - 1 if unbiased; 0 for one value, NaN for none."""
        if not self.num:
            return nan
        assert self._deviation is not None
        return self._deviation / max(self.num - 1 if unbiased else self.num, 1)

    def std(self, unbiased: bool = True) -> float:
        """The standard deviation, see `variance`."""
        return sqrt(self.variance(unbiased))

    def to_json(self) -> dict[str, float | None]:
        """The JSON form {min, max, mean, std}, with unbiased std; None where there were no values."""
        if not self.num:
            return {"min": None, "max": None, "mean": None, "std": None}
        return {"min": self.min, "max": self.max, "mean": self.mean(), "std": self.std()}


def tensor_renames(names: Collection[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Tensor name -> name according to a mapping, for the tensors in it; no two tensors get the same name.

    The mapping, source name -> target name, is inverted if more of the names are target names: tensors of a converted
    model then get their source names back.
    """
    keys = {name: key for name in names if (key := known_name(name, mapping)) is not None}
    back: dict[str, str] = {}
    for source, target in mapping.items():
        back.setdefault(target, source)
    sources = {name: key for name in names if (key := known_name(name, back)) is not None}
    if len(sources) > len(keys):
        keys, mapping = sources, back
    taken = {name for name in names if name not in keys}
    renames: dict[str, str] = {}
    for name, key in keys.items():
        renames[name] = mapping[key] if mapping[key] not in taken else name
        taken.add(renames[name])
    return renames


class StatisticsCollector:
    """An observer for `Executor.run` that keeps statistics by tensor name, over any number of runs."""

    def __init__(self) -> None:
        self.statistics: dict[str, Statistics] = {}

    def __call__(self, name: str, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.kind in "OSUc":  # strings and complex numbers have no order
            return
        found = Statistics.of(array)
        if name in self.statistics:
            self.statistics[name] += found
        else:
            self.statistics[name] = found

    def to_json(self, renames: Mapping[str, str] | None = None) -> dict[str, dict[str, float | None]]:
        """The JSON form: tensor name, or the new name in `renames`, -> {min, max, mean, std}."""
        renames = renames or {}
        return {renames.get(name, name): found.to_json() for name, found in self.statistics.items()}

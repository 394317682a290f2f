"""Streaming statistics of tensors, and their JSON form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, nan, sqrt
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError
from ...io.json_object import parse_object
from ...io.plain_file import plain_file
from ..executor import known_name
from .histogram import Histogram

_MAX_FILE = 1 << 30  # bytes of a file of statistics
_KEYS = ("min", "max", "mean", "std")


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
    """An observer for `Executor.run` that keeps statistics by tensor name, over any number of runs.

    has_histograms: histograms, too, which quantization and the merging of files need.
    """

    def __init__(self, has_histograms: bool = False) -> None:
        self.statistics: dict[str, Statistics] = {}
        self.histograms: dict[str, Histogram] = {}
        self.has_histograms = has_histograms

    def __call__(self, name: str, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.kind in "OSUc":  # strings and complex numbers have no order
            return
        self._add(name, Statistics.of(array), Histogram.of(array) if self.has_histograms else None)

    def _add(self, name: str, found: Statistics, histogram: Histogram | None) -> None:
        if name in self.statistics:
            self.statistics[name] += found
        else:
            self.statistics[name] = found
        if histogram is not None and name in self.histograms:
            self.histograms[name] += histogram
        elif histogram is not None:
            self.histograms[name] = histogram

    def merge(self, other: StatisticsCollector, *, where: str) -> None:
        """Adds what another one has seen of the same tensors of a model; of none, if this one is empty.

        where: the file of the other one, for messages. FormatError if it has other tensors, or no counts or histograms.
        """
        if not other.has_histograms and (self.statistics or self.has_histograms):
            raise FormatError(
                "the statistics cannot be added to others: they have no counts and histograms",
                where=where,
                hint="make them with execute --statistics FILE --histograms",
            )
        if self.statistics and set(self.statistics) != set(other.statistics):
            missing = sorted(set(self.statistics) - set(other.statistics))
            more = sorted(set(other.statistics) - set(self.statistics))
            differ = [f"no '{missing[0]}'"] * bool(missing) + [f"another tensor, '{more[0]}'"] * bool(more)
            raise FormatError(
                f"the statistics are of another model: they have {' and '.join(differ)}",
                where=where,
                hint="statistics of the same model, with the same tensor mapping, can be added",
            )
        self.has_histograms = other.has_histograms
        for name, found in other.statistics.items():
            self._add(name, found, other.histograms.get(name))

    def renamed(self, renames: Mapping[str, str]) -> StatisticsCollector:
        """A copy in which tensors have their new names in `renames`."""
        result = StatisticsCollector(self.has_histograms)
        for name, found in self.statistics.items():
            result.statistics[renames.get(name, name)] = found
            if self.has_histograms:
                result.histograms[renames.get(name, name)] = self.histograms[name]
        return result

    def to_json(self, renames: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """The JSON form: tensor name, or the new name in `renames`, -> {min, max, mean, std}.

        With histograms also {count, histogram}.
        """
        renames = renames or {}
        return {
            renames.get(name, name): {**found.to_json(), **self._more(name)} for name, found in self.statistics.items()
        }

    def _more(self, name: str) -> dict[str, Any]:
        if not self.has_histograms:
            return {}
        return {"count": self.statistics[name].num, "histogram": self.histograms[name].to_json()}


def read_statistics(path: str | PathLike[str]) -> StatisticsCollector:
    """Reads a file of statistics as `execute --statistics` writes it. FileError, FormatError.

    Files without counts are of one value for each tensor, as it were: their extremes, mean and deviation are right.
    """
    with plain_file(Path(path), or_open_file=True) as file:
        raw = file.read(_MAX_FILE + 1)
    if len(raw) > _MAX_FILE:
        raise FormatError(f"not statistics: it has more than {_MAX_FILE:,} bytes", where=str(path))
    try:
        table, repeated = parse_object(raw)
        if repeated:
            raise FormatError(f"'{repeated[0]}' is there twice")
        result = StatisticsCollector(all(isinstance(item, dict) and "histogram" in item for item in table.values()))
        for name, item in table.items():
            try:
                result.statistics[name] = _statistics(item)
                if result.has_histograms:
                    result.histograms[name] = Histogram.from_json(item["histogram"])
            except FormatError as error:
                raise FormatError(f"tensor '{name}': {error.message}") from None
    except FormatError as error:
        raise FormatError(
            f"not statistics: {error.message}", where=str(path), hint="execute --statistics FILE makes them"
        ) from None
    return result


def _statistics(item: Any) -> Statistics:
    """The statistics of a JSON form. FormatError if it is none."""
    if not isinstance(item, dict) or any(key not in item for key in _KEYS):
        raise FormatError(f"it has not {', '.join(_KEYS)}")
    if all(item[key] is None for key in _KEYS):
        return Statistics()
    if not all(type(item[key]) in (int, float) for key in _KEYS):
        raise FormatError(f"not all of {', '.join(_KEYS)} are numbers")
    count = item.get("count", 2)
    if type(count) is not int or count < 1:
        raise FormatError("'count' is not a positive number")
    low, high, mean, std = (float(item[key]) for key in _KEYS)
    if all(map(isfinite, (low, high, mean, std))) and not (low <= high and std >= 0):
        raise FormatError("'min' is above 'max', or 'std' is negative")
    deviation = std * std * (count - 1)
    total = mean * count
    return Statistics(count, low, high, total, deviation + total * mean, deviation)

"""Gives the tensors of a plan their codes: entries for `graph.quant`, and constants that store codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log10, nan, sqrt
from typing import Any, Literal

import numpy as np

from ..conversion.building.quantized import zero_point_quantization
from ..errors import FormatError
from ..execution.executor import Array
from ..execution.results.histogram import Histogram
from ..execution.results.statistics import Statistics
from ..model import Graph, Operation, Tensor
from ..model.dtypes import integer_of
from ..model.utils import generate_missing_tensor_names_from_op_type
from ..ops.quantization import Quantization
from ..optimization.nnef.editor import Editor
from .correction import CORRECTED, mean_shift
from .plan import SAME, Plan, channel_axis
from .ranges import Codes, Method, Observed, expected_error, find_range, parameters

Weights = Literal["per-channel", "per-tensor", "as-activations"]
WEIGHTS: tuple[Weights, ...] = ("per-channel", "per-tensor", "as-activations")

BIAS_BITS = 32
_LARGEST_BIAS = 2**31 - 2**8  # of their codes, but for what float32 rounds
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Scheme:
    """How tensors are quantized.

    activations: the codes of inputs and results. method, deviations, coverage: of their ranges, see
    `ranges.find_range`. weights: signed codes of 8 bits with zero point 0, with a scale for each channel of the result
    or one for all, or codes like those of activations. wide_bias: biases have 32 bits and the scale of the product,
    which is so without it, too, unless weights are like activations.
    """

    activations: Codes = field(default_factory=Codes)
    method: Method = "min-max"
    deviations: float | None = None
    coverage: float = 99.99
    weights: Weights = "per-channel"
    wide_bias: bool = False


@dataclass
class TensorRow:
    """What became of a tensor, for the report.

    kind: 'activation', 'weights', 'bias' or 'constant'. scale: the largest one, if there are several. low, high: the
    ends of the range of the codes. error: root mean square of the rounding of its own values, expected from the
    histogram for activations (None without one). signal_to_noise: of this error, in dB. clipped: the share of values
    outside of the range. measured: signal to noise in dB of the tensor in the quantized model, with what the tensors
    before it contribute; None if there were no samples.
    """

    name: str
    kind: str
    bits: int
    scale: float
    zero_point: int
    low: float
    high: float
    error: float | None = None
    signal_to_noise: float | None = None
    clipped: float | None = None
    measured: float | None = None


def apply(graph: Graph, plan: Plan, seen: Mapping[str, Observed], scheme: Scheme) -> list[TensorRow]:
    """Quantizes the tensors of a plan in place, and returns a row for each.

    seen: tensor name -> its values, of all activations. FormatError if one is missing; see `find_range`.
    """
    work = _Application(graph, seen, scheme)
    work.check(plan)
    for tensor in plan.activations:
        work.set_activation(tensor, plan)
    floats = {op: np.asarray(op.inputs[1].data, np.float64) for op, _ in plan.weights}
    work.set_weights(plan)
    if scheme.weights != "as-activations":
        work.correct_biases(plan, floats)
    work.set_biases(plan)
    for (tensor, _), places in _grouped(plan.operands, lambda op, k: None).items():
        work.set_operand(tensor, places)
    generate_missing_tensor_names_from_op_type(graph)
    work.editor.finish(1)
    return work.named_rows()


def decibels(signal: float, noise: float) -> float | None:
    """10 log10(signal / noise), of powers; None if there is no noise or no signal."""
    return 10 * log10(signal / noise) if 0 < signal < inf and 0 < noise < inf else None


Places = list[tuple[Operation, int]]


def _grouped(places: Sequence[tuple[Operation, int]], key: Any) -> dict[tuple[Tensor, Any], Places]:
    """(constant, key) -> the arguments that it is."""
    groups: dict[tuple[Tensor, Any], Places] = {}
    for op, k in places:
        groups.setdefault((op.inputs[k], key(op, k)), []).append((op, k))
    return groups


class _Application:
    def __init__(self, graph: Graph, seen: Mapping[str, Observed], scheme: Scheme) -> None:
        self.graph = graph
        self.editor = Editor(graph)
        self.seen = seen
        self.scheme = scheme
        self.rows: list[tuple[Tensor, TensorRow]] = []

    def named_rows(self) -> list[TensorRow]:
        """The rows, with the names that tensors have in the end."""
        for tensor, row in self.rows:
            row.name = str(tensor.name)
        return [row for _, row in self.rows]

    def check(self, plan: Plan) -> None:
        """Raises FormatError if there are no statistics of an activation."""
        missing = [str(t.name) for t in plan.activations if t.name not in self.seen]
        if missing:
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            raise FormatError(
                f"the statistics lack {', '.join(map(repr, missing[:_SHOWN]))}{more}",
                hint="make them with nnef-tools execute MODEL --statistics, of this model; or give --input-path",
            )

    # activations

    def set_activation(self, tensor: Tensor, plan: Plan) -> None:
        """Gives an input or result its entry."""
        codes, op = self.scheme.activations, tensor.producer
        known = op is not None and op in plan.operations
        source = op.inputs[0] if op is not None and op.type in SAME and known else None
        if source is not None and source.quant:
            tensor.quant = dict(source.quant)
        else:
            fixed = _fixed(op, codes) if op is not None and known else None
            scale, zero = fixed or self._range(_limited(tensor, plan, self.graph.outputs) if known else tensor)
            tensor.quant = _entry(scale, zero, codes.bits, codes.signed)
        observed = self.seen[str(tensor.name)]
        scale, zero = float(tensor.quant["scale"]), int(tensor.quant["zero_point"])
        self.rows.append((tensor, _activation_row(scale, zero, codes, observed)))

    def _range(self, tensor: Tensor) -> tuple[float, int]:
        scheme, name = self.scheme, str(tensor.name)
        found = find_range(name, self.seen[name], scheme.method, scheme.activations, scheme.deviations, scheme.coverage)
        return parameters(*found, scheme.activations)

    # constants

    def set_weights(self, plan: Plan) -> None:
        """Gives weights their codes."""
        if self.scheme.weights == "as-activations":
            for (tensor, _), places in _grouped(plan.weights, lambda op, k: None).items():
                self.set_operand(tensor, places, kind="weights")
            return
        biased = {op for op, _ in plan.biases}
        for (tensor, axis), places in _grouped(plan.weights, lambda op, k: channel_axis(op)).items():
            data = np.asarray(tensor.data, np.float64)
            axis = axis if self.scheme.weights == "per-channel" else None
            least = [_least_scale(op, data.shape, axis) for op, _ in places if op in biased]
            scale = _weight_scales(str(tensor.name), data, axis, least)
            self._store(tensor, places, _entry(scale, 0, 8, signed=True), "weights", limit=127)

    def correct_biases(self, plan: Plan, floats: Mapping[Operation, Array]) -> None:
        """Takes what the rounding of weights adds to the mean of a result from the bias, where the mean is known.

        floats: the weights before rounding. An operation without a bias gets one.
        """
        for op, weights in floats.items():
            x, quant = op.inputs[0], op.inputs[1].quant
            observed, quantization = self.seen.get(str(x.name)), Quantization.of(quant)
            if op.type not in CORRECTED or len(op.inputs) < 3 or observed is None or observed.mean is None:
                continue
            bias = op.inputs[2]
            if not quant or not x.quant or quantization is None or not np.size(bias.data) or bias.data is None:
                continue
            if bias.rank and (op, 2) not in plan.biases:  # of a variable that changes, for example
                continue
            shift = mean_shift(op, observed.mean, quantization.real_values(np.asarray(op.inputs[1].data)) - weights)
            if shift is None:
                continue
            before = np.asarray(bias.data, np.float64).reshape(1, -1)
            after = before - shift
            largest = float(x.quant["scale"]) * np.asarray(quant["scale"], np.float64).reshape(1, -1) * _LARGEST_BIAS
            after = np.where(np.abs(after) < largest, after, before)
            _replace([(op, 2)], self.editor.new_constant(after.astype(np.float32), _label(bias)))
            if (op, 2) not in plan.biases:
                plan.biases.append((op, 2))

    def set_biases(self, plan: Plan) -> None:
        """Gives biases codes with the scale of the product."""
        if self.scheme.weights == "as-activations" and not self.scheme.wide_bias:
            for (tensor, _), places in _grouped(plan.biases, lambda op, k: None).items():
                self.set_operand(tensor, places, kind="bias")
            return

        def scale_of(op: Operation, k: int) -> tuple[float, ...] | None:
            x, weights = op.inputs[0].quant, op.inputs[1].quant
            if not x or not weights:
                return None
            product = np.float32(x["scale"]) * np.asarray(weights["scale"], np.float32).reshape(-1)
            return tuple(np.maximum(product, np.finfo(np.float32).tiny).tolist())

        for (tensor, scales), places in _grouped(plan.biases, scale_of).items():
            if scales is None:
                continue
            rank = tensor.rank or 0
            scale = np.array(scales, np.float32).reshape([1] * (rank - 1) + [-1]) if len(scales) > 1 else scales[0]
            if np.ndim(scale) and tensor.shape != np.shape(scale):  # one item for all channels
                tensor = self.editor.new_constant(
                    np.broadcast_to(np.asarray(tensor.data), np.shape(scale)).copy(), _label(tensor)
                )
                _replace(places, tensor)
            self._store(tensor, places, _entry(scale, 0, BIAS_BITS, signed=True), "bias")

    def set_operand(self, tensor: Tensor, places: Places, kind: str = "constant") -> None:
        """Gives a constant codes like those of activations."""
        data = np.asarray(tensor.data, np.float32)
        if not data.size:
            return
        observed = Observed(Statistics.of(data), Histogram.of(data))
        scheme = self.scheme
        codes = scheme.activations
        deviations = scheme.deviations if kind != "constant" else None
        method: Method = scheme.method if kind != "constant" else "min-max"
        name = str(tensor.name)
        scale, zero = parameters(*find_range(name, observed, method, codes, deviations, scheme.coverage), codes)
        if not tensor.rank:
            rank = max((t.rank or 0) for op, _ in places for t in op.inputs)
            tensor = self.editor.new_constant(data.reshape((1,) * max(rank, 1)), None)
            _replace(places, tensor)
        self._store(tensor, places, _entry(scale, zero, codes.bits, codes.signed), kind)

    def _store(
        self, tensor: Tensor, places: Places, entry: dict[str, Any], kind: str, limit: int | None = None
    ) -> None:
        """Stores the codes of a constant: in place, or in a new variable if others read it. limit: of magnitudes."""
        data = np.asarray(tensor.data, np.float32)
        quantization = Quantization.of(entry)
        assert quantization is not None
        codes = quantization.codes(data)
        codes = codes if limit is None else np.clip(codes, -limit, limit)
        readers = sum(t is tensor for op in set(tensor.consumers) for t in op.inputs)
        if readers > len(places) or tensor in self.graph.outputs or tensor.producer is None:
            tensor = self.editor.new_constant(data.copy(), _label(tensor))
            _replace(places, tensor)
        dtype = integer_of(entry["bits"], signed=entry["signed"])
        tensor.data, tensor.quant = codes.astype(dtype), entry
        tensor.dtype = dtype
        self.rows.append((tensor, _constant_row(kind, data, quantization.real_values(tensor.data), entry)))


def _entry(scale: Any, zero_point: int, bits: int, signed: bool) -> dict[str, Any]:
    """The entry of the quantization file."""
    return zero_point_quantization(
        np.asarray(scale, np.float32), np.asarray(zero_point), integer_of(bits, signed=signed)
    )


def _label(tensor: Tensor) -> str | None:
    return None if tensor.producer is None else tensor.producer.attribs.get("label") or tensor.name


def _replace(places: Places, tensor: Tensor) -> None:
    for op, place in places:
        op.inputs = tuple(tensor if k == place else t for k, t in enumerate(op.inputs))


def _limited(tensor: Tensor, plan: Plan, outputs: Sequence[Tensor]) -> Tensor:
    """The tensor whose range one needs: of a result that only a limit reads, that of the limited one.

    Codes outside of it would become its ends anyway; so steps are finer, and an error of one stays one.
    """
    reader = tensor.consumers[0] if len(tensor.consumers) == 1 and tensor not in outputs else None
    is_limit = reader is not None and reader.type in ("relu", "clamp") and reader in plan.operations
    return reader.output if reader is not None and is_limit and reader.inputs[0] is tensor else tensor


def _fixed(op: Operation, codes: Codes) -> tuple[float, int] | None:
    """The scale and zero point that integer kernels want for the result of an operation; None if they take any."""
    if op.type not in ("sigmoid", "softmax", "tanh") or (codes.bits == 16 and not codes.signed):
        return None
    if codes.bits == 16:
        return 1 / 32768, 0
    if op.type == "tanh":
        return 1 / 128, 0 if codes.signed else 128
    return 1 / 256, -128 if codes.signed else 0


def _least_scale(op: Operation, shape: tuple[int, ...], axis: int | None) -> Array:
    """The least scales of weights with which the codes of the bias have 31 bits and a sign."""
    bias, x = np.abs(np.asarray(op.inputs[2].data, np.float64)), op.inputs[0].quant
    if not x:
        return np.zeros(())
    least = bias / (float(x["scale"]) * _LARGEST_BIAS)
    return np.asarray(least.max()) if axis is None else np.broadcast_to(least.reshape(-1), (shape[axis],))


def _weight_scales(name: str, data: Array, axis: int | None, least: Sequence[Array]) -> Array:
    """The scale of weights, or one for each channel, of shape [1, .., channels]. FormatError for infinite weights."""
    if not np.all(np.isfinite(data)):
        raise FormatError(f"the weights '{name}' are not all finite")
    others = tuple(k for k in range(data.ndim) if k != axis)
    scale = np.abs(data).max(axis=others if axis is not None else None, initial=0.0) / 127
    used = scale[scale > 0]
    scale = np.where(scale > 0, scale, used.max() if used.size else 1.0)  # channels of zeros have a bias, at most
    for item in least:
        scale = np.maximum(scale, item)
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    return np.asarray(scale if axis is None else scale.reshape([1] * axis + [-1]), np.float32)


def _activation_row(scale: float, zero: int, codes: Codes, seen: Observed) -> TensorRow:
    low, high = ((code - zero) * scale for code in (codes.lowest, codes.highest))
    row = TensorRow("", "activation", codes.bits, scale, zero, low, high)
    histogram, found = seen.histogram, seen.statistics
    if histogram is not None and histogram.counts.size:
        error, row.clipped = expected_error(histogram, scale, zero, codes)
        row.error = sqrt(error) if isfinite(error) else None
        row.signal_to_noise = decibels(found.variance(unbiased=False) + found.mean() ** 2, error)
    return row


def _constant_row(kind: str, data: Array, values: Array, entry: Mapping[str, Any]) -> TensorRow:
    scale, zero = np.asarray(entry["scale"]), np.asarray(entry["zero_point"])
    signal, noise = (float(np.mean(np.square(item, dtype=np.float64))) for item in (data, data - values))
    low, high = float(values.min(initial=inf)), float(values.max(initial=-inf))
    largest = float(scale.max(initial=0.0)) if scale.size else nan
    row = TensorRow("", kind, int(entry["bits"]), largest, int(zero.max(initial=0)), low, high, sqrt(noise))
    row.signal_to_noise = decibels(signal, noise)
    return row

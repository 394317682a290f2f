"""Inputs and outputs of NNEF models as codes, which is what they are in the models that these were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model.dtypes import is_float
from ..ops.quant import quantize_shape
from ..ops.quantization import Quantization
from .executor import Array, Executor, InterfaceCodes, Observer, TensorInfo
from .feeds.inputs import fits, is_codes
from .forwarding import ForwardingExecutor


class CodesExecutor(ForwardingExecutor):
    """An `Executor` that takes inputs as codes, too, around one that takes and gives real numbers.

    If any input is codes, outputs that are codes in the source of the model are codes, too. Observers see real numbers.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        self._inputs = {info.name: info for info in executor.inputs}
        self._outputs = source_codes(executor.outputs)

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        given = {name: self._real_values(name, array) for name, array in inputs.items()}
        results = self._executor.run(given, output_names=output_names, observe=observe)
        if all(given[name] is array for name, array in inputs.items()):
            return results
        return {name: encoded(value, self._outputs.get(name)) for name, value in results.items()}

    def _real_values(self, name: str, array: Array) -> Array:
        info = self._inputs.get(name)
        if info is None or info.codes is None or not is_codes(info, array):
            return array
        if info.shape is not None and not fits(info.shape, array.shape):
            return array  # the executor refuses the shape
        quantization = _quantization(info.codes)
        shapes = [list(value.shape) for value in quantization.tensors.values()]
        quantize_shape(list(array.shape), *shapes, bits=quantization.attribs["bits"])
        return quantization.real_values(array)


def taking_codes(executor: Executor) -> Executor:
    """The executor, or one around it that takes inputs as codes, too, if any input is quantized."""
    return CodesExecutor(executor) if any(info.codes is not None for info in executor.inputs) else executor


def source_codes(infos: Sequence[TensorInfo]) -> dict[str, InterfaceCodes]:
    """Name -> codes, of the inputs or outputs that are codes in the source of the model."""
    return {info.name: info.codes for info in infos if info.codes is not None and info.codes.at_source}


def encoded(value: Array, codes: InterfaceCodes | None) -> Array:
    """The codes of real numbers, in their own type. Other values stay."""
    if codes is None or not is_float(value.dtype):
        return value
    return _quantization(codes).codes(value).astype(codes.dtype)


def _quantization(codes: InterfaceCodes) -> Quantization:
    found = Quantization.of(codes.entry)
    assert found is not None
    return found

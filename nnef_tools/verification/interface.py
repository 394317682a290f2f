"""What a verification needs to know of a conversion: the inputs, outputs and inner tensors of both models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dialects.onnx.state import METADATA_PROPS, read_states
from ..model import Graph, Tensor
from ..model.channels import TO_LAST, TO_SECOND, ChannelMove, Selection, is_selected
from ..model.copying import copy_graph
from ..model.dtypes import is_integer
from ..model.rows import CountedRows
from ..ops.quantization import Quantization
from .real_values import Codes

if TYPE_CHECKING:  # a conversion that is not verified needs no runtimes
    from ..execution.executor import Array, TensorInfo


class Port(NamedTuple):
    """An input or output of the source model. move: where its channels go in the other model, None if they stay.

    quantization: if codes in one of the models are their real values in the other one, how these correspond.
    """

    name: str
    dtype: Any
    move: ChannelMove | None = None
    quantization: Quantization | None = None

    @classmethod
    def of(cls, tensor: Tensor) -> Port:
        """The port for a tensor of the source graph that has the same axes in the other model."""
        return cls(tensor.name or "", tensor.dtype)

    def transposed(self, selected: Selection, channels_last: bool) -> Port:
        """The port with its channels moved, if it is selected. channels_last: are they last in the source?"""
        if not is_selected(self.name, selected):
            return self
        return self._replace(move=TO_SECOND if channels_last else TO_LAST)

    def moved(self, value: Array) -> Array:
        """The source model's value, with its axes in the order of the other model."""
        return value if self.move is None else self.move.array(value)

    def translated(self, value: Array, dtype: Any) -> Array:
        """A value in the terms of a model with items of that type: codes for real values, or real values for codes."""
        if self.quantization is None or dtype is None or is_integer(value.dtype) == is_integer(dtype):
            return value
        if is_integer(dtype):
            return self.quantization.codes(value).astype(dtype)
        return self.quantization.real_values(value)

    def source_shape(self, info: TensorInfo) -> tuple[int | None, ...] | None:
        """The source model's shape for a shape of the other model."""
        return info.shape if self.move is None or info.shape is None else self.move.back.shape(info.shape)


class Interface(NamedTuple):
    """The inputs and outputs of the source graph, in order, as they were just before conversion.

    empty: inputs without items, with their shapes. The converted model does not have them. rows: of outputs that have
    room for more in the converted model, which also tells their numbers; these are the last outputs.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    empty: tuple[tuple[Port, tuple[int | None, ...]], ...] = ()
    rows: tuple[CountedRows, ...] = ()

    @classmethod
    def of(cls, graph: Graph, outputs: Sequence[Tensor]) -> Interface:
        """The interface of a source graph, with the tensors that are outputs of the converted one.

        Executors connect the states of ONNX models themselves.
        """
        states = read_states(graph.metadata.get(METADATA_PROPS, {}))
        hidden = {name for state in states for name in (state.input, state.output)}
        inputs = [tensor for tensor in graph.inputs if tensor.name not in hidden]
        return cls(
            tuple(Port.of(tensor) for tensor in inputs if tensor.volume != 0),
            tuple(Port.of(tensor) for tensor in outputs if tensor.name not in hidden),
            tuple((Port.of(tensor), tensor.shape or ()) for tensor in inputs if tensor.volume == 0),
        )

    def with_rows(self, rows: Sequence[CountedRows]) -> Interface:
        """The interface with the numbers of rows as further outputs."""
        counts = (Port(name, np.int64) for name in dict.fromkeys(item.number for item in rows))
        return self._replace(outputs=(*self.outputs, *counts), rows=tuple(rows))

    def transposed(self, selected: Selection, channels_last: bool) -> Interface:
        """The interface if the converted model has the channels of the selected tensors elsewhere.

        channels_last: are they last in the source (and become second), or second (and become last)?
        """
        inputs, outputs = (
            tuple(port.transposed(selected, channels_last) for port in ports) for ports in (self.inputs, self.outputs)
        )
        return self._replace(inputs=inputs, outputs=outputs)

    def quantized_as(self, graph: Graph) -> Interface:
        """The interface with the quantization that the inputs and outputs of an NNEF graph, in the same order, have."""

        def quantized(ports: Sequence[Port], tensors: Sequence[Tensor]) -> tuple[Port, ...]:
            if len(ports) != len(tensors):
                return tuple(ports)
            pairs = zip(ports, tensors, strict=True)
            return tuple(port._replace(quantization=Quantization.of(tensor.quant)) for port, tensor in pairs)

        return self._replace(
            inputs=quantized(self.inputs, graph.inputs), outputs=quantized(self.outputs, graph.outputs)
        )


@dataclass(frozen=True)
class Insides:
    """The tensors inside of both models, which are compared to find where a difference begins.

    mapping: source name -> target name. source, target: tensor name -> type of the operator that produces it. sizes:
    name in either model -> bytes, as far as they are known. codes: of the quantized tensors of source and target.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    codes: tuple[Mapping[str, Codes], Mapping[str, Codes]] = ({}, {})


class Hub(NamedTuple):
    """The NNEF graph in the middle of a conversion between two other dialects.

    Its inputs and outputs have the names and axes of either the source or the target.
    """

    graph: Graph
    has_source_axes: bool

    @classmethod
    def of(cls, graph: Graph, interface: Interface, target: Graph, *, has_source_axes: bool) -> Hub:
        """Copies the NNEF graph, apart from its constants. interface: of the source. target: the converted graph."""
        copy = copy_graph(graph)
        inputs = [port.name for port in interface.inputs] if has_source_axes else [t.name for t in target.inputs]
        outputs = [port.name for port in interface.outputs] if has_source_axes else [t.name for t in target.outputs]
        for tensor in copy.tensors:
            tensor.name = None
        for tensor, name in (*zip(copy.inputs, inputs, strict=True), *zip(copy.outputs, outputs, strict=True)):
            tensor.name = name
        return cls(copy, has_source_axes)


def operator_types(graph: Graph) -> dict[str, str]:
    """Tensor name -> type of the operator that produces it."""
    return {t.name: str(op.type) for op in graph.operations for t in op.outputs if t.name}


def tensor_sizes(graph: Graph) -> dict[str, int]:
    """Tensor name -> bytes, as far as shapes are known; an item counts as 4 bytes."""
    return {t.name: 4 * t.volume for t in graph.tensors if t.name and t.volume is not None}

"""Conversion of NNEF to other dialects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import ConversionError, Unsupported
from ..language.elaborate import decompose
from ..language.stdlib import standard_fragments
from ..language.types import Fragment
from ..model import Graph, Operation, Tensor
from ..model.copying import copy_graph
from ..model.utils import remove_unreachable
from ..ops.inference import group_arguments
from ..ops.registry import find
from .engine import Converter
from .plain_builder import PlainBuilder
from .rules import find_from_nnef
from .transform import Transform


class ConverterFromNNEF(Converter):
    """Converts an NNEF graph, with the shapes of all tensors, to the dialect.

    Compound operations without rule are expanded by their definition. Names and data types of the model that the NNEF
    graph was made of are restored from its facts (`graph.metadata`), if it has any.
    """

    def __init__(
        self,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        io_transpose: bool | Sequence[str] = False,
    ) -> None:
        super().__init__(custom_transforms, custom_functions, mirror_unsupported, io_transpose=io_transpose)

    def __call__(self, graph: Graph) -> Graph:
        """The graph of the dialect. ConversionError lists every operation that cannot be converted (`refused`)."""
        self._source = self._expanded(graph)
        self._facts: Mapping[str, Any] = graph.metadata.get("tensors", {})
        self._target = Graph(graph.name)
        self._tensors = {}
        self._refused = []
        self._unknown = set()
        self.warnings = []
        self._builder = self._make_builder(self._target)
        self._convert_inputs()
        for op in self._source.operations:
            if op.type != "external":
                self._convert_or_refuse(op, {})
        if self._refused:
            raise self._refusal_error()
        self._convert_outputs()
        remove_unreachable(self._target)
        self._name()
        self.warnings.extend(self._builder.warnings)
        self._target.metadata = self._target_facts(graph.metadata)
        return self._target

    def _make_builder(self, graph: Graph) -> PlainBuilder:
        raise NotImplementedError

    def _target_facts(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of the target graph."""
        return {key: value for key, value in metadata.items() if key not in ("tensors", "fragments", "extensions")}

    # preparation

    def _expanded(self, graph: Graph) -> Graph:
        """The graph, or a copy in which compound operations without rule are expanded."""
        fragments: Mapping[str, Fragment] = graph.metadata.get("fragments", {})
        known = {**standard_fragments(), **fragments}
        names = {
            name
            for name, fragment in known.items()
            if fragment.is_compound and name not in self._transforms and find_from_nnef(self.dialect, name) is None
        }
        if not any(op.type in names for op in graph.operations):
            return graph
        result = copy_graph(graph)
        decompose(result, names, fragments)
        return result

    # inputs and outputs

    def _fact(self, tensor: Tensor, key: str) -> Any:
        return self._facts.get(tensor.name or "", {}).get(key)

    def _source_dtype(self, tensor: Tensor) -> Any:
        """The data type that the tensor had in the model that the NNEF graph was made of, or its own."""
        name = self._fact(tensor, "dtype")
        return tensor.dtype if name is None else getattr(np, name, None) or getattr(ml_dtypes, name, tensor.dtype)

    def _convert_inputs(self) -> None:
        inputs = []
        for source in self._source.inputs:
            if source.shape is None or None in source.shape:
                raise ConversionError(f"shape of input '{source.name}' is not known")
            dtype = self._source_dtype(source)
            outer = Tensor(self._target, source.name, source.shape, dtype, quant=copy.deepcopy(source.quant))
            inputs.append(outer)
            self._tensors[source] = outer if dtype is source.dtype else self._cast(outer, source.dtype)
        self._target.inputs = inputs

    def _convert_outputs(self) -> None:
        outputs: list[Tensor] = []
        for source in self._source.outputs:
            target = self._mapped(source)
            dtype = self._source_dtype(source)
            if dtype is not target.dtype:
                target = self._cast(target, dtype)
            elif target.data is not None or target in outputs or target in self._target.inputs:
                target = self._identity(target)
            self._tensors[source] = target
            outputs.append(target)
        self._target.outputs = outputs

    def _cast(self, tensor: Tensor, dtype: Any) -> Tensor:
        """The tensor in another data type, by an operation of the dialect."""
        raise NotImplementedError

    def _identity(self, tensor: Tensor) -> Tensor:
        """A copy of the tensor, by an operation of the dialect."""
        raise NotImplementedError

    # operations

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        if op.type in ("variable", "constant"):
            self._convert_constant(op)
            return True
        rule = find_from_nnef(self.dialect, str(op.type))
        if rule is None:
            return False
        definition = find(op.type)
        attribs = dict(op.attribs) if definition is None else definition.complete(op.attribs)
        if "dtype" in rule.attributes:
            attribs["dtype"] = op.attribs.get("dtype", op.outputs[0].dtype)
        else:
            attribs.pop("dtype", None)
        self._bind_results(op, self._apply_rule(rule, op, attribs))
        return True

    def _given(self, op: Operation) -> list[Any]:
        """The arguments of the operation as its signature has them: an array argument is a list."""
        definition = find(op.type)
        return group_arguments(op.inputs, None if definition is None else definition.fragment)

    def _convert_constant(self, op: Operation) -> None:
        source = op.output
        if op.type == "variable":
            if source.data is None:
                raise Unsupported(f"variable '{source.name}' has no data")
            data = np.asarray(source.data)
        else:
            values = np.asarray(op.attribs["value"], dtype=op.attribs.get("dtype", source.dtype))
            shape = op.attribs["shape"]
            data = np.broadcast_to(values.reshape(()), shape) if values.size == 1 else values.reshape(shape)
        self._tensors[source] = Tensor(
            self._target, source.name, data.shape, data.dtype.type, data, quant=copy.deepcopy(source.quant)
        )

    def _check(self, source: Tensor, target: Tensor) -> None:
        """A result that the builder knows nothing of has the shape and the data type of the source."""
        if target.shape is None:
            target.shape = source.shape
        if target.dtype is None:
            target.dtype = source.dtype
        if source.quant and not target.quant:
            target.quant = copy.deepcopy(source.quant)

    # names

    def _name(self) -> None:
        """Names of the original model where they are known, those of the NNEF graph otherwise; all are unique."""
        wanted: dict[Tensor, str] = {}
        for source, target in self._tensors.items():
            if target.graph is not None and source.name and target not in wanted:
                wanted[target] = self._fact(source, "source") or source.name
        for source, target in zip(self._source.inputs, self._target.inputs, strict=True):
            wanted[target] = self._fact(source, "source") or source.name or "input"
        taken: set[str] = set()
        bound = [*self._target.inputs, *self._target.outputs]
        for tensor in (*bound, *self._target.tensors):
            if tensor.name == "" and not tensor.has_producer:
                continue  # stands for an input that is left out
            if tensor in bound and tensor.name in taken and wanted.get(tensor) == tensor.name:
                continue
            tensor.name = _unique(wanted.get(tensor) or _generated(tensor), taken)
            taken.add(tensor.name)


def _generated(tensor: Tensor) -> str:
    return f"{tensor.producer.type if tensor.producer is not None else 'constant'}_result"


def _unique(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"

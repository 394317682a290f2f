"""A summary of a model: what it is, takes and costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..conversion.engine.refusal import first_result
from ..model import Graph, Operation, Tensor
from ..model.dtypes import dtype_name
from ..model.facts import FORMAT, OnnxFacts, graph_def_versions, opset_versions
from ..model.graph import Shape
from .macs import Macs, Uncounted
from .memory import is_constant
from .opening import Interface, SizedModel, quantization_of

LICENSE = "licen"
"""The beginning of `license` in any spelling: keys with it hold one."""

SHOWN_KEYS = ("description", "doc", "producer", "producer_version", "signature")
"""Keys of a graph's metadata whose values are texts about the model."""


@dataclass(frozen=True)
class OperatorRow:
    """An operator. shapes, dtypes: of its results, without those that the model leaves out.

    macs: None if not counted; reason: why not. optional_macs: group -> MACs that count on request. parameters: items
    of the constants of rank 1 and up that no operator before has read. activation_size: bytes of its results, None if
    not known.
    """

    name: str
    type: str
    shapes: tuple[tuple[int | None, ...] | None, ...]
    dtypes: tuple[str, ...]
    macs: int | None
    optional_macs: Mapping[str, int]
    parameters: int
    activation_size: int | None
    reason: str = ""

    def total(self, groups: Iterable[str] = ()) -> int:
        """The MACs with those of the given groups."""
        return (self.macs or 0) + sum(self.optional_macs.get(group, 0) for group in groups)


@dataclass(frozen=True)
class Summary:
    """What a model is, takes and costs.

    versions: of the format, as the file tells them. operators: type -> count. parameters: items in constants of rank 1
    and up, by item type. size_on_disk, weight_size, activation_peak: bytes; the peak is that of `memory`, at the named
    operator. dtypes: item type -> number of activations. quantized: number of tensors that are codes. assumed: input ->
    shape that was taken where the file leaves the batch open. macs: None if they cannot be counted; problem: why not.
    metadata: further texts that the file carries, licenses among them.
    """

    path: str
    format: str
    versions: Mapping[str, int]
    origin: str | None
    inputs: tuple[Interface, ...]
    outputs: tuple[Interface, ...]
    operators: Mapping[str, int]
    parameters: Mapping[str, int]
    size_on_disk: int | None
    weight_size: int
    activation_peak: int
    activation_peak_at: str | None
    activations_of_unknown_size: int
    dtypes: Mapping[str, int]
    quantized: int
    assumed: Mapping[str, Shape]
    macs: int | None
    optional_macs: Mapping[str, int]
    uncounted: tuple[Uncounted, ...]
    problem: str | None
    hint: str | None
    license: Mapping[str, str]
    metadata: Mapping[str, str]
    signatures: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self)


def summarize(model: SizedModel) -> Summary:
    """The summary of an open model. PluginError from shape functions."""
    graph = model.graph
    inputs = set(graph.inputs)
    constants = [tensor for tensor in graph.tensors if is_constant(tensor, inputs) and tensor.name]
    activations = [t for t in _used(graph) if not is_constant(t, inputs)]
    texts = _texts(graph)
    license = {key: value for key, value in texts.items() if LICENSE in key.lower()}
    count, problem = (None, model.problem) if model.problem else (model.count, None)
    peak = model.peak
    return Summary(
        path=str(model.path),
        format=model.model.format.name,
        versions=_versions(graph),
        origin=graph.metadata.get(FORMAT),
        inputs=model.inputs,
        outputs=tuple(
            _completed(output, model, tensor) for output, tensor in zip(model.outputs, graph.outputs, strict=True)
        ),
        operators=dict(sorted(Counter(str(op.type) for op in model.operators).items())),
        parameters=_by_type(tensor for tensor in constants if tensor.rank != 0),
        size_on_disk=model.model.facts.size,
        weight_size=sum(model.size_of(tensor) or 0 for tensor in constants),
        activation_peak=peak.size,
        activation_peak_at=None if peak.operator is None else label_of(peak.operator),
        activations_of_unknown_size=peak.unknown,
        dtypes=dict(Counter(dtype_name(model.type_of(tensor)) for tensor in activations)),
        quantized=sum(1 for tensor in _used(graph) if quantization_of(tensor) is not None),
        assumed=model.assumed,
        macs=None if count is None else count.total(),
        optional_macs={} if count is None else _optional(count.macs),
        uncounted=() if count is None else tuple(count.uncounted),
        problem=None if problem is None else problem.message,
        hint=None if problem is None else problem.hint,
        license=license,
        metadata={key: value for key, value in texts.items() if key not in license},
        signatures=_signatures(graph),
        warnings=model.model.warnings,
    )


def _completed(output: Interface, model: SizedModel, tensor: Tensor) -> Interface:
    """An output with the shape and the item type that were found, if the file has none.

    A first extent of 1 is unknown where the batch was assumed to be 1.
    """
    shape = model.shape_of(tensor)
    if output.shape is None and shape is not None:
        extents = (None, *shape[1:]) if model.assumed and shape[:1] == (1,) else shape
        output = replace(output, shape=tuple("?" if extent is None else extent for extent in extents))
    return replace(output, dtype=dtype_name(tensor.dtype or model.type_of(tensor)))


def operator_rows(model: SizedModel) -> list[OperatorRow]:
    """A row for each operator that computes something, in the order of execution. PluginError."""
    seen: set[Tensor] = set()
    inputs = set(model.graph.inputs)
    rows = []
    macs: Mapping[Operation, Macs] = {} if model.problem else model.count.macs
    unknown = Macs(reason=model.problem.message if model.problem else "")
    for op in model.operators:
        fresh = [t for t in dict.fromkeys(op.inputs) if is_constant(t, inputs) and t.rank != 0 and t not in seen]
        seen.update(fresh)
        cost = macs.get(op, unknown)
        results = [tensor for tensor in op.outputs if tensor.name != ""]
        sizes = [model.size_of(tensor) for tensor in results]
        rows.append(
            OperatorRow(
                name=label_of(op),
                type=str(op.type),
                shapes=tuple(model.shape_of(tensor) for tensor in results),
                dtypes=tuple(dtype_name(model.type_of(tensor)) for tensor in results),
                macs=None if cost.reason else cost.count,
                optional_macs=cost.optional,
                parameters=sum(tensor.volume or 0 for tensor in fresh),
                activation_size=None if None in sizes else sum(size or 0 for size in sizes),
                reason=cost.reason,
            )
        )
    return rows


def label_of(op: Operation) -> str:
    """The name of an operator, or of its first result."""
    return op.name or first_result(op)


def _used(graph: Graph) -> list[Tensor]:
    """The tensors that operators read or compute, each once."""
    given = (tensor for op in graph.operations for tensor in (*op.inputs, *op.outputs))
    return [tensor for tensor in dict.fromkeys((*graph.inputs, *given)) if tensor.name != ""]


def _by_type(tensors: Iterable[Tensor]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[dtype_name(tensor.dtype)] += tensor.volume or 0
    return dict(counts.most_common())


def _optional(macs: Mapping[Operation, Macs]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for item in macs.values():
        total.update(item.optional)
    return dict(total)


def _versions(graph: Graph) -> dict[str, int]:
    """The versions that a file tells: of ONNX's operator sets and file format, of TensorFlow's graphs."""
    facts = OnnxFacts.of(graph.metadata)
    found = {f"opset {domain}".strip(): version for domain, version in opset_versions(graph.metadata).items()}
    if facts.ir_version:
        found["IR"] = facts.ir_version
    return {**found, **graph_def_versions(graph.metadata)}


def _texts(graph: Graph) -> dict[str, str]:
    """The texts about the model that its file carries."""
    metadata = graph.metadata
    found = {key: metadata[key] for key in SHOWN_KEYS if isinstance(metadata.get(key), str) and metadata[key]}
    found |= {key: value for key, value in metadata.items() if isinstance(value, str) and key != FORMAT and value}
    found |= OnnxFacts.of(metadata).metadata_props
    contents = metadata.get("tflite_metadata")
    if contents:
        from ..io.tf.lite.metadata import model_texts

        found |= model_texts(contents)
    files = [*metadata.get("associated_files", {}), *metadata.get("tflite_metadata", {})]
    return {**found, **({"files": ", ".join(files)} if files else {})}


def _signatures(graph: Graph) -> dict[str, dict[str, str]]:
    """The signature of the model: 'inputs' and 'outputs', name in the signature -> tensor."""
    parts = {"inputs": "signature_inputs", "outputs": "signature_outputs"}
    return {part: dict(graph.metadata[key]) for part, key in parts.items() if graph.metadata.get(key)}

"""Facts about a model beside its computation: the keys of `graph.metadata`, and their types.

The dict is public, and `nnef_tools.json` keeps it (docs/reference/nnef-files.md). Any key may be missing. The functions
here take `graph.metadata`; what a file has under a key was checked when it was read (`facts_schema`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypedDict

Metadata = Mapping[str, Any]

FORMAT = "format"
"""The dialect that an NNEF graph was converted from, such as 'onnx'."""
OPSET = "opset"
"""See `opset_versions`."""
IR_VERSION = "ir_version"
"""The version of the ONNX file format."""
TENSORS = "tensors"
"""See `TensorFact`."""
FRAGMENTS = "fragments"
"""Name -> `language.types.Fragment`, of the operations that an NNEF file declares."""
EXTENSIONS = "extensions"
"""See `unknown_extensions`."""
OPEN_EXTENTS = "open_extents"
"""Tensor name -> axes whose extents the file leaves open, although the graph has numbers for them."""

TIES = "ties"
"""See `ties_rule`."""

TEXT_KEYS = (EXTENSIONS, FRAGMENTS)
"""What `graph.nnef` itself says, and `nnef_tools.json` need not."""


class Ties(Enum):
    """The rounding of values in the middle of two codes.

    UP is NNEF's own rule, EVEN that of ONNX, AWAY (from zero) that of TensorFlow Lite.
    """

    UP = "up"
    EVEN = "even"
    AWAY = "away"


class TensorFact(TypedDict, total=False):
    """What the model that an NNEF graph was made of says about a tensor.

    source: its name there. dtype: the name of its numpy or ml_dtypes class, if it is not float32, int64 or bool.
    hybrid: are they weights as codes beside real inputs, which TensorFlow Lite quantizes when the model runs?
    'symmetric' or 'asymmetric' tells how.
    """

    source: str
    dtype: str
    hybrid: str


def tensor_facts(metadata: Metadata) -> Mapping[str, TensorFact]:
    """Name of a tensor of an NNEF graph -> what is known of it."""
    return _mapping(metadata, TENSORS)


def with_tensor_facts(metadata: Metadata, facts: Mapping[str, TensorFact]) -> dict[str, Any]:
    """The metadata with these facts of tensors instead of those that it has."""
    return {**metadata, TENSORS: facts}


def rename_tensor_fact(metadata: Metadata, old: str, new: str) -> None:
    """Lets the fact of a tensor follow it to another name, in place."""
    facts = metadata[TENSORS]
    facts[new] = facts.pop(old)


def keep_tensor_facts(metadata: dict[str, Any], names: Iterable[tuple[str, str]]) -> None:
    """Lets facts follow their tensors, in place, and drops all others. names: pairs of the old and the new name."""
    facts = metadata.get(TENSORS)
    if isinstance(facts, Mapping):
        metadata[TENSORS] = {new: facts[old] for old, new in names if old in facts}


def ties_rule(metadata: Metadata) -> Ties:
    """How values in the middle of two codes are rounded where tensors are quantized: upwards, unless a fact tells."""
    try:
        return Ties(metadata.get(TIES))
    except ValueError:
        return Ties.UP


def opset_versions(metadata: Metadata) -> dict[str, int]:
    """ONNX: domain ('' is the standard one) -> version of the operator set that the operations belong to."""
    return {domain: version for domain, version in _mapping(metadata, OPSET).items() if isinstance(version, int)}


def unknown_extensions(metadata: Metadata) -> list[str]:
    """NNEF: the extensions that a file names and this package knows nothing of, as they are written there."""
    extensions = metadata.get(EXTENSIONS)
    return list(extensions) if isinstance(extensions, (list, tuple)) else []


def merged_tensors(metadata: Metadata) -> Mapping[str, str]:
    """TensorFlow: name of a tensor that the reader has merged into another one, or renamed -> name of the latter."""
    return _mapping(metadata, "aliases")


def symbolic_extents(metadata: Metadata) -> Mapping[str, Sequence[int | str | None]]:
    """ONNX: name of a tensor -> its extents, of tensors that have extents with a name."""
    return _mapping(metadata, "symbolic")


def without(metadata: Metadata, keys: Collection[str]) -> dict[str, Any]:
    """The metadata without some of its keys."""
    return {key: value for key, value in metadata.items() if key not in keys}


def without_nnef_facts(metadata: Metadata) -> dict[str, Any]:
    """What of the metadata of an NNEF graph holds for a graph that it is converted to."""
    return without(metadata, (*TEXT_KEYS, TENSORS, TIES))


@dataclass(frozen=True)
class OnnxFacts:
    """What an ONNX file says beside its graph, under the keys of the same names.

    symbolic: name of a tensor -> its extents, of tensors that have extents with a name.
    """

    opset: Mapping[str, int] = field(default_factory=dict)
    ir_version: int = 0
    producer: str = ""
    producer_version: str = ""
    doc: str = ""
    metadata_props: Mapping[str, str] = field(default_factory=dict)
    symbolic: Mapping[str, Sequence[int | str | None]] = field(default_factory=dict)

    @staticmethod
    def of(metadata: Metadata) -> OnnxFacts:
        """The facts that the metadata of a graph of any origin has."""
        version = metadata.get(IR_VERSION)
        return OnnxFacts(
            opset_versions(metadata),
            version if isinstance(version, int) else 0,
            metadata.get("producer") or "",
            metadata.get("producer_version") or "",
            str(metadata.get("doc") or ""),
            {key: str(value) for key, value in _mapping(metadata, "metadata_props").items()},
            symbolic_extents(metadata),
        )


@dataclass(frozen=True)
class TensorFlowFacts:
    """What a GraphDef says beside its nodes. versions: 'producer', 'min_consumer'. aliases: see `merged_tensors`."""

    versions: Mapping[str, int]
    aliases: Mapping[str, str]
    producer: str = "TensorFlow"


def graph_def_versions(metadata: Metadata) -> Mapping[str, int]:
    """TensorFlow: the versions 'producer' and 'min_consumer' of a GraphDef."""
    return _mapping(metadata, "versions")


def _mapping(metadata: Metadata, key: str) -> Mapping[str, Any]:
    value = metadata.get(key)
    return value if isinstance(value, Mapping) else {}

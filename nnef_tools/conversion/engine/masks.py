"""What the engine sees to where only some positions of an axis count; see `building/masked.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ...errors import shape_text
from ...language.names import sanitize_identifier
from ...model import Graph, Operation, Tensor
from ...model.dtypes import is_integer
from ...model.rows import CountedRows
from ..building.nnef import Builder


def has_counts(b: Builder, given: Sequence[Tensor | None]) -> bool:
    """Has one of the tensors a mask, or is it computed from the count of one?"""
    return any(t is not None and (t in b.masks or is_counted(b, t)) for t in given)


def is_counted(b: Builder, x: Tensor) -> bool:
    """Are these integers, such as extents, that are computed from a count?"""
    small = is_integer(x.dtype) and len(x.shape or ()) <= 1
    return small and b.value(x) is None and b.masks.counted(x) is not None


def check_masks(b: Builder, op: Operation, given: Sequence[Tensor | None], results: Sequence[Tensor | None]) -> None:
    """Sees that results of an operator on rows have the masks of these. Unsupported if they cannot."""
    masked = next((t for t in given if t is not None and t in b.masks), None)
    if masked is None or any(isinstance(value, Graph) for value in op.attribs.values()):
        return
    for x in results:
        if x is None or x in b.masks:
            continue
        raise b.masks.refuse("its result would not tell which of them count")


def open_ends(graph: Graph, results: Iterable[Tensor], unknown: Collection[Tensor]) -> dict[Tensor, str]:
    """The tensors whose extents must be known: the outputs, and what operators with unknown results read, if any."""
    ends = {t: f"that of output '{t.name}'" for t in results}
    left_out = [op for op in graph.operations if any(t in unknown for t in op.outputs)] if unknown else []
    ends.update((t, "") for op in left_out for t in (*op.inputs, *op.captures))
    return ends


def leading_to(b: Builder, made: Mapping[Tensor, Tensor], ends: Mapping[Tensor, str]) -> dict[Operation, str]:
    """The operators with extents that depend on the data that lead to one of the ends -> what is said of that.

    made: tensors of the source -> those of the target, as far as they are converted.
    """
    found: dict[Operation, str] = {}
    for end, text in ends.items():
        pending = [end]
        while pending:
            tensor = pending.pop()
            op = tensor.producer
            if op is not None and op not in found and made.get(tensor) in b.masks:
                found[op] = text
                pending.extend((*op.inputs, *op.captures))
    return found


class Room:
    """Outputs with room for more rows than there may be. names: number of rows -> the name of the output that tells it.

    rows: the axes. warnings: what users have to know of them.
    """

    def __init__(self, b: Builder) -> None:
        self._masks = b.masks
        self.rows: list[CountedRows] = []
        self.names: dict[Tensor, str] = {}
        self.warnings: list[str] = []

    def packed(self, source: Tensor, target: Tensor) -> Tensor:
        """The target of an output, with its rows in front of zeros."""
        for axis, mask in self._masks.of(target).items():
            name = self.names.setdefault(self._masks.count(mask), f"{source.name}_count")
            self.rows.append(CountedRows(str(source.name), axis, mask.volume or 0, name))
            self.warnings.append(
                f"output '{source.name}' has room for {shape_text(target.shape)}; how many rows of axis {axis} count "
                f"is the further output '{name}', and the others are 0"
            )
        return self._masks.packed(target)


def name_counts(graph: Graph, counted: Sequence[tuple[str, Tensor]], reserved: Collection[str] = ()) -> None:
    """Names the outputs that tell numbers of rows: pairs of the name that is wanted and the tensor."""
    own = {target for _, target in counted}
    taken = {str(t.name) for t in graph.tensors if t.name and t not in own}.union(reserved)
    for name, target in counted:
        target.name = sanitize_identifier(name, taken)
        taken.add(target.name)


def drop_held(b: Builder) -> None:
    """Puts what has been held for the conversion, copies of tensors, back into their places."""
    for x in b.masks.copies:
        op = x.producer
        if op is None or x in b.graph.outputs:
            continue
        for reader in list(x.consumers):
            inputs = [op.input if t is x else t for t in reader.inputs]
            reader.inputs = tuple(inputs) if isinstance(reader.inputs, tuple) else inputs

"""Which operations of two graphs of one dialect correspond: by names, by what they are, and by what is around them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..model import Graph, Operation, Tensor
from ..model.facts import tensor_facts
from ..model.memory import blocks
from ..ops.library import Library

_GENERATED = re.compile(r"(?:[a-z]*::)?[A-Za-z_]*?_?\d+(?:_output_\d+)?(?::\d+)?", re.IGNORECASE)


def is_generated(name: str) -> bool:
    """Does a name look like one that a program made up, so that it tells nothing in another model?"""
    return _GENERATED.fullmatch(name) is not None


class Side:
    """A graph with its operations that compute something, and what is known of their tensors.

    constants: tensors that are data. places: tensor -> operation that makes it, and which of its results it is.
    """

    def __init__(self, graph: Graph, is_nnef: bool = False) -> None:
        self.graph = graph
        inputs = set(graph.inputs)
        self.constants = {tensor for tensor in graph.tensors if tensor.is_constant}
        for operation in graph.operations:
            if not operation.inputs and _is_data(operation, inputs):
                self.constants.update(operation.outputs)
        known = self.constants | inputs
        self.operations = [op for op in graph.operations if op.inputs or not known.issuperset(op.outputs)]
        self.places = {tensor: (op, k) for op in self.operations for k, tensor in enumerate(op.outputs)}
        self.library = Library.of(graph) if is_nnef else None
        self._digests: dict[Tensor, Hashable] = {}

    def weights(self, operation: Operation) -> list[Tensor]:
        """The inputs of an operation that are data, in order."""
        return [tensor for tensor in operation.inputs if tensor in self.constants]

    def values(self, operation: Operation) -> list[Tensor]:
        """The inputs of an operation that are computed, and graph inputs."""
        return [tensor for tensor in operation.inputs if tensor not in self.constants]

    def names(self, operation: Operation) -> list[str]:
        """The names by which it may be found in the other graph: those in the source model, and its own."""
        facts = tensor_facts(self.graph.metadata)
        found = [str(facts.get(t.name or "", {}).get("source", "")) for t in operation.outputs[:1]]
        found += [operation.outputs[0].name or "" if operation.outputs else "", operation.name or ""]
        return [name for name in dict.fromkeys(found) if name and not is_generated(name)]

    def attributes(self, operation: Operation) -> dict[str, Any]:
        """The attributes of an operation; those of NNEF's with the defaults that are left out."""
        if self.library is None:
            return operation.attribs
        given = {key: value for key, value in operation.attribs.items() if key != "dtype"}  # that of the results
        definition = self.library.find(operation.type)
        try:
            return {**given, **(definition.complete(operation.attribs) if definition else {})}
        except ShapeError:  # one is missing, which readers refuse
            return given

    def digest(self, tensor: Tensor) -> Hashable:
        """What equal data has in common."""
        if tensor not in self._digests:
            self._digests[tensor] = digest(tensor.data)
        return self._digests[tensor]


def _is_data(operation: Operation, inputs: set[Tensor]) -> bool:
    named = (operation.type or "").lower() in ("variable", "constant", "const")
    return named and inputs.isdisjoint(operation.outputs)


def digest(value: Any) -> Hashable:
    """The same for equal values; of arrays by their items, type and shape."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            return str(value.dtype), value.shape, repr(value.tolist())
        hashed = blake2b(digest_size=16)
        for block in blocks(value) if value.size else ():
            hashed.update(np.ascontiguousarray(block).view(np.uint8).data)
        return value.dtype.name, value.shape, hashed.digest()
    if isinstance(value, Graph):
        return _graph_digest(value)
    if isinstance(value, (list, tuple)):
        return tuple(digest(item) for item in value)
    return type(value).__name__, repr(value)


def _graph_digest(graph: Graph) -> Hashable:
    """The same for equal nested graphs: operations with their connections, and data; names do not count."""
    numbers = {tensor: k for k, tensor in enumerate(graph.tensors)}
    operations = tuple(
        (
            op.type,
            op.domain,
            tuple((key, digest(value)) for key, value in sorted(op.attribs.items())),
            tuple(numbers.get(tensor, -1) for tensor in op.inputs),
            tuple(numbers.get(tensor, -1) for tensor in op.outputs),
        )
        for op in graph.operations
    )
    data = tuple((numbers[tensor], digest(tensor.data)) for tensor in graph.tensors if tensor.is_constant)
    return operations, data, tuple(numbers.get(tensor, -1) for tensor in graph.outputs)


Level = Callable[[Side, Operation], Hashable]


def _exactly(side: Side, operation: Operation) -> Hashable:
    attributes = tuple(sorted((key, digest(value)) for key, value in side.attributes(operation).items()))
    weights = tuple(side.digest(tensor) for tensor in side.weights(operation))
    return operation.type, operation.domain, attributes, weights, tuple(t.shape for t in operation.outputs)


def _by_weights(side: Side, operation: Operation) -> Hashable:
    return operation.type, tuple(tensor.shape for tensor in side.weights(operation)), len(side.values(operation))


def _by_type(side: Side, operation: Operation) -> Hashable:
    return operation.type


class Matching:
    """Pairs of operations. partner: of either side, its counterpart in the other one."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        self.partner: dict[Operation, Operation] = {}
        self.tensors: dict[Tensor, Tensor] = {}
        self._match_ends()
        self._match_names()
        for level in (_exactly, _by_weights, _by_type):
            self._match_level(level)
        self._match_between()

    def is_same(self, s: Tensor, t: Tensor) -> bool:
        """Are two tensors the same result of a pair, or corresponding inputs of the graphs?"""
        x, y = self.a.places.get(s), self.b.places.get(t)
        if x is None or y is None:
            return x is y and self.tensors.get(s) is t
        return self.partner.get(x[0]) is y[0] and x[1] == y[1]

    def _match_ends(self) -> None:
        for ours, others in ((self.a.graph.inputs, self.b.graph.inputs), (self.a.graph.outputs, self.b.graph.outputs)):
            for x, y in paired_tensors(list(ours), list(others)):
                if x is not None and y is not None and x not in self.tensors and y not in self.tensors:
                    self.tensors[x], self.tensors[y] = y, x

    def _pair(self, x: Operation, y: Operation) -> None:
        self.partner[x], self.partner[y] = y, x
        for s, t in zip(x.outputs, y.outputs, strict=False):
            self.tensors.setdefault(s, t)
            self.tensors.setdefault(t, s)

    def _free(self, side: Side) -> list[Operation]:
        return [op for op in side.operations if op not in self.partner]

    def _match_names(self) -> None:
        """Operations of one type with the same name, in the source model or in the graphs themselves."""
        named = [_unique((name, op) for op in side.operations for name in side.names(op)) for side in (self.a, self.b)]
        for name, x in named[0].items():
            y = named[1].get(name)
            if y is not None and x.type == y.type and x not in self.partner and y not in self.partner:
                self._pair(x, y)

    def _match_level(self, level: Level) -> None:
        """Operations that agree in a level of detail: next to pairs again and again, then those that are unique."""
        keys = {op: level(side, op) for side in (self.a, self.b) for op in self._free(side)}
        self._spread(keys)
        while True:
            free = [_unique((keys[op], op) for op in self._free(side)) for side in (self.a, self.b)]
            pairs = [(x, free[1][key]) for key, x in free[0].items() if key in free[1]]
            if not pairs and level is _by_type:
                pairs = self._in_order(keys)[:1]
            if not pairs:
                return
            for x, y in pairs:
                self._pair(x, y)
            self._spread(keys)

    def _in_order(self, keys: Mapping[Operation, Hashable]) -> list[tuple[Operation, Operation]]:
        """If both sides have equally many operations that agree, these in order."""
        found: list[tuple[Operation, Operation]] = []
        groups: list[dict[Hashable, list[Operation]]] = [{}, {}]
        for side, own in zip((self.a, self.b), groups, strict=True):
            for op in self._free(side):
                own.setdefault(keys[op], []).append(op)
        for key, ours in groups[0].items():
            others = groups[1].get(key, [])
            if len(ours) == len(others):
                found += zip(ours, others, strict=True)
        return found

    def _spread(self, keys: Mapping[Operation, Hashable]) -> None:
        """Pairs what is next to pairs: the only consumers, or the makers of inputs, that agree."""
        pending = [(s, t) for s, t in self.tensors.items() if s.graph is self.a.graph]
        while pending:
            s, t = pending.pop()
            for x, y in (*self._makers(s, t), *self._consumers(s, t, keys)):
                if x in self.partner or y in self.partner or keys.get(x, x) != keys.get(y, y):
                    continue
                self._pair(x, y)
                pending += zip(x.outputs, y.outputs, strict=False)
                pending += zip(self.a.values(x), self.b.values(y), strict=False)

    def _makers(self, s: Tensor, t: Tensor) -> list[tuple[Operation, Operation]]:
        x, y = self.a.places.get(s), self.b.places.get(t)
        return [(x[0], y[0])] if x and y and x[1] == y[1] else []

    def _consumers(self, s: Tensor, t: Tensor, keys: Mapping[Operation, Hashable]) -> list[tuple[Operation, Operation]]:
        ours, others = (
            _unique((_use(op, tensor, keys), op) for op in tensor.consumers if op in keys and op not in self.partner)
            for tensor in (s, t)
        )
        return [(x, others[use]) for use, x in ours.items() if use in others]

    def _match_between(self) -> None:
        """Operations of different types in the same place: between the same makers and the same consumers."""

        def place(side: Side, op: Operation, renamed: Mapping[Tensor, Tensor]) -> Hashable:
            before = [self._known(tensor, renamed) for tensor in side.values(op)]
            after = [{self._partner_number(user, side) for user in tensor.consumers} for tensor in op.outputs]
            if not before or not after or None in before:
                return None
            ends = [tensor in side.graph.outputs for tensor in op.outputs]
            return tuple(before), tuple(map(frozenset, after)), tuple(ends)

        ours = _unique((place(self.a, op, self.tensors), op) for op in self._free(self.a))
        others = _unique((place(self.b, op, {}), op) for op in self._free(self.b))
        for key, x in ours.items():
            y = others.get(key)
            if key is not None and y is not None:
                self._pair(x, y)

    def _known(self, tensor: Tensor, renamed: Mapping[Tensor, Tensor]) -> int | None:
        other = renamed.get(tensor, tensor if not renamed and tensor in self.tensors else None)
        return None if other is None else id(other)

    def _partner_number(self, op: Operation, side: Side) -> int | None:
        other = self.partner.get(op)
        return None if other is None else id(other if side is self.a else op)


def _use(op: Operation, tensor: Tensor, keys: Mapping[Operation, Hashable]) -> Hashable:
    """How an operation uses a tensor: what it is, and as which input; captured tensors are none."""
    return keys[op], next((k for k, other in enumerate(op.inputs) if other is tensor), -1)


def _unique(pairs: Iterable[tuple[Hashable, Operation]]) -> dict[Hashable, Operation]:
    """The pairs whose key occurs once."""
    listed = list(pairs)
    counts = Counter(key for key, _ in listed)
    return {key: op for key, op in listed if counts[key] == 1}


def paired_tensors(ours: list[Tensor], others: list[Tensor]) -> list[tuple[Tensor | None, Tensor | None]]:
    """Inputs or outputs of two graphs: those of one name, then the rest in order."""
    names = {tensor.name: tensor for tensor in others}
    pairs: list[tuple[Tensor | None, Tensor | None]] = [(x, names[x.name]) for x in ours if x.name in names]
    rest_x = [x for x in ours if x.name not in names]
    taken = {y for _, y in pairs}
    rest_y = [y for y in others if y not in taken]
    pairs += zip(rest_x, rest_y, strict=False)
    pairs += [(x, None) for x in rest_x[len(rest_y) :]] + [(None, y) for y in rest_y[len(rest_x) :]]
    return pairs

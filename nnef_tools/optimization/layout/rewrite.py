"""Rewrites the graph according to the choices of the search."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...model import Graph, Operation, Tensor
from ...model.facts import rename_tensor_fact, tensor_facts
from ...model.memory import reordered
from ...model.utils import place_operations, replace_tensor_in_consumers
from .connections import Connections, Use
from .dialect import Array, Choice, Dialect, Reordering, unchanged
from .permutations import Perm, compose, identity, inverse, moves_items, permuted
from .search import improve


def minimize_transposes(graph: Graph, dialect: Dialect) -> int:
    """Removes transposes, or puts them where they move fewer items. Returns the number of changes.

    There are never more transposes than before, nor do they move more items. Inputs and outputs of the graph keep names
    and shapes. Other tensors are permuted in place: a tensor may have another order of axes afterwards, under the same
    name.
    """
    before = sum(dialect.transposition(operation) is not None for operation in graph.operations)
    folded = _fold_into_constants(graph, dialect)
    connections = Connections(graph, dialect)
    improved = improve(connections, dialect)
    if improved or not _is_settled(connections):
        _Rewrite(connections, dialect).run()
    elif not folded:
        return 0
    place_operations(graph)
    after = sum(dialect.transposition(operation) is not None for operation in graph.operations)
    return max(1, before - after)


def places_of_transposes(graph: Graph, dialect: Dialect) -> list[str]:
    """The places of transposes: for each its axes, and the operations or graph inputs and outputs around it."""
    inputs = set(graph.inputs)
    outputs = set(graph.outputs)
    places = []
    for operation in graph.operations:
        perm = dialect.transposition(operation)
        if perm is None:
            continue
        source, result = operation.inputs[0], operation.output
        before = f"input '{source!r}'" if source in inputs else _type(source.producer)
        after = [f"output '{result!r}'"] if result in outputs else []
        after += dict.fromkeys(_type(consumer) for consumer in result.consumers)
        places.append(f"axes {list(perm)} of shape {list(source.shape or ())}, from {before} to {', '.join(after)}")
    return places


def _type(operation: Operation | None) -> str:
    return str(operation.type) if operation is not None else "constant"


def _fold_into_constants(graph: Graph, dialect: Dialect) -> int:
    """Replaces transposes of constants by constants, which are views of the data."""
    count = 0
    outputs = set(graph.outputs)
    for operation in list(graph.operations):
        perm = dialect.transposition(operation)
        source = operation.inputs[0] if perm is not None else None
        data = dialect.value(source) if source is not None else None
        if perm is None or source is None or data is None:
            continue
        count += 1
        result = operation.output
        if result in outputs:
            dialect.become_constant(operation, data.transpose(perm))
            continue
        private = source.consumer is operation and source not in outputs
        graph.remove_operation(operation, unlink=True)
        if private:
            dialect.set_constant(source, data.transpose(perm))
        else:
            source = dialect.add_constant(data.transpose(perm), source)
        replace_tensor_in_consumers(graph, result, source)
        graph.remove_tensor(result)
    return count


def _is_settled(connections: Connections) -> bool:
    """Is the graph already minimal: is each transpose needed, and does none follow another?"""
    seen: set[tuple[Tensor, Perm]] = set()
    for operation in connections.transposes:
        source, perm = connections.origin(operation.output)
        used = operation.output.has_consumer or operation.output in connections.graph.outputs
        moves = source.shape is not None and moves_items(source.shape, perm)
        if source is not operation.inputs[0] or not used or not moves or (source, perm) in seen:
            return False
        seen.add((source, perm))
    return True


class _Rewrite:
    """A rewrite of a graph to the choices of `connections`."""

    def __init__(self, connections: Connections, dialect: Dialect) -> None:
        self.connections = connections
        self.dialect = dialect
        self.graph = connections.graph
        self.outputs = list(self.graph.outputs)
        self.changed = {operation for operation, choice in connections.choice.items() if choice != unchanged(operation)}
        self.constants = _Constants(connections, dialect)
        self.arguments = {operation: list(operation.inputs) for operation in connections.choice}
        self.results = {operation: list(operation.outputs) for operation in connections.choice}
        self.aliases: dict[Tensor, list[Tensor]] = {}
        for operation in connections.transposes:
            self.aliases.setdefault(connections.origin(operation.output)[0], []).append(operation.output)
        self.new: list[tuple[Tensor, Perm | None, Tensor]] = []  # source, permutation (None: copy), result

    def run(self) -> None:
        self.constants.rewrite(self.arguments)
        originals = dict.fromkeys((*self.connections.uses, *self.aliases, *self._made()))
        for original in originals:
            if original not in self.connections.constants:
                self._place(original)
        gone = [tensor for operation in self.connections.transposes for tensor in operation.outputs]
        gone += originals
        self.graph.remove_operations(self.connections.transposes, unlink=True)
        self.graph.outputs = self.outputs
        for operation, choice in self.connections.choice.items():
            self._apply(operation, choice)
        for source, perm, result in self.new:
            self._add(source, perm, result)
        kept = {*self.graph.inputs, *self.graph.outputs}
        self.graph.remove_tensors(
            t for t in dict.fromkeys(gone) if not (t.has_producer or t.has_consumer or t in kept or t.is_constant)
        )

    def _made(self) -> Iterable[Tensor]:
        """The tensors that are computed in another permutation than before."""
        for operation, choice in self.connections.choice.items():
            for tensor, layout in zip(operation.outputs, choice.outputs, strict=True):
                if layout != identity(len(layout)):
                    yield tensor

    def _place(self, original: Tensor) -> None:
        """Decides which tensors hold an original in the needed permutations, and who reads which of them."""
        made = self.connections.made(original, {})
        readers: dict[Perm, list[Use]] = {made: []}
        for use in self.connections.uses.get(original, ()):
            readers.setdefault(self.connections.needed(use, {}), []).append(use)
        shape, quant = original.shape or (), original.quant
        taken: set[Tensor] = set()
        holders = {}
        for layout, uses in readers.items():
            held = [use.tensor for use in uses if use.operation is None]
            holder = self._holder(original, layout, held, taken, primary=layout == made)
            taken.add(holder)
            holders[layout] = holder
            for tensor in dict.fromkeys(held):
                if tensor is not holder:
                    self.new.append((holder, None, tensor))
                    taken.add(tensor)
            for use in uses:
                if use.operation is not None:
                    self.arguments[use.operation][use.position] = holder
        producer = original.producer
        if producer in self.results:
            self.results[producer] = [holders[made] if t is original else t for t in self.results[producer]]
        for layout, holder in holders.items():
            if original.shape is not None:
                holder.shape = permuted(shape, layout)
            holder.dtype, holder.quant = original.dtype, quant
            if layout != made:
                self.new.append((holders[made], compose(inverse(made), layout), holder))

    def _holder(
        self, original: Tensor, layout: Perm, held: list[Tensor], taken: set[Tensor], *, primary: bool
    ) -> Tensor:
        """The tensor for a permutation of an original: a graph output if it has to be one, else one with a name."""
        bound = set(self.graph.outputs)
        if primary and (original.producer is None or original in self.graph.inputs or original in held):
            return original
        if held:
            return held[0]
        free = [t for t in self.aliases.get(original, ()) if t not in taken and t not in bound]
        if primary:
            if original in bound:
                return Tensor(self.graph)
            return self._known(original, free)
        same = [t for t in free if self.connections.origin(t)[1] == layout]
        return same[0] if same else Tensor(self.graph)

    def _known(self, original: Tensor, aliases: list[Tensor]) -> Tensor:
        """A tensor that corresponds to one of the source model, according to the metadata.

        It gets the original's name if its own is only a generated name of the transpose that vanishes.
        """
        known = tensor_facts(self.graph.metadata)
        if original.name in known:
            return original
        for tensor in aliases:
            if tensor.name and tensor.name in known:
                if original.name and _is_numbered(tensor):
                    rename_tensor_fact(self.graph.metadata, tensor.name, original.name)
                    tensor.name, original.name = original.name, None
                return tensor
        return original

    def _apply(self, operation: Operation, choice: Choice) -> None:
        arguments, results = self.arguments[operation], self.results[operation]
        if choice.order is not None:
            arguments = [arguments[k] for k in choice.order]
        if operation in self.changed:
            operation.attribs = dict(choice.attribs)
        if any(new is not old for new, old in zip(arguments, operation.inputs, strict=True)):
            operation.inputs = tuple(arguments) if isinstance(operation.inputs, tuple) else arguments
        if any(new is not old for new, old in zip(results, operation.outputs, strict=True)):
            operation.outputs = tuple(results) if isinstance(operation.outputs, tuple) else results

    def _add(self, source: Tensor, perm: Perm | None, result: Tensor) -> None:
        if perm is None:
            result.dtype, result.shape = source.dtype, source.shape
            self.dialect.add_copy(source, result)
        elif moves_items(source.shape or (), perm):
            self.dialect.add_transpose(source, perm, result)
        else:
            self.dialect.add_reshape(source, result)


def _is_numbered(tensor: Tensor) -> bool:
    """Does the tensor have a generated name, made of the type of its operation and a number?"""
    type = tensor.producer.type if tensor.producer is not None else None
    return type is not None and re.fullmatch(rf"{re.escape(type)}[0-9]+", tensor.name or "") is not None


class _Constants:
    """Permutes the constants among the arguments, in place if nothing else uses them."""

    def __init__(self, connections: Connections, dialect: Dialect) -> None:
        self._dialect = dialect
        self._requests: dict[Tensor, dict[tuple[Perm, int], list[tuple[Operation, int]]]] = {}
        self._kept = set(connections.graph.outputs)  # constants that other uses need as they are
        self._reorderings: list[Reordering] = []
        for operation, choice in connections.choice.items():
            self._reorderings += choice.reorderings
            for index, tensor in enumerate(operation.inputs):
                if tensor not in connections.constants:
                    continue
                layout = choice.inputs[index]
                if layout == identity(len(layout)):
                    self._kept.add(tensor)
                    continue
                data = _permuted(self._value(tensor), layout)
                key = layout, _trimmed_rank(data.shape) if choice.trims else len(layout)
                self._requests.setdefault(tensor, {}).setdefault(key, []).append((operation, index))

    def _value(self, tensor: Tensor) -> Array:
        data = self._dialect.value(tensor)
        assert data is not None
        return data

    def rewrite(self, arguments: dict[Operation, list[Tensor]]) -> None:
        """Makes the permuted constants, and puts them into the lists of arguments."""
        for reordering in self._reorderings:
            self._reorder(reordering)
        for tensor, requests in self._requests.items():
            original = self._value(tensor)
            in_place = tensor not in self._kept
            for (layout, rank), places in requests.items():
                data = _permuted(original, layout)
                data = data.reshape(data.shape[:rank])
                constant = tensor
                if in_place:
                    self._dialect.set_constant(tensor, data)
                    in_place = False
                else:
                    constant = self._dialect.add_constant(data, tensor)
                for operation, index in places:
                    arguments[operation][index] = constant

    def _reorder(self, reordering: Reordering) -> None:
        """Splits the axis of a constant, permutes the parts and merges them, which copies the data."""
        constant, axis, extents = reordering.constant, reordering.axis, reordering.extents
        data = self._value(constant)
        before, after = data.shape[:axis], data.shape[axis + 1 :]
        perm = (*range(axis), *(axis + k for k in reordering.perm))
        split = data.reshape(before + extents + after)
        whole = (*perm, *range(len(perm), split.ndim))
        self._dialect.set_constant(constant, reordered(split, whole).reshape(data.shape))


def _permuted(data: Array, layout: Perm) -> Array:
    """A view of the data, extended by trailing 1s to the rank of the permutation, and permuted."""
    view: Array = data.reshape(data.shape + (1,) * (len(layout) - data.ndim)).transpose(layout)
    return view


def _trimmed_rank(shape: tuple[int, ...]) -> int:
    """The rank without trailing 1s, but at least 1."""
    rank = len(shape)
    while rank > 1 and shape[rank - 1] == 1:
        rank -= 1
    return rank

"""Replacement of linear chains of operations, the way plugins write optimizers."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from ..errors import PluginError
from .graph import Graph, Operation

ChainItem = str | Container[str]


def replace_chain(
    graph: Graph, types: Sequence[ChainItem], func: Callable[..., Any], allow_forks: bool = False
) -> bool:
    """Offers each linear chain of operations of the given types to a function that may replace it.

    types: for each operation of the chain a type, or a container of types. Each operation but the last has one output,
    used by the next operation of the chain and by nothing else. With allow_forks it may be used elsewhere as well;
    then the operations up to the last such one stay.

    func(op1, .., opN) returns False to decline. Otherwise it has created the replacement, whose last operation has the
    outputs of the chain as its own (or it has rewired their consumers): the chain is removed, and the new operations
    take the place of its last one, in the order of their creation. Operations whose result the replacement uses stay.
    Whatever a function creates before it declines, or fails, is removed.

    Returns whether anything was replaced. PluginError if a replacement leaves a tensor that is used without producer.
    """
    return _ChainReplacer(graph, types, func, allow_forks).run()


class _ChainReplacer:
    """One sweep over the operations, in linear time: the order is rebuilt once, at the end."""

    def __init__(self, graph: Graph, types: Sequence[ChainItem], func: Callable[..., Any], allow_forks: bool) -> None:
        self.graph = graph
        self.types = types
        self.func = func
        self.allow_forks = allow_forks
        self.known_operations = set(graph.operations)
        self.known_tensors = set(graph.tensors)
        self.outputs = set(graph.outputs)
        self.done: list[Operation] = []
        self.pending = list(reversed(graph.operations))
        self.successors: dict[Operation, list[Operation]] = {}  # removed operation -> the operations in its place
        self.changed = False

    def run(self) -> bool:
        try:
            while self.pending:
                self.visit(self.pending[-1])
        finally:
            if self.changed:
                self.reorder()
        return self.changed

    def visit(self, operation: Operation) -> None:
        if operation.graph is self.graph:
            chain = self.match(operation)
            if chain is None or not self.replace(chain):
                self.done.append(self.pending.pop())
        else:
            self.pending.pop()
            self.pending.extend(reversed(self.successors.pop(operation, [])))

    def match(self, first: Operation) -> list[Operation] | None:
        if not _matches(first, self.types[0]):
            return None
        chain = [first]
        for item in self.types[1:]:
            if len(chain[-1].outputs) != 1:
                return None
            tensor = chain[-1].output
            consumers = tensor.consumers
            if not self.allow_forks and (len(consumers) != 1 or tensor in self.outputs):
                return None
            following = next((op for op in consumers if op.graph is self.graph and _matches(op, item)), None)
            if following is None:
                return None
            chain.append(following)
        return chain

    def replace(self, chain: list[Operation]) -> bool:
        try:
            if self.func(*chain) is False:
                self.discard()
                return False
            self.outputs = set(self.graph.outputs)
            removable = self.removable(chain)
            self.check_replaced(chain, removable)
        except BaseException:
            self.discard()
            raise
        created = _new(self.graph._operations._newest(), self.known_operations)
        self.known_operations.update(created)
        self.known_tensors.update(_new(self.graph._tensors._newest(), self.known_tensors))
        self.remove(removable)
        self.successors[chain[-1]] = created[::-1]
        self.changed = True
        return True

    def removable(self, chain: list[Operation]) -> set[Operation]:
        """The operations after the last one whose result something else uses."""
        removable = {chain[-1]}
        for operation in reversed(chain[:-1]):
            if self.is_needed(operation, removable):
                break
            removable.add(operation)
        return removable

    def remove(self, operations: set[Operation]) -> None:
        """Removes the operations and the tensors that only they used."""
        alive = [operation for operation in operations if operation.graph is self.graph]
        tensors = [tensor for operation in alive for tensor in operation.outputs]
        self.graph.remove_operations(alive, unlink=True)
        inputs = set(self.graph.inputs)
        self.graph.remove_tensors(
            tensor
            for tensor in tensors
            if tensor.graph is self.graph
            and not (tensor.has_producer or tensor.has_consumer or tensor in self.outputs or tensor in inputs)
        )

    def is_needed(self, operation: Operation, removable: set[Operation]) -> bool:
        return any(
            tensor in self.outputs or any(consumer not in removable for consumer in tensor.consumers)
            for tensor in operation.outputs
            if all(producer is operation for producer in tensor.producers)
        )

    def check_replaced(self, chain: list[Operation], removable: set[Operation]) -> None:
        for tensor in chain[-1].outputs:
            used = tensor in self.outputs or any(consumer not in removable for consumer in tensor.consumers)
            if used and all(producer in removable for producer in tensor.producers):
                names = ", ".join(str(operation.type) for operation in chain)
                raise PluginError(
                    f"function '{_name(self.func)}' for the chain ({names}) gives no replacement for '{tensor!r}'",
                    hint="return False where the chain is to stay as it is; otherwise create an operation with the"
                    " outputs of the last one",
                )

    def discard(self) -> None:
        """Removes what the function created although it declined."""
        self.graph.remove_operations(list(_new(self.graph._operations._newest(), self.known_operations)), unlink=True)
        self.graph.remove_tensors(
            tensor
            for tensor in _new(self.graph._tensors._newest(), self.known_tensors)
            if not (tensor.has_producer or tensor.has_consumer)
        )

    def reorder(self) -> None:
        order = []
        stack = [*self.pending, *reversed(self.done)]  # there are leftovers after an error
        while stack:
            operation = stack.pop()
            if operation.graph is self.graph:
                order.append(operation)
            stack.extend(reversed(self.successors.pop(operation, [])))
        self.graph.reorder(order)
        if not self.graph.is_sorted():
            self.graph.sort()


def _new(newest: Iterable[Any], known: set[Any]) -> list[Any]:
    """The members that came after the known ones, newest first."""
    result: list[Any] = []
    for item in newest:
        if item in known:
            break
        result.append(item)
    return result


def _matches(operation: Operation, item: ChainItem) -> bool:
    if isinstance(item, str):
        return operation.type == item
    return operation.type is not None and operation.type in item


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__qualname__", None) or repr(func)

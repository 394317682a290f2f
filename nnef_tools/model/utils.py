"""Edits of a graph: names, rewiring, removal of what is unused. Chains are in `model/chains.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from .chains import replace_chain
from .graph import Graph, Operation, Tensor

__all__ = [
    "bypass_and_remove",
    "cut_tensors",
    "generate_missing_tensor_names_from_op_type",
    "generate_op_names_from_op_type",
    "generate_tensor_names_from_op_type",
    "keep_static",
    "place_operations",
    "remove_dynamic",
    "remove_unreachable",
    "replace_chain",
    "replace_tensor_in_consumers",
    "replace_tensor_in_graph_inputs",
    "replace_tensor_in_graph_outputs",
    "replace_tensor_in_producers",
]

_MAX_DIGITS = 18  # counting never reaches longer numbers


def generate_tensor_names_from_op_type(graph: Graph, keep_io_names: bool = False) -> None:
    """Names each result of an operation `<type><k>`, k = 1, 2, .. per type; other tensors lose their names.

    keep_io_names: graph inputs and outputs that have a name keep it, and nothing else gets that name.
    """
    kept = {tensor for tensor in (*graph.inputs, *graph.outputs) if tensor.name} if keep_io_names else set()
    used = {tensor.name for tensor in kept}
    for tensor in graph.tensors:
        if tensor not in kept:
            tensor.name = None
    _name_results(graph, used, Counter())


def generate_missing_tensor_names_from_op_type(graph: Graph) -> None:
    """Names each unnamed result of an operation `<type><k>`, k counted on from the largest number in use."""
    if not any(tensor.name is None for operation in graph.operations for tensor in operation.outputs):
        return
    types = {operation.type for operation in graph.operations}
    used = {tensor.name for tensor in graph.tensors}
    last: Counter[str] = Counter()
    for name in used:
        for stem, number in _numbered(name or ""):
            if stem in types:
                last[stem] = max(last[stem], number)
    _name_results(graph, used, last)


def _numbered(name: str) -> Iterator[tuple[str, int]]:
    """All ways to read a name as a stem and a number: conv12 -> (conv, 12), (conv1, 2)."""
    stem = name.rstrip("0123456789")
    for cut in range(max(len(stem), len(name) - _MAX_DIGITS), len(name)):
        yield name[:cut], int(name[cut:])


def _name_results(graph: Graph, used: set[str | None], last: Counter[str]) -> None:
    for operation in graph.operations:
        stem = operation.type or "op"
        for tensor in operation.outputs:
            if tensor.name is None:
                last[stem] += 1
                while f"{stem}{last[stem]}" in used:
                    last[stem] += 1
                tensor.name = f"{stem}{last[stem]}"
                used.add(tensor.name)


def generate_op_names_from_op_type(graph: Graph) -> None:
    """Names each operation `<type><k>`, k = 1, 2, .. per type."""
    count: Counter[str] = Counter()
    for operation in graph.operations:
        stem = operation.type or "op"
        count[stem] += 1
        operation.name = f"{stem}{count[stem]}"


def replace_tensor_in_graph_inputs(graph: Graph, old_tensor: Tensor, new_tensor: Tensor) -> None:
    """Puts the new tensor wherever the old one is a graph input; links of operations stay as they are."""
    if any(tensor is old_tensor for tensor in graph.inputs):
        graph.inputs = _replaced(graph.inputs, old_tensor, new_tensor)


def replace_tensor_in_graph_outputs(graph: Graph, old_tensor: Tensor, new_tensor: Tensor) -> None:
    """Puts the new tensor wherever the old one is a graph output; links of operations stay as they are."""
    if any(tensor is old_tensor for tensor in graph.outputs):
        graph.outputs = _replaced(graph.outputs, old_tensor, new_tensor)


def replace_tensor_in_consumers(graph: Graph, old_tensor: Tensor, new_tensor: Tensor) -> None:
    """Everything that reads the old tensor reads the new one: operations (also nested ones) and graph outputs."""
    for consumer in old_tensor.consumers:
        inputs = _replaced(consumer.inputs, old_tensor, new_tensor)
        consumer.inputs = tuple(inputs) if isinstance(consumer.inputs, tuple) else inputs
    replace_tensor_in_graph_outputs(graph, old_tensor, new_tensor)


def replace_tensor_in_producers(graph: Graph, old_tensor: Tensor, new_tensor: Tensor) -> None:
    """Everything that defines the old tensor defines the new one: operations and graph inputs."""
    for producer in old_tensor.producers:
        outputs = _replaced(producer.outputs, old_tensor, new_tensor)
        producer.outputs = tuple(outputs) if isinstance(producer.outputs, tuple) else outputs
    replace_tensor_in_graph_inputs(graph, old_tensor, new_tensor)


def _replaced(tensors: Iterable[Tensor], old: Tensor, new: Tensor) -> list[Tensor]:
    return [new if tensor is old else tensor for tensor in tensors]


def bypass_and_remove(graph: Graph, op: Operation, remove_input_not_output: bool = False) -> None:
    """Removes an operation of one input and one output, together with one of the two tensors.

    The input tensor takes the place of the output; with remove_input_not_output the output tensor takes the place of
    the input, also for the input's other consumers, so that the name of the output survives.
    """
    source, result = op.input, op.output
    graph.remove_operation(op, unlink=True)
    if remove_input_not_output:
        replace_tensor_in_consumers(graph, source, result)
        replace_tensor_in_producers(graph, source, result)
        result.data = source.data
        graph.remove_tensor(source)
    else:
        replace_tensor_in_consumers(graph, result, source)
        graph.remove_tensor(result)


def place_operations(graph: Graph) -> bool:
    """Moves each operation that comes too late directly before the first that needs it; False on a cycle.

    Unlike `Graph.sort`, this leaves all others in their order: it is for operations that were created at the end.
    """
    if graph.is_sorted():
        return True
    order: dict[Operation, None] = {}
    open_operations: set[Operation] = set()
    stack = list(reversed(graph.operations))
    while stack:
        operation = stack[-1]
        if operation in order:
            stack.pop()
            continue
        needed = [need for need in _producers(operation) if need.graph is graph and need not in order]
        if not needed:
            order[stack.pop()] = None
            open_operations.discard(operation)
        elif operation in open_operations:
            return False
        else:
            open_operations.add(operation)
            stack.extend(reversed(needed))
    graph.reorder(order)
    return True


def _reads(operation: Operation) -> Sequence[Tensor]:
    captured = operation.captures
    return (*operation.inputs, *captured) if captured else operation.inputs


def _producers(operation: Operation) -> list[Operation]:
    return list(dict.fromkeys(producer for tensor in _reads(operation) for producer in tensor.producers))


def remove_unreachable(graph: Graph, keep: Iterable[Operation] = ()) -> bool:
    """Removes the operations that no graph output depends on, and then the tensors that nothing uses.

    A graph input ends the search: what computes it is cut off, except a producer without inputs. Tensors that nested
    graphs capture are needed by the operation that holds the graph. keep: operations to keep in any case, with
    everything that they depend on. Tells if anything was removed.
    """
    _cut_inputs(graph)
    sources = [producer for tensor in graph.inputs for producer in tensor.producers]
    targets = [producer for tensor in graph.outputs for producer in tensor.producers]
    reached: set[Operation] = set()
    stack = [*sources, *targets, *keep]
    while stack:
        operation = stack.pop()
        if operation not in reached:
            reached.add(operation)
            for tensor in _reads(operation):
                stack.extend(tensor.producers)
    removed = [operation for operation in graph.operations if operation not in reached]
    _release_captures(graph, removed)
    graph.remove_operations(removed, unlink=True)
    return _remove_orphans(graph) or bool(removed)


def _cut_inputs(graph: Graph) -> None:
    """Gives the producers of graph inputs, if they have inputs, another tensor to put their result into."""
    for tensor in graph.inputs:
        for producer in tensor.producers:
            if producer.inputs:
                unused = tensor.copy_with()
                unused.name = None
                outputs = _replaced(producer.outputs, tensor, unused)
                producer.outputs = tuple(outputs) if isinstance(producer.outputs, tuple) else outputs


def _release_captures(graph: Graph, removed: list[Operation]) -> None:
    """Unlinks the nested graphs of removed operations from the tensors of this graph."""
    if not any(operation.captures for operation in removed):
        return
    gone = set(removed)
    in_use = {id(nested) for op in graph.operations if op not in gone for nested in _nested_graphs(op)}
    for operation in removed:
        for nested in _nested_graphs(operation):
            if id(nested) not in in_use:
                nested.outputs = [tensor for tensor in nested.outputs if tensor.graph is nested]
                for inner in nested.operations:
                    if any(tensor.graph is not nested for tensor in inner.inputs):
                        inner.inputs = ()


def _nested_graphs(operation: Operation) -> Iterator[Graph]:
    """The graphs among the attributes, and the graphs in these."""
    for value in operation.attribs.values():
        for nested in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(nested, Graph):
                yield nested
                for inner in nested.operations:
                    yield from _nested_graphs(inner)


def _remove_orphans(graph: Graph) -> bool:
    interface = {*graph.inputs, *graph.outputs}
    orphans = [t for t in graph.tensors if not (t.has_producer or t.has_consumer or t in interface)]
    if orphans:
        captured = {tensor for operation in graph.operations for tensor in operation.captures}
        orphans = [tensor for tensor in orphans if tensor not in captured]
        graph.remove_tensors(orphans)
    return bool(orphans)


def remove_dynamic(graph: Graph) -> bool:
    """Removes the operations that give, or depend on, tensors of unknown shape.

    Graph outputs are then those that are left, followed by the inputs and computed tensors whose consumers have all
    gone. Returns False, and changes nothing, if a graph input has an unknown shape. See also `keep_static`.
    """
    if any(tensor.volume is None for tensor in graph.inputs):
        return False
    dynamic = _dynamic_operations(graph)
    needed = {tensor for operation in graph.operations if operation not in dynamic for tensor in _reads(operation)}
    ends = {*cut_tensors(graph, dynamic), *graph.inputs}
    read = {tensor for operation in dynamic for tensor in _reads(operation)}
    _cut_off(graph, dynamic, [tensor for tensor in graph.tensors if tensor in ends & read - needed])
    return True


def keep_static(graph: Graph) -> bool:
    """Does as `remove_dynamic`, but graph outputs that are left are followed by the tensors of `cut_tensors`."""
    if any(tensor.volume is None for tensor in graph.inputs):
        return False
    dynamic = _dynamic_operations(graph)
    _cut_off(graph, dynamic, cut_tensors(graph, dynamic))
    return True


def cut_tensors(graph: Graph, left_out: Collection[Operation]) -> list[Tensor]:
    """What a graph computes for operations that are left out of it, whether or not other operations read it too.

    Results of operations without inputs, which only tell constants, are not among the tensors.
    """
    lost = {tensor for operation in left_out for tensor in operation.outputs}
    read = dict.fromkeys(tensor for op in graph.operations if op in left_out for tensor in _reads(op))
    return [t for t in read if t not in lost and any(_reads(producer) for producer in t.producers)]


def _dynamic_operations(graph: Graph) -> set[Operation]:
    """The operations that give, or depend on, tensors of unknown shape. Results that nobody uses do not count."""
    dynamic: set[Operation] = set()
    readers: dict[Tensor, list[Operation]] = {}
    for operation in graph.operations:
        for tensor in _reads(operation):
            readers.setdefault(tensor, []).append(operation)
    unknown = {tensor for tensor in (*readers, *graph.outputs) if _is_dynamic(tensor)}
    stack = [op for op in graph.operations if any(tensor in unknown for tensor in (*op.outputs, *_reads(op)))]
    while stack:
        operation = stack.pop()
        if operation not in dynamic:
            dynamic.add(operation)
            stack.extend(reader for tensor in operation.outputs for reader in readers.get(tensor, ()))
    return dynamic


def _cut_off(graph: Graph, dynamic: Collection[Operation], ends: Iterable[Tensor]) -> None:
    """Removes operations; the tensors given become graph outputs, behind those that are left."""
    lost = {tensor for operation in dynamic for tensor in operation.outputs}
    left = [tensor for tensor in graph.outputs if tensor not in lost and not _is_dynamic(tensor)]
    graph.outputs = [*left, *(tensor for tensor in ends if tensor not in left)]
    _release_captures(graph, list(dynamic))
    graph.remove_operations(dynamic, unlink=True)
    remove_unreachable(graph)


def _is_dynamic(tensor: Tensor) -> bool:
    return tensor.volume is None and tensor.name != ""  # '' stands for an omitted argument

"""Removal of tensors and operations that a rewrite leaves without use."""

from __future__ import annotations

from collections.abc import Container, Iterable

from ..model import Tensor


def remove_unused_tensors(tensors: Iterable[Tensor], kept: Container[Tensor]) -> None:
    """Removes unused tensors, the operations that compute them, and everything that only those need.

    Graph inputs stay, and so do the tensors in `kept`, to which graph outputs must belong. An operation goes when none
    of its results is used.
    """
    pending = list(tensors)
    while pending:
        tensor = pending.pop()
        owner, producer = tensor.graph, tensor.producer
        results = (tensor,) if producer is None else producer.outputs
        if owner is None or any(t.has_consumer or t in kept or t in owner.inputs for t in results):
            continue
        if producer is not None:
            pending.extend(producer.inputs)
            owner.remove_operation(producer, unlink=True)
        owner.remove_tensors(results)

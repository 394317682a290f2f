"""Control flow that is decided when the model is converted, under the terms of TensorFlow's."""

from __future__ import annotations

from typing import Any

from ....model import Graph, Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ...tf.to_nnef.control import if_else, while_loop
from .loops import as_list, as_sequence, with_lists
from .state import Resources


@to_nnef("tflite", "CALL")
def call(b: Builder, *xs: Tensor, subgraph: Graph) -> list[Any]:
    """CALL: the operations of the subgraph."""
    assert b.inline is not None
    return list(b.inline(subgraph, xs))


@to_nnef("tflite", "STABLEHLO_COMPOSITE")
def composite(
    b: Builder,
    *xs: Tensor,
    decomposition_subgraph: Graph,
    name: str | None = None,
    composite_attributes: Any = None,
    composite_attributes_format: int = 0,
    version: int = 0,
) -> list[Any]:
    """STABLEHLO_COMPOSITE: the operations of its decomposition."""
    assert b.inline is not None
    return list(b.inline(decomposition_subgraph, xs))


@to_nnef("tflite", "IF")
def branches(
    b: Builder,
    condition: Tensor,
    *xs: Tensor,
    resources: Resources,
    then_subgraph: Graph,
    else_subgraph: Graph,
) -> list[Any]:
    """IF: the branch of a constant condition; else both are computed, and one is selected."""
    if b.value(condition) is not None:
        return if_else(b, condition, *xs, then_branch=then_subgraph, else_branch=else_subgraph)
    with resources.keeping():
        return if_else(b, condition, *xs, then_branch=then_subgraph, else_branch=else_subgraph)


@to_nnef("tflite", "WHILE")
def loop(b: Builder, *state: Tensor, resources: Resources, cond_subgraph: Graph, body_subgraph: Graph) -> list[Any]:
    """WHILE: a recurrent layer, or the body as often as the condition, which must follow from constants, says."""
    body, read, written = with_lists(cond_subgraph, body_subgraph)
    values = [as_list(b, x, written=k in written) if k in read | written else x for k, x in enumerate(state)]
    with resources.keeping():
        results = while_loop(b, *values, cond=cond_subgraph, body=body)  # type: ignore[arg-type]
    for k in written:
        results[k] = as_sequence(b, results[k])
    return [state[k] if k in read else result for k, result in enumerate(results)]

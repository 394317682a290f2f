"""Operations as calls of their signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ShapeError
from nnef_tools.language.parser import parse_fragments
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.ops.bind import bind, python_name
from nnef_tools.ops.definition import OpDef
from nnef_tools.ops.library import Library
from nnef_tools.ops.registry import find

OWN = parse_fragments(
    """
    fragment mix(x: tensor<scalar>, ys: tensor<scalar>[], k: integer = 3, lambda: scalar) -> (z: tensor<scalar>);
    fragment two(xs: tensor<scalar>[], ys: tensor<scalar>[]) -> (z: tensor<scalar>);
    fragment elu(x: tensor<scalar>, beta: scalar = 2.0) -> (y: tensor<scalar>);
    """,
    "own",
)


def operation(type: str, count: int = 1, *, array: bool = False, **attribs: Any) -> Operation:
    graph = Graph("G")
    inputs = [Tensor(graph, f"x{k}", (2,), np.float32) for k in range(count)]
    return Operation(graph, type, attribs=attribs, inputs=inputs if array else tuple(inputs))


def test_defaults_and_what_the_signature_lacks() -> None:
    call = bind(operation("selu", alpha=None, dtype=np.float32, gamma=1.0, **{"lambda": 2.0}), Library())
    assert call.attribs == {"alpha": 1.67326319, "lambda": 2.0}
    assert list(call.attribs) == ["alpha", "lambda"]
    assert (call.missing, call.surplus) == ([], {"gamma": 1.0})
    call = bind(operation("leaky_relu"), Library())
    assert (call.attribs, call.missing) == ({}, ["alpha"])


def test_declared_operations() -> None:
    op = operation("mix", 4, array=True)
    x, *rest = op.inputs
    call = bind(op, Library(OWN))
    assert call.arguments == [x, rest]
    assert (call.attribs, call.missing) == ({"k": 3}, ["lambda"])


def test_without_a_signature() -> None:
    op = operation("nosuch", 2, k=None, dtype=np.float32)
    assert bind(op, Library()) == (list(op.inputs), {}, [], {"k": None})
    op = operation("nosuch", 2, array=True)
    assert bind(op, Library()).arguments == [list(op.inputs)]


def test_several_arrays_cannot_be_told_apart() -> None:
    op = operation("two", 3, array=True)
    assert bind(op, Library(OWN)).arguments == [list(op.inputs)]


def test_declarations_of_known_names_count_for_foreign_operations() -> None:
    assert list(bind(operation("elu"), Library(OWN)).attribs) == ["alpha"]
    assert bind(operation("elu"), Library(OWN, foreign=["elu"])).attribs == {"beta": 2.0}
    assert list(bind(operation("elu"), Library(foreign=["elu"])).attribs) == ["alpha"]


def test_attributes_of_known_operations_are_complete() -> None:
    definition = find("leaky_relu")
    assert isinstance(definition, OpDef)
    assert definition.complete({"alpha": 0.5, "beta": 1}) == {"alpha": 0.5}
    with pytest.raises(ShapeError, match="leaky_relu: attribute 'alpha' is missing"):
        definition.complete({"alpha": None})


def test_names_in_python() -> None:
    assert [python_name(name) for name in ("lambda", "alpha")] == ["_lambda_", "alpha"]

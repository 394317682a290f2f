"""Einsum against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from nnef_tools.errors import ConversionError

from ...support.onnx_models import node_model
from .checks import check_node, convert


@pytest.mark.parametrize(
    ("equation", "shapes", "ops"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)], ["matmul"]),
        ("ij,jk", [(3, 4), (4, 5)], ["matmul"]),
        ("ji,jk->ki", [(4, 3), (4, 5)], None),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)], ["matmul"]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (6, 4, 5)], None),
        ("...ij,jk", [(2, 3, 4), (4, 5)], None),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)], None),
        ("bqhd,bkhd->bhqk", [(2, 4, 3, 5), (2, 6, 3, 5)], None),
        ("i,j->ij", [(3,), (4,)], None),
        ("i,i->", [(4,), (4,)], None),
        ("i,i->i", [(4,), (4,)], ["mul"]),
        ("ij->ji", [(3, 4)], ["transpose"]),
        ("ij->", [(3, 4)], None),
        ("ij->j", [(3, 4)], ["sum_reduce", "squeeze"]),
        ("ii->i", [(4, 4)], None),
        ("ii", [(4, 4)], None),
        ("bii->bi", [(2, 4, 4)], None),
        ("iji->j", [(3, 4, 3)], None),
        ("iii->i", [(3, 3, 3)], None),
        ("b...->...b", [(2, 3, 4)], ["transpose"]),
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)], ["matmul", "matmul"]),
        ("abc,cd,bd,a->ad", [(2, 3, 4), (4, 5), (3, 5), (2,)], None),
        ("abcd,efbc->afd", [(2, 3, 4, 5), (2, 6, 3, 4)], None),
        ("ij,kl->jl", [(2, 3), (4, 5)], None),
        ("i j , j k -> i k", [(3, 4), (4, 5)], ["matmul"]),
        ("Aa,aB->BA", [(3, 4), (4, 5)], None),
    ],
)
def test_equations(equation, shapes, ops, random):
    inputs = [random(*shape) for shape in shapes]
    expected = [np.asarray(np.einsum(equation, *inputs), np.float32)]
    check_node("Einsum", inputs, opset=17, equation=equation, ops=ops, expected=expected, rtol=1e-4, atol=1e-5)
    if equation != "...ij,...jk->...ik":  # onnxruntime wants ellipses of equal rank
        check_node("Einsum", inputs, opset=17, equation=equation, ops=ops, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"), [("ij,jk->ik", [(3, 4)]), ("ijk->ij", [(3, 4)]), ("ij->ik", [(3, 4)]), ("ii->i", [(3, 4)])]
)
def test_equations_that_do_not_fit(equation, shapes, random):
    inputs = [random(*shape) for shape in shapes]
    model = node_model("Transpose", inputs[:1], opset=17)
    model.graph.node[0].op_type = "Einsum"
    model.graph.node[0].attribute.append(helper.make_attribute("equation", equation))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ConversionError, match="Einsum"):
        convert(model, inputs)

"""Attention operators of the default and the preview domain against onnx.reference."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import node_model, text_model
from .checks import check, check_node, convert


def flex(q: Array, k: Array, v: Array, scale: float | None = None) -> ModelProto:
    types = ", ".join(f"float{list(x.shape)} {name}" for name, x in zip("qkv", (q, k, v), strict=True))
    attributes = "" if scale is None else f"<scale = {scale}>"
    return text_model(
        f"""<ir_version: 10, opset_import: ["" : 26, "ai.onnx.preview" : 1]>
        g ({types}) => (float[n, h, l, d] y) {{ y = ai.onnx.preview.FlexAttention {attributes} (q, k, v) }}"""
    )


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_flex_attention_shares_keys_between_heads(heads, scale, random):
    q, k, v = random(2, 4, 3, 8), random(2, heads, 5, 8), random(2, heads, 5, 6)
    model = flex(q, k, v, scale)
    keys, values = (np.repeat(x, 4 // heads, axis=1) for x in (k, v))
    weights = softmax(q @ keys.swapaxes(2, 3) * (8**-0.5 if scale is None else scale))
    result = check(model, [q, k, v], expected=[weights @ values], rtol=1e-4, atol=1e-5)
    assert result.ops.count("matmul") == 2 and "tile" not in result.ops


def graph(name: str, nodes: list[tuple[str, list[str], list[str]]], constant: float) -> GraphProto:
    """A modifier from x to y; c is a constant."""
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 4, 3, 5]) for n in "xy"]
    value = helper.make_tensor("c", TensorProto.FLOAT, [], [constant])
    return helper.make_graph([helper.make_node(*node) for node in nodes], name, info[:1], info[1:], [value])


def test_flex_attention_with_modifiers(random):
    q, k, v = random(2, 4, 3, 8), random(2, 4, 5, 8), random(2, 4, 5, 6)
    model = flex(q, k, v)
    cap = graph("cap", [("Div", ["x", "c"], ["d"]), ("Tanh", ["d"], ["t"]), ("Mul", ["t", "c"], ["y"])], 2.0)
    half = graph("half", [("Mul", ["x", "c"], ["y"])], 0.5)
    for key, value in (("score_mod", cap), ("prob_mod", half)):
        model.graph.node[0].attribute.append(helper.make_attribute(key, value))
    weights = softmax(2 * np.tanh(q @ k.swapaxes(2, 3) * 8**-0.5 / 2)) * 0.5
    result = check(model, [q, k, v], expected=[weights @ v], rtol=1e-4, atol=1e-5)
    assert "tanh" in result.ops


def test_flex_attention_of_heads_that_do_not_divide(random):
    inputs = [random(2, 4, 3, 8), random(2, 3, 5, 8), random(2, 3, 5, 8)]
    with pytest.raises(ConversionError) as raised:
        convert(flex(*inputs), inputs)
    assert "4 query heads do not divide by 3 key heads" in "\n".join(raised.value.details)


@pytest.mark.parametrize(
    "attributes", [{}, {"is_causal": 1}, {"softcap": 2.0}, {"scale": 0.3}, {"qk_matmul_output_mode": 1}]
)
def test_attention_of_the_default_domain(attributes, random):
    q, k, v = random(2, 4, 3, 8), random(2, 2, 5, 8), random(2, 2, 5, 6)
    model = node_model("Attention", [q, k, v], opset=23, **attributes)
    expected = ReferenceEvaluator(model).run(None, {"x0": q, "x1": k, "x2": v})
    check(model, [q, k, v], expected=expected, rtol=1e-4, atol=1e-5)
    check(model, [q, k, v], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_of_the_default_domain(interleaved, random):
    inputs = [random(2, 4, 3, 8), random(2, 3, 4), random(2, 3, 4)]
    check_node("RotaryEmbedding", inputs, opset=23, interleaved=interleaved, rtol=1e-4, atol=1e-5)

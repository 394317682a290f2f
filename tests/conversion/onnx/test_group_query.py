"""GroupQueryAttention of com.microsoft against onnxruntime: caches, lengths, sinks, windows, scores."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from nnef_tools.errors import ConversionError

from ...support.arrays import assert_agree
from ...support.onnx_models import Typed, const, contrib_model, onnx_model, run_onnx
from .checks import check, check_contrib, convert, to_onnx

F = np.float32
HEADS = {"num_heads": 4, "kv_num_heads": 2}


def projections(random, batch, length):
    return [random(batch, length, 64), random(batch, length, 32), random(batch, length, 32)]


def cache(random, batch, past):
    return [random(batch, 2, past, 16), random(batch, 2, past, 16)] if past else [None, None]


def lengths(*numbers):
    return np.array(numbers, np.int32)


@pytest.mark.parametrize("rotary", [0, 1])
@pytest.mark.parametrize("attributes", [{}, {"local_window_size": 3}, {"softcap": 2.0}, {"scale": 0.3}])
@pytest.mark.parametrize(("past", "packed"), [(0, False), (2, False), (2, True)])
def test_full_cache(rotary, attributes, past, packed, random):
    length = 1 if past else 4
    total = past + length
    inputs: list[Any] = projections(random, 2, length)
    if packed:
        inputs = [np.concatenate(inputs, axis=2), None, None]
    inputs += [*cache(random, 2, past), const([total - 1] * 2, np.int32), const(total, np.int32)]
    if rotary:
        inputs += [const(random(8, 8), F), const(random(8, 8), F)]
    result = check_contrib(
        "GroupQueryAttention", inputs, [F, F, F], **HEADS, do_rotary=rotary, rtol=1e-3, atol=1e-5, **attributes
    )
    assert result.ops.count("softmax") == 1
    assert result.ops.count("select") == (not past or ("local_window_size" in attributes and total > 3))


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("attributes", [{}, {"local_window_size": 2}, {"causal": 0}, {"do_rotary": 1}])
@pytest.mark.parametrize(
    ("length", "past", "total", "ends"),
    [
        (1, 5, 6, (5, 2)),  # the cache grows by one
        (1, 7, 6, (5, 0)),  # it stays, and has unused positions
        (3, 4, 7, (4,)),  # further tokens of one sequence
        (3, 9, 8, (7,)),
        (4, 0, 4, (3, 1)),  # the first tokens, with padding behind them
        (4, 6, 4, (3, 3)),
    ],
)
def test_lengths_of_sequences(constant, attributes, length, past, total, ends, random):
    batch = len(ends)
    if length == 4 and "local_window_size" in attributes:
        ends = (3,) * batch  # kernels disagree on what padding sees
    inputs = [*projections(random, batch, length), *cache(random, batch, past)]
    inputs += [const(ends, np.int32) if constant else lengths(*ends), const(total, np.int32)]
    if "do_rotary" in attributes:
        inputs += [const(random(9, 8), F), const(random(9, 8), F)]
    check_contrib("GroupQueryAttention", inputs, [F, F, F], **HEADS, rtol=1e-3, atol=1e-5, **attributes)


def test_lengths_that_an_attention_mask_tells(random):
    """As the model builder of onnxruntime-genai writes it."""
    mask = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    operands = [*projections(random, 2, 1), *cache(random, 2, 5)]
    feeds = {**{f"x{k}": x for k, x in enumerate(operands)}, "mask": mask}
    nodes = [
        helper.make_node("ReduceSum", ["mask", "one"], ["sums"]),
        helper.make_node("Sub", ["sums", "one"], ["less"]),
        helper.make_node("Cast", ["less"], ["lengths"], to=TensorProto.INT32),
        helper.make_node("Shape", ["mask"], ["shape"]),
        helper.make_node("Gather", ["shape", "axis"], ["extent"], axis=0),
        helper.make_node("Cast", ["extent"], ["total"], to=TensorProto.INT32),
        helper.make_node(
            "GroupQueryAttention", ["x0", "x1", "x2", "x3", "x4", "lengths", "total", "cos", "sin"], ["y", "k", "v"],
            domain="com.microsoft", do_rotary=1, **HEADS,
        ),
    ]  # fmt: skip
    constants = {"one": np.array([1]), "axis": np.array(1), "cos": random(8, 8), "sin": random(8, 8)}
    model = onnx_model(nodes, feeds, dict.fromkeys("ykv", Typed(F)), constants, domains=["com.microsoft"])
    result = check(model, list(feeds.values()), rtol=1e-3, atol=1e-5)
    for actual, wanted in zip(run_onnx(to_onnx(result.graph)[1], feeds), run_onnx(model, feeds), strict=True):
        assert_agree(actual, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("sink", ["zero", "of each head", "both"])
@pytest.mark.parametrize("attributes", [{}, {"local_window_size": 2, "softcap": 3.0}])
def test_sinks(sink, attributes, random):
    inputs = [*projections(random, 2, 1), *cache(random, 2, 5), lengths(5, 3), const(6, np.int32), *[None] * 4]
    if sink != "zero":
        inputs.append(const(random(4), F))
    smooth = int(sink != "of each head")
    check_contrib(
        "GroupQueryAttention", inputs, [F, F, F], **HEADS, smooth_softmax=smooth, rtol=1e-3, atol=1e-5, **attributes
    )


@pytest.mark.parametrize("kind", [1, 2])
def test_scores_as_a_result(kind, random):
    inputs = [*projections(random, 2, 4), None, None, lengths(3, 1), const(4, np.int32), None, None, None]
    inputs.append(random(1, 4, 4, 4))
    check_contrib(
        "GroupQueryAttention", inputs, [F, F, F, F], **HEADS, qk_output=kind, softcap=2.0, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("first", [False, True])
def test_positions_of_tokens(first, random):
    inputs: list[Any] = projections(random, 2, 3 if first else 1)
    inputs += [*cache(random, 2, 0 if first else 4), lengths(2, 2), const(3 if first else 5, np.int32)]
    positions = np.array([[3, 0, 1], [7, 5, 2]]) if first else np.array([[3], [7]])
    inputs += [const(random(10, 8), F), const(random(10, 8), F), positions]
    check_contrib("GroupQueryAttention", inputs, [F, F, F], **HEADS, do_rotary=1, rtol=1e-3, atol=1e-5)


def test_padded_chunks(random):
    """query_seqlens; what padding gives is open, so it is not compared."""
    inputs: list[Any] = [*projections(random, 3, 4), *cache(random, 3, 9), lengths(4, 6, 3), const(9, np.int32)]
    inputs += [const(random(10, 8), F), const(random(10, 8), F), *[None] * 7, lengths(2, 4, 1)]
    model = contrib_model("GroupQueryAttention", inputs, [F, F, F], **HEADS, do_rotary=1)
    pick = helper.make_node("GatherND", ["y0", "valid"], ["rows"])
    model.graph.node.append(pick)
    rows = [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [1, 3], [2, 0]]
    model.graph.initializer.append(helper.make_tensor("valid", TensorProto.INT64, [7, 2], np.ravel(rows)))
    del model.graph.output[0]
    model.graph.output.append(helper.make_tensor_value_info("rows", TensorProto.FLOAT, None))
    check(model, [x for x in inputs if isinstance(x, np.ndarray)], rtol=1e-3, atol=1e-5)


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + epsilon) * weight


@pytest.mark.parametrize("epsilons", [{}, {"qk_norm_epsilon": 0.1}, {"q_norm_epsilon": 0.1, "k_norm_epsilon": 0.2}])
def test_norms_of_heads(epsilons, random):
    """The kernels of the processor do not take norms: the expected values are those of normalized operands."""
    operands = projections(random, 2, 4)
    heads = [x.astype(np.float64).reshape(2, 4, -1, 16) for x in operands]
    weights = [random(16), random(16)]
    usual = epsilons.get("qk_norm_epsilon", 1e-6)
    chosen = [epsilons.get(f"{name}_norm_epsilon", usual) for name in "qk"]
    q, k = (rms_norm(*item) for item in zip(heads, weights, chosen, strict=False))
    q, k, v = (np.repeat(x, 4 // x.shape[2], axis=2).transpose(0, 2, 1, 3) for x in (q, k, heads[2]))
    scores = np.where(np.tri(4, dtype=bool), q @ k.swapaxes(2, 3) / 4, -np.inf)
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    expected = (exponentials / exponentials.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(2, 4, 64)
    inputs = [*operands, None, None, const([3, 3], np.int32), const(4, np.int32), *[None] * 7]
    inputs += [const(weight, F) for weight in weights]
    model = contrib_model("GroupQueryAttention", inputs, [F], **HEADS, **epsilons)
    check(model, operands, expected=[expected.astype(F)], rtol=1e-4, atol=1e-5)


DEFAULTS = {
    "causal": 1,
    "k_norm_epsilon": 1e-3,  # of k_norm_weight, which is not given
    "k_quant_type": "NONE",
    "q_norm_epsilon": 1e-3,
    "qk_norm_epsilon": 1e-3,
    "qk_output": 0,
    "sliding_window_cache": 0,
    "v_quant_type": "NONE",
}


@pytest.mark.parametrize("smooth", [-1, 0])
def test_defaults(random, smooth):
    inputs = [*projections(random, 2, 4), None, None, const([3, 3], np.int32), const(4, np.int32)]
    check_contrib(
        "GroupQueryAttention", inputs, [F, F, F], **HEADS, rtol=1e-3, atol=1e-5, smooth_softmax=smooth, **DEFAULTS
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("sliding_window_cache", 1), ("kv_cache_bit_width", 8), ("k_quant_type", "PER_TENSOR"), ("k_scale", 1),
     ("v_quant_type", "PER_CHANNEL"), ("v_scale", 1), ("query_seqlens", 2)],
)  # fmt: skip
def test_what_is_refused_is_named(random, name, value):
    inputs: list[Any] = [*projections(random, 2, 4), None, None, const([3, 3], np.int32), const(4, np.int32)]
    attributes = {}
    later = ["k_scale", "v_scale", "q_norm_weight", "k_norm_weight", "query_seqlens"]
    if name in later:
        inputs += [None] * (5 + later.index(name)) + [const(np.ones(value), np.int32 if "len" in name else F)]
    else:
        attributes[name] = value
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("GroupQueryAttention", inputs, [F, F, F], **HEADS, **attributes), inputs[:3])
    assert re.search(rf"\b{name}\b", "\n".join(raised.value.details))


@pytest.mark.parametrize(
    ("length", "past", "total", "reason"),
    [(1, 4, 7, "total_sequence_length = 7"), (2, 4, 6, "2 new tokens of 2 sequences"), (3, 4, 7, "length 9")],
)
def test_lengths_that_do_not_fit(length, past, total, reason, random):
    batch = 1 if length == 3 else 2
    ends = const([9] if length == 3 else [3, 1], np.int32)
    inputs = [*projections(random, batch, length), *cache(random, batch, past), ends, const(total, np.int32)]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("GroupQueryAttention", inputs, [F, F, F], **HEADS), inputs[:5])
    assert reason in "\n".join(raised.value.details)


def test_computed_extents_are_refused(random):
    inputs = [*projections(random, 1, 1), *cache(random, 1, 4), lengths(4), np.array(5, np.int32)]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("GroupQueryAttention", inputs, [F, F, F], **HEADS), inputs)
    assert "'total_length'" in "\n".join(raised.value.details)

"""Weights in blocks of codes: MatMulNBits, MatMulBnb4 and GatherBlockQuantized against onnxruntime."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array, assert_agree
from ...support.onnx_models import const, contrib_model, run_onnx
from .checks import check, check_contrib, convert, to_onnx

F = np.float32
INDICES = np.array([[0, 3, -1], [6, 2, 5]])


def draw(low: int, high: int, *shape: int) -> Array:
    return np.random.default_rng(0).integers(low, high, shape)


def sent_back(op: str, inputs: list[Any], **attributes: Any) -> None:
    """From NNEF to ONNX it computes what the source does."""
    model = contrib_model(op, inputs, [F], **attributes)
    feeds = {f"x{k}": x for k, x in enumerate(inputs) if isinstance(x, np.ndarray)}
    back = to_onnx(convert(model, list(feeds.values())).graph)[1]
    assert_agree(run_onnx(back, feeds)[0], run_onnx(model, feeds)[0], rtol=1e-4, atol=1e-4)


# products


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("depth", "rows", "block"), [(32, 5, 16), (24, 4, 32), (7, 3, 16)])
def test_code_books(kind, depth, rows, block, random):
    inputs = [random(2, 3, depth), const(draw(0, 256, (depth * rows + 1) // 2), np.uint8)]
    inputs.append(const(np.abs(random(-(-depth * rows // block))), F))
    sizes = {"K": depth, "N": rows, "block_size": block, "quant_type": kind}
    assert check_contrib("MatMulBnb4", inputs, rtol=1e-4, atol=1e-5, **sizes).ops[-1] == "matmul"
    sent_back("MatMulBnb4", inputs, **sizes)


@pytest.mark.parametrize("kind", [0, 1])
def test_code_books_that_are_not_transposed(kind, random):
    """The kernel of onnxruntime ignores transB = 0: the expected values are those of its weights."""
    depth, rows, block = 32, 5, 16
    parameters = [const(draw(0, 256, depth * rows // 2), np.uint8), const(np.abs(random(depth * rows // block)), F)]
    sizes = {"K": depth, "N": rows, "block_size": block, "quant_type": kind}
    eye = np.eye(depth, dtype=F)
    weights = run_onnx(contrib_model("MatMulBnb4", [eye, *parameters], [F], **sizes), {"x0": eye})[0].T
    x = random(2, rows)
    model = contrib_model("MatMulBnb4", [x, *parameters], [F], transB=0, **sizes)
    check(model, [x], expected=[x @ weights], rtol=1e-4, atol=1e-5)


def packed_weights(random, bits, depth=40, rows=5, block=16):
    blocks = -(-depth // block)
    scales = const(random(rows, blocks), F)
    return [random(2, depth), const(draw(0, 256, rows, blocks, block * bits // 8), np.uint8), scales]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zeros", [False, True])
def test_packed_weights_with_bias(bits, zeros, random):
    inputs = packed_weights(random, bits)
    inputs += [const(draw(0, 256, 5, -(-3 * bits // 8)), np.uint8) if zeros else None, None, const(random(5), F)]
    check_contrib("MatMulNBits", inputs, K=40, N=5, bits=bits, block_size=16, rtol=1e-4, atol=1e-3)
    sent_back("MatMulNBits", inputs, K=40, N=5, bits=bits, block_size=16)


def test_blocks_in_another_order(random):
    inputs, order = packed_weights(random, 4), [0, 2, 1, 1] * 10
    sizes = {"K": 40, "N": 5, "block_size": 16}
    indexed = [*inputs, None, const(order, np.int32)]
    assert not check_contrib("MatMulNBits", indexed, rtol=1e-4, atol=1e-4, **sizes).converter.warnings
    zeros = draw(0, 16, 5, 4)
    packed = const(zeros[:, ::2] + 16 * zeros[:, 1::2], np.uint8)  # kernels ignore these
    codes = np.stack([inputs[1].array & 15, inputs[1].array >> 4], -1).reshape(5, -1)[:, :40].astype(F)
    weights = (codes - zeros[:, order]) * inputs[2].array[:, order]
    model = contrib_model("MatMulNBits", [*inputs, packed, const(order, np.int32)], [F], **sizes)
    result = check(model, inputs[:1], expected=[inputs[0] @ weights.T], rtol=1e-4, atol=1e-4)
    assert any("g_idx" in text for text in result.converter.warnings)


@pytest.mark.parametrize("biased", [False, True])
def test_weights_that_are_left_out(biased, random):
    inputs = [random(2, 40), const(np.zeros((5, 0, 8)), np.uint8), const(np.zeros((5, 3)), F)]
    inputs += [None, None, const(random(5), F)] if biased else []
    check_contrib("MatMulNBits", inputs, K=40, N=5, block_size=16)


# embeddings


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zeros", [False, True])
def test_embeddings_of_bytes(bits, zeros, random):
    inputs = [const(draw(0, 256, 7, 64 * bits // 8), np.uint8), INDICES, const(random(7, 4), F)]
    inputs += [const(draw(0, 256, 7, 4 * bits // 8), np.uint8)] if zeros else []
    result = check_contrib("GatherBlockQuantized", inputs, bits=bits, block_size=16)
    assert result.ops.count("gather") == 2 + zeros or not zeros
    stored = next(t for t in result.graph.tensors if t.data is not None and t.shape == (7, 64))
    assert np.dtype(stored.dtype).name == f"uint{bits}"
    sent_back("GatherBlockQuantized", inputs, bits=bits, block_size=16)


@pytest.mark.parametrize("dtype", [ml_dtypes.uint4, ml_dtypes.int4])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(
    ("gathered", "blocked", "shape"),
    [(0, 1, (7, 40)), (1, 0, (40, 7)), (0, 2, (7, 3, 40)), (1, -1, (3, 7, 40)), (1, 1, (7, 40)), (0, 0, (40, 7))],
)
def test_embeddings_of_small_codes(dtype, zeros, gathered, blocked, shape, random):
    low = -8 if dtype is ml_dtypes.int4 else 0
    blocks = list(shape)
    blocks[blocked] = -(-shape[blocked] // 16)
    inputs = [const(draw(low, low + 16, *shape), dtype), INDICES, const(random(*blocks), F)]
    inputs += [const(draw(low, low + 16, *blocks), dtype)] if zeros else []
    check_contrib("GatherBlockQuantized", inputs, block_size=16, gather_axis=gathered, quantize_axis=blocked)


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float4_e2m1fn])
@pytest.mark.parametrize(("scales", "block"), [((7, 3), 16), ((1, 3), 16), ((7, 1), 0), ((1, 1), 0)])
def test_embeddings_of_small_floats(dtype, scales, block, random):
    inputs = [const(random(7, 40), dtype), INDICES, const(np.abs(random(*scales)), F)]
    factors = np.broadcast_to(np.repeat(inputs[2].array, 40 if block == 0 else 16, axis=1)[:, :40], (7, 40))
    expected = (inputs[0].array.astype(F) * factors)[INDICES]
    model = contrib_model("GatherBlockQuantized", inputs, [F], block_size=block)
    check(model, [INDICES], expected=[expected])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "reason"),
    [
        ("MatMulNBits", [(2, 40), (5, 3, 8), (5, 3)], {"K": 40, "N": 5, "block_size": 16, "bits": 3}, "bits = 3"),
        (
            "MatMulNBits", [(2, 40), (5, 3, 8), (5, 3)], {"K": 40, "N": 5, "block_size": 16, "weight_prepacked": 1},
            "weight_prepacked",
        ),
        ("MatMulBnb4", [(2, 4), (4,), (1,)], {"K": 4, "N": 2, "block_size": 16, "quant_type": 2}, "quant_type = 2"),
        ("MatMulBnb4", [(2, 4), (3,), (1,)], {"K": 4, "N": 2, "block_size": 16, "quant_type": 1}, "6 codes"),
    ],
)  # fmt: skip
def test_what_is_refused(op, inputs, attributes, reason, random):
    x, packed, scales = inputs
    arguments = [random(*x), const(draw(0, 256, *packed), np.uint8), const(random(*scales), F)]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model(op, arguments, [F], **attributes), arguments[:1])
    assert reason in "\n".join(raised.value.details)

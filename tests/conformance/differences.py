"""Cases whose result may differ from the expected one, with the numeric reason and the check that it is the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..support.arrays import Array
from ..support.onnx_models import run_unoptimized
from .suite import Case

BFLOAT16_STEP = 2.0**-7
"""The distance of 1 to the next number in bfloat16."""


@dataclass(frozen=True)
class Difference:
    """reason: why the results differ. explains: does it, given the case and what was computed for it?"""

    reason: str
    explains: Callable[[Case, Sequence[Array]], bool]


def _within_bfloat16(case: Case, results: Sequence[Array]) -> bool:
    """Within a step of bfloat16 at the magnitude of the output."""
    for result, expected in zip(results, case.outputs, strict=True):
        wanted = expected.astype(np.float64)
        magnitude = np.abs(wanted, where=np.isfinite(wanted), out=np.zeros_like(wanted)).max()
        if not np.allclose(result, wanted, rtol=0.0, atol=BFLOAT16_STEP * magnitude, equal_nan=True):
            return False
    return True


_BFLOAT16 = Difference("the reference rounds every intermediate result to bfloat16, NNEF rounds none", _within_bfloat16)


def _as_onnxruntime(case: Case, results: Sequence[Array]) -> bool:
    """What onnxruntime computes."""
    expected = run_unoptimized(case.model, case.inputs)
    return all(np.allclose(*pair, rtol=0.0, atol=1e-5) for pair in zip(results, expected, strict=True))


_ALIGNED = Difference(
    "the reference aligns the corners of a length that is no whole number, onnxruntime and PyTorch those of the result",
    _as_onnxruntime,
)
DIFFERENCES: dict[str, Difference] = {
    **dict.fromkeys(
        (
            "test_attention_3d_causal_bf16",
            "test_attention_3d_causal_bf16_expanded",
            "test_attention_4d_attn_mask_causal_bf16",
            "test_attention_4d_attn_mask_causal_bf16_expanded",
            "test_attention_4d_causal_bf16",
            "test_attention_4d_causal_bf16_expanded",
            "test_attention_4d_causal_padded_kv_bf16",
            "test_attention_4d_causal_padded_kv_bf16_expanded",
            "test_attention_4d_padded_kv_bf16",
            "test_attention_4d_padded_kv_bf16_expanded",
            "test_cast_FLOAT_to_BFLOAT16",
            "test_castlike_FLOAT_to_BFLOAT16",
            "test_castlike_FLOAT_to_BFLOAT16_expanded",
            "test_celu_bfloat16",
            "test_celu_bfloat16_expanded",
        ),
        _BFLOAT16,
    ),
    **dict.fromkeys(
        (
            "test_resize_downsample_scales_cubic_align_corners",
            "test_resize_downsample_scales_linear_align_corners",
        ),
        _ALIGNED,
    ),
}

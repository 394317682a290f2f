"""Matrix products."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...engine.rules import to_nnef


@to_nnef("tflite", "FULLY_CONNECTED")
def fully_connected(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    weights_format: str = "DEFAULT",
    keep_num_dims: bool = False,
    asymmetric_quantize_inputs: bool = False,
    quantized_bias_type: int = 0,
) -> Tensor:
    """FULLY_CONNECTED -> linear, or matmul without bias. The filter is `[out, in]`; the input becomes a matrix."""
    if weights_format != "DEFAULT":
        raise Unsupported(f"weights_format = {weights_format!r}")
    units, depth = shape(w)
    extents = shape(x)
    matrix = reshape(b, x, [-1, depth] if len(extents) != 2 or extents[1] != depth else extents)
    if bias is None:
        y = b.matmul(matrix, w, transposeB=True)
    else:
        y = b.linear(matrix, w, reshape(b, bias, [1, units]))
    return reshape(b, y, [*extents[:-1], units]) if keep_num_dims else y

"""Small quantized models of the TFLite dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.io.tf.lite import Writer
from nnef_tools.model import Graph, Operation, Tensor

Array = np.ndarray[Any, Any]
CODES = {np.int8: (-128, 0.05), np.uint8: (0, 0.05), np.int16: (0, 0.0005)}
"""Type of the codes of activations -> lowest code, or zero point of int16, and scale."""


def entry(scale: Any, zero_point: Any = 0, axis: int = 0) -> dict[str, Any]:
    """The `quant` of a tensor of the TFLite dialect."""
    return {"scale": scale, "zero_point": zero_point, "quantized_dimension": axis}


def classifier(dtype: Any = np.int8, *, per_channel: bool = True, seed: int = 0) -> Graph:
    """Convolution with a fused RELU, max pooling, a matrix product and a softmax, with all tensors quantized."""
    random = np.random.default_rng(seed)
    graph = Graph("classifier")
    zero_point, scale = CODES[dtype]
    bias_type = np.int64 if dtype is np.int16 else np.int32
    middle = {np.int8: 3, np.uint8: 131, np.int16: 0}[dtype]
    softmax = {np.int8: (1 / 256, -128), np.uint8: (1 / 256, 0), np.int16: (1 / 32768, 0)}[dtype]

    def computed(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> Tensor:
        return Tensor(graph, name, shape, dtype, quant=entry(np.float32(scale).item(), zero_point))

    def weights(name: str, shape: tuple[int, ...], channels: int, input_scale: float) -> tuple[Tensor, Tensor]:
        codes = random.integers(-127, 127, shape, dtype=np.int8, endpoint=True)
        scales = random.uniform(0.002, 0.01, channels).astype(np.float32) if per_channel else np.float32(0.004)
        zeros: Any = np.zeros(channels, np.int64) if per_channel else 0
        quant = entry(scales if per_channel else float(scales), zeros)
        biases = random.integers(-800, 800, channels).astype(bias_type)
        of_bias = (scales * np.float32(input_scale)).astype(np.float32)
        return (
            Tensor(graph, name, shape, np.int8, codes, quant=quant),
            Tensor(
                graph, f"{name}_bias", (channels,), bias_type, biases,
                quant=entry(of_bias if per_channel else float(of_bias), zeros),
            ),
        )  # fmt: skip

    x = computed("x", (1, 8, 6, 3), scale, middle)
    y = computed("convolved", (1, 8, 6, 4), scale * 1.5, zero_point)
    filter, bias = weights("filter", (4, 3, 3, 3), 4, scale)
    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    dilation = {"dilation_h_factor": 1, "dilation_w_factor": 1}
    Operation(
        graph, "CONV_2D", attribs={**window, **dilation, "fused_activation_function": "RELU"},
        inputs=(x, filter, bias), outputs=(y,),
    )  # fmt: skip
    pooled = computed("pooled", (1, 4, 3, 4), scale * 1.5, zero_point)
    pool = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    Operation(
        graph, "MAX_POOL_2D", attribs={**pool, "fused_activation_function": "NONE"}, inputs=(y,), outputs=(pooled,)
    )
    flat = computed("flat", (1, 48), scale * 1.5, zero_point)
    shape = Tensor(graph, "shape", (2,), np.int32, np.array([1, 48], np.int32))
    Operation(graph, "RESHAPE", attribs={"new_shape": [1, 48]}, inputs=(pooled, shape), outputs=(flat,))
    matrix, offset = weights("matrix", (5, 48), 5, scale * 1.5)
    scores = computed("scores", (1, 5), scale, middle)
    connected = {"weights_format": "DEFAULT", "keep_num_dims": False, "asymmetric_quantize_inputs": False}
    Operation(
        graph, "FULLY_CONNECTED", attribs={**connected, "fused_activation_function": "NONE"},
        inputs=(flat, matrix, offset), outputs=(scores,),
    )  # fmt: skip
    result = computed("result", (1, 5), *softmax)
    Operation(graph, "SOFTMAX", attribs={"beta": 1.0}, inputs=(scores,), outputs=(result,))
    graph.inputs, graph.outputs = [x], [result]
    return graph


def written(graph: Graph, folder: Path) -> Path:
    """The model as a file in the folder."""
    path = folder / f"{graph.name}.tflite"
    Writer()(graph, str(path))
    return path


def random_codes(shape: tuple[int, ...], dtype: Any, seed: int) -> Array:
    """Codes from all of the range of a type."""
    ends = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(ends.min, ends.max, shape, dtype=dtype, endpoint=True)


def described(tensor: Tensor) -> tuple[Any, ...]:
    """What has to come back of a tensor, as bits."""
    quant = tensor.quant or {}
    parameters = [np.asarray(quant.get("scale"), np.float32), np.asarray(quant.get("zero_point"), np.int64)]
    data = None if tensor.data is None else np.asarray(tensor.data).tobytes()
    axis = quant.get("quantized_dimension") or 0
    return tensor.shape, tensor.dtype, data, *(item.tobytes() for item in parameters), axis


def operators(graph: Graph) -> list[tuple[Any, ...]]:
    """Each operator with what its quantized tensors are."""
    return [
        (
            op.type,
            op.attribs.get("fused_activation_function"),
            [described(t) for t in (*op.inputs, *op.outputs) if (t.quant or {}).get("scale") is not None],
        )
        for op in graph.operations
    ]

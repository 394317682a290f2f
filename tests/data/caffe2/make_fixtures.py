"""Makes `nets/NAME.zip`: small Caffe2 models, with inputs and the outputs that Caffe2 itself computes.

Needs Python 3.9 with `pip install torch==1.10.2 "numpy<1.24" "protobuf<3.21" future six`, the last release with Caffe2:

    python make_fixtures.py nets

An archive has predict_net.pb, init_net.pb, value_info.json and data.npz, which has the arrays `in:NAME` and `out:NAME`.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from caffe2.proto import caffe2_pb2
from caffe2.python import brew, core, workspace
from caffe2.python.model_helper import ModelHelper
from caffe2.python.models import resnet, shufflenet

Arrays = dict[str, np.ndarray]
ONNX_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
FILLERS = {
    "float32": ("GivenTensorFill", float),
    "float64": ("GivenTensorDoubleFill", float),
    "int32": ("GivenTensorIntFill", int),
    "int64": ("GivenTensorInt64Fill", int),
    "bool": ("GivenTensorBoolFill", bool),
}
FILES = ("predict_net.pb", "init_net.pb", "value_info.json", "data.npz")
EPOCH = (2020, 1, 1, 0, 0, 0)

models: dict[str, tuple[bytes, bytes, str, bytes]] = {}


def random(name: str, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Numbers that depend on the name alone."""
    seeded = np.random.RandomState(zlib.crc32(name.encode()))
    return seeded.uniform(low, high, shape).astype(np.float32)


def filler(name: str, array: np.ndarray) -> Any:
    """The operator that gives a blob its value."""
    type, item = FILLERS[array.dtype.name]
    return core.CreateOperator(type, [], [name], shape=array.shape, values=[item(v) for v in array.reshape(-1)])


def record(name: str, predict: Any, init: Any, inputs: Arrays) -> None:
    """Runs a model and keeps it with its inputs and outputs."""
    workspace.ResetWorkspace()
    workspace.RunNetOnce(init)
    for blob, array in inputs.items():
        workspace.FeedBlob(blob, array)
    workspace.RunNetOnce(predict)
    data = {f"in:{blob}": array for blob, array in inputs.items()}
    for blob in predict.external_output:
        value = workspace.FetchInt8Blob(blob) if blob in predict_int8(predict) else workspace.FetchBlob(blob)
        if isinstance(value, workspace.Int8Tensor):
            data[f"out:{blob}"] = value.data
            data[f"step:{blob}"] = np.asarray([value.scale, value.zero_point], np.float32)
        else:
            data[f"out:{blob}"] = value
    info = {blob: [ONNX_TYPES[a.dtype.name], list(a.shape)] for blob, a in inputs.items()}
    packed = io.BytesIO()
    np.savez(packed, **data)
    assert name not in models, name
    models[name] = (predict.SerializeToString(), init.SerializeToString(), json.dumps(info), packed.getvalue())


def predict_int8(predict: Any) -> set[str]:
    """The blobs of a net that hold codes with a scale."""
    return {
        blob for op in predict.op if op.type.startswith("Int8") and op.type != "Int8Dequantize" for blob in op.output
    }


def net(
    name: str,
    operators: Sequence[tuple[Any, ...]],
    inputs: Arrays,
    params: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
) -> None:
    """A model of operators (type, inputs, outputs, arguments), blobs separated by spaces.

    params: blob -> its value, or the operator that makes it.
    """
    params = params or {}
    predict, init = caffe2_pb2.NetDef(name=name), caffe2_pb2.NetDef(name=f"{name}_init")
    for type, sources, results, *arguments in operators:
        keywords = dict(arguments[0]) if arguments else {}
        predict.op.add().CopyFrom(core.CreateOperator(type, sources.split(), results.split(), **keywords))
    predict.external_input.extend([*inputs, *params])
    predict.external_output.extend(outputs)
    for blob, value in params.items():
        init.op.add().CopyFrom(filler(blob, value) if isinstance(value, np.ndarray) else value)
    record(name, predict, init, inputs)


def one(
    type: str, x: np.ndarray | None, params: Mapping[str, Any] | None = None, *, label: str = "", **args: Any
) -> None:
    """A model of one operator with the input x and its parameters."""
    name = type.lower() + (f"_{label}" if label else "")
    inputs = {} if x is None else {"x": x}
    net(name, [(type, " ".join([*inputs, *(params or {})]), "y", args)], inputs, params)


def weights(label: str, *shape: int) -> Arrays:
    """A filter and a bias."""
    return {"w": random(f"w{label}", *shape, low=-1, high=1), "b": random(f"b{label}", shape[0])}


def convolutions() -> None:
    x = random("conv", 2, 4, 9, 8)
    w = weights("conv", 6, 4, 3, 3)
    one("Conv", x, w, kernel=3)
    one("Conv", x, w, label="stride_pad", kernel_h=3, kernel_w=3, stride=2, pad=1, order="NCHW", engine="NNPACK")
    one("Conv", x, w, label="sides", kernels=[3, 3], strides=[2, 1], pad_t=1, pad_l=0, pad_b=2, pad_r=1)
    one("Conv", x, w, label="pads", kernel=3, stride_h=1, stride_w=2, pads=[0, 1, 2, 1], dilation=2)
    one("Conv", x, weights("group", 6, 2, 3, 3), label="group", kernel=3, pad=1, group=2, dilations=[1, 2])
    one("Conv", x, weights("depth", 4, 1, 3, 3), label="depthwise", kernel=3, pad=1, group=4)
    one("Conv", x, {"w": w["w"]}, label="no_bias", kernel=3, no_bias=1)
    one("Conv", x, w, label="valid", kernel=3, stride=2, legacy_pad=1)
    one("Conv", x, w, label="same", kernel=3, stride=2, legacy_pad=2)
    one("Conv", x, weights("even", 6, 4, 2, 4), label="same_even", kernel_h=2, kernel_w=4, stride=1, legacy_pad=2)
    one("Conv", random("nhwc", 2, 9, 8, 4), weights("nhwc", 6, 3, 3, 4), label="nhwc", kernel=3, pad=1, order="NHWC")
    one("Conv", random("1d", 2, 4, 9), weights("1d", 6, 4, 3), label="1d", kernels=[3], strides=[2], pads=[1, 1])
    one(
        "Conv",
        random("3d", 1, 2, 5, 6, 7),
        weights("3d", 3, 2, 3, 2, 1),
        label="3d",
        kernels=[3, 2, 1],
        pads=[1, 0, 0, 1, 1, 0],
    )
    one("Conv2D", x, w, kernel=3, pad=1)
    one("Conv1D", random("1d", 2, 4, 9), weights("1d", 6, 4, 3), kernels=[3], pads=[1, 1])
    one("Conv3D", random("3d", 1, 2, 5, 6, 7), weights("33", 3, 2, 3, 3, 3), kernels=[3, 3, 3], strides=[2, 2, 2])
    t = {"w": random("wt", 4, 5, 3, 3, low=-1, high=1), "b": random("bt", 5)}
    one("ConvTranspose", x, t, kernel=3)
    one("ConvTranspose", x, t, label="stride", kernel=3, stride=2, pad=1, adj=1)
    one("ConvTranspose", x, t, label="sides", kernels=[3, 3], strides=[3, 2], pads=[1, 0, 2, 1], adjs=[2, 0])
    one("ConvTranspose", x, {"w": t["w"]}, label="no_bias", kernel=3, stride=2, no_bias=1)
    one(
        "ConvTranspose",
        x,
        {"w": random("wg", 4, 3, 2, 2), "b": random("bg", 6)},
        label="group",
        kernel=2,
        stride=2,
        group=2,
    )
    one(
        "ConvTranspose",
        random("nhwc", 2, 5, 6, 4),
        {"w": random("wn", 4, 3, 3, 5), "b": t["b"]},
        label="nhwc",
        kernel=3,
        stride=2,
        order="NHWC",
    )


def pools() -> None:
    x = random("pool", 2, 3, 9, 8)
    n = random("pool_nhwc", 2, 9, 8, 3)
    for type in ("MaxPool", "AveragePool"):
        one(type, x, kernel=3, stride=2)
        one(type, x, label="pad", kernel=3, stride=2, pad=1)
        one(type, x, label="sides", kernel_h=2, kernel_w=3, stride_h=1, stride_w=2, pad_t=1, pad_l=2, pad_b=0, pad_r=1)
        one(type, x, label="caffe", kernel=2, stride=2, pad=1, legacy_pad=3)
        one(type, x, label="caffe_ceil", kernel=3, stride=2, legacy_pad=3)
        one(type, x, label="same", kernel=3, stride=2, legacy_pad=2)
        one(type, x, label="same_cropped", kernel=1, stride=3, legacy_pad=2)
        one(type, x, label="valid", kernel=3, stride=2, legacy_pad=1)
        one(type, x, label="global", global_pooling=1)
        one(type, n, label="nhwc", kernel=3, stride=2, pad=1, order="NHWC")
        one(type, n, label="nhwc_global", global_pooling=1, order="NHWC")
        one(type, random("pool1", 2, 3, 9), label="1d", kernels=[3], strides=[2], pads=[1, 1])
        one(type, random("pool3", 1, 2, 5, 6, 4), label="3d", kernels=[3, 2, 2], strides=[2, 1, 2])
    one("AveragePool", x, label="count", kernel=3, stride=2, pad=1, count_include_pad=1)
    one("MaxPool2D", x, kernel=2, stride=2)
    one("LpPool", x, kernel=2, stride=2, p=2.0)
    one("LpPool", x, label="p3", kernel=3, stride=2, p=3.0)


def normalizations() -> None:
    x, n = random("norm", 2, 4, 5, 3), random("norm_nhwc", 2, 5, 3, 4)
    scale, bias = random("scale", 4), random("bias", 4)
    stats = {"s": scale, "b": bias, "m": random("mean", 4), "v": random("var", 4, low=0.5, high=2)}
    one("SpatialBN", x, stats, is_test=1)
    one("SpatialBN", n, stats, label="nhwc", is_test=1, epsilon=0.1, order="NHWC")
    one("SpatialBN", random("norm3", 2, 4, 5), stats, label="rank3", is_test=1, epsilon=1e-3)
    one("SpatialBN", random("norm2", 3, 4), stats, label="rank2", is_test=1)
    net(
        "lrn",
        [("LRN", "x", "y y_scale", {"size": 3, "alpha": 0.5, "beta": 0.75, "bias": 2.0})],
        {"x": random("lrn", 2, 7, 4, 3)},
        outputs=("y", "y_scale"),
    )
    one("LRN", random("lrn_nhwc", 2, 4, 3, 7), label="nhwc", size=5, alpha=1e-1, beta=0.5, order="NHWC")
    one("InstanceNorm", x, {"s": scale, "b": bias})
    one("InstanceNorm", n, {"s": scale, "b": bias}, label="nhwc", order="NHWC", epsilon=0.01)
    net("groupnorm", [("GroupNorm", "x s b", "y", {"group": 2, "epsilon": 0.01})], {"x": x}, {"s": scale, "b": bias})
    net(
        "groupnorm_nhwc",
        [("GroupNorm", "x s b", "y m v", {"group": 2, "order": "NHWC"})],
        {"x": n},
        {"s": scale, "b": bias},
    )
    three = ("y", "m", "d")
    net("layernorm", [("LayerNorm", "x", "y m d", {})], {"x": x}, outputs=three)
    net("layernorm_axis", [("LayerNorm", "x", "y m d", {"axis": 2, "epsilon": 0.05})], {"x": x}, outputs=three)
    net(
        "layernorm_affine",
        [("LayerNorm", "x s b", "y m d", {"axis": -1, "elementwise_affine": True})],
        {"x": n},
        {"s": scale, "b": bias},
    )
    one("Normalize", x)
    one("Normalize", x, label="axis", axis=1)
    one("NormalizeL1", x, label="axis", axis=2)
    one("LpNorm", x)
    one("LpNorm", x, label="l1", p=1, average=1)
    net("moments", [("Moments", "x", "y v", {"axes": [0, 2, 3], "keepdims": 0})], {"x": x}, outputs=("y", "v"))


def products() -> None:
    x = random("fc", 2, 3, 4)
    one("FC", random("fc2", 3, 5), weights("fc2", 4, 5))
    one("FC", x, weights("fc", 5, 12), label="flattens")
    one("FC", x, weights("fc_axis", 5, 4), label="axis2", axis=2)
    one("FC", x, {"w": random("w4", 5, 3, 4), "b": random("b4", 5)}, label="weights", axis_w=1)
    one("FCTransposed", x, {"w": random("wt", 12, 5), "b": random("bt", 5)})
    a, b = random("a", 3, 4), random("b", 4, 5)
    net("matmul", [("MatMul", "x w", "y")], {"x": a}, {"w": b})
    net("matmul_trans", [("MatMul", "x w", "y", {"trans_a": 1, "trans_b": 1})], {"x": a.T.copy()}, {"w": b.T.copy()})
    net(
        "matmul_axes",
        [("MatMul", "x w", "y", {"axis_a": 2, "axis_b": 2})],
        {"x": random("x", 2, 3, 4)},
        {"w": random("w", 2, 2, 5)},
    )
    p, q = random("p", 2, 3, 4), random("q", 2, 4, 5)
    net("batchmatmul", [("BatchMatMul", "a b", "y")], {"a": p, "b": q})
    net(
        "batchmatmul_trans",
        [("BatchMatMul", "a b", "y", {"trans_a": 1, "trans_b": 1})],
        {"a": random("p", 2, 4, 3), "b": random("q", 2, 5, 4)},
    )
    net(
        "batchmatmul_broadcast",
        [("BatchMatMul", "a b", "y", {"broadcast": 1})],
        {"a": random("p", 3, 4), "b": random("q", 2, 6, 4, 5)},
    )
    net("dotproduct", [("DotProduct", "a b", "y")], {"a": a, "b": random("a2", 3, 4)})
    one("ElementwiseLinear", a, {"w": random("w", 4), "b": random("b", 4)})
    one("AffineChannel", random("x", 2, 3, 4, 5), {"w": random("w", 3), "b": random("b", 3)})
    one(
        "AffineChannel", random("x", 2, 4, 5, 3), {"w": random("w", 3), "b": random("b", 3)}, label="nhwc", order="NHWC"
    )


def activations() -> None:
    x = random("act", 2, 3, 4)
    for type in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Swish", "LeakyRelu", "Elu", "Selu", "HardSigmoid",
                 "Gelu", "Mish", "Softmax"):  # fmt: skip
        one(type, x)
    one("LeakyRelu", x, label="alpha", alpha=0.3)
    one("Elu", x, label="alpha", alpha=0.7)
    one("Selu", x, label="options", alpha=1.5, scale=1.2)
    one("HardSigmoid", x, label="options", alpha=0.3, beta=0.4)
    one("Gelu", x, label="fast", fast_gelu=1)
    one("ReluN", x, n=1.5)
    one("ThresholdedRelu", x, alpha=0.5)
    one("Clip", x, min=-1.0, max=0.5)
    one("Clip", x, label="above", max=0.5)
    one("Logit", random("p", 2, 5, low=0.01, high=0.99), eps=1e-3)
    one("PRelu", random("p4", 2, 3, 4, 5), {"s": random("slope", 3)})
    one("PRelu", random("p4", 2, 3, 4, 5), {"s": random("slope1", 1)}, label="shared")
    one("PRelu", random("p4n", 2, 4, 5, 3), {"s": random("slope", 3)}, label="nhwc", order="NHWC")
    one("Glu", random("glu", 2, 6))
    one("Glu", random("glu3", 2, 4, 3), label="dim", dim=1)
    one("Softmax", random("s2", 3, 5), label="matrix")
    one("Softmax", x, label="axis2", axis=2)
    one("Softmax", x, label="last", axis=-1)
    one("Softmax", random("s4", 2, 3, 2, 2), label="axis0", axis=0)


def elementwise() -> None:
    x = random("unary", 2, 3, 4)
    unary = (
        "Exp",
        "Abs",
        "Negative",
        "Sign",
        "Floor",
        "Ceil",
        "Sqr",
        "Cube",
        "Sin",
        "Cos",
        "Sinh",
        "Cosh",
        "Atan",
        "Erf",
        "Cbrt",
    )
    for group in (unary[:8], unary[8:]):
        net(
            "unary_" + group[0].lower(),
            [(t, "x", t.lower()) for t in group],
            {"x": x},
            outputs=[t.lower() for t in group],
        )
    positive = random("positive", 2, 3, low=0.1, high=0.9)
    more = ("Log", "Sqrt", "Rsqrt", "Reciprocal", "Log1p", "Tan", "Asin", "Acos")
    net("unary_log", [(t, "x", t.lower()) for t in more], {"x": positive}, outputs=[t.lower() for t in more])
    a, b = random("a", 2, 3, 4, 5), random("b", 2, 3, 4, 5, low=0.5, high=2)
    names = ("Add", "Sub", "Mul", "Div")
    outs = [n.lower() for n in names]
    net("binary", [(n, "a b", n.lower()) for n in names], {"a": a, "b": b}, outputs=outs)
    net("binary_numpy", [(n, "a b", n.lower()) for n in names], {"a": a, "b": random("b", 4, 1, low=0.5)}, outputs=outs)
    net(
        "binary_axis",
        [(n, "a b", n.lower(), {"broadcast": 1, "axis": 1}) for n in names],
        {"a": a},
        {"b": random("b", 3, low=0.5)},
        outputs=outs,
    )
    net(
        "binary_axis2",
        [(n, "a b", n.lower(), {"broadcast": 1, "axis": 1}) for n in names],
        {"a": a, "b": random("b", 3, 4, low=0.5)},
        outputs=outs,
    )
    net(
        "binary_suffix",
        [(n, "a b", n.lower(), {"broadcast": 1}) for n in names],
        {"a": a},
        {"b": random("b", 4, 5, low=0.5)},
        outputs=outs,
    )
    net(
        "binary_order",
        [(n, "a b", n.lower(), {"broadcast": 1, "axis_str": "C", "order": "NHWC"}) for n in names],
        {"a": a},
        {"b": random("b", 5, low=0.5)},
        outputs=outs,
    )
    net(
        "binary_scalar",
        [(n, "a b", n.lower(), {"broadcast": 1}) for n in names],
        {"a": a},
        {"b": np.asarray([1.5], np.float32)},
        outputs=outs,
    )
    one("Pow", b, exponent=2.5)
    net("pow_tensor", [("Pow", "a b", "y", {"broadcast": 1})], {"a": b}, {"b": random("e", 5)})
    c = random("c", 2, 3, 4, 5)
    net(
        "several",
        [(n, "a b c", n.lower()) for n in ("Sum", "Max", "Min", "Mean")],
        {"a": a, "b": b, "c": c},
        outputs=("sum", "max", "min", "mean"),
    )
    net("sumrelu", [("SumRelu", "a b", "y")], {"a": a, "b": -b})
    net("weightedsum", [("WeightedSum", "a u b v", "y")], {"a": a, "b": b}, {"u": random("u", 1), "v": random("v", 1)})
    comparisons = ("EQ", "NE", "LT", "LE", "GT", "GE")
    i = np.arange(12, dtype=np.int32).reshape(3, 4)
    net(
        "comparisons",
        [(n, "a b", n.lower()) for n in comparisons],
        {"a": i, "b": i[:, ::-1].copy()},
        outputs=[n.lower() for n in comparisons],
    )
    logical = [
        ("GT", "a z", "p"),
        ("LT", "b z", "q"),
        ("And", "p q", "and"),
        ("Or", "p q", "or"),
        ("Xor", "p q", "xor"),
        ("Not", "p", "not"),
    ]
    z = core.CreateOperator("ConstantFill", [], ["z"], shape=[1], value=1.0)
    net("logical", logical, {"a": a, "b": b}, {"z": z}, outputs=("and", "or", "xor", "not"))
    net("where", [("GT", "a b", "c"), ("Where", "c a b", "y")], {"a": a, "b": b})
    one("Cast", x, label="int", to=core.DataType.INT32)
    net("cast_float", [("Cast", "x", "i", {"to": "int64"}), ("Cast", "i", "y", {"to": core.DataType.FLOAT})], {"x": x})
    net("cast_bool", [("Floor", "x", "f"), ("Cast", "f", "y", {"to": core.DataType.BOOL})], {"x": x})
    one("Scale", x, scale=0.25)
    net(
        "mod",
        [("Mod", "x", "y", {"divisor": 3}), ("Mod", "x", "z", {"divisor": 3, "sign_follow_divisor": True})],
        {"x": i - 6},
        outputs=("y", "z"),
    )


def moves() -> None:
    x = random("moves", 2, 6, 4, 3)
    net("concat", [("Concat", "a b", "y info", {"axis": 2})], {"a": x, "b": random("c", 2, 6, 1, 3)})
    net("concat_order", [("Concat", "a b", "y info", {"order": "NCHW"})], {"a": x, "b": random("c", 2, 2, 4, 3)})
    net("concat_nhwc", [("Concat", "a b", "y info", {"order": "NHWC"})], {"a": x, "b": random("c", 2, 6, 4, 2)})
    net("concat_negative", [("Concat", "a b", "y info", {"axis": -1})], {"a": x, "b": random("c", 2, 6, 4, 2)})
    net("concat_default", [("Concat", "a b", "y info", {})], {"a": x, "b": random("c", 2, 2, 4, 3)})
    net("concat_add", [("Concat", "a b", "y info", {"axis": 1, "add_axis": 1})], {"a": x, "b": random("c", 2, 6, 4, 3)})
    net("depthconcat", [("DepthConcat", "a b", "y info", {})], {"a": x, "b": random("c", 2, 2, 4, 3)})
    two = ("y", "z")
    net("split", [("Split", "x", "y z", {"axis": 1})], {"x": x}, outputs=two)
    net("split_sizes", [("Split", "x", "y z", {"axis": 1, "split": [2, 4]})], {"x": x}, outputs=two)
    net(
        "split_input",
        [("Split", "x s", "y z", {"axis": 1})],
        {"x": x},
        {"s": np.asarray([1, 5], np.int32)},
        outputs=two,
    )
    net("split_order", [("Split", "x", "y z w", {"order": "NHWC"})], {"x": x}, outputs=("y", "z", "w"))
    net("split_default", [("Split", "x", "y z w", {})], {"x": x}, outputs=("y", "z", "w"))
    net("split_remove", [("Split", "x", "y z", {"axis": 0, "add_axis": 1})], {"x": x}, outputs=two)
    one("Slice", x, starts=[0, 1, 0, 0], ends=[-1, 4, -1, -1])
    one("Slice", x, label="negative", starts=[0, 0, 0, 0], ends=[-1, -3, -1, -1])
    net(
        "slice_inputs",
        [("Slice", "x s e", "y")],
        {"x": x},
        {"s": np.asarray([0, 0, 1, 0], np.int32), "e": np.asarray([-1, -1, 3, -1], np.int32)},
    )
    one("Transpose", x)
    one("Transpose", x, label="axes", axes=[0, 2, 3, 1])
    net("layouts", [("NCHW2NHWC", "x", "t"), ("Relu", "t", "t"), ("NHWC2NCHW", "t", "y")], {"x": x}, outputs=("t", "y"))
    one("Flatten", x)
    one("Flatten", x, label="axis", axis=2)
    one("FlattenToVec", x)
    net("reshape", [("Reshape", "x", "y old", {"shape": [0, -1, 3]})], {"x": x})
    net("reshape_input", [("Reshape", "x s", "y old", {})], {"x": x}, {"s": np.asarray([4, -1], np.int64)})
    net(
        "reshape_old",
        [("Reshape", "x", "t old", {"shape": [-1, 3]}), ("Relu", "t", "t"), ("Reshape", "t old", "y old2")],
        {"x": x},
    )
    net("reshape_shape", [("Shape", "z", "s"), ("Reshape", "x s", "y old")], {"x": x, "z": random("z", 12, 12)})
    net(
        "dims",
        [("ExpandDims", "x", "t", {"dims": [0, 3]}), ("Squeeze", "t", "y", {"dims": [0]})],
        {"x": x},
        outputs=("t", "y"),
    )
    net("mergedim", [("MergeDim", "x", "y"), ("PrependDim", "x", "z", {"dim_size": 2})], {"x": x}, outputs=two)
    one("Tile", x, tiles=3, axis=2)
    net(
        "tile_inputs",
        [("Tile", "x n k", "y")],
        {"x": x},
        {"n": np.asarray([2], np.int32), "k": np.asarray([1], np.int32)},
    )
    net("expand", [("Expand", "x s", "y")], {"x": random("e", 3, 1)}, {"s": np.asarray([2, 1, 4], np.int64)})
    for mode in ("constant", "reflect", "edge"):
        one("PadImage", x, label=mode, pad_t=1, pad_l=2, pad_b=2, pad_r=1, mode=mode, value=0.5)
    one("PadImage", random("pad_nhwc", 2, 4, 3, 6), label="nhwc", pad=1, mode="reflect", order="NHWC")
    one("ChannelShuffle", x, group=3, kernel=1)
    one("ChannelShuffle", random("shuffle", 2, 4, 3, 6), label="nhwc", group=2, order="NHWC")
    one("ResizeNearest", x, width_scale=2.0, height_scale=1.5)
    one("ResizeNearest", x, label="down", width_scale=0.7, height_scale=0.5)
    one("ResizeNearest", random("r", 2, 4, 3, 6), label="nhwc", width_scale=2.0, height_scale=2.0, order="NHWC")
    one("ResizeNearest3D", random("r3", 1, 2, 3, 2, 4), temporal_scale=2.0, width_scale=2.0, height_scale=2.0)
    one("UpsampleBilinear", x, width_scale=2.0, height_scale=2.0)
    one("UpsampleBilinear", x, label="odd", width_scale=1.7, height_scale=2.5)
    one("SpaceToBatch", random("s2b", 1, 2, 4, 6), block_size=2)
    one("SpaceToBatch", random("s2b", 1, 2, 4, 6), label="pad", block_size=2, pad=1)
    one("BatchToSpace", random("b2s", 8, 2, 3, 3), block_size=2, pad=1)
    indices = np.asarray([[2, 0], [1, 1]], np.int64)
    net("gather", [("Gather", "x i", "y")], {"x": random("g", 4, 3)}, {"i": indices})
    net("gather_axis", [("Gather", "x i", "y", {"axis": 1})], {"x": random("g", 4, 3)}, {"i": indices.astype(np.int32)})
    net("gather_input", [("Gather", "w i", "y")], {"i": indices}, {"w": random("g", 4, 3)})
    net("batchgather", [("BatchGather", "x i", "y")], {"x": random("g", 2, 4, 3)}, {"i": np.asarray([3, 1], np.int64)})
    net(
        "copies",
        [
            ("Copy", "x", "a"),
            ("StopGradient", "a", "b"),
            ("Dropout", "b", "c mask", {"is_test": 1, "ratio": 0.7}),
            ("Alias", "c", "y"),
        ],
        {"x": x},
    )
    net(
        "constants",
        [
            ("ConstantFill", "x", "k", {"value": 2.0}),
            ("Mul", "x k", "t"),
            ("ConstantFill", "", "n", {"shape": [3], "value": 3, "dtype": core.DataType.INT32}),
            ("Cast", "n", "f", {"to": 1}),
            ("Add", "t f", "y", {"broadcast": 1}),
        ],
        {"x": x},
    )
    net("onehot", [("OneHot", "i n", "y")], {"i": np.asarray([2, 0, 1], np.int64)}, {"n": np.asarray([4], np.int64)})


def reductions() -> None:
    x = random("reduce", 2, 3, 4)
    for type in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"):
        net(
            type.lower(),
            [(type, "x", "y", {"axes": [0, 2], "keepdims": 0}), (type, "x", "z", {"axes": [1]}), (type, "x", "w", {})],
            {"x": x},
            outputs=("y", "z", "w"),
        )
    for type in ("Sum", "Mean", "Max"):
        net(
            f"reduce_ends_{type.lower()}",
            [(f"ReduceFront{type}", "x", "y", {"num_reduce_dim": 2}), (f"ReduceBack{type}", "x", "z", {})],
            {"x": x},
            outputs=("y", "z"),
        )
    net(
        "reduce_all",
        [("SumElements", "x", "y"), ("SumElements", "x", "z", {"average": True}), ("SumSqrElements", "x", "w")],
        {"x": x},
        outputs=("y", "z", "w"),
    )
    net("rowwise", [("RowwiseMax", "x", "y"), ("ColwiseMax", "x", "z")], {"x": x}, outputs=("y", "z"))
    net(
        "argmax",
        [("ArgMax", "x", "y", {"axis": 1}), ("ArgMin", "x", "z", {"keepdims": 0})],
        {"x": x},
        outputs=("y", "z"),
    )
    net("topk", [("TopK", "x", "y i", {"k": 2})], {"x": x}, outputs=("y", "i"))
    net("topk_axis", [("TopK", "x", "y i f", {"k": 2, "axis": 1})], {"x": x}, outputs=("y", "i", "f"))
    net(
        "distances",
        [("SquaredL2Distance", "a b", "y"), ("L1Distance", "a b", "z"), ("CosineSimilarity", "a b", "w")],
        {"a": random("d", 3, 4), "b": random("e", 3, 4)},
        outputs=("y", "z", "w"),
    )
    boxes = np.asarray([[0, 1.0, 1.0, 6.5, 5.0], [0, 0.0, 2.0, 7.0, 7.5]], np.float32)
    net(
        "roialign",
        [("RoIAlign", "x r", "y", {"pooled_h": 3, "pooled_w": 2, "spatial_scale": 0.5, "sampling_ratio": 2})],
        {"x": random("roi", 1, 2, 8, 8), "r": boxes},
    )
    net(
        "roialign_aligned",
        [
            (
                "RoIAlign",
                "x r",
                "y",
                {"pooled_h": 2, "pooled_w": 2, "spatial_scale": 1.0, "sampling_ratio": 2, "aligned": 1},
            )
        ],
        {"x": random("roi", 1, 2, 8, 8), "r": boxes},
    )


def initialized(model: Any) -> Any:
    """The init net of a model helper, with all weights as given values: random, with variances that are positive."""
    workspace.ResetWorkspace()
    workspace.RunNetOnce(model.param_init_net)
    init = caffe2_pb2.NetDef(name="init")
    blobs = [*dict.fromkeys(str(p) for p in (*model.GetParams(), *model.GetComputedParams()))]
    for blob in blobs:
        shape = workspace.FetchBlob(blob).shape
        if blob.endswith(("_riv", "_s")):
            array = random(blob, *shape, low=0.5, high=1.5)
        else:
            limit = (3.0 / max(int(np.prod(shape[1:])), 1)) ** 0.5 if len(shape) > 1 else 0.2
            array = random(blob, *shape, low=-limit, high=limit)
        init.op.add().CopyFrom(filler(blob, array.astype(np.float32)))
    return init


def network(name: str, build: Callable[[Any], Any], shape: Sequence[int], order: str = "NCHW") -> None:
    """A network that a function adds to a model helper, with the input `data`."""
    model = ModelHelper(name, arg_scope={"order": order, "use_cudnn": False}, init_params=True)
    result = build(model)
    predict = caffe2_pb2.NetDef()
    predict.CopyFrom(model.net.Proto())
    init = initialized(model)
    del predict.external_input[:]
    del predict.external_output[:]
    predict.external_input.extend(["data", *(op.output[0] for op in init.op)])
    predict.external_output.append(str(result))
    record(name, predict, init, {"data": random(name, *shape)})


def convolved(m: Any, x: Any, name: str, inside: int, outside: int, kernel: int, **options: Any) -> Any:
    """A convolution, and a Relu in place."""
    y = brew.conv(m, x, name, inside, outside, kernel=kernel, **options)
    return brew.relu(m, y, y)


def alexnet(m: Any) -> Any:
    x = convolved(m, "data", "conv1", 3, 8, 5, stride=2)
    x = brew.lrn(m, x, "norm1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = brew.max_pool(m, x, "pool1", kernel=3, stride=2, legacy_pad=3)
    x = convolved(m, x, "conv2", 8, 8, 3, pad=1, group=2)
    x = brew.max_pool(m, x, "pool2", kernel=3, stride=2, legacy_pad=3)
    x = brew.fc(m, x, "fc6", 8 * 3 * 3, 16)
    x = brew.relu(m, x, x)
    x = brew.dropout(m, x, "drop6", ratio=0.5, is_test=1)
    return brew.softmax(m, brew.fc(m, x, "fc8", 16, 10), "prob")


def vgg(m: Any) -> Any:
    x, inside = "data", 3
    for block, width in enumerate((4, 6, 8)):
        for k in range(2):
            x = convolved(m, x, f"conv{block}_{k}", inside, width, 3, pad=1)
            inside = width
        x = brew.max_pool(m, x, f"pool{block}", kernel=2, stride=2)
    x = brew.fc(m, x, "fc6", 8 * 4 * 4, 16)
    x = brew.dropout(m, brew.relu(m, x, x), "drop6", ratio=0.5, is_test=1)
    return brew.softmax(m, brew.fc(m, x, "fc7", 16, 10), "prob")


def inception(m: Any, x: Any, name: str, inside: int) -> Any:
    parts = [
        convolved(m, x, f"{name}_1x1", inside, 4, 1),
        convolved(m, convolved(m, x, f"{name}_3x3r", inside, 3, 1), f"{name}_3x3", 3, 4, 3, pad=1),
        convolved(m, convolved(m, x, f"{name}_5x5r", inside, 2, 1), f"{name}_5x5", 2, 4, 5, pad=2),
        convolved(m, brew.max_pool(m, x, f"{name}_pool", kernel=3, stride=1, pad=1), f"{name}_proj", inside, 4, 1),
    ]
    return brew.concat(m, parts, f"{name}_out")


def googlenet(m: Any) -> Any:
    x = convolved(m, "data", "conv1", 3, 6, 7, stride=2, pad=3)
    x = brew.max_pool(m, x, "pool1", kernel=3, stride=2, legacy_pad=3)
    x = brew.lrn(m, x, "norm1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = inception(m, x, "a", 6)
    x = brew.max_pool(m, x, "pool2", kernel=3, stride=2, legacy_pad=3)
    x = inception(m, x, "b", 16)
    x = brew.average_pool(m, x, "pool5", kernel=4, stride=1)
    x = brew.dropout(m, x, "drop", ratio=0.4, is_test=1)
    return brew.softmax(m, brew.fc(m, x, "fc", 16, 10), "prob")


def scaled(m: Any, x: Any, name: str, width: int) -> Any:
    """Batch normalization as models from Caffe have it: SpatialBN, then Mul and Add with broadcasting, in place."""
    y = brew.spatial_bn(m, x, f"{name}_bn", width, is_test=True, epsilon=1e-5)
    s = m.create_param(f"{name}_scale", [width], initializer=CONSTANT)
    b = m.create_param(f"{name}_shift", [width], initializer=CONSTANT)
    m.net.Mul([y, s], y, broadcast=1, axis=1)
    m.net.Add([y, b], y, broadcast=1, axis=1)
    return brew.relu(m, y, y)


def inception_v2(m: Any) -> Any:
    x = scaled(m, brew.conv(m, "data", "conv1", 3, 6, kernel=5, stride=2, pad=2, no_bias=1), "conv1", 6)
    a = scaled(m, brew.conv(m, x, "a1", 6, 4, kernel=1), "a1", 4)
    b = scaled(m, brew.conv(m, x, "b1", 6, 4, kernel=3, pad=1), "b1", 4)
    c = brew.conv(m, brew.average_pool(m, x, "c0", kernel=3, stride=1, pad=1), "c1", 6, 4, kernel=1)
    x = brew.concat(m, [a, b, scaled(m, c, "c1", 4)], "joined")
    x = brew.average_pool(m, x, "pool", global_pooling=1)
    return brew.softmax(m, brew.fc(m, x, "fc", 12, 10), "prob")


def squeezenet(m: Any) -> Any:
    x = convolved(m, "data", "conv1", 3, 8, 3, stride=2)
    x = brew.max_pool(m, x, "pool1", kernel=3, stride=2)
    for k in (2, 3):
        s = convolved(m, x, f"fire{k}_squeeze", 8, 3, 1)
        parts = [convolved(m, s, f"fire{k}_1x1", 3, 4, 1), convolved(m, s, f"fire{k}_3x3", 3, 4, 3, pad=1)]
        x = brew.concat(m, parts, f"fire{k}")
    x = brew.dropout(m, x, x, ratio=0.5, is_test=1)
    x = convolved(m, x, "conv10", 8, 10, 1)
    return brew.softmax(m, brew.average_pool(m, x, "pool10", global_pooling=1), "prob")


def densenet(m: Any) -> Any:
    x, width = brew.conv(m, "data", "conv1", 3, 6, kernel=3, pad=1, no_bias=1), 6
    for k in range(3):
        y = scaled(m, x, f"dense{k}", width)
        y = brew.conv(m, y, f"conv_{k}", width, 4, kernel=3, pad=1, no_bias=1)
        x, width = brew.concat(m, [x, y], f"concat{k}"), width + 4
    x = scaled(m, x, "last", width)
    x = brew.average_pool(m, x, "pool", global_pooling=1)
    return brew.conv(m, x, "fc", width, 10, kernel=1)


def resnet_simple(m: Any) -> Any:
    builder = resnet.ResNetBuilder(m, convolved(m, "data", "conv1", 3, 8, 3), no_bias=0, is_test=True)
    builder.add_simple_block(8, 8)
    builder.add_simple_block(8, 12, down_sampling=True)
    return brew.fc(m, brew.average_pool(m, builder.prev_blob, "final_avg", global_pooling=1), "last_out", 12, 10)


def resnet_bottleneck(m: Any) -> Any:
    builder = resnet.ResNetBuilder(m, "data", no_bias=1, is_test=True, bn_epsilon=1e-5, bn_momentum=0.9)
    x = brew.conv(m, "data", "conv1", 3, 8, kernel=7, stride=2, pad=3, no_bias=1)
    x = brew.relu(m, brew.spatial_bn(m, x, "conv1_spatbn_relu", 8, is_test=True, epsilon=1e-5), "conv1_spatbn_relu")
    builder.prev_blob = brew.max_pool(m, x, "pool1", kernel=3, stride=2, pad=1)
    builder.add_bottleneck(8, 4, 16)
    builder.add_bottleneck(16, 8, 32, stride=2)
    x = brew.average_pool(m, builder.prev_blob, "pool5", kernel=4, stride=1)
    return brew.softmax(m, brew.fc(m, x, "last_out", 32, 10), "softmax")


def shuffle_net(m: Any) -> Any:
    builder = shufflenet.ShuffleNetV2Builder(m, "data", 3, 10, is_test=True)
    builder.prev_blob = brew.conv(m, "data", "stage1_conv", 3, 8, kernel=3, stride=2)
    builder.add_spatial_ds_unit("stage2_stride2", 8, 16)
    builder.add_basic_unit("stage2_stride1_repeat1", 16)
    builder.add_spatial_ds_unit("stage3_stride2", 16, 24)
    x = brew.conv(m, builder.prev_blob, "conv5", 24, 16, kernel=1)
    return brew.fc(m, m.AveragePool(x, "avg_pool", kernel=3), "last_out", 16, 10)


CONSTANT = None  # the initializer of scales, set once Caffe2 is there


def networks() -> None:
    global CONSTANT
    from caffe2.python.modeling.initializers import Initializer

    CONSTANT = Initializer("ConstantFill", value=1.0)
    size = (2, 3, 32, 32)
    network("alexnet", alexnet, (2, 3, 31, 31))
    network("vgg", vgg, size)
    network("googlenet", googlenet, size)
    network("inception_v2", inception_v2, (2, 3, 17, 17))
    network("squeezenet", squeezenet, size)
    network("densenet", densenet, (2, 3, 10, 10))
    network("resnet", resnet_bottleneck, size)
    network("resnet_simple", resnet_simple, (1, 3, 12, 12))
    network("shufflenet", shuffle_net, (2, 3, 19, 19))
    network("lenet_nhwc", lenet_nhwc, (2, 16, 16, 1), order="NHWC")


def lenet_nhwc(m: Any) -> Any:
    x = brew.conv(m, "data", "conv1", 1, 6, kernel=5)
    x = brew.max_pool(m, x, "pool1", kernel=2, stride=2)
    x = convolved(m, x, "conv2", 6, 8, 3)
    x = brew.fc(m, x, "fc3", 8 * 4 * 4, 10)
    return brew.softmax(m, x, "softmax")


def onnx_forms() -> None:
    """What the converter from ONNX to Caffe2 writes for small PyTorch models."""
    x = random("onnx", 2, 3, 8, 8)
    w, b = random("wo", 4, 3, 3, 3), random("bo", 4)
    operators = [
        (
            "Conv",
            "x w b",
            "1",
            {
                "kernels": [3, 3],
                "pads": [1, 1, 1, 1],
                "strides": [1, 1],
                "dilations": [1, 1],
                "group": 1,
                "order": "NCHW",
            },
        ),
        ("Relu", "1", "2"),
        ("MaxPool", "2", "3", {"kernels": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2], "order": "NCHW"}),
        ("Transpose", "3", "4", {"axes": [0, 2, 3, 1]}),
        ("Reshape", "4", "5 old", {"shape": [2, 16, 4]}),
        ("BatchMatMul", "5 m", "6", {"broadcast": 1}),
        ("ReduceMean", "6", "7", {"axes": [1], "keepdims": 1}),
        ("Squeeze", "7", "8", {"dims": [1]}),
        ("ExpandDims", "8", "9", {"dims": [0]}),
        ("Add", "9 c", "10"),
        ("Concat", "10 10", "11 info", {"axis": 2}),
        ("Clip", "11", "y", {"min": -1.0, "max": 6.0}),
    ]
    net("onnx_form", operators, {"x": x}, {"w": w, "b": b, "m": random("mo", 4, 5), "c": random("co", 5)})
    gemm = [("Flatten", "x", "f", {"axis": 1}), ("FC", "f w b", "y", {})]
    net("onnx_gemm", gemm, {"x": x}, {"w": random("wg", 5, 192, low=-0.1, high=0.1), "b": random("bg", 5)})


def int8_fill(blob: str, codes: np.ndarray, scale: float, zero: int) -> Any:
    if codes.dtype == np.int32:
        values: Any = codes.reshape(-1).tolist()
        return core.CreateOperator(
            "Int8GivenIntTensorFill", [], [blob], shape=codes.shape, values=values, Y_scale=scale, Y_zero_point=zero
        )
    return core.CreateOperator(
        "Int8GivenTensorFill", [], [blob], shape=codes.shape, values=codes.tobytes(), Y_scale=scale, Y_zero_point=zero
    )


def quantized() -> None:
    x = random("int8", 2, 6, 5, 4, low=-1, high=1)
    step = {"Y_scale": 2 / 255, "Y_zero_point": 128}
    enter, leave = ("Int8Quantize", "x", "q", step), ("Int8Dequantize", "r", "y")
    both = ("r", "y")

    def around(
        name: str,
        *operators: tuple[Any, ...],
        params: Mapping[str, Any] | None = None,
        inputs: Arrays | None = None,
        first: Any = enter,
    ) -> None:
        net(name, [first, *operators, leave], inputs or {"x": x}, params, outputs=both)

    seeded = np.random.RandomState(5)

    def parameters(*shape: int) -> dict[str, Any]:
        codes = seeded.randint(0, 256, shape).astype(np.uint8)
        bias = seeded.randint(-500, 500, shape[0]).astype(np.int32)
        scale = 0.01
        return {"w": int8_fill("w", codes, scale, 120), "b": int8_fill("b", bias, scale * 2 / 255, 0)}

    result = {"Y_scale": 0.05, "Y_zero_point": 100, "order": "NHWC"}
    around("int8_quantize", ("Int8Relu", "q", "r", step))
    around(
        "int8_conv",
        ("Int8Conv", "q w b", "r", {"kernel": 3, "pad": 1, "stride": 2, **result}),
        params=parameters(5, 3, 3, 4),
    )
    around("int8_convrelu", ("Int8ConvRelu", "q w b", "r", {"kernel": 3, **result}), params=parameters(5, 3, 3, 4))
    around(
        "int8_depthwise",
        ("Int8Conv", "q w b", "r", {"kernel": 3, "pad": 1, "group": 4, **result}),
        params=parameters(4, 3, 3, 1),
    )
    around(
        "int8_convtranspose",
        ("Int8ConvTranspose", "q w b", "r", {"kernel": 2, "stride": 2, **result}),
        params=parameters(4, 2, 2, 4),
    )
    around("int8_fc", ("Int8FC", "q w b", "r", {"Y_scale": 0.1, "Y_zero_point": 90}), params=parameters(5, 120))
    around("int8_averagepool", ("Int8AveragePool", "q", "r", {"kernel": 2, "stride": 2, **step, "order": "NHWC"}))
    around("int8_averagepool_global", ("Int8AveragePool", "q", "r", {"global_pooling": 1, **step, "order": "NHWC"}))
    around("int8_maxpool", ("Int8MaxPool", "q", "r", {"kernel": 3, "stride": 2, "pad": 1, **step, "order": "NHWC"}))
    around("int8_sigmoid", ("Int8Sigmoid", "q", "r", {"Y_scale": 1 / 256, "Y_zero_point": 0}))
    around(
        "int8_softmax",
        ("Int8Reshape", "q", "t old", {"shape": [12, 20], **step}),
        ("Int8Softmax", "t", "r", {"Y_scale": 1 / 256, "Y_zero_point": 0}),
    )
    around("int8_leakyrelu", ("Int8LeakyRelu", "q", "r", {"alpha": 0.2, **step}))
    second = ("Int8Quantize", "z", "p", {"Y_scale": 3 / 255, "Y_zero_point": 110})
    two = {"x": x, "z": random("int8z", 2, 6, 5, 4, low=-1, high=1.5)}
    around("int8_add", second, ("Int8Add", "q p", "r", {"Y_scale": 0.02, "Y_zero_point": 120}), inputs=two)
    around("int8_addrelu", second, ("Int8AddRelu", "q p", "r", {"Y_scale": 0.02, "Y_zero_point": 120}), inputs=two)
    around("int8_sum", second, ("Int8Sum", "q p", "r", {"Y_scale": 0.02, "Y_zero_point": 120}), inputs=two)
    same = ("Int8Quantize", "z", "p", step)
    around("int8_concat", same, ("Int8Concat", "q p", "r info", {**step, "axis": 3, "order": "NHWC"}), inputs=two)
    around("int8_resize", ("Int8ResizeNearest", "q", "r", {"width_scale": 2.0, "height_scale": 2.0, **step}))
    around("int8_flatten", ("Int8Flatten", "q", "r", step))
    around("int8_slice", ("Int8Slice", "q", "r", {"starts": [0, 1, 0, 0], "ends": [-1, 4, -1, -1], **step}))
    around("int8_transpose", ("Int8Transpose", "q", "r", {"axes": [0, 3, 1, 2], **step}))
    around("int8_channelshuffle", ("Int8ChannelShuffle", "q", "r", {"group": 2, "kernel": 1, "order": "NHWC", **step}))
    first = parameters(6, 3, 3, 4)
    params = {
        "w1": int8_fill("w1", seeded.randint(0, 256, (6, 3, 3, 4)).astype(np.uint8), 0.01, 128),
        "b1": int8_fill("b1", seeded.randint(-500, 500, 6).astype(np.int32), 0.02 / 255, 0),
    }
    params["w2"] = int8_fill("w2", seeded.randint(0, 256, (6, 3, 3, 1)).astype(np.uint8), 0.01, 125)
    params["b2"] = int8_fill("b2", seeded.randint(-500, 500, 6).astype(np.int32), 0.05 * 0.01, 0)
    params["w3"] = int8_fill("w3", seeded.randint(0, 256, (5, 6)).astype(np.uint8), 0.02, 130)
    params["b3"] = int8_fill("b3", seeded.randint(-50, 50, 5).astype(np.int32), 0.02 * 0.06, 0)
    assert first
    around(
        "int8_network",
        ("Int8ConvRelu", "q w1 b1", "c1", {"kernel": 3, "pad": 1, "Y_scale": 0.05, "Y_zero_point": 0, "order": "NHWC"}),
        (
            "Int8Conv",
            "c1 w2 b2",
            "c2",
            {"kernel": 3, "pad": 1, "group": 6, "Y_scale": 0.06, "Y_zero_point": 80, "order": "NHWC"},
        ),
        ("Int8Add", "c1 c2", "s", {"Y_scale": 0.06, "Y_zero_point": 80}),
        ("Int8AveragePool", "s", "p", {"global_pooling": 1, "Y_scale": 0.06, "Y_zero_point": 80, "order": "NHWC"}),
        ("Int8FC", "p w3 b3", "r", {"Y_scale": 0.1, "Y_zero_point": 110}),
        params=params,
    )


def write(folder: str) -> None:
    """Writes the archives: the same bytes for the same models."""
    for name, parts in sorted(models.items()):
        path = Path(folder) / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file, data in zip(FILES, parts):  # noqa: B905  # Python 3.9
                info = zipfile.ZipInfo(file, EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, data)
    print(f"{len(models)} models")


FAMILIES = (
    convolutions,
    pools,
    normalizations,
    products,
    activations,
    elementwise,
    moves,
    reductions,
    networks,
    onnx_forms,
    quantized,
)

if __name__ == "__main__":
    for family in FAMILIES:
        family()
    write(sys.argv[1])

"""Networks as converters of channels-last formats make them: no transposes are left inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import pipeline
from nnef_tools.cli.main import main
from nnef_tools.formats import FORMATS
from nnef_tools.model import Tensor
from nnef_tools.model.verify import verify
from nnef_tools.optimization.nnef.layout import remaining_transposes, remove_transposes

from .net import Net, evaluate


class Layers:
    """Layers on tensors with channels last, with transposes around what NNEF defines for channels second."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def __getattr__(self, type: str) -> Callable[..., Any]:
        return getattr(self.net, type)

    def first(self, x: Tensor) -> Tensor:
        return self.net.transpose(x, axes=[0, len(x.shape) - 1, *range(1, len(x.shape) - 1)])

    def last(self, x: Tensor) -> Tensor:
        return self.net.transpose(x, axes=[0, *range(2, len(x.shape)), 1])

    def weights(self, *shape: int) -> Tensor:
        return self.net.variable((self.net.random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    def conv(self, x: Tensor, filters: int, size: int = 1, stride: int = 1, groups: int = 1) -> Tensor:
        depth, rank = x.shape[-1], len(x.shape) - 2
        kernel = self.weights(filters, depth // groups, *[size] * rank)
        y = self.last(self.net.conv(self.first(x), kernel, stride=[stride] * rank, groups=groups))
        return self.net.add(y, self.net.variable((1,) * (rank + 1) + (filters,)))

    def deconv(self, x: Tensor, filters: int) -> Tensor:
        shape = [x.shape[0], filters, *(2 * extent for extent in x.shape[1:-1])]
        y = self.net.deconv(self.first(x), self.weights(x.shape[-1], filters, 2, 2), stride=[2, 2], output_shape=shape)
        return self.last(y)

    def norm(self, x: Tensor) -> Tensor:
        parameters = [self.net.random.uniform(0.5, 1.5, (1, x.shape[-1])).astype(np.float32) for _ in range(4)]
        return self.last(self.net.batch_normalization(self.first(x), *map(self.net.variable, parameters), epsilon=1e-3))

    def pool(self, x: Tensor, type: str = "max_pool", size: int = 2, stride: int = 2) -> Tensor:
        window = {"size": [1, 1, size, size], "stride": [1, 1, stride, stride]}
        return self.last(self.op(type, self.first(x), border="ignore", **window))

    def hard_swish(self, x: Tensor) -> Tensor:
        return self.mul(x, self.mul(self.clamp(self.add(x, 3.0), 0.0, 6.0), 1 / 6))

    def global_pool(self, x: Tensor) -> Tensor:
        return self.squeeze(self.mean_reduce(x, axes=[1, 2]), axes=[1, 2])

    def squeeze_excite(self, x: Tensor, keep: bool = False) -> Tensor:
        depth = x.shape[-1]
        s = self.mean_reduce(x, axes=[1, 2]) if keep else self.reshape(self.global_pool(x), shape=[0, 1, 1, depth])
        return self.mul(x, self.sigmoid(self.conv(self.relu(self.conv(s, 3)), depth)))

    def dense(self, x: Tensor, units: int) -> Tensor:
        y = self.matmul(x, self.weights(x.shape[-1], units))
        return self.add(y, self.net.variable((1,) * (len(x.shape) - 1) + (units,)))

    def layer_norm(self, x: Tensor) -> Tensor:
        mean, variance = self.moments(x, axes=[len(x.shape) - 1])
        y = self.mul(self.sub(x, mean), self.rsqrt(self.add(variance, 1e-5)))
        return self.mul(y, self.net.variable((1,) * (len(x.shape) - 1) + (x.shape[-1],)))


@pytest.fixture
def layers(net: Net) -> Layers:
    return Layers(net)


def mobilenet_v3(k: Layers, x: Tensor) -> Tensor:
    x = k.hard_swish(k.norm(k.conv(x, 8, 3, 2)))
    for keep in (False, True, False):
        y = k.relu(k.norm(k.conv(x, 12)))
        y = k.pad(y, padding=[(0, 0), (1, 1), (1, 1), (0, 0)])
        y = k.hard_swish(k.norm(k.conv(k.slice(y, axes=[1, 2], begin=[1, 1], end=[-1, -1]), 12, 3, groups=12)))
        x = k.add(x, k.norm(k.conv(k.squeeze_excite(y, keep), 8)))
    return k.softmax(k.dense(k.global_pool(x), 5), axes=[1])


def resnet(k: Layers, x: Tensor) -> Tensor:
    x = k.pool(k.relu(k.norm(k.conv(k.pad(x, padding=[(0, 0), (3, 3), (3, 3), (0, 0)]), 8, 7, 2))))
    for depth, stride in ((8, 1), (12, 2), (12, 1)):
        shortcut = x if depth == x.shape[-1] else k.norm(k.conv(x, depth, 1, stride))
        y = k.norm(k.conv(k.relu(k.norm(k.conv(x, 4, 3, stride))), depth))
        x = k.relu(k.add(y, shortcut))
    return k.dense(k.global_pool(x), 5)


def densenet(k: Layers, x: Tensor) -> Tensor:
    x = k.conv(x, 6, 3, 2)
    for _ in range(2):
        for _ in range(3):
            y = k.conv(k.relu(k.norm(k.conv(k.relu(k.norm(x)), 6))), 3, 3)
            x = k.concat([x, y], axis=3)
        x = k.pool(k.conv(k.relu(k.norm(x)), x.shape[-1] // 2), "avg_pool")
    return k.dense(k.reshape(k.mean_reduce(x, axes=[1, 2]), shape=[0, -1]), 5)


def inception(k: Layers, x: Tensor) -> Tensor:
    x = k.relu(k.conv(x, 6, 3))
    for _ in range(2):
        branches = [k.conv(x, 3), k.relu(k.conv(k.conv(x, 2), 3, 3)), k.conv(k.pool(x, size=3, stride=1), 2)]
        a = k.conv(branches[1], 2, 3)
        x = k.concat([*branches, k.concat([a, k.neg(a)], axis=3)], axis=3)
    return k.global_pool(x)


def unet(k: Layers, x: Tensor) -> Tensor:
    a = k.relu(k.conv(x, 4, 3))
    b = k.relu(k.conv(k.pool(a), 6, 3))
    c = k.relu(k.conv(k.pool(b), 8, 3))
    up = k.last(k.multilinear_upsample(k.first(c), factor=[2, 2]))
    d = k.relu(k.conv(k.concat([b, up], axis=3), 6, 3))
    e = k.concat([a, k.deconv(d, 4), k.last(k.nearest_upsample(k.first(d), factor=[2, 2]))], axis=3)
    return k.op("argmax_reduce", k.conv(e, 3), axes=[3], dtype=np.int64)


def flatten_head(k: Layers, x: Tensor) -> Tensor:
    x = k.pool(k.relu(k.conv(x, 6, 3, 2)))
    x = k.relu(k.dense(k.reshape(x, shape=[0, -1]), 7))
    return k.softmax(k.dense(x, 5), axes=[1])


def attention(k: Layers, x: Tensor) -> Tensor:
    """With a single head, whose matrices can be taken either way."""
    x = k.relu(k.conv(x, 6, 3, 4))
    n, h, w, c = x.shape
    tokens = k.reshape(x, shape=[n, h * w, c])
    q, key, value = (k.matmul(tokens, k.weights(1, c, c)) for _ in range(3))
    scores = k.softmax(k.mul(k.matmul(q, key, transposeB=True), 0.4), axes=[2])
    x = k.add(x, k.reshape(k.matmul(scores, value), shape=[n, h, w, c]))
    return k.global_pool(k.conv(x, 4))


def volumes(k: Layers, x: Tensor) -> Tensor:
    """In three dimensions."""
    x = k.relu(k.conv(k.reshape(x, shape=[2, 4, 4, 16, 3]), 4, 3))
    x = k.concat([x, k.mul(x, k.max_reduce(x, axes=[1, 2, 3]))], axis=4)
    return k.squeeze(k.mean_reduce(k.conv(x, 3), axes=[1, 2, 3]), axes=[1, 2, 3])


def sequences(k: Layers, x: Tensor) -> Tensor:
    """In one dimension."""
    x = k.relu(k.conv(k.reshape(x, shape=[2, 64, 12]), 8, 3))
    x = k.add(x, k.conv(k.tanh(k.norm(x)), 8, 3))
    return k.max_reduce(x, axes=[1])


def channel_shuffle(k: Layers, x: Tensor) -> Tensor:
    """The transpose between the reshapes is what a shuffle is; it stays alone."""
    x = k.relu(k.conv(x, 6, 3, 2))
    x = k.reshape(x, shape=[2, 8, 8, 2, 3])
    x = k.reshape(k.transpose(x, axes=[0, 1, 2, 4, 3]), shape=[2, 8, 8, 6])
    return k.global_pool(k.conv(x, 4, 3))


def depth_to_space(k: Layers, x: Tensor) -> Tensor:
    x = k.reshape(k.conv(x, 12, 3), shape=[2, 16, 16, 2, 2, 3])
    x = k.reshape(k.transpose(x, axes=[0, 1, 3, 2, 4, 5]), shape=[2, 32, 32, 3])
    return k.global_pool(k.conv(k.relu(x), 4, 3))


def heads(k: Layers, x: Tensor) -> Tensor:
    """Several heads take axes from rows to leading ones; back to channels second it is a transposed product."""
    x = k.conv(x, 6, 3, 4)
    n, h, w, c = x.shape
    tokens = k.reshape(x, shape=[n, h * w, c])
    q, key, value = (
        k.transpose(k.reshape(k.matmul(tokens, k.weights(1, c, c)), shape=[n, h * w, 2, 3]), axes=[0, 2, 1, 3])
        for _ in range(3)
    )
    scores = k.softmax(k.matmul(q, key, transposeB=True), axes=[3])
    y = k.reshape(k.transpose(k.matmul(scores, value), axes=[0, 2, 1, 3]), shape=[n, h, w, c])
    return k.global_pool(k.conv(k.add(x, y), 4))


def convnext(k: Layers, x: Tensor) -> Tensor:
    """Dense layers on pixels need channels last, convolutions channels second: two transposes a block."""
    x = k.layer_norm(k.conv(x, 6, 4, 4))
    for _ in range(3):
        y = k.layer_norm(k.conv(x, 6, 3, groups=6))
        y = k.dense(k.gelu(k.dense(k.reshape(y, shape=[-1, 6]), 12)), 6)
        x = k.add(x, k.mul(k.reshape(y, shape=[2, 4, 4, 6]), k.net.variable((1, 1, 1, 6))))
    return k.layer_norm(k.global_pool(x))


@pytest.mark.parametrize(
    "network, inside",
    [
        *((network, 0) for network in (mobilenet_v3, resnet, densenet, inception, unet, flatten_head, attention)),
        (volumes, 0),
        (sequences, 1),  # behind the reshape of the input
        (channel_shuffle, 1),
        (depth_to_space, 1),
        (heads, 3),
        (convnext, 6),
    ],
)
@pytest.mark.parametrize("io_transpose", [False, True])
def test_transposes_inside_a_network(
    net: Net, layers: Layers, network: Callable[..., Any], inside: int, io_transpose: bool
) -> None:
    x = net.external(2, 3, 16, 16) if io_transpose else net.external(2, 16, 16, 3)
    y = network(layers, layers.last(x) if io_transpose else x)
    graph = net.done(layers.first(y) if io_transpose and len(y.shape) > 2 else y)
    before = evaluate(graph)
    interface = [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)]
    assert remove_transposes(graph) > 0
    verify(graph)
    assert [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)] == interface
    for old, new in zip(before, evaluate(graph), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4)
    edges = [place for place in remaining_transposes(graph) if "input" in place or "output" in place]
    assert len(remaining_transposes(graph)) - len(edges) == inside
    assert not io_transpose or network in (volumes, sequences) or not edges
    assert all("from input" in place or "to output" in place for place in edges)


def test_the_report_counts_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    helper, rng = onnx.helper, np.random.default_rng(0)
    weights = {"w": rng.normal(size=(4, 3, 1, 1)), "b": rng.normal(size=(4,))}
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["x"], ["x1"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x1", "w"], ["y1"]),
            helper.make_node("Transpose", ["y1"], ["y2"], perm=[0, 2, 3, 1]),
            helper.make_node("Add", ["y2", "b"], ["y3"]),
            helper.make_node("Transpose", ["y3"], ["y"], perm=[0, 3, 1, 2]),
        ],
        "net",
        [helper.make_tensor_value_info("x", 1, [2, 5, 5, 3])],
        [helper.make_tensor_value_info("y", 1, [2, 4, 5, 5])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    plain = pipeline.convert_model(path, tmp_path / "plain.nnef")
    assert plain.transposes is None and plain.target.operations["transpose"] == 3

    onnx_format = FORMATS["onnx"]
    last = onnx_format._replace(dialect=onnx_format.dialect._replace(channels_last=True))
    monkeypatch.setitem(FORMATS, "onnx", last)
    report = pipeline.convert_model(path, tmp_path / "net.nnef", verify=2, keep_io_names=True)
    assert report.target.operations["transpose"] == 1
    assert report.transposes == ("axes [0, 3, 1, 2] of shape [2, 5, 5, 3], from input 'x' to conv",)
    assert [(item.name, item.difference) for item in report.passes] == [("remove-transposes", {"transpose": -2})]
    assert report.to_json()["transposes"] == list(report.transposes)

    assert main(["convert", str(path), str(tmp_path / "again.nnef"), "--verbose"]) == 0
    assert "transposes left: 1\n  axes [0, 3, 1, 2]" in capsys.readouterr().err

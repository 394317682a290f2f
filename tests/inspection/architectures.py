"""Well-known architectures in plain torch, as small as their structure allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def conv(inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1, padding: int | None = None):
    """Convolution, normalization and activation."""
    around = size // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, around, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Residual(nn.Module):
    """The sum of a path and a shortcut."""

    def __init__(self, path: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.path, self.shortcut = path, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


class Branches(nn.Module):
    """Paths side by side, their results concatenated."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.paths], 1)


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(nn.functional.silu(self.down(x.mean((2, 3), keepdim=True)))))


class Attention(nn.Module):
    """Self-attention of several heads, by matrix products."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        weights = torch.softmax(q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5, -1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


class Encoder(nn.Module):
    """A layer of a transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.dense(self.second(x))


class Tokens(nn.Module):
    """An image as a sequence of patches."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.patches(x).flatten(2).transpose(1, 2)


class Recurrent(nn.Module):
    """A stacked LSTM in both directions, and a classifier of its last output.

    Its first states depend on the input: products with constant ones are computed when the layers are unrolled.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.LSTM(width, hidden, num_layers=2, bidirectional=True)
        self.dense = nn.Linear(2 * hidden, 5)
        self.first = nn.ParameterList(torch.rand(4, 2, hidden) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        scale = x[:1, :1, :1]
        return self.dense(self.layers(x, (scale * self.first[0], scale * self.first[1]))[0][-1])


def head(channels: int, classes: int) -> nn.Module:
    """The mean over all positions, and a classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def _bottleneck(inputs: int, inner: int, stride: int) -> nn.Module:
    outputs = 4 * inner
    path = nn.Sequential(conv(inputs, inner), conv(inner, inner, 3, stride), conv(inner, outputs))
    return Residual(path, conv(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None)


def resnet50() -> nn.Module:
    """Bottlenecks of 1 x 1, 3 x 3 and 1 x 1 convolutions."""
    return nn.Sequential(
        conv(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), _bottleneck(8, 8, 1), _bottleneck(32, 16, 2), head(64, 10)
    )


def _inverted(inputs: int, outputs: int, stride: int, gate: bool = False) -> nn.Module:
    inner = 6 * inputs
    return nn.Sequential(
        conv(inputs, inner),
        conv(inner, inner, 3, stride, groups=inner),
        Gate(inner, inputs) if gate else nn.Identity(),
        conv(inner, outputs),
    )


def mobilenet_v2() -> nn.Module:
    """Inverted residuals with depthwise convolutions."""
    return nn.Sequential(conv(3, 8, 3, 2), _inverted(8, 12, 1), Residual(_inverted(12, 12, 1)), head(12, 10))


def vgg16() -> nn.Module:
    """Convolutions, pooling, and large dense layers."""
    return nn.Sequential(
        *(conv(3, 8, 3), conv(8, 8, 3), nn.MaxPool2d(2), conv(8, 16, 3), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(16 * 8 * 8, 32), nn.ReLU(), nn.Linear(32, 10)),
    )


def inception_v3() -> nn.Module:
    """Branches with factorized and strided convolutions."""
    factorized = nn.Sequential(
        nn.Conv2d(8, 6, (1, 7), padding=(0, 3)), nn.Conv2d(6, 8, (7, 1), padding=(3, 0)), nn.ReLU()
    )
    mixed = Branches(conv(8, 6), factorized, nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(8, 4)))
    reduced = Branches(conv(18, 8, 3, 2, padding=0), nn.MaxPool2d(3, 2))
    return nn.Sequential(conv(3, 8, 3, 2, padding=0), mixed, reduced, head(26, 10))


def efficientnet_b0() -> nn.Module:
    """Inverted residuals with squeeze and excitation."""
    return nn.Sequential(
        conv(3, 8, 3, 2), _inverted(8, 12, 2, gate=True), _inverted(12, 12, 1, gate=True), head(12, 10)
    )


def vit_b_16() -> nn.Module:
    """A transformer over the patches of an image."""
    return nn.Sequential(Tokens(24, 8), Encoder(24, 3), Encoder(24, 3), nn.LayerNorm(24), nn.Linear(24, 10))


def bert() -> nn.Module:
    """A transformer over embedded words."""
    return nn.Sequential(nn.Embedding(50, 24), Encoder(24, 4), nn.Linear(24, 2))


def lstm() -> nn.Module:
    """Recurrent layers."""
    return Recurrent(6, 7)


IMAGE = (1, 3, 32, 32)

ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], Sequence[int], torch.dtype]] = {
    "resnet50": (resnet50, IMAGE, torch.float32),
    "mobilenet_v2": (mobilenet_v2, IMAGE, torch.float32),
    "vgg16": (vgg16, IMAGE, torch.float32),
    "inception_v3": (inception_v3, IMAGE, torch.float32),
    "efficientnet_b0": (efficientnet_b0, IMAGE, torch.float32),
    "vit_b_16": (vit_b_16, IMAGE, torch.float32),
    "bert": (bert, (1, 11), torch.int64),
    "lstm": (lstm, (5, 2, 6), torch.float32),
}

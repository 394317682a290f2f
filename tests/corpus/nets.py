"""Small networks of the kinds that people export from torch, with seeded random weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

NETS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {}
"""Name -> what makes the network, and the shapes of its inputs (for `tokens` inputs: of integers)."""

VOCABULARY = 50


def net(name: str, *shapes: tuple[int, ...]) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Registers a network with the shapes of its inputs."""

    def register(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        NETS[name] = (make, shapes)
        return make

    return register


def takes_tokens(name: str) -> bool:
    """Are the inputs of a network integers below VOCABULARY?"""
    return name.startswith("tiny_")


class Wrapped(nn.Module):
    """A module of which only the first result is used."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(*inputs)[0]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)

    def forward(self, query: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        result, weights = self.attention(query, memory, memory)
        return result, weights


class UNet(nn.Module):
    def __init__(self, bilinear: bool) -> None:
        super().__init__()
        self.first, self.second, self.bottom = _double(3, 8), _double(8, 16), _double(16, 32)
        if bilinear:
            self.up2: nn.Module = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Conv2d(32, 16, 1)
            )
            self.up1: nn.Module = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(16, 8, 1)
            )
        else:
            self.up2 = nn.ConvTranspose2d(32, 16, 2, stride=2)
            self.up1 = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1)
        self.join2, self.join1, self.last = _double(32, 16), _double(16, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(functional.max_pool2d(a, 2))
        c = self.bottom(functional.max_pool2d(b, 2))
        b = self.join2(torch.cat([self.up2(c), b], dim=1))
        return self.last(self.join1(torch.cat([self.up1(b), a], dim=1)))


def _double(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.SiLU(),
    )


class YoloHead(nn.Module):
    """Boxes of a grid with two anchors: decoded center, size, confidence and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 2 * 9, 1)
        self.register_buffer("anchors", torch.tensor([[10.0, 13.0], [33.0, 23.0]]).view(1, 2, 1, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        y = self.conv(x).view(n, 2, 9, h, w).permute(0, 1, 3, 4, 2).sigmoid()
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack([columns, rows], dim=-1).view(1, 1, h, w, 2).float()
        center = (y[..., 0:2] * 2 - 0.5 + grid) * 8
        size = (y[..., 2:4] * 2) ** 2 * self.anchors
        return torch.cat([center, size, y[..., 4:]], dim=-1).reshape(n, -1, 9)


class SpatialTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.locate = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.affine = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        theta = self.affine(self.locate(x)).view(-1, 2, 3) * 0.3 + torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        grid = functional.affine_grid(theta, [2, 2, 12, 10], align_corners=False)
        return functional.grid_sample(x, grid, align_corners=False)


class CausalBlock(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 2 * channels, 3, dilation=dilation)
        self.pad = 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.glu(self.conv(functional.pad(x, (self.pad, 0))), dim=1)


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    def __init__(self, width: int, causal: bool, norm_first: bool) -> None:
        super().__init__()
        self.attention = SelfAttention(width, 4, causal)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        activation = nn.GELU(approximate="tanh") if causal else nn.GELU()
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), activation, nn.Linear(4 * width, width))
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        for norm, part in zip(self.norms, (self.attention, self.mlp), strict=True):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


class LanguageModel(nn.Module):
    """Token and position embeddings, blocks, and logits with the embedding's weights."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, 32), nn.Embedding(16, 32)
        self.blocks = nn.Sequential(*(Block(32, causal, norm_first=causal) for _ in range(2)))
        self.norm = nn.LayerNorm(32)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        return self.norm(self.blocks(x)) @ self.tokens.weight.T


@net("transformer_encoder", (2, 9, 24))
def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(24, 4, 48, batch_first=True, activation="gelu")
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


net("attention", (2, 5, 24), (2, 7, 24))(Attention)
net("lstm", (6, 2, 5))(lambda: Wrapped(nn.LSTM(5, 7, num_layers=2)))
net("lstm_bidirectional", (2, 6, 5))(lambda: Wrapped(nn.LSTM(5, 7, bidirectional=True, batch_first=True)))
net("lstm_with_states", (6, 2, 5))(lambda: LastState(nn.LSTM(5, 7, bidirectional=True)))
net("gru", (6, 2, 5))(lambda: Wrapped(nn.GRU(5, 7)))
net("gru_bidirectional", (6, 2, 5))(lambda: Wrapped(nn.GRU(5, 7, num_layers=2, bidirectional=True)))
net("rnn", (6, 2, 5))(lambda: Wrapped(nn.RNN(5, 7)))
net("rnn_bidirectional", (6, 2, 5))(lambda: Wrapped(nn.RNN(5, 7, nonlinearity="relu", bidirectional=True)))
net("unet_transposed", (1, 3, 16, 24))(lambda: UNet(bilinear=False))
net("unet_bilinear", (1, 3, 16, 24))(lambda: UNet(bilinear=True))
net("pixel_shuffle", (1, 3, 6, 5))(
    lambda: nn.Sequential(nn.Conv2d(3, 36, 3, padding=1), nn.PixelShuffle(3), nn.PReLU(4), nn.PixelUnshuffle(3))
)
net("conv_3d", (1, 2, 6, 7, 8))(
    lambda: nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ELU(),
        nn.MaxPool3d(2, ceil_mode=True),
        nn.ConvTranspose3d(4, 3, 2, stride=2),
        nn.AvgPool3d(2, padding=1),
        nn.InstanceNorm3d(3),
    )
)
net("depthwise", (1, 6, 11, 12))(
    lambda: nn.Sequential(
        nn.Conv2d(6, 12, 3, groups=6, stride=2, padding=1),
        nn.Hardswish(),
        nn.Conv2d(12, 8, 1),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 5, groups=8, padding=4, dilation=2, padding_mode="reflect"),
        nn.Mish(),
    )
)
net("transposed_grouped", (1, 8, 5, 6))(
    lambda: nn.Sequential(
        nn.ConvTranspose2d(8, 12, 3, stride=2, groups=4, output_padding=1, padding=1),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(12, 12, 4, stride=3, groups=12, dilation=2),
        nn.Hardsigmoid(),
    )
)
net("yolo_head", (2, 8, 5, 6))(YoloHead)
net("spatial_transformer", (2, 2, 9, 11))(SpatialTransformer)
net("temporal_conv", (2, 6, 20))(
    lambda: nn.Sequential(*(CausalBlock(6, 2**k) for k in range(3)), nn.AdaptiveMaxPool1d(1), nn.Flatten())
)
net("tiny_bert", (2, 9))(lambda: LanguageModel(causal=False))
net("tiny_gpt", (2, 9))(lambda: LanguageModel(causal=True))


class LastState(nn.Module):
    """All results of a recurrent layer: the sequence and the last states."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (h, c) = self.layer(x)
        return y, h, c

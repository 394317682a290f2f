"""Small Keras networks of many kinds compute the same in NNEF, and back in TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from .agreement import check_conversion, freeze, random_inputs
from .networks import SMALL

# Transposes inside the networks, neither at an input nor at an output; with and without --io-transpose.
HEADS = "attention splits the last axis into heads, and moves these before the positions"
INSIDE: dict[str, tuple[int, int, str]] = {
    "multi_head_attention": (3, 3, HEADS),
    "grouped_attention": (3, 3, HEADS),
    "transformer_encoder": (6, 6, HEADS),
    "transformer_tokens": (6, 6, HEADS),
    "vision_transformer": (7, 7, f"{HEADS}; the patches of a convolution become rows of matrices"),
    "sub_pixel": (1, 1, "it permutes axes that it has split"),
    "depth_to_space": (2, 2, "blocks of pixels become channels, and back"),
    "autoencoder": (1, 1, "a dense layer makes an image with channels last"),
    "two_towers": (2, 2, "two images are flattened for the same matrix"),
    "gru_masked": (1, 1, "time comes first in the loops"),
    "conv3d_transposed": (1, 0, "enlarging moves more items than the transpose before it"),
}


# Those with loops, which come as functions, and as the nodes that TensorFlow 1 has for them.
LOOPS = [name for name in SMALL if name.startswith(("lstm", "gru", "simple_rnn", "conv_lstm"))]


@pytest.mark.parametrize("name, functional", [(name, True) for name in SMALL] + [(name, False) for name in LOOPS])
def test_network(name: str, functional: bool, tmp_path: Path) -> None:
    network = SMALL[name]
    model = network.build()
    inputs = random_inputs(model, network.batch)
    frozen = freeze(model, tmp_path / "model.pb", inputs, any_batch=functional, functional=functional)
    inside = []
    for io_transpose in (False, True):
        report = check_conversion(frozen, tmp_path, io_transpose=io_transpose)
        assert report.transposes is not None
        inside.append(sum("from input" not in place and "to output" not in place for place in report.transposes))
    assert tuple(inside) == INSIDE.get(name, (0, 0))[:2]

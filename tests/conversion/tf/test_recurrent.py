"""Fused recurrent cells and layers against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import random
from ...support.tf_programs import raw, tf
from .checks import check, refusal

STEPS, BATCH, INPUT, HIDDEN = 4, 2, 3, 5
X, C, H = random(STEPS, BATCH, INPUT), random(BATCH, HIDDEN), random(BATCH, HIDDEN, seed=1)
WEIGHTS: dict[str, Any] = {
    "w": random(INPUT + HIDDEN, 4 * HIDDEN),
    "wci": random(HIDDEN),
    "wcf": random(HIDDEN, seed=1),
    "wco": random(HIDDEN, seed=2),
    "b": random(4 * HIDDEN),
}


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("clip", [-1.0, 0.0, 0.4])
def test_lstm_cell(peephole: bool, clip: float) -> None:
    options: dict[str, Any] = {"forget_bias": 0.7, "cell_clip": clip, "use_peephole": peephole}
    result = check(lambda x, c, h: raw.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, **WEIGHTS, **options), X[0], C, H)
    assert result.ops.count("matmul") == 1
    assert ("clamp" in result.ops) == (clip > 0)


def test_lstm_cell_by_default_is_clipped() -> None:
    check(lambda x, c, h: raw.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, **WEIGHTS), X[0], 9 * C, H)


def test_lstm_cell_with_computed_weights() -> None:
    def program(x: Any, c: Any, h: Any, bias: Any, *more: Any) -> Any:
        names = ("w", "wci", "wcf", "wco")
        weights = dict(zip(names, more, strict=True))
        return raw.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, b=bias, **weights, forget_bias=0.5, use_peephole=True)

    check(program, X[0], C, H, WEIGHTS["b"], *(WEIGHTS[name] for name in ("w", "wci", "wcf", "wco")))


def layer(name: str, steps: int = STEPS, **options: Any) -> Any:
    """A program of the layer and its results. forget_bias: of version 1."""
    if name == "BlockLSTM":
        options = {"forget_bias": 0.7, **options}

    def program(x: Any, c: Any, h: Any) -> Any:
        return getattr(raw, name)(seq_len_max=np.int64(steps), x=x, cs_prev=c, h_prev=h, **WEIGHTS, **options)

    return program


@pytest.mark.parametrize("name", ["BlockLSTM", "BlockLSTMV2"])
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("clip", [-1.0, 0.0, 0.4])
def test_lstm_layer_step_by_step(name: str, peephole: bool, clip: float) -> None:
    program = layer(name, cell_clip=clip, use_peephole=peephole)
    result = check(lambda *xs: program(*xs), X, C, H)
    assert result.ops.count("matmul") == 1 + STEPS
    check(lambda x, c, h: program(x, c, h).cs[-1], X, C, H)


@pytest.mark.parametrize("name", ["BlockLSTM", "BlockLSTMV2"])
def test_lstm_layer_as_one_operation(name: str) -> None:
    program = layer(name, cell_clip=0.0)
    result = check(lambda *xs: program(*xs).h, X, C, H)
    assert [op for op in result.ops if op not in ("unsqueeze", "squeeze")] == ["lstm_layer"]
    plain = check(lambda *xs: program(*xs).h, X, C, H, standard_only=True)
    assert "lstm_layer" not in plain.ops


@pytest.mark.parametrize("name", ["BlockLSTM", "BlockLSTMV2"])
@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("clip", [0.0, 0.4])
def test_lstm_layer_of_other_lengths(name: str, steps: int, clip: float) -> None:
    program = layer(name, steps, cell_clip=clip)
    check(lambda x, c, h: (program(x, c, h).h + x[:, :, :1], program(x, c, h).cs + x[:, :, :1]), X, C, H)
    check(lambda x, c, h: program(x, c, h).h + x[:, :, :1], X, C, H)


def test_lstm_layer_of_one_step() -> None:
    program = layer("BlockLSTM", 1, cell_clip=0.0)
    check(lambda *xs: program(*xs), X[:1], C, H)
    check(lambda *xs: program(*xs).h, X[:1], C, H)


def test_lstm_layer_whose_length_is_computed_is_refused() -> None:
    def program(x: Any, c: Any, h: Any) -> Any:
        steps = tf.cast(tf.reduce_sum(x), tf.int64)
        return raw.BlockLSTMV2(seq_len_max=steps, x=x, cs_prev=c, h_prev=h, **WEIGHTS).h

    assert "must be a constant" in refusal(program, X, C, H)


def test_gru_cell() -> None:
    weights: dict[str, Any] = {
        "w_ru": random(INPUT + HIDDEN, 2 * HIDDEN),
        "w_c": random(INPUT + HIDDEN, HIDDEN),
        "b_ru": random(2 * HIDDEN),
        "b_c": random(HIDDEN),
    }
    check(lambda x, h: raw.GRUBlockCell(x=x, h_prev=h, **weights), X[0], H)

"""Random models over all operations: backends, and the ways to ONNX and TensorFlow and back, give the same numbers.

`python -m tests.random_graphs 10000` runs any number of them by hand.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.ops.registry import operations

from .agreement import check, disagreement
from .generator import random_model
from .samplers import SAMPLERS, WITHOUT_SAMPLER

COUNT = 300


@pytest.mark.parametrize("seed", range(COUNT))
def test_engines_agree(seed: int, tmp_path: Path) -> None:
    model = random_model(seed)
    problems = check(model, tmp_path / "model")
    wrong = [f"{name}: {text}" for name, text in problems.items() if not text.startswith("refused")]
    assert not wrong, "\n".join([model.text, *wrong])


def test_every_operation_is_drawn() -> None:
    assert set(operations()) == {*SAMPLERS, *WITHOUT_SAMPLER}
    drawn = Counter(name for seed in range(COUNT) for name in random_model(seed).operations)
    assert not [name for name in SAMPLERS if not drawn[name]]


def test_the_same_seed_gives_the_same_model() -> None:
    one, two = random_model(5), random_model(5)
    assert one.text == two.text
    assert all(np.array_equal(value, two.inputs[name]) for name, value in one.inputs.items())


def test_a_wrong_number_is_noticed() -> None:
    for seed in range(20):
        model = random_model(seed)
        results = list(model.outputs.values())
        assert not disagreement(model, results)
        for place, (name, expected) in enumerate(model.outputs.items()):
            other = np.array(expected)
            if expected.dtype.kind == "f":
                scale = np.abs(expected[np.isfinite(expected)]).max(initial=0)
                change = 0.01 * scale + 10 * model.slack[name] + 1e-20
                other.flat[0] = 1e3 if not np.isfinite(other.flat[0]) else other.flat[0] + change
            else:
                other.flat[0] = not other.flat[0] if expected.dtype == bool else other.flat[0] + 1
            assert disagreement(model, [*results[:place], other, *results[place + 1 :]])

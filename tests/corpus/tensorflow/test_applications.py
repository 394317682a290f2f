"""The networks of keras.applications compute the same in NNEF, and back in TensorFlow, without transposes inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from .agreement import check_conversion, freeze, random_inputs
from .networks import APPLICATIONS


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application(name: str, tmp_path: Path) -> None:
    network = APPLICATIONS[name]
    model = network.build()
    frozen = freeze(model, tmp_path / "model.pb", random_inputs(model, network.batch), any_batch=True)
    plain = check_conversion(frozen, tmp_path)
    assert plain.transposes is not None and len(plain.transposes) == 1
    assert "from input" in plain.transposes[0]
    assert check_conversion(frozen, tmp_path, io_transpose=True).transposes == ()

"""What the tests of the reader share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nnef_tools.io.tf.graphdef import Reader
from nnef_tools.model import Graph


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(message: Any, *args: Any, **options: Any) -> Graph:
        path = tmp_path / "model.pb"
        path.write_bytes(message.SerializeToString())
        return Reader(**options)(path, *args)

    return read

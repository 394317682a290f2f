"""Pictures, pages and differences need no package but numpy and ml_dtypes; PNG and PDF name the one that they need."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from nnef_tools.cli.main import main

from ..support.tf_examples import FOLDER

GRAPH = str(min(FOLDER.glob("*.pb")))


@pytest.mark.parametrize("kind", ["svg", "html", "dot"])
def test_pictures_need_no_package(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{kind}"
    assert main(["visualize", GRAPH, "-o", str(path)]) == 0
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(("kind", "package"), [("png", "resvg_py"), ("pdf", "reportlab")])
def test_others_name_theirs(kind: str, package: str, tmp_path: Path) -> None:
    expected = 0 if find_spec("reportlab") and find_spec(package) else 6
    assert main(["visualize", GRAPH, "-o", str(tmp_path / f"picture.{kind}")]) == expected


def test_models_are_compared(tmp_path: Path) -> None:
    assert main(["diff", GRAPH, GRAPH]) == 0

"""A new format is an entry in PAGES and files of its own: tests/data/toy is one, put into a copy of the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnef_tools
from nnef_tools.language.tensor_file import read_tensor

from .structure import format_literals, import_circles
from .test_structure import KNOW_FORMATS, NAMES

TOY = Path(__file__).parents[1] / "data" / "toy"
MODEL = "input x 2,3\nrelu y x\nsigm s x\nmul z y s\noutput z\n"
SQUARE = """version 1.0;
graph G(x) -> (y) { x = external(shape = [2, 3]); y = sqr(x); }
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, to which the toy format is added, and with models."""
    root = tmp_path_factory.mktemp("root")
    package = root / "nnef_tools"
    shutil.copytree(Path(nnef_tools.__file__).parent, package)  # with byte code, which saves seconds
    shutil.copytree(TOY, package, dirs_exist_ok=True)
    pages = package / "formats" / "__init__.py"
    text, count = re.subn(r"^(PAGES = \(.*)\)$", r'\1, "toy")', pages.read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1
    pages.write_text(text, "utf-8")
    (root / "model.toy").write_text(MODEL)
    (root / "square.nnef").mkdir()
    (root / "square.nnef" / "graph.nnef").write_text(SQUARE)
    return root


def run(root: Path, *arguments: str) -> str:
    """Calls the command line of the copy."""
    command = [sys.executable, "-m", "nnef_tools", *arguments]
    done = subprocess.run(command, cwd=root, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_it_is_converted_to_others_and_back(root: Path) -> None:
    assert "verified" in run(root, "convert", "model.toy", "model.onnx", "--verify")
    assert "verified" in run(root, "convert", "model.onnx", "back.toy", "--verify", "--optimize")
    assert (root / "back.toy").read_text() == MODEL
    assert "verified" in run(root, "convert", "square.nnef", "square.toy", "--verify")
    assert (root / "square.toy").read_text() == "input x 2,3\nmul y x x\noutput y\n"


def test_it_is_run(root: Path) -> None:
    assert "ran in toy" in run(root, "execute", "model.toy", "--random", "uniform(1, 1)", "--output-path", "out")
    with (root / "out" / "z.dat").open("rb") as file:
        np.testing.assert_allclose(read_tensor(file)[0], np.full((2, 3), 1 / (1 + np.exp(-1))), rtol=1e-6)


def test_it_obeys_the_laws(root: Path) -> None:
    package = root / "nnef_tools"
    assert import_circles(package) == []
    assert format_literals(package, {*NAMES, "toy"}, KNOW_FORMATS) == []

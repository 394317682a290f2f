"""The generated reference pages are up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def script(name: str) -> Any:
    """The module of a script."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_onnx_operators_page() -> None:
    module = script("generate_coverage")
    page = (ROOT / "docs" / "reference" / "onnx-operators.md").read_text("utf-8")
    assert page == module.generate(), "run: python scripts/generate_coverage.py"


def test_caffe2_operators_page() -> None:
    page = (ROOT / "docs" / "reference" / "caffe2-operators.md").read_text("utf-8")
    assert page == script("generate_caffe2_coverage").generate(), "run: python scripts/generate_caffe2_coverage.py"


@pytest.mark.parametrize("name", ["tf-operators.md", "tflite-operators.md"])
def test_tensorflow_operators_pages(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert page == script("generate_tf_coverage").PAGES[name](), "run: python scripts/generate_tf_coverage.py"


def test_caffe_layers_page() -> None:
    page = (ROOT / "docs" / "reference" / "caffe-operators.md").read_text("utf-8")
    assert page == script("generate_caffe_coverage").generate(), "run: python scripts/generate_caffe_coverage.py"

"""The generated reference pages are up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_onnx_operators_page() -> None:
    script = ROOT / "scripts" / "generate_coverage.py"
    spec = importlib.util.spec_from_file_location("generate_coverage", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "reference" / "onnx-operators.md").read_text("utf-8")
    assert page == module.generate(), "run: python scripts/generate_coverage.py"

"""The stubs of the builders' operators are what their generators write, and name what rules look up by a string."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from nnef_tools.conversion.building.target import TargetBuilder
from nnef_tools.conversion.onnx import building as onnx_building
from nnef_tools.conversion.tf import building as tf_building

ROOT = Path(__file__).parents[2]
CONVERSION = ROOT / "nnef_tools" / "conversion"


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_operations_of_nnef() -> None:
    text = (CONVERSION / "building" / "operations.pyi").read_text()
    assert text == _script("generate_operations").generate(), "run: python scripts/generate_operations.py"


def test_operators_of_tensorflow() -> None:
    text = (CONVERSION / "tf" / "operators.pyi").read_text()
    assert text == _script("generate_operators").generate_tf(), "run: python scripts/generate_operators.py"


def test_operators_of_onnx() -> None:
    script = _script("generate_operators")
    if script.onnx.defs.onnx_opset_version() < script.OPSETS[-1]:
        pytest.skip("the onnx package does not know all operators")
    text = (CONVERSION / "onnx" / "operators.pyi").read_text()
    assert text == script.generate_onnx(), "run: python scripts/generate_operators.py"


@pytest.mark.parametrize("module", [onnx_building, tf_building])
def test_operators_in_tables_exist(module: ModuleType) -> None:
    builder = next(item for item in vars(module).values() if _is_builder(item))
    stub = ast.parse((CONVERSION / builder.dialect / "operators.pyi").read_text())
    declared = {node.name for node in ast.walk(stub) if isinstance(node, ast.FunctionDef)}
    assert {*builder.plain.values(), *module.REDUCTIONS.values()} <= declared


def _is_builder(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, TargetBuilder) and hasattr(item, "dialect")

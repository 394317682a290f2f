"""The structure of the package: no circles, formats known in one place, short functions, one family name, one spelling.

Each law is also seen to fail on a small package with a breach of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import nnef_tools
from nnef_tools.conversion.engine import rules
from nnef_tools.execution.kernels import torch_operators
from nnef_tools.formats import DIALECTS, FORMATS, Format, converters, load
from nnef_tools.ops import registry
from nnef_tools.pipeline import job

from .structure import british_spellings, family_names, format_literals, import_circles, long_functions

PACKAGE = Path(nnef_tools.__file__).parent
ROOT = PACKAGE.parent
NAMES = {*FORMATS, *DIALECTS}

LONG = {
    "pipeline: convert_model": "the signature and the documentation of each option",
}
"""Functions that may be longer than the law allows -> why."""

KNOW_FORMATS = {
    "formats/": "the pages of the formats",
    "execution/onnxruntime/": "a runtime of one format, which names the packages that are missing",
    "execution/tensorflow.py": "the same",
    "execution/litert.py": "the same",
    "execution/opencv.py": "the same",
    "io/onnx/messages.py": "the domain of custom operators in ONNX files is called nnef",
}
"""Where names of formats may stand, besides in folders and modules of that name -> why."""


@pytest.fixture
def plant(tmp_path: Path) -> Any:
    """Makes a package of the given files."""

    def make(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "package"

    return make


def test_no_import_circles(plant: Any) -> None:
    assert import_circles(PACKAGE) == []
    lazy = {"a/__init__.py": "", "a/b.py": "from ..c import x\n", "c.py": "def f():\n    from .a.b import g\n"}
    assert import_circles(plant(lazy)) == ["a.b <-> c"]


def test_formats_are_known_in_their_places(plant: Any) -> None:
    assert format_literals(PACKAGE, NAMES, KNOW_FORMATS) == []
    files = {
        "formats/onnx.py": "X = 'onnx'\n",
        "io/onnx/reader.py": "X = 'onnx'\n",
        "execution/onnx.py": "X = 'onnx'\n",
        "pipeline.py": "X = 1\nY = 'onnx'\n",
    }
    assert format_literals(plant(files), NAMES, KNOW_FORMATS) == ["pipeline.py:2: 'onnx'"]


def test_functions_are_short(plant: Any) -> None:
    assert sorted(long_functions(PACKAGE)) == sorted(LONG)
    body = "    pass\n" * 59
    files = {"a.py": f"def short():\n{body}\n\ndef long():\n{body}    pass\n"}
    assert long_functions(plant(files)) == ["a: long"]


def _homes() -> Iterator[tuple[str, str]]:
    """What has the kernels of operations, their torch operators, and the rules that convert them."""
    for name, definition in registry.operations().items():
        yield name, inspect.unwrap(definition.run).__module__
    for family in torch_operators.FAMILIES:
        yield from ((name, family.__name__) for name in family.OPERATORS)
    for converter in converters().values():
        load(converter)
    for rule in rules._from_nnef.values():
        yield rule.type, inspect.unwrap(rule.function).__module__


def test_operations_have_one_family_name() -> None:
    homes = list(_homes())
    assert {module.rpartition(".")[0] for _, module in homes} >= {
        "nnef_tools.ops",
        "nnef_tools.execution.kernels.torch_operators",
        *(f"nnef_tools.conversion.{name}" for name in ("shared", "onnx.from_nnef", "tf.from_nnef")),
    }
    assert family_names(homes) == []
    assert family_names([*homes, ("relu", "planted.norm")]) == ["relu: activation, norm"]


def test_spelling_is_american(plant: Any) -> None:
    texts = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyi", ".nnef", ".txt")]
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert british_spellings([*texts, *pages]) == []
    files = {"a.py": "advise = promised\n_neighbours = 1  # is Normalised\n", "b.md": "The optimization honors it.\n"}
    planted = sorted(plant(files).iterdir())
    assert british_spellings(planted) == ["a.py:2: neighbours", "a.py:2: Normalised"]


# options


def test_every_option_of_convert_is_in_a_table() -> None:
    """Of those in the tables, what a conversion does not follow is warned about; the others count in all."""
    always = {
        "input_shapes",
        "set_inputs",
        "optimize",
        "decompose",
        "input_names",
        "output_names",
        "verify",
        "verify_inputs",
        "dry_run",
    }
    tables = {*job.CONVERTER_OPTIONS, *job.READER_OPTIONS, *job.WRITER_OPTIONS, *job.OPTIMIZER_OPTIONS}
    tables |= {"compress", "random", "seed", "verify_strict", "tensor_mapping"}
    assert not always & tables
    assert set(job.Options._fields) == always | tables
    around = {"source", "target", "input_format", "output_format", "progress", "limits"}
    assert set(inspect.signature(nnef_tools.convert_model).parameters) == always | tables | around


def test_converters_take_what_they_honor() -> None:
    for name in converters().values():
        converter = load(name)
        parameters = set(inspect.signature(converter).parameters)
        assert converter.honors <= parameters, name
        assert parameters - converter.honors <= {"data_format"}, name
        unknown = converter.honors - {*job.CONVERTER_OPTIONS.values(), "custom_functions", "infer_shapes"}
        assert not unknown, f"{name} honors what the pipeline does not pass"


def _takes(name: str | None, options: frozenset[str]) -> None:
    if name is not None:
        called = {"custom_fragments": "fragments"}
        parameters = inspect.signature(load(name)).parameters
        assert {called.get(option, option) for option in options if option not in parameters} <= set(parameters), name


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_classes_take_the_options_of_their_page(format: Format) -> None:
    _takes(format.reader, format.reader_options)
    _takes(format.writer, format.writer_options)
    _takes(format.dialect.optimizer, format.dialect.optimizer_options)

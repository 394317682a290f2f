"""The documentation: links lead somewhere, commands have the options they use, and examples do what is said of them."""

from __future__ import annotations

import importlib.util
import re
import shlex
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from nnef_tools.cli.main import COMMANDS

from ..support.packages import member
from .blocks import ROOT, Block, blocks, needed_model, pages, run_page

PAGES = pages()
ABOUT_THE_CODE = ("CONTRIBUTING.md", "architecture.md")
MODEL = ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx")


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _prose(page: Path) -> str:
    """The text without code."""
    text = re.sub(r"^\s*```.*?^\s*```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def _anchors(page: Path) -> set[str]:
    """The anchors of the headings, as git hosts make them."""
    text = re.sub(r"^\s*```.*?^\s*```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"https?:|mailto:", target) or f"]({target})" not in _prose(page) + page.read_text("utf-8"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{_id(page)}: {target}"
        if anchor:
            assert anchor in _anchors(linked), f"{_id(page)}: {target}, there are {sorted(_anchors(linked))}"


def test_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s]+)\)", index)}
    decisions = ROOT / "docs" / "decisions"
    missing = [_id(page) for page in PAGES if page.is_relative_to(ROOT / "docs") and page.parent != decisions]
    assert [name for name in missing if (ROOT / name) not in linked and name != "docs/README.md"] == []


def _commands(block: Block) -> list[list[str]]:
    """The calls of the command line in a shell block."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for k, word in enumerate(words):
            if word == "nnef-tools":
                found.append(_simple(words[k + 1 :]))
            elif word == "-m" and words[k + 1 : k + 2] and words[k + 1].startswith("nnef_tools."):
                found.append(_simple([words[k + 1].partition(".")[2], *words[k + 2 :]]))
    return found


def _simple(words: list[str]) -> list[str]:
    """The words up to a redirection, a pipe or the next command."""
    for k, word in enumerate(words):
        if word in ("|", "||", "&&", ";", "&", "<", ">") or re.match(r"\d?[<>]", word):
            return words[:k]
    return words


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_commands_are_valid(page: Path) -> None:
    for block in blocks(page):
        for words in _commands(block) if block.language == "sh" else ():
            if words[:1] in (["--help"], ["--version"]) or "--help" in words:
                continue
            assert words and words[0] in COMMANDS, f"{block.place}: {words}"
            module = import_module(f"nnef_tools.cli.{words[0].replace('-', '_')}")
            module.build_parser(words[0]).parse(words[1:])  # UsageError for an option that is not there


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.kind == "run" for b in blocks(p))], ids=_id)
def test_examples(page: Path, tmp_path: Path) -> None:
    name = needed_model(page)
    if name is not None:
        (tmp_path / name).write_bytes(member(*MODEL).read_bytes())
    run_page(page, tmp_path)


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["command-line.md", "helper-methods.md", "custom-fragments.md"])
def test_generated_pages(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert page == _script("generate_reference").PAGES[name](), "run: python scripts/generate_reference.py"


def test_picture_of_the_architecture() -> None:
    script = _script("generate_architecture")
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert page == script.generate(), "run: python scripts/generate_architecture.py"
    graph = script.graph_of([("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("d", "c")])
    assert graph == {"a": {"b"}, "b": {"c and d"}, "c and d": set()}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name in ABOUT_THE_CODE or p.parent.name == "decisions"], ids=_id
)
def test_named_code_exists(page: Path) -> None:
    """Files, folders and `module.py::name` are in the package, or below the root. Words in capitals stand for any."""
    for file, name in re.findall(r"`(\w+(?:/[\w.]+)*(?:/|/[\w.]+\.\w+))(?:::(\w+))?`", page.read_text("utf-8")):
        if re.search("[A-Z]{4}", file):
            continue
        path = next((path for path in (ROOT / "nnef_tools" / file, ROOT / file) if path.exists()), None)
        assert path is not None, f"{_id(page)}: {file}"
        defined = not name or re.search(rf"^(def|class) {name}\b|^{name}\b.*=", path.read_text("utf-8"), re.MULTILINE)
        assert defined, f"{_id(page)}: {file}::{name}"


def test_helpers_of_onnx_to_nnef() -> None:
    """The names are a public interface: plugins of the 1.0 series call them."""
    text = (ROOT / "docs" / "reference" / "helper-methods.md").read_text("utf-8")
    common, onnx = text.partition("## ONNX to NNEF")[0], text.partition("## ONNX to NNEF")[2].partition("\n## ")[0]
    names = re.findall(r"^\| `(\w+)\(", common + onnx, re.MULTILINE)
    assert len(names) == len(set(names)) == 48

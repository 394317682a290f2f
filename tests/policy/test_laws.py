"""The laws of the code base, read off its syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import nnef_tools
from nnef_tools.formats import DIALECTS, FORMATS, converters

PACKAGE = Path(nnef_tools.__file__).parent
ROOT = PACKAGE.parent

# A component imports from lower layers only, or from itself.
LAYERS = {
    "errors": 0,
    "budget": 1,
    "model": 1,
    "language": 2,
    "ops": 3,
    "dialects": 3,
    "io": 4,
    "utils": 4,
    "report": 5,
    "plugins": 5,
    "formats": 5,
    "optimization": 5,
    "conversion": 6,
    "execution": 7,
    "profiling": 6,
    "visualization": 6,
    "interpreter": 8,  # the public face of the torch backend in execution
    "verification": 8,
    "pipeline": 9,
    "api": 9,
    "inspection": 10,
    "quantization": 10,
    "cli": 11,
    "convert": 12,
    "execute": 12,
    "generate": 12,
    "gmac": 12,
    "image_tensor": 12,
    "quantize": 12,
    "random_tensor": 12,
    "visualize": 12,
    "__main__": 12,
}

CORE = {"numpy", "ml_dtypes"}

# Optional packages, and the modules (or folders) that may import them.
OWNERS = {
    "ai_edge_litert": ("execution/litert.py",),
    "cv2": ("execution/opencv.py",),
    "google": ("io/onnx/", "io/tf/graphdef/"),  # protobuf, which onnx and tensorflow require
    "PIL": ("execution/feeds/images.py",),
    "onnx": ("io/onnx/", "execution/onnxruntime/"),
    "onnxruntime": ("execution/onnxruntime/onnx.py", "execution/onnxruntime/nnef.py"),
    "shtab": ("cli/completion.py",),
    "h5py": ("io/tf/saved_model.py",),
    "tensorflow": ("io/tf/", "execution/tensorflow.py"),
    "reportlab": ("inspection/picture/raster.py",),
    "resvg_py": ("inspection/picture/raster.py",),
    "torch": ("execution/kernels/torch", "interpreter/pytorch/"),
}

MAX_LINES = 600


@dataclass(frozen=True)
class Import:
    """One imported module. target: dotted name from the package on ('' is the package), None for another package."""

    package: str
    target: str | None
    names: tuple[str, ...]
    lazy: bool
    typing_only: bool
    line: int


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def component(dotted: str) -> str:
    return dotted.partition(".")[0]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[Import]:
    yield from _imports(path, tree(path).body, lazy=False, typing_only=False)


def _imports(path: Path, body: list[ast.stmt], lazy: bool, typing_only: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.partition(".")[0]
                target = alias.name.partition(".")[2] if package == "nnef_tools" else None
                yield Import(package, target, (), lazy, typing_only, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            if node.level:
                folder = [*path.relative_to(PACKAGE).parent.parts]
                base = folder[: len(folder) - node.level + 1]
                target = ".".join([*base, *([node.module] if node.module else [])])
                yield Import("nnef_tools", target, names, lazy, typing_only, node.lineno)
            else:
                package, _, rest = (node.module or "").partition(".")
                yield Import(package, rest if package == "nnef_tools" else None, names, lazy, typing_only, node.lineno)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _imports(path, node.body, True, typing_only)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imports(path, node.body, lazy, True)
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(path, getattr(node, field, []), lazy, typing_only)
            for handler in getattr(node, "handlers", []):
                yield from _imports(path, handler.body, lazy, typing_only)


def imported_files(path: Path, item: Import) -> Iterator[Path]:
    """The modules of this package that an import executes."""
    assert item.target is not None
    base = PACKAGE.joinpath(*item.target.split(".")) if item.target else PACKAGE
    for candidate in (base, *(base / name for name in item.names)):
        for file in (candidate.with_suffix(".py"), candidate / "__init__.py"):
            if file.is_file():
                yield file


def violations(check) -> list[str]:
    return [f"{relative(path)}:{line}: {what}" for path in modules() for line, what in check(path)]


def test_imports_point_down() -> None:
    def check(path: Path) -> Iterator[tuple[int, str]]:
        own = component(relative(path).removesuffix(".py").replace("/", "."))
        if own == "__init__":
            return
        assert own in LAYERS, f"'{own}' has no layer; add it to LAYERS"
        for item in imports(path):
            if item.target is None:
                continue
            targets = [item.target] if item.target else [name for name in item.names if name in LAYERS]
            for target in targets:
                other = component(target)
                if other != own and LAYERS[other] >= LAYERS[own]:
                    yield item.line, f"{own} imports {other}"

    assert violations(check) == []


def test_classes_named_in_the_registry_exist() -> None:
    named = [name for f in FORMATS.values() for name in (f.reader, f.writer)]
    named += [name for d in DIALECTS.values() for name in (d.optimizer, d.layout, d.complete_shapes)]
    named += [runtime.executor for f in FORMATS.values() for runtime in f.runtimes]
    for name in filter(None, [*named, *converters().values()]):
        module, _, attribute = name.partition(":")
        base = PACKAGE.joinpath(*module.split("."))
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        assert file.is_file(), name
        assert attribute in file.read_text("utf-8"), name


def test_package_imports_itself_relatively() -> None:
    def check(path: Path) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if any(component(name) == "nnef_tools" for name in names):
                yield node.lineno, "absolute import of the package"

    assert violations(check) == []


def test_no_star_imports() -> None:
    def check(path: Path) -> Iterator[tuple[int, str]]:
        return ((item.line, "star import") for item in imports(path) if "*" in item.names)

    assert violations(check) == []


def test_eval_is_in_one_module() -> None:
    def check(path: Path) -> Iterator[tuple[int, str]]:
        if relative(path) == "conversion/engine/transform.py":
            return
        for node in ast.walk(tree(path)):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in ("eval", "exec", "compile", "__import__"):
                yield called.lineno, called.id

    assert violations(check) == []


def test_optional_packages_stay_with_their_owners() -> None:
    def check(path: Path) -> Iterator[tuple[int, str]]:
        for item in imports(path):
            if item.target is not None or item.package in CORE or item.package in sys.stdlib_module_names:
                continue
            if not relative(path).startswith(OWNERS.get(item.package, ())):
                yield item.line, f"imports {item.package}"

    assert violations(check) == []


def test_one_place_opens_sessions_of_onnxruntime() -> None:
    """It takes care that results do not depend on the processor."""
    opening = {
        relative(path)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("InferenceSession", "SessionOptions")
    }
    assert opening == {"execution/onnxruntime/onnx.py"}


def test_optional_packages_are_imported_lazily() -> None:
    """Importing a module must not import an optional package, unless the module is one of its owners."""
    eager = {
        path: {item.package for item in imports(path) if not item.lazy and item.package in OWNERS} for path in modules()
    }
    below = {
        path: {file for item in imports(path) if item.target is not None and not item.lazy and not item.typing_only
               for file in imported_files(path, item)}
        for path in modules()
    }  # fmt: skip

    def closure(path: Path) -> set[Path]:
        found, pending = {path}, [path]
        while pending:
            for file in below[pending.pop()] - found:
                found.add(file)
                pending.append(file)
        return found

    for path in modules():
        packages = {package for file in closure(path) for package in eager[file]}
        foreign = [package for package in packages if not relative(path).startswith(OWNERS[package])]
        assert not foreign, f"importing {relative(path)} imports {foreign}"


def test_public_functions_have_docstrings() -> None:
    def check(path: Path) -> Iterator[tuple[int, str]]:
        for node in tree(path).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            registered = bool(node.decorator_list)  # kernels and rules: what they do is said where they are registered
            if not registered and not ast.get_docstring(node):
                yield node.lineno, f"{node.name} has no docstring"
        if not ast.get_docstring(tree(path)) and path.stat().st_size:
            yield 1, "the module has no docstring"

    assert violations(check) == []


def test_modules_are_small() -> None:
    long = {
        relative(path): count for path in modules() if (count := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_version_is_the_same_everywhere() -> None:
    match = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert match is not None
    assert match[1] == nnef_tools.__version__


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["convert", "--help"],
        ["execute", "--help"],
        ["diff", "--help"],
        ["compare", "--help"],
        ["quantize", "--help"],
        ["inspect", "--help"],
        ["cache", "--help"],
        ["visualize", "--help"],
    ],
)
def test_help_is_light(arguments: list[str]) -> None:
    code = (
        "import sys; from nnef_tools.cli.main import main; status = main(sys.argv[1:]);"
        "heavy = {'numpy', 'ml_dtypes', 'onnx', 'torch'} & set(sys.modules);"
        "own = [name for name in sys.modules if name.startswith('nnef_tools')];"
        "assert not heavy and len(own) < 40, (heavy, own); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout

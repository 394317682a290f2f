"""Damaged inputs of all kinds, each reproducible by a seed, and the trial that tells whether they are handled well."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from google.protobuf import text_format

from nnef_tools.api import read_tensor_mapping
from nnef_tools.errors import NnefToolsError
from nnef_tools.execution import make_executor
from nnef_tools.execution.feeds.sources import RandomSource, load_inputs
from nnef_tools.execution.results.statistics import StatisticsCollector, read_statistics
from nnef_tools.language.tensor_file import read_tensor
from nnef_tools.pipeline import convert_model
from nnef_tools.quantization.ranges import METHODS, Codes, Observed, find_range, parameters

from ..conformance.suite import all_cases
from ..support.caffe_nets import CAFFE, SSD, net_names, recorded_net
from .caffe2_nets import write_damaged
from .flatbuffer import damaged_tables, damaged_words
from .graphdef import SAMPLES, damaged_graph
from .mutation import damaged, damaged_json, damaged_text
from .onnx_samples import integer_model, onnx_model
from .plugin_modules import TABLES, damaged_module
from .samples import SIDECAR, archive, nnef_files, write_folder
from .structure import damaged_structure
from .tflite_samples import tflite_model
from .watch import time_limit

SECONDS = 20  # for one mutant, on a busy machine
FORMATS = {
    ".onnx": "onnx",
    ".pb": "tf",
    ".pbtxt": "tf",
    ".tflite": "tflite",
    ".prototxt": "caffe",
    ".caffemodel": "caffe",
    ".caffe2": "caffe2",
}
EXIT_CODES = {2, 3}  # unreadable or invalid; not convertible
LATER_CODES = {1, 2, 3}  # of what is done with a model that was converted: there may be no inputs for it
MAX_ITEMS = 1 << 22
CAFFE_FILES = (CAFFE, SSD)


@dataclass(frozen=True)
class Mutant:
    """A damaged file, and the model that it belongs to. options: of `convert_model`. codes: exit codes of refusals.
    output: the format to convert to.
    """

    source: Path
    options: dict[str, Any] = field(default_factory=dict)
    codes: frozenset[int] = frozenset(EXIT_CODES)
    output: str = "nnef"

    @property
    def format(self) -> str:
        return FORMATS.get(self.source.suffix, "nnef")


def onnx_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    path = folder / "model.onnx"
    path.write_bytes(damaged(onnx_model() if rng.integers(2) else integer_model(), rng))
    return Mutant(path)


def structure_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A backend test of onnx with parameters as constants, of damaged structure."""
    names = list(all_cases())
    case = all_cases()[names[rng.integers(len(names))]].with_initializers()
    path = folder / "model.onnx"
    path.write_bytes(damaged_structure(case.model, rng).SerializeToString())
    return Mutant(path)


def graph_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    files = nnef_files()
    text = files["graph.nnef"].decode()
    files["graph.nnef"] = damaged_text(text, rng).encode("utf-8")
    return Mutant(write_folder(folder / "model.nnef", files))


def graph_bytes_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    files = nnef_files()
    files["graph.nnef"] = damaged(files["graph.nnef"], rng)
    return Mutant(write_folder(folder / "model.nnef", files))


def tensor_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    files = nnef_files()
    data = files["body/w.dat"]
    size = 128 if rng.integers(4) else len(data)  # mostly the header
    files["body/w.dat"] = damaged(data[:size], rng) + data[size:]
    return Mutant(write_folder(folder / "model.nnef", files))


def quantization_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    files = nnef_files()
    text = files["graph.quant"]
    files["graph.quant"] = damaged_text(text.decode(), rng).encode() if rng.integers(2) else damaged(text, rng)
    return Mutant(write_folder(folder / "model.nnef", files))


def archive_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    path = folder / "model.tgz"
    path.write_bytes(damaged(archive(nnef_files(), compressed=bool(rng.integers(2))), rng))
    return Mutant(path)


def member_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """Archives that are whole, of members with damaged names, kinds and contents."""
    stream = io.BytesIO()
    names = ("/etc/x", "../x", "a/../../x", "graph.nnef", "body/w.dat", "", "./graph.nnef", "a" * 300, "body")
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in nnef_files().items():
            info = tarfile.TarInfo(names[rng.integers(len(names))] if rng.integers(3) == 0 else name)
            if rng.integers(4) == 0:
                info.type = kinds[rng.integers(len(kinds))]
                info.linkname = names[rng.integers(len(names))]
                content = b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path = folder / "model.tgz"
    path.write_bytes(stream.getvalue())
    return Mutant(path)


def graphdef_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A TensorFlow graph with damaged bytes, text or structure."""
    message = SAMPLES[rng.integers(len(SAMPLES))]()
    kind = rng.integers(4)
    if kind == 0:
        path = folder / "model.pbtxt"
        path.write_text(damaged_text(text_format.MessageToString(message), rng))
        return Mutant(path)
    path = folder / "model.pb"
    data = message.SerializeToString()
    path.write_bytes(damaged(data, rng) if kind == 1 else damaged_graph(message, rng).SerializeToString())
    return Mutant(path)


def sidecar_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    files = nnef_files()
    raw = json.dumps(SIDECAR).encode()
    files["nnef_tools.json"] = damaged(raw, rng) if rng.integers(3) == 0 else damaged_json(SIDECAR, rng)
    return Mutant(write_folder(folder / "model.nnef", files))


def plugin_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A model with custom operations, and a plugin module whose tables have wrong entries."""
    path = write_folder(folder / "model.nnef", nnef_files())
    module = folder / f"plugin{rng.integers(1 << 62)}.py"  # a name of its own, since modules stay loaded
    module.write_text(damaged_module(rng))
    options = {option: [str(module)] for option in TABLES}
    output = "onnx" if rng.integers(2) else "nnef"
    return Mutant(path, options, frozenset({*EXIT_CODES, 5}), output)


def tflite_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A TensorFlow Lite model with damaged offsets, lengths and other bytes."""
    path = folder / "model.tflite"
    path.write_bytes(damaged_words(tflite_model(branches=bool(rng.integers(2))), rng))
    return Mutant(path)


def tflite_tables_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A TensorFlow Lite model with damaged fields, which is a proper FlatBuffer."""
    path = folder / "model.tflite"
    path.write_bytes(damaged_tables(tflite_model(branches=bool(rng.integers(2))), rng))
    return Mutant(path)


def caffe2_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A Caffe2 model of which one file is damaged."""
    return Mutant(write_damaged(folder / "model.caffe2", rng))


def caffe_mutant(folder: Path, rng: np.random.Generator) -> Mutant:
    """A Caffe net with damaged text, numbers or weights, or the weights of another net."""
    file = CAFFE_FILES[rng.integers(len(CAFFE_FILES))]
    names = net_names(file)
    net = recorded_net(names[rng.integers(len(names))], folder, file).path
    weights, kind = net.with_suffix(".caffemodel"), rng.integers(5)
    if kind < 2 or not weights.exists():
        net.write_text(damaged_text(net.read_text(), rng))
    elif kind == 2:
        net.write_text(_damaged_numbers(net.read_text(), rng))
    else:
        weights.write_bytes(damaged(weights.read_bytes(), rng))
    return Mutant(weights if kind == 4 and weights.exists() else net)


def _damaged_numbers(text: str, rng: np.random.Generator) -> str:
    """The text with other values for some of its numbers."""
    values = ("0", "-1", "1", "2", "3", "7", "1000", "2147483647", "4294967295", "9223372036854775807", "nan", "1e39")
    parts = re.split(r"(?<=: )(-?[\d.]+)", text)
    for _ in range(rng.integers(1, 4)):
        if len(parts) > 1:
            parts[2 * rng.integers(len(parts) // 2) + 1] = values[rng.integers(len(values))]
    return "".join(parts)


KINDS: dict[str, Callable[[Path, np.random.Generator], Mutant]] = {
    "graphdef": graphdef_mutant,
    "onnx": onnx_mutant,
    "structure": structure_mutant,
    "graph": graph_mutant,
    "graph-bytes": graph_bytes_mutant,
    "tensor": tensor_mutant,
    "quantization": quantization_mutant,
    "archive": archive_mutant,
    "members": member_mutant,
    "sidecar": sidecar_mutant,
    "plugin": plugin_mutant,
    "tflite": tflite_mutant,
    "tflite-tables": tflite_tables_mutant,
    "caffe2": caffe2_mutant,
    "caffe": caffe_mutant,
}


Small = Callable[[bytes, Path], Any]


def _read_stream(raw: bytes, folder: Path) -> None:
    stream = io.BytesIO(raw)
    while stream.tell() < len(raw):
        read_tensor(stream)


def _read_mapping(raw: bytes, folder: Path) -> None:
    (folder / "map.json").write_bytes(raw)
    mapping = read_tensor_mapping(folder / "map.json")
    assert all(isinstance(name, str) for name in mapping.values())


def _read_statistics(raw: bytes, folder: Path) -> None:
    (folder / "stats.json").write_bytes(raw)
    found = read_statistics(folder / "stats.json")
    found.merge(read_statistics(folder / "stats.json"), where="stats.json")
    for name, statistics in found.statistics.items():
        seen = Observed(statistics, found.histograms.get(name))
        for method in METHODS if seen.histogram is not None and seen.histogram.counts.size else METHODS[:1]:
            scale, zero = parameters(*find_range(name, seen, method, Codes(), None, 99), Codes())
            assert 0 < scale < np.inf and 0 <= zero <= 255


MAPPING = {"x": "input", "body/w:0": "w", "y\u00e9": "y"}


def stream_bytes(rng: np.random.Generator) -> bytes:
    """Tensors that follow each other, as on standard input."""
    data = nnef_files()["body/w.dat"]
    return damaged(data + data[:128], rng) + data[128:]


def mapping_bytes(rng: np.random.Generator) -> bytes:
    return damaged(json.dumps(MAPPING).encode(), rng) if rng.integers(2) else damaged_json(MAPPING, rng)


def statistics_bytes(rng: np.random.Generator) -> bytes:
    collector = StatisticsCollector(has_histograms=True)
    collector("x", rng.normal(0, 1, 50))
    collector("y", rng.uniform(0, 1, 9))
    value = collector.to_json()
    return damaged(json.dumps(value).encode(), rng) if rng.integers(2) else damaged_json(value, rng)


SMALL: dict[str, tuple[Callable[[np.random.Generator], bytes], Small]] = {
    "stream": (stream_bytes, _read_stream),
    "mapping": (mapping_bytes, _read_mapping),
    "statistics": (statistics_bytes, _read_statistics),
}
"""Files that are no models: kind -> the mutant, and what reads it."""


def generator(kind: str, seed: int) -> np.random.Generator:
    """The random numbers that make a mutant."""
    return np.random.default_rng([seed, *kind.encode()])


def attempt(mutant: Mutant, target: Path) -> tuple[str | None, NnefToolsError | None]:
    """Converts; returns what went wrong that may not, and the error if it was refused properly."""
    return guarded(
        lambda: convert_model(
            mutant.source, target, input_format=mutant.format, output_format=mutant.output, **mutant.options
        ),
        mutant.codes,
    )


def follow(target: Path, folder: Path) -> str | None:
    """Runs an NNEF model that is the result of a conversion, and converts it on; what went wrong that may not."""
    if not target.is_dir():
        return None

    def run() -> None:
        executor = make_executor(target, backend="numpy")
        if all(
            np.prod([extent or 1 for extent in info.shape or ()], dtype=float) < MAX_ITEMS for info in executor.inputs
        ):
            executor.run(load_inputs(executor.inputs, RandomSource(seed=0)))

    for action in (
        run,
        lambda: convert_model(target, folder / "again.onnx", input_format="nnef", output_format="onnx"),
        lambda: convert_model(target, folder / "again.pb", input_format="nnef", output_format="tf"),
    ):
        problem, _ = guarded(action, LATER_CODES)
        if problem:
            return f"afterwards: {problem}"
    return None


def small_problem(kind: str, seed: int, folder: Path) -> str | None:
    """Reads a damaged file that is no model; what went wrong that may not."""
    make, read = SMALL[kind]
    raw = make(generator(kind, seed))
    return guarded(lambda: read(raw, folder), EXIT_CODES)[0]


def guarded(action: Callable[[], Any], codes: Any) -> tuple[str | None, NnefToolsError | None]:
    """What went wrong that may not, and the error of a proper refusal."""
    try:
        with time_limit(SECONDS), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
    except NnefToolsError as error:
        if error.exit_code not in codes:
            return f"exit code {error.exit_code}: {error}", error
        if not error.message or len(str(error)) > 10_000:
            return f"message of {len(str(error))} characters", error
        return None, error
    except BaseException as error:  # also hangs and interpreter limits
        return f"{type(error).__name__}: {error}", None
    return None, None


def cache_problem(seed: int) -> str | None:
    """Runs a model whose cached form is damaged: the results have to be the same. (A run without cache restores it.)"""
    model, cached, expected = cached_model()
    entries = sorted(file for file in cached.rglob("*") if file.is_file())
    if not entries:
        return "there is no cache entry"
    rng = generator("cache", seed)
    kept = {file: file.read_bytes() for file in entries}
    for file, raw in kept.items():
        head = len(raw) if rng.integers(2) else 256
        file.write_bytes(damaged(raw[:head], rng) + raw[head:])
    try:
        problem, _ = guarded(lambda: np.testing.assert_array_equal(_run_cached(model, cached), expected), ())
    finally:
        for file, raw in kept.items():
            file.write_bytes(raw)
    return problem


@cache
def cached_model() -> tuple[Path, Path, Any]:
    """A model, the folder of the cache with its compiled form, and its results. It stays until the process ends."""
    folder = Path(mkdtemp())
    model, cached = write_folder(folder / "model.nnef", nnef_files()), folder / "cache"
    for file in [*model.rglob("*"), model]:
        os.utime(file, (1e9, 1e9))
    time.sleep(0.2)  # the cache trusts no file that may just be changing
    return model, cached, _run_cached(model, cached)


def _run_cached(model: Path, cached: Path) -> Any:
    former = os.environ.get("NNEF_TOOLS_MODEL_CACHE")
    os.environ["NNEF_TOOLS_MODEL_CACHE"] = str(cached)
    try:
        executor = make_executor(model, backend="onnxruntime")
        x = np.random.default_rng(0).standard_normal((1, 2, 6, 6), np.float32)
        return executor.run({"x": x})["y"]
    finally:
        if former is None:
            del os.environ["NNEF_TOOLS_MODEL_CACHE"]
        else:
            os.environ["NNEF_TOOLS_MODEL_CACHE"] = former

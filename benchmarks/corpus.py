"""Pre-trained ONNX models, converted to NNEF and run by onnxruntime, beside onnxruntime on the source model.

Loading and running are measured in pairs, one after the other and on one thread, in time of the processor, so that what
else the machine does matters little; reported are medians and their ratio. "first" is loading when nothing is in the
cache of compiled models.
The models are those of tests/corpus, downloaded on first use.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import nnef_tools
from nnef_tools.execution.onnxruntime.cache_folder import VARIABLE
from nnef_tools.execution.onnxruntime.nnef import NnefOnnxExecutor
from nnef_tools.execution.onnxruntime.onnx import open_session, providers

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.corpus.test_pretrained import MODELS
from tests.support.packages import member


@dataclass(frozen=True)
class Pair:
    """Median seconds of processor time of onnxruntime on the source model, and of ours."""

    source: float
    ours: float

    @property
    def ratio(self) -> float:
        return self.ours / self.source


def paired(source: Callable[[], Any], ours: Callable[[], Any], seconds: float, least: int = 5) -> Pair:
    """Both in turn, in alternating order, for about that long."""
    times: dict[Callable[[], Any], list[float]] = {source: [], ours: []}
    order = [source, ours]
    end = time.perf_counter() + seconds
    while len(times[ours]) < least or time.perf_counter() < end:
        for function in order:
            start = time.process_time()
            function()
            times[function].append(time.process_time() - start)
        order.reverse()
    return Pair(median(times[source]), median(times[ours]))


def compare(source: Path, inputs: dict[str, Any], folder: Path, seconds: float) -> tuple[Pair, Pair, Pair]:
    """Loading for the first time, loading again, and running. inputs: of the source model, by name."""
    model = folder / "model.nnef"
    nnef_tools.convert_model(
        source, model, input_format="onnx", output_format="nnef",
        input_shapes={name: list(array.shape) for name, array in inputs.items()},
    )  # fmt: skip

    def load_source() -> Any:
        return open_session(str(source), str(source), threads=1, providers=providers("cpu"))

    def load_ours() -> NnefOnnxExecutor:
        return NnefOnnxExecutor(model, threads=1)

    os.environ[VARIABLE] = "off"
    first = paired(load_source, load_ours, seconds)
    os.environ[VARIABLE] = str(folder / "cache")
    loading = paired(load_source, load_ours, seconds)
    session, executor = load_source(), load_ours()
    names = [item.name for item in session.get_inputs()]
    feeds = {info.name: inputs[name].astype(info.dtype) for info, name in zip(executor.inputs, names, strict=True)}
    running = paired(lambda: session.run(None, inputs), lambda: executor.run(feeds), seconds, least=20)
    return first, loading, running


def measure(chosen: Sequence[str] = (), seconds: float = 2.0) -> list[tuple[str, Pair, Pair, Pair]]:
    """Name and what `compare` gives of each model (or those chosen), printed as they are known."""
    heads = [f"{title:>8} {'ours':>8} {'ratio':>6}" for title in ("first", "load", "run")]
    print(f"{'milliseconds':32} {'   '.join(heads)}")
    results = []
    for (package, path), makers in MODELS.items():
        name = package if Path(path).stem == "model" else Path(path).stem
        if chosen and name not in chosen:
            continue
        generator = np.random.default_rng(0)
        inputs = {key: make(generator) for key, make in makers.items()}
        with tempfile.TemporaryDirectory() as folder:
            pairs = compare(member(package, path), inputs, Path(folder), seconds)
        results.append((name, *pairs))
        print(f"{name:32} {'   '.join(map(_columns, pairs))}", flush=True)
    return results


def _columns(pair: Pair) -> str:
    return f"{pair.source * 1e3:8.3f} {pair.ours * 1e3:8.3f} {pair.ratio:6.2f}"


if __name__ == "__main__":
    measure(sys.argv[1:])

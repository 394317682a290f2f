"""ONNX models made by this package beside those of its peers: `python benchmarks/peers.py PYTHON [NAME ..]`.

PYTHON is the interpreter of an environment that has tf2onnx (with TensorFlow), onnxslim and onnxsim. Two tables:

* TensorFlow to ONNX: frozen Keras networks, converted by this package with --optimize and by tf2onnx.
* ONNX to ONNX: pre-trained models, rewritten by this package over NNEF with --optimize, by onnxslim and by onnxsim.

Each line tells the nodes, the transposes among them, the seconds that the command took as a whole, the milliseconds of
a run in onnxruntime on one thread (all in turn, medians), and the largest error relative to the largest magnitude of
each output, against TensorFlow or against onnxruntime on the source. NAMEs choose models.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.corpus.test_pretrained import MODELS
from tests.support.packages import member

Array = np.ndarray[Any, Any]
SMALL_NETWORKS = ("lstm", "lstm_stacked", "gru", "gru_stacked", "multi_head_attention", "transformer_encoder",
                  "u_net_transposed", "u_net_bilinear", "separable")  # fmt: skip
RUNS = 30


@dataclass
class Result:
    """What one tool made of a model. error: None if onnxruntime cannot run the result."""

    tool: str
    seconds: float
    nodes: int = 0
    transposes: int = 0
    error: float | None = None
    milliseconds: float = float("nan")
    problem: str = ""


def command(tool: str, arguments: Sequence[object], target: Path) -> Result:
    """Runs a tool that writes the model, and counts its nodes."""
    start = time.perf_counter()
    done = subprocess.run([str(item) for item in arguments], capture_output=True, text=True, check=False)
    result = Result(tool, time.perf_counter() - start)
    if done.returncode or not target.is_file():
        lines = (done.stderr or done.stdout).strip().splitlines()
        result.problem = lines[-1][:100] if lines else f"exit status {done.returncode}"
        return result
    nodes = onnx.load(str(target), load_external_data=False).graph.node
    result.nodes, result.transposes = len(nodes), sum(node.op_type == "Transpose" for node in nodes)
    return result


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measure(
    results: Sequence[Result], paths: Sequence[Path], inputs: Sequence[Array], expected: Sequence[Array]
) -> None:
    """Errors and run times of all results, whose runs take turns."""
    runs: dict[int, Callable[[], list[Array]]] = {}
    for k, (result, path) in enumerate(zip(results, paths, strict=True)):
        if result.problem:
            continue
        try:
            engine = session(path)
            feeds = dict(zip((item.name for item in engine.get_inputs()), inputs, strict=True))
            outputs = engine.run(None, feeds)
            result.error = max(starmap(_error, zip(outputs, expected, strict=True))) if outputs else None
        except Exception as error:  # whatever onnxruntime says of a peer's model
            result.problem = str(error).splitlines()[0][:100]
            continue
        runs[k] = lambda engine=engine, feeds=feeds: engine.run(None, feeds)
    times: dict[int, list[float]] = {k: [] for k in runs}
    for turn in range(RUNS):
        for k in sorted(runs, reverse=bool(turn % 2)):
            start = time.perf_counter()
            runs[k]()
            times[k].append(time.perf_counter() - start)
    for k, values in times.items():
        results[k].milliseconds = median(values) * 1e3


def _error(result: Array, expected: Array) -> float:
    if result.shape != expected.shape:
        return float("inf")
    scale = float(np.abs(expected.astype(np.float64)).max(initial=0)) or 1.0
    return float(np.abs(result.astype(np.float64) - expected).max(initial=0)) / scale


def show(name: str, results: Sequence[Result]) -> None:
    for k, r in enumerate(results):
        error = "-" if r.error is None else f"{r.error:.1e}"
        print(
            f"{name if k == 0 else '':36} {r.tool:10} {r.nodes:6} {r.transposes:6} {r.seconds:8.2f} "
            f"{r.milliseconds:9.3f} {error:>9}  {r.problem}",
            flush=True,
        )


def ours(source: Path, target: Path, *options: str) -> Result:
    convert = [sys.executable, "-m", "nnef_tools.convert", source, target, "--optimize", *options]
    return command("nnef-tools", convert, target)


def from_tensorflow(peer: str, folder: Path, chosen: Sequence[str]) -> None:
    """The table of Keras networks."""
    from tests.corpus.tensorflow.agreement import freeze, random_inputs
    from tests.corpus.tensorflow.networks import APPLICATIONS, SMALL

    networks = {**APPLICATIONS, **{name: SMALL[name] for name in SMALL_NETWORKS}}
    for name, network in networks.items():
        if chosen and name not in chosen:
            continue
        model = network.build()
        frozen = freeze(model, folder / f"{name}.pb", random_inputs(model, network.batch), any_batch=False)
        targets = [folder / f"{name}.ours.onnx", folder / f"{name}.tf2onnx.onnx"]
        names = [f"{n}:0" for n in frozen.inputs], [n if ":" in n else f"{n}:0" for n in frozen.outputs]
        theirs = [peer, "-m", "tf2onnx.convert", "--graphdef", frozen.path, "--output", targets[1], "--opset", "18",
                  "--inputs", ",".join(names[0]), "--outputs", ",".join(names[1])]  # fmt: skip
        results = [ours(frozen.path, targets[0]), command("tf2onnx", theirs, targets[1])]
        measure(results, targets, list(frozen.inputs.values()), list(frozen.outputs.values()))
        show(name, results)


def from_onnx(peer: str, folder: Path, chosen: Sequence[str]) -> None:
    """The table of pre-trained models."""
    for (package, path), makers in MODELS.items():
        name = package if Path(path).stem == "model" else Path(path).stem
        if chosen and name not in chosen:
            continue
        source = member(package, path)
        generator = np.random.default_rng(0)
        inputs = {key: make(generator) for key, make in makers.items()}
        shapes = {key: "x".join(map(str, value.shape)) for key, value in inputs.items()}
        fixed = [
            word for key, value in inputs.items() for word in ("--shape", f"{key}:{','.join(map(str, value.shape))}")
        ]
        slim = [f"{key}:{value.replace('x', ',')}" for key, value in shapes.items()]
        targets = [source, *(folder / f"{name}.{tool}.onnx" for tool in ("ours", "onnxslim", "onnxsim"))]
        first = command("source", ["true"], source)
        tools = Path(peer).parent
        results = [
            first,
            ours(source, targets[1], *fixed),
            command("onnxslim", [tools / "onnxslim", source, targets[2], "--input-shapes", *slim], targets[2]),
            command("onnxsim", [tools / "onnxsim", source, targets[3], "--overwrite-input-shape", *slim], targets[3]),
        ]
        engine = session(source)
        expected = engine.run(None, inputs)
        ordered = [inputs[item.name] for item in engine.get_inputs()]
        measure(results, targets, ordered, expected)
        show(name, results)


def main() -> None:
    peer, *chosen = sys.argv[1:]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(f"{'model':36} {'tool':10} {'nodes':>6} {'transp':>6} {'seconds':>8} {'run ms':>9} {'error':>9}")
    with tempfile.TemporaryDirectory() as folder:
        from_tensorflow(peer, Path(folder), chosen)
        from_onnx(peer, Path(folder), chosen)


if __name__ == "__main__":
    main()

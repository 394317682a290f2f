"""Times conversion, loading and execution: `python benchmarks/run.py [--peer PYTHON] [--size MB] [--json FILE]`.
`--curve` only shows how conversions grow with the number of operators, see curve.py.

Compared are this package, the packages `nnef` and `nnef-tools` of the Python package index where --peer names the
interpreter of an environment that has them (with onnx and torch), onnxruntime on the source model, and a plain copy of
the model file. Every measurement is a process of its own, the best of --repeat; peak memory is the maximum resident
size of that process, which includes mapped pages of the files that it reads. Exits with 1 if a limit is not kept.
--corpus does nothing but compare execution through onnxruntime with onnxruntime on real models, see corpus.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MODELS = Path(__file__).with_name("models.py")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Packages that are installed are compiled once, not at each start."""


@dataclass(frozen=True)
class Measure:
    """seconds: None if the run failed. megabytes: peak memory."""

    task: str
    engine: str
    seconds: float | None
    megabytes: float
    note: str = ""


# What runs inside a process and times itself, to leave out interpreter start and imports.
TIMED = """
import json, sys, time
{setup}
best = float("inf")
for _ in range({repeat}):
    start = time.perf_counter()
    {statement}
    best = min(best, time.perf_counter() - start)
print(json.dumps(best))
"""


class Bench:
    def __init__(self, peer: str | None, repeat: int, folder: Path) -> None:
        self.peer, self.repeat, self.folder = peer, repeat, folder
        self.results: list[Measure] = []

    def command(self, task: str, engine: str, arguments: Sequence[object]) -> None:
        """Times a whole process."""
        runs = [_run([str(item) for item in arguments], self.folder) for _ in range(self.repeat)]
        best = min(runs, key=lambda run: run.seconds)
        self._add(task, engine, best.seconds if best.ok else None, best)

    def timed(self, task: str, engine: str, python: str, setup: str, statement: str) -> None:
        """Times a statement inside a process."""
        run = _run(
            [python, "-c", TIMED.format(setup=setup, statement=statement, repeat=max(self.repeat, 3))], self.folder
        )
        self._add(task, engine, json.loads(run.output.splitlines()[-1]) if run.ok else None, run)

    def _add(self, task: str, engine: str, seconds: float | None, run: Run) -> None:
        note = "" if run.ok else f"failed: {run.output.strip().splitlines()[-1:]}"
        self.results.append(Measure(task, engine, seconds, run.megabytes, note))
        print(f"  {task}: {engine}: {'failed' if seconds is None else f'{seconds:.3f} s'}", file=sys.stderr)

    def generate(self, name: str, *arguments: object) -> Path:
        """A model of models.py. In a process of its own, since memory of this one would count for its children."""
        path = self.folder / f"{name}.onnx"
        subprocess.run([sys.executable, MODELS, name, path, *map(str, arguments)], check=True)
        return path

    def convert(self, task: str, source: Path) -> tuple[Path, Path | None]:
        """Converts a model with both packages; returns what they wrote."""
        target = self.folder / f"{source.stem}.nnef"
        options = ["--input-format", "onnx", "--output-format", "nnef", "--input-model", source, "--output-model"]
        self.command(task, "ours", [sys.executable, "-m", "nnef_tools.convert", *options, target])
        if self.peer is None:
            return target, None
        other = self.folder / f"{source.stem}.peer.nnef"
        self.command(task, "peer", [self.peer, "-m", "nnef_tools.convert", *options, other])
        return target, other if other.exists() else None

    def load(self, task: str, ours: Path, peer: Path | None) -> None:
        self.timed(task, "ours", sys.executable, "import nnef_tools", f"nnef_tools.load_model({str(ours)!r})")
        if self.peer is not None and peer is not None:
            statement = f"nnef.infer_shapes(nnef.load_graph({str(peer)!r}))"
            self.timed(task, "peer", self.peer, "import nnef", statement)

    def parse(self, task: str, model: Path) -> None:
        """Text only."""
        path = str(model / "graph.nnef")
        setup = "from nnef_tools.language.parser import parse\nfrom nnef_tools.language.elaborate import build_graph"
        self.timed(task, "ours", sys.executable, setup, f"build_graph(parse(open({path!r}).read()))")
        if self.peer is not None:
            self.timed(task, "peer", self.peer, "import nnef", f"nnef.parse_file({path!r})")

    def execute(self, task: str, source: Path, ours: Path, peer: Path | None, shape: tuple[int, ...]) -> None:
        data = f"import numpy as np\nx = np.random.default_rng(0).standard_normal({shape}).astype(np.float32)"
        for backend in ("torch", "numpy"):
            setup = (
                f"from nnef_tools.execution import make_executor\n{data}\n"
                f"e = make_executor({str(ours)!r}, backend={backend!r})\ninputs = {{e.inputs[0].name: x}}"
            )
            self.timed(task, f"ours ({backend})", sys.executable, setup, "e.run(inputs)")
        setup = f"import onnxruntime\n{data}\ns = onnxruntime.InferenceSession({str(source)!r})"
        self.timed(task, "onnxruntime", sys.executable, setup, "s.run(None, {'x': x})")
        if self.peer is not None and peer is not None:
            setup = (
                f"import torch\nfrom nnef_tools.interpreter.pytorch import NNEFModule\n{data}\n"
                f"m = NNEFModule({str(peer)!r}).eval()\nx = torch.from_numpy(x)"
            )
            self.timed(task, "peer (torch)", self.peer, setup, "m(x)")


@dataclass(frozen=True)
class Run:
    ok: bool
    seconds: float
    megabytes: float
    output: str


def _run(command: Sequence[str], folder: Path) -> Run:
    """Runs a command in a folder without modules, so that each interpreter finds its own packages."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Run(process.returncode == 0, seconds, usage.ru_maxrss / 1000, text)


def _copy(bench: Bench, task: str, source: Path) -> None:
    best = float("inf")
    for _ in range(bench.repeat):
        target = bench.folder / "copy"
        start = time.perf_counter()
        shutil.copyfile(source, target)
        best = min(best, time.perf_counter() - start)
        target.unlink()
    bench.results.append(Measure(task, "file copy", best, 0.0))


def measure(bench: Bench, megabytes: int) -> None:
    """All tasks."""
    bench.command("help", "ours", [sys.executable, "-m", "nnef_tools", "--help"])
    if bench.peer is not None:
        bench.command("help", "peer", [bench.peer, "-m", "nnef_tools.convert", "--help"])

    source = bench.generate("convolutional")
    ours, peer = bench.convert("convert convolutional", source)
    bench.load("load convolutional", ours, peer)
    bench.execute("run convolutional", source, ours, peer, (1, 3, 112, 112))

    ours, peer = bench.convert("convert 10000 operators", bench.generate("deep"))
    bench.parse("parse 10000 operators", ours)
    bench.load("load 10000 operators", ours, peer)

    source = bench.generate("large", megabytes)
    task = f"convert {source.stat().st_size / 1e6:.0f} MB"
    _copy(bench, task, source)
    ours, peer = bench.convert(task, source)
    bench.load(f"load {megabytes} MB", ours, peer)


def limits(results: Sequence[Measure]) -> list[tuple[str, float, float]]:
    """What is promised: name, value, limit."""
    ours = {item.task: item for item in results if item.engine == "ours"}
    found = [("seconds of --help", ours["help"].seconds or float("inf"), 0.2)]
    copy = next(item for item in results if item.engine == "file copy")
    size = float(copy.task.split()[1])
    large_one = ours[copy.task]
    assert copy.seconds is not None
    found.append(("MB of the large conversion", large_one.megabytes, 1.3 * size + 150))
    found.append(("seconds of the large conversion", large_one.seconds or float("inf"), 3 * copy.seconds + 1.5))
    peer = {item.task: item.seconds for item in results if item.engine == "peer"}
    if parse := peer.get("parse 10000 operators"):
        found.append(("seconds to parse", ours["parse 10000 operators"].seconds or float("inf"), 2 * parse))
    return found


def table(results: Sequence[Measure]) -> str:
    """Times with their ratio to the first engine of each task (ours)."""
    lines = [f"{'task':26} {'engine':14} {'seconds':>9} {'ratio':>7} {'peak MB':>8}"]
    tasks = dict.fromkeys(item.task for item in results)
    for task in tasks:
        items = [item for item in results if item.task == task]
        base = next((item.seconds for item in items if item.engine.startswith("ours")), None)
        for item in items:
            seconds = "failed" if item.seconds is None else f"{item.seconds:.3f}"
            ratio = "" if item.seconds is None or base is None else f"{item.seconds / base:.2f}"
            lines.append(
                f"{task:26} {item.engine:14} {seconds:>9} {ratio:>7} {item.megabytes:8.0f}  {item.note}".rstrip()
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of an environment with nnef and nnef-tools")
    parser.add_argument("--size", type=int, default=500, help="megabytes of the large model (500)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command, of which the best counts (3)")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    parser.add_argument("--curve", nargs="*", type=int, metavar="N", help="growth with N operators (100 to 50,000)")
    parser.add_argument("--corpus", nargs="*", metavar="MODEL", help="compare with onnxruntime on real models (all)")
    options = parser.parse_args()
    if options.corpus is not None:
        from corpus import measure as measure_corpus

        measure_corpus(options.corpus)
        return 0
    if options.curve is not None:
        from curve import measure as measure_curve

        measure_curve(options.curve, options.peer, options.repeat)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.peer, options.repeat, Path(folder))
        measure(bench, options.size)
    print(table(bench.results))
    print()
    kept = True
    for name, value, limit in limits(bench.results):
        kept &= value <= limit
        print(f"{name}: {value:.3f}, limit {limit:.3f}: {'ok' if value <= limit else 'NOT KEPT'}")
    if options.json:
        content = [asdict(item) for item in bench.results]
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

"""How conversions grow with the number of operators: `python benchmarks/run.py --curve [N ..] [--peer PYTHON]`.

The models are the chains of `models.deep`, converted from ONNX to NNEF, and on to ONNX and TensorFlow, and from there
to NNEF. Every measurement is a process of its own after one that does not count; this package and the peer take turns.
What is printed are medians, of processor seconds of whole processes and of the seconds of each stage that the report
of this package has, as a Markdown table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from run import ENVIRONMENT, MODELS

SIZES = (50, 100, 1_000, 10_000, 50_000)
STAGES = ("read", "prepare", "convert", "optimize", "write")
WAYS = (("onnx", "nnef"), ("nnef", "onnx"), ("nnef", "tf"), ("tf", "nnef"))
SUFFIXES = {"onnx": "onnx", "nnef": "nnef", "tf": "pb"}
ONE_TRIP = ("onnx", "nnef")
"""The way for which the peer is timed: it makes another NNEF model, which would be another task on the way back."""


def measure(sizes: Sequence[int], peer: str | None, repeat: int) -> None:
    """Prints a row for each way and size as soon as it is known."""
    engines = "ours | peer | ratio" if peer else "ours"
    print(f"| from, to | operators | {' | '.join(STAGES)} | {engines} |")
    print("|".join(["", " --- ", *[" ---: "] * (len(STAGES) + (4 if peer else 2)), ""]))
    with tempfile.TemporaryDirectory() as name:
        for size in sizes or SIZES:
            folder = Path(name) / str(size)
            folder.mkdir()
            subprocess.run([sys.executable, MODELS, "deep", folder / "model.onnx", str(size)], check=True)
            for source, target in WAYS:
                other = peer if (source, target) == ONE_TRIP else None
                cells = _row(folder, source, target, other, repeat)
                print(f"| {source}, {target} | {size:,} | {' | '.join(cells)} |{'' if other or not peer else ' | |'}")
                sys.stdout.flush()


def _row(folder: Path, source: str, target: str, peer: str | None, repeat: int) -> list[str]:
    given, made = folder / f"model.{SUFFIXES[source]}", folder / f"{source}.{SUFFIXES[target]}"
    options = ["--input-format", source, "--output-format", target, "--input-model", given, "--output-model"]
    command = [sys.executable, "-m", "nnef_tools.convert", *options, made, "--json"]
    theirs = [peer, "-m", "nnef_tools.convert", *options, folder / "peer.nnef"] if peer else None
    times: list[float] = []
    peer_times: list[float] = []
    reports = []
    for _ in range(repeat + 1):
        seconds, output = _process(command, folder)
        times.append(seconds)
        reports.append(json.loads(output)["timings"])
        if theirs is not None:
            peer_times.append(_process(theirs, folder)[0])
    if not (folder / f"model.{SUFFIXES[target]}").exists():
        made.rename(folder / f"model.{SUFFIXES[target]}")
    cells = [f"{median(report.get(stage, 0.0) for report in reports[1:]):.3f}" for stage in STAGES]
    ours = median(times[1:])
    cells.append(f"{ours:.2f}")
    if theirs is not None:
        other = median(peer_times[1:])
        cells += [f"{other:.2f}", f"{ours / other:.2f}"]
    return cells


def _process(command: Sequence[object], folder: Path) -> tuple[float, bytes]:
    """Runs a command. Its processor seconds, and what it printed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            list(map(str, command)), stdout=output, stderr=subprocess.DEVNULL, cwd=folder, env=ENVIRONMENT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"failed: {command}"
        output.seek(0)
        return usage.ru_utime + usage.ru_stime, output.read()

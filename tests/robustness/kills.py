"""Writers that are killed, in processes forked from one that has loaded everything. Prints a line for each container.

python -m tests.robustness.kills             a kill before each call that changes a folder
python -m tests.robustness.kills --random N  N kills of each container at random moments
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nnef_tools import convert_model, load_model
from nnef_tools.io.files import replacing

EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.link", "os.mkdir", "os.truncate", "os.chmod")

MODEL = """
version 1.0;
graph net(x) -> (y)
{{
    x = external<scalar>(shape = [1, 24]);
    a = variable<scalar>(shape = [24, 24], label = 'first/a');
    b = variable<scalar>(shape = [24, 24], label = '{second}/b');
    c = matmul(x, a);
    y = matmul(c, b);
}}
"""

CONTAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "folder": ("net.nnef", {}),
    "folder, file by file": ("net.nnef", {}),
    "folder and mapping": ("net.nnef", {"tensor_mapping": "maps/names.json"}),
    "folder file by file and mapping": ("net.nnef", {"tensor_mapping": "maps/names.json"}),
    "archive": ("net.tgz", {}),
    "archive and mapping": ("net.tgz", {"tensor_mapping": "names.json"}),
    "onnx": ("net.onnx", {}),
    "onnx and mapping": ("net.onnx", {"tensor_mapping": "names.json"}),
    "onnx with data": ("net.onnx", {"external_data": True}),
    "onnx with data and mapping": ("net.onnx", {"external_data": True, "tensor_mapping": "maps/names.json"}),
    "graphdef": ("net.pb", {}),
    "graphdef and mapping": ("net.pb", {"tensor_mapping": "names.json"}),
}


def make_sources(folder: Path) -> tuple[Path, Path]:
    """Two models of different weights, of which a file has another name."""
    import numpy as np

    from nnef_tools.language.tensor_file import write_tensor

    sources = folder / "first", folder / "second"
    for number, source in enumerate(sources):
        second = f"second{number}"
        for label in ("first/a", f"{second}/b"):
            (source / label).parent.mkdir(parents=True)
            write_tensor(source / f"{label}.dat", np.full((24, 24), number + 1, np.float32))
        (source / "graph.nnef").write_text(MODEL.format(second=second))
    return sources


class Place:
    """A folder with a model that gets overwritten, and with files of somebody else."""

    def __init__(self, folder: Path, container: str) -> None:
        self.folder = folder
        self.former = folder.with_name("former")
        name, options = CONTAINERS[container]
        self.target = folder / name
        self.by_file = "by file" in container
        self.options = dict(options)
        if "tensor_mapping" in options:
            self.options["tensor_mapping"] = folder / options["tensor_mapping"]

    def write(self, source: Path) -> None:
        """Converts a model to the target."""
        if self.by_file:
            replacing.can_exchange = lambda folder: False
        convert_model(source, self.target, **self.options)

    def prepare(self, sources: tuple[Path, Path]) -> tuple[dict[str, str], dict[str, str]]:
        """Writes the former model and overwrites it; the states before and after that."""
        others = [self.folder / "notes.txt"]
        if self.target.suffix == ".nnef":
            others += [self.target / "notes.txt", self.target / "first" / ".hidden", self.target / "mine" / "x.dat"]
        for file in others:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(file.name)
        self.write(sources[0])
        old = self.state()
        shutil.copytree(self.folder, self.former)
        self.write(sources[1])
        return old, self.state()

    def reset(self) -> None:
        """Makes the former state again."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.former, self.folder)

    def state(self) -> dict[str, str]:
        """The visible files with their contents."""
        return {
            name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            if (self.folder / name).is_file()
            else ""
            for name in self.names()
            if "nnef-tools" not in name
        }

    def names(self) -> list[str]:
        """All files and folders."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*"))


def forked(work: Callable[[], object]) -> int:
    """Does the work in a forked process, and gives its status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_before(number: int) -> None:
    """Ends this process before its call of that number that changes a folder."""
    count = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
        if writes or event in EVENTS:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def die_after(seconds: float) -> None:
    """Ends this process after some time."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def killed(place: Place, sources: tuple[Path, Path], count: int) -> dict[str, int]:
    """Overwrites the first model by the second, and dies: before each call, or so many times by chance.

    Counts what a reader finds then, and whether something is left after the next writer.
    """
    old, new = place.prepare(sources)
    assert old != new
    place.reset()
    start = time.perf_counter()
    forked(lambda: place.write(sources[1]))
    longest = time.perf_counter() - start
    chance = random.Random(0)
    counts = {"old": 0, "new": 0, "mixed": 0, "leftovers": 0}
    for number in itertools.count(1):
        place.reset()
        arm = partial(die_after, chance.uniform(1e-5, longest)) if count else partial(die_before, number)
        status = forked(partial(overwrite, place, sources[1], arm))
        assert status in (0, -signal.SIGKILL, -signal.SIGALRM), status
        load_model(place.target)
        state = place.state()
        counts["old" if state == old else "new" if state == new else "mixed"] += 1
        place.write(sources[1])
        left = [name for name in place.names() if "nnef-tools" in name]
        counts["leftovers"] += bool(left) or place.state() != new
        if number == count or (not count and status == 0):
            break
    return counts


def overwrite(place: Place, source: Path, arm: Callable[[], None]) -> None:
    """Overwrites a model, until the end that `arm` prepares."""
    arm()
    place.write(source)


def run(count: int, *only: str) -> dict[str, dict[str, int]]:
    """Kills writers of all or some containers, see `killed`. Container -> counts."""
    results = {}
    system_call = replacing.can_exchange
    for container in only or CONTAINERS:
        with tempfile.TemporaryDirectory() as name:
            place = Place(Path(name) / "out", container)
            results[container] = killed(place, make_sources(Path(name) / "sources"), count)
        replacing.can_exchange = system_call
        print(f"{container}: {results[container]}", flush=True)
    return results


if __name__ == "__main__":
    found = run(int(sys.argv[2]) if sys.argv[1:2] == ["--random"] else 0)
    sys.exit(any(counts["mixed"] or counts["leftovers"] for counts in found.values()))

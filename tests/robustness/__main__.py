"""Tries any number of mutants: `python -m tests.robustness 20000 --seed 0 [--only sidecar onnx] [--failures FOLDER]`.

Each runs in a child process with limits of memory and time, so that a crash or hang of native code is found, too. What
fails is printed, and written to the folder with its input.
"""

from __future__ import annotations

import argparse
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .mutants import KINDS, SMALL, attempt, cache_problem, follow, generator, small_problem

MEMORY = 6 << 30  # of address space, which libraries take a part of when they are loaded
SECONDS = 300  # for a mutant in all, and the start of a process on a busy machine
ALL = [*KINDS, *SMALL, "cache"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="number of mutants, shared by the kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the first mutant of each kind (default 0)")
    parser.add_argument("--only", nargs="*", choices=ALL, default=ALL, help="kinds (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="number of child processes (default 1)")
    parser.add_argument("--failures", type=Path, default=Path("mutant-failures"), help="folder for inputs that fail")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _serve()
    each = -(-options.count // len(options.only))
    mutants = ((kind, seed) for seed in range(options.seed, options.seed + each) for kind in options.only)
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    threads = [
        threading.Thread(target=_work, args=(mutants, lock, counts, options.failures)) for _ in range(options.jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    return 1 if counts["failed"] else 0


def _work(mutants: Iterator[tuple[str, int]], lock: threading.Lock, counts: Counter[str], failures: Path) -> None:
    """Gives mutants to a child process, and starts another one when that dies or hangs."""
    child = _start()
    while True:
        with lock:
            mutant = next(mutants, None)
        if mutant is None:
            child.kill()
            return
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(f"{mutant[0]} {mutant[1]}\n")
        child.stdin.flush()
        answered = select.select([child.stdout], [], [], SECONDS)[0]
        answer = child.stdout.readline().rstrip("\n") if answered else f"failed: no answer within {SECONDS} s"
        if not answered or not answer:
            child.kill()
            answer = answer or f"failed: the process ended with {child.wait()}"
            child = _start()
        with lock:
            counts[answer.partition(":")[0]] += 1
            if answer.startswith("failed"):
                _keep(*mutant, answer, failures)
            if sum(counts.values()) % 1000 == 0:
                print(dict(counts), file=sys.stderr, flush=True)


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __package__, "0", "--child"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _keep(kind: str, seed: int, answer: str, failures: Path) -> None:
    print(f"{kind} {seed}: {answer}", flush=True)
    folder = failures / f"{kind}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "problem.txt").write_text(answer + "\n")
    if kind in KINDS:
        KINDS[kind](folder, generator(kind, seed))
    elif kind in SMALL:
        (folder / "input").write_bytes(SMALL[kind][0](generator(kind, seed)))


def _serve() -> int:
    """The child: a line with kind and seed in, a line with the outcome out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        kind, seed = line.split()
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            outcome = _outcome(kind, int(seed), Path(folder))
        if outcome.startswith("failed"):
            outcome += f" [{time.process_time() - start:.1f} s]"
        print(outcome.encode("ascii", "backslashreplace").decode().replace("\n", " | ")[:2000], flush=True)
    return 0


def _outcome(kind: str, seed: int, folder: Path) -> str:
    """'used', 'refused', or 'failed: ' and what went wrong that may not."""
    if kind not in KINDS:
        problem = cache_problem(seed) if kind == "cache" else small_problem(kind, seed, folder)
        return f"failed: {problem}" if problem else "used"
    mutant = KINDS[kind](folder, generator(kind, seed))
    problem, error = attempt(mutant, folder / "target")
    if problem is None and error is None:
        problem = follow(folder / "target", folder)
    return f"failed: {problem}" if problem else "used" if error is None else "refused"


if __name__ == "__main__":
    sys.exit(main())

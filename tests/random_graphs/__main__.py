"""Compares engines on any number of random models: `python -m tests.random_graphs 10000 --seed 0`.

Prints each model that some engine gets wrong, reduced to as few operations as show it, and counts refusals.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .agreement import check
from .generator import Model, random_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="number of models")
    parser.add_argument("--seed", type=int, default=0, help="of the first model; each next one adds 1 (default 0)")
    parser.add_argument("--operations", type=int, default=12, help="number of operations of a model (default 12)")
    parser.add_argument("--only", nargs="*", default=(), help="operations to draw from (default: all)")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    wrong = 0
    for done, seed in enumerate(range(options.seed, options.seed + options.count)):
        if done % 100 == 0:
            print(f"{done} of {options.count} models, {wrong} wrong", file=sys.stderr, flush=True)
        problems, model = _checked(seed, options.operations, options.only)
        counts.update(model.operations)
        refused = {name: text for name, text in problems.items() if text.startswith("refused")}
        counts.update(f"refused by {name}" for name in refused)
        if len(problems) == len(refused):
            continue
        wrong += 1
        seed_text = f"--seed {seed} --operations {options.operations}"
        for operations in range(1, options.operations):  # a model with fewer operations starts in the same way
            fewer, smaller = _checked(seed, operations, options.only)
            if any(not text.startswith("refused") for text in fewer.values()):
                problems, model, seed_text = fewer, smaller, f"--seed {seed} --operations {operations}"
                break
        print(f"== {seed_text}\n{model.text}")
        for name, text in problems.items():
            print(f"{name}: {text}")
        print(flush=True)
    never = options.only or [name for name in _names() if not counts[name]]
    print(
        f"{options.count} models, {wrong} wrong; operations drawn: {sum(v for k, v in counts.items() if ' ' not in k)}"
    )
    print({name: number for name, number in counts.items() if " " in name}, "never drawn:", never)
    return bool(wrong)


def _names() -> list[str]:
    from .samplers import SAMPLERS

    return list(SAMPLERS)


def _checked(seed: int, operations: int, only: list[str]) -> tuple[dict[str, str], Model]:
    model = random_model(seed, operations, only)
    with tempfile.TemporaryDirectory() as folder:
        return check(model, Path(folder) / "model"), model


if __name__ == "__main__":
    raise SystemExit(main())

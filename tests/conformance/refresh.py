"""Runs all cases and writes what is expected of them: `python -m tests.conformance.refresh` from the root folder.

Look at the changes of the data files before they are committed, and run scripts/generate_coverage.py afterwards.
Nothing is written while any case is wrong or broken.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from .expected import VARIANTS, variant_of, write_expected
from .outcome import Outcome, run
from .suite import all_cases


def main() -> int:
    outcomes: dict[str, dict[str, Outcome]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in VARIANTS:
            outcomes[variant] = {
                name: run(variant_of(case, variant), Path(folder)) for name, case in all_cases().items()
            }
            print(variant, dict(Counter(outcome.state for outcome in outcomes[variant].values())))
    failed = {
        f"{variant}: {name}: {outcome.state}: {outcome.reason}"
        for variant, by_case in outcomes.items()
        for name, outcome in by_case.items()
        if outcome.state in ("wrong", "broken")
    }
    if failed:
        print(*sorted(failed), "nothing is written", sep="\n")
        return 1
    write_expected(outcomes)
    return 0


if __name__ == "__main__":
    sys.exit(main())

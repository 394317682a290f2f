"""Writers that are killed leave the old or the new model, whatever it is stored in, and nothing after the next run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forked processes here")
def test_a_killed_writer_leaves_the_old_or_the_new_model() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.robustness.kills"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    kills = re.findall(r"'old': (\d+), 'new': (\d+), 'mixed': 0, 'leftovers': 0", run.stdout)
    assert len(kills) == 12, run.stdout
    assert all(int(old) and int(new) for old, new in kills), run.stdout

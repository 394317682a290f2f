"""Limits of time for what may hang."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Interrupts a hang with a TimeoutError, where the system has alarms."""
    if sys.platform == "win32":
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)

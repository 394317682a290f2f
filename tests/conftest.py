"""The tests neither see nor fill the user's cache of compiled models."""

from __future__ import annotations

import os

from nnef_tools.execution.model_cache import VARIABLE

os.environ[VARIABLE] = "off"

"""The tests neither see nor fill the user's cache of compiled models.

With NNEF_TOOLS_TEST_SATURATING they run as on a processor on which products of onnxruntime saturate.
"""

from __future__ import annotations

import os
import sys

import pytest

from nnef_tools.execution.onnxruntime.cache_folder import VARIABLE

os.environ[VARIABLE] = "off"
sys.dont_write_bytecode = True  # plugins of tests leave no compiled form beside what is compared
pytest.register_assert_rewrite("tests.support")

if os.environ.get("NNEF_TOOLS_TEST_SATURATING"):
    from nnef_tools.execution.onnxruntime import onnx

    onnx.saturates = lambda: True  # type: ignore[assignment]

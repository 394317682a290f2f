"""The example of the documentation: from a TensorFlow program to an NNEF model that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model, run_model
from nnef_tools.io.tf.graphdef import Reader

pytest.importorskip("tensorflow", reason="the example exports from TensorFlow")

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "export-from-tensorflow.md"


@pytest.mark.parametrize("program", ["export_v1.py", "export_v2.py"])
def test_the_example(program: str, tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    for name, code in re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(code, "utf-8")
    subprocess.run([sys.executable, program], cwd=tmp_path, check=True, capture_output=True)
    plugin = str(tmp_path / "top_mean_plugin.py")
    options = {"custom_converters": [plugin], "custom_shapes": [plugin], "custom_fragments": [plugin]}
    convert_model(tmp_path / "model.pb", tmp_path / "model.nnef", keep_io_names=True, **options)  # type: ignore[arg-type]
    written = (tmp_path / "model.nnef" / "graph.nnef").read_text("utf-8")
    shown = re.search(r"```\n(graph .*?)```", text, re.DOTALL)
    assert shown is not None
    assert shown[1] in written

    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    expected = np.maximum(2 * np.sort(x, axis=1)[:, -3:].mean(axis=1, keepdims=True), 0)
    operator = {"top_mean": lambda x, *, k, axis: np.sort(x, axis=axis)[:, -k:].mean(axis=axis, keepdims=True)}
    result = run_model(tmp_path / "model.nnef", [x], backend="numpy", custom_operators=operator)
    np.testing.assert_allclose(result["y"], expected, rtol=1e-5)

    # Custom operations become composites again.
    convert_model(tmp_path / "model.nnef", tmp_path / "back.pb", mirror_unsupported=True, custom_shapes=[plugin])
    back = next(op for op in Reader()(tmp_path / "back.pb").operations if op.custom)
    assert (back.type, back.attribs) == ("top_mean", {"k": 3, "axis": 1})
    assert [t.shape for t in back.outputs] == [(4, 1)]

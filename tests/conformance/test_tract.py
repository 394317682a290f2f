"""Written models that use only standard operations load and run in tract, an independent engine, where it has these."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model

from ..support.arrays import nnef_kind
from .expected import VARIANTS, read_expected, variant_of
from .outcome import compare, run
from .suite import Case, all_cases

pytest.importorskip("tract")

# What tract 0.23.9 has in the meaning of the standard. Missing: constant, split, gather, cast, rcp, selu, gelu, ..;
# different: deconv (filter layout), elu (alpha), local normalizations over channels.
OPERATIONS = {
    "external", "variable", "reshape", "transpose", "concat", "stack", "unstack", "squeeze", "unsqueeze", "tile", "pad",
    "slice", "copy", "add", "sub", "mul", "div", "pow", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "abs", "sign", "neg", "floor", "ceil", "round", "sqrt",
    "rsqrt", "sqr", "rsqr", "log2", "lt", "gt", "le", "ge", "eq", "ne", "and", "or", "not", "min", "max", "clamp",
    "select", "sigmoid", "relu", "leaky_relu", "prelu", "softplus", "softmax", "matmul", "linear", "conv", "box",
    "max_pool", "avg_pool", "sum_reduce", "max_reduce", "min_reduce", "mean_reduce", "argmax_reduce", "argmin_reduce",
    "batch_normalization",
}  # fmt: skip

# What it cannot read of them, although it is right: panics end the process, so they have to be left out beforehand.
UNREADABLE = {
    "negative strides (panic)": r"\bstride = \[[^\]]*-",
    "borders of windows other than constant and ignore (panic)": r"\b(conv|box|\w+_pool)\(.*border = 're",
    "negative padding (panic)": r"\bpadding = \[[^\]]*\(-|\bpadding = \[[^\]]*, -",
    "padding by replication": r"\bpad\(.*border = 'replicate'",
    "shapes of rank 0": r"\breshape\(.*shape = \[\]",
    "selection between integer literals": r"\bselect\([^)]*, -?\d+[,)]",
    "squares of a strided slice": r"\bslice\(.*stride = \[[^\]]*[2-9]",
}

# Softmax over rows of -inf is not a number in the formula, and zero in tract; its round takes ties away from zero; its
# interface has no way to get integers that it computed as dimensions; its convolution wants all of one width.
DIFFERENT = r"fullymasked|nan_robustness|softmax_precision|local_window_gqa_rank4_mask|_round|test_size|conv.*_fp16"

RUNNER = """
import json, sys
import numpy as np, tract
context = tract.nnef()
for folder in sys.argv[1:]:
    try:
        inputs = np.load(folder + "/inputs.npz")
        outputs = context.load(folder + "/nnef").into_runnable().run([inputs[name] for name in inputs])
        np.savez(folder + "/outputs.npz", *[output.to_numpy() for output in outputs])
        print(json.dumps([folder, None]), flush=True)
    except Exception as error:
        print(json.dumps([folder, str(error).partition("Stack backtrace")[0]]), flush=True)
"""


def sample(root: Path) -> dict[str, Case]:
    """Every second case that is right, with what was written for it in a folder of its name."""
    expected = read_expected()[VARIANTS[1]]
    chosen: dict[str, Case] = {}
    for name in [name for name in all_cases() if name not in expected][::2]:
        case = variant_of(all_cases()[name], VARIANTS[1])
        folder = root / name
        folder.mkdir()
        run(case, folder)
        readable = is_readable((folder / "nnef" / "graph.nnef").read_text())
        if readable and is_single(case) and not re.search(DIFFERENT, name):
            arrays = [array for array in case.inputs.values() if array.size]
            np.savez(folder / "inputs.npz", *[plain(array) for array in arrays])
            chosen[name] = case
    return chosen


def is_single(case: Case) -> bool:
    """Can float32, which tract computes in, hold the outputs?"""
    limit = np.finfo(np.float32).max
    return not any(array.dtype == np.float64 and (np.abs(array) > limit).any() for array in case.outputs)


def is_readable(text: str) -> bool:
    if "fragment" in text:
        return False
    body = text.partition("\n{")[2]
    operations = set(re.findall(r"= (\w+)[<(]", body))
    return operations <= OPERATIONS and not any(re.search(pattern, body) for pattern in UNREADABLE.values())


def plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    types: dict[str, Any] = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}
    return array.astype(types[nnef_kind(array.dtype)])


def run_in_tract(cases: dict[str, Case], root: Path) -> str:
    """What fails, a line each."""
    folders = [str(root / name) for name in cases]
    done = subprocess.run([sys.executable, "-c", RUNNER, *folders], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    failed = {}
    for line in done.stdout.splitlines():
        folder, error = json.loads(line)
        name = Path(folder).name
        if error is None:
            outputs = np.load(Path(folder) / "outputs.npz")
            outcome = compare([outputs[key] for key in outputs], cases[name].outputs)
            error = outcome.reason
        if error:
            failed[name] = error
    return "\n".join(f"{name}: {' '.join(error.split())[:600]}" for name, error in failed.items())


def test_standard_models_run_in_tract(tmp_path: Path) -> None:
    cases = sample(tmp_path)
    assert not run_in_tract(cases, tmp_path)
    assert len(cases) >= 450


def test_expanded_recurrent_layers_run_in_tract(tmp_path: Path) -> None:
    cases = {name: case for name, case in all_cases().items() if re.match("test_(gru|lstm|simple_rnn)_", name)}
    layers = {}
    for name, case in cases.items():
        case = variant_of(case, VARIANTS[1])
        folder = tmp_path / name
        folder.mkdir()
        run(case, folder)
        if "_layer(" in (folder / "nnef" / "graph.nnef").read_text():
            convert_model(folder / "nnef", folder / "nnef", output_format="nnef", decompose=True)
            assert is_readable((folder / "nnef" / "graph.nnef").read_text())
            np.savez(folder / "inputs.npz", *case.inputs.values())
            layers[name] = case
    assert not run_in_tract(layers, tmp_path)
    assert len(layers) >= 14

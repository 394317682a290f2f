"""Networks exported from torch, by both of its exporters, compute the same after conversion to NNEF."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ..support.onnx_models import onnx_session
from .agreement import check
from .nets import NETS, VOCABULARY, takes_tokens

SCRIPT_OPSETS = {"spatial_transformer": 20}  # the first with AffineGrid; 17 for all others, which many files have


@pytest.mark.parametrize("dynamo", [False, True], ids=["script", "dynamo"])
@pytest.mark.parametrize("name", NETS)
def test_net(name: str, dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, shapes = NETS[name]
    module = make().eval()
    inputs = tuple(torch.randint(VOCABULARY, s) if takes_tokens(name) else torch.randn(s) for s in shapes)
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opset = None if dynamo else SCRIPT_OPSETS.get(name, 17)
        torch.onnx.export(module, inputs, str(path), dynamo=dynamo, opset_version=opset, verbose=False)
    names = [item.name for item in onnx_session(path).get_inputs()]
    check(path, {n: np.asarray(x) for n, x in zip(names, inputs, strict=True)}, tmp_path)

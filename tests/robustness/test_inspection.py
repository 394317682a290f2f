"""Damaged models are looked at and counted, or refused by one error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnef_tools.errors import NnefToolsError
from nnef_tools.inspection.opening import open_sized
from nnef_tools.inspection.summary import operator_rows, summarize

from .mutants import KINDS, Mutant, generator

SEEDS = 10


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "structure"])  # loads all cases of onnx
def test_damaged_models(kind: str, tmp_path: Path) -> None:
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        mutant: Mutant = KINDS[kind](folder, generator(kind, seed))
        try:
            model = open_sized(mutant.source, format=mutant.format)
            assert json.dumps(summarize(model).to_json(), allow_nan=False)
            assert len(operator_rows(model)) == len(model.operators)
        except NnefToolsError as error:
            assert error.exit_code in (1, 2, 3, 5)

"""Damaged files are refused with one clear error, or used: never anything else, and never a changed target."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.api import load_model
from nnef_tools.cli.main import main
from nnef_tools.errors import FormatError, NnefToolsError
from nnef_tools.pipeline import convert_model

from ..support.packages import member
from .flatbuffer import damaged_tables, damaged_words
from .graphdef import SAMPLES
from .mutants import KINDS, SECONDS, SMALL, Mutant, attempt, cache_problem, follow, generator, small_problem
from .onnx_samples import integer_model, onnx_model
from .samples import archive, nnef_files, write_folder
from .tflite_samples import tflite_model
from .watch import time_limit

MUTANTS = 60  # of a kind in a shard
SHARDS = 4
CACHED = 60


def test_samples_are_valid(tmp_path: Path) -> None:
    """Damage, and nothing else, is what is refused."""
    (tmp_path / "a.onnx").write_bytes(onnx_model())
    (tmp_path / "b.onnx").write_bytes(integer_model())
    (tmp_path / "c.tgz").write_bytes(archive(nnef_files()))
    (tmp_path / "d.tgz").write_bytes(archive(nnef_files(), compressed=False))
    write_folder(tmp_path / "e.nnef", nnef_files())
    (tmp_path / "f.tflite").write_bytes(tflite_model(branches=False))
    graphs = [f"{k}.pb" for k in range(len(SAMPLES))]
    for name, sample in zip(graphs, SAMPLES, strict=True):
        (tmp_path / name).write_bytes(sample().SerializeToString())
    for name in ("a.onnx", "b.onnx", "c.tgz", "d.tgz", "e.nnef", "f.tflite", *graphs):
        assert convert_model(tmp_path / name, tmp_path / "target.nnef", output_format="nnef").written


def test_there_are_enough() -> None:
    assert (len(KINDS) + len(SMALL)) * SHARDS * MUTANTS + CACHED >= 3000


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("kind", KINDS)
def test_mutants(kind: str, shard: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failures = []
    before = target_files(tmp_path)
    refused = 0
    for seed in range(shard * MUTANTS, (shard + 1) * MUTANTS):
        source_folder = tmp_path / "source"
        source_folder.mkdir()
        mutant = KINDS[kind](source_folder, generator(kind, seed))
        present = listing(tmp_path)
        target = tmp_path / ("target" if mutant.output == "nnef" else f"target.{mutant.output}")
        problem, error = attempt(mutant, target)
        if error is not None:
            refused += 1
            if listing(tmp_path / "target") != before or listing(tmp_path) != present:
                problem = "the target was changed, or something was left behind"
        if error is not None and problem is None and seed % 10 == 0 and not mutant.options:
            problem = command_line_problem(mutant, tmp_path / "target", error, capfd)
        if error is None and problem is None and seed % 4 == 0:
            problem = follow(target, source_folder)
        if problem:
            failures.append(f"seed {seed}: {problem}")
        shutil.rmtree(source_folder)
        if error is None:
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            before = target_files(tmp_path)
    assert not failures, "\n".join(failures)
    assert refused > MUTANTS / 10 or kind == "sidecar"
    assert not refused or kind != "sidecar", "a model was refused for facts that it does not need"


@pytest.mark.parametrize("kind", SMALL)
def test_small_mutants(kind: str, tmp_path: Path) -> None:
    found = {seed: small_problem(kind, seed, tmp_path) for seed in range(MUTANTS * SHARDS)}
    assert not {seed: problem for seed, problem in found.items() if problem}


def test_cache_mutants() -> None:
    assert not {seed: problem for seed in range(CACHED) if (problem := cache_problem(seed))}


def test_mutants_of_a_real_tflite_model(tmp_path: Path) -> None:
    data = member("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.tflite").read_bytes()
    path = tmp_path / "model.tflite"
    refused, failures = 0, []
    for seed in range(300):
        rng = np.random.default_rng([seed, 1])
        path.write_bytes((damaged_tables if seed % 3 else damaged_words)(data, rng))
        try:
            with time_limit(SECONDS):
                load_model(path)
        except FormatError as error:
            refused += 1
            failures += [f"seed {seed}: a long message"] * (len(str(error)) > 2000)
        except BaseException as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)
    assert refused > 30


def target_files(folder: Path) -> dict[str, bytes | None]:
    """Puts a former model where the results go."""
    write_folder(folder / "target", {"graph.nnef": b"former", "keep.txt": b"mine", "a/b.dat": b"old"})
    return listing(folder / "target")


def listing(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def command_line_problem(
    mutant: Mutant, target: Path, error: NnefToolsError, capfd: pytest.CaptureFixture[str]
) -> str | None:
    """The command line gives the same error: its exit code, its message on standard error, no traceback."""
    arguments = ["--input-model", str(mutant.source), "--input-format", mutant.format, "--output-format", "nnef"]
    capfd.readouterr()
    with np.errstate(all="ignore"):
        status = main(["convert", *arguments, "--output-model", str(target)])
    output = capfd.readouterr()
    if status != error.exit_code:
        return f"the command line ends with {status}, not {error.exit_code}"
    if "Traceback" in output.err or error.message.split("\n")[0] not in output.err:
        return f"the command line says {output.err!r}, not {error.message!r}"
    return None

"""Damaged models are refused with one clear error, or converted: never anything else, and never a changed target."""

from __future__ import annotations

import io
import shutil
import signal
import sys
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from nnef_tools.api import load_model
from nnef_tools.cli.main import main
from nnef_tools.errors import FormatError, NnefToolsError
from nnef_tools.pipeline import convert_model

from ..conformance.suite import all_cases
from ..support.packages import member
from .flatbuffer import damaged_tables, damaged_words
from .graphdef import SAMPLES, damaged_graph
from .mutation import damaged, damaged_text
from .samples import archive, integer_model, nnef_files, onnx_model, tflite_model, write_folder
from .structure import damaged_structure

MUTANTS = 100  # of a kind in a shard
SHARDS = 4
SECONDS = 20  # for one mutant, on a busy machine
FORMATS = {".onnx": "onnx", ".pb": "tf", ".pbtxt": "tf", ".tflite": "tflite"}
EXIT_CODES = {2, 3}  # unreadable or invalid; not convertible


def onnx_mutant(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(damaged(onnx_model() if rng.integers(2) else integer_model(), rng))
    return path


def structure_mutant(folder: Path, rng: np.random.Generator) -> Path:
    """A backend test of onnx with parameters as constants, of damaged structure."""
    names = list(all_cases())
    case = all_cases()[names[rng.integers(len(names))]].with_initializers()
    path = folder / "model.onnx"
    path.write_bytes(damaged_structure(case.model, rng).SerializeToString())
    return path


def graph_mutant(folder: Path, rng: np.random.Generator) -> Path:
    files = nnef_files()
    text = files["graph.nnef"].decode()
    files["graph.nnef"] = damaged_text(text, rng).encode("utf-8")
    return write_folder(folder / "model.nnef", files)


def graph_bytes_mutant(folder: Path, rng: np.random.Generator) -> Path:
    files = nnef_files()
    files["graph.nnef"] = damaged(files["graph.nnef"], rng)
    return write_folder(folder / "model.nnef", files)


def tensor_mutant(folder: Path, rng: np.random.Generator) -> Path:
    files = nnef_files()
    data = files["body/w.dat"]
    size = 128 if rng.integers(4) else len(data)  # mostly the header
    files["body/w.dat"] = damaged(data[:size], rng) + data[size:]
    return write_folder(folder / "model.nnef", files)


def quantization_mutant(folder: Path, rng: np.random.Generator) -> Path:
    files = nnef_files()
    text = files["graph.quant"]
    files["graph.quant"] = damaged_text(text.decode(), rng).encode() if rng.integers(2) else damaged(text, rng)
    return write_folder(folder / "model.nnef", files)


def archive_mutant(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "model.tgz"
    path.write_bytes(damaged(archive(nnef_files(), compressed=bool(rng.integers(2))), rng))
    return path


def member_mutant(folder: Path, rng: np.random.Generator) -> Path:
    """Archives that are whole, of members with damaged names, kinds and contents."""
    stream = io.BytesIO()
    names = ("/etc/x", "../x", "a/../../x", "graph.nnef", "body/w.dat", "", "./graph.nnef", "a" * 300, "body")
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in nnef_files().items():
            info = tarfile.TarInfo(names[rng.integers(len(names))] if rng.integers(3) == 0 else name)
            if rng.integers(4) == 0:
                info.type = kinds[rng.integers(len(kinds))]
                info.linkname = names[rng.integers(len(names))]
                content = b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path = folder / "model.tgz"
    path.write_bytes(stream.getvalue())
    return path


def graphdef_mutant(folder: Path, rng: np.random.Generator) -> Path:
    """A TensorFlow graph with damaged bytes, text or structure."""
    message = SAMPLES[rng.integers(len(SAMPLES))]()
    kind = rng.integers(4)
    if kind == 0:
        path = folder / "model.pbtxt"
        path.write_text(damaged_text(text_format.MessageToString(message), rng))
        return path
    path = folder / "model.pb"
    data = message.SerializeToString()
    path.write_bytes(damaged(data, rng) if kind == 1 else damaged_graph(message, rng).SerializeToString())
    return path


def tflite_mutant(folder: Path, rng: np.random.Generator) -> Path:
    """A TensorFlow Lite model with damaged offsets, lengths and other bytes."""
    path = folder / "model.tflite"
    path.write_bytes(damaged_words(tflite_model(branches=bool(rng.integers(2))), rng))
    return path


def tflite_tables_mutant(folder: Path, rng: np.random.Generator) -> Path:
    """A TensorFlow Lite model with damaged fields, which is a proper FlatBuffer."""
    path = folder / "model.tflite"
    path.write_bytes(damaged_tables(tflite_model(branches=bool(rng.integers(2))), rng))
    return path


KINDS = {
    "graphdef": graphdef_mutant,
    "onnx": onnx_mutant,
    "structure": structure_mutant,
    "graph": graph_mutant,
    "graph-bytes": graph_bytes_mutant,
    "tensor": tensor_mutant,
    "quantization": quantization_mutant,
    "archive": archive_mutant,
    "members": member_mutant,
    "tflite": tflite_mutant,
    "tflite-tables": tflite_tables_mutant,
}


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
    assert len(KINDS) * SHARDS * MUTANTS >= 2000


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("kind", KINDS)
def test_mutants(kind: str, shard: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failures = []
    before = target_files(tmp_path)
    refused = 0
    for seed in range(shard * MUTANTS, (shard + 1) * MUTANTS):
        source_folder = tmp_path / "source"
        source_folder.mkdir()
        source = KINDS[kind](source_folder, np.random.default_rng([seed, *kind.encode()]))
        present = listing(tmp_path)
        problem, error = attempt(source, tmp_path / "target")
        if error is not None:
            refused += 1
            if listing(tmp_path / "target") != before or listing(tmp_path) != present:
                problem = "the target was changed, or something was left behind"
        if error is not None and problem is None and seed % 10 == 0:
            problem = command_line_problem(source, tmp_path / "target", error, capfd)
        if problem:
            failures.append(f"seed {seed}: {problem}")
        shutil.rmtree(source_folder)
        if error is None:
            shutil.rmtree(tmp_path / "target")
            before = target_files(tmp_path)
    assert not failures, "\n".join(failures)
    assert refused > MUTANTS / 10


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


def attempt(source: Path, target: Path) -> tuple[str | None, NnefToolsError | None]:
    """Converts; returns what went wrong that may not, and the error if it was refused properly."""
    format = FORMATS.get(source.suffix, "nnef")
    try:
        with time_limit(SECONDS), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert_model(source, target, input_format=format, output_format="nnef")
    except NnefToolsError as error:
        if error.exit_code not in EXIT_CODES:
            return f"exit code {error.exit_code}: {error}", error
        if not error.message or len(str(error)) > 10_000:
            return f"message of {len(str(error))} characters", error
        return None, error
    except BaseException as error:  # also hangs and interpreter limits
        return f"{type(error).__name__}: {error}", None
    return None, None


def command_line_problem(
    source: Path, target: Path, error: NnefToolsError, capfd: pytest.CaptureFixture[str]
) -> str | None:
    """The command line gives the same error: its exit code, its message on standard error, no traceback."""
    format = FORMATS.get(source.suffix, "nnef")
    arguments = ["--input-model", str(source), "--input-format", format, "--output-format", "nnef"]
    capfd.readouterr()
    with np.errstate(all="ignore"):
        status = main(["convert", *arguments, "--output-model", str(target)])
    output = capfd.readouterr()
    if status != error.exit_code:
        return f"the command line ends with {status}, not {error.exit_code}"
    if "Traceback" in output.err or error.message.split("\n")[0] not in output.err:
        return f"the command line says {output.err!r}, not {error.message!r}"
    return None


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Interrupts a hang, where the system has alarms."""
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

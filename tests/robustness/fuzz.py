"""Fuzzing led by coverage, of one of the readers that consist of Python only. It needs the package atheris, which is
no requirement of the tests:

    python -m tests.robustness.fuzz sidecar -max_total_time=300 FOLDER

The options are those of libFuzzer; the folder holds the inputs that reach new code, and gets valid ones first. An input
that ends in anything but a proper refusal is written to a file `crash-..`; with that file as argument it is repeated.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["nnef_tools"]):
    import numpy as np

    from nnef_tools.api import read_tensor_mapping
    from nnef_tools.errors import NnefToolsError
    from nnef_tools.io.nnef import Reader
    from nnef_tools.io.nnef.sidecar import parse_facts
    from nnef_tools.io.onnx.reader import Reader as OnnxReader
    from nnef_tools.io.tf.graphdef.reader import Reader as GraphDefReader
    from nnef_tools.io.tf.lite.reader import Reader as LiteReader
    from nnef_tools.language.quant_file import parse_quantization
    from nnef_tools.language.tensor_file import parse_tensor
    from nnef_tools.model.facts_schema import facts_of_graph

from .samples import GRAPH, QUANTIZATION, SIDECAR, archive, nnef_files, write_folder

FOLDER = Path(tempfile.mkdtemp())
FILES = nnef_files()
GRAPHDEF = Path(__file__).with_name("sample.pb").read_bytes()
ONNX = Path(__file__).with_name("sample.onnx").read_bytes()
TFLITE = Path(__file__).with_name("sample.tflite").read_bytes()
PLAIN = Reader()(write_folder(FOLDER / "plain", FILES))


def read_text(data: bytes) -> None:
    Reader(load_variables=False)(write_folder(FOLDER / "text", {"graph.nnef": data}))


def read_sidecar(data: bytes) -> None:
    facts_of_graph(parse_facts(data)[0], PLAIN)


def read_archive(data: bytes) -> None:
    path = FOLDER / "model.tar"
    path.write_bytes(data)
    Reader()(path)


def read_graphdef(data: bytes) -> None:
    path = FOLDER / "model.pb"
    path.write_bytes(data)
    GraphDefReader()(path)


def read_tflite(data: bytes) -> None:
    path = FOLDER / "model.tflite"
    path.write_bytes(data)
    LiteReader()(path)


def read_onnx(data: bytes) -> None:
    path = FOLDER / "model.onnx"
    path.write_bytes(data)
    OnnxReader()(path)


def read_mapping(data: bytes) -> None:
    path = FOLDER / "map.json"
    path.write_bytes(data)
    read_tensor_mapping(path)


TARGETS: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
    "text": (read_text, [GRAPH.encode()]),
    "dat": (lambda data: parse_tensor(data), [FILES["body/w.dat"], FILES["body/w.dat"][:128]]),
    "quant": (lambda data: parse_quantization(data.decode("latin-1"), "graph.quant", {}), [QUANTIZATION.encode()]),
    "sidecar": (read_sidecar, [json.dumps(SIDECAR).encode(), b"{}"]),
    "mapping": (read_mapping, [b'{"a": "b"}']),
    "archive": (read_archive, [archive(FILES, compressed=False), archive(FILES)]),
    "graphdef": (read_graphdef, [GRAPHDEF]),
    "tflite": (read_tflite, [TFLITE]),
    "onnx": (read_onnx, [ONNX]),
}


def main() -> None:
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"{__doc__}\nreaders: {', '.join(TARGETS)}")
    read, seeds = TARGETS[name]
    for folder in (Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")):
        if not folder.is_file():
            write_folder(folder, {f"seed-{k}": seed for k, seed in enumerate(seeds)})

    def test(data: bytes) -> None:
        try:
            with np.errstate(all="ignore"):
                read(data)
        except NnefToolsError:
            pass

    atheris.Setup(sys.argv, test)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Files that are not models in a known format, recognized by their content, so that the error can say what they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError, FormatError
from ..io.plain_file import plain_file

HEAD = 4096
"""Number of bytes at the beginning of a file that are enough to recognize it."""


class Foreign(NamedTuple):
    """A recognized kind of file that cannot be read. what: completes 'the file is ..'. hint: what to do instead."""

    what: str
    hint: str


_EXPORT = "export the model with torch.onnx.export, and convert the ONNX file"
_MAKE_BINARY = "python -c \"import onnx; onnx.save(onnx.load('{}', format='{}'), 'model.onnx')\" makes a binary one"

LFS = Foreign("a Git-LFS pointer, not the model itself", "'git lfs pull' fetches the model")
HTML = Foreign("a web page, not a model", "the download failed, or needs the address of the file itself")
ORT = Foreign("a model in onnxruntime's own format (.ort)", "convert the ONNX model that it was made of")
PICKLE = Foreign("a Python pickle, such as PyTorch writes", _EXPORT)
TORCH = Foreign("a PyTorch file", _EXPORT)
CIRCLE = Foreign("a Circle model", "convert the TFLite model that it was made of")
TASK = Foreign("a MediaPipe task, an archive of models", "unpack it, and give a .tflite file of it")
ZIP = Foreign("a zip archive", "unpack it, and give the model in it")
WEIGHTS = Foreign("weights without a network (safetensors)", "export the model that they belong to as ONNX")
GGUF = Foreign("a GGUF file", "export the model that it was made of as ONNX")
ARRAY = Foreign("a numpy array, not a model", "arrays are inputs of a model; give the model itself")
TENSOR = Foreign("an NNEF tensor, a part of a model", "give the folder of the model, which holds a file graph.nnef")
OPENVINO = Foreign("an OpenVINO model", "convert the ONNX or TensorFlow model that it was made of")
COREML = Foreign("a Core ML model", "convert the ONNX or TensorFlow model that it was made of")
XML = Foreign("an XML file", "give a model in one of the formats that can be read")
TFJS = Foreign("a TensorFlow.js model", "tensorflowjs_converter makes a SavedModel of it")
JSON = Foreign("a JSON file", "give the model that it belongs to")
ONNX_JSON = Foreign("an ONNX model as JSON", _MAKE_BINARY.format("{path}", "json"))
ONNX_TEXT = Foreign("an ONNX model as text", _MAKE_BINARY.format("{path}", "textproto"))
EMPTY = Foreign("empty", "the download or export of the model may have failed")

_MAGIC = {
    b"version https://git-lfs.github.com/spec/": LFS,
    b"GGUF": GGUF,
    b"\x93NUMPY": ARRAY,
    b"N\xef\x01": TENSOR,
}
_ONNX_TEXT = re.compile(rb"^\s*(?:ir_version\s*:|opset_import\s*\{|op_type\s*:)", re.MULTILINE)


def check_file(path: Path, head: bytes) -> None:
    """Raises FormatError if the file, which begins with `head`, is of a known kind that cannot be read."""
    found = _by_content(path, head)
    if found is not None:
        raise FormatError(f"the file is {found.what}", where=str(path), hint=found.hint.replace("{path}", str(path)))


def _by_content(path: Path, head: bytes) -> Foreign | None:
    if not head:
        return EMPTY
    magic = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if magic is not None:
        return magic
    if head[4:8] == b"ORTM":
        return ORT
    if head[4:8] == b"CIR0":
        return CIRCLE
    if head[:4] == b"PK\x03\x04":
        return _zip(path)
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return PICKLE
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 32:
        return WEIGHTS
    suffix = path.suffix.lower()
    if suffix == ".bin" and _starts_net(path.with_suffix(".xml")):
        return OPENVINO
    if suffix == ".mlmodel":
        return COREML
    return _by_text(head)


def _by_text(head: bytes) -> Foreign | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = text[:64].lower()
    if lower.startswith((b"<!doctype html", b"<html")):
        return HTML
    if lower.startswith((b"<?xml", b"<net ")):
        return OPENVINO if b"<net " in text else HTML if b"<html" in text.lower() else XML
    if text.startswith((b"{", b"[")) and text[1:].lstrip()[:1] in (b'"', b"{", b"[", b"}"):
        is_onnx = b'"irVersion"' in text or b'"opType"' in text
        return ONNX_JSON if is_onnx else TFJS if b'"modelTopology"' in text or b"graph-model" in text else JSON
    return ONNX_TEXT if _ONNX_TEXT.search(text) else None


def _zip(path: Path) -> Foreign | None:
    """The kind of a zip archive; None for a Keras model, which can be read."""
    import zipfile  # many modules, for what is rare

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return ZIP
    if {"config.json", "metadata.json"} <= set(names):
        return None
    if any(name.endswith("data.pkl") for name in names):
        return TORCH
    if any(name.endswith(".tflite") for name in names):
        return TASK
    return ARRAY if names and all(name.endswith(".npy") for name in names) else ZIP


def _starts_net(path: Path) -> bool:
    try:
        with plain_file(path) as file:
            return b"<net " in file.read(HEAD)
    except FileError:
        return False

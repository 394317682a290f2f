"""A valid NNEF model, as files and bytes to damage. (Nothing here needs more than numpy.)"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np

from nnef_tools.language.tensor_file import write_tensor

GRAPH = """version 1.0;
extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;

fragment block(x: tensor<scalar>, w: tensor<scalar>, slope: scalar = 0.1) -> (y: tensor<scalar>)
{
    h = conv(x, w, 0.0, padding = [(1, 1), (1, 1)]);
    y = leaky_relu(h, alpha = slope) if slope > 0.0 else relu(h);
}

graph net(x) -> (y, z)
{
    x = external<scalar>(shape = [1, 2, 6, 6]);
    w = variable<scalar>(shape = [2, 2, 3, 3], label = 'body/w');
    h = block(x, w);
    [a, b] = split(h, axis = 1, ratios = [1, 1]);
    c = concat([a, b * 2.0 + 1.0], axis = 1);
    p = max_pool(c, size = [1, 1, 2, 2], stride = [1, 1, 2, 2], border = 'ignore');
    i = cast<integer>(p);
    y = reshape(p, shape = [0, -1]);
    z = pad(p, padding = [(0, 0), (0, 0), (1, 1), (2, 2)], value = -0.5);
}
"""

QUANTIZATION = """# of the weights and one activation
"w": zero_point_linear_quantize(zero_point = 3, scale = 0.1, bits = 8, signed = true, symmetric = false);
"h": linear_quantize(min = -1.0, max = 1.5, bits = 8);
"""

SIDECAR = {
    "format": "onnx",
    "tensors": {
        "x": {"source": "input", "dtype": "float64"},
        "w": {"source": "weights"},
        "h": {"source": "hidden"},
        "i": {"dtype": "int32"},
        "y": {"source": "output"},
    },
    "symbolic": {"input": ["batch", 2, 6, None], "output": [1, None]},
    "opset": {"": 17, "com.example": 3},
    "ir_version": 8,
    "producer": "x",
    "producer_version": "1.0",
    "doc": "text",
    "metadata_props": {"a": "b"},
    "versions": {"producer": 1645, "min_consumer": 12},
    "aliases": {"a": "b"},
    "license": ["MIT", {"year": 2024}],
}


def nnef_files() -> dict[str, bytes]:
    """The files of a model folder."""
    stream = io.BytesIO()
    write_tensor(stream, np.random.default_rng(0).integers(-9, 9, (2, 2, 3, 3)).astype(np.float32))
    return {"graph.nnef": GRAPH.encode(), "graph.quant": QUANTIZATION.encode(), "body/w.dat": stream.getvalue()}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def archive(files: dict[str, bytes], compressed: bool = True) -> bytes:
    """A tar archive of the files, with gzip or without."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), 1, mtime=0) if compressed else stream.getvalue()

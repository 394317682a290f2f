"""Makes `ssd/NAME.npz`: nets with layers of SSD's fork, and the outputs that OpenCV computes for them.

Run it with `opencv-python-headless<5`, and this package on the path: OpenCV has no way to save weights.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cv2
import numpy as np
import ssd_nets

from nnef_tools.io.caffe.parse import parse_file
from nnef_tools.io.caffe.schema import schema
from nnef_tools.io.protobuf import encode

HERE = Path(__file__).parent


def blob(array):
    shape = schema()["BlobShape"](dim=np.asarray(array.shape, np.int64))
    return schema()["BlobProto"](shape=shape, data=np.asarray(array, np.float32).reshape(-1))


def weights(prototxt, recipe, rng):
    """Random weights for the convolutions and normalizations of a net."""
    layers, widths = [], {"data": 3}
    for layer in parse_file(prototxt).layers:
        kind, top, bottom = layer["type"], layer["top"][0], layer["bottom"][0]
        widths[top] = widths.get(bottom, 0)
        arrays = []
        if kind == "Convolution":
            own = layer["convolution_param"]
            size, width = own["kernel_size"][0], widths[bottom]
            widths[top] = own["num_output"]
            arrays = [rng.standard_normal((own["num_output"], width, size, size)) / np.sqrt(width) / size,
                      rng.standard_normal(own["num_output"]) / 3]  # fmt: skip
        elif kind == "Normalize":
            arrays = [rng.uniform(1, 3, recipe.get("width") or widths[bottom])]
        if arrays:
            layers.append(
                schema()["LayerParameter"](name=layer["name"], type=kind, blobs=[blob(item) for item in arrays])
            )
    return b"".join(map(bytes, encode(schema()["NetParameter"](name="net", layer=layers)))) if layers else b""


def run(name, recipe, folder):
    rng = np.random.default_rng(sum(map(ord, name)))
    prototxt, caffemodel = folder / "net.prototxt", folder / "net.caffemodel"
    prototxt.write_text(recipe["prototxt"])
    content = weights(prototxt, recipe, rng)
    caffemodel.write_bytes(content)
    net = cv2.dnn.readNetFromCaffe(*map(str, (prototxt, caffemodel) if content else (prototxt,)))
    arrays = {"prototxt": np.frombuffer(recipe["prototxt"].encode(), np.uint8)}
    if content:
        arrays["caffemodel"] = np.frombuffer(content, np.uint8)
    message = parse_file(prototxt).message
    for blob_name, shape in zip(message["input"], message["input_shape"], strict=True):
        value = rng.standard_normal(shape["dim"]).astype(np.float32) * 2
        net.setInput(value, blob_name)
        arrays[f"in/{blob_name}"] = value
    (end,) = net.getUnconnectedOutLayersNames()
    arrays[f"out/{parse_file(prototxt).layers[-1]['top'][0]}"] = np.array(net.forward(end))
    return arrays


def main():
    for name, recipe in ssd_nets.FORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            pid = os.fork()  # OpenCV may end the process on an error
            if pid == 0:
                np.savez_compressed(HERE / "ssd" / f"{name}.npz", **run(name, recipe, Path(folder)))
                os._exit(0)
            if os.waitpid(pid, 0)[1]:
                print("FAILED", name)


if __name__ == "__main__":
    main()

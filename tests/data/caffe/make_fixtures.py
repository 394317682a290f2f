"""Makes `nets/NAME.npz`: tiny nets with weights, inputs, and the outputs that Caffe itself computes for them.

Run by Caffe, which needs an old Python: `pip install kendryte-caffe 'numpy<1.24' 'protobuf<3.21'` in Python 3.9, then
`python make_fixtures.py [BEGIN OF NAMES]`. An archive has `prototxt`, `caffemodel` (bytes, as arrays), `in/BLOB` and
`out/BLOB`.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["GLOG_minloglevel"] = "2"  # noqa: SIM112

import caffe
import nets
import numpy as np
from caffe.proto import caffe_pb2

HERE = Path(__file__).parent


def fill(net, rng, recipe):
    """Gives all blobs of parameters values of a sensible size."""
    kinds = {name: net.layers[k].type for k, name in enumerate(net._layer_names)}
    for name, blobs in net.params.items():
        kind = kinds[name]
        for k, blob in enumerate(blobs):
            shape = blob.data.shape
            fan = max(int(np.prod(shape[1:])), 1)
            values = rng.standard_normal(shape) / np.sqrt(fan if len(shape) > 1 else 4)
            if kind == "BatchNorm":
                values = [values, rng.uniform(0.5, 2.0, shape), np.full(shape, recipe.get("factor", 2.0))][k]
            elif kind in ("Scale", "PReLU") and k == 0:
                values = rng.uniform(0.2, 1.5, shape)
            blob.data[...] = values.astype(np.float32)


def value(kind, shape, rng):
    if kind.startswith("below"):
        return rng.integers(0, int(kind[5:]), shape).astype(np.float32)
    if kind == "cont":
        array = np.ones(shape, np.float32)
        array[0] = 0
        array[2:3, :1] = 0
        return array
    if kind == "positive":
        return rng.uniform(0.2, 3.0, shape).astype(np.float32)
    return rng.standard_normal(shape).astype(np.float32)


def legacy(weights, prototxt, doubles):
    """The weights as files of old versions have them: four extents for each blob, in the layers of that version."""
    new = caffe_pb2.NetParameter.FromString(Path(weights).read_bytes())
    blobs = {layer.name: layer.blobs for layer in new.layer}
    old = caffe_pb2.NetParameter()
    caffe_text = Path(prototxt).read_text()
    from google.protobuf import text_format

    text_format.Parse(caffe_text, old)
    for layer in old.layers:
        for blob in blobs.get(layer.name or layer.layer.name, ()):
            own = (layer.layer if layer.HasField("layer") else layer).blobs.add()
            own.num, own.channels, own.height, own.width = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
            if doubles:
                own.double_data.extend(blob.data)
            else:
                own.data.extend(blob.data)
    for layer in old.layer:
        for blob in blobs.get(layer.name, ()):
            own = layer.blobs.add()
            own.shape.CopyFrom(blob.shape)
            own.double_data.extend(blob.data)
    Path(weights).write_bytes(old.SerializeToString())


def run(name, recipe, folder):
    rng = np.random.default_rng(sum(map(ord, name)))
    prototxt, weights = str(folder / "net.prototxt"), str(folder / "net.caffemodel")
    Path(prototxt).write_text(recipe["prototxt"])
    options = {"stages": recipe["stages"]} if "stages" in recipe else {}
    net = caffe.Net(prototxt, caffe.TEST, **options)
    fill(net, rng, recipe)
    net.save(weights)
    if recipe.get("legacy"):
        legacy(weights, prototxt, recipe.get("doubles", False))
        net = caffe.Net(prototxt, caffe.TEST, weights=weights, **options)
    arrays = {}
    for blob in recipe.get("feeds", net.inputs):
        array = value(recipe.get("values", {}).get(blob, ""), net.blobs[blob].data.shape, rng)
        net.blobs[blob].data[...] = array
        arrays[f"in/{blob}"] = array
    if "feeds" in recipe:
        net._forward(recipe["start"], len(net.layers) - 1)
    else:
        net.forward()
    for blob in net.outputs:
        if blob not in recipe.get("hidden", ()):
            arrays[f"out/{blob}"] = net.blobs[blob].data.copy()
    if net.params:
        arrays["caffemodel"] = np.frombuffer(Path(weights).read_bytes(), np.uint8)
    arrays["prototxt"] = np.frombuffer(recipe["prototxt"].encode(), np.uint8)
    return arrays


def main():
    caffe.set_mode_cpu()
    for name, recipe in nets.NETS.items():
        if len(sys.argv) > 1 and not name.startswith(sys.argv[1]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            pid = os.fork()  # Caffe ends the process on an error
            if pid == 0:
                np.savez_compressed(HERE / "nets" / f"{name}.npz", **run(name, recipe, Path(folder)))
                os._exit(0)
            if os.waitpid(pid, 0)[1]:
                print("FAILED", name)


if __name__ == "__main__":
    main()

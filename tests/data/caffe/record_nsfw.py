"""Makes `nsfw.npz`: what Caffe computes of the net of the package nsfw 0.3.2, a ResNet-50 of half width.

Run by Caffe as `make_fixtures.py` is, with the folder of `deploy.prototxt` as its argument.
"""

import sys
from pathlib import Path

import caffe
import numpy as np

HERE = Path(__file__).parent


def image(k, shape):
    """Pixels without their mean, as the net expects them; the same for everybody."""
    place = np.arange(np.prod(shape), dtype=np.float64)
    return (100 * np.sin(place * (0.013 + 0.007 * k)) * np.cos(place / 997)).astype(np.float32).reshape(shape)


def main():
    folder = Path(sys.argv[1])
    net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST, weights=str(folder / "resnet_50_1by2_nsfw.caffemodel"))
    arrays = {}
    for k in range(3):
        net.blobs["data"].data[...] = image(k, net.blobs["data"].data.shape)
        net.forward()
        for blob in ("prob", "fc_nsfw", "pool"):
            arrays[f"{k}/{blob}"] = net.blobs[blob].data.copy()
    np.savez_compressed(HERE / "nsfw.npz", **arrays)
    print({key: (array.shape, float(np.abs(array).max())) for key, array in arrays.items()})


if __name__ == "__main__":
    main()

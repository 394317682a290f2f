"""Runs the Caffe2 models that are written here in Caffe2 itself, in two steps.

With this package, and its tests, writes models to a folder, each with inputs and what is expected of it: all that
are in `nets`, by way of NNEF and back, and random NNEF models as far as Caffe2 has their operators:

    python tests/data/caffe2/check_written.py write FOLDER [NUMBER OF RANDOM MODELS]

With Caffe2 (see make_fixtures.py), runs them, and prints what differs by more than 1e-4 of the largest item:

    python tests/data/caffe2/check_written.py run FOLDER
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]

TOLERANCE = 1e-4


def write(folder: Path, count: int) -> None:
    """Writes the models."""
    import nnef_tools
    from nnef_tools.errors import ConversionError
    from tests.random_graphs.generator import random_model
    from tests.support.caffe2_models import names, recorded

    refused: Counter[str] = Counter()
    (folder / "source").mkdir(parents=True)
    for name in names():
        model = recorded(name)
        source = model.write(folder / "source")
        nnef_tools.convert_model(source, folder / "nnef" / name, output_format="nnef", keep_io_names=True)
        nnef_tools.convert_model(folder / "nnef" / name, folder / name, output_format="caffe2")
        _save(folder / name, model.inputs, model.outputs)
    for seed in range(count):
        drawn = random_model(seed, 1 + seed % 4)
        if not drawn.inputs:  # of constants only
            continue
        drawn.save(folder / "source" / f"random{seed}")
        try:
            nnef_tools.convert_model(
                folder / "source" / f"random{seed}", folder / f"random{seed}", output_format="caffe2"
            )
        except ConversionError as error:
            refused.update(refusal.type for refusal in error.refused)
            continue
        _save(folder / f"random{seed}", drawn.inputs, drawn.outputs)
    print(f"{len(list(folder.glob('*/data.npz')))} models; refused: {dict(refused)}")


def _save(folder: Path, inputs: Arrays, outputs: Arrays) -> None:
    data = {**{f"in:{k}": v for k, v in inputs.items()}, **{f"out:{k}": v for k, v in outputs.items()}}
    np.savez(folder / "data.npz", **data)


def run(folder: Path) -> None:
    """Runs the models."""
    from caffe2.proto import caffe2_pb2
    from caffe2.python import workspace

    agreed = 0
    for path in sorted(folder.glob("*/data.npz")):
        data = np.load(path)
        try:
            workspace.ResetWorkspace()
            for name in ("init_net.pb", "predict_net.pb"):
                if name == "predict_net.pb":
                    for key in data:
                        if key.startswith("in:"):
                            workspace.FeedBlob(key[3:], data[key])
                net = caffe2_pb2.NetDef.FromString((path.parent / name).read_bytes())
                workspace.RunNetOnce(net)
            problem = "; ".join(filter(None, (_difference(key[4:], data[key]) for key in data if key[:4] == "out:")))
        except Exception as error:
            problem = str(error).splitlines()[0][:300]
        agreed += not problem
        if problem:
            print(f"{path.parent.name}: {problem}")
    print(f"{agreed} of {len(list(folder.glob('*/data.npz')))} models agree")


def _difference(name: str, wanted: np.ndarray) -> str:
    from caffe2.python import workspace

    actual = workspace.FetchBlob(name)
    if actual.shape != wanted.shape:
        return f"{name} has shape {actual.shape}, not {wanted.shape}"
    if (actual.dtype.kind == "f") != (wanted.dtype.kind == "f"):
        return f"{name} is {actual.dtype}, not {wanted.dtype}"
    with np.errstate(all="ignore"):
        same = (actual == wanted) | ((actual != actual) & (wanted != wanted))
        error = np.where(same, 0, np.abs(actual.astype(np.float64) - wanted.astype(np.float64)))
        scale = np.abs(np.where(np.isfinite(wanted.astype(np.float64)), wanted, 0)).max(initial=0)
    if not error.size or float(np.max(error)) <= TOLERANCE * max(float(scale), 1e-3):
        return ""
    return f"{name} differs by {np.max(error):.3g} of {scale:.3g}"


if __name__ == "__main__":
    if sys.argv[1] == "write":
        sys.path.insert(0, str(Path(__file__).parents[3]))
        write(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    else:
        run(Path(sys.argv[2]))

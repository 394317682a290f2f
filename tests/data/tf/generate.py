"""`python -m tests.data.tf.generate` makes the TensorFlow graphs beside it, with inputs and TensorFlow's results.

Weights and inputs are seeded. Needs TensorFlow, unlike the tests that use the files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpus.tensorflow.agreement import freeze, random_inputs
from tests.corpus.tensorflow.networks import SMALL

FOLDER = Path(__file__).parent
LIMIT = 200_000  # bytes of a file

# Network -> are its loops functions?
CHOSEN = {
    "conv3d": True,
    "depth_to_space": True,
    "dilated": True,
    "gru_masked": True,
    "grouped": True,
    "lstm": True,
    "lstm_stacked": False,
    "preprocessing": True,
    "separable": True,
    "squeeze_excite": True,
    "temporal": True,
    "transformer_encoder": True,
    "u_net_transposed": True,
}


def main() -> None:
    """Writes `NAME.pb` and `NAME.npz`; of that, `in0`, .. are the inputs, `out0`, .. the outputs."""
    for name, functional in CHOSEN.items():
        model = SMALL[name].build()
        path = FOLDER / f"{name}.pb"
        frozen = freeze(model, path, random_inputs(model, 2), any_batch=True, functional=functional)
        arrays = {f"in{k}": x for k, x in enumerate(frozen.inputs.values())}
        arrays |= {f"out{k}": y for k, y in enumerate(frozen.outputs.values())}
        np.savez_compressed(path.with_suffix(".npz"), **arrays)
        assert max(file.stat().st_size for file in (path, path.with_suffix(".npz"))) < LIMIT, name


if __name__ == "__main__":
    main()

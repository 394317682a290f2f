"""Does a frozen graph compute in NNEF, and back in TensorFlow, what TensorFlow computes of it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.execution import make_executor
from nnef_tools.pipeline import convert_model
from nnef_tools.report import Report

from ...support.arrays import Array, channels_second
from ...support.nnef_models import run_nnef
from ...support.tf_programs import tf
from ..agreement import assert_close


@dataclass(frozen=True)
class Frozen:
    """A graph in a file, names and values of its inputs, and what TensorFlow makes of them."""

    path: Path
    inputs: dict[str, Array]
    outputs: dict[str, Array]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The extents of the inputs."""
        return {name: array.shape for name, array in self.inputs.items()}


def freeze(model: Any, path: Path, inputs: Sequence[Array], *, any_batch: bool, functional: bool = True) -> Frozen:
    """Writes a Keras model as convert_variables_to_constants_v2 gives it, and runs it.

    any_batch: do not fix the number of samples. functional: loops as functions, as opposed to nodes in a cycle.
    """
    specs = [
        tf.TensorSpec([None if any_batch else x.shape[0], *x.shape[1:]], x.dtype, name=f"input_{k}")
        for k, x in enumerate(inputs)
    ]
    call = tf.function(lambda *args: model(list(args) if len(args) > 1 else args[0], training=False))
    return freeze_function(call.get_concrete_function(*specs), path, inputs, functional=functional)


def freeze_function(concrete: Any, path: Path, inputs: Sequence[Array], *, functional: bool = True) -> Frozen:
    """Writes a concrete function as convert_variables_to_constants_v2 gives it, and runs it."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=not functional)
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    results = frozen(*[tf.constant(x) for x in inputs])
    feeds = {tensor.op.name: x for tensor, x in zip(frozen.inputs, inputs, strict=True)}
    names = [tensor.name for tensor in frozen.outputs]
    return Frozen(path, feeds, {name: r.numpy() for name, r in zip(names, tf.nest.flatten(results), strict=True)})


def check_conversion(frozen: Frozen, folder: Path, *, io_transpose: bool = False, optimize: bool = False) -> Report:
    """TensorFlow to NNEF and back: the same results, which have channels second in between with `io_transpose`."""
    target, back = folder / "model.nnef", folder / "back.pb"
    report = convert_model(frozen.path, target, io_transpose=io_transpose, optimize=optimize, **_options(frozen))
    move = channels_second if io_transpose else _same
    results = run_nnef(target, [move(x) for x in frozen.inputs.values()], backend="auto")
    for result, (name, wanted) in zip(results, frozen.outputs.items(), strict=True):
        assert_close(result, move(wanted), f"NNEF: {name}")
    convert_model(target, back, io_transpose=io_transpose, optimize=optimize)
    returned = run_tensorflow(back, list(frozen.inputs.values()))
    for result, (name, wanted) in zip(returned, frozen.outputs.items(), strict=True):
        assert_close(result, wanted, f"back in TensorFlow: {name}")
    return report


def _options(frozen: Frozen) -> dict[str, Any]:
    names = [name.removesuffix(":0") for name in frozen.outputs]
    return {"input_shapes": frozen.shapes, "output_names": names, "output_format": "nnef"}


def run_tensorflow(path: Path, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a graph in their order."""
    executor = make_executor(path, format="tf")
    feeds = {info.name: x for info, x in zip(executor.inputs, inputs, strict=True)}
    return list(executor.run(feeds).values())


def _same(array: Array) -> Array:
    return array


def random_inputs(model: Any, batch: int) -> list[Array]:
    """Standard normal numbers, small integers for integer inputs."""
    generator = np.random.default_rng(1)
    return [_random(generator, (batch, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]


def _random(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    if dtype.startswith("int"):
        return generator.integers(0, 9, shape).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)

"""The Python functions that load, save, run and compare models. (`convert_model` is in `pipeline`.)

A model is the path of a file or folder or, where a function says so, a Graph in the NNEF dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from .budget import Limits, within
from .errors import FormatError, UsageError, check_lists
from .execution.executor import Array, Executor, known_name
from .execution.feeds.sources import load_inputs
from .execution.results.compare import Comparison, compare_outputs
from .execution.session import Inputs, Model, named_inputs, open_executor
from .formats import InputShapes, check_dialect, detect_input, make_reader
from .formats.destination import Destination
from .io.json_object import parse_object
from .io.plain_file import plain_file
from .model import Graph
from .verification.check import random_source
from .verification.compare import compare_tensors
from .verification.compare_inputs import draw, given_inputs, ranges_of, with_shape
from .verification.compared_model import ComparedModel

_MAX_MAPPING = 1 << 28  # bytes of a file of a tensor mapping


def load_model(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    input_shapes: InputShapes | None = None,
    limits: Limits | None = None,
    **options: Any,
) -> Graph:
    """Reads a model into a graph in the dialect of its format.

    format: its name, by default recognized by content and suffix. input_shapes: input name -> extents. limits: see
    `convert_model`. options: passed to the reader. FileError, FormatError, LimitError, UsageError, MissingPackageError.
    """
    found = detect_input(Path(path), format)
    with within(limits):
        return make_reader(found, **options)(str(path), input_shapes)


def save_model(graph: Graph, path: str | PathLike[str], *, format: str | None = None, **options: Any) -> None:
    """Writes a graph in the dialect of the format; a `.tgz` path gives an NNEF archive. On an error nothing is written.

    options: passed to the writer; `compression` 0 to 9 writes an NNEF archive too. FileError, UsageError.
    """
    target = Destination.of(path, Path(path), format, options.pop("compression", None))
    check_dialect(graph, target.format)
    target.write(graph, **options)


def run_model(
    model: Model,
    inputs: Inputs,
    *,
    format: str | None = None,
    backend: str = "auto",
    output_names: Sequence[str] | None = None,
    custom_operators: Mapping[str, Callable[..., Any]] | None = None,
    limits: Limits | None = None,
    signature: str | None = None,
    weights: str | PathLike[str] | None = None,
) -> dict[str, Array]:
    """Runs a model or Graph once and returns its outputs by name, in order.

    inputs: arrays by name, or in the order of the model's inputs. backend: 'auto', 'numpy', 'torch' or 'onnxruntime'.
    output_names: other tensors to return. custom_operators: operator name -> function of the backend's arrays.
    signature: which one of a TFLite model or SavedModel to run. weights: of a Caffe net, see `convert_model`. limits:
    see `convert_model`. UsageError for wrong inputs or names, ExecutionError if an operator fails, LimitError.
    """
    check_lists(output_names=output_names, inputs=inputs)
    executor = open_executor(
        model,
        format,
        backend=backend,
        custom_operators=custom_operators,
        signature=signature,
        weights=weights,
        limits=limits,
    )
    return executor.run(named_inputs(inputs, executor.inputs), output_names=output_names)


def compare_models(
    a: Model,
    b: Model,
    *,
    inputs: Inputs | None = None,
    seed: int = 0,
    tensor_mapping: Mapping[str, str] | str | PathLike[str] | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
    relative_to_scale: float = 1e-4,
    inner: bool = False,
) -> Comparison:
    """Runs two models on the same inputs and compares the results; `a` is the reference.

    inputs: for `a`, by name or in order; by default random from `seed`, with the extents that `b` has where `a` leaves
    them open. The inputs of `b` are the same in the same order. Outputs correspond by their order; with tensor_mapping,
    `a` name -> `b` name or the path of such a JSON file, all tensors of it that both models have are compared, in the
    order of `a`. Tolerances: see `compare_outputs`.

    inner: compare all tensors that both models have, found by the mapping, names and structure; the result is a
    `verification.compare.ModelComparison`, which knows where a difference begins. `relative_to_scale` is its only
    tolerance. UsageError if the models do not fit together, ExecutionError if one cannot be run.
    """
    if inner:
        return _compare_inner(a, b, inputs, seed, tensor_mapping, relative_to_scale)
    reference, candidate = open_executor(a), open_executor(b)
    if len(reference.inputs) != len(candidate.inputs):
        raise UsageError(f"the models have {len(reference.inputs)} and {len(candidate.inputs)} inputs")
    given = (
        load_inputs(list(map(with_shape, reference.inputs, candidate.inputs)), random_source(None, seed))
        if inputs is None
        else named_inputs(inputs, reference.inputs)
    )
    values = [given[info.name] for info in reference.inputs]
    pairs = _pairs(reference, candidate, tensor_mapping)
    expected = reference.run(given, output_names=list(pairs))
    result = candidate.run(named_inputs(values, candidate.inputs), output_names=list(dict.fromkeys(pairs.values())))
    return compare_outputs(
        expected,
        {name: result[other] for name, other in pairs.items()},
        rtol=rtol,
        atol=atol,
        relative_to_scale=relative_to_scale,
    )


def _compare_inner(
    a: Model,
    b: Model,
    inputs: Inputs | None,
    seed: int,
    mapping: Mapping[str, str] | str | PathLike[str] | None,
    tolerance: float,
) -> Comparison:
    first, second = ComparedModel(a), ComparedModel(b)
    if inputs is None:
        given = draw(first, second, random_source(None, seed, ranges_of(first, second)))
    else:
        given = given_inputs(first, second, inputs)
    names = mapping if mapping is None or isinstance(mapping, Mapping) else read_tensor_mapping(mapping)
    return compare_tensors(first, second, given, mapping=names, tolerance=tolerance)


def read_tensor_mapping(path: str | PathLike[str]) -> dict[str, str]:
    """Reads a tensor mapping file as `convert_model` writes it: source name -> target name. FileError, FormatError."""
    with plain_file(Path(path), or_open_file=True) as file:
        raw = file.read(_MAX_MAPPING + 1)
    if len(raw) > _MAX_MAPPING:
        raise FormatError(f"not a tensor mapping: it has more than {_MAX_MAPPING:,} bytes", where=str(path))
    try:
        value, repeated = parse_object(raw)
    except FormatError as error:
        raise FormatError(f"not a tensor mapping: {error.message}", where=str(path)) from None
    if not all(isinstance(name, str) for name in value.values()):
        raise FormatError("not a tensor mapping: a JSON object of names is expected", where=str(path))
    if repeated:
        raise FormatError(f"not a tensor mapping: '{repeated[0]}' is there twice", where=str(path))
    return value


def _pairs(
    reference: Executor, candidate: Executor, mapping: Mapping[str, str] | str | PathLike[str] | None
) -> dict[str, str]:
    """Reference tensor name -> candidate tensor name, for the tensors that are to be compared."""
    if mapping is None:
        if len(reference.outputs) != len(candidate.outputs):
            raise UsageError(f"the models have {len(reference.outputs)} and {len(candidate.outputs)} outputs")
        return {a.name: b.name for a, b in zip(reference.outputs, candidate.outputs, strict=True)}
    names = mapping if isinstance(mapping, Mapping) else read_tensor_mapping(mapping)
    known = set(candidate.tensor_names)
    mapped = {name: names[key] for name in reference.tensor_names if (key := known_name(name, names)) is not None}
    return {name: found for name, other in mapped.items() if (found := known_name(other, known)) is not None}

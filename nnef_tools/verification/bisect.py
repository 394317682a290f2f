"""Writes the parts of two models in which a difference begins, with their inputs: a defect that can be reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import ConversionError, FileError, FormatError, ShapeError, UsageError
from ..execution.executor import Array, known_name
from ..execution.feeds.tensor_files import tensor_file
from ..formats import make_optimizer
from ..formats.destination import Destination
from ..io.files import replace_file
from ..model import Graph
from ..model.cut import cut
from .compare import FirstDivergence, ModelComparison, compare_tensors
from .compare_inputs import Given
from .compared_model import ComparedModel
from .first_difference import fetch
from .layout import moved

PARTS = ("a", "b")

LEAST_ERROR = 0.5
"""The part of the error in the models that the error of the parts must be at least, if it is below the tolerance."""


@dataclass(frozen=True)
class Reproduction:
    """What was written. is_reproduced: do the parts alone differ?"""

    folder: Path
    models: tuple[Path, Path]
    is_reproduced: bool


@dataclass(frozen=True)
class _Ends:
    """The tensors between which the parts are: names of the inputs in both models, the output with its value."""

    inputs: tuple[tuple[str, ...], tuple[str, ...]]
    outputs: tuple[tuple[str, Array], tuple[str, Array]]


def write_reproduction(
    a: ComparedModel, b: ComparedModel, found: ModelComparison, folder: Path, tolerance: float
) -> Reproduction:
    """Writes the parts of both models that compute the first tensor that differs, from the nearest tensors before it.

    Both get the values of `a`. If the parts are not models of their own, or do not differ, they begin at the inputs of
    the models. The folder has the models, `inputs-a` and `inputs-b` with .npy files, and a README.md. UsageError if the
    folder is not empty, FileError if it cannot be written.
    """
    assert found.first is not None, "no tensor differs"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("the folder for --bisect exists and is not empty", where=str(folder))
    first = found.first
    inner = tuple(item.a for item in first.operands), tuple(item.b for item in first.operands)
    whole = tuple(found.given[0]), tuple(found.given[1])
    ends = tuple((name, _run(model, found.given[k], [name])[name])
                 for k, (model, name) in enumerate(((a, first.tensor.a), (b, first.tensor.b))))  # fmt: skip
    models: tuple[Path, Path] | None = None
    result = None
    for inputs in dict.fromkeys((inner, whole)):
        try:
            given = found.given if inputs == whole else _values(a, b, found, inputs)
            models = _write_parts((a, b), _Ends(inputs, (ends[0], ends[1])), given, folder)
            result = compare_tensors(
                ComparedModel(models[0]), ComparedModel(models[1]), _named(models, given), tolerance=tolerance
            )
        except (UsageError, ShapeError, FormatError, ConversionError):
            if inputs == whole:
                raise
            continue
        if _differs(result, first):
            break
    assert models is not None and result is not None
    _write_readme(folder, models, (a, b), first, result)
    return Reproduction(folder, models, _differs(result, first))


def _differs(result: ModelComparison, first: FirstDivergence) -> bool:
    """Do the parts differ, or by an error like that in the models, where that is below the tolerance?"""
    return not result.ok or max(tensor.error for tensor in result.tensors) >= LEAST_ERROR * first.tensor.error > 0


def _values(
    a: ComparedModel, b: ComparedModel, found: ModelComparison, names: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The values of tensors in both models: those of the first one, in the terms of each."""
    ours, others = (_run(model, found.given[k], names[k]) for k, model in enumerate((a, b)))
    moves = {tensor.a: tensor.move for tensor in found.tensors}
    translated = {}
    for x, y in zip(*names, strict=True):
        value, other = moved(ours[x], moves[x]), others[y]
        codes = b.codes.get(y) or a.codes.get(x)
        if codes is not None and value.dtype.kind != other.dtype.kind:
            value = codes.codes(value) if other.dtype.kind in "iu" else codes.real_values(value)
        if value.shape != other.shape:
            raise UsageError(f"'{x}' has another shape in the other model")
        translated[y] = np.array(value, other.dtype, order="C")
    return {name: np.array(ours[name], order="C") for name in names[0]}, translated


def _run(model: ComparedModel, given: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    executor = model.open()
    values = {info.name: value for info, value in zip(executor.inputs, given.values(), strict=True)}
    known = set(executor.tensor_names)
    forms = {name: form for name in names if name not in given and (form := known_name(name, known)) is not None}
    results = fetch(executor, values, list(forms.values())) if forms else {}
    found = {name: results[form] for name, form in forms.items() if form in results}
    found.update({name: given[name] for name in names if name in given})
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"the value of '{missing[0]}' is not known")
    return {name: np.asarray(found[name]) for name in names}


def _write_parts(
    models: tuple[ComparedModel, ComparedModel],
    ends: _Ends,
    given: tuple[Mapping[str, Array], Mapping[str, Array]],
    folder: Path,
) -> tuple[Path, Path]:
    """Writes the parts and their inputs; returns the paths of the models."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, model in enumerate(models):
        graph = _part(model, ends.inputs[k], ends.outputs[k], given[k])
        path = folder / f"{PARTS[k]}{model.format.suffixes[0]}"
        Destination.of(path, path, model.format.name).write(graph)
        paths.append(path)
        _write_inputs(folder / f"inputs-{PARTS[k]}", given[k])
    return paths[0], paths[1]


def _part(model: ComparedModel, inputs: Sequence[str], output: tuple[str, Array], given: Mapping[str, Array]) -> Graph:
    graph = model.read()
    cut(graph, list(inputs), [output[0]])
    (result,) = graph.outputs
    result.shape, result.dtype = output[1].shape, result.dtype or output[1].dtype.type
    for tensor in graph.inputs:
        value = given[str(tensor.name)]
        tensor.shape = value.shape
        tensor.dtype = tensor.dtype or value.dtype.type
    optimizer = make_optimizer(model.format.dialect)
    if optimizer is not None:
        optimizer(graph, only_required=True)
    graph.sort()
    return graph


def _write_inputs(folder: Path, given: Mapping[str, Array]) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.npy"):  # of the attempt before
        old.unlink()
    for name, value in given.items():
        with replace_file(str(folder / tensor_file(name).replace(".dat", ".npy"))) as file:
            np.save(file, value)


def _named(paths: tuple[Path, Path], given: tuple[Mapping[str, Array], Mapping[str, Array]]) -> Given:
    """The inputs by the names that they have in the written models, in the same order."""
    named = []
    for path, values in zip(paths, given, strict=True):
        names = [info.name for info in ComparedModel(path).inputs]
        if len(names) != len(values):
            raise FileError("the part has other inputs than were asked for", where=str(path))
        named.append(dict(zip(names, values.values(), strict=True)))
    return Given(named[0], named[1])


def _write_readme(
    folder: Path,
    paths: tuple[Path, Path],
    models: tuple[ComparedModel, ComparedModel],
    first: FirstDivergence,
    result: ModelComparison,
) -> None:
    a, b = (path.name for path in paths)
    tensor = first.tensor
    shows = repr(result) if _differs(result, first) else "the parts alone do not differ: it comes from before them"
    text = f"""# {tensor.operators[0]} and {tensor.operators[1]} compute something else

`{a}` is a part of a model in {models[0].format.title}, which computes `{tensor.a}` by {tensor.operators[0]},
`{b}` a part of a model in {models[1].format.title}, which computes `{tensor.b}` by {tensor.operators[1]}.
On the same inputs, which are in `inputs-a` and `inputs-b`, the results differ.
{a} ran in {result.backends[0]}, {b} in {result.backends[1]} (nnef_tools {__version__}):

    {shows}

To reproduce it:

```sh
nnef-tools compare {a} {b} --input-path inputs-a --input-path-b inputs-b
nnef-tools execute {a} --input-path inputs-a --output-path outputs-a.npz
nnef-tools execute {b} --input-path inputs-b --output-path outputs-b.npz
```
"""
    with replace_file(str(folder / "README.md")) as file:
        file.write(text.encode())


__all__ = ["Reproduction", "write_reproduction"]

"""Distributions, sources of inputs, batches."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.budget import LimitError
from nnef_tools.errors import FileError, UsageError
from nnef_tools.execution.executor import TensorInfo
from nnef_tools.execution.feeds.distributions import Distribution, default_distribution, parse_distribution
from nnef_tools.execution.feeds.samples import load_samples
from nnef_tools.execution.feeds.sources import FolderSource, RandomSource, StreamSource, load_inputs, run_batches
from nnef_tools.execution.feeds.tensor_files import tensor_files, write_tensors
from nnef_tools.language.tensor_file import read_tensor, write_tensor

from ..support.arrays import Array


@pytest.mark.parametrize(
    "text, expected",
    [
        ("uniform", ("uniform", {"min": 0, "max": 1})),
        ("uniform(-1, 1)", ("uniform", {"min": -1, "max": 1})),
        (" uniform( max = 2.5 ) ", ("uniform", {"min": 0, "max": 2.5})),
        ("normal(1, std=3)", ("normal", {"mean": 1, "std": 3})),
        ("bernoulli(prob=0.25)", ("bernoulli", {"prob": 0.25})),
        ("integers(0, 9)", ("integers", {"min": 0, "max": 9})),
    ],
)
def test_parse(text: str, expected: tuple[Any, ...]) -> None:
    found = parse_distribution(text)
    assert (found.name, found.parameters) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "gauss", "uniform(1, 2, 3)", "uniform(low=1)", "uniform(min=0, min=1)", "uniform(0, min=1)",
        "uniform(2, 1)",
        "normal(0, -1)", "bernoulli(2)", "integers", "integers(1)", "integers(0.5, 2)", "integers(0, 1e30)",
        "uniform('a')", "uniform(True)", "uniform(1e999)", "uniform(*[1])", "uniform(**{})",
        "uniform(__import__('os'))",
        "__import__('os').system('x')", "uniform(0,1", "1", "uniform().real", "(" * 5000,
    ],
)  # fmt: skip
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_distribution(text)


def test_lambda_is_refused_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"lambda(.|\n)*hint: write uniform"):
        parse_distribution("lambda shape: np.ones(shape)")


def test_samples() -> None:
    rng = np.random.default_rng(0)
    x = parse_distribution("uniform(2, 3)").sample(rng, (1000,), np.float32)
    assert x.dtype == np.float32 and x.min() >= 2 and x.max() <= 3 and 2.4 < x.mean() < 2.6
    x = parse_distribution("normal(5, 2)").sample(rng, (5000,), np.float64)
    assert x.mean() == pytest.approx(5, abs=0.2) and x.std() == pytest.approx(2, abs=0.2)
    x = parse_distribution("bernoulli(0.9)").sample(rng, (1000,), np.bool_)
    assert x.dtype == np.bool_ and x.mean() > 0.85
    x = parse_distribution("integers(1, 3)").sample(rng, (200,), np.int64)
    assert set(x.tolist()) == {1, 2, 3}
    assert default_distribution(np.bool_).name == "bernoulli"
    with pytest.raises(UsageError):
        default_distribution(np.str_)


def test_random_source() -> None:
    infos = [TensorInfo("x", np.float32, (2, 3)), TensorInfo("i", np.int64, (4,)), TensorInfo("b", np.bool_, ())]
    first, again = (load_inputs(infos, RandomSource(seed=3)) for _ in range(2))
    assert list(first) == ["x", "i", "b"]
    for info in infos:
        assert first[info.name].shape == info.shape and first[info.name].dtype == info.dtype
        np.testing.assert_array_equal(first[info.name], again[info.name])
    assert not np.array_equal(first["x"], load_inputs(infos, RandomSource(seed=4))["x"])
    only = RandomSource({"scalar": Distribution("uniform", {"min": 7, "max": 7})}, seed=0)
    assert np.all(load_inputs(infos, only)["x"] == 7)
    assert RandomSource(seed=0).load(infos[0], batch=5).shape == (5, 3)
    with pytest.raises(UsageError, match="no random values without the shape"):
        RandomSource().load(TensorInfo("x", np.float32, (None, 3)))


def test_folder_and_stream(tmp_path: Path) -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2], np.int32)
    write_tensor(str(tmp_path / "x.dat"), x)
    write_tensor(str(tmp_path / "y.dat"), y)
    stream = io.BytesIO()
    write_tensor(stream, x)
    write_tensor(stream, y)
    stream.seek(0)
    infos = [TensorInfo("x", np.float32, (2, 3)), TensorInfo("y", np.int64, (2,))]
    for source in (FolderSource(tmp_path), StreamSource(stream)):
        found = load_inputs(infos, source)
        np.testing.assert_array_equal(found["x"], x)
        assert found["y"].tolist() == [1, 2] and found["y"].dtype == np.int64
    folder = FolderSource(tmp_path)
    with pytest.raises(FileError, match=r"input 'z'(.|\n)*x, y"):
        folder.load(TensorInfo("z", np.float32, (1,)))
    with pytest.raises(UsageError, match=r"\[2, 3\](.|\n)*\[1, 3\]"):
        folder.load(TensorInfo("x", np.float32, (1, 3)))
    assert folder.load(TensorInfo("x", np.float32, (1, 3)), batch=2).shape == (2, 3)
    assert folder.load(TensorInfo("x", np.float32, (1, 3)), batch=0).shape == (2, 3)
    with pytest.raises(UsageError):
        folder.load(TensorInfo("x", np.float32, (1, 3)), batch=3)


class Doubler:
    """A model of batch 1 that counts its runs."""

    inputs = (TensorInfo("x", np.float32, (1, 3)),)
    runs = 0

    def reset(self) -> None:
        """There is no state."""

    def run(self, inputs: dict[str, Array], *, output_names: Any = None, observe: Any = None) -> dict[str, Any]:
        self.runs += 1
        assert inputs["x"].shape[0] == self.inputs[0].shape[0]
        return {"y": inputs["x"] * 2, "s": inputs["x"].sum()}


def test_batches() -> None:
    model, x = Doubler(), np.arange(12, dtype=np.float32).reshape(4, 3)
    with pytest.raises(UsageError, match="'s' has rank 0"):
        run_batches(model, {"x": x})
    model.runs = 0
    model.run = lambda inputs, run=model.run, **kwargs: {"y": run(inputs)["y"]}
    np.testing.assert_array_equal(run_batches(model, {"x": x})["y"], 2 * x)
    assert model.runs == 4
    model.inputs = (TensorInfo("x", np.float32, (2, 3)),)
    np.testing.assert_array_equal(run_batches(model, {"x": x})["y"], 2 * x)
    with pytest.raises(UsageError, match="cannot be divided"):
        run_batches(model, {"x": x[:3]})
    with pytest.raises(UsageError, match="rank 0"):
        run_batches(model, {"x": np.array(1.0)})


def test_seeds_and_shapes_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="the seed cannot be -1"):
        RandomSource(None, -1)
    with pytest.raises(UsageError, match=r"no array can have the shape .* of input 'x'"):
        RandomSource(None, 0).load(TensorInfo("x", np.float32, (1,) * 65))
    for shape in ((2**62, 2), (2**70,)):
        with pytest.raises(LimitError, match=r"input 'x' would have [0-9,]* items, more than the limit"):
            RandomSource(None, 0).load(TensorInfo("x", np.float32, shape))


def test_values_that_an_item_type_cannot_hold() -> None:
    generator = np.random.default_rng(0)
    for text in ("uniform(-1e300, 1e300)", "normal(1e300, 1)"):
        with pytest.raises(UsageError, match="exceed what float32 can hold"):
            parse_distribution(text).sample(generator, [8], np.float32)
        assert np.isfinite(parse_distribution(text).sample(generator, [8], np.float64)).all()


def test_files_of_tensors() -> None:
    assert tensor_files(["a/b", "a:b", "/c", "A/B", "x:0"]) == {
        "a/b": "a/b.dat",
        "a:b": "a:b.dat",
        "/c": "c.dat",
        "A/B": "A/B.dat",
        "x:0": "x:0.dat",
    }
    for one, other in (("a/b", "/a/b"), ("a//b", "a/./b"), ("x", "x/")):
        with pytest.raises(UsageError, match=f"tensors '{one}' and '{other}' would have the same file"):
            tensor_files([one, other])
    for name in ("../x", "a/../../x", "", "/", ".", "a\0b"):
        with pytest.raises(UsageError, match="cannot be the name of a file"):
            tensor_files([name])


def test_a_file_system_that_makes_no_difference_between_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"a.dat": np.zeros(2, np.float32), "A.dat": np.ones(2, np.float32)}
    monkeypatch.setattr("nnef_tools.execution.feeds.tensor_files.create_file", lambda path: create_lower(path))
    with pytest.raises(FileError, match=r"cannot write 'A.dat': another tensor has a file of that name"):
        write_tensors(tmp_path / "out", outputs)
    assert not (tmp_path / "out").exists()


def create_lower(path: Path) -> Any:
    """What such a file system makes of a new file."""
    return path.with_name(path.name.lower()).open("xb")


def test_inputs_with_one_file(tmp_path: Path) -> None:
    write_tensors(tmp_path, {"a/b.dat": np.arange(2, dtype=np.float32)})
    assert read_tensor(str(tmp_path / "a" / "b.dat"))[0].tolist() == [0, 1]
    for name in ("a/b", "/a/b"):  # an absolute name does not lead out of the folder
        assert FolderSource(tmp_path).load(TensorInfo(name, np.float32, (2,))).tolist() == [0, 1]
    with pytest.raises(UsageError, match=r"inputs 'a/b' and '/a/b' would have the same file 'a/b.dat'"):
        load_inputs([TensorInfo(name, np.float32, (2,)) for name in ("a/b", "/a/b")], FolderSource(tmp_path))


@pytest.mark.parametrize(
    "shapes, files, runs",
    [
        ([(1, 3), (2, 4)], [(1, 3), (2, 4)], [[(1, 3), (2, 4)]]),
        ([(None, 3), (None, 4)], [(7, 3), (5, 4)], [[(7, 3), (5, 4)]]),
        ([(1, 3), ()], [(1, 3), ()], [[(1, 3), ()]]),
        ([(None,)], [(5,)], [[(5,)]]),
        ([(2, 3), (2, 4)], [(4, 3), (4, 4)], [[(2, 3), (2, 4)]] * 2),
        ([(None, 3)], [(3, 3)], [[(1, 3)]] * 3),
    ],
)
def test_values_that_fit_are_one_sample_unless_they_have_a_batch(
    shapes: list[Any], files: list[Any], runs: list[Any], tmp_path: Path
) -> None:
    names = "xy"[: len(shapes)]
    for name, shape in zip(names, files, strict=True):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape, np.float32))
    infos = [TensorInfo(name, np.float32, shape) for name, shape in zip(names, shapes, strict=True)]
    assert [[x.shape for x in sample.values()] for sample in load_samples(infos, tmp_path)] == runs


def test_values_that_neither_fit_nor_can_be_divided(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.zeros((4, 3), np.float32), h=np.zeros((8, 4), np.float32))
    infos = [TensorInfo("x", np.float32, (1, 3)), TensorInfo("h", np.float32, (2, 4))]
    with pytest.raises(UsageError, match="different batch sizes"):
        list(load_samples(infos, tmp_path / "in.npz"))

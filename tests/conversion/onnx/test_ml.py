"""Operators of ai.onnx.ml, as onnxruntime computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import nnef_tools
from nnef_tools.errors import ConversionError

from ...support.arrays import Array, integers, random
from ...support.onnx_models import onnx_session

ML = "ai.onnx.ml"
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


def model(op: str, inputs: list[Array], outputs: int = 1, version: int = 3, **attributes: Any) -> onnx.ModelProto:
    names = [f"x{k}" for k in range(len(inputs))]
    results = [f"y{k}" for k in range(outputs)]
    made = helper.make_node(op, names, results, domain=ML)
    for key, value in attributes.items():
        item = numpy_helper.from_array(value, key) if isinstance(value, np.ndarray) else value
        made.attribute.append(helper.make_attribute(key, item))
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, inputs, strict=True)
    ]
    graph = helper.make_graph([made], "g", infos, [onnx.ValueInfoProto(name=name) for name in results])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(ML, version)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def check(
    folder: Path, op: str, inputs: list[Array], outputs: int = 1, *, formats: tuple[str, ...] = ("m.nnef",), **rest: Any
) -> None:
    """Compares the converted model with onnxruntime."""
    source = model(op, inputs, outputs, **rest)
    feeds = {f"x{k}": array for k, array in enumerate(inputs)}
    expected = onnx_session(source).run(None, feeds)
    onnx.save(source, folder / "source.onnx")
    for target in formats:
        nnef_tools.convert_model(folder / "source.onnx", folder / target)
        results = nnef_tools.run_model(folder / target, inputs).values()
        for result, wanted in zip(results, expected, strict=True):
            assert result.shape == wanted.shape
            np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=1e-5)


def numbers(array: Array) -> list[float]:
    return [float(item) for item in array.reshape(-1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_rows_of_numbers(dtype: Any, tmp_path: Path) -> None:
    x = integers(4, 5, dtype=dtype, low=-4, high=5)
    x[1] = 0
    scales = {"offset": numbers(random(5)), "scale": numbers(random(5, seed=1))}
    check(tmp_path, "Scaler", [x], **scales)
    for norm in ("MAX", "L1", "L2"):
        check(tmp_path, "Normalizer", [x], norm=norm)
    check(tmp_path, "ArrayFeatureExtractor", [x, np.array([[4, 0]])])
    check(tmp_path, "FeatureVectorizer", [x, x[:, :2]], inputdimensions=[5, 2])
    check(tmp_path, "LinearClassifier", [x], 2, coefficients=numbers(random(15)), intercepts=[0.1, 0.2, 0.3],
          classlabels_ints=[7, 3, 5])  # fmt: skip
    if dtype is not np.int32:
        check(tmp_path, "OneHotEncoder", [x], cats_int64s=[-1, 3, 0, 2], zeros=1)


def test_missing_and_marked_items(tmp_path: Path) -> None:
    x = random(3, 4)
    x[0, 1] = x[2, 3] = np.nan
    check(tmp_path, "Imputer", [x], imputed_value_floats=[1.0, 2.0, 3.0, 4.0], replaced_value_float=float("nan"))
    whole = integers(3, 4, dtype=np.int64, low=0, high=3)
    check(tmp_path, "Imputer", [whole], imputed_value_int64s=[9], replaced_value_int64=2)
    check(tmp_path, "Binarizer", [random(3, 4)], threshold=0.25)


def test_tables_of_numbers(tmp_path: Path) -> None:
    x = integers(4, 5, dtype=np.int64, low=-2, high=5)
    check(tmp_path, "LabelEncoder", [x], keys_int64s=[3, -1, 0], values_floats=[0.5, 1.5, -2.0], default_float=9.0)
    check(tmp_path, "LabelEncoder", [x.astype(np.float32)], keys_floats=[3.0, -1.0], values_int64s=[7, 8])
    gaps = x.astype(np.float32)
    gaps[0] = np.nan
    tensors = {"keys_tensor": np.array([1, np.nan], np.float32), "values_tensor": np.array([5, 6]),
               "default_tensor": np.array([9])}  # fmt: skip
    check(tmp_path, "LabelEncoder", [gaps], version=4, **tensors)
    strings = model("LabelEncoder", [x], keys_int64s=[1], values_strings=["a"])
    onnx.save(strings, tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match="strings"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef")


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_linear_models(kind: str, tmp_path: Path) -> None:
    x = random(4, 5)
    weights = numbers(0.01 * random(15, seed=1))
    check(tmp_path, "LinearRegressor", [x], coefficients=weights, intercepts=[0.5, 0.4, 0.3], targets=3,
          post_transform=kind)  # fmt: skip
    check(tmp_path, "LinearClassifier", [x], 2, coefficients=weights, intercepts=[0.5, 0.4, 0.3],
          classlabels_ints=[7, 3, 5], post_transform=kind)  # fmt: skip
    if kind != "PROBIT":
        check(tmp_path, "LinearClassifier", [x], 2, coefficients=numbers(random(5)), intercepts=[0.1],
              classlabels_ints=[4, 2], post_transform=kind)  # fmt: skip


@pytest.mark.parametrize("kind", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_support_vectors(kind: str, tmp_path: Path) -> None:
    kernel = {"kernel_type": kind, "kernel_params": [0.1, 0.2, 2.0], "n_supports": 6, "rho": [0.3]}
    vectors = {"support_vectors": numbers(random(30)), "coefficients": numbers(random(6, seed=1))}
    for one_class in (0, 1):
        check(tmp_path, "SVMRegressor", [random(4, 5, seed=2)], one_class=one_class, **kernel, **vectors)


MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def forest(
    seed: int, kind: str, ids: list[list[int]], modes: tuple[str, ...] = MODES, *, signed: bool = True
) -> dict[str, Any]:
    """The attributes of random trees. ids: of each tree, the targets for which its leaves have weights."""
    rng = np.random.default_rng(seed)
    nodes: list[tuple[Any, ...]] = []
    weights: list[tuple[int, int, int, float]] = []

    def grow(tree: int, depth: int) -> int:
        own = sum(node[0] == tree for node in nodes)
        place = len(nodes)
        leaf = depth == 0 or rng.random() < 0.2
        nodes.append((tree, own, 0, "LEAF", 0.0, 0, 0, 0))
        if leaf:
            drawn = rng.standard_normal(len(ids[tree]))
            values = drawn if signed else np.abs(drawn)
            weights.extend((tree, own, target, float(value)) for target, value in zip(ids[tree], values, strict=True))
            return own
        feature, mode, limit = int(rng.integers(4)), str(rng.choice(modes)), float(rng.integers(-2, 3))
        yes, no = grow(tree, depth - 1), grow(tree, depth - 1)
        nodes[place] = (tree, own, feature, mode, limit, yes, no, int(rng.integers(2)))
        return own

    for tree in range(len(ids)):
        grow(tree, 4)
    columns = list(map(list, zip(*nodes, strict=True)))
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
             "missing_value_tracks_true")  # fmt: skip
    result = {f"nodes_{name}": column for name, column in zip(names, columns, strict=True)}
    of_weights = list(map(list, zip(*weights, strict=True)))
    keys = (f"{kind}_treeids", f"{kind}_nodeids", f"{kind}_ids", f"{kind}_weights")
    return result | dict(zip(keys, of_weights, strict=True))


def samples(dtype: Any = np.float32) -> Array:
    """Rows with items on the thresholds, beside them, and missing."""
    x = integers(12, 4, dtype=dtype, low=-3, high=4, seed=3)
    if np.dtype(dtype).kind == "f":
        x[::3] += 0.5
        x[1, 2] = x[5, 0] = x[7] = np.nan
    return x


@pytest.mark.parametrize("function", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_tree_regressors(function: str, tmp_path: Path) -> None:
    for modes in (MODES, ("BRANCH_LEQ",)):
        trees = forest(len(modes), "target", [[0, 1, 2]] * 5, modes)
        check(tmp_path, "TreeEnsembleRegressor", [samples()], n_targets=3, aggregate_function=function,
              base_values=[0.5, -1.0, 0.0], **trees)  # fmt: skip
    alone = forest(9, "target", [[0]])
    check(tmp_path, "TreeEnsembleRegressor", [samples()], n_targets=1, aggregate_function=function, **alone)


def test_trees_in_double_precision_and_other_formats(tmp_path: Path) -> None:
    trees = forest(4, "target", [[0, 1]] * 3)
    trees["nodes_values_as_tensor"] = np.array(trees.pop("nodes_values"))
    trees["target_weights_as_tensor"] = np.array(trees.pop("target_weights"))
    check(tmp_path, "TreeEnsembleRegressor", [samples(np.float64)], n_targets=2, **trees)
    few = forest(5, "target", [[0]] * 3, ("BRANCH_LEQ",))
    x = np.nan_to_num(samples())
    check(tmp_path, "TreeEnsembleRegressor", [x], n_targets=1, formats=("m.pb", "m.tflite"), **few)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_tree_classifiers(kind: str, tmp_path: Path) -> None:
    for dtype, ids in ((np.float32, [[0, 1, 2]] * 4), (np.int64, [[0], [1], [2], [0]])):
        trees = forest(6, "class", ids)
        check(tmp_path, "TreeEnsembleClassifier", [samples(dtype)], 2, classlabels_int64s=[5, 2, 9],
              post_transform=kind, **trees)  # fmt: skip
    two = forest(7, "class", [[0, 1]] * 4, signed=False)
    check(tmp_path, "TreeEnsembleClassifier", [samples()], 2, classlabels_int64s=[0, 1], post_transform=kind, **two)
    for lone, signed in ((0, True), (0, False), (1, True), (1, False)):
        if kind != "PROBIT":
            trees = forest(8, "class", [[lone]] * 4, signed=signed)
            check(tmp_path, "TreeEnsembleClassifier", [samples()], 2, classlabels_int64s=[5, 2],
                  post_transform=kind, **trees)  # fmt: skip


def test_tree_ensembles_of_version_5(tmp_path: Path) -> None:
    nodes = {"tree_roots": [0, 2], "nodes_featureids": [0, 1, 3], "nodes_modes": np.array([0, 4, 5], np.uint8),
             "nodes_splits": np.array([0.5, 1.0, -1.0], np.float32), "nodes_truenodeids": [1, 0, 2],
             "nodes_trueleafs": [0, 1, 1], "nodes_falsenodeids": [3, 1, 2], "nodes_falseleafs": [1, 1, 1],
             "nodes_missing_value_tracks_true": [1, 0, 1]}  # fmt: skip
    leaves = {"leaf_targetids": [0, 1, 0, 1], "leaf_weights": np.array([0.5, -1.5, 2.5, 4.0], np.float32)}
    check(tmp_path, "TreeEnsemble", [samples()], version=5, n_targets=2, **nodes, **leaves)


def test_labels_that_are_strings(tmp_path: Path) -> None:
    """They are refused; the scores alone can be had."""
    x = random(4, 5)
    source = model("LinearClassifier", [x], 2, coefficients=numbers(random(15)), intercepts=[0.1, 0.2, 0.3],
                   classlabels_strings=["a", "b", "c"])  # fmt: skip
    onnx.save(source, tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match=r"strings.*output_names|string.*--output-names"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef")
    nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", output_names=["y1"])
    (result,) = nnef_tools.run_model(tmp_path / "m.nnef", [x]).values()
    np.testing.assert_allclose(result, onnx_session(source).run(["y1"], {"x0": x})[0], rtol=1e-5)


def test_maps_of_scores_are_tensors(tmp_path: Path) -> None:
    x = random(4, 2)
    onnx.save(model("ZipMap", [x], classlabels_int64s=[3, 8]), tmp_path / "m.onnx")
    report = nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef")
    assert any("its columns are 3, 8" in warning for warning in report.warnings)


@pytest.mark.parametrize("targets", [0, -1, 1 << 31])
def test_numbers_of_targets_that_files_invent(targets: int, tmp_path: Path) -> None:
    nodes = {"nodes_treeids": [0] * 3, "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0] * 3,
             "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [0.5, 0.0, 0.0],
             "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0]}  # fmt: skip
    leaves = {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [1.0, 2.0]}
    source = model("TreeEnsembleRegressor", [samples()], n_targets=targets, **nodes, **leaves)
    onnx.save(source, tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match=r"target is named|its table of weights"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef")


def test_trees_that_lead_in_a_circle(tmp_path: Path) -> None:
    nodes = {"tree_roots": [0], "nodes_featureids": [0], "nodes_modes": np.array([0], np.uint8),
             "nodes_splits": np.array([0.5], np.float32), "nodes_truenodeids": [0], "nodes_trueleafs": [0],
             "nodes_falsenodeids": [0], "nodes_falseleafs": [1]}  # fmt: skip
    leaves = {"leaf_targetids": [0], "leaf_weights": np.array([0.5], np.float32)}
    onnx.save(model("TreeEnsemble", [samples()], version=5, **nodes, **leaves), tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match="circle"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef")

"""Ensembles of decision trees: all trees go down one level at a time, by gathers from tables of their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ..common import reshape, shape
from .ml import two_scores
from .ml_scores import ML, labels, rows, transformed

Array = np.ndarray[Any, Any]

DEEPEST = 64
"""The deepest trees that are converted: each level is about nine operations."""

LEAF = "LEAF"
_TESTS = {"BRANCH_LEQ": "le", "BRANCH_LT": "lt", "BRANCH_GTE": "ge", "BRANCH_GT": "gt", "BRANCH_EQ": "eq",
          "BRANCH_NEQ": "ne"}  # fmt: skip
_MODES_5 = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
"""The numbers of the tests in TreeEnsemble; 6 is BRANCH_MEMBER."""


class Trees(NamedTuple):
    """The nodes of all trees as tables. Leaves lead to themselves.

    roots: [trees]. tests: names of operations, of those that are used. test: number of it, of each node. yes, no: nodes
    that follow. missing: 1 where NaN passes the test. weights: [nodes, targets], of leaves. scored: which of them are
    given.
    """

    roots: Array
    tests: list[str]
    test: Array
    feature: Array
    threshold: Array
    yes: Array
    no: Array
    missing: Array
    weights: Array
    scored: Array

    @property
    def depth(self) -> int:
        """The number of tests on the longest way to a leaf. Unsupported if some way leads in a circle."""
        level, reached = self.roots, 0
        while True:
            inner = level[self.yes[level] != level]
            if not inner.size:
                return reached
            reached += 1
            if reached > DEEPEST:
                raise Unsupported(f"a tree is deeper than {DEEPEST} levels, or its nodes lead in a circle")
            level = np.unique(np.concatenate([self.yes[inner], self.no[inner]]))

    @property
    def always_scored(self) -> Array:
        """Does every row get a weight for a target, since all leaves of some tree have one? [targets]"""
        owner = np.zeros(len(self.yes), np.int64)
        owner[self.roots] = np.arange(len(self.roots))
        level = self.roots
        for _ in range(self.depth):
            inner = level[self.yes[level] != level]
            owner[self.yes[inner]] = owner[self.no[inner]] = owner[inner]
            level = np.unique(np.concatenate([self.yes[inner], self.no[inner]]))
        complete = np.ones((len(self.roots), self.scored.shape[1]), np.bool_)
        leaves = np.flatnonzero(self.yes == np.arange(len(self.yes)))
        np.logical_and.at(complete, owner[leaves], self.scored[leaves])
        return np.asarray(complete.any(axis=0))


def reached_weights(b: Builder, x: Tensor, trees: Trees) -> Tensor:
    """The weights of the leaves that the rows of x reach, [rows, trees, targets]."""
    count, features = shape(x)
    ask_constant(count * len(trees.roots), "its table of the trees' roots")
    wrong = trees.feature[(trees.feature < 0) | (trees.feature >= features)]
    if wrong.size:
        raise Unsupported(f"a node tests feature {wrong[0]} of {features}")
    tables = _Tables(b, trees)
    node = b.constant(np.broadcast_to(trees.roots, (count, len(trees.roots))).copy())
    for _ in range(trees.depth):
        value = b.gather_elements(x, tables.entry("feature", node), axis=1)
        passed = tables.passed(node, value)
        node = b.select(passed, tables.entry("yes", node), tables.entry("no", node))
    return tables.entry("weights", node)


class _Tables:
    """The tables of trees as constants, each made when it is first needed."""

    def __init__(self, b: Builder, trees: Trees) -> None:
        self._b = b
        self._trees = trees
        self._constants: dict[str, Tensor] = {}

    def entry(self, name: str, node: Tensor) -> Tensor:
        """The entries of nodes in a table; a constant if it has one number only."""
        table = getattr(self._trees, name)
        if table.ndim == 1 and (table == table[0]).all():
            return self._b.constant(np.full(shape(node), table[0]))
        if name not in self._constants:
            self._constants[name] = self._b.constant(table)
        result: Tensor = self._b.gather(self._constants[name], node, axis=0)
        return result

    def passed(self, node: Tensor, value: Tensor) -> Tensor:
        """Do the values pass the tests of the nodes?"""
        b, threshold = self._b, self.entry("threshold", node)
        results = [b.single(name, value, threshold) for name in self._trees.tests]
        passed = results[0]
        for k in range(1, len(results)):
            passed = b.select(b.eq(self.entry("test", node), b.constant(k, np.int64)), results[k], passed)
        if self._trees.missing.any():
            marked = b.gt(self.entry("missing", node), 0.5)
            passed = b.or_(passed, b.and_(b.ne(value, value), marked))
        return passed


def aggregated(b: Builder, weights: Tensor, trees: Trees, function: str) -> Tensor:
    """The sum, average, minimum or maximum of the weights over trees, [rows, targets]. Unsupported."""
    rows_, count, targets = shape(weights)
    if function in ("SUM", "AVERAGE"):
        total = b.sum_reduce(weights, axes=[1])
        total = b.div(total, float(count)) if function == "AVERAGE" else total
    elif function in ("MIN", "MAX"):
        if targets > 1 and not trees.scored[trees.yes == np.arange(len(trees.yes))].all():
            raise Unsupported(f"aggregate function {function} of leaves that do not have weights for all targets")
        total = b.min_reduce(weights, axes=[1]) if function == "MIN" else b.max_reduce(weights, axes=[1])
    else:
        raise Unsupported(f"aggregate function '{function}' is not known")
    return reshape(b, total, [rows_, targets])


def based(b: Builder, scores: Tensor, values: Array) -> Tensor:
    """The scores plus base values, of which there may be none. Unsupported."""
    if not values.size:
        return scores
    if values.size != shape(scores)[1]:
        raise Unsupported(f"{values.size} base values for {shape(scores)[1]} targets")
    if not values.any():
        return scores
    result: Tensor = b.add(scores, b.constant(values.astype(scores.dtype).reshape(1, -1)))
    return result


class Attributes(NamedTuple):
    """The attributes of the older operators that describe nodes, and those of the weights."""

    treeids: Sequence[int]
    nodeids: Sequence[int]
    featureids: Sequence[int]
    modes: Sequence[Any]
    values: Array
    trueids: Sequence[int]
    falseids: Sequence[int]
    missing: Sequence[int]
    weight_treeids: Sequence[int]
    weight_nodeids: Sequence[int]
    weight_ids: Sequence[int]
    weights: Array


def trees_of(given: Attributes, targets: int, dtype: Any) -> Trees:
    """The tables of TreeEnsembleRegressor and TreeEnsembleClassifier. Unsupported for what does not fit together."""
    count = len(given.nodeids)
    named = (given.treeids, given.featureids, given.modes, given.values, given.trueids, given.falseids)
    if not count or any(len(item) != count for item in named) or len(given.missing) not in (0, count):
        raise Unsupported("the lists of nodes differ in length, or are empty")
    ask_constant(count * targets, "its table of weights", given=2 * len(given.weights))
    index = {key: k for k, key in enumerate(zip(given.treeids, given.nodeids, strict=True))}
    if len(index) != count:
        raise Unsupported("a tree has two nodes of one number")
    modes = [item.decode() if isinstance(item, bytes) else str(item) for item in given.modes]
    own = np.arange(count, dtype=np.int64)
    is_leaf = np.array([mode == LEAF for mode in modes])
    try:
        following = [
            np.array([k if is_leaf[k] else index[given.treeids[k], ids[k]] for k in range(count)], np.int64)
            for ids in (given.trueids, given.falseids)
        ]
        weights, scored = np.zeros((count, targets), dtype), np.zeros((count, targets), np.bool_)
        keys = zip(given.weight_treeids, given.weight_nodeids, given.weight_ids, given.weights, strict=True)
        for tree, node, target, weight in keys:
            weights[index[tree, node], target] += weight
            scored[index[tree, node], target] = True
    except (KeyError, IndexError, ValueError) as error:
        raise Unsupported("a node or target is named that there is not, or lists differ in length") from error
    _refuse_circles(following[0][~is_leaf], following[1][~is_leaf], own[~is_leaf])
    named_tests, test = _tests([LEAF if leaf else mode for mode, leaf in zip(modes, is_leaf, strict=True)])
    first = {tree: k for k, tree in reversed(list(enumerate(given.treeids)))}
    reached = {*following[0][~is_leaf].tolist(), *following[1][~is_leaf].tolist()}
    roots = [k for k in own.tolist() if k not in reached]
    if len(roots) != len(first):
        raise Unsupported("a tree has no root, or several")
    return Trees(
        np.array(roots, np.int64),
        named_tests,
        test,
        np.where(is_leaf, 0, np.array(given.featureids, np.int64)),
        np.where(is_leaf, 0, given.values).astype(dtype),
        following[0],
        following[1],
        np.where(is_leaf, 0, np.array(given.missing or [0] * count) != 0).astype(np.float32),
        weights,
        scored,
    )


def _refuse_circles(yes: Array, no: Array, own: Array) -> None:
    """Raises Unsupported for a node that leads to itself, as only leaves do in the tables."""
    if (yes == own).any() or (no == own).any():
        raise Unsupported("a node of a tree leads to itself, in a circle")


def _tests(modes: Sequence[str]) -> tuple[list[str], Array]:
    """The operations that test, and the number of it for each node. Unsupported for unknown modes."""
    used = sorted({mode for mode in modes if mode != LEAF})
    unknown = [mode for mode in used if mode not in _TESTS]
    if unknown:
        raise Unsupported(f"nodes of mode {', '.join(unknown)}")
    number = {mode: k for k, mode in enumerate(used)}
    return [_TESTS[mode] for mode in used] or ["le"], np.array([number.get(mode, 0) for mode in modes], np.int64)


def _matrix(b: Builder, x: Tensor) -> Tensor:
    """The input as rows, in double precision if it has that."""
    return rows(b, x, np.float64 if x.dtype is np.float64 else np.float32)


def _array(values: Sequence[float], tensor: Any) -> Array:
    return np.array(values, np.float32) if tensor is None else np.asarray(tensor).reshape(-1)


@to_nnef("onnx", "TreeEnsembleRegressor", domain=ML)
def tree_ensemble_regressor(
    b: Builder,
    x: Tensor,
    *,
    nodes_treeids: Sequence[int],
    nodes_nodeids: Sequence[int],
    nodes_featureids: Sequence[int],
    nodes_modes: Sequence[Any],
    nodes_truenodeids: Sequence[int],
    nodes_falsenodeids: Sequence[int],
    target_treeids: Sequence[int],
    target_nodeids: Sequence[int],
    target_ids: Sequence[int],
    target_weights: Sequence[float] = (),
    target_weights_as_tensor: Any = None,
    nodes_values: Sequence[float] = (),
    nodes_values_as_tensor: Any = None,
    nodes_hitrates: Sequence[float] = (),
    nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Sequence[int] = (),
    base_values: Sequence[float] = (),
    base_values_as_tensor: Any = None,
    n_targets: int = 1,
    aggregate_function: str = "SUM",
    post_transform: str = "NONE",
) -> Tensor:
    """TreeEnsembleRegressor: the weights of the leaves of all trees, aggregated."""
    x = _matrix(b, x)
    given = Attributes(
        nodes_treeids, nodes_nodeids, nodes_featureids, nodes_modes, _array(nodes_values, nodes_values_as_tensor),
        nodes_truenodeids, nodes_falsenodeids, nodes_missing_value_tracks_true, target_treeids, target_nodeids,
        target_ids, _array(target_weights, target_weights_as_tensor),
    )  # fmt: skip
    trees = trees_of(given, n_targets, x.dtype)
    weights = reached_weights(b, x, trees)
    scores = aggregated(b, weights, trees, aggregate_function)
    scores = based(b, scores, _array(base_values, base_values_as_tensor))
    return transformed(b, _single(b, scores), _post(post_transform, trees))


def _single(b: Builder, scores: Tensor) -> Tensor:
    return scores if scores.dtype is np.float32 else b.cast(scores, np.float32)


def _post(kind: str, trees: Trees) -> str:
    """The transform of a regressor's results: of a single target onnxruntime applies only PROBIT. Unsupported."""
    targets = trees.weights.shape[1]
    if targets == 1 and kind != "PROBIT":
        return "NONE"
    complete = trees.scored[trees.yes == np.arange(len(trees.yes))].all()
    if kind != "NONE" and targets > 1 and (targets == 2 or not complete):
        raise Unsupported(f"post_transform '{kind}' of two targets, or of leaves that do not have weights for all")
    return kind


@to_nnef("onnx", "TreeEnsembleClassifier", domain=ML)
def tree_ensemble_classifier(
    b: Builder,
    x: Tensor,
    *,
    nodes_treeids: Sequence[int],
    nodes_nodeids: Sequence[int],
    nodes_featureids: Sequence[int],
    nodes_modes: Sequence[Any],
    nodes_truenodeids: Sequence[int],
    nodes_falsenodeids: Sequence[int],
    class_treeids: Sequence[int],
    class_nodeids: Sequence[int],
    class_ids: Sequence[int],
    class_weights: Sequence[float] = (),
    class_weights_as_tensor: Any = None,
    classlabels_int64s: Sequence[int] = (),
    classlabels_strings: Sequence[Any] = (),
    nodes_values: Sequence[float] = (),
    nodes_values_as_tensor: Any = None,
    nodes_hitrates: Sequence[float] = (),
    nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Sequence[int] = (),
    base_values: Sequence[float] = (),
    base_values_as_tensor: Any = None,
    post_transform: str = "NONE",
) -> tuple[Tensor | None, Tensor]:
    """TreeEnsembleClassifier: the sums of the weights for each class, and the label of the largest."""
    x = _matrix(b, x)
    given = Attributes(
        nodes_treeids, nodes_nodeids, nodes_featureids, nodes_modes, _array(nodes_values, nodes_values_as_tensor),
        nodes_truenodeids, nodes_falsenodeids, nodes_missing_value_tracks_true, class_treeids, class_nodeids,
        class_ids, _array(class_weights, class_weights_as_tensor),
    )  # fmt: skip
    numbers = list(classlabels_int64s) or list(range(len(classlabels_strings)))
    trees = trees_of(given, len(numbers), x.dtype)
    weights = reached_weights(b, x, trees)
    scores = aggregated(b, weights, trees, "SUM")
    base = _array(base_values, base_values_as_tensor)
    if len(numbers) != 2:
        label = _winner(b, scores, trees, base, numbers, classlabels_strings)
        return label, transformed(b, _single(b, based(b, scores, base)), post_transform)
    if len(set(class_ids)) == 1:
        positive = not (given.weights < 0).any()
        return _binary(b, scores, class_ids[0], base, positive, numbers, classlabels_strings, post_transform)
    if base.size:
        raise Unsupported("base values of two classes that both have weights")
    return _pair(b, scores, numbers, classlabels_strings), transformed(b, _single(b, scores), post_transform)


def _winner(
    b: Builder, scores: Tensor, trees: Trees, base: Array, numbers: Sequence[int], texts: Sequence[Any]
) -> Tensor | None:
    """The label of the largest score, of classes that have weights or base values. Unsupported."""
    if not b.wanted[0]:
        return None
    scored: Array = np.asarray(trees.scored.any(axis=0))
    if not base.size and (scored != trees.always_scored).any():
        raise Unsupported("labels of trees whose leaves have weights for different classes")
    sums = based(b, scores, base)
    if not base.size and not scored.all():
        sums = b.select(b.constant(scored.reshape(1, -1)), sums, b.constant(np.finfo(sums.dtype).min, sums.dtype))
    winner = reshape(b, b.argmax_reduce(sums, axes=[1]), [shape(scores)[0]])
    return labels(b, winner, numbers, texts)


def _pair(b: Builder, scores: Tensor, numbers: Sequence[int], texts: Sequence[Any]) -> Tensor | None:
    """The label of two classes that both have weights: onnxruntime gives 1 for a positive score of the second."""
    if not b.wanted[0]:
        return None
    if not texts and list(numbers) != [0, 1]:
        raise Unsupported("labels of two classes that both have weights; for onnxruntime they are 0 and 1")
    second = b.cast(b.gt(_column(b, scores, 1), 0.0), np.int64)
    return labels(b, reshape(b, second, [shape(scores)[0]]), numbers, texts)


def _column(b: Builder, scores: Tensor, index: int) -> Tensor:
    result: Tensor = b.slice(scores, axes=[1], begin=[index], end=[index + 1])
    return result


def _binary(
    b: Builder,
    scores: Tensor,
    column: int,
    base: Array,
    positive: bool,
    numbers: Sequence[int],
    texts: Sequence[Any],
    post_transform: str,
) -> tuple[Tensor | None, Tensor]:
    """Label and scores of two classes of which one has weights, [samples, 2]: what onnxruntime makes of them.

    positive: are no weights negative? A base value counts for the first class only, the second has a score of its own.
    """
    if base.size > 1 or post_transform == "PROBIT":
        what = "PROBIT" if post_transform == "PROBIT" else "two base values"
        raise Unsupported(f"{what} for two classes of which one has weights")
    score = _column(b, scores, column)
    if base.any() and column == 0:
        score = b.add(score, b.constant(base.astype(scores.dtype).reshape(1, 1)))
    label = None
    if b.wanted[0]:
        winner = b.cast(b.gt(score, 0.5 if positive else 0.0), np.int64)
        label = labels(b, reshape(b, winner, [shape(score)[0]]), numbers, texts)
    score = _single(b, score)
    if column == 1:
        none = b.constant(np.zeros((shape(score)[0], 1), np.float32))
        return label, transformed(b, b.concat([none, score], axis=1), post_transform)
    return label, two_scores(b, score, post_transform, positive=positive)


@to_nnef("onnx", "TreeEnsemble", domain=ML, since=5)
def tree_ensemble(
    b: Builder,
    x: Tensor,
    *,
    tree_roots: Sequence[int],
    nodes_featureids: Sequence[int],
    nodes_splits: Any,
    nodes_modes: Any,
    nodes_truenodeids: Sequence[int],
    nodes_trueleafs: Sequence[int],
    nodes_falsenodeids: Sequence[int],
    nodes_falseleafs: Sequence[int],
    leaf_targetids: Sequence[int],
    leaf_weights: Any,
    membership_values: Any = None,
    nodes_missing_value_tracks_true: Sequence[int] = (),
    nodes_hitrates: Any = None,
    n_targets: int = 1,
    aggregate_function: int = 1,
    post_transform: int = 0,
) -> Tensor:
    """TreeEnsemble: TreeEnsembleRegressor with leaves in a list of their own, each with a weight for one target."""
    if not (0 <= aggregate_function < 4 and 0 <= post_transform < 5):
        raise Unsupported(f"aggregate function {aggregate_function} and post_transform {post_transform}")
    x = rows(b, x, x.dtype)
    ways = (nodes_truenodeids, nodes_trueleafs), (nodes_falsenodeids, nodes_falseleafs)
    nodes = (nodes_featureids, np.asarray(nodes_splits).reshape(-1), np.asarray(nodes_modes).reshape(-1).tolist())
    leaves = np.array(leaf_targetids, np.int64), np.asarray(leaf_weights).reshape(-1)
    trees = _with_leaves(tree_roots, nodes, ways, leaves, nodes_missing_value_tracks_true, n_targets, x.dtype)
    function = ("AVERAGE", "SUM", "MIN", "MAX")[aggregate_function]
    scores = aggregated(b, reached_weights(b, x, trees), trees, function)
    kind = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")[post_transform]
    return transformed(b, scores, _post(kind, trees))


def _with_leaves(
    tree_roots: Sequence[int],
    nodes: tuple[Sequence[int], Array, Sequence[int]],
    ways: Sequence[tuple[Sequence[int], Sequence[int]]],
    leaves: tuple[Array, Array],
    missing: Sequence[int],
    n_targets: int,
    dtype: Any,
) -> Trees:
    """The tables of nodes with the leaves behind them. Unsupported for what does not fit together.

    nodes: features, thresholds and numbers of modes. ways: numbers and whether they are those of leaves, for passed
    tests and for others. leaves: targets and weights.
    """
    features, splits, modes = nodes
    targets, weights = leaves
    count, ends = len(features), len(targets)
    if any(mode >= len(_MODES_5) for mode in modes):
        raise Unsupported("nodes that test for members of a set (BRANCH_MEMBER)")
    named = (splits, modes, *ways[0], *ways[1], missing or features)
    if any(len(item) != count for item in named) or len(weights) != ends:
        raise Unsupported("the lists of nodes or leaves differ in length")
    ask_constant((count + ends) * n_targets, "its table of weights", given=2 * ends)
    own = np.arange(count, count + ends)
    yes, no = (
        np.concatenate([np.array(ids, np.int64) + count * (np.array(marks, np.int64) != 0), own]) for ids, marks in ways
    )
    _refuse_circles(yes[:count], no[:count], np.arange(count))
    roots = np.array(tree_roots, np.int64)
    for ids, end in ((yes, count + ends), (no, count + ends), (roots, count), (targets, n_targets)):
        if not ids.size or ids.min() < 0 or ids.max() >= end:
            raise Unsupported("a node, leaf or target is named that there is not")
    tests, test = _tests([_MODES_5[mode] for mode in modes] + [LEAF] * ends)
    zeros = np.zeros(ends, np.int64)
    table, scored = np.zeros((count + ends, n_targets), dtype), np.zeros((count + ends, n_targets), np.bool_)
    table[own, targets], scored[own, targets] = weights, True
    return Trees(
        roots,
        tests,
        test,
        np.concatenate([np.array(features, np.int64), zeros]),
        np.concatenate([splits, zeros]).astype(dtype),
        yes,
        no,
        np.concatenate([np.array(missing or [0] * count) != 0, zeros]).astype(np.float32),
        table,
        scored,
    )

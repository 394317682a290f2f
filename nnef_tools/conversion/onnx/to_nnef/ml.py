"""Operators of ai.onnx.ml except trees, which converters of scikit-learn models write. Types are onnxruntime's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_integer
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ..common import reshape, shape, unsqueeze
from .ml_scores import ML, labels, rows, transformed

Array = np.ndarray[Any, Any]

LARGEST_TABLE = 4096
"""The most keys of a LabelEncoder that are compared with every item."""


@to_nnef("onnx", "ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """ArrayFeatureExtractor: gather of the last axis; a vector counts as one row."""
    extents = shape(x)
    if not extents:
        raise Unsupported("the input has rank 0")
    index = reshape(b, y, [int(np.prod(shape(y), dtype=np.int64))])
    taken = b.gather(x, index, axis=len(extents) - 1)
    return reshape(b, taken, [1, *shape(taken)]) if len(extents) == 1 else taken


@to_nnef("onnx", "Scaler", domain=ML)
def scaler(b: Builder, x: Tensor, *, offset: Sequence[float], scale: Sequence[float]) -> Tensor:
    """Scaler: (x - offset) * scale, along the last axis."""
    features = shape(x)[-1] if shape(x) else 1
    if len(offset) != len(scale) or len(scale) not in (1, features):
        raise Unsupported(f"{len(offset)} offsets and {len(scale)} scales for {features} features")
    dtype = np.float64 if x.dtype is np.float64 else np.float32
    lead = [1] * max(len(shape(x)) - 1, 0)
    moved, factors = (b.constant(np.array(v, dtype).reshape([*lead, len(v)])) for v in (offset, scale))
    x = x if x.dtype is dtype else b.cast(x, dtype)
    result: Tensor = b.mul(b.sub(x, moved), factors)
    return result if dtype is np.float32 else b.cast(result, np.float32)


@to_nnef("onnx", "Normalizer", domain=ML)
def normalizer(b: Builder, x: Tensor, *, norm: str = "MAX") -> Tensor:
    """Normalizer: each row divided by its largest item, its sum of absolute values or its length, unless that is 0."""
    if not shape(x):
        raise Unsupported("the input has rank 0")
    axes = [len(shape(x)) - 1]
    x = x if x.dtype is np.float32 else b.cast(x, np.float32)
    if norm == "MAX":
        size = b.max_reduce(x, axes=axes)
    elif norm == "L1":
        size = b.sum_reduce(b.abs(x), axes=axes)
    elif norm == "L2":
        size = b.sqrt(b.sum_reduce(b.sqr(x), axes=axes))
    else:
        raise Unsupported(f"norm '{norm}' is not known")
    result: Tensor = b.div(x, b.select(b.eq(size, 0.0), 1.0, size))
    return result


@to_nnef("onnx", "Binarizer", domain=ML)
def binarizer(b: Builder, x: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Binarizer: 1 for items above the threshold, else 0."""
    return b.cast(b.gt(x, b.constant(threshold, x.dtype)), x.dtype)


@to_nnef("onnx", "Imputer", domain=ML)
def imputer(
    b: Builder,
    x: Tensor,
    *,
    imputed_value_floats: Sequence[float] = (),
    imputed_value_int64s: Sequence[int] = (),
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Tensor:
    """Imputer: other values in place of one that marks what is missing, which may be NaN."""
    integral = is_integer(x.dtype)
    values = imputed_value_int64s if integral else imputed_value_floats
    features = shape(x)[-1] if shape(x) else 1
    if len(values) not in (1, features) or len(shape(x)) > 2:
        raise Unsupported(f"{len(values)} values for an input of shape {shape(x)}")
    filled = np.array(values, x.dtype).reshape([*[1] * max(len(shape(x)) - 1, 0), len(values)])
    marked = replaced_value_int64 if integral else replaced_value_float
    missing = b.ne(x, x) if np.isnan(marked) else b.eq(x, b.constant(marked, x.dtype))
    result: Tensor = b.select(missing, b.constant(filled), x)
    return result


@to_nnef("onnx", "FeatureVectorizer", domain=ML)
def feature_vectorizer(b: Builder, *xs: Tensor, inputdimensions: Sequence[int]) -> Tensor:
    """FeatureVectorizer: the features of all inputs side by side."""
    if len(xs) != len(inputdimensions):
        raise Unsupported(f"{len(xs)} inputs and {len(inputdimensions)} numbers of features")
    parts = []
    for x, wanted in zip(xs, inputdimensions, strict=True):
        part = x if x.dtype is np.float32 else b.cast(x, np.float32)
        part = reshape(b, part, [shape(x)[0], int(np.prod(shape(x)[1:], dtype=np.int64))])
        if shape(part)[1] != wanted:
            raise Unsupported(f"an input has {shape(part)[1]} features where {wanted} are announced")
        parts.append(part)
    result: Tensor = b.concat(parts, axis=1)
    return result


@to_nnef("onnx", "LinearRegressor", domain=ML)
def linear_regressor(
    b: Builder,
    x: Tensor,
    *,
    coefficients: Sequence[float],
    intercepts: Sequence[float] = (),
    targets: int = 1,
    post_transform: str = "NONE",
) -> Tensor:
    """LinearRegressor: a product with the coefficients and the intercepts."""
    if post_transform != "NONE" and targets == 1:
        raise Unsupported(f"post_transform '{post_transform}' of a single target")
    return transformed(b, _linear(b, rows(b, x), coefficients, intercepts, targets), post_transform)


def _linear(b: Builder, x: Tensor, coefficients: Sequence[float], intercepts: Sequence[float], count: int) -> Tensor:
    """x [samples, features] times the coefficients, [count, features], plus the intercepts."""
    features = shape(x)[1]
    if len(coefficients) != count * features:
        raise Unsupported(f"{len(coefficients)} coefficients for {count} times {features} features")
    if intercepts and len(intercepts) != count:
        raise Unsupported(f"{len(intercepts)} intercepts for {count} results")
    weights = b.constant(np.array(coefficients, np.float32).reshape(count, features))
    bias = b.constant(np.array(intercepts or [0.0] * count, np.float32).reshape(1, count))
    result: Tensor = b.linear(x, weights, bias)
    return result


@to_nnef("onnx", "LinearClassifier", domain=ML)
def linear_classifier(
    b: Builder,
    x: Tensor,
    *,
    coefficients: Sequence[float],
    intercepts: Sequence[float] = (),
    classlabels_ints: Sequence[int] = (),
    classlabels_strings: Sequence[Any] = (),
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[Tensor | None, Tensor]:
    """LinearClassifier: labels and scores; multi_class makes no difference, as in onnxruntime."""
    x = rows(b, x)
    numbers = classlabels_ints or range(len(classlabels_strings))
    count = len(intercepts) or len(coefficients) // shape(x)[1]
    scores = _linear(b, x, coefficients, intercepts, count)
    samples = shape(x)[0]
    if count > 1:
        if len(numbers) != count:
            raise Unsupported(f"{len(numbers)} labels for {count} classes")
        winner = reshape(b, b.argmax_reduce(scores, axes=[1]), [samples]) if b.wanted[0] else scores
        return labels(b, winner, numbers, classlabels_strings), transformed(b, scores, post_transform)
    pair = numbers if len(numbers) == 2 else (0, 1)
    positive = reshape(b, b.cast(b.gt(scores, 0.0), np.int64), [samples]) if b.wanted[0] else scores
    label = labels(b, positive, pair, classlabels_strings)
    if len(numbers) != 2:
        return label, transformed(b, scores, post_transform)
    if post_transform == "PROBIT":
        raise Unsupported("post_transform 'PROBIT' of one score for two classes")
    return label, two_scores(b, scores, post_transform, positive=True)


def two_scores(b: Builder, score: Tensor, post_transform: str, *, positive: bool) -> Tensor:
    """The scores of both classes, [samples, 2], for the score of the second one. positive: is it a probability?"""
    if post_transform == "LOGISTIC":
        return b.concat([b.sigmoid(b.neg(score)), b.sigmoid(score)], axis=1)
    result: Tensor = b.concat([b.sub(1.0, score) if positive else b.neg(score), score], axis=1)
    return result


@to_nnef("onnx", "ZipMap", domain=ML)
def zip_map(
    b: Builder,
    x: Tensor,
    *,
    classlabels_int64s: Sequence[int] = (),
    classlabels_strings: Sequence[Any] = (),
) -> Tensor:
    """ZipMap: the scores themselves, with a warning: NNEF has no maps."""
    texts = [item.decode() if isinstance(item, bytes) else str(item) for item in classlabels_strings]
    names = texts or [str(label) for label in classlabels_int64s]
    shown = ", ".join(names if len(names) <= 10 else [*names[:10], ".."])
    b.warnings[f"the result of ZipMap is a tensor of scores, not a map for each sample; its columns are {shown}"] = None
    return x


@to_nnef("onnx", "LabelEncoder", domain=ML)
def label_encoder_of_strings(
    b: Builder,
    x: Tensor,
    *,
    classes_strings: Sequence[Any] = (),
    default_int64: int = -1,
    default_string: Any = "_Unused",
) -> Tensor:
    """LabelEncoder of version 1 is refused: it is a table of strings."""
    raise Unsupported("it is a table of strings, and NNEF has no tensors of strings")


@to_nnef("onnx", "LabelEncoder", domain=ML, since=2)
def label_encoder(
    b: Builder,
    x: Tensor,
    *,
    keys_floats: Sequence[float] = (),
    keys_int64s: Sequence[int] = (),
    keys_strings: Sequence[Any] = (),
    keys_tensor: Any = None,
    values_floats: Sequence[float] = (),
    values_int64s: Sequence[int] = (),
    values_strings: Sequence[Any] = (),
    values_tensor: Any = None,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: Any = "_Unused",
    default_tensor: Any = None,
) -> Tensor:
    """LabelEncoder of numbers: the value of the key that equals an item, else the default."""
    if len(keys_strings) or len(values_strings):
        raise Unsupported("its keys or values are strings, and NNEF has no tensors of strings")
    keys = np.asarray(keys_tensor) if keys_tensor is not None else np.array([*keys_floats, *keys_int64s])
    if values_tensor is not None:
        values = np.asarray(values_tensor)
    else:
        values = np.array(values_floats, np.float32) if values_floats else np.array(values_int64s, np.int64)
    if keys.dtype.kind in "OSU" or values.dtype.kind in "OSU":
        raise Unsupported("its keys or values are strings, and NNEF has no tensors of strings")
    if keys.size != values.size:
        raise Unsupported(f"{keys.size} keys and {values.size} values")
    own = default_float if values.dtype.kind == "f" else default_int64
    rest = np.asarray(own if default_tensor is None else default_tensor).reshape(-1)[:1].astype(values.dtype)
    return _looked_up(b, x, keys.reshape(-1).astype(x.dtype), values.reshape(-1), rest)


def _looked_up(b: Builder, x: Tensor, keys: Array, values: Array, rest: Array) -> Tensor:
    """The value of the first key that equals an item of x, else `rest`, an array of one item."""
    if keys.size > LARGEST_TABLE:
        raise Unsupported(f"a table of {keys.size} keys; up to {LARGEST_TABLE} are compared")
    extents = shape(x)
    size = int(np.prod(extents, dtype=np.int64))
    ask_constant(size, "its column of defaults")
    flat = reshape(b, x, [size, 1])
    hits = b.eq(flat, b.constant(keys.reshape(1, -1)))
    if b.version >= 4 and keys.dtype.kind == "f" and np.isnan(keys).any():  # before, NaN has no key in onnxruntime
        hits = b.or_(hits, b.and_(b.ne(flat, flat), b.constant(np.isnan(keys).reshape(1, -1))))
    hits = b.concat([b.cast(hits, np.float32), b.constant(np.full((size, 1), 0.5, np.float32))], axis=1)
    found = b.argmax_reduce(hits, axes=[1])
    table = b.constant(np.concatenate([values, rest]))
    return reshape(b, b.gather(table, reshape(b, found, [size]), axis=0), extents)


@to_nnef("onnx", "OneHotEncoder", domain=ML)
def one_hot_encoder(
    b: Builder,
    x: Tensor,
    *,
    cats_int64s: Sequence[int] = (),
    cats_strings: Sequence[Any] = (),
    zeros: int = 1,
) -> Tensor:
    """OneHotEncoder of numbers: 1 in the place of the category; real numbers lose their fraction before.

    zeros: are other numbers allowed? Without it they have no result.
    """
    refuse_categories(cats_strings)
    ask_constant(len(cats_int64s), "its table of categories")
    whole = b.cast(x, np.int64) if not is_integer(x.dtype) else x
    categories = np.array(cats_int64s, np.int64).astype(whole.dtype).reshape([*[1] * len(shape(x)), -1])
    return b.cast(b.eq(unsqueeze(b, whole, [len(shape(x))]), b.constant(categories)), np.float32)


def refuse_categories(texts: Sequence[Any]) -> None:
    """Raises Unsupported for categories that are strings."""
    if texts:
        raise Unsupported("its categories are strings, and NNEF has no tensors of strings")


@to_nnef("onnx", "SVMRegressor", domain=ML)
def svm_regressor(
    b: Builder,
    x: Tensor,
    *,
    coefficients: Sequence[float],
    rho: Sequence[float],
    support_vectors: Sequence[float] = (),
    n_supports: int = 0,
    kernel_type: str = "LINEAR",
    kernel_params: Sequence[float] = (),
    one_class: int = 0,
    post_transform: str = "NONE",
) -> Tensor:
    """SVMRegressor: the kernel of each sample with the support vectors, times the coefficients, plus rho."""
    if post_transform != "NONE":
        raise Unsupported(f"post_transform '{post_transform}'")
    if len(rho) != 1:
        raise Unsupported(f"{len(rho)} values of rho")
    x = rows(b, x)
    features = shape(x)[1]
    if n_supports:
        vectors = np.array(support_vectors, np.float32)
        if vectors.size != n_supports * features:
            raise Unsupported(f"{vectors.size} numbers for {n_supports} vectors of {features} features")
        x = kernel(b, x, vectors.reshape(n_supports, features), kernel_type, kernel_params)
    score = _linear(b, x, coefficients, list(rho), 1)
    return b.select(b.gt(score, 0.0), 1.0, -1.0) if one_class else score


def kernel(b: Builder, x: Tensor, vectors: Array, kind: str, params: Sequence[float]) -> Tensor:
    """The kernel of samples with vectors, [samples, vectors]. params: gamma, coef0 and degree. Unsupported."""
    if len(params) not in (0, 3):
        raise Unsupported(f"{len(params)} kernel_params")
    gamma, offset, degree = params or (0.0, 0.0, 3.0)
    if kind == "RBF":
        pairs = b.sub(unsqueeze(b, x, [1]), b.constant(vectors[np.newaxis]))
        distances = reshape(b, b.sum_reduce(b.sqr(pairs), axes=[2]), [shape(x)[0], len(vectors)])
        result: Tensor = b.exp(b.mul(distances, -float(gamma)))
        return result
    products: Tensor = b.matmul(x, b.constant(vectors), transposeB=True)
    if kind == "LINEAR":
        return products
    scaled: Tensor = b.add(b.mul(products, float(gamma)), float(offset))
    if kind == "POLY":
        return b.pow(scaled, float(degree))
    if kind == "SIGMOID":
        return b.tanh(scaled)
    raise Unsupported(f"kernel_type '{kind}' is not known")

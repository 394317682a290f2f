"""Operators that NNEF cannot express, with the reason. What has a rule or a function body is not listed."""

from __future__ import annotations

SEQUENCE = "NNEF has no sequences: every value is a tensor whose shape is known"
STRING = "NNEF has no tensors of strings"
RANDOM = "the result is random; NNEF operations depend on their inputs only"
TRAINING = "an operator for training; NNEF describes inference"
BLOCKED = (
    "onnxruntime saved the model in the blocked layout of a processor; save it at the extended level instead "
    "(graph_optimization_level = ORT_ENABLE_EXTENDED)"
)
BLOCKED_DOMAIN = "com.microsoft.nchwc"

DYNAMIC = ("NonZero", "Unique", "Compress", "NonMaxSuppression")
"""Operators without rule, or with one for constants only, the shape of whose results depends on the data."""

_GROUPS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", SEQUENCE): (
        "ConcatFromSequence",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SplitToSequence",
    ),
    ("ai.onnx.ml", "votes of pairs of classes, and Platt scaling, are not converted"): ("SVMClassifier",),
    ("ai.onnx.ml", "NNEF has no maps"): ("CastMap", "DictVectorizer"),
    ("ai.onnx.ml", STRING): ("CategoryMapper",),
    ("", STRING): ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"),
    ("", RANDOM): ("Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    ("", "it looks up word sequences in a dictionary, which no NNEF operation does"): ("TfIdfVectorizer",),
    ("ai.onnx.preview.training", TRAINING): ("Adagrad", "Adam", "Gradient", "Momentum"),
}

REASONS: dict[tuple[str, str], str] = {
    (domain, type): reason for (domain, reason), types in _GROUPS.items() for type in types
}
"""(domain, operator) -> why there is no rule for it."""

"""Operators that NNEF cannot express, with the reason. What has a rule or a function body is not listed."""

from __future__ import annotations

STRING = "NNEF has no tensors of strings"
RANDOM = "the result is random; NNEF operations depend on their inputs only"
TRAINING = "an operator for training; NNEF describes inference"
BLOCKED = (
    "onnxruntime saved the model in the blocked layout of a processor; save it at the extended level instead "
    "(graph_optimization_level = ORT_ENABLE_EXTENDED)"
)
BLOCKED_DOMAIN = "com.microsoft.nchwc"

SEARCH = "it runs graphs of the model until the tokens that they choose say stop; convert the graphs by themselves"
PACKED = "sequences without their padding have extents that the data decide"
KERNEL = "the numbers are in the order that the kernels of a device want"

DYNAMIC = ("NonZero", "Unique", "Compress", "NonMaxSuppression")
"""Operators without rule, or with one for constants only, the shape of whose results depends on the data."""

_GROUPS: dict[tuple[str, str], tuple[str, ...]] = {
    ("ai.onnx.ml", "votes of pairs of classes, and Platt scaling, are not converted"): ("SVMClassifier",),
    ("ai.onnx.ml", "NNEF has no maps"): ("CastMap", "DictVectorizer"),
    ("ai.onnx.ml", STRING): ("CategoryMapper",),
    ("", STRING): ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"),
    ("", RANDOM): ("Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    ("", "it looks up word sequences in a dictionary, which no NNEF operation does"): ("TfIdfVectorizer",),
    ("com.microsoft", STRING): ("Tokenizer",),
    ("com.microsoft", SEARCH): ("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"),
    ("com.microsoft", PACKED): (
        "PackedAttention",
        "PackedMultiHeadAttention",
        "PagedAttention",
        "RemovePadding",
        "RestorePadding",
        "Unique",
    ),
    ("com.microsoft", KERNEL): (
        "DequantizeWithOrder",
        "MatMulFpQ4",
        "QOrderedAttention",
        "QOrderedGelu",
        "QOrderedLayerNormalization",
        "QOrderedLongformerAttention",
        "QOrderedMatMul",
        "QuantizeWithOrder",
    ),
    ("com.microsoft", "it is a random choice in training; NNEF describes inference"): (
        "BitmaskBiasDropout",
        "BitmaskDropout",
    ),
    ("com.microsoft", "its documentation and its kernels disagree about the extent of the result"): ("Irfft",),
    ("com.microsoft", "a program for another runtime"): ("EPContext", "Snpe"),
    ("ai.onnx.preview.training", TRAINING): ("Adagrad", "Adam", "Gradient", "Momentum"),
}

REASONS: dict[tuple[str, str], str] = {
    (domain, type): reason for (domain, reason), types in _GROUPS.items() for type in types
}
"""(domain, operator) -> why there is no rule for it."""

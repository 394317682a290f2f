"""Operators that NNEF cannot express, with the reason. What has a rule is not listed."""

from __future__ import annotations

from ...tf.to_nnef.refused import FOREIGN, RANDOM, STRING

TABLE = "NNEF has no hash tables; look the values up before the model"
SPARSE = "NNEF has no sparse tensors"
BODY = "NNEF has no operation that calls another graph for each item"
HASHES = "it computes hashes, for which NNEF has no operation"
INTERNAL = "it stands for what a runtime has put into the model; convert the model that it was made of"
LOOKUP = "LiteRT has no kernel that would say what it computes"

_GROUPS: dict[str, tuple[str, ...]] = {
    RANDOM: ("RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR"),
    TABLE: ("HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_LOOKUP", "HASHTABLE_SIZE"),
    STRING: ("SKIP_GRAM",),
    HASHES: ("LSH_PROJECTION",),
    SPARSE: ("EMBEDDING_LOOKUP_SPARSE", "DENSIFY"),
    LOOKUP: ("CONCAT_EMBEDDINGS",),
    INTERNAL: ("DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"),
    BODY: ("STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT"),
    FOREIGN: ("STABLEHLO_CUSTOM_CALL",),
}

REASONS: dict[str, str] = {type: reason for reason, types in _GROUPS.items() for type in types}
"""Operator -> why there is no rule for it."""

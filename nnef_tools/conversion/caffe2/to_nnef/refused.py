"""Operators that NNEF cannot express, with the reason. What has a rule is not listed."""

from __future__ import annotations

RANDOM = "the value is random: these weights are not trained; export the net with the values of its weights"
STRING = "NNEF has no tensors of strings"
DYNAMIC = "the shape of the result depends on the data"
TRAINING = "an operator for training; NNEF describes inference"
NET = "it runs a net of its own, which is not converted"
SPARSE = "its inputs are sparse or have lengths, and NNEF has no such tensors"
STATE = "it reads or changes what is outside of the net"

_GROUPS: dict[str, tuple[str, ...]] = {
    RANDOM: ("XavierFill", "MSRAFill", "UniformFill", "GaussianFill", "UniformIntFill", "UniqueUniformFill",
             "Float16UniformFill"),
    STRING: ("StringJoin", "StringPrefix", "StringSuffix", "StringEquals", "StringStartsWith", "StringEndsWith"),
    DYNAMIC: ("BoxWithNMSLimit", "GenerateProposals", "GenerateProposalsCPP", "CollectAndDistributeFpnRpnProposals",
              "CollectRpnProposals", "DistributeFpnProposals", "BooleanMask", "Unique", "NonZero"),
    TRAINING: ("Accuracy", "MultiClassAccuracy", "AveragedLoss", "LabelCrossEntropy", "SoftmaxWithLoss",
               "SigmoidCrossEntropyWithLogits", "CrossEntropy", "MomentumSGD", "MomentumSGDUpdate", "Adam", "Adagrad",
               "LearningRate", "Iter"),
    NET: ("RecurrentNetwork", "If", "While", "Do", "ONNXWhile", "AsyncIf"),
    SPARSE: ("SparseLengthsSum", "SparseLengthsMean", "SparseLengthsWeightedSum", "LengthsSum", "LengthsMean",
             "LengthsMax", "SparseToDense", "SparseToDenseMask", "SegmentIdsToLengths"),
    STATE: ("ImageInput", "VideoInput", "Load", "Save", "TensorProtosDBInput", "DequeueBlobs", "Print", "Python"),
}  # fmt: skip

REASONS: dict[str, str] = {type: reason for reason, types in _GROUPS.items() for type in types}
"""Operator -> why there is no rule for it."""


def reason_against(type: str) -> str | None:
    """Why there cannot be a rule for an operator; None if there could be."""
    return TRAINING if type.endswith("Gradient") else REASONS.get(type)

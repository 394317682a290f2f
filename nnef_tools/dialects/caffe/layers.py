"""The types of layers: which parameters they have, what their blobs are, and which ones feed or judge a net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Blob(NamedTuple):
    """A weight of a layer. name: the end of its tensor's name. rank: the least one that it can have, if known."""

    name: str
    rank: int | None = None


class LayerType(NamedTuple):
    """parameter: the field of LayerParameter with what is particular to the type; None if there is none."""

    parameter: str | None = None
    blobs: tuple[Blob, ...] = ()


_FILTER = (Blob("weight"), Blob("bias", 1))
_MATRIX = (Blob("weight", 2), Blob("bias", 1))
_RECURRENT = (Blob("weight_x", 2), Blob("bias", 1))

BVLC: Mapping[str, LayerType] = {
    **dict.fromkeys(
        ("AbsVal", "BatchReindex", "BNLL", "Filter", "Silence", "Split"),
        LayerType(),
    ),
    "ArgMax": LayerType("argmax_param"),
    "BatchNorm": LayerType("batch_norm_param", (Blob("mean", 1), Blob("variance", 1), Blob("factor", 1))),
    "Bias": LayerType("bias_param", (Blob("bias", 1),)),
    "Concat": LayerType("concat_param"),
    "Convolution": LayerType("convolution_param", _FILTER),
    "Crop": LayerType("crop_param"),
    "Deconvolution": LayerType("convolution_param", _FILTER),
    "Dropout": LayerType("dropout_param"),
    "DummyData": LayerType("dummy_data_param"),
    "Eltwise": LayerType("eltwise_param"),
    "ELU": LayerType("elu_param"),
    "Embed": LayerType("embed_param", _MATRIX),
    "Exp": LayerType("exp_param"),
    "Flatten": LayerType("flatten_param"),
    "Im2col": LayerType("convolution_param"),
    "InnerProduct": LayerType("inner_product_param", _MATRIX),
    "Input": LayerType("input_param"),
    "Log": LayerType("log_param"),
    "LRN": LayerType("lrn_param"),
    "LSTM": LayerType("recurrent_param", _RECURRENT),
    "LSTMUnit": LayerType(),
    "MVN": LayerType("mvn_param"),
    "Parameter": LayerType("parameter_param", (Blob("value"),)),
    "Pooling": LayerType("pooling_param"),
    "Power": LayerType("power_param"),
    "PReLU": LayerType("prelu_param", (Blob("slope", 1),)),
    "Python": LayerType("python_param"),
    "Reduction": LayerType("reduction_param"),
    "ReLU": LayerType("relu_param"),
    "Reshape": LayerType("reshape_param"),
    "RNN": LayerType("recurrent_param", _RECURRENT),
    "Scale": LayerType("scale_param", (Blob("scale", 1), Blob("bias", 1))),
    "Sigmoid": LayerType("sigmoid_param"),
    "Slice": LayerType("slice_param"),
    "Softmax": LayerType("softmax_param"),
    "SPP": LayerType("spp_param"),
    "Swish": LayerType("swish_param"),
    "TanH": LayerType("tanh_param"),
    "Threshold": LayerType("threshold_param"),
    "Tile": LayerType("tile_param"),
}
"""The types that compute something when a net is deployed, of BVLC."""

FORKS: Mapping[str, LayerType] = {
    "Axpy": LayerType(),
    "BN": LayerType("bn_param", (Blob("slope"), Blob("bias"), Blob("mean"), Blob("variance"))),
    "ContinuationIndicator": LayerType("continuation_indicator_param"),
    "ConvolutionDepthwise": LayerType("convolution_param", _FILTER),
    "DepthwiseConvolution": LayerType("convolution_param", _FILTER),
    "DetectionOutput": LayerType("detection_output_param"),
    "HardSwish": LayerType(),
    "Interp": LayerType("interp_param"),
    "Normalize": LayerType("norm_param", (Blob("scale", 1),)),
    "Permute": LayerType("permute_param"),
    "PriorBox": LayerType("prior_box_param"),
    "Proposal": LayerType("proposal_param"),
    "PSROIPooling": LayerType("psroi_pooling_param"),
    "ReLU6": LayerType("relu_param"),
    "Reverse": LayerType("reverse_param"),
    "ROIPooling": LayerType("roi_pooling_param"),
    "ShuffleChannel": LayerType("shuffle_channel_param"),
    "Upsample": LayerType("upsample_param"),
}
"""Those of forks, whose parameters have different numbers in different forks."""

LAYERS: Mapping[str, LayerType] = {**BVLC, **FORKS}

FEEDING: Mapping[str, str] = {
    "Data": "data_param",
    "HDF5Data": "hdf5_data_param",
    "ImageData": "image_data_param",
    "MemoryData": "memory_data_param",
    "WindowData": "window_data_param",
    "AnnotatedData": "data_param",
    "VideoData": "data_param",
}
"""Types of layers that read data, whose results are inputs of a graph, and their parameters."""

REPLACED: Mapping[str, str] = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
"""Losses -> what computes the probabilities that they judge."""

JUDGING = frozenset(
    (
        *("Accuracy", "ContrastiveLoss", "CtcLoss", "DetectionEvaluate", "EuclideanLoss", "HDF5Output", "HingeLoss"),
        *("InfogainLoss", "LabelsequenceAccuracy", "MultiBoxLoss", "MultinomialLogisticLoss", "SmoothL1Loss"),
    )
)
"""Types of layers that compare results with labels, or write them."""

V1_TYPES: Mapping[str, str] = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "REVERSE": "Reverse",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
"""Types of layers in files of 2013 and 2014 -> their present names."""

V0_TYPES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss",
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}
"""The same for files of 2013, the first ones."""

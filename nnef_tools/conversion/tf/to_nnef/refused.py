"""Operators that NNEF cannot express, with the reason. What has a rule is not listed."""

from __future__ import annotations

RANDOM = "the result is random; NNEF operations depend on their inputs only"
STRING = "NNEF has no tensors of strings"
DYNAMIC = "the shape of the result depends on the data"
STATE = "it changes a variable or a resource; freeze the model first (convert_variables_to_constants)"
TRAINING = "an operator for training; NNEF describes inference"
TABLE = "it is part of a lookup table, which NNEF lacks; look up before the model, which --input-names cuts behind it"
FILES = "it reads or decodes files; do that before the model, which --input-names cuts behind it"
QUEUE = "it takes data from a queue or a data set; --input-names makes inputs of its results"
SPECIAL = "no NNEF operation computes this function"
SPARSE = "NNEF has no sparse tensors"
PYTHON = "it calls a Python function (tf.numpy_function, ..), which is not in the model; a plugin can convert it"
FOREIGN = "it runs code that is not in the model; a plugin can convert it"
QUANTIZED = "it computes with quantized types of TensorFlow; convert the TFLite form of the model"

_GROUPS: dict[str, tuple[str, ...]] = {
    RANDOM: ("Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomGammaGrad", "RandomPoisson",
             "RandomPoissonV2", "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RandomUniformInt",
             "StatelessMultinomial", "StatelessRandomNormal", "StatelessRandomNormalV2", "StatelessRandomUniform",
             "StatelessRandomUniformInt", "StatelessRandomUniformIntV2", "StatelessRandomUniformV2",
             "StatelessTruncatedNormal", "StatelessTruncatedNormalV2", "TruncatedNormal",
             "StatelessRandomGetKeyCounter", "StatelessRandomGetAlg", "FractionalAvgPool", "FractionalMaxPool"),
    STRING: ("AsString", "DecodeBase64", "EncodeBase64", "ReduceJoin", "RegexFullMatch", "RegexReplace",
             "StaticRegexFullMatch", "StaticRegexReplace", "StringFormat", "StringJoin", "StringLength", "StringLower",
             "StringSplit", "StringSplitV2", "StringStrip", "StringToHashBucket", "StringToHashBucketFast",
             "StringToHashBucketStrong", "StringToNumber", "StringUpper", "Substr", "UnicodeDecode",
             "UnicodeDecodeWithOffsets", "UnicodeEncode", "UnicodeScript", "UnicodeTranscode"),
    DYNAMIC: ("BooleanMask", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2"),
    "the overlaps are given and not computed from boxes": ("NonMaxSuppressionWithOverlaps",),
    STATE: ("Assign", "AssignAdd", "AssignAddVariableOp", "AssignSub", "AssignSubVariableOp", "AssignVariableOp",
            "ResourceScatterAdd", "ResourceScatterNdUpdate", "ResourceScatterUpdate",
            "RestoreV2", "SaveV2", "ScatterAdd", "ScatterUpdate", "VarHandleOp", "VarIsInitializedOp", "Variable",
            "VariableV2", "Stack", "StackV2", "StackPushV2", "StackPopV2"),
    TRAINING: ("ApplyAdam", "ApplyGradientDescent", "ApplyMomentum", "AvgPool3DGrad", "AvgPoolGrad", "BiasAddGrad",
               "Conv2DBackpropFilter", "Conv3DBackpropFilter", "Conv3DBackpropFilterV2", "CTCLoss", "CTCLossV2",
               "DepthwiseConv2dNativeBackpropFilter", "EluGrad", "FakeQuantWithMinMaxArgsGradient",
               "FakeQuantWithMinMaxVarsGradient", "FusedBatchNormGrad", "FusedBatchNormGradV2",
               "FusedBatchNormGradV3", "LRNGrad", "LeakyReluGrad", "MaxPoolGrad", "MaxPoolGradGrad", "Relu6Grad",
               "ReluGrad", "ResizeBicubicGrad", "ResizeBilinearGrad", "ResizeNearestNeighborGrad",
               "ResourceApplyAdam", "ResourceApplyGradientDescent", "RsqrtGrad", "SeluGrad", "SigmoidGrad",
               "SoftplusGrad", "SoftsignGrad", "SqrtGrad", "TanhGrad"),
    FILES: ("DecodeBmp", "DecodeGif", "DecodeImage", "DecodeJpeg", "DecodePng", "DecodeRaw", "DecodeWav",
            "EncodeJpeg", "EncodePng", "MatchingFiles", "ParseExample", "ParseExampleV2", "ParseSingleExample",
            "ReadFile", "ReaderReadV2", "ReaderReadUpToV2", "TFRecordReaderV2", "TextLineReaderV2", "WholeFileReaderV2",
            "WriteFile"),
    QUEUE: ("FIFOQueueV2", "Iterator", "IteratorFromStringHandle", "IteratorGetNext", "IteratorV2", "OneShotIterator",
            "PaddingFIFOQueueV2", "QueueDequeueManyV2", "QueueDequeueUpToV2", "QueueDequeueV2", "QueueEnqueueManyV2",
            "QueueEnqueueV2", "RandomShuffleQueueV2"),
    TABLE: ("AnonymousHashTable", "AnonymousMutableHashTable", "HashTable", "HashTableV2", "InitializeTable",
            "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "InitializeTableV2", "LookupTableExportV2",
            "LookupTableFind", "LookupTableFindV2", "LookupTableImportV2", "LookupTableSize", "LookupTableSizeV2",
            "MutableDenseHashTableV2", "MutableHashTable", "MutableHashTableOfTensorsV2", "MutableHashTableV2"),
    SPECIAL: ("BesselI1", "BesselI1e", "Betainc", "Digamma", "Igamma", "Igammac", "MatrixExponential", "Polygamma",
              "Qr", "SelfAdjointEigV2", "Svd", "Zeta"),
    SPARSE: ("DeserializeSparse", "SparseConcat", "SparseFillEmptyRows", "SparseReshape", "SparseSlice",
             "SparseTensorDenseMatMul", "SparseToDense"),
    PYTHON: ("EagerPyFunc", "PyFunc", "PyFuncStateless"),
    FOREIGN: ("XlaCallModule", "RemoteCall", "SymbolicGradient"),
    QUANTIZED: ("QuantizeV2", "QuantizedAdd", "QuantizedBiasAdd", "QuantizedConv2D", "QuantizedMatMul",
                "QuantizedMaxPool", "QuantizedRelu", "Requantize", "RequantizationRange"),
}  # fmt: skip

NO_VALUE = (RANDOM, STATE, FILES, QUEUE, TABLE, PYTHON, FOREIGN)
"""The reasons against operators that give no constant of constants."""

REASONS: dict[str, str] = {type: reason for reason, types in _GROUPS.items() for type in types}
"""Operator -> why there is no rule for it."""

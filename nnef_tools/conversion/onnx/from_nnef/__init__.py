"""Rules that make ONNX operators of NNEF operations, by family."""

FAMILIES = (
    "activation",
    "conv",
    "elementwise",
    "index",
    "linear",
    "move",
    "norm",
    "pool",
    "recurrent",
    "reduce",
    "resize",
    "variable",
)

"""Rules that convert NNEF operations to ONNX operators, by family."""

FAMILIES = (
    "activation",
    "conv",
    "detection",
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

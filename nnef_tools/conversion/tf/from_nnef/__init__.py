"""Rules that convert NNEF operations to TensorFlow operators, by family."""

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
    "quant",
    "reduce",
    "resize",
    "variable",
)

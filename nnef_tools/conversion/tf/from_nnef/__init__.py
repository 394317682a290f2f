"""Rules that make TensorFlow operators of NNEF operations, by family."""

FAMILIES = (
    "activation",
    "conv",
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

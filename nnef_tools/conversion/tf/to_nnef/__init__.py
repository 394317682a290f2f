"""Rules that make NNEF operations of TensorFlow operators, by family."""

FAMILIES = (
    "activation",
    "batches",
    "control",
    "conv",
    "crops",
    "diagonals",
    "elementwise",
    "generate",
    "index",
    "linear",
    "lists",
    "move",
    "norm",
    "pool",
    "quant",
    "recurrent",
    "reduce",
    "resize",
    "scatter",
    "slices",
)

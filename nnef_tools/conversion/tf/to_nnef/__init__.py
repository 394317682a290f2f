"""Rules that make NNEF operations of TensorFlow operators, by family."""

FAMILIES = (
    "activation",
    "batches",
    "control",
    "conv",
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
    "roi",
    "slices",
)

"""Rules that make NNEF operations of TensorFlow operators, by family."""

FAMILIES = (
    "activation",
    "batches",
    "control",
    "conv",
    "detection",
    "diagonals",
    "elementwise",
    "generate",
    "index",
    "linear",
    "lists",
    "masks",
    "move",
    "norm",
    "pool",
    "quant",
    "recurrent",
    "reduce",
    "resize",
    "roi",
)

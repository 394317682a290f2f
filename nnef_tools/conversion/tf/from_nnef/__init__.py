"""Rules that make TensorFlow operators of NNEF operations, by family."""

FAMILIES = (
    "conv",
    "elementwise",
    "move",
    "norm",
    "pool",
    "reduce",
    "resize",
    "roi",
)

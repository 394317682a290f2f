"""Rules that make NNEF operations of Caffe2's operators, by family."""

FAMILIES = (
    "activation",
    "conv",
    "elementwise",
    "generate",
    "index",
    "linear",
    "move",
    "norm",
    "pool",
    "quant",
    "reduce",
    "resize",
    "roi",
)

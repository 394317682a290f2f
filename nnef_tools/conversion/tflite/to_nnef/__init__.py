"""Rules that make NNEF operations of TensorFlow Lite's operators, by family, as far as TensorFlow's do not."""

FAMILIES = (
    "conv",
    "linear",
    "pool",
    "quant",
)

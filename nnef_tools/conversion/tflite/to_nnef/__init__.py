"""Rules that make NNEF operations of TensorFlow Lite's operators, by family, as far as TensorFlow's do not."""

FAMILIES = (
    "activation",
    "control",
    "conv",
    "detection",
    "elementwise",
    "index",
    "linear",
    "move",
    "norm",
    "pool",
    "quant",
    "recurrent",
    "resize",
    "state",
    "stablehlo",
)

"""Rules that make ONNX operators of NNEF operations, by family."""

FAMILIES = (
    "conv",
    "elementwise",
    "linear",
    "move",
    "pool",
    "recurrent",
    "reduce",
    "resize",
)

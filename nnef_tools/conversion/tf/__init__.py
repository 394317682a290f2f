"""Rules between TensorFlow and NNEF, by operator family; both directions of an operator stand side by side."""

FAMILIES = ("activation", "batches", "control", "conv", "crops", "diagonals", "elementwise", "generate", "index",
            "lists", "matrix", "move", "norm", "pool", "quant", "recurrent", "reduce", "resize", "scatter",
            "slices")  # fmt: skip

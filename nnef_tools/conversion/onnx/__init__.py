"""Rules between ONNX and NNEF, by operator family; both directions of an operator stand side by side."""

FAMILIES = ("activation", "attention", "bits", "control", "conv", "elementwise", "generate", "index",
            "linear", "microsoft", "move", "norm", "optional", "pool", "quant", "quant_contrib", "reduce", "regions",
            "resize", "rnn", "signal", "spatial")  # fmt: skip

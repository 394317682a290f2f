"""Rules between ONNX and NNEF, by operator family; both directions of an operator stand side by side."""

FAMILIES = ("activation", "bits", "control", "conv", "elementwise", "generate", "index", "linear", "move", "norm", "pool",
            "quant", "reduce", "resize", "rnn")  # fmt: skip

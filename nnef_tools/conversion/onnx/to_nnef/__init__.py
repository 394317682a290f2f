"""Rules that make NNEF operations of ONNX operators, by family."""

FAMILIES = (
    "activation",
    "attention",
    "control",
    "conv",
    "elementwise",
    "generate",
    "index",
    "linear",
    "microsoft",
    "move",
    "norm",
    "optional",
    "pool",
    "quant",
    "quant_contrib",
    "recurrent",
    "reduce",
    "resize",
    "roi",
    "signal",
)

"""Rules that make NNEF operations of Caffe's layers, by family. Weights follow the bottoms among the inputs."""

FAMILIES = (
    "activation",
    "conv",
    "detection",
    "elementwise",
    "index",
    "linear",
    "move",
    "norm",
    "pool",
    "recurrent",
    "reduce",
    "resize",
    "roi",
)

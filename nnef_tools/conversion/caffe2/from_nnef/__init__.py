"""Rules that make Caffe2 operators of NNEF operations, by family, as far as those of all targets do not."""

FAMILIES = ("activation", "conv", "elementwise", "linear", "move", "norm", "pool", "reduce", "resize")

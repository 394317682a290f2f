"""Rules that make TensorFlow Lite's operators of NNEF operations, by family, as far as those for TensorFlow do not."""

FAMILIES = ("activation", "detection", "elementwise", "index", "linear", "norm", "recurrent", "reduce", "variable")

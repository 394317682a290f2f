"""Rules between ONNX and NNEF, by operator family; both directions of an operator stand side by side."""

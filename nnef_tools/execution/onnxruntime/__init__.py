"""Execution by onnxruntime: ONNX models, and NNEF models compiled to ONNX."""

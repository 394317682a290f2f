"""The dialect of ONNX graphs."""

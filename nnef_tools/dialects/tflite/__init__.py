"""The dialect of TensorFlow Lite graphs."""

"""The dialect of TensorFlow graphs."""

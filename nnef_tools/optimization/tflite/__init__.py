"""Rewrites of TensorFlow Lite graphs."""

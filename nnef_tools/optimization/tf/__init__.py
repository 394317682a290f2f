"""Rewrites of TensorFlow graphs."""

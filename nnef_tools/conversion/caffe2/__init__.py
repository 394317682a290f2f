"""Conversion between Caffe2 and NNEF."""

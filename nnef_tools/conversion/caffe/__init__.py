"""Rules for Caffe's layers."""

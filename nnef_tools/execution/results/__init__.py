"""Evaluation of the results of runs: statistics, and comparison of tensors."""

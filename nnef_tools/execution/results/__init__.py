"""What comes out of runs: statistics, comparison of tensors."""

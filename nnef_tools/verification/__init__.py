"""Verification of conversions: the source and the result run on the same inputs, and each output is judged."""

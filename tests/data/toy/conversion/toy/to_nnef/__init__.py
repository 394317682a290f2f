"""Rules that make NNEF operations of toy operators, by family."""

FAMILIES = ("elementwise",)

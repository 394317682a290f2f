"""Rules that make toy operators of NNEF operations, by family."""

FAMILIES = ("elementwise",)

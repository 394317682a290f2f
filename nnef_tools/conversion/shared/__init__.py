"""Rules from NNEF with the same body for every target; a dialect uses them where it has no rules of its own."""

FAMILIES = (
    "activation",
    "elementwise",
    "index",
    "move",
    "pool",
    "reduce",
    "resize",
    "roi",
)

"""Rules from NNEF whose body is the same for every target: a dialect has them for what it has no rules of its own."""

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

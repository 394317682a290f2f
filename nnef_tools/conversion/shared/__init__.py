"""Rules from NNEF whose body is the same for every target: a dialect has them for what it has no rules of its own."""

FAMILIES = ("elementwise", "move", "pool", "reduce", "roi")

"""Source text of plugin modules whose tables have entries of wrong kinds. The entries do nothing but be wrong."""

from __future__ import annotations

import numpy as np

TABLES = {
    "custom_converters": "CUSTOM_TRANSFORMS",
    "custom_shapes": "CUSTOM_SHAPES",
    "custom_fragments": "CUSTOM_FRAGMENTS",
    "custom_optimizers": "CUSTOM_OPTIMIZERS",
}
HEAD = "import math\nimport numpy as np\nfrom nnef_tools import Transform\n"
ODD = (
    *(
        "None",
        "0",
        "-1",
        "math.nan",
        "''",
        "'x'",
        "b'x'",
        "()",
        "[]",
        "{}",
        "object()",
        "object",
        "'\\ud800'",
        "10**400",
    ),
    *("math.sin", "lambda: 0", "lambda *a: a", "lambda *a, **k: None", "lambda *a, **k: 1 / 0", "lambda *a, **k: [-1]"),
    *("lambda *a, **k: [[1]]", "lambda *a, **k: 'x'", "np.zeros(3)", "np.float32", "type('T', (), {})", "frozenset()"),
    *("Transform()", "Transform(type='relu')", "Transform(type=3)", "Transform(type='relu', inputs=3)"),
    *("Transform(type='relu', inputs=('!I[0]',))", "Transform(type='relu', inputs='!I[9]', outputs='!O[0]')"),
    *("Transform(type='conv', attribs={'x': '!1/0'})", "Transform(type='copy', inputs=('!I[0]',), outputs=('!O[0]',))"),
    *("Transform(cond={'!False': 'no'})", "Transform(type='!(')", "Transform(using={'a': '!a'})"),
    *("'fragment block(x: tensor<scalar>) -> (y: tensor<scalar>);'", "'fragment relu('", "'graph g(x) -> (y) {}'"),
)
KEYS = ("'conv'", "'relu'", "'block'", "'split'", "('conv', 'relu')", "(('conv', 'pad'), 'relu')", "('reshape',)", *ODD)


def damaged_module(rng: np.random.Generator) -> str:
    """A module with one to four tables, each of some entries, or of another kind."""
    lines = [HEAD]
    for table in rng.choice(list(TABLES.values()), rng.integers(1, 5), replace=False):
        if rng.integers(6) == 0:
            lines.append(f"{table} = {ODD[rng.integers(len(ODD))]}")
            continue
        entries = [
            f"{KEYS[rng.integers(7 if rng.integers(2) else len(KEYS))]}: {ODD[rng.integers(len(ODD))]}"
            for _ in range(rng.integers(0, 3))
        ]
        lines.append(f"{table} = {{{', '.join(entries)}}}")
    return "\n".join(lines) + "\n"

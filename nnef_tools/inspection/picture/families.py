"""Families of operators, in all dialects by the words in their names, and the colors of these.

The colors are tints that differ in lightness, so that they can be told apart in print without color, and in hue by
people who see few (after the palette of Okabe and Ito). Black text is readable on each.
"""

from __future__ import annotations

import re
from functools import cache

COLORS = {
    "convolution": "#8fb8de",
    "linear": "#b3aedb",
    "recurrent": "#c9b2d6",
    "pooling": "#93cdbb",
    "normalization": "#cfe3a8",
    "activation": "#f7c58b",
    "arithmetic": "#f6e6a3",
    "shape": "#dedfe2",
    "quantization": "#efb8c0",
    "control": "#d3c4b0",
    "other": "#f4f4f2",
}
"""Family -> color, `#rrggbb`."""

ENDS = "#ffffff"
"""The color of inputs and outputs."""

_WORDS = {
    "quantization": r"quanti|fake_?quant",
    "recurrent": r"lstm|gru|rnn|svdf",
    "control": r"^(if|while|loop|scan|call|case|stateless|partitioned|assign|varhandle|readvariable|var_handle)",
    "normalization": r"norm(?!al$)|^lrn$|moments|spatialbn",
    "linear": r"matmul|mat_mul|gemm|^linear$|fully_?connected|einsum|attention|tensordot|innerproduct|^(int8)?fc",
    "convolution": r"conv",
    "pooling": r"pool|reduce|^(mean|prod$|arg_?m|all$|any$|cumsum|topk)|resize|upsampl|downsampl|nearest|bilinear|"
    r"roi|nonmax|non_max|_box|gridsample|grid_sample|crop",
    "activation": r"relu|elu$|sigmoid|tanh|softmax|soft(plus|sign)|swish|silu|mish|hard_?s|logistic|erfc?$|bnll|shrink",
    "shape": r"reshape|transpose|permute|concat|split|slice|gather|scatter|pad$|^pad|squeeze|expand|tile|stack|flatten|"
    r"shape|space|depth|reverse|identity|cast|^copy|broadcast|onehot|one_hot|where$|select|range|fill|rank$|size$|"
    r"dropout|^(un)?pack$|constant|external|variable|stop_?gradient|batchtospace",
    "arithmetic": r"add|^(sum|scale|bias|eltwise)$|square|"
    r"sub|mul|div|neg|abs|exp|log|sqrt|sqr|pow|minimum|maximum|^(min|max)$|floor|ceil|round|"
    r"sign|mod|^rcp|reciprocal|equal|less|greater|clamp|clip|^a?(sin|cos|tan)h?$|bitwise|"
    r"^(and|or|not|xor|logical_.*|eq|ne|lt|le|gt|ge)$",
}  # fmt: skip


@cache
def family(type: str) -> str:
    """The family of an operator, by its type in any dialect."""
    word = type.rpartition(".")[2].lower()
    return next((name for name, words in _WORDS.items() if re.search(words, word)), "other")

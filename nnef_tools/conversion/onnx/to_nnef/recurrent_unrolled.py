"""RNN, GRU and LSTM in all their forms, unrolled: the sequence length is known when the model is converted.

The input projection of all steps is one matrix product; each step then adds the recurrent one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import softsign
from ...compose.slicing import slice_axes
from ...maths.generated import filled
from ..common import reshape, shape, transpose, unsqueeze
from .activation import thresholded_relu

Activation = Callable[[Tensor], Tensor]

# name -> defaults of alpha and beta
_DEFAULTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0, 0.0),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, 0.0),
    "scaledtanh": (1.0, 1.0),
    "thresholdedrelu": (1.0, 0.0),
}
_TAKES = {"affine": 2, "elu": 1, "hardsigmoid": 2, "leakyrelu": 1, "scaledtanh": 2, "thresholdedrelu": 1}


def _activation(b: Builder, name: str, alpha: float, beta: float) -> Activation:
    functions: dict[str, Activation] = {
        "affine": lambda x: b.add(b.mul(x, alpha), beta),
        "elu": lambda x: b.elu(x, alpha=alpha),
        "hardsigmoid": lambda x: b.clamp(b.add(b.mul(x, alpha), beta), 0.0, 1.0),
        "leakyrelu": lambda x: b.leaky_relu(x, alpha=alpha),
        "relu": lambda x: b.relu(x),
        "scaledtanh": lambda x: b.mul(b.tanh(b.mul(x, beta)), alpha),
        "sigmoid": lambda x: b.sigmoid(x),
        "softplus": lambda x: b.softplus(x),
        "softsign": lambda x: softsign(b, x),
        "tanh": lambda x: b.tanh(x),
        "thresholdedrelu": lambda x: thresholded_relu(b, x, alpha=alpha),
    }
    if name.lower() not in functions:
        raise Unsupported(f"activation '{name}' is not known")
    return functions[name.lower()]


def cell_functions(
    b: Builder,
    names: Sequence[str] | None,
    default: Sequence[str],
    directions: int,
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
) -> list[list[Activation]]:
    """The functions of each direction. alpha and beta are taken in order by the functions that have them."""
    chosen = list(names or [*default] * directions)
    if len(chosen) != len(default) * directions:
        raise Unsupported(f"activations {chosen} do not fit {directions} direction(s)")
    alpha, beta = iter(alphas or ()), iter(betas or ())
    functions = []
    for name in chosen:
        takes = _TAKES.get(name.lower(), 0)
        default_alpha, default_beta = _DEFAULTS.get(name.lower(), (0.0, 0.0))
        a = next(alpha, default_alpha) if takes >= 1 else 0.0
        functions.append(_activation(b, name, a, next(beta, default_beta) if takes == 2 else 0.0))
    return [functions[k : k + len(default)] for k in range(0, len(functions), len(default))]


@dataclass
class Cell(ABC):
    """One direction of a recurrent layer; a state is None where it starts at zero.

    r: `[gates * hidden, hidden]`. r_bias: `[1, gates * hidden]`, or None if it is part of the input projection.
    """

    b: Builder
    functions: list[Activation]
    clip: float | None
    hidden: int
    r: Tensor
    r_bias: Tensor | None

    @abstractmethod
    def step(self, x: Tensor, state: list[Tensor | None]) -> list[Tensor]:
        """The next states, the hidden one first, from the projected input `[batch, gates * hidden]`."""

    def clipped(self, x: Tensor) -> Tensor:
        """x limited to the clip range, as pre-activations are."""
        return x if self.clip is None else self.b.clamp(x, -self.clip, self.clip)

    def gates(self, x: Tensor) -> list[Tensor]:
        """`[batch, gates * hidden]` -> the gates."""
        return self.b.split(x, axis=1, ratios=[1] * (shape(x)[1] // self.hidden))

    def plus(self, x: Tensor, y: Tensor | None) -> Tensor:
        """x + y, where None stands for zero."""
        return x if y is None else self.b.add(x, y)

    def times(self, h: Tensor | None, r: Tensor) -> Tensor | None:
        """The recurrent product, or None while the state is zero."""
        return None if h is None else self.b.matmul(h, r, transposeB=True)


class RnnCell(Cell):
    def step(self, x: Tensor, state: list[Tensor | None]) -> list[Tensor]:
        """H' = f(x W + H R + b)."""
        return [self.functions[0](self.clipped(self.plus(x, self.times(state[0], self.r))))]


@dataclass
class GruCell(Cell):
    def __post_init__(self) -> None:
        gates = 2 * self.hidden
        self.r_gates = slice_axes(self.b, self.r, [0], [gates], [0], [1])
        self.r_new = slice_axes(self.b, self.r, [gates], [gates + self.hidden], [0], [1])
        self.bias_new = None if self.r_bias is None else slice_axes(self.b, self.r_bias, [gates], [2**31], [1], [1])

    def step(self, x: Tensor, state: list[Tensor | None]) -> list[Tensor]:
        """Update z, reset r, candidate n; H' = (1 - z) n + z H.

        The reset applies to H before its product, or, with a recurrent bias of its own, after it.
        """
        b, h = self.b, state[0]
        xz, xr, xn = self.gates(x)
        product = self.times(h, self.r_gates)
        hz, hr = (None, None) if product is None else self.gates(product)
        z = self.functions[0](self.clipped(self.plus(xz, hz)))
        inner = self.bias_new
        if self.r_bias is not None and h is not None:
            inner = self.plus(b.matmul(h, self.r_new, transposeB=True), self.bias_new)
        if self.r_bias is not None and inner is not None:
            r = self.functions[0](self.clipped(self.plus(xr, hr)))
            xn = b.add(xn, b.mul(r, inner))
        elif h is not None:
            r = self.functions[0](self.clipped(self.plus(xr, hr)))
            xn = b.add(xn, b.matmul(b.mul(r, h), self.r_new, transposeB=True))
        fresh = b.mul(b.sub(1.0, z), self.functions[1](self.clipped(xn)))
        return [fresh if h is None else b.add(fresh, b.mul(z, h))]


@dataclass
class LstmCell(Cell):
    peepholes: Sequence[Tensor | None] = (None, None, None)
    input_forget: bool = False

    def step(self, x: Tensor, state: list[Tensor | None]) -> list[Tensor]:
        """Gates i, o, f, c; C' = f C + i c, H' = o h(C')."""
        b, (h, c) = self.b, state
        f, g, out = self.functions
        pi, po, pf = self.peepholes
        xi, xo, xf, xc = self.gates(self.plus(x, self.times(h, self.r)))
        i = f(self.clipped(self._peek(xi, pi, c)))
        cell = b.mul(i, g(self.clipped(xc)))
        if c is not None:
            forget = b.sub(1.0, i) if self.input_forget else f(self.clipped(self._peek(xf, pf, c)))
            cell = b.add(b.mul(forget, c), cell)
        o = f(self.clipped(self._peek(xo, po, cell)))
        return [b.mul(o, out(cell)), cell]

    def _peek(self, x: Tensor, weight: Tensor | None, c: Tensor | None) -> Tensor:
        return x if weight is None or c is None else self.b.add(x, self.b.mul(weight, c))


def one_direction(b: Builder, x: Tensor, k: int) -> Tensor:
    """Item k of the leading axis of a weight tensor."""
    return reshape(b, slice_axes(b, x, [k], [k + 1], [0], [1]), shape(x)[1:])


def _mask(b: Builder, lengths: Tensor | None, step: int) -> Tensor | None:
    """`[batch, 1]`: does the sequence reach that step? None if all do."""
    if lengths is None:
        return None
    value = b.value(lengths)
    if value is not None:
        return None if np.all(value > step) else b.constant((value > step).reshape(-1, 1))
    return b.gt(unsqueeze(b, b.cast(lengths, np.float32), [1]), float(step))


def _run(
    b: Builder, cell: Cell, xs: list[Tensor], state: list[Tensor | None], lengths: Tensor | None, backwards: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """All steps of a direction: hidden states in order of time, and the final states.

    Beyond the end of a sequence outputs are zero; of an empty one the final states are, too, as in onnxruntime.
    """
    zero = b.constant(filled([shape(xs[0])[0], cell.hidden], 0, np.float32))
    outputs: dict[int, Tensor] = {}
    for t in reversed(range(len(xs))) if backwards else range(len(xs)):
        new = cell.step(xs[t], state)
        mask = _mask(b, lengths, t)
        outputs[t] = new[0] if mask is None else b.select(mask, new[0], zero)
        if mask is not None:
            kept = [zero if old is None or t == 0 else old for old in state]  # only empty sequences lack step 0
            new = [b.select(mask, n, old) for n, old in zip(new, kept, strict=True)]
        state = list(new)
    return [outputs[t] for t in range(len(xs))], [zero if s is None else s for s in state]


def _sum(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """x + y, evaluated for constants."""
    if x.data is not None and y.data is not None:
        return b.constant(np.add(x.data, y.data))
    return b.add(x, y)


def unrolled_layer(
    b: Builder,
    x: Tensor,
    make: Callable[[int, Tensor, Tensor | None], Cell],
    w: Tensor,
    r: Tensor,
    bias: Tensor | None,
    lengths: Tensor | None,
    initial: Sequence[Tensor | None],
    direction: str,
    layout: int,
    own_bias: bool = False,
) -> list[Tensor]:
    """A recurrent layer in one or both directions: Y and the final states.

    w `[directions, rows, input]`, r `[directions, rows, hidden]`, bias `[directions, 2 * rows]`: both bias vectors are
    added to the input projection; with own_bias the last gate's recurrent one is left to the cell.
    """
    if direction not in ("forward", "reverse", "bidirectional"):
        raise Unsupported(f"direction = '{direction}' is not known")
    if layout:
        x = transpose(b, x, [1, 0, 2])
        initial = [None if s is None else transpose(b, s, [1, 0, 2]) for s in initial]
    steps, batch, width = shape(x)
    b.steps.take(steps * (2 if direction == "bidirectional" else 1))
    rows, hidden = shape(r)[1:]
    flat = reshape(b, x, [steps * batch, width])
    sequences, finals = [], []
    for k in range(2 if direction == "bidirectional" else 1):
        projected = b.matmul(flat, one_direction(b, w, k), transposeB=True)
        r_bias = None
        if bias is not None:
            both = unsqueeze(b, one_direction(b, bias, k), [0])
            w_bias = slice_axes(b, both, [0], [rows], [1], [1])
            r_bias = slice_axes(b, both, [rows], [2 * rows], [1], [1])
            shared = r_bias
            if own_bias:
                gates = slice_axes(b, r_bias, [0], [rows - hidden], [1], [1])
                shared = b.concat([gates, np.zeros((1, hidden), np.float32)], axis=1)
            projected = b.add(projected, _sum(b, w_bias, shared))
        elif own_bias:
            r_bias = b.constant(np.zeros((1, rows), np.float32))
        cell = make(k, one_direction(b, r, k), r_bias if own_bias else None)
        xs = b.unstack(reshape(b, projected, [steps, batch, rows]), axis=0)
        state = [None if s is None else one_direction(b, s, k) for s in initial]
        outputs, final = _run(b, cell, xs, state, lengths, direction == "reverse" or k == 1)
        sequences.append(b.stack(outputs, axis=0))
        finals.append(final)
    y = b.stack(sequences, axis=1)
    states = [b.stack(list(parts), axis=0) for parts in zip(*finals, strict=True)]
    if layout:
        y = transpose(b, y, [2, 0, 1, 3])
        states = [transpose(b, s, [1, 0, 2]) for s in states]
    return [y, *states]

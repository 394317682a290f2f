"""The definition of an NNEF operation: signature, shape rule, numpy kernel and number of MACs.

Signatures, defaults and compound bodies come from `language/stdlib.nnef` (standard) and `ops/extensions.nnef` (our
documented custom fragments). The modules of this package add the rest with the `op` decorator:

    @op("leaky_relu", shape=same_shape)
    def leaky_relu(x, *, alpha): ...

Protocols (the same as those of plugins, so a plugin function can stand in for a built-in one):

* shape rule `f(*input_shapes, **attribs)`: a shape is a list of int, a literal or scalar is `[]`, an array argument is
  a list of shapes. Returns a list for one result, a tuple of lists for several, a list of lists for an array result.
  Raises ShapeError (plugins: AssertionError).
* kernel `f(*inputs, **attribs)`: arrays; an array argument is a list of arrays. Returns an array, a tuple of arrays, or
  a list of arrays for an array result.
* either may take the attributes of a sliding window as one: `window: Window` (see `window.by_keywords`).
* MACs `f(input_shapes, output_shapes, attribs) -> int`: multiply-accumulate operations.

`attribs` hold every attribute of the signature, defaults filled in, and no `dtype` (but `cast`, `external` and
`constant` kernels get `dtype`, a numpy class).

The kernel of an OpDef is the decorated function under `precision.ieee`, which converts inputs to arrays, handles half
precision and suppresses numpy's warnings, so that decorated functions need not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ..errors import ShapeError
from ..language.signatures import complete
from ..language.types import Fragment
from .window import by_keywords

ShapeRule = Callable[..., Any]
Kernel = Callable[..., Any]
K = TypeVar("K", bound=Kernel)
MacsRule = Callable[[Sequence[Any], Sequence[Any], Mapping[str, Any]], int]


class OpDef(NamedTuple):
    """A known operation. macs_group is '' (always counted), 'pooling', 'upsampling', 'normalization' or 'reduction'."""

    fragment: Fragment
    shape: ShapeRule
    run: Kernel
    macs: MacsRule | None
    macs_group: str
    standard: bool

    @property
    def name(self) -> str:
        return self.fragment.name

    def complete(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of the signature in its order, with defaults; without anything else, such as `dtype`.

        None stands for an attribute that is left out. ShapeError if a required one is missing.
        """
        completed = complete(self.fragment, attribs)
        if len(completed) < len(self.fragment.attributes):
            missing = next(name for name in self.fragment.attributes if name not in completed)
            raise ShapeError(f"attribute '{missing}' is missing", where=self.name)
        return completed


DEFINED: dict[str, tuple[ShapeRule, Kernel, MacsRule | None, str]] = {}
"""Name -> shape rule, kernel, MACs and their group, for the operations of the modules that are imported so far."""


def op(*names: str, shape: ShapeRule, macs: MacsRule | None = None, macs_group: str = "") -> Callable[[K], K]:
    """Defines operations with these names by the decorated kernel, a shape rule and a MAC count."""

    def register(run: K) -> K:
        for name in names:
            assert name not in DEFINED, f"operation '{name}' is defined twice"
            DEFINED[name] = (by_keywords(shape), by_keywords(run), macs, macs_group)
        return run

    return register

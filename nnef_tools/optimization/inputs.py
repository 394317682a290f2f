"""Inputs of a graph that get a value."""

from __future__ import annotations

import numpy as np

from ..io.input_values import Array, Values, check_names, input_value
from ..model import Graph
from .nnef.editor import Editor


def set_inputs(graph: Graph, values: Values) -> dict[str, Array]:
    """Makes constants of inputs, in place. Returns name -> array.

    For dialects whose inputs have no producer, and NNEF. UsageError for unknown names and for values that do not fit.
    """
    check_names(values, [str(tensor.name) for tensor in graph.inputs])
    found = {}
    for tensor in list(graph.inputs):
        name = str(tensor.name)
        if name not in values:
            continue
        array = found[name] = input_value(name, values[name], tensor.dtype, tensor.shape)
        graph.inputs = [other for other in graph.inputs if other is not tensor]
        if tensor.producer is None:
            tensor.data, tensor.shape = array, array.shape
            tensor.dtype = tensor.dtype or array.dtype.type
            continue
        tensor.shape = array.shape
        Editor(graph).become_constant(tensor.producer, np.asarray(array))
    return found

"""Python functions of a TensorFlow program as single operations of the exported graph.

A call of a composite function marks its boundary in the graph: each tensor that goes in or out passes an Identity whose
attributes tell what it is. The marks stay with the nodes through freezing and through functions that are put in;
`replace_composites_with_py_functions` makes a PyFunc node of what is between them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from ....errors import UsageError
from ...protobuf import encode
from .attributes import attribute_message
from .build import PREFIX, SUFFIX
from .graph_edit import control_names, data_inputs, node_name, reachable, sinks
from .tensorflow import require_tensorflow

F = TypeVar("F", bound=Callable[..., Any])

# Names of the attributes of marks.
MARK = "_composite_"
INPUT_MARK = f"{MARK}input"
_OUTPUT, _NAME, _TOKEN = f"{MARK}output", f"{MARK}name", f"{MARK}token"
_TYPES, _SHAPES, _CAPTURED = f"{MARK}types", f"{MARK}shapes", f"{MARK}captured"

# Operators whose value is not that of a constant or an argument, wherever they are created.
_STATE = ("Placeholder", "PlaceholderWithDefault", "VarHandleOp", "VariableV2", "Variable", "Arg", "_Arg")

_counts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def composite_function(func: F) -> F:
    """Decorator: each call of the function becomes one operation of an exported graph, named after the function.

    Arguments that are tensors (also in lists and tuples) become inputs, in the order of the signature; all others
    become attributes, defaults included, except for None. The keyword `name` of a call names the operation; otherwise
    it is `Composite<k>`, k counting the calls in the graph. The result is a tensor, or a list or tuple of tensors. What
    the function computes with must come from its arguments; the export refuses others. Outside of graphs (eager
    execution) a call is a plain call.

    The call raises UsageError for arguments that cannot be attributes, and for other results.
    """
    signature = inspect.signature(func)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        tf = require_tensorflow("to define composite functions")
        if tf.executing_eagerly():
            if "name" not in signature.parameters and not _takes_any_keyword(signature):
                kwargs.pop("name", None)
            return func(*args, **kwargs)
        return _record(tf, func, signature, args, kwargs)

    return call  # type: ignore[return-value]


def reset_composites() -> None:
    """Starts counting the calls of composite functions anew."""
    _counts.clear()


def _takes_any_keyword(signature: inspect.Signature) -> bool:
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def _record(
    tf: Any, func: Callable[..., Any], signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    graph = tf.compat.v1.get_default_graph()
    name = kwargs.get("name")
    if "name" not in signature.parameters:
        kwargs = {key: value for key, value in kwargs.items() if key != "name"}
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    if "name" in signature.parameters:
        name = bound.arguments["name"]
    count = _counts.get(graph, 0)
    _counts[graph] = count + 1
    name = str(name) if name else f"Composite{count}"

    marks: list[Any] = []
    attribs: dict[str, Any] = {}

    def enter(key: str, value: Any) -> Any:
        """What the function gets for an argument: a tensor behind a mark; other values are noted as attributes."""
        if isinstance(value, tf.Variable):
            value = tf.convert_to_tensor(value)
        if tf.is_tensor(value):
            marks.append(_marked(tf, value, f"{name}/input{len(marks)}", {INPUT_MARK: len(marks)}))
            return marks[-1]
        if isinstance(value, (list, tuple)) and any(tf.is_tensor(item) for item in value):
            if not all(tf.is_tensor(item) for item in value):
                raise UsageError(f"argument '{key}' of composite function '{func.__name__}' mixes tensors and others")
            return type(value)(enter(key, item) for item in value)
        if value is not None and key != "name":
            attribs[f"{PREFIX}{key}{SUFFIX}"] = _attribute(tf, value, key, func)
        return value

    for key, parameter in signature.parameters.items():
        value = bound.arguments.get(key)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound.arguments[key] = {other: enter(other, item) for other, item in (value or {}).items()}
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL and not value:
            continue
        else:
            bound.arguments[key] = enter(key, value)

    before = len(graph.get_operations())
    result = func(*bound.args, **bound.kwargs)
    created = {op.name for op in graph.get_operations()[before:]}
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    _check_results(tf, results, marks, func)
    shared = {
        _NAME: name,
        _TOKEN: func.__name__,
        _TYPES: [tensor.dtype.as_numpy_dtype for tensor in results],
        _SHAPES: [None if t.shape.rank is None else tuple(t.shape.as_list()) for t in results],
        _CAPTURED: _captured(results, marks, created),
        **attribs,
    }
    with graph.control_dependencies(marks):
        outputs = [_marked(tf, tensor, f"{name}/output{k}", {_OUTPUT: k, **shared}) for k, tensor in enumerate(results)]
    if not isinstance(result, (list, tuple)):
        return outputs[0]
    return type(result)(*outputs) if hasattr(result, "_fields") else type(result)(outputs)


def _marked(tf: Any, tensor: Any, name: str, attribs: Mapping[str, Any]) -> Any:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue

    result = tf.identity(tensor, name=name)
    for key, value in attribs.items():
        message = attribute_message(value, "list(shape)" if key == _SHAPES else None)
        data = b"".join(bytes(part.tobytes() if isinstance(part, np.ndarray) else part) for part in encode(message))
        result.op._set_attr(key, AttrValue.FromString(data))
    return result


def _attribute(tf: Any, value: Any, key: str, func: Callable[..., Any]) -> Any:
    """The value as one that an attribute can have. Raises UsageError."""
    try:
        value = _plain(tf, value)
        attribute_message(value)
    except (ValueError, TypeError) as error:
        reason = getattr(error, "message", str(error))
        raise UsageError(f"argument '{key}' of composite function '{func.__name__}': {reason}") from error
    return value


def _plain(tf: Any, value: Any) -> Any:
    if isinstance(value, tf.DType):
        return value.as_numpy_dtype
    if isinstance(value, tf.TensorShape):
        return tuple(value.as_list())
    if isinstance(value, list):
        return [_plain(tf, item) for item in value]
    return value


def _check_results(tf: Any, results: list[Any], marks: list[Any], func: Callable[..., Any]) -> None:
    for tensor in results:
        if not tf.is_tensor(tensor) or not hasattr(tensor, "op"):
            raise UsageError(
                f"composite function '{func.__name__}' must return a tensor, or a list or tuple of tensors, "
                f"it returns {type(tensor).__name__}"
            )
        if any(tensor is mark for mark in marks):
            raise UsageError(
                f"composite function '{func.__name__}' returns one of its inputs", hint="return tf.identity(..) of it"
            )
    if not results:
        raise UsageError(f"composite function '{func.__name__}' returns nothing")


def _captured(results: Iterable[Any], marks: Iterable[Any], created: set[str]) -> list[str]:
    """Names of operations outside of the function that it uses other than through its arguments."""
    stop = {mark.op.name for mark in marks}
    found: dict[str, None] = {}
    seen: set[str] = set()
    pending = [tensor.op for tensor in results]
    while pending:
        op = pending.pop()
        if op.name in seen or op.name in stop:
            continue
        seen.add(op.name)
        if op.name not in created or op.type in _STATE:
            found[op.name] = None
        else:
            pending += [tensor.op for tensor in op.inputs]
    return sorted(found)


def replace_composites_with_py_functions(graph_def: Any) -> Any:
    """A copy of a GraphDef in which a PyFunc node, at the end, stands for each call of a composite function.

    A composite that is called by another one vanishes with it. UsageError if a function uses values that are none of
    its arguments, since these would be lost.
    """
    nodes = {node.name: node for node in graph_def.node}
    calls = _calls(nodes)
    inner = {name for call in calls for name in call.interior(nodes)}
    outermost = [call for call in calls if not any(node.name in inner for node in call.outputs.values())]
    for call in outermost:
        call.check_captures()
    # Names that no node has, until it is known which nodes are left.
    temporary = {call: f"\0{k}" for k, call in enumerate(outermost)}
    replaced = {out.name: (temporary[call], k) for call in outermost for k, out in call.outputs.items()}
    result = type(graph_def)()
    result.CopyFrom(graph_def)
    ends = [replaced.get(name, (name, 0))[0] for name in sinks(graph_def)]
    result.node.extend(call.py_function(name) for call, name in temporary.items())
    _replace_inputs(result, replaced)
    result = _without_marks(reachable(result, ends))
    names = {node.name for node in result.node}
    final = {name: _free_name(call.name, names) for call, name in temporary.items()}
    for node in result.node:
        node.name = final.get(node.name, node.name)
    _replace_inputs(result, {old: (new, None) for old, new in final.items()})
    return result


def _replace_inputs(graph_def: Any, replaced: Mapping[str, tuple[str, int | None]]) -> None:
    """Changes references to nodes. The new index is that of a node with one result, or None to keep the old one."""
    for node in graph_def.node:
        inputs = []
        for text in node.input:
            name, index = replaced.get(node_name(text), (None, None))
            if name is None:
                inputs.append(text)
            elif text.startswith("^"):
                inputs.append(f"^{name}")
            else:
                old = int(text.partition(":")[2] or 0)
                inputs.append(_reference(name, old if index is None else index))
        del node.input[:]
        node.input.extend(inputs)


class _Call:
    """The marks of one call of a composite function. inputs, outputs: number -> node."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[int, Any] = {}
        self.outputs: dict[int, Any] = {}

    @property
    def _first(self) -> Any:
        return next(iter(self.outputs.values()))

    def interior(self, nodes: Mapping[str, Any]) -> set[str]:
        """Names of the nodes between the marks."""
        stop = {node.name for node in self.inputs.values()}
        pending = [name for node in self.outputs.values() for name in data_inputs(node)]
        found: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in found and name not in stop and name in nodes:
                found.add(name)
                pending += data_inputs(nodes[name])
        return found

    def check_captures(self) -> None:
        """Raises UsageError if there are values that do not come from arguments."""
        captured = [text.decode() for text in self._first.attr[_CAPTURED].list.s]
        if captured:
            raise UsageError(
                f"composite function '{self._first.attr[_TOKEN].s.decode()}' uses "
                f"{', '.join(map(repr, captured[:5]))}, which it is not given as argument",
                where=f"composite '{self.name}'",
                hint="make the tensor or variable an argument of the function",
            )

    def py_function(self, name: str) -> Any:
        """The node that stands for the call."""
        first = self._first
        node = type(first)(name=name, op="PyFunc")
        types: dict[int, int] = {}
        for k in sorted(self.inputs):
            mark = self.inputs[k]
            folded = mark.op == "Const"
            node.input.append(mark.name if folded else mark.input[0])
            types[k] = mark.attr["dtype" if folded else "T"].type
        node.attr["Tin"].list.type.extend(types[k] for k in sorted(types))
        node.attr["Tin"].list.SetInParent()
        node.attr["Tout"].CopyFrom(first.attr[_TYPES])
        node.attr["token"].CopyFrom(first.attr[_TOKEN])
        node.attr["_output_shapes"].CopyFrom(first.attr[_SHAPES])
        for k, out in self.outputs.items():
            if "_output_shapes" in out.attr and len(out.attr["_output_shapes"].list.shape) == 1:
                node.attr["_output_shapes"].list.shape[k].CopyFrom(out.attr["_output_shapes"].list.shape[0])
        for key, value in first.attr.items():
            if key.startswith(PREFIX) and key.endswith(SUFFIX):
                node.attr[key].CopyFrom(value)
        return node


def _calls(nodes: Mapping[str, Any]) -> list[_Call]:
    calls: dict[tuple[str, ...], _Call] = {}
    for node in nodes.values():
        if _OUTPUT in node.attr:
            name = node.attr[_NAME].s.decode()
            controls = sorted(control_names(node))
            # A function without inputs has no marks that tell its calls apart, but the scope of its outputs does.
            call = calls.setdefault((name, *(controls or (node.name.rpartition("/")[0],))), _Call(name))
            call.outputs[node.attr[_OUTPUT].i] = node
            for other in controls:
                if other in nodes and INPUT_MARK in nodes[other].attr:
                    call.inputs[nodes[other].attr[INPUT_MARK].i] = nodes[other]
    return list(calls.values())


def _without_marks(graph_def: Any) -> Any:
    for node in graph_def.node:
        if node.op != "PyFunc":
            for key in [key for key in node.attr if key.startswith((MARK, PREFIX))]:
                del node.attr[key]
    return graph_def


def without_composites(graph_def: Any) -> Any:
    """A copy in which calls of composite functions are left as what they compute."""
    result = type(graph_def)()
    result.CopyFrom(graph_def)
    return _without_marks(result)


def _free_name(wanted: str, names: set[str]) -> str:
    name, count = wanted, 0
    while name in names:
        count += 1
        name = f"{wanted}_{count}"
    names.add(name)
    return name


def _reference(name: str, index: int) -> str:
    return name if index == 0 else f"{name}:{index}"

"""Runs ONNX models in onnxruntime. Imports onnxruntime; imported only where it is chosen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ...errors import ExecutionError, FileError, FormatError, MissingPackageError, UsageError
from ...formats import InputShapes
from ...io.mapped import read_file
from ...io.onnx.schema import parse_model
from ...io.onnx.shapes import set_input_shapes
from ...io.onnx.wire import skeleton, with_external_data
from ...io.protobuf import encode
from ...io.protobuf.wire import VARINT, delimited, tag, varint
from ..executor import Array, Observer, TensorInfo, no_such_tensor
from ..feeds.inputs import check_inputs
from .state import Memory, states_of

try:
    import onnxruntime as ort
except ImportError as error:
    raise MissingPackageError(error.name or "onnxruntime", "to run ONNX models", "onnx") from error

VERSION: str = ort.__version__

_DTYPES: dict[str, type] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bfloat16)": ml_dtypes.bfloat16,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.str_,
}
# types of operators that may multiply codes, see `unsigned`
_QUANTIZED = re.compile(rb"DequantizeLinear|QLinear|Integer|QGemm|DynamicQuantize|QAttention")

LARGE = 1 << 26
"""The size in bytes from which on the weights of a model file are mapped, and one session is open at a time."""

_EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"


class OnnxExecutor:
    """An `Executor` for an ONNX file or the bytes of a model.

    Inner tensors are those of the unoptimized model: a second session computes them, from the model with these tensors
    as additional outputs. threads: of a session, 0 for as many as onnxruntime chooses. device: see `providers`.
    input_shapes: name -> extents of inputs, in place of those that the model fixes.

    Inputs and outputs that are a state (`dialects.onnx.state`) are connected from run to run, and not among `inputs`
    and `outputs`.
    """

    backend = "onnxruntime"
    note = ""

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        threads: int = 0,
        device: str | None = None,
        input_shapes: InputShapes | None = None,
    ) -> None:
        self.device = device or "cpu"
        self._providers = providers(device)
        self._path = None if isinstance(model, bytes) else Path(model)
        self._bytes = model if isinstance(model, bytes) else None
        self._threads = threads
        if self._path is not None and not self._path.is_file():
            problem = "it is a folder, not an ONNX file" if self._path.is_dir() else "there is no such file"
            raise FileError(problem, where=str(self._path))
        self._where = str(self._path) if self._path is not None else "<bytes>"
        self._folder = None if self._path is None else self._path.parent.absolute()
        self._is_large = self._path is not None and self._path.stat().st_size > LARGE
        self._input_shapes = input_shapes or {}
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._proto: Any = None
        session = self._sessions[()] = self._open()
        self._states = states_of(session)
        self._memory = Memory()
        self.has_state = bool(self._states)
        given = {item.name for item in session.get_overridable_initializers()}
        given.update(state.input for state in self._states)
        taken = {state.output for state in self._states}
        self.inputs = [_info(item) for item in session.get_inputs() if item.name not in given]
        self.outputs = [_info(item) for item in session.get_outputs() if item.name not in taken]

    @property
    def tensor_names(self) -> list[str]:
        """The inputs, and the results of all nodes except constants, in the order of the graph."""
        nodes = [node for node in self._load_proto().graph.node if node.op_type != "Constant"]
        names = [info.name for info in self.inputs]
        names += [output for node in nodes for output in node.output if output]
        return list(dict.fromkeys(names))

    def reset(self) -> None:
        """See `Executor.reset`."""
        self._memory.clear()

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`. Constants and values that are not tensors are not observed."""
        names = [info.name for info in self.outputs] if output_names is None else list(output_names)
        arrays = check_inputs(self.inputs, inputs)
        feeds = {info.name: array for info, array in zip(self.inputs, arrays, strict=True)}
        if observe is not None:
            wanted = [name for name in dict.fromkeys([*self.tensor_names, *names]) if name not in feeds]
        else:
            wanted = [name for name in dict.fromkeys(names) if name not in feeds]
        values = {**feeds, **self._compute(wanted, feeds)}
        if observe is not None:
            for name, value in values.items():
                if isinstance(value, np.ndarray):
                    observe(name, value)
        return {name: values[name] for name in names}

    def _compute(self, wanted: list[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
        if not wanted and not self._states:
            return {}
        feeds = {**feeds, **self._memory.feeds(self._states)}
        following = [state.output for state in self._states]
        wanted = list(dict.fromkeys([*wanted, *following]))
        own = {info.name for info in self.outputs} | {*following}
        extra = tuple(name for name in wanted if name not in own)
        session = self._session(extra)
        try:
            results = session.run(wanted, dict(feeds))
        except Exception as error:  # onnxruntime raises a class of its own for each status
            raise ExecutionError(f"onnxruntime failed: {first_line(error)}", where=self._where) from error
        values = dict(zip(wanted, results, strict=True))
        self._memory.keep(self._states, [values[name] for name in following])
        return values

    def _open(self) -> Any:
        """The session of the model itself. The weights of a large file are mapped, and exist once."""
        mapped = _with_mapped_weights(self._path) if self._is_large and self._path is not None else None
        if mapped is not None:
            content = _reshaped(mapped[0], self._input_shapes)
            with suppress(FormatError):  # the file itself may have what its copy has not
                session = self._make_session(content, folder=mapped[1])
                self._bytes, self._folder = content, mapped[1]
                return session
        if self._input_shapes:
            own = self._bytes if self._path is None else read_file(self._path).tobytes()
            assert own is not None
            self._bytes = _reshaped(own, self._input_shapes)
            return self._make_session(self._bytes, folder=self._folder)
        return self._make_session(self._bytes if self._path is None else os.fspath(self._path))

    def _session(self, extra: tuple[str, ...]) -> Any:
        """The session that also gives some inner tensors. Of a large model one session is open at a time."""
        if extra not in self._sessions:
            extended = self._extended(extra) if extra else None
            if self._is_large:
                self._sessions.clear()
            self._sessions[extra] = (
                self._open() if extended is None else self._make_session(extended, folder=self._folder, optimized=False)
            )
        return self._sessions[extra]

    def _extended(self, names: tuple[str, ...]) -> bytes:
        """The model with inner tensors as further outputs."""
        import onnx

        proto = self._load_proto()
        known = {item.name for item in proto.graph.initializer}
        known.update(*(node.output for node in proto.graph.node), self.tensor_names)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise no_such_tensor(unknown[0], self.tensor_names)
        count = len(proto.graph.output)
        # without a type: onnxruntime infers it
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        try:
            serialized: bytes = proto.SerializeToString()
        finally:
            del proto.graph.output[count:]
        return serialized

    def _load_proto(self) -> Any:
        """The model as a message; external data stays in its files."""
        if self._proto is None:
            try:
                import onnx
            except ImportError as error:
                raise MissingPackageError("onnx", "to see the tensors inside of ONNX models", "onnx") from error
            if self._bytes is not None:
                self._proto = onnx.load_model_from_string(self._bytes)
            else:
                assert self._path is not None
                self._proto = onnx.load(os.fspath(self._path), load_external_data=False)
        return self._proto

    def _make_session(self, model: Any, *, folder: Path | None = None, optimized: bool = True) -> Any:
        return open_session(
            model,
            self._where,
            threads=self._threads,
            providers=self._providers,
            optimized=optimized,
            prepacked=optimized or not self._is_large,
            external_folder=folder,
        )


def _reshaped(model: bytes, input_shapes: InputShapes) -> bytes:
    """The model with other shapes of inputs; the same if these are only such that it leaves open.

    External data stays in its files. FormatError, UsageError.
    """
    message = parse_model(memoryview(model))
    if not input_shapes or not set_input_shapes(message["graph"], input_shapes):
        return model
    return b"".join(bytes(chunk) for chunk in encode(message))


def _with_mapped_weights(path: Path) -> tuple[bytes, Path] | None:
    """A model whose weights are external data in its own file, and the folder of that; None if it is damaged.

    onnxruntime maps external data, while it copies a model file twice.
    """
    file = path.resolve()  # external data may not be links
    try:
        return with_external_data(read_file(file).data, file.name), file.parent
    except FormatError:  # onnxruntime reports what is wrong with it
        return None


def providers(device: str | None) -> list[Any]:
    """The execution providers for a device: 'cpu' (the default), 'cuda' or 'cuda:1'. UsageError if there is none."""
    name, _, index = (device or "cpu").partition(":")
    if name == "cpu" and not index:
        return ["CPUExecutionProvider"]
    provider = f"{name.upper()}ExecutionProvider"
    if provider not in ort.get_available_providers() or (index and not index.isdecimal()):
        known = ", ".join(item.removesuffix("ExecutionProvider").lower() for item in ort.get_available_providers())
        raise UsageError(f"onnxruntime cannot use device '{device}'", hint=f"devices of this installation: {known}")
    return [(provider, {"device_id": int(index or 0)}), "CPUExecutionProvider"]


def shared_values(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Arrays as values of onnxruntime that share their memory."""
    return {name: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def open_session(
    model: Any,
    where: str,
    *,
    providers: Sequence[Any],
    threads: int = 0,
    optimized: bool = True,
    prepacked: bool = True,
    external_folder: Path | None = None,
    values: Mapping[str, Any] | None = None,
) -> Any:
    """Opens a session for the path or bytes of a model, the only place to do so: results are exact on all processors.

    prepacked: copy weights into the order that kernels read. values: the initializers that the model declares as
    external data. FormatError if onnxruntime cannot load the model.
    """
    if saturates():
        changed = _unsigned(model)
        if changed is not None:
            external_folder = external_folder or (None if isinstance(model, bytes) else Path(model).parent.absolute())
            model = changed
    options = _options(threads)
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not prepacked:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if external_folder is not None:
        options.add_session_config_entry(_EXTERNAL_DATA_FOLDER, str(external_folder))
    if values:
        options.add_external_initializers(list(values), list(values.values()))
    try:
        return ort.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises a class of its own for each status
        raise FormatError(f"onnxruntime cannot load the model: {first_line(error)}", where=where) from error


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # by default the real operands of products with dequantized weights are rounded to codes of 8 bits
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return options


@cache
def saturates() -> bool:
    """Do products of unsigned with signed codes saturate on this processor? (x86 without VNNI.)

    onnxruntime's remedy, the session entry `session.x64quantprecision`, makes models with several weights of one zero
    point or with products of signed codes fail to load, and is slow even where it is not needed.
    """
    session = ort.InferenceSession(_PROBE, _options(1), providers=["CPUExecutionProvider"])
    (products,) = session.run(None, {"x": np.full((4, 64), 255, np.uint8), "w": np.full((64, 16), 127, np.int8)})
    return bool((products != 64 * 255 * 127).any())


def _probe() -> bytes:
    """The bytes of a model y = MatMulInteger(x, w), made without the onnx package. Field numbers: onnx.proto."""
    names = delimited(1, b"x") + delimited(1, b"w") + delimited(2, b"y")
    node = names + delimited(4, b"MatMulInteger")
    graph = delimited(1, node) + delimited(2, b"probe")
    for field, name, code in ((11, b"x", 2), (11, b"w", 3), (12, b"y", 6)):  # uint8, int8, int32
        of_type = delimited(1, tag(1, VARINT) + varint(code))
        graph += delimited(field, delimited(1, name) + delimited(2, of_type))
    opset = tag(2, VARINT) + varint(10)
    return tag(1, VARINT) + varint(5) + delimited(7, graph) + delimited(8, opset)


_PROBE = _probe()


def _unsigned(model: str | os.PathLike[str] | bytes) -> bytes | None:
    """The model with unsigned codes in its products; None if nothing has to be changed."""
    data = np.frombuffer(model, np.uint8) if isinstance(model, bytes) else read_file(Path(model))
    try:
        if not _QUANTIZED.search(skeleton(data.data)):
            return None
    except FormatError:  # onnxruntime reports what is wrong with it
        return None
    try:
        from onnx import ModelProto

        from .unsigned import make_unsigned
    except ImportError as error:
        purpose = "to run quantized models on this processor, which has no exact products of signed codes"
        raise MissingPackageError("onnx", purpose, "onnx") from error
    proto = ModelProto.FromString(data.tobytes())
    return proto.SerializeToString() if make_unsigned(proto) else None


def _info(item: Any) -> TensorInfo:
    if item.type not in _DTYPES:
        raise ExecutionError(f"'{item.name}' is a {item.type}; only tensors can be given and taken")
    shape = tuple(dim if isinstance(dim, int) else None for dim in item.shape)
    return TensorInfo(item.name, _DTYPES[item.type], shape)


def first_line(error: Exception) -> str:
    """The message of an error in one line."""
    return next(iter(_lines(str(error))), type(error).__name__)


def _lines(text: str) -> Iterable[str]:
    return (line.strip() for line in text.splitlines() if line.strip())

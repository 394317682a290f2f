"""The descriptions of a model format, of the dialect of its operations, and of the runtimes of its models.

Classes and functions are given as `module:name` and imported when they are needed: some need optional packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from ..model import Graph

T = TypeVar("T")
InputShapes = Mapping[str, Sequence[int]]


class Reader(Protocol):
    """Reads a file or folder into a graph in the dialect of its format."""

    def __call__(self, path: str, input_shapes: InputShapes | None = None) -> Graph: ...


class Writer(Protocol):
    """Writes a graph in the dialect of its format to a file or folder."""

    def __call__(self, graph: Graph, path: str) -> Any: ...


class Optimizer(Protocol):
    """Optimizes a graph in place; with `only_required`, does no more than make it fit for writing and converting.

    results: what each pass did in the last call, with `name`, `count` and `difference`.
    """

    results: Sequence[Any]

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph: ...


class Dialect(NamedTuple):
    """The set of operations that the graphs of a format consist of.

    owns: tells whether a graph clearly holds operations of the dialect; None if that cannot be told. channels_last: do
    its operators expect the channels in the last dimension? to_nnef, from_nnef: converters; None for NNEF itself, and
    for a dialect that cannot be converted. optimizer: class. optimizer_options: the options of a conversion that the
    optimizer follows. layout: module that removes transposes, with `run_layout` and `remaining_transposes`.
    complete_shapes: function that sets the shapes that files leave out. tensor_name: maps the name by which users know
    a tensor to its name in a graph.
    """

    name: str
    title: str
    owns: Callable[[Graph], bool] = lambda graph: False
    channels_last: bool = False
    to_nnef: str | None = None
    from_nnef: str | None = None
    optimizer: str | None = None
    optimizer_options: frozenset[str] = frozenset()
    layout: str | None = None
    complete_shapes: str | None = None
    tensor_name: Callable[[str], str] = str

    def tensor_names(self, names: Sequence[str] | None) -> list[str] | None:
        """The names that tensors have in a graph, for those that users know; None stays None."""
        return None if names is None else [self.tensor_name(name) for name in names]

    def by_tensor_name(self, values: Mapping[str, T]) -> dict[str, T]:
        """The values by the names that tensors have in a graph."""
        return {self.tensor_name(name): value for name, value in values.items()}


class Runtime(NamedTuple):
    """One way to run models of a format.

    name: the value of `--backend`. package: what has to be installed, by default of that name. models: what messages
    call such models.
    executor: an `Executor` class, called with a model and, if it has devices, a `device`; for runtimes with kernels,
    the `Kernels` class of a `GraphExecutor`, made by `for_graph(graph, device)`. devices: can it run elsewhere than on
    the CPU? has_kernels: does a Python function compute each operator, so that plugins may add their own?
    """

    name: str
    models: str
    executor: str
    devices: bool = False
    has_kernels: bool = False
    package: str = ""

    @property
    def is_installed(self) -> bool:
        """Is the package that the runtime needs installed?"""
        return find_spec(self.package or self.name) is not None


class Format(NamedTuple):
    """A model format: how its files are recognized, read, written and run.

    The first suffix is the one that a new file gets; files with `read_suffixes` are only read. archive_suffixes: those
    of compressed files that hold a model folder. folder_marks: the files of which each marks a folder as a model.
    folder_parts: further files of such folders, which are no models by themselves. is_magic: does a file begin as those
    of the format do? extra: the optional dependencies that the format needs. reader, writer: classes, None if there is
    none. reader_options, writer_options: the options of a conversion that they follow. runtimes: what can run its
    models, fastest first; without any they are run as NNEF, if they can be converted to it. verifying: the one that
    verification compares with, by default the first. witness: a program that runs them for comparison only, since it is
    not the original and does not know all of them.
    """

    name: str
    title: str
    dialect: Dialect
    suffixes: tuple[str, ...]
    read_suffixes: tuple[str, ...] = ()
    archive_suffixes: tuple[str, ...] = ()
    folder_marks: tuple[str, ...] = ()
    folder_parts: tuple[str, ...] = ()
    is_magic: Callable[[bytes], bool] = lambda head: False
    extra: str | None = None
    reader: str | None = None
    reader_options: frozenset[str] = frozenset()
    writer: str | None = None
    writer_options: frozenset[str] = frozenset()
    runtimes: tuple[Runtime, ...] = ()
    verifying: str | None = None
    witness: Runtime | None = None


def has_capitalized_operators(graph: Graph) -> bool:
    """Do operators have the form of ONNX's: does none declare an input, and are all their names capitalized?"""
    types = operation_types(graph)
    undeclared = bool(graph.inputs) and not any(tensor.has_producer for tensor in graph.inputs)
    return undeclared and bool(types) and all(type[0].isupper() for type in types if type)


def operation_types(graph: Graph) -> set[str]:
    """The types of those operations of a graph that are not custom ones."""
    return {str(operation.type) for operation in graph.operations if not operation.custom}

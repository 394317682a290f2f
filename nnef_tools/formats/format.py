"""What there is to know of a model format and of the dialect of its operations.

Classes and functions are named as `module:name` and imported when they are needed, since some need optional packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..model import Graph

InputShapes = Mapping[str, Sequence[int]]


class Reader(Protocol):
    """Makes a graph in the dialect of its format from a file or folder."""

    def __call__(self, path: str, input_shapes: InputShapes | None = None) -> Graph: ...


class Writer(Protocol):
    """Writes a graph in the dialect of its format."""

    def __call__(self, graph: Graph, path: str) -> Any: ...


class Optimizer(Protocol):
    """Optimizes a graph in place; with `only_required`, makes it only fit for writing and converting.

    results: what each pass did the last time, with `name`, `count` and `difference`.
    """

    results: Sequence[Any]

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph: ...


@dataclass(frozen=True)
class Dialect:
    """The kind of operations that the graphs of a format hold.

    owns: does the graph clearly hold its operations? None if that cannot be told. channels_last: where its operators
    want the channels. to_nnef, from_nnef: converters; a dialect without them is that of NNEF itself, or is not
    converted. optimizer: class. optimizer_options: options of a conversion that it follows. layout: module that removes
    transposes, with `run_layout` and `remaining_transposes`. complete_shapes: function that sets the shapes that files
    do not tell. tensor_name: from the name that users know a tensor by to its name in a graph.
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


class Runtime(NamedTuple):
    """One way to run models of a format.

    name: as `--backend` has it, and the package that has to be installed. models: what messages call such models.
    executor: class, an `Executor` of a model and, with devices, of a `device`; with kernels, the `Kernels` of a
    `GraphExecutor`, from `for_graph(graph, device)`. devices: it runs on others than the CPU. has_kernels: a Python
    function computes each operator, and a plugin may bring its own.
    """

    name: str
    models: str
    executor: str
    devices: bool = False
    has_kernels: bool = False

    @property
    def is_installed(self) -> bool:
        """Is the package there that it needs?"""
        return find_spec(self.name) is not None


@dataclass(frozen=True)
class Format:
    """A model format. extra: the optional dependencies that it needs.

    The first suffix is the one that a new file gets; files with `read_suffixes` are only read. archive_suffixes: of
    single compressed files in which a folder is written. folder_mark: the file by which a folder is known. is_magic:
    does a file begin as those of the format do? reader, writer: classes, None if there is none. reader_options,
    writer_options: options of a conversion that they follow. runtimes: what runs its models, fastest first.
    """

    name: str
    title: str
    dialect: Dialect
    suffixes: tuple[str, ...]
    read_suffixes: tuple[str, ...] = ()
    archive_suffixes: tuple[str, ...] = ()
    folder_mark: str | None = None
    is_magic: Callable[[bytes], bool] = lambda head: False
    extra: str | None = None
    reader: str | None = None
    reader_options: frozenset[str] = frozenset()
    writer: str | None = None
    writer_options: frozenset[str] = frozenset()
    runtimes: tuple[Runtime, ...] = ()


def operation_types(graph: Graph) -> set[str]:
    """The types of the operations of a graph that are of its dialect's own standard."""
    return {str(operation.type) for operation in graph.operations if not operation.custom}

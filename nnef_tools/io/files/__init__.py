"""Output that is all or nothing, and reading beside it.

What is written stands beside its target until it is complete, and comes into place together with the other outputs of
the same run. Whatever happens before that (an error, a full disk, Ctrl-C), everything stays as it was; a killed run
leaves the old or the new state, or a journal from which the next reader or writer makes the new one.
"""

from .journal import complete
from .locks import lock
from .paths import PathLike, check_path, create_file, is_stream, named_as, open_file
from .places import staging_path
from .reading import read_consistently
from .replacing import json_file, replace_file, replace_folder, transaction

__all__ = [
    "PathLike",
    "check_path",
    "complete",
    "create_file",
    "is_stream",
    "json_file",
    "lock",
    "named_as",
    "open_file",
    "read_consistently",
    "replace_file",
    "replace_folder",
    "staging_path",
    "transaction",
]

"""GraphDef files of TensorFlow, and their export from TensorFlow programs."""

from .composites import composite_function as composite_function
from .composites import replace_composites_with_py_functions as replace_composites_with_py_functions
from .composites import reset_composites as reset_composites
from .export import check_finite as check_finite
from .export import check_variables as check_variables
from .export import insert_rename_identities as insert_rename_identities
from .export import load_default_graph as load_default_graph
from .export import retain_reachables_from_outputs as retain_reachables_from_outputs
from .export import save_default_graph as save_default_graph
from .export import save_function as save_function
from .folding import export_graph_def as export_graph_def
from .folding import fold_constant_tensors as fold_constant_tensors
from .folding import import_graph_def as import_graph_def
from .folding import set_input_shapes as set_input_shapes
from .reader import Reader as Reader
from .writer import Writer as Writer

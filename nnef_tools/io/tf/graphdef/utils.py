"""Changes and checks of GraphDefs, under the name of the module that the 1.0 series had them in."""

from .export import check_finite as check_finite
from .export import check_variables as check_variables
from .export import insert_rename_identities as insert_rename_identities
from .export import retain_reachables_from_outputs as retain_reachables_from_outputs
from .folding import export_graph_def as export_graph_def
from .folding import fold_constant_tensors as fold_constant_tensors
from .folding import import_graph_def as import_graph_def
from .folding import set_input_shapes as set_input_shapes

"""Composite functions, under the name of the module that the 1.0 series had them in; see `composites.py`."""

from .composites import composite_function as composite_function
from .composites import replace_composites_with_py_functions as replace_composites_with_py_functions
from .composites import reset_composites as reset_composites

"""`python -m nnef_tools` is the command `nnef-tools`."""

import sys

from .cli.main import main

sys.exit(main())

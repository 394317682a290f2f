"""Makes `python -m nnef_tools` the command `nnef-tools`."""

import sys

from .cli.main import main

sys.exit(main())

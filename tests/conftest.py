"""For all tests: the console is made before a test sets a width, because it keeps the one it is made with."""

import os

os.environ.pop("COLUMNS", None)

import lemnis.interfaces.cli.output  # noqa: E402, F401 - see above

"""What all tests share.

A busy machine is no failure, so Hypothesis sets no deadline for an example. The console is made before a test
sets a width, because it keeps the one that it is made with.
"""

import os

from hypothesis import settings

os.environ.pop("COLUMNS", None)

import lemnis.interfaces.cli.output  # noqa: F401 - see above

settings.register_profile("lemnis", deadline=None)
settings.load_profile("lemnis")

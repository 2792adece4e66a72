"""Stage: runs scanners and reads what they say.

``run`` scans a folder, ``history`` many commits at once; ``sarif.write`` gives the result to other tools.
"""

from lemnis.scan.history import history
from lemnis.scan.runner import run

__all__ = ["history", "run"]

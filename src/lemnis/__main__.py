"""`python -m lemnis`: the command line, where no `lemnis` is on the path."""

from __future__ import annotations

from lemnis.interfaces.cli import main

main()

"""Who decides, in commands that change something."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

ActorOption = Annotated[
    str, typer.Option("--as", envvar="LEMNIS_ACTOR", metavar="NAME", help="Who decides; you unless given.")
]


def actor_name(given: str) -> str:
    """Return who acts: as given, else the account."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in many containers
        return f"uid {os.getuid()}"

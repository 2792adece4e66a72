"""Detections of what runs where software is built: out of an action's code, in a package's folder.

Builds start shells and fetch things all day. An action's own code and the scripts of packages do few things,
and those everywhere the same: what they never started before is worth a look, wherever it happens.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence

from lemnis.contracts.ids import Json
from lemnis.lessons.derive import Candidate, Row
from lemnis.lessons.sequence import SPECIAL

FIELDS = ("Image", "ParentCommandLine", "CurrentDirectory")
_ACTION = ("/_actions/",)
_PACKAGE = ("/node_modules/", "/pip-install-", "/pip-req-build-")
"""Where runners of GitHub lay actions, where npm and pip lay packages (``lemnis.graph.runners``)."""


def from_builds(logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]) -> list[Candidate]:
    """Derive which programs an action's code, or a script in a package's folder, started in the attack only.

    Rows have ``FIELDS``. One candidate for actions, one for packages.
    """
    kinds = (
        ("an action", "ParentCommandLine", _ACTION),
        ("a script in a package's folder", "CurrentDirectory", _PACKAGE),
    )
    found = []
    for who, field, marks in kinds:
        if programs := sorted(_started(attack, field, marks) - _started(other, field, marks)):
            places: Json = list(marks)
            forms: Json = [f"/{one.translate(SPECIAL)}" for one in programs]
            found.append(
                Candidate(
                    name=f"{who} starting {', '.join(programs)}",
                    logsource=logsource,
                    detection={
                        "place": {f"{field}|contains": places},
                        "program": {"Image|endswith": forms},
                        "condition": "place and program",
                    },
                    because=f"{who} started {', '.join(programs)} in the attack and never otherwise",
                )
            )
    return found


def _started(rows: Iterable[Row], field: str, marks: Sequence[str]) -> set[str]:
    """Return the programs of the rows that say in a field that they are of a place."""
    mine = (row for row in rows if any(mark in (row.get(field) or "") for mark in marks))
    return {posixpath.basename(row.get("Image") or "") for row in mine} - {""}

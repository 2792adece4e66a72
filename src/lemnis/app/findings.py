"""Scanner findings in the lake, ours and those that others sent: list and show."""

from __future__ import annotations

from lemnis import app
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.ids import Json

_TIMEOUT = 60.0
_ALL = 1_000_000
_LEVELS = tuple(level.name.lower() for level in Severity)


def listed(workspace: app.Workspace, *, severity: str = "", limit: int = 1000) -> list[dict[str, Json]]:
    """Return the newest findings, one a fingerprint and resource, each with its priority and why.

    Raises UsageError for no severity.
    """
    if severity and severity.lower() not in _LEVELS:
        raise UsageError(f"no severity {severity!r}", fix=f"one of {', '.join(_LEVELS)}")
    from lemnis.app import feedback_findings

    found: dict[tuple[Json, Json], dict[str, Json]] = {}
    for row in _rows(workspace, ""):
        if not severity or row["severity"] == severity.lower():
            found.setdefault((row["id"], row["resource"]), row)
    return feedback_findings.told(workspace, list(found.values())[:limit])


def shown(workspace: app.Workspace, fingerprint: str) -> list[dict[str, Json]]:
    """Return every state in which a finding was seen, with what is known of its vulnerability.

    Raises NotFoundError.
    """
    from lemnis.app import feedback_findings, findings_known

    rows = _rows(workspace, fingerprint)
    if not rows:
        raise NotFoundError(f"no finding {fingerprint!r}", fix="`lemnis findings list` shows them")
    return findings_known.of(feedback_findings.told(workspace, rows), workspace)


def _rows(workspace: app.Workspace, fingerprint: str) -> list[dict[str, Json]]:
    """Read the lake, the newest first; with a fingerprint only that finding.

    What was resolved is left out: gaps of traces, and what others sent (alerts by webhook, events of other
    products) where they say so.
    """
    from lemnis.scan import posture, posture_others

    lake = app.events(workspace)
    found: list[tuple[tuple[int, int], dict[str, Json]]] = []
    over: dict[tuple[Json, Json], tuple[int, int]] = {}
    for name in (name for name in posture.TABLES if name in lake.schemas()):
        which = " WHERE finding_info.uid = ?" if fingerprint else ""
        columns = "* EXCLUDE (raw_data)" if "raw_data" in lake.schemas()[name].names else "*"
        query = f'SELECT {columns} FROM "{name}"{which}'  # noqa: S608 - own names
        given = [fingerprint] if fingerprint else []
        for event in lake.query(query, limit=_ALL, timeout=_TIMEOUT, parameters=given).to_pylist():
            at = posture_others.changed(event)
            row = posture.row(event) if posture.ours(event) else posture_others.row(event)
            if posture_others.gone(event) and not fingerprint:
                key = row["id"], row["resource"]
                over[key] = max(over.get(key, at), at)
            found.append((at, row))
    left = [(at, row) for at, row in found if at > over.get((row["id"], row["resource"]), (0, 0))]
    left.sort(key=lambda one: ((-one[0][0], -one[0][1]), str(one[1]["id"]), str(one[1]["resource"])))
    return [row for _, row in left]

"""Scanner findings in the lake: list and show."""

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
    """Read the lake; with a fingerprint only that finding."""
    from lemnis.scan.posture import PROVIDER, SOURCE, TABLES, row

    lake = app.events(workspace)
    rows: list[dict[str, Json]] = []
    for name in (name for name in TABLES if name in lake.schemas()):
        ours = f"metadata.log_name = '{SOURCE}' AND metadata.log_provider = '{PROVIDER}'"
        which = " AND finding_info.uid = ?" if fingerprint else ""
        query = f'SELECT * FROM "{name}" WHERE {ours}{which}'  # noqa: S608 - own names
        given = [fingerprint] if fingerprint else []
        table = lake.query(query, limit=_ALL, timeout=_TIMEOUT, parameters=given)
        rows += [row(event) for event in table.to_pylist()]
    return sorted(rows, key=lambda one: (-int(str(one["time"])), str(one["id"]), str(one["resource"])))

"""What a gate is told beside the findings: whose service it is, and which exceptions have become void."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.content import yaml
from lemnis.content.schemas.exemption import Exemption
from lemnis.contracts.alerts import Entity
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.errors import NotFoundError
from lemnis.policy.decide import SCAN, Exempt
from lemnis.policy.document import Facts

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.contracts.findings import Finding
    from lemnis.contracts.provenance import Edge
    from lemnis.store.git import Repository

_WORST = ("low", "medium", "high", "critical")
_ALERT = "alert"
WAIVED = "gates.advisories: waive"
"""What a decision calls the settings' word that known vulnerabilities need not be looked for yet."""
_NEVER = "9999-12-30"


def facts(workspace: app.Workspace, *names: str) -> Facts:
    """Return what the assets say of a service, by the names of its repository and image.

    Several assets of one service count together: what one of them is exposed to, the service is.
    """
    from lemnis.app import assets

    wanted = {name.lower() for name in names if name}
    wanted |= {name.rpartition("/")[2].partition(":")[0] for name in wanted}
    found = [
        one.record
        for one in assets.listing(workspace, as_of=workspace.clock.now(), table="assets")
        if wanted & {one.id.lower(), *(str(service).lower() for service in one.record.get("services", ()))}
    ]
    service = next((name for name in names if name), "")
    if not found:
        return Facts(service)
    exposed = [record.get("internet_facing") for record in found]
    levels = [record["criticality"] for record in found if record.get("criticality") in _WORST]
    return Facts(
        service=service,
        owner=_first(found, "owner"),
        team=_first(found, "team"),
        environment=_first(found, "environment"),
        criticality=max(levels, key=_WORST.index, default=""),
        internet_facing=True if True in exposed else None if None in exposed else False,
        data_classes=tuple(
            sorted({str(c).lower() for record in found for c in record.get("data_classes", ())})
        ),
    )


def waived(workspace: app.Workspace) -> tuple[Exempt, ...]:
    """Return what the settings waive: known vulnerabilities, as long as no advisories were ever pulled.

    It is named among the exceptions of each decision that it changed. Advisories that are there and damaged
    are not waived.
    """
    from lemnis.app import feeds, scans, settings

    if settings.load(workspace).gates.advisories != "waive":
        return ()
    if feeds.one(feeds.folder(workspace), "osv").problem != feeds.ABSENT:
        return ()
    return (Exempt(WAIVED, SCAN, scans.VULNERABILITIES, "", _NEVER),)


def _first(records: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((str(record[name]) for record in records if record.get(name)), "")


def exceptions(
    workspace: app.Workspace,
    content: Library,
    allowed: Sequence[Exempt],
    *,
    repository: Repository | None = None,
    findings: Sequence[Finding] = (),
) -> tuple[Exempt, ...]:
    """Return exceptions with those marked void that an alert has touched since they were approved.

    An alert touches an exception when it is about one of its assets, or when an incident was traced to the
    file that it is about.
    """
    manifests = {
        name: yaml.load(item.manifest, Exemption) for name, item in content.items("exceptions").items()
    }
    dated = {name: one for name, one in manifests.items() if one.approved is not None}
    if not dated:
        return tuple(allowed)
    alerts = list(_alerts(workspace, min(_since(one) for one in dated.values())))
    if any(one.assets for one in dated.values()):
        _with_what_runs(workspace, alerts)
    traced = _traced(workspace, repository, findings, dated) if alerts and repository else {}
    return tuple(
        replace(one, void=_void(dated[one.name], alerts, traced.get(one.name, frozenset())))
        if one.name in dated
        else one
        for one in allowed
    )


def _void(one: Exemption, alerts: Sequence[dict[str, Any]], traced: frozenset[str]) -> str:
    wanted = {name.lower() for name in one.assets}
    since = _since(one)
    for alert in alerts:
        if alert["time"] < since:
            continue
        touched = sorted(wanted & _names(alert["entities"]))
        if touched:
            return f"alert {alert['id']} touched {touched[0]} on {to_iso(alert['time'])[:10]}"
        if alert["id"] in traced:
            return f"alert {alert['id']} of {to_iso(alert['time'])[:10]} was traced to this code"
    return ""


def _since(one: Exemption) -> int:
    return from_iso(one.approved.isoformat()) if one.approved else 0


def _names(entities: Iterable[str]) -> set[str]:
    """Return what alerts call entities: ``kind:value``, the value, and the service in an image's name."""
    names = set()
    for entity in entities:
        whole = str(entity).lower()
        value = whole.partition(":")[2]
        names |= {whole, value, value.rpartition("/")[2].partition(":")[0].partition("@")[0]}
    return names - {""}


def _alerts(workspace: app.Workspace, since: int) -> Iterator[dict[str, Any]]:
    """Yield id, time and entities of the alerts that were written down since an instant."""
    for entry in app.journal(workspace).entries(kind=_ALERT):
        if entry.at >= since:
            payload: Mapping[str, Any] = entry.payload
            yield {
                "id": entry.subject,
                "time": int(payload.get("time", 0)),
                "entities": list(payload.get("entities", ())),
            }


def _with_what_runs(workspace: app.Workspace, alerts: Sequence[dict[str, Any]]) -> None:
    """Add to the entities of alerts what these are made of: a container's image, commit, repository."""
    from lemnis.app.feedback_live import RUNNING, Living

    look = Living(workspace)
    for alert in alerts if look.knows else ():
        known = (Entity.parse(str(one)) for one in alert["entities"])
        running = [one for one in known if one.kind in RUNNING]
        alert["entities"] += [f"runs:{name}" for _, name in look.called(running, alert["time"])]


def _traced(
    workspace: app.Workspace,
    repository: Repository | None,
    findings: Sequence[Finding],
    exemptions: dict[str, Exemption],
) -> dict[str, frozenset[str]]:
    """Return the alerts whose incidents were traced to the file that each exception is about."""
    from lemnis.graph.store import Graph

    if repository is None:
        return {}
    graph = Graph(app.engine(workspace))
    paths = {f.fingerprint: f.path for f in findings}
    lines = [edge for edge in graph.related("has_line") if _knows(repository, edge.source.value)]
    behind: dict[str, frozenset[str]] = {}
    found = {}
    for name, one in exemptions.items():
        mine = [
            edge.target
            for edge in lines
            if paths.get(one.fingerprint) == (place := _place(edge)).rpartition(":")[0]
            or (one.where and fnmatchcase(place, one.where))
        ]
        for line in mine:
            behind.setdefault(line.value, graph.alerts_behind(line))
        found[name] = frozenset().union(*(behind[line.value] for line in mine))
    return found


def _place(edge: Edge) -> str:
    """Return the file and line that an edge to a line of source leads to."""
    return str(edge.evidence.get("file") or edge.target.value)


def _knows(repository: Repository, commit: str) -> bool:
    try:
        return repository.resolve(commit) == commit
    except NotFoundError:
        return False

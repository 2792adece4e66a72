"""What is known of the vulnerability of a finding: as its tool told it, and what the data here say now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lemnis import app
from lemnis.app import feeds, vulnerabilities, vulnerabilities_explain
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.ids import Json

_FACTS = ("cvss", "epss", "kev", "ssvc", "vex")


def known(workspace: app.Workspace, told: Mapping[str, Any]) -> dict[str, Json]:
    """Return a vulnerability of ``store`` with what the feeds and the operator's VEX add to it today.

    ``cvss``, ``epss``, ``kev``, ``ssvc`` and ``vex`` are None where nobody says anything. ``now`` names those
    that are today's; the others are as the tool told them. The service is not asked for: SSVC's answers that
    depend on it are those of an unknown one, and marked as assumed.
    """
    fresh = _explained(workspace, told) or _catalogued(workspace, told)
    today = {name: fresh[name] for name in _FACTS if fresh.get(name) is not None}
    return {**told, **today, "now": sorted(today)}


def _explained(workspace: app.Workspace, told: Mapping[str, Any]) -> dict[str, Json]:
    """Ask the advisories; nothing where none of them knows the package and the vulnerability."""
    for name in told["ids"]:
        try:
            found = vulnerabilities_explain.explain(workspace, str(told["purl"]), vulnerability=str(name))
        except LemnisError:
            continue  # no package URL with a version, or no advisory: the catalogues may still know the name
        if found.assessed:
            said = vulnerabilities_explain.document(found.assessed[0])
            kev = {"exploited": True, **said["kev"]} if isinstance(said["kev"], dict) else None
            looked = {"exploited": False} if said["kev_looked"] else None
            return {**said, "kev": kev or looked, "vex": _statement(said["vex"])}
    return {}


def _catalogued(workspace: app.Workspace, told: Mapping[str, Any]) -> dict[str, Json]:
    """Ask CISA's catalogue, EPSS and the operator's VEX for the vulnerability by its names alone."""
    from lemnis.scan import exploitation
    from lemnis.scan.vex_statements import applying

    names = set(map(str, told["ids"]))
    here = {one.name: one for one in feeds.known(feeds.folder(workspace))}
    found: dict[str, Json] = {}
    if here["kev"].manifest:
        listed = list(exploitation.exploited(here["kev"].path, names).values())
        found["kev"] = {"exploited": False}
        if listed:
            one = listed[0]
            found["kev"] = {
                "exploited": True, "added": one.added, "due": one.due, "ransomware": one.ransomware,
            }  # fmt: skip
    if here["epss"].manifest:
        likely = exploitation.likely(here["epss"].path, names).values()
        worst = max(likely, key=lambda one: one.score, default=None)
        found["epss"] = {"score": worst.score, "percentile": worst.percentile} if worst else None
    statements, _ = vulnerabilities.vex_of(workspace)
    said = applying(statements, tuple(map(str, told["ids"])), purl=str(told["purl"]), refs=(), subject=())
    found["vex"] = str(said) if said is not None else None
    return found


def _statement(said: Any) -> Json:
    if not isinstance(said, dict):
        return None
    why = said["justification"] or said["detail"]
    return f"{said['status']}: {why}" if why else str(said["status"])


def lines(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what people are told of a vulnerability, as names and words."""
    yield "vulnerability", ", ".join(map(str, said["ids"]))
    yield "package", str(said["purl"] or "unknown")
    yield "fixed in", ", ".join(map(str, said["fixed_in"])) or "no version is told"
    cvss, epss, kev, ssvc = (said[name] for name in ("cvss", "epss", "kev", "ssvc"))
    yield "CVSS", f"{cvss['score']} {cvss['vector']}".strip() if cvss else "unknown"
    yield "EPSS", _likely(epss) if epss else "unknown"
    yield "KEV", _exploited(kev) if kev else "unknown"
    yield "SSVC", str(ssvc["decision"]) if ssvc and ssvc["decision"] else "unknown"
    for point in (ssvc or {}).get("path", ()):
        assumed = " (assumed)" if point["assumed"] else ""
        yield f"  {point['point']}", f"{point['value']}{assumed}: {point['why']}"
    yield "VEX", str(said["vex"] or "nobody says anything")


def _likely(epss: Mapping[str, Any]) -> str:
    more = f", more than {epss['percentile']:.1%} of all" if epss.get("percentile") is not None else ""
    return f"{epss['score']:.2%} within 30 days{more}"


def _exploited(kev: Mapping[str, Any]) -> str:
    if not kev["exploited"]:
        return "not in the catalogue"
    dates = f"; in the catalogue since {kev['added']}, due {kev['due']}" if kev.get("added") else ""
    return f"exploited{', by ransomware too' if kev.get('ransomware') else ''}{dates}"


def of(rows: Sequence[Mapping[str, Any]], workspace: app.Workspace) -> list[dict[str, Json]]:
    """Return rows of findings with all that is known of their vulnerabilities; others as they are."""
    looked: dict[str, dict[str, Json]] = {}
    found: list[dict[str, Json]] = []
    for row in rows:
        told = row["vulnerability"]
        if isinstance(told, dict):
            key = repr(told)
            if key not in looked:
                looked[key] = known(workspace, told)
            found.append({**row, "vulnerability": looked[key]})
        else:
            found.append(dict(row))
    return found

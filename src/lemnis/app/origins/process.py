"""From a process in a container to the line of its service's code that let it be started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lemnis.app import trace_code
from lemnis.app.origins import code, image
from lemnis.app.origins.base import Asked, Chain, Source, hops, line_entity, noted
from lemnis.app.origins.code import End, Place
from lemnis.app.origins.image import Begun
from lemnis.contracts.errors import InputError
from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.provenance import Edge
from lemnis.graph import code_edges
from lemnis.graph.code import history
from lemnis.graph.code import lines as code_lines
from lemnis.graph.code.lines import Found
from lemnis.graph.connections import NETWORK_ACTIVITY
from lemnis.graph.source_line import Located, locate, read
from lemnis.lessons.prevent.base import Flow, Traced
from lemnis.lessons.prevent.observed import flow


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a container that alerts saw a process in."""
    return [_chain(asked, one) for one in image.begun(asked)]


def _chain(asked: Asked, begun: Begun) -> Chain:
    """Follow one container's chain to its end."""
    edges, ended = list(begun.edges), None
    if begun.build is not None:
        more, ended = _code(asked, begun, begun.build.repository, begun.build.commit)
        edges += more
    source = ended.source if ended else None
    return Chain(
        begin=begun.first.entity,
        alert=begun.first.alert,
        hops=hops(edges),
        source=source,
        facts=replace(facts(source), flow=_flow(asked, begun)) if source else Traced(unproven=begun.unproven),
        alerts=begun.alerts,
        first=begun.first,
        others=len(begun.group) - 1,
        behind=begun.behind,
        beside=ended.beside if ended else (),
    )


def facts(source: Source) -> Traced:
    """Return what a line of code says of a cause: its findings and its text."""
    located = source.located
    return Traced(located.findings, located.path, located.line, source.text)


def _flow(asked: Asked, begun: Begun) -> Flow | None:
    """Return the way that a connection took which the alerts are about, out of a pod."""
    container = begun.first.container
    if container is None or "/" not in container.workload:
        return None  # a namespace is what a cluster's containers have
    for event in asked.named():
        if event.kind == NETWORK_ACTIVITY and set(event.alerts) & set(begun.alerts):
            port = event.get("dst_endpoint.port")
            row = {"DestinationIp": event.get("dst_endpoint.ip"), "DestinationPort": str(port or "")}
            if (found := flow(row, "cluster")) is not None:
                return found
    return None


def _code(asked: Asked, begun: Begun, repository: str, commit: str) -> tuple[list[Edge], End | None]:
    """Return the hops in the code: line, introducing commit, owner."""
    here = begun.edges[-1].target
    try:
        place = code.place(asked, repository, commit)
    except InputError as error:
        return [code.broken(here, "repository", str(error))], None
    source = code_lines.Source(place.files)
    found = find(asked, begun, place, source)
    if found is None:
        reason = place.trouble or "no scanner reports anything in this commit"
        why = (reason, "no route or stack trace leads to a line", source.unread)
        return [code.broken(here, "findings", "; ".join(filter(None, why)))], None
    located = found.located
    rewritten, copies = history.deployed(place.repository, place.commit)
    text = place.text(
        located.path, located.line, max((f.end_line for f in located.findings), default=located.line)
    )
    target = line_entity(place.name, located.path, located.line)
    edge = noted(
        code_edges.line(here, target, located, text, begun.behind),
        scanners=place.trouble, notes=list(found.notes), events=list(found.events), rewritten=rewritten,
        copies=list(copies), route=found.route,
    )  # fmt: skip
    ended = code.end(asked, place, target, located)
    return [edge, *ended.edges], ended


def find(asked: Asked, begun: Begun, place: Place, source: code_lines.Source | None = None) -> Found | None:
    """Ask findings in code, stack traces and routes for the line; None where nothing leads to one."""
    source = source or code_lines.Source(place.files)
    findings = [one for one in place.findings if one.kind is Kind.CODE]
    commands = [link.command for link in asked.scene.inside(begun.first)]
    requests = [(one.request.verb, one.request.path) for one in begun.behind]
    logged = trace_code.logged(asked.lake, begun.first, begun.behind)
    located = _located(place, [path for _, path in requests], findings, commands)
    return source.find(located, requests, findings, logged)


def _located(
    place: Place, paths: Sequence[str], findings: Sequence[Finding], commands: Sequence[str]
) -> Located | None:
    return locate(read(place.files.items()), paths, findings, commands)

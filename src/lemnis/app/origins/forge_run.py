"""From what a forge tells of a run of a workflow to the line of the workflow that scanners think worst of.

An alert on such an event (a stranger's change was run with secrets) says which workflow ran, not which line
of it let that happen: the line is a likeness of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lemnis.app.origins import code
from lemnis.app.origins.base import Asked, Chain, Event, hops, noted
from lemnis.app.origins.workflow_run import triggered, whole
from lemnis.contracts.errors import InputError
from lemnis.contracts.findings import Kind
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.code import forges
from lemnis.graph.code.forges import Ran
from lemnis.lessons.prevent.base import Traced


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a run that alerts' own events tell of, if scanners find anything in its workflow."""
    named = [one for one in asked.named() if one.kind == forges.API_ACTIVITY and one.source in forges.SOURCES]
    if not named:
        return []
    told = forges.of_lake(asked.lake, named[0].at, named[-1].at + 1)
    by = {one.uid: one for one in told.ran}
    groups: dict[str, list[Event]] = {}
    for event in named:
        if (ran := by.get(event.uid)) is not None and ran.commit:
            groups.setdefault(ran.run.value, []).append(event)
    found = (_chain(asked, whole(told.ran, by[group[0].uid]), group) for group in groups.values())
    return [chain for chain in found if chain is not None]


def _chain(asked: Asked, ran: Ran, group: Sequence[Event]) -> Chain | None:
    ids = tuple(dict.fromkeys(one for event in group for one in event.alerts))
    alert = asked.alert(ids)
    edge = noted(triggered(ran), alert=alert.id, rule=alert.title)
    try:
        place = code.place(asked, ran.repository, ran.commit)
    except InputError as error:
        return _told(asked, ids, ran, [edge, code.broken(edge.target, "repository", str(error))])
    inside = [
        one for one in place.findings if one.path == ran.workflow and one.kind is Kind.CONFIG and one.line
    ]
    if not inside:
        return None  # nothing leads on: no more than that it ran is known
    worst = max(inside, key=lambda one: (one.severity, -one.line))
    to_line, located = code.line(
        edge.target, place, worst.path, worst.line, method="gravest_finding", strength=Strength.NAME_MATCH
    )
    ended = code.end(asked, place, to_line.target, located)
    source = ended.source
    facts = Traced(located.findings, located.path, located.line, source.text)
    chain = _told(asked, ids, ran, [edge, to_line, *ended.edges])
    return replace(chain, source=source, facts=facts, beside=ended.beside)


def _told(asked: Asked, ids: tuple[str, ...], ran: Ran, edges: Sequence[Edge]) -> Chain:
    return Chain(ran.run, asked.alert(ids), hops(edges), None, alerts=ids)

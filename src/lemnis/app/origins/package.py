"""From a process in a container to the line that brought in the vulnerable package which it came by.

That a package is vulnerable is no reason: most services have some. It is taken where something says that the
attack went through it (a stack trace in it, a request that speaks the advisory's words, an address that such
a request named and the container then connected to), and counts for little where one's own code explains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lemnis.app import trace_code
from lemnis.app.origins import code, image, process
from lemnis.app.origins.base import Asked, Chain, hops, noted
from lemnis.app.origins.code import Place
from lemnis.app.origins.image import Begun
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError
from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.code.lines import LEADS, Found, Logged
from lemnis.graph.code.packages import inner, shared, through, words
from lemnis.graph.code.stacktraces import Files, Frame
from lemnis.graph.connections import sent
from lemnis.graph.requests import AFTER, BEFORE, Behind, Request, values
from lemnis.lessons.prevent.base import Traced


@dataclass(frozen=True, slots=True)
class _Sign:
    """What speaks for a vulnerable package: a stack trace in it, requests in its words, addresses reached."""

    finding: Finding
    frame: str
    logged: Logged | None
    requests: tuple[tuple[Request, tuple[str, ...]], ...]
    reached: tuple[Behind, ...]

    @property
    def exploited(self) -> bool:
        """Say whether the vulnerability is known to be exploited."""
        about = self.finding.vulnerability
        return about is not None and about.exploited is True

    @property
    def strength(self) -> Strength:
        """How far the signs can be trusted; BROKEN where nothing ties the package to the attack."""
        tie = self.logged.tie if self.logged else Strength.BROKEN
        if tie >= Strength.LABEL:
            return min(tie, Strength.RECORDED)
        if self.requests and (self.reached or self.exploited):
            return Strength.LABEL
        return Strength.NAME_MATCH if self.requests else tie

    @property
    def events(self) -> tuple[str, ...]:
        """The events that speak for it."""
        requests = [one.uid for one, _ in self.requests] + [one.request.uid for one in self.reached]
        return tuple(dict.fromkeys([*requests, *(one.connection for one in self.reached)]))

    @property
    def weight(self) -> tuple[Strength, int, bool, int]:
        """Say how much speaks for it, to compare."""
        return self.strength, len(self.requests), self.exploited, self.finding.severity


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a container whose image has a vulnerable package that the attack leads to."""
    return [chain for one in image.begun(asked) if (chain := _chain(asked, one)) is not None]


def _chain(asked: Asked, begun: Begun) -> Chain | None:
    if begun.build is None or begun.image is None:
        return None  # where the chain breaks, the process's own says
    try:
        place = code.place(asked, begun.build.repository, begun.build.commit)
    except InputError:
        return None
    signs = _signs(asked, begun, place)
    if not signs:
        return None
    best, own = signs[0], process.find(asked, begun, place)
    explained = _explained(best, begun.behind, own)
    rivals = {_purl(one) for one in signs if one.strength == best.strength} - {_purl(best)}
    if own is not None and not explained and (rivals or best.strength is Strength.NAME_MATCH):
        return None  # a likeness of names, and one's own code is as likely
    edge, located = code.line(
        begun.edges[-1].target, place, best.finding.path, best.finding.line, method="vulnerable_package",
        strength=best.strength, findings=(best.finding,),
    )  # fmt: skip
    doubts = [*explained, *([f"as much speaks for {', '.join(sorted(rivals))}"] if rivals else [])]
    edge = noted(edge, **_told(best), notes=list(doubts))
    if doubts:
        edge = replace(edge, strength=Strength.NAME_MATCH)
    ended = code.end(asked, place, edge.target, replace(located, strength=edge.strength))
    return Chain(
        begin=begun.first.entity,
        alert=begun.first.alert,
        hops=hops([*begun.edges, edge, *ended.edges]),
        source=ended.source,
        facts=Traced((best.finding,), best.finding.path, best.finding.line, ended.source.text),
        alerts=begun.alerts,
        events=best.events,
        first=begun.first,
        others=len(begun.group) - 1,
        behind=begun.behind,
        beside=(*ended.beside, *_about(begun.image, best.finding)),
    )


def _signs(asked: Asked, begun: Begun, place: Place) -> list[_Sign]:
    """Return what speaks for each vulnerable package that a file of the commit lists, the most first."""
    listed = [
        one
        for one in place.findings
        if one.vulnerability is not None and one.path in place.files and one.line and one.suppression is None
    ]
    if not listed:
        return []
    scene, first = asked.scene, begun.first
    near = [one for one in scene.requests if -AFTER <= first.at - one.at <= BEFORE]
    plain = (value for one in scene.requests for value in values(one.query) if not _strange(value))
    ordinary = {word for value in plain for word in words(value)}
    paths = Files(place.files)
    logged = [
        (one, inner(one.stack, paths.own)) for one in trace_code.logged(asked.lake, first, begun.behind)
    ]
    reached = tuple(sent(first.process, scene.reached(first), near))
    found = [_sign(one, near, ordinary, logged, reached) for one in listed]
    told = [one for one in found if one.strength is not Strength.BROKEN]
    return sorted(told, key=lambda one: one.weight, reverse=True)


def _sign(
    finding: Finding,
    near: Sequence[Request],
    ordinary: set[str],
    logged: Sequence[tuple[Logged, Sequence[Frame]]],
    reached: tuple[Behind, ...],
) -> _Sign:
    purl = finding.vulnerability.purl if finding.vulnerability else ""
    passed = [(one, frame) for one, frames in logged if (frame := through(frames, purl)) is not None]
    best, frame = max(passed, key=lambda one: one[0].tie, default=(None, None))
    frames = " ".join(one.function for _, one in passed)
    told = " ".join((finding.title.partition(":")[2], finding.message, frames))
    spoken = [
        (one, found)
        for one in near
        if (
            found := shared(" ".join(value for value in values(one.query) if _strange(value)), told, ordinary)
        )
    ]
    return _Sign(finding, frame.function if frame else "", best, tuple(spoken), reached)


def _strange(value: str) -> bool:
    """Say whether a value is more than words and numbers."""
    return any(not (character.isalnum() or character.isspace() or character in "-._") for character in value)


def _explained(best: _Sign, behind: Sequence[Behind], own: Found | None) -> list[str]:
    """Say which line of one's own code explains it, if something of the attack leads there."""
    asked = max((one.strength for one in behind), default=Strength.NAME_MATCH)
    if own is None or min(own.located.strength, asked) <= Strength.NAME_MATCH:
        return []
    located = own.located
    leads = located.method in LEADS or (located.method == "stack_trace" and best.logged is None)
    return [f"{located.path}:{located.line} of own code explains it ({located.method})"] if leads else []


def _told(sign: _Sign) -> dict[str, Json]:
    """Return what speaks for a package as evidence."""
    about = sign.finding.vulnerability
    return {
        "package": _purl(sign),
        "vulnerability": list(about.ids) if about else [],
        "exploited": sign.exploited,
        "stack_trace": {"event": sign.logged.uid, "frame": sign.frame} if sign.logged else None,
        "requests": [
            {"event": one.uid, "path": one.path, "client": one.client, "words": list(found)}
            for one, found in sign.requests
        ],
        "reached": [
            {"event": one.connection, "address": one.text, "request": one.request.uid} for one in sign.reached
        ],
    }


def _about(running: Entity, finding: Finding) -> list[Edge]:
    """Return what is known beside: that the image has the package, and what affects it."""
    about = finding.vulnerability
    if about is None:
        return []
    package = Entity(EntityKind.PACKAGE, about.purl)
    facts: dict[str, Json] = {"file": f"{finding.path}:{finding.line}"}
    return [
        Edge(running, package, "contains", "lock_file", Strength.RECORDED, facts),
        Edge(
            Entity(EntityKind.VULNERABILITY, about.ids[0]), package, "affects", "advisory", Strength.RECORDED,
            {"exploited": about.exploited, "fixed_in": list(about.fixed_in)},
        ),
    ]  # fmt: skip


def _purl(sign: _Sign) -> str:
    return sign.finding.vulnerability.purl if sign.finding.vulnerability else ""

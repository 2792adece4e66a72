"""From where an incident came: its trace to the line of code and its owner, hop by hop with proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import trace as tracing
from lemnis.app.access import naming
from lemnis.app.trace import Trace
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import NotFoundError
from lemnis.interfaces.api.turns import Turn
from lemnis.interfaces.web import site
from lemnis.interfaces.web.incident_known import known
from lemnis.interfaces.web.keeping import Kept

# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HopShown:
    """A hop of a trace: what leads to what, how that is known, how strongly, and the proof."""

    relation: str
    target: Entity
    method: str
    strength: str
    broken: str
    proof: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ChainShown:
    """A chain: from where, its hops, whether it holds, and what it ends in."""

    start: Entity | None
    hops: tuple[HopShown, ...]
    holds: bool
    line: str
    owner: str


def chains(found: Trace) -> list[ChainShown]:
    """Return a trace for people. Pure."""
    return [
        ChainShown(
            chain.hops[0].edge.source if chain.hops else None,
            tuple(
                HopShown(
                    hop.edge.relation,
                    hop.edge.target,
                    hop.edge.method,
                    hop.edge.strength.name.lower(),
                    hop.broken,
                    tuple(
                        (name, _proof(value))
                        for name, value in hop.edge.evidence.items()
                        if value not in ("", [], None)
                    ),
                )
                for hop in chain.hops
            ),
            chain.holds,
            f"{chain.source.located.path}:{chain.source.located.line}" if chain.source else "",
            chain.source.owner if chain.source else "",
        )
        for chain in found.chains
    ]


def _proof(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        told = ", ".join(_proof(one) for one in value[:_FEW])
        return f"{told} and {len(value) - _FEW} more" if len(value) > _FEW else told
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_proof(one)}" for key, one in list(value.items())[:_FEW])
    return str(value)


_FEW = 6


def walked(found: Iterable[ChainShown]) -> set[str]:
    """Return whom a trace names, as entities: what it leads to, and who wrote what it leads over. Pure."""
    people: set[str] = set()
    for chain in found:
        for hop in chain.hops:
            people.add(str(hop.target))
            people |= naming.addressed([chain.owner, hop.broken, *(value for _, value in hop.proof)])
            if hop.relation == "authored_by":
                people |= {f"person:{value}" for name, value in hop.proof if name == "name"}
    return people


# -- the page ----------------------------------------------------------------------------------------------


def trace(request: Request) -> Response:
    """Show from where an incident came: to the line of code and its owner.

    It takes a while to look for: a page that has it not at hand loads it as its part.
    """
    here = site.at(request)
    one = known(request).incident
    last = here.board.last(one)
    kept: Kept[Trace] = here.keep(
        f"trace:{one.id}:{last}", lambda: tracing.trace(here.workspace, one.id), 600
    )
    why, found, waits = "", [], _turn(request) is Turn.PAGE and not kept.there
    try:
        found = [] if waits else chains(kept.get())
    except NotFoundError as error:
        why = str(error)
    site.see(request, {*map(str, one.entities), *walked(found)}, about=one.id)
    part = request.query_params.get("part") == "1"
    return here.page(
        request,
        "trace_part.html" if part else "trace.html",
        title=f"Trace of {one.title}",
        here="/queue",
        one=one,
        chains=found,
        why=why,
        waits=waits,
    )


def _turn(request: Request) -> Turn:
    """Return what kind of work it is: the page alone looks for nothing, unless all of it is asked for."""
    return Turn.DEAR if {"part", "whole"} & request.query_params.keys() else Turn.PAGE


ROUTES = (site.shows("/incident/{id}/trace", trace, "incident.read", _turn),)

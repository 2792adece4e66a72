"""What belongs to one detection: its versions with what differs, its noise and what would help, its tests."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import exceptions_saving, noise, noise_rule, rules_versions, trying
from lemnis.app.access import naming
from lemnis.app.board import View
from lemnis.app.noise_rule import Cost, Week
from lemnis.app.rules_versions import Line, RuleVersion
from lemnis.app.trying import Compared
from lemnis.content import yaml
from lemnis.content.library import Item
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import AccessError, ContentError, UsageError
from lemnis.detect.rules import load_rules
from lemnis.incidents import entries
from lemnis.interfaces.web import detections, site
from lemnis.interfaces.web.asked_lake import tries
from lemnis.interfaces.web.editor import DAYS
from lemnis.interfaces.web.forms import Form

_REAL = 2_000
_DAYS, _LONGEST = 90, 80
"""For how many days an exception is proposed, and how long its name may be."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Two versions beside each other, and the lines that differ."""

    before: RuleVersion
    after: RuleVersion
    lines: tuple[Line, ...]


def chosen(known: Sequence[RuleVersion], before: str, after: str) -> Chosen | None:
    """Return the two versions that an address names, else the newest two; None if there is but one.

    Raises NotFoundError for one that there is not. Pure.
    """
    if before or after:
        old = rules_versions.version(known, before) if before else known[-1]
        new = rules_versions.version(known, after) if after else known[0]
    elif len(known) > 1:
        old, new = known[1], known[0]
    else:
        return None
    return Chosen(old, new, tuple(rules_versions.difference(old.text, new.text)))


def versions(request: Request) -> Response:
    """Show what a detection was, what differs between two versions, and what either would have told."""
    here, name = site.at(request), request.path_params["name"]
    known = rules_versions.versions(here.workspace, name, journal=request.state.access.journal)
    asked = request.query_params
    pair = chosen(known, asked.get("a", ""), asked.get("b", ""))
    days, found, wrong = asked.get("days", "7"), None, ""
    if days not in DAYS:
        raise UsageError("versions are compared over a day to a year")
    if asked.get("replay") and pair is not None:
        person = site.whose(request)
        with here.slots.taken(person.id if person is not None else ""):
            found, wrong = _replayed(request, pair, float(days))
    examples = (
        [] if found is None else [a for d in found.differences for a in (*d.gone_examples, *d.added_examples)]
    )
    authors = {who for one in known if one.how == "committed" for who in naming.author(one.by)}
    site.see(
        request, {*authors, *(entity for one in examples for entity in one.entities)}, about=name,
        also=frozenset[str]().union(*(site.personal_in(request, one.event) for one in examples)),
    )  # fmt: skip
    return here.page(
        request, "versions.html", title=f"Versions of {name}", here="/detections", name=name, known=known,
        current=rules_versions.current(known, here.library, name), pair=pair, days=days, spans=DAYS,
        found=found, wrong=wrong, there=name in here.library.items("detections"),
    )  # fmt: skip


def _replayed(request: Request, pair: Chosen, days: float) -> tuple[Compared | None, str]:
    """Replay both versions; of those that cannot be, say why."""
    here, both = site.at(request), (pair.before.text, pair.after.text)
    try:
        seen = tries(request, *both)
        return trying.compared(here.workspace, here.library, *both, days=days, lake=seen), ""
    except (AccessError, ContentError) as error:
        return None, f"{error.what}. {error.fix}" if error.fix else error.what


def noisy(request: Request) -> Response:
    """Show what came of a detection's alerts, its exceptions, and those that would help."""
    here, name = site.at(request), request.path_params["name"]
    item, person = here.library.get("detections", name), site.whose(request)
    now, found = here.workspace.clock.now(), None
    keys = _keys(item)
    view = site.eyes(request).view(here.board.look())
    if request.query_params.get("look"):
        real = _real(request, view, keys)
        seen = tries(request, yaml.read_text(item.manifest))
        hides = None if here.purpose(request) else here.personal(request).hides(here.library)
        with here.slots.taken(person.id if person is not None else ""):
            found = noise_rule.cost(
                here.workspace, here.library, item, owner=site.actor(request), real=real, lake=seen,
                hides=hides,
            )  # fmt: skip
    site.see(request, _named(found) if found is not None else (), about=name)
    return here.page(
        request, "noise.html", title=f"Noise of {name}", here="/detections", name=name, now=now,
        weeks=weeks(view, keys, now), over=noise_rule.over(here.library, item), found=found,
        rate=rates(found) if found is not None else (),
        called={one.text: called(name, one.entity) for one in found.proposals} if found is not None else {},
        until=datetime.fromtimestamp(now / 1000, UTC).date() + timedelta(days=_DAYS),
    )  # fmt: skip


def called(detection: str, entity: Entity) -> str:
    """Return what an exception may be called. Pure."""
    about = re.sub(r"[^a-z0-9]+", "_", f"{entity.kind} {entity.value}".lower()).strip("_")
    return f"{detection}_not_for_{about}"[:_LONGEST].rstrip("_")


def except_(request: Request, form: Form) -> Response:
    """Keep an exception from a detection, or propose it."""
    here, of = site.at(request), request.path_params["name"]
    name, text = form.get("name", "").strip(), form.get("text", "")
    told: Mapping[str, str] = {
        "of": of, "until": form.get("until", ""), "why": form.get("reason", ""), "actor": site.actor(request),
    }  # fmt: skip
    where = f"/detection/{quote(of)}/noise"
    if form.get("do") == "propose":
        branch = exceptions_saving.propose(here.workspace, name, text, **told)
        said = f"On the branch {branch}: nothing that runs was changed. Merge it when it was reviewed."
        return site.back(request, where, "The exception is proposed", said)
    path = exceptions_saving.save(here.workspace, name, text, **told)
    here.forget("library")
    kept = path.relative_to(here.workspace.root.resolve())
    return site.back(request, where, "The exception is kept", f"{kept}: commit it, so that others see it.")


def _named(found: Cost) -> set[Entity]:
    """Return what the alerts are about: people among them may stand in what is proposed of others."""
    return {entity for one in found.noise for entity in one.entities}


def rates(found: Cost) -> tuple[tuple[str, int, str], ...]:
    """Return of each rule its title, its alerts, and how many that is a week. Pure."""
    return tuple((one.rule.title, one.alerts, f"{one.week.rate:,.3g}") for one in found.noise)


def weeks(view: View, keys: Collection[str], now: int) -> list[Week]:
    """Return the alerts of the last weeks with what came of them. Pure."""
    loose = [alone.group for alone in view.loose]
    return noise_rule.weeks((one.incident for one in view.standings), loose, keys, now)


def _keys(item: Item) -> frozenset[str]:
    """Return what alerts call the rules of a detection."""
    loaded = load_rules([item.manifest])
    return frozenset(one.id or one.title for one in loaded.rules) | {
        one.id or one.title for one in loaded.correlations
    }


def _real(request: Request, view: View, keys: Collection[str]) -> frozenset[str]:
    """Return the events of a rule's alerts in incidents that are open or were judged real."""
    journal = request.state.access.journal
    names = [
        name
        for one in view.standings
        if one.incident.open or one.incident.verdict in noise.PROTECTED
        for group in one.incident.groups
        if group.rule_id in keys
        for name, _ in group.alerts
    ][:_REAL]
    known = [entry for one in names if (entry := journal.get(one)) is not None]
    return frozenset(uid for one in known for uid in entries.read_alert(one, whole=False).event_uids)


def test(request: Request, _form: Form) -> Response:
    """Run a detection's tests again."""
    here = site.at(request)
    item = here.library.get("detections", request.path_params["name"])
    detections.forget_tests(here, item)
    found = detections.tested(here, item)
    right = sum(one.passed for one in found.results)
    told = (
        found.trouble
        or f"{right} of {len(found.results)} cases went as they should, in {found.seconds:.2f} s."
    )
    kind = "fine" if found.passed else "bad"
    title = "The tests pass" if found.passed else "The tests failed"
    return site.back(request, f"/detection/{item.name}", title, told, kind=kind)


ROUTES = (
    site.shows("/detection/{name}/versions", versions, "rule.read"),
    site.shows("/detection/{name}/noise", noisy, "rule.read"),
    site.does("/detection/{name}/except", except_, "rule.change"),
    site.does("/detection/{name}/test", test, "rule.read"),
)

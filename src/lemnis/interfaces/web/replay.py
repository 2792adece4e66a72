"""Gate replay: what a changed policy would have decided, or what today's content makes of what was decided.

Whoever sees gates sees a replay that was made; to begin one takes what trying rules on past events takes, as
it scans every commit. It goes on beside the page while somebody looks at it. A changed text is kept by its
digest, so that the address of a replay says all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import gate_trial, gates, policies, scans, settings
from lemnis.app.access import naming
from lemnis.app.access.people import demand, may
from lemnis.app.gate_trial import Change, Outcome, Tried
from lemnis.contracts.errors import LemnisError, NotFoundError, UsageError
from lemnis.contracts.findings import Effect, Reason
from lemnis.contracts.ids import digest
from lemnis.interfaces.web import replay_drawing, site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.running import Works
from lemnis.interfaces.web.words import query
from lemnis.policy.decide import Policy
from lemnis.policy.document import IMAGE_STAGES

MAY = "rule.change"
"""What it takes to begin a replay."""
STAGES = (*gates.COMMIT_STAGES, *IMAGE_STAGES)
LAST = (20, 50, 100, 200, 500)
EFFECTS: Mapping[str, str] = {
    "": "as it is", "deny": "refuses", "warn": "only warns", "off": "is switched off",
}  # fmt: skip
SHOWN, _MOST_DRAFTS = 200, 200


@dataclass(frozen=True, slots=True)
class Choice:
    """What is replayed: a stage, the last of a repository's commits, what is tried; all in the address."""

    stage: str = "build"
    repository: str = ""
    last: int = 50
    policy: str = ""
    effect: str = ""
    draft: str = ""

    @property
    def images(self) -> bool:
        """Say whether it is about images."""
        return self.stage in IMAGE_STAGES

    @property
    def tries(self) -> bool:
        """Say whether a change is tried."""
        return bool(self.policy and (self.effect or self.draft))

    @property
    def address(self) -> str:
        """The query of its address."""
        return query({
            "stage": self.stage, "repository": "" if self.images else self.repository, "last": self.last,
            "policy": self.policy, "effect": self.effect if self.policy else "",
            "draft": self.draft if self.policy else "",
        })  # fmt: skip


def chosen(given: Mapping[str, str], repositories: Sequence[str]) -> Choice:
    """Read what an address or a form asks for; what it cannot be is the usual. Pure."""
    stage = given.get("stage", "")
    last = given.get("last", "")
    repository = given.get("repository", "")
    draft = given.get("draft", "")
    effect = given.get("effect", "")
    return Choice(
        stage if stage in STAGES else "build",
        repository if repository in repositories else next(iter(repositories), ""),
        int(last) if last in map(str, LAST) else 50,
        given.get("policy", "")[:100],
        effect if effect in EFFECTS else "",
        draft if len(draft) == 64 and draft.isalnum() and draft.isascii() else "",  # noqa: PLR2004 - of SHA-256
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A replay as a page shows it: what changed, the counts, and pictures of before and after."""

    changed: Sequence[Outcome]
    more: int
    total: int
    stopped: int
    freed: int
    mended: int
    stays: int


def shown(found: Tried) -> Shown:
    """Return what a replay comes to. Pure."""
    changed = [one for one in reversed(found.outcomes) if one.changed]
    stopped = [one for one in changed if one.after is Effect.DENY]
    return Shown(
        changed[:SHOWN], max(0, len(changed) - SHOWN), len(found.outcomes), len(stopped),
        sum(one.before is Effect.DENY for one in changed),
        sum(bool(one.mended) and not one.stays for one in stopped), sum(bool(one.stays) for one in stopped),
    )  # fmt: skip


_NOW: Mapping[Effect, str] = {
    Effect.DENY: "now refuses", Effect.UNKNOWN: "now cannot say", Effect.ALLOW: "now warns",
}  # fmt: skip


def why(one: Outcome) -> list[tuple[str, Reason]]:
    """Return the reasons for which an outcome is another one, each with what became of it. Pure."""
    told = [(_NOW[reason.effect], reason) for reason in one.new]
    still = {(reason.policy, reason.where, reason.message) for reason in one.new}
    gone = [reason for reason in one.gone if (reason.policy, reason.where, reason.message) not in still]
    return told + [("no longer", reason) for reason in gone]


def people(found: Tried) -> set[str]:
    """Return whom a replay names. Pure."""
    reasons: list[Reason] = [reason for one in found.outcomes for reason in (*one.new, *one.gone)]
    said = [one.title for one in found.outcomes]
    said += [text for one in reasons for text in (one.message, one.where, one.fix)]
    return naming.addressed(said)


# -- pages -------------------------------------------------------------------------------------------------


def _works(here: site.Site) -> Works[tuple[Tried, int]]:
    found: Works[tuple[Tried, int]] = here.once.setdefault("replays", Works())
    return found


def _drafts(here: site.Site) -> scans.Kept:
    return scans.kept(here.workspace, "trials")


def page(request: Request) -> Response:
    """Show what can be replayed, how far a replay is, and what it came to."""
    here = site.at(request)
    repositories = [one.name for one in settings.load(here.workspace).repositories]
    choice = chosen(request.query_params, repositories)
    known, trouble = _policies(here, choice.stage)
    tried = next((one for one in known if one.name == choice.policy), None)
    text, lost = _text(here, choice, tried)
    work = _works(here).look(choice.address)
    result = work.result if work is not None else None
    site.see(request, people(result[0]) if result else ())
    names = ("today", "with the change") if choice.tries else ("then", "today")
    return here.page(
        request, "replay.html", title="Gate replay", here="/pipeline", choice=choice,
        repositories=repositories,
        stages=STAGES, lasts=LAST, effects=EFFECTS, policies=known, tried=tried, text=text, lost=lost,
        trouble=trouble, work=work, at=result[1] if result else 0, found=shown(result[0]) if result else None,
        names=names, content=result[0].content if result else "", may_try=may(site.whose(request), MAY),
        why=why, pictures=_pictures(result[0], names) if result else (),
    )  # fmt: skip


def _pictures(found: Tried, names: tuple[str, str]) -> tuple[object, ...]:
    left, right = names
    return (
        replay_drawing.flows(found.flows, left=left, right=right),
        replay_drawing.strip(found.outcomes, left=left, right=right),
    )


def _policies(here: site.Site, stage: str) -> tuple[list[Policy], str]:
    try:
        return [one for one in policies.load(here.library) if stage in one.stages], ""
    except LemnisError as error:
        return [], str(error)


def _text(here: site.Site, choice: Choice, tried: Policy | None) -> tuple[str, bool]:
    """Return the text of what is tried, and whether it is one that is no longer kept."""
    if not choice.draft:
        return (tried.text if tried else ""), False
    try:
        return _drafts(here)[choice.draft].decode(), False
    except KeyError:
        return (tried.text if tried else ""), True


def act(request: Request, form: Form) -> Response:
    """Begin a replay, stop one, or say that one goes."""
    here = site.at(request)
    repositories = [one.name for one in settings.load(here.workspace).repositories]
    choice = chosen(form, repositories)
    what = form.get("do", "")
    if what == "left":
        _works(here).leave(choice.address)
        return Response(status_code=204)
    demand(site.whose(request), MAY)
    place = f"/pipeline/replay?{choice.address}"
    if what == "stop":
        _works(here).stop(choice.address)
        return site.back(request, place, "It is stopped")
    if what != "replay":
        raise UsageError("a replay is begun or stopped")
    choice = _with_text(here, choice, form.get("text", "").replace("\r\n", "\n"))
    work = _works(here).begin(choice.address, site.actor(request), _replaying(here, choice))
    return site.back(request, f"/pipeline/replay?{work.name}")


def _with_text(here: site.Site, choice: Choice, text: str) -> Choice:
    """Return a choice with the text that was sent, where it is another than the policy's own; it is kept."""
    known = next((one for one in _policies(here, choice.stage)[0] if one.name == choice.policy), None)
    if not choice.policy or not text.strip() or known is None or text.strip() == known.text.strip():
        return replace(choice, draft="")
    if len(text) > gate_trial.MOST_TEXT:
        raise UsageError(f"the policy has more than {gate_trial.MOST_TEXT:,} characters", fix="split it")
    draft = digest(text.encode()).partition(":")[2]
    drafts = _drafts(here)
    drafts[draft] = text.encode()
    drafts.trim(_MOST_DRAFTS)
    return replace(choice, draft=draft)


def _replaying(here: site.Site, choice: Choice) -> Callable[[Callable[[int, int], None]], tuple[Tried, int]]:
    """Return the work; raises what is wrong with the choice at once."""
    workspace, library = here.workspace, app.library(here.workspace)
    change: Change | None = None
    if choice.tries:
        text, lost = _text(here, choice, None) if choice.draft else ("", False)
        if lost:
            raise NotFoundError("the text that was tried is no longer kept", fix="send it again")
        change = Change(choice.policy, choice.effect, text)
    gate_trial.rules(workspace, library, change, choice.stage)
    if choice.images:
        return lambda tell: (
            gate_trial.images(
                workspace, library=library, stage=choice.stage, change=change, last=choice.last, tell=tell
            ),
            workspace.clock.now(),
        )
    if not choice.repository:
        raise NotFoundError(
            "the settings name no repository", fix="add one under `repositories:` in lemnis.yaml"
        )
    repository = settings.repository(workspace, choice.repository)
    return lambda tell: (
        gate_trial.commits(
            workspace, repository, "HEAD", library=library, stage=choice.stage, change=change,
            last=choice.last, tell=tell,
        ),
        workspace.clock.now(),
    )  # fmt: skip


ROUTES = (
    site.shows("/pipeline/replay", page, "gate.read"),
    site.does("/pipeline/replay", act, "gate.read"),
)

"""Lessons: from an incident to a branch with its change set, and from the branch into the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lemnis import app
from lemnis.app import attack as attacks
from lemnis.app import evidence, incidents, lesson_response, lesson_seal, shelf
from lemnis.app.attack import Attack
from lemnis.app.lesson_states import MERGED, PROPOSED, PROVED, State, list_, show
from lemnis.app.preventing import History, prevent, prevent_unproven
from lemnis.app.trace import Chain, Source, Trace, trace
from lemnis.content.library import Library
from lemnis.contracts.errors import InputError, RefusedError
from lemnis.contracts.ids import Json
from lemnis.contracts.journal import NewEntry
from lemnis.lessons.compile import Cause, Facts, compile_lesson, lesson_id
from lemnis.lessons.derive import Measured
from lemnis.lessons.gate import Cost
from lemnis.lessons.review import review
from lemnis.lessons.samples import Record, attack_sample, benign_sample

__all__ = ["MERGED", "PROPOSED", "PROVED", "State", "list_", "merge", "propose", "show", "the_chain"]


def propose(workspace: app.Workspace, incident: str, *, untraced: bool = False) -> State:
    """Write the lesson of an incident to its branch; the same incident gives the same lesson and tree.

    A lesson that is merged is closed, whatever came to be known of its incident since: it is returned.
    With ``untraced`` the cause is the image that ran without a proof of where it comes from, if the trace
    breaks there: what is in its code stays unknown.
    Raises RefusedError where the cause is not known or nothing can be derived from it, InputError where the
    branch holds another proposal.
    """
    if (closed := _merged(workspace, incident)) is not None:
        return closed
    facts, costs, tried = _facts(workspace, incident, untraced=untraced)
    lesson = lesson_id(facts.incident_id, facts.at)
    git = shelf.repository(workspace)
    known = lesson in shelf.names(workspace)
    base = shelf.find(workspace, lesson).base if known else git.resolve("HEAD")
    with shelf.library_at(workspace, base) as library:
        facts = _based(facts, library)
        drafted = lesson_response.draft(workspace, facts.incident_id, lesson, library)
    points = [*review(facts), drafted.says]
    files = compile_lesson(facts)
    if known:
        written = shelf.find(workspace, lesson)
        first = dict(git.tree(written.first))  # its playbook stays as it was drafted: incidents go on
        if changed := sorted(path for path, data in files.items() if first.get(path) != data):
            raise InputError(
                f"lesson {lesson} was proposed otherwise: {', '.join(changed)}",
                fix="more is known of the incident since, or the content is another: keep it, or delete "
                f"branch {shelf.branch_of(lesson)} to propose it anew",
            )
    else:
        git.write_branch(
            shelf.branch_of(lesson), base, {**files, **drafted.files}, _message(facts, lesson, points),
            author=app.AUTHOR, at=facts.at,
        )  # fmt: skip
        written = shelf.find(workspace, lesson)
    payload: dict[str, Json] = {
        "incident": facts.incident_id,
        "branch": shelf.branch_of(lesson),
        "commit": written.first,
        "base": base,
        "kind": facts.drawn.kind if facts.drawn else "",
        "gates": [_cost(one, facts.gate) for one in costs],
        "detections": [_measured(one, facts) for one in tried],
        "review": list(points),
    }
    key = f"{PROPOSED}:{lesson}:{written.first}"
    app.journal(workspace).append(NewEntry(PROPOSED, lesson, key, payload, reason=facts.title))
    return show(workspace, lesson)


def _merged(workspace: app.Workspace, incident: str) -> State | None:
    """Return the merged lesson of an incident; None if there is none."""
    subject = incidents.get(workspace, incident).id
    found = (show(workspace, name) for name in shelf.names(workspace))
    return next(
        (one for one in found if one.state == "merged" and one.written.lesson.incident == subject), None
    )


def merge(workspace: app.Workspace, lesson: str, *, actor: str) -> str:
    """Merge a lesson that is proven as it stands; return the new head. Idempotent.

    The journal's word is not enough: the proof that it names must be signed by this workspace's key and say
    the same. Raises RefusedError where it is not proven, IntegrityError where the proof does not hold,
    InputError where git cannot merge it.
    """
    found = show(workspace, lesson)
    git = shelf.repository(workspace)
    if found.state == "merged":
        return git.resolve("HEAD")
    if found.state != "proven":
        raise RefusedError(
            f"lesson {lesson} is not proven as it stands ({found.written.commit[:12]})",
            fix=f"`lemnis lesson prove {lesson}`",
        )
    if found.proved is not None:
        lesson_seal.opened(workspace, found.proved)
    head = git.merge(found.written.branch, author=app.AUTHOR, at=workspace.clock.now())
    app.journal(workspace).append(
        NewEntry(MERGED, lesson, f"{MERGED}:{lesson}:{head}", {"commit": head}, actor=actor)
    )
    return head


def the_chain(found: Trace, *, untraced: bool = False) -> tuple[Chain, Source | None]:
    """Return the chain that a lesson is drawn from: of those that hold to a line the one that holds best.

    Of equals it is the first. With ``untraced`` it is one that breaks at an image without proof; then there
    is no source. Raises RefusedError where there is none.
    """
    broken = next((chain for chain in found.chains if chain.facts.unproven is not None), None)
    able = [(chain, chain.source) for chain in found.chains if chain.holds and chain.source is not None]
    if untraced and broken is not None:
        return broken, None
    if able and not untraced:
        return max(able, key=lambda one: one[0].strength)
    subject, last = found.subject, found.chains[0].hops[-1]
    if untraced:
        raise RefusedError(
            f"the trace of {subject} does not break at an image without proof",
            fix=f"`lemnis incident trace {subject}` shows the chain",
        )
    image = f"; `lemnis lesson propose {subject} --untraced` refuses such images" if broken else ""
    raise RefusedError(
        f"the cause of {subject} is not known: the trace breaks at {last.edge.relation}: {last.broken}",
        fix=f"`lemnis incident trace {subject}` shows the chain{image}",
    )


def _facts(
    workspace: app.Workspace, incident: str, *, untraced: bool
) -> tuple[Facts, tuple[Cost, ...], list[Measured]]:
    """Gather all that a lesson is compiled from, and what else was tried."""
    found = trace(workspace, incident)
    chain, source = the_chain(found, untraced=untraced)
    at = min(alert.time for alert in found.scene.alerts)
    lesson = lesson_id(found.subject, at)
    prevented = (
        prevent_unproven(workspace, chain.facts, lesson)
        if source is None
        else prevent(workspace, source, chain.facts, lesson)
    )
    library, lake = Library.open(workspace.content), app.events(workspace)
    attack = attacks.gather(lake, library, found.scene, chain)
    best, tried, records = evidence.detect(lake, library, attack, found.scene.alerts)
    facts = Facts(
        incident_id=found.subject,
        title=_title(source, chain),
        at=at,
        alerts=tuple(one for one in found.scene.alerts if one.id in chain.alerts),
        cause=_cause(chain, source, prevented.past),
        gate=prevented.cost,
        detection=best,
        **_samples(records, attack, best),  # type: ignore[arg-type]
        content_digest=library.digest,
        hops=tuple(f"{hop.edge.relation} {hop.edge.target}" for hop in chain.hops),
        drawn=prevented.drawn,
        beside=tuple(one for one in prevented.prevention.drawn if one != prevented.drawn),
    )
    return facts, prevented.costs, tried


def _cause(chain: Chain, source: Source | None, past: History) -> Cause:
    """Return what is known of the cause: the line and who brought it in, or the image without proof."""
    container = chain.first.container if chain.first else None
    if source is None:
        workload = container.workload if container else ""
        return Cause("", "", "", 0, "", "", "", workload, "", (), image=past.culprit)
    author = next((c for c in past.commits if c.id == past.culprit), None)
    return Cause(
        repository=source.name,
        commit=past.culprit,
        path=source.located.path,
        line=source.located.line,
        text=source.text,
        author=f"{author.author} <{author.email}>" if author else "",
        owner=source.owner,
        workload=container.workload if container else source.name,
        entry_point=source.located.route,
        findings=past.cause,
    )


def _samples(records: Sequence[Record], attack: Attack, best: Measured) -> dict[str, object]:
    """Choose the samples; raises RefusedError where there is nothing ordinary to tell the attack from."""
    attacked = attack_sample(records, best.attack_hits)
    benign = benign_sample(records, attack.uids | set(best.other_hits), best.attack_hits)
    if attacked is None or benign is None:
        what = "records of the attack" if attacked is None else "ordinary records beside the attack's"
        raise RefusedError(f"the lake keeps no {what} to make a sample of", fix="is `raw_data` kept?")
    return {"attack": attacked, "benign": benign}


def _title(source: Source | None, chain: Chain) -> str:
    """Say in one line what happened."""
    if source is None:
        one = chain.facts.unproven
        return f"{one.image or one.digest} ran without a {one.statement} that holds" if one else "no proof"
    where = source.located.route or source.located.path
    what = "runs what a stranger sends" if chain.behind and chain.behind[0].injected else "let an attacker in"
    return f"{where} of {source.name} {what}"


def _based(facts: Facts, library: Library) -> Facts:
    """Return the facts with the digest of the content that the branch starts from."""
    return replace(facts, content_digest=library.digest)


def _message(facts: Facts, lesson: str, points: Sequence[str]) -> str:
    """Write the branch's commit message."""
    cause = facts.cause
    return (
        f"Lesson {lesson}: {facts.title}\n\n"
        f"Incident {facts.incident_id}. Cause: {_told(cause)}.\n\n"
        + "".join(f"- {point}\n" for point in points)
        + f"\nProve it with `lemnis lesson prove {lesson}`.\n"
    )


def _told(cause: Cause) -> str:
    if cause.image:
        return f"image {cause.image}\nran without proof"
    return (
        f"{cause.path}:{cause.line} of {cause.repository}, brought in\n"
        f"by {cause.commit}, owned by {cause.owner or 'nobody'}"
    )


def _cost(one: Cost, chosen: Cost) -> dict[str, Json]:
    return {
        "scope": one.scope.name,
        "weaknesses": list(one.scope.cwes),
        "rules": list(one.scope.rules),
        "stopped": list(one.stopped),
        "wrongly": list(one.wrongly),
        "chosen": one == chosen,
    }


def _measured(one: Measured, facts: Facts) -> dict[str, Json]:
    return {
        "name": one.candidate.name,
        "on_attack": len(one.attack_hits),
        "on_others": len(one.other_hits),
        "first": one.first,
        "chosen": one == facts.detection,
    }

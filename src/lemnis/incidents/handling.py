"""How an incident is worked on, as journal entries: phase, priority, roles, tasks, links, breaches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from lemnis.contracts import kinds as shared
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.contracts.handling import Handling, Phase, Priority, Role, Task, TaskState, Timer
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import entries as lifecycle

PHASE = "incident.phase"
SEVERITY = "incident.severity"
PRIORITY = "incident.priority"
ROLE = "incident.role"
TASK = "incident.task"
LINK = "incident.link"
BREACHED = "incident.breached"
NEAR = "incident.sla_near"
KINDS = (
    lifecycle.STATUS, lifecycle.MERGED, shared.CONTAINED,
    PHASE, SEVERITY, PRIORITY, ROLE, TASK, LINK, BREACHED, NEAR,
)  # fmt: skip
"""The kinds that a handling is folded from."""
LINK_KINDS = ("ticket", "pull_request", "commit", "document", "chat", "other")
_SCHEMES = frozenset({"http", "https", "mailto"})
_LONGEST = 2000


def phase(incident: str, to: Phase, now: Handling, *, actor: str, at: int, reason: str) -> NewEntry:
    """Write down that an incident is in a phase.

    Raises RefusedError if it is there already, UsageError without a reason.
    """
    _reasoned(reason, "a phase")
    if now.phase is to:
        raise RefusedError(
            f"{incident} is in the phase {to.value} already", fix=f"phases: {', '.join(Phase)}"
        )
    key = stable_id("ph", incident, to.value, actor, str(at))
    return NewEntry(PHASE, incident, key, {"phase": to.value, "from": now.phase.value}, actor, reason)


def severity(incident: str, to: Severity | None, *, actor: str, at: int, reason: str) -> NewEntry:
    """Write down a severity that a person decides on; None takes the decision back."""
    _reasoned(reason, "a severity of your own")
    return _decided(SEVERITY, incident, to, actor=actor, at=at, reason=reason)


def priority(incident: str, to: Priority | None, *, actor: str, at: int, reason: str) -> NewEntry:
    """Write down a priority that a person decides on; None takes the decision back."""
    _reasoned(reason, "a priority of your own")
    return _decided(PRIORITY, incident, to, actor=actor, at=at, reason=reason)


def role(incident: str, which: Role, name: str, *, actor: str, at: int) -> NewEntry:
    """Write down who has a role from now on; an empty name says nobody."""
    key = stable_id("ro", incident, which.value, name, actor, str(at))
    reason = f"{which.value}: {name or 'nobody'}"
    return NewEntry(ROLE, incident, key, {"role": which.value, "name": name}, actor, reason)


def task(
    incident: str, title: str, *, actor: str, at: int, assignee: str = "", due: int | None = None
) -> NewEntry:
    """Write down something to do; ``due`` in ms. Raises UsageError for an empty title."""
    if not title.strip():
        raise UsageError("the task is empty", fix="say what is to be done")
    name = stable_id("tk", incident, title, actor, str(at))
    payload: dict[str, Json] = {
        "task": name, "title": title, "assignee": assignee, "due": due, "state": TaskState.OPEN.value,
    }  # fmt: skip
    return NewEntry(TASK, incident, name, payload, actor, f"to do: {title}")


def change_task(
    incident: str,
    known: Task,
    *,
    actor: str,
    at: int,
    state: TaskState | None = None,
    assignee: str | None = None,
    due: int | None = None,
    reason: str = "",
) -> NewEntry:
    """Write down what changed of a task; raises UsageError if nothing did, or to drop it without a reason."""
    changed: dict[str, Json] = {}
    if state is not None and state is not known.state:
        changed["state"] = state.value
    if assignee is not None and assignee != known.assignee:
        changed["assignee"] = assignee
    if due is not None and due != known.due:
        changed["due"] = due
    if not changed:
        raise UsageError(f"nothing of {known.id} changes", fix="give --state, --assignee or --due")
    if state is TaskState.DROPPED:
        _reasoned(reason, "dropping a task")
    what = ", ".join(
        f"for {assignee or 'nobody'}" if name == "assignee" else "other date" if name == "due" else str(value)
        for name, value in changed.items()
    )
    key = stable_id("tc", incident, known.id, actor, str(at), str(sorted(changed.items())))
    return NewEntry(
        TASK, incident, key, {"task": known.id, **changed}, actor,
        f"{known.title}: {what}" + (f" ({reason})" if reason else ""),
    )  # fmt: skip


def find_task(handling: Handling, wanted: str) -> Task:
    """Return the task of this id, of this number in the list (from 1), or whose id begins so.

    Raises NotFoundError if there is none or more than one.
    """
    if wanted.isdecimal() and 1 <= int(wanted) <= len(handling.tasks):
        return handling.tasks[int(wanted) - 1]
    found = [one for one in handling.tasks if wanted and one.id.startswith(wanted)]
    if len(found) != 1:
        what = f"{len(found)} tasks begin with {wanted!r}" if found else f"no task {wanted!r}"
        raise NotFoundError(what, fix="`lemnis incident show ID` lists them, by number")
    return found[0]


def link(
    incident: str, url: str, *, kind: str = "", title: str = "", actor: str, again: int | None = None
) -> NewEntry:
    """Write down something elsewhere; the same address once. Raises UsageError for what is no address.

    ``again`` is when (ms) it is written down anew, after it was removed.
    """
    named = _checked(url)
    chosen = kind or _kind_of(named)
    if chosen not in LINK_KINDS:
        raise UsageError(f"no kind of link {chosen!r}", fix=f"one of {', '.join(LINK_KINDS)}")
    payload: dict[str, Json] = {"url": named, "kind": chosen, "title": title}
    key = stable_id("ln", incident, named, *([] if again is None else [str(again)]))
    return NewEntry(LINK, incident, key, payload, actor, title or named)


def unlink(incident: str, known: Handling, url: str, *, actor: str, at: int, reason: str) -> NewEntry:
    """Write down that something elsewhere is no more about an incident.

    Raises NotFoundError where it was not written down, UsageError without a reason.
    """
    _reasoned(reason, "removing a link")
    found = next((one for one in known.links if one.url == url.strip()), None)
    if found is None:
        raise NotFoundError(f"{incident} has no link {url[:80]!r}", fix="give its address as it is listed")
    payload: dict[str, Json] = {"url": found.url, "kind": found.kind, "title": found.title, "removed": True}
    key = stable_id("lr", incident, found.url, actor, str(at))
    return NewEntry(LINK, incident, key, payload, actor, f"removed: {found.title or found.url} ({reason})")


def breached(incident: str, timer: Timer, priority_name: str) -> NewEntry:
    """Write down that a timer ran out; once for each time at which it was due."""
    payload: dict[str, Json] = {"timer": timer.name, "due": timer.due, "priority": priority_name}
    key = f"{BREACHED}:{incident}:{timer.name}:{timer.due}"
    reason = f"not {_DONE[timer.name]} in time for priority {priority_name}"
    return NewEntry(BREACHED, incident, key, payload, reason=reason)


def nearing(incident: str, timer: Timer, priority_name: str) -> NewEntry:
    """Write down that little of a timer's time is left; once for each time at which it is due."""
    payload: dict[str, Json] = {"timer": timer.name, "due": timer.due, "priority": priority_name}
    key = f"{NEAR}:{incident}:{timer.name}:{timer.due}"
    reason = f"soon to be {_DONE[timer.name]} for priority {priority_name}"
    return NewEntry(NEAR, incident, key, payload, reason=reason)


_DONE: Mapping[str, str] = {"acknowledge": "acknowledged", "contain": "contained", "resolve": "resolved"}


def _decided(
    kind: str, incident: str, to: Severity | Priority | None, *, actor: str, at: int, reason: str
) -> NewEntry:
    value = "" if to is None else to.name.lower()
    key = stable_id("dc", kind, incident, value, actor, str(at))
    return NewEntry(kind, incident, key, {"value": value}, actor, reason)


def _reasoned(reason: str, what: str) -> None:
    if not reason.strip():
        raise UsageError(f"{what} needs a reason")


def _checked(url: str) -> str:
    """Return an address as it is kept; raises UsageError for what a browser would run, or for none."""
    text = url.strip()
    try:
        scheme = urlsplit(text).scheme.lower()
    except ValueError as error:
        raise UsageError(f"{url[:80]!r} is no address: {error}") from error
    if scheme not in _SCHEMES or len(text) > _LONGEST or not text.isprintable():
        raise UsageError(f"{url[:80]!r} is no address", fix="one that begins with https://")
    return text


def _kind_of(url: str) -> str:
    """Guess what an address leads to by how the usual places are called."""
    path = urlsplit(url).path
    if "/pull/" in path or "/merge_requests/" in path:
        return "pull_request"
    if "/commit/" in path:
        return "commit"
    return "ticket" if "/issues/" in path or "/browse/" in path else "other"

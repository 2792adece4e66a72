"""Records of deployments: which image ran as which workload since when, of which commit, put there by whom.

Our own form, one JSON object a line:

    {"workload": "prod/shop", "image": "sha256:…", "at": "2026-03-01T12:00:00Z", "ended": null,
     "status": "success", "environment": "prod", "commit": "9f2c…", "repository": "https://…",
     "run": "https://…/actions/runs/7", "by": "alice", "id": "deploy-481"}

``workload`` and ``at`` are needed; ``image`` may be ``images``, a list. A record ends the one before of its
workload; one that failed (``status``) says nothing ran. GitHub's ``deployment_status`` events are read as
such records: their workload and image are in the deployment's payload, or the workload is told. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Strength
from lemnis.graph.builds import at as inner
from lemnis.graph.builds import text
from lemnis.graph.collect import MAX_OBJECTS, Collected, Gatherer, instant, texts

METHOD: Final = "deployment_record"
FIELDS: Final = frozenset(
    {"workload", "image", "images", "at", "ended", "status", "environment", "commit", "repository", "run",
     "by", "id"}
)  # fmt: skip
_DONE, _NOT_DONE = (
    frozenset({"", "success", "succeeded"}),
    frozenset({"failure", "failed", "error", "cancelled"}),
)
_UNDECIDED = frozenset({"queued", "pending", "in_progress", "waiting", "inactive"})
_DIGEST = re.compile(r"(?:^|@)(sha256:[0-9a-f]{64})$")
_COMMIT = re.compile(r"^[0-9a-f]{7,64}$")


def is_one(row: Any) -> bool:
    """Say whether a line is a record of a deployment."""
    if not isinstance(row, dict):
        return False
    return _is_github(row) or ("workload" in row and "at" in row and not {"from", "node"} & row.keys())


def collect(rows: Iterable[tuple[int, Any]], *, scope: str = "", workload: str = "") -> Collected:
    """Read records with the numbers of their lines; those that are wrong are told, the others are taken.

    ``workload`` is the one of GitHub's events that name none.
    """
    said = Gatherer(METHOD, scope, dated=True)
    for number, row in rows:
        where = f"line {number}"
        if said.read >= MAX_OBJECTS:
            said.refuse(where, f"more than {MAX_OBJECTS:,} records: the rest was not looked at")
            break
        said.read += 1
        if isinstance(row, dict) and _is_github(row):
            if text(inner(row, "deployment_status"), "state") in _UNDECIDED:
                continue
            row = _of_github(row, workload)  # noqa: PLW2901 - the same record in our form
        if isinstance(row, dict) and (why := _wrong(row)) == "":
            _tell(said, row, where)
        else:
            said.refuse(where, why if isinstance(row, dict) else "no object")
    return said.done(follow=True)


def _is_github(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("deployment"), dict) and isinstance(row.get("deployment_status"), dict)


def _of_github(event: Mapping[str, Any], workload: str) -> dict[str, Any]:
    """Return an event of GitHub as a record."""
    deployment, status = inner(event, "deployment"), inner(event, "deployment_status")
    payload, run = inner(deployment, "payload"), inner(event, "workflow_run")
    return {
        "workload": text(payload, "workload") or workload,
        "image": text(payload, "image"),
        "at": status.get("created_at"),
        "status": text(status, "state"),
        "environment": text(deployment, "environment"),
        "commit": text(deployment, "sha"),
        "repository": text(inner(event, "repository"), "html_url"),
        "run": text(run, "html_url") or text(status, "log_url") or text(status, "target_url"),
        "by": text(inner(deployment, "creator"), "login"),
        "id": str(deployment.get("id") or ""),
    }


def _wrong(row: Mapping[str, Any]) -> str:
    """Say what is wrong with a record; empty if nothing is."""
    if more := sorted(set(row) - FIELDS):
        return f"a deployment has no {more[0]!r}: it has {', '.join(sorted(FIELDS))}"
    began, ended = instant(row.get("at")), instant(row.get("ended"))
    status, commit = str(row.get("status") or "").casefold(), row.get("commit") or ""
    wrong = {
        "no workload (of GitHub's events: --about workload:NAMESPACE/NAME)": not text(row, "workload"),
        f"at {row.get('at')!r} is no time: 2026-03-01T12:00:00Z, or ms": began is None,
        f"ended {row.get('ended')!r} is no time after it began":
            row.get("ended") is not None and (ended is None or ended < (began or 0)),
        f"no status {status!r}: success or failure": status not in _DONE | _NOT_DONE,
        f"commit {commit!r} is none": commit != "" and not _COMMIT.match(str(commit).casefold()),
    }  # fmt: skip
    return next((why for why, so in wrong.items() if so), "")


def _tell(said: Gatherer, row: Mapping[str, Any], where: str) -> None:
    workload = Entity(EntityKind.WORKLOAD, text(row, "workload"))
    began, ended = instant(row["at"]), instant(row.get("ended"))
    run, commit, by = text(row, "run"), text(row, "commit").casefold(), text(row, "by")
    repository = text(row, "repository")
    facts: dict[str, Any] = {
        "record": text(row, "id"), "environment": text(row, "environment"), "run": run, "by": by,
    }  # fmt: skip
    made = Entity(EntityKind.COMMIT, commit)
    if run and commit:
        said.say(Entity(EntityKind.WORKFLOW_RUN, run), "triggered_by", made, where, **facts)
    if str(row.get("status") or "").casefold() in _NOT_DONE:
        return
    images = [one for one in [text(row, "image"), *texts(row.get("images"))] if one]
    for name in images:
        digest = _DIGEST.search(name)
        image = Entity(EntityKind.IMAGE, digest[1] if digest else name)
        strength = Strength.RECORDED if digest else Strength.NAME_MATCH
        said.say(
            workload, "instance_of", image, where, strength=strength, since=began, until=ended,
            ended=_plain(row.get("ended")), reference=name if image.value != name else "", **facts,
        )  # fmt: skip
        if digest and commit and len(images) == 1:
            said.say(image, "built_from", made, where, repository=repository, **facts)
    if commit and repository:
        home = Entity(EntityKind.REPOSITORY, repository)
        said.say(made, "in_repository", home, where, **facts)
    for kind, name in ((EntityKind.WORKFLOW_RUN, run), (EntityKind.USER, by.casefold())):
        if name:
            said.say(
                workload, "deployed_by", Entity(kind, name), where, since=began, until=ended,
                ended=_plain(row.get("ended")), **facts,
            )  # fmt: skip
    if not images and not run and not by:
        said.refuse(where, "names neither an image, a run nor who did it")


def _plain(value: Any) -> Json:
    return value if isinstance(value, str | int) else None

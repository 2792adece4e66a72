"""What GitHub and GitLab tell of code: pushes, merged requests, runs, deployments, as edges of the graph.

Read from the records as they came (``raw_data`` of API Activity), of webhooks and of GitHub's events. What a
forge says of its own runs and merges is a record; who wrote a commit is what its author put there, a label;
that a workload is called like an environment and a repository is a mere likeness of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import from_iso
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.builds import at, objects, text
from lemnis.store.columns import leaf
from lemnis.store.lakes import Readable

SOURCES = ("github_webhook", "gitlab_webhook", "github_events")
API_ACTIVITY = 6003
METHOD = "forge_event"
_HEX = frozenset("0123456789abcdef")
_LENGTHS = (40, 64)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A push that was forced: the branch led to ``before``, and leads to ``after`` since."""

    repository: str
    ref: str
    before: str
    after: str
    uid: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What a forge tells of a run of a workflow, or of a job of it: of which commit, from when to when (ms).

    ``run`` is the run as the graph has it, ``number`` its number (empty: not told); ``workflow`` the file, or
    the name where that is not told; ``on`` the event that set it off. A job has a ``job`` (its name) and,
    once it has begun, a ``runner``.
    """

    run: Entity
    number: str
    repository: str
    workflow: str
    commit: str
    since: int | None
    until: int | None
    uid: str
    on: str = ""
    job: str = ""
    runner: str = ""


@dataclass(slots=True)
class Told:
    """What was read: edges, forced pushes, runs, and which records could not be read, and why."""

    edges: list[Edge] = field(default_factory=list)
    rewritten: list[Rewritten] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def of_lake(lake: Readable, start: int, end: int) -> Told:
    """Read the events of forges with ``time`` (ms) in [start, end)."""
    told = Told()
    for source in SOURCES:
        for batch in lake.scan(API_ACTIVITY, start=start, end=end, source=source):
            columns = (leaf(batch.table, name) for name in ("metadata.uid", "time", "raw_data"))
            rows = zip(
                *([None] * batch.table.num_rows if c is None else c.to_pylist() for c in columns), strict=True
            )
            for uid, when, raw in rows:
                try:
                    record = orjson.loads(raw or "")
                except orjson.JSONDecodeError as error:
                    told.problems[uid] = str(error)
                    continue
                if isinstance(record, dict):
                    read(told, record, uid, when)
                else:
                    told.problems[uid] = "no object"
    return told


def read(told: Told, record: Mapping[str, Any], uid: str, when: int) -> None:
    """Read one record, with or without what was put around it on delivery."""
    payload = at(record, "payload") or dict(record)
    home = at(payload, "repository") or at(payload, "project") or at(record, "repo")
    teller = _Teller(told, uid, when, _repository(home), text(at(record, "actor"), "login"))
    if "object_kind" in payload:
        _GITLAB.get(text(payload, "object_kind"), _Teller.nothing)(teller, payload)
        return
    for name, tell in _GITHUB.items():
        if name in payload:
            tell(teller, payload)
            return


@dataclass(slots=True)
class _Teller:
    """Tells the edges of one record."""

    told: Told
    uid: str
    at: int
    repository: str
    actor: str = ""

    def nothing(self, payload: Mapping[str, Any]) -> None:
        """Tell nothing: the record is about something else."""

    def say(
        self, source: Entity, relation: str, target: Entity, facts: Mapping[str, Json] | None = None, *,
        strength: Strength = Strength.RECORDED, since: int | None = None,
    ) -> None:  # fmt: skip
        """Tell an edge; facts that are empty are left out."""
        evidence: dict[str, Json] = {"event": self.uid, "repository": self.repository}
        evidence |= {name: value for name, value in (facts or {}).items() if value}
        self.told.edges.append(Edge(source, target, relation, METHOD, strength, evidence, since))

    def commits(self, payload: Mapping[str, Any], after: str, by: str) -> None:
        """Tell the commits of a push."""
        for one in objects(payload, "commits"):
            commit = _commit(text(one, "id") or text(one, "sha"))
            if commit is None:
                continue
            self.within(commit)
            author = at(one, "author")
            name = text(author, "email").casefold() or text(author, "name")
            if name:
                self.say(
                    commit, "authored_by", Entity(EntityKind.PERSON, name),
                    {"name": text(author, "name"), "account": text(author, "username"), "pushed_by": by},
                    strength=Strength.LABEL,
                )  # fmt: skip
        if (head := _commit(after)) is not None:
            self.within(head, ref=text(payload, "ref"), pushed_by=by)

    def within(self, one: Entity, **facts: Json) -> None:
        """Tell that a commit or request is in the repository."""
        if self.repository:
            self.say(one, "in_repository", Entity(EntityKind.REPOSITORY, self.repository), facts)

    def push(self, payload: Mapping[str, Any]) -> None:
        """Read a push; one that was forced took commits out of a branch."""
        after = text(payload, "after") or text(payload, "head")
        by = (
            text(at(payload, "sender"), "login") or text(payload, "user_username") or self.actor
        ).casefold()  # fmt: skip
        self.commits(payload, after, by)
        before = text(payload, "before")
        if payload.get("forced") is True and _commit(before) is not None:
            self.told.rewritten.append(
                Rewritten(self.repository, text(payload, "ref"), before, after, self.uid, self.at, by)
            )

    def request(self, payload: Mapping[str, Any]) -> None:
        """Read a pull request of GitHub's, or a review of one."""
        one = at(payload, "pull_request")
        number = one.get("number", payload.get("number"))
        request = Entity(
            EntityKind.PULL_REQUEST, text(one, "html_url") or f"{self.repository}#{number}"
        )  # fmt: skip
        review = at(payload, "review")
        if text(review, "state").casefold() == "approved" and (who := _user(at(review, "user"))):
            self.say(request, "approved_by", who, {"commit": text(review, "commit_id")})
        if one.get("merged") is not True:
            return
        self.within(request)
        facts: dict[str, Json] = {
            "title": text(one, "title"), "head": text(at(one, "head"), "sha"),
            "base": text(at(one, "base"), "ref"),
            "merged_by": text(at(one, "merged_by"), "login").casefold(),
        }  # fmt: skip
        if (merge := _commit(text(one, "merge_commit_sha"))) is not None:
            self.say(request, "merged_as", merge, facts)
        if author := _user(at(one, "user")):
            self.say(request, "authored_by", author)

    def run(self, payload: Mapping[str, Any]) -> None:
        """Read a run of a workflow of GitHub's."""
        one = at(payload, "workflow_run")
        run = self._run(one, "head_sha", at(one, "actor"))
        if run is not None:
            done = text(one, "status") == "completed"
            self.told.ran.append(
                Ran(
                    run, str(one.get("id") or ""), self.repository, text(one, "path") or text(one, "name"),
                    text(one, "head_sha"), _when(one, "run_started_at", "created_at"),
                    _when(one, "updated_at") if done else None, self.uid, text(one, "event"),
                )
            )  # fmt: skip

    def job(self, payload: Mapping[str, Any]) -> None:
        """Read a job of a run of GitHub's: the record that tells which runner had it."""
        one = at(payload, "workflow_job")
        number = str(one.get("run_id") or "")
        page, job, _ = text(one, "html_url").partition("/job/")
        run = Entity(EntityKind.WORKFLOW_RUN, page if job else f"{self.repository}/runs/{number}")
        self.told.ran.append(
            Ran(
                run, number, self.repository, text(one, "workflow_name"), text(one, "head_sha"),
                _when(one, "started_at"), _when(one, "completed_at"), self.uid,
                job=text(one, "name"), runner=text(one, "runner_name"),
            )
        )  # fmt: skip

    def _run(self, one: Mapping[str, Any], sha: str, actor: Mapping[str, Any]) -> Entity | None:
        name = text(one, "html_url") or text(one, "url")
        if not name and not (number := one.get("id")):
            return None
        run = Entity(EntityKind.WORKFLOW_RUN, name or f"{self.repository}/runs/{number}")
        facts: dict[str, Json] = {
            "workflow": text(one, "path") or text(one, "name"),
            "on": text(one, "event") or text(one, "source"),
            "branch": text(one, "head_branch") or text(one, "ref"),
            "conclusion": text(one, "conclusion") or text(one, "status"),
        }  # fmt: skip
        if (commit := _commit(text(one, sha))) is not None:
            self.say(run, "triggered_by", commit, facts)
        if who := _user(actor):
            self.say(run, "triggered_by", who, facts)
        return run

    def deployment(self, payload: Mapping[str, Any]) -> None:
        """Read a deployment of GitHub's; only one that succeeded put something there."""
        one, status = at(payload, "deployment"), at(payload, "deployment_status")
        run = self._run(at(payload, "workflow_run"), "head_sha", {}) if "workflow_run" in payload else None
        if status and text(status, "state") != "success":
            return
        where = text(one, "environment") or text(status, "environment")
        self._deployed(where, text(one, "sha"), run, _user(at(one, "creator")) if status else None)

    def _deployed(self, where: str, sha: str, run: Entity | None, who: Entity | None) -> None:
        """Tell who put what is named like the repository into an environment."""
        name = self.repository.rstrip("/").rpartition("/")[2]
        if not where or not name:
            return
        workload = Entity(EntityKind.WORKLOAD, f"{where}/{name}")
        for by in filter(None, (run, who)):
            self.say(
                workload, "deployed_by", by, {"environment": where, "commit": sha},
                strength=Strength.NAME_MATCH, since=self.at,
            )  # fmt: skip

    def merge_request(self, payload: Mapping[str, Any]) -> None:
        """Read a merge request of GitLab's."""
        one = at(payload, "object_attributes")
        name = text(one, "url") or f"{self.repository}!{one.get('iid')}"
        request = Entity(EntityKind.PULL_REQUEST, name)
        user = _user(at(payload, "user"))
        if text(one, "action") in {"approved", "approval"} and user:
            self.say(request, "approved_by", user)
        if text(one, "state") != "merged":
            return
        self.within(request)
        facts: dict[str, Json] = {
            "title": text(one, "title"), "head": text(at(one, "last_commit"), "id"),
            "base": text(one, "target_branch"), "merged_by": user.value if user else "",
        }  # fmt: skip
        # A fast-forward makes no merge commit: then the request's last commit is what came in.
        made = text(one, "merge_commit_sha") or text(one, "squash_commit_sha")
        if (commit := _commit(made or text(at(one, "last_commit"), "id"))) is not None:
            self.say(request, "merged_as", commit, facts)

    def pipeline(self, payload: Mapping[str, Any]) -> None:
        """Read a pipeline of GitLab's."""
        one = dict(at(payload, "object_attributes"))
        if not text(one, "url") and self.repository:
            one["url"] = f"{self.repository}/-/pipelines/{one.get('id')}"
        self._run(one, "sha", at(payload, "user"))

    def gitlab_deployment(self, payload: Mapping[str, Any]) -> None:
        """Read a deployment of GitLab's."""
        if text(payload, "status") != "success":
            return
        job = text(payload, "deployable_url")
        run = Entity(EntityKind.WORKFLOW_RUN, job) if job else None
        sha = text(payload, "commit_url").rpartition("/")[2]
        self._deployed(text(payload, "environment"), sha, run, _user(at(payload, "user")))


_GITLAB = {
    "push": _Teller.push, "merge_request": _Teller.merge_request, "pipeline": _Teller.pipeline,
    "deployment": _Teller.gitlab_deployment,
}  # fmt: skip
_GITHUB = {
    "pull_request": _Teller.request, "deployment": _Teller.deployment, "workflow_job": _Teller.job,
    "workflow_run": _Teller.run, "before": _Teller.push,
}  # fmt: skip
"""What marks each kind of payload, the most telling first."""


def _commit(sha: str) -> Entity | None:
    good = len(sha) in _LENGTHS and set(sha) <= _HEX and sha.strip("0")
    return Entity(EntityKind.COMMIT, sha) if good else None


def _when(one: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of some times (ms); None where none is told, or it is no time."""
    for name in names:
        try:
            return from_iso(text(one, name))
        except (ValueError, OverflowError):
            continue
    return None


def _user(one: Mapping[str, Any]) -> Entity | None:
    name = text(one, "login") or text(one, "username")
    return Entity(EntityKind.USER, name.casefold()) if name else None


def _repository(one: Mapping[str, Any]) -> str:
    """Return a repository's address, or its name where the record has none."""
    return (
        text(one, "html_url") or text(one, "web_url") or text(one, "full_name")
        or text(one, "path_with_namespace") or text(one, "name")
    )  # fmt: skip

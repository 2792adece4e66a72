"""From a process on a build runner to the run of the workflow, its commit, and the line that let it in.

Which run it was, forges tell: their jobs have a runner and a time, and the runner's folders the repository.
Whose code ran, folders tell too: an action lies in one of its owner, name and ref, a package in one of its
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lemnis.app.origins import code, installed
from lemnis.app.origins.base import Asked, Chain, hops, noted
from lemnis.app.origins.code import End, Place
from lemnis.app.origins.installed import Line
from lemnis.app.scene import Seen
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import Resource
from lemnis.graph import code_edges, runners
from lemnis.graph.code import forges
from lemnis.graph.code.forges import Ran
from lemnis.graph.runners import Job
from lemnis.lessons.prevent.base import Action, Traced
from lemnis.scan.readers import github, mapping
from lemnis.store.columns import leaf

LONGEST = 5 * 86_400_000
"""How long (ms) a job can run: on one's own machines five days (limits of GitHub Actions)."""
SLACK = 60_000
"""How far (ms) the clocks of a forge and of a runner may be apart."""
_BASE_EVENT, _JOB_LOG = 0, "github_job_log"
_FETCHED = re.compile(
    r"Download action repository '(?P<name>[^'@]+)@(?P<ref>[^']+)' \(SHA:(?P<commit>[0-9a-f]{40})\)"
)
"""What a runner writes into a job's log as it fetches an action."""
_WORKFLOWS = ".github/workflows/"
_ELSEWHERE = frozenset({"pull_request_target", "pull_request", "issue_comment", "workflow_run"})
"""Events whose runs go by the workflow of another commit than the one that the forge names."""


@dataclass(frozen=True, slots=True)
class _Used:
    """A line that uses an action: where, of what, in which job; ``folder`` is where a runner lays it."""

    path: str
    line: int
    action: str
    ref: str
    job: str

    @property
    def folder(self) -> str:
        """Return the action's folder on a runner, from ``_actions`` on."""
        owner, name, *below = self.action.split("/")
        return "/".join(("/_actions", owner, name, self.ref, *below))


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a run of a workflow, and action or package in it, that alerts saw a process of."""
    seen = [(one, job) for one in asked.scene.seen if one.container is None and (job := _job(asked, one))]
    if not seen:
        return []
    moments = [one.process.at for one, _ in seen]
    told = forges.of_lake(asked.lake, min(moments) - LONGEST, max(moments) + LONGEST)
    groups: dict[tuple[Entity, str], list[tuple[Seen, Job, Edge, Ran | None]]] = {}
    for one, job in seen:
        edge, ran = _run(told.ran, one, job)
        groups.setdefault((edge.target, _named(job)), []).append((one, job, edge, ran))
    return [_chain(asked, group) for group in groups.values()]


def _job(asked: Asked, one: Seen) -> Job | None:
    return runners.job(asked.scene.tree.ancestors(one.process))


def _chain(asked: Asked, group: Sequence[tuple[Seen, Job, Edge, Ran | None]]) -> Chain:
    """Follow one run to its end, from the first process that was seen in it."""
    first, job, edge, ran = group[0]
    edges = [noted(edge, alert=first.alert.id, rule=first.alert.title)]
    ended, line = None, None
    if ran is not None:
        more, ended, line = _code(asked, job, ran)
        edges += more
    facts = Traced()
    if ended is not None and line is not None:
        located = ended.source.located
        facts = Traced(located.findings, located.path, located.line, ended.source.text, action=line.action)
    uses = [line.uses(edge.target)] if line else []
    return Chain(
        begin=first.entity,
        alert=first.alert,
        hops=hops(edges),
        source=ended.source if ended else None,
        facts=facts,
        alerts=tuple(dict.fromkeys(one.alert.id for one, *_ in group)),
        events=_events(asked, [job for _, job, *_ in group], line),
        first=first,
        others=len(group) - 1,
        beside=(*uses, *(ended.beside if ended else ())),
    )


def _events(asked: Asked, jobs: Sequence[Job], line: Line | None) -> tuple[str, ...]:
    """Return the events of what the line brought in: of all that was seen in the run."""
    roots = dict.fromkeys(line.began(job.ran) if line else job.ran[0] for job in jobs)
    return tuple(dict.fromkeys(uid for root in roots for uid in asked.scene.began(root)))


def _named(job: Job) -> str:
    """Return the action or package that is named nearest to the last of what ran; empty if none is."""
    for step in job.ran:
        if told := next((f"{kind}/{one.name}" for kind, one in runners.packages((step,))), ""):
            return told
        if (action := runners.action((step,))) is not None:
            return action.name
    return ""


def _run(ran: Sequence[Ran], one: Seen, job: Job) -> tuple[Edge, Ran | None]:
    """Return the edge from a process to the run that it was part of, and what is told of that.

    The job that the runner had at the time is a record; where no forge says which runner had it, a run of the
    repository at the time is a mere likeness of names, if there is no other.
    """
    at, host = one.process.at, one.process.host
    facts: dict[str, Json] = {
        "events": [link.uid for link in job.ran], "repository": job.repository,
        "chain": [f"{link.pid} {link.program}".strip() for link in job.ran],
    }  # fmt: skip
    here = [each for each in ran if _fits(each, job.repository) and _during(each, at)]
    on_it = [each for each in here if each.runner and each.runner.casefold() == host.casefold()]
    if on_it:
        latest = max(each.since or 0 for each in on_it)  # a runner has one job at a time
        found, method, strength = (
            [each for each in on_it if each.since == latest],
            "runner_job",
            Strength.RECORDED,
        )
    else:
        found, method, strength = here, "runner_time", Strength.NAME_MATCH
    if len({each.commit for each in found}) != 1 or len({each.number for each in found}) > 1:
        several = ", ".join(sorted({str(each.run.value) for each in found}))
        why = f"several runs may be meant: {several}" if found else _unknown(job, host)
        return code_edges.broken(one.entity, "runs_in", EntityKind.WORKFLOW_RUN, method, why, **facts), None
    told = whole(ran, found[-1])
    facts |= {"records": sorted({each.uid for each in found}), "job": told.job, "runner": told.runner,
              "workflow": told.workflow, "on": told.on}  # fmt: skip
    edge = Edge(one.entity, told.run, "runs_in", method, strength, facts, told.since, told.until)
    return edge, told


def _unknown(job: Job, host: str) -> str:
    name = job.repository or "a repository that its folders do not name"
    return f"no event of a forge tells of a job of {name} on {host or '?'} at that time"


def _fits(ran: Ran, name: str) -> bool:
    """Say whether a run may be of a repository of this name; any, where folders do not name it."""
    whole = ran.repository.removesuffix(".git").rstrip("/").casefold()
    return not name or whole.endswith(f"/{name.casefold()}") or whole == name.casefold()


def _during(ran: Ran, at: int) -> bool:
    return (
        ran.since is not None
        and ran.since - SLACK <= at <= (ran.until if ran.until is not None else at) + SLACK
    )


def whole(ran: Sequence[Ran], found: Ran) -> Ran:
    """Return a job with what else is told of its run: its page, its workflow's file, how it was set off."""
    about = (found.repository, found.number)
    same = [one for one in ran if found.number and (one.repository, one.number) == about]
    run = next((one for one in same if not one.job), None)
    ended = max(
        (one.until for one in same if one.job == found.job and one.until is not None), default=found.until
    )
    if run is None:
        return replace(found, until=ended)
    return replace(found, run=run.run, workflow=run.workflow or found.workflow, on=run.on, until=ended)


def triggered(ran: Ran) -> Edge:
    """Return the edge from a run to its commit."""
    commit = Entity(EntityKind.COMMIT, ran.commit)
    facts: dict[str, Json] = {
        "event": ran.uid,
        "repository": ran.repository,
        "workflow": ran.workflow,
        "on": ran.on,
    }
    strength = Strength.RECORDED
    if ran.on in _ELSEWHERE:
        strength = Strength.LABEL
        facts["weaker"] = [f"a run on {ran.on} goes by the workflow as the target branch or the merge has it"]
    return Edge(ran.run, commit, "triggered_by", "forge_event", strength, facts)


def _code(asked: Asked, job: Job, ran: Ran) -> tuple[list[Edge], End | None, Line | None]:
    """Return the hops from a run: its commit, the line, who wrote it, whose it is."""
    begun = triggered(ran)
    commit = begun.target
    try:
        place = code.place(asked, ran.repository, ran.commit)
    except InputError as error:
        return [begun, code.broken(commit, "repository", str(error))], None, None
    found = _line(asked, place, job, ran)
    if isinstance(found, str):
        return [begun, code.broken(commit, "runner_folders", found)], None, None
    edge, located = code.line(
        commit,
        place,
        found.path,
        found.number,
        method=found.method,
        strength=found.strength,
        findings=found.findings,
    )
    ended = code.end(asked, place, edge.target, located)
    return [begun, noted(edge, **found.evidence), *ended.edges], ended, found


def _line(asked: Asked, place: Place, job: Job, ran: Ran) -> Line | str:
    """Return the line that brought in what ran, or why it is not known."""
    for step in job.ran:  # from the alert's process upwards: the nearest counts
        if (found := installed.find(place, (step,), within=True)) is not None:
            return found
        if runners.action((step,)) is not None:
            return _action(asked, place, job, ran)
    if (found := installed.find(place, job.ran)) is not None:
        return found
    named = [f"{kind}/{told.name}" for kind, told in runners.packages(job.ran)]
    if named:
        return f"no lock file names {', '.join(dict.fromkeys(named))}"
    return "neither an action nor a package is named by what ran: a step of the workflow's own started it"


def _action(asked: Asked, place: Place, job: Job, ran: Ran) -> Line | str:
    """Return the line that uses the action out of whose folder something ran."""
    used = list(_uses(place))
    told = [(one, started) for one in used if (started := runners.stands(job.ran, one.folder)) is not None]
    if not told:
        named = runners.action(job.ran)
        name = named.name if named else "?"
        return f"no workflow uses {name}: an action that another uses, or another commit's"
    deepest = max(len(one.folder) for one, _ in told)
    told = [pair for pair in told if len(pair[0].folder) == deepest]
    mine = [pair for pair in told if pair[0].path == ran.workflow] or told
    mine = [pair for pair in mine if not ran.job or pair[0].job == ran.job] or mine
    one, started = mine[0]
    sure = len(mine) == 1 and one.path == ran.workflow
    evidence: dict[str, Json] = {
        "action": f"{one.action}@{one.ref}", "events": [started.uid],
        "others": [f"{other.path}:{other.line}" for other, _ in mine[1:]],
    }  # fmt: skip
    fetched = _fetched(asked, one, ran)
    commits = list(fetched.values())
    evidence |= {"fetched": [f"{commit} ({uid})" for uid, commit in fetched.items()]}
    purl = f"pkg:githubactions/{one.action}@{one.ref}"
    ran_at = commits[0] if len(set(commits)) == 1 else ""
    return Line(
        one.path, one.line, "action_folder", Strength.OBSERVED if sure else Strength.LABEL,
        Entity(EntityKind.PACKAGE, purl), evidence, action=Action(one.action, one.ref, ran_at),
    )  # fmt: skip


def _fetched(asked: Asked, one: _Used, ran: Ran) -> dict[str, str]:
    """Return the commits that the logs of jobs around a run say the action's ref led to, by event."""
    name = "/".join(one.action.split("/")[:2])
    start, end = (ran.since or 0) - SLACK, (ran.until or asked.at) + SLACK
    found: dict[str, str] = {}
    for batch in asked.lake.scan(_BASE_EVENT, start=start, end=end, source=_JOB_LOG):
        columns = (leaf(batch.table, column) for column in ("metadata.uid", "message"))
        for uid, message in zip(*([] if c is None else c.to_pylist() for c in columns), strict=True):
            told = _FETCHED.match(message or "")
            if told and told["ref"] == one.ref and told["name"].lower() == name.lower():
                found[uid] = told["commit"]
    return found


def _uses(place: Place) -> Iterator[_Used]:
    """Yield the lines of a repository's workflows and own actions that use somebody's action."""
    for path, data in sorted(place.files.items()):
        name = path.rpartition("/")[2]
        if not path.endswith((".yml", ".yaml")) or not (
            path.startswith(_WORKFLOWS) or name in ("action.yml", "action.yaml")
        ):
            continue
        job = ""
        for one in github.read(data.decode(errors="replace"), path).resources:
            if one.kind == "github.job":
                job = one.name.rpartition("#")[2]
            used = mapping(one.data.get("uses"))
            if used.get("kind") == "action" and "/" in str(used.get("action")) and used.get("ref"):
                yield _Used(path, _at(one), str(used["action"]), str(used["ref"]), job)


def _at(one: Resource) -> int:
    return one.at(("uses",)).line

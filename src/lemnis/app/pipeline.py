"""The pipeline: scans, gate decisions over commits and images, and what is written down of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import attest, policies, scans, settings
from lemnis.content.library import Library
from lemnis.contracts.errors import InputError, Location, NotFoundError, UsageError
from lemnis.contracts.findings import Decision, Reason, ScanReport
from lemnis.contracts.ids import Json, canonical, digest, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.policy.decide import decide
from lemnis.policy.document import STAGES, build_document, change_document
from lemnis.policy.testing import Case

if TYPE_CHECKING:
    from lemnis.store.git import Commit, Repository

DECISION = "decision"
"""The kind of journal entry; its subject is ``commit:…`` or ``image:…``."""


def scan(path: Path, content: Library, workspace: app.Workspace | None = None) -> ScanReport:
    """Scan a folder as it lies there; with a workspace, what was found goes into its lake.

    Raises NotFoundError if there is no such folder.
    """
    from lemnis.scan import run

    report = run(path, scans.scanners(content))
    if workspace is not None:
        into_lake(workspace, report, resource=str(path.resolve()), revision="work tree")
    return report


def into_lake(workspace: app.Workspace, report: ScanReport, *, resource: str, revision: str) -> int:
    """Append a scan's findings to the lake; return how many are new there."""
    from lemnis.scan import posture

    if not report.findings:
        return 0
    batch = posture.batch(report, resource=resource, revision=revision, now=workspace.clock.now())
    return app.lake(workspace).append([batch]).accepted


def gate(
    workspace: app.Workspace, stage: str, repository: Repository, revision: str, *, base: str = ""
) -> Decision:
    """Ask the build gate about one commit: what it brings in against its parents, or against ``base``.

    The decision is written to the journal and the findings to the lake. Raises NotFoundError for a commit
    there is not, UsageError for a stage that is not about commits and for a base that holds the commit.
    """
    if stage != "build":
        raise UsageError(f"stage {stage!r} does not decide on commits", fix=f"stages: {', '.join(STAGES)}")
    commit = find(repository, revision)
    content = app.library(workspace)
    others = [find(repository, one) for one in ([base] if base else commit.parents)]
    if base and repository.holds(others[0].id, commit.id):
        raise UsageError(
            f"{base} already holds {commit.id[:12]}: nothing would be compared",
            fix="name the commit that the change started from, or leave out --base",
        )
    reports = scans.reports(workspace, repository, [commit, *others])
    known = {f.fingerprint for other in others for f in reports[other.id].findings}
    name = repository_name(workspace, repository)
    document = document_of(
        repository, name, commit, reports[commit.id], known=known, base=others[0].id if others else ""
    )
    rules = policies.load(content)
    made = decide(
        rules, document, stage, policies.exceptions(content), workspace.clock.now(),
        content_digest=content.digest,
    )  # fmt: skip
    into_lake(workspace, reports[commit.id], resource=name, revision=commit.id)
    write_down(
        workspace,
        stage,
        f"commit:{commit.id}",
        made,
        {"repository": name, "base": document["change"]["base"]},
    )
    return made


def gate_image(workspace: app.Workspace, image: str, repository: Repository | None = None) -> Decision:
    """Ask the deploy gate about an image digest; the decision is written to the journal.

    Where the source lies is told by ``repository``, else by the settings for the one that the attestation
    names.
    """
    content = app.library(workspace)
    rules = policies.load(content)
    facts = _attestation(workspace, image, repository)
    subject = facts.pop("subject")
    document = {"stage": "deploy", "image": {"digest": image, "name": subject}, "attestation": facts}
    made = decide(
        rules, document, "deploy", policies.exceptions(content), workspace.clock.now(),
        content_digest=content.digest,
    )  # fmt: skip
    write_down(workspace, "deploy", f"image:{image}", made, {"attestation": facts})
    return made


def gate_history(
    workspace: app.Workspace, repository: Repository, commits: Sequence[Commit], content: Library
) -> Mapping[str, Decision]:
    """Return what the build gate of ``content`` says of each commit; nothing is written down.

    All trees are scanned in one run and kept; exceptions are judged at each commit's own time.
    """
    by_id = {commit.id: commit for commit in repository.commits()} | {one.id: one for one in commits}
    parents = {p: by_id[p] for c in commits for p in c.parents if p in by_id}
    reports = scans.reports(workspace, repository, list(({c.id: c for c in commits} | parents).values()))
    rules = policies.load(content)
    allowed = policies.exceptions(content)
    name = repository_name(workspace, repository)
    found = {}
    for commit in commits:
        known = _known(commit, reports)
        base = commit.parents[0] if commit.parents else ""
        document = document_of(repository, name, commit, reports[commit.id], known=known, base=base)
        found[commit.id] = decide(rules, document, "build", allowed, commit.at, content_digest=content.digest)
    return found


def test_policies(content: Library, names: Sequence[str]) -> list[Case]:
    """Run the tests of policies (all if none is named), with mutants that they must notice."""
    return list(policies.run_tests_of(content, names))


def find(repository: Repository, revision: str) -> Commit:
    """Return the commit that a revision names; raises NotFoundError."""
    name = repository.resolve(revision)
    return next(commit for commit in reversed(repository.commits(name)) if commit.id == name)


def repository_name(workspace: app.Workspace, repository: Repository) -> str:
    """Return the name that the settings have for a repository's folder, else the folder's."""
    here = repository.path.resolve()
    known = settings.load(workspace).repositories
    return next((r.name for r in known if settings.resolve(workspace, r.path) == here), here.name)


def document_of(
    repository: Repository, name: str, commit: Commit, report: ScanReport, *, known: set[str], base: str
) -> dict[str, Any]:
    """Return the build document of one commit."""
    files = [
        (status, path.encode(errors="surrogateescape").decode(errors="backslashreplace"))
        for status, path in repository.changed(commit.id)
    ]
    change = change_document(
        repository=name, commit=commit.id, base=base, author=commit.author, email=commit.email,
        subject=commit.subject, at=commit.at, files=files,
    )  # fmt: skip
    return build_document(change, report, known)


def write_down(
    workspace: app.Workspace, stage: str, subject: str, made: Decision, facts: Mapping[str, Json]
) -> None:
    """Write a decision to the journal, unless the last one about the subject at this stage says the same."""
    payload: dict[str, Json] = {
        "stage": stage,
        **decision_document(made),
        "content": made.content_digest,
        **facts,
    }
    journal = app.journal(workspace)
    before = [e for e in journal.entries(kind=DECISION, subject=subject) if e.payload.get("stage") == stage]
    if before and canonical(dict(before[-1].payload)) == canonical(payload):
        return
    key = stable_id("decision", stage, subject, str(len(before)), digest(canonical(payload)))
    why = made.reasons[0].message if made.reasons else "nothing speaks against it"
    journal.append(NewEntry(DECISION, subject, key, payload, reason=f"{made.effect.value}: {why}"[:500]))


def last_decision(workspace: app.Workspace, stage: str, subject: str) -> str:
    """Return what the gate last said of a subject; ``none`` if it was never asked."""
    entries = app.journal(workspace).entries(kind=DECISION, subject=subject)
    said = [str(e.payload["decision"]) for e in entries if e.payload.get("stage") == stage]
    return said[-1] if said else "none"


def decision_document(made: Decision) -> dict[str, Json]:
    """Return a decision as ``gate --json`` prints it."""
    return {
        "decision": made.effect.value,
        "reasons": [reason_document(reason) for reason in made.reasons],
        "exceptions": list(made.exceptions),
    }


def reason_document(reason: Reason) -> dict[str, Json]:
    """Return a reason as JSON."""
    return {
        "policy": reason.policy, "effect": reason.effect.value, "message": reason.message,
        "controls": list(reason.controls), "where": reason.where, "fix": reason.fix,
    }  # fmt: skip


def _known(commit: Commit, reports: Mapping[str, ScanReport]) -> set[str]:
    return {f.fingerprint for p in commit.parents if p in reports for f in reports[p].findings}


def _attestation(workspace: app.Workspace, image: str, repository: Repository | None) -> dict[str, Json]:
    """Say what is known of an image's provenance; every field is filled, so that none is undefined."""
    facts: dict[str, Json] = {
        "verified": False, "problem": "", "builder": "", "commit": "", "repository": "", "invocation": "",
        "commit_known": False, "build_gate": "none", "subject": "",
    }  # fmt: skip
    found = attest.of_image(workspace, image)
    build = found.build
    if build is None:
        return facts | {"problem": found.problem}
    try:
        source = repository or settings.repository(workspace, build.repository)
        known = source.resolve(build.commit) == build.commit
    except (NotFoundError, InputError):
        known = False
    return facts | {
        "verified": True, "builder": build.builder, "commit": build.commit, "repository": build.repository,
        "invocation": build.invocation, "commit_known": known, "subject": build.subject,
        "build_gate": last_decision(workspace, "build", f"commit:{build.commit}"),
    }  # fmt: skip


def open_repository(path: Path) -> Repository:
    """Open a repository; raises NotFoundError where there is none."""
    from lemnis.store.git import Repository as Opened

    repository = Opened(path)
    try:
        repository.run("rev-parse", "--git-dir")
    except InputError as error:
        raise NotFoundError("no git repository here", at=Location(str(path))) from error
    return repository

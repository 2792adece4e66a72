"""Gate decisions: over work trees, commits and images, and what is written down of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import (
    attest,
    attest_labels,
    gate_components,
    gate_facts,
    pipeline,
    policies,
    scans,
    settings,
    threats,
)
from lemnis.contracts.errors import InputError, NotFoundError, UsageError
from lemnis.contracts.findings import Decision, Finding, Reason, ScanReport
from lemnis.contracts.ids import Json, canonical, digest, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.policy.decide import decide
from lemnis.policy.document import IMAGE_STAGES, Facts, change_document, code_document, image_document

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.policy.decide import Policy
    from lemnis.store.git import Commit, Repository

DECISION = "decision"
"""The kind of journal entry; its subject is ``commit:…``, ``image:…`` or ``folder:…``."""
MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""What a pull request is compared with unless it says: the first of these that there is."""
COMMIT_STAGES = ("commit", "pull_request", "build")


def code(
    workspace: app.Workspace, stage: str, repository: Repository, revision: str, *, base: str = ""
) -> Decision:
    """Ask a gate about one commit: what it brings in against ``base``.

    Without a base a build is compared with the commit's parents, a pull request with where it left the main
    branch. The decision is written to the journal and the findings to the lake. Raises NotFoundError for a
    commit there is not, UsageError for a stage that is not about commits and a base that holds the commit.
    """
    if stage not in COMMIT_STAGES:
        raise UsageError(
            f"stage {stage!r} does not decide on commits", fix=f"stages: {', '.join(COMMIT_STAGES)}"
        )
    commit = pipeline.find(repository, revision)
    others = _bases(stage, repository, commit, base)
    reports = scans.reports(workspace, repository, [commit, *others])
    known = {f.fingerprint for other in others for f in reports[other.id].findings}
    name = pipeline.repository_name(workspace, repository)
    document = document_of(
        stage, repository, name, commit, reports[commit.id], known=known,
        base=others[0].id if others else "", facts=gate_facts.facts(workspace, name),
        rules=policies.load(app.library(workspace)),
    )  # fmt: skip
    made = _decided(workspace, stage, document, repository, reports[commit.id].findings)
    pipeline.into_lake(workspace, reports[commit.id], resource=name, revision=commit.id)
    write_down(
        workspace, stage, f"commit:{commit.id}", made,
        {"repository": name, "base": document["change"]["base"]},
    )  # fmt: skip
    return made


def staged(workspace: app.Workspace, repository: Repository) -> Decision:
    """Ask the commit gate about what is staged, against HEAD; nothing is written to the journal.

    A person tries this many times before a commit, and each try is nobody's business.
    """
    commit = repository.staged()
    before = [pipeline.find(repository, parent) for parent in commit.parents]
    reports = scans.reports(workspace, repository, [commit, *before])
    known = {f.fingerprint for other in before for f in reports[other.id].findings}
    name = pipeline.repository_name(workspace, repository)
    document = document_of(
        "commit", repository, name, commit, reports[commit.id], known=known,
        base=before[0].id if before else "", facts=gate_facts.facts(workspace, name),
        rules=policies.load(app.library(workspace)),
    )  # fmt: skip
    return _decided(workspace, "commit", document, repository, reports[commit.id].findings)


def editor(workspace: app.Workspace, folder: Path, repository: Repository | None) -> Decision:
    """Ask the editor gate about a folder as it lies there; against HEAD where it is a repository's."""
    report = scans.gated(workspace, folder)
    known: set[str] = set()
    name, base = folder.resolve().name, ""
    if repository is not None and repository.branches():
        head = pipeline.find(repository, "HEAD")
        name, base = pipeline.repository_name(workspace, repository), head.id
        known = {f.fingerprint for f in scans.reports(workspace, repository, [head])[head.id].findings}
    change = change_document(
        repository=name, commit="", base=base, author="", email="", subject="", at=workspace.clock.now(),
        files=[("M", path) for path in sorted({finding.path for finding in report.findings})],
    )  # fmt: skip
    document = code_document("editor", change, report, known, facts=gate_facts.facts(workspace, name))
    return _decided(workspace, "editor", document, repository, report.findings)


def image(
    workspace: app.Workspace,
    stage: str,
    digest_: str,
    repository: Repository | None = None,
    *,
    report: ScanReport | None = None,
    workload: str = "",
    alerts: Sequence[Mapping[str, Json]] = (),
) -> Decision:
    """Ask a gate about an image digest; the decision is written to the journal.

    Where the source lies is told by ``repository``, else by the settings for the one that the attestation
    names. ``report`` is a scan of the image, if there was one. Raises UsageError for a stage that is not
    about images.
    """
    if stage not in IMAGE_STAGES:
        raise UsageError(
            f"stage {stage!r} does not decide on images", fix=f"stages: {', '.join(IMAGE_STAGES)}"
        )
    found = report or ScanReport((), ())
    facts, document = _image(workspace, stage, digest_, repository, report=found, workload=workload)
    if stage == "runtime":
        document |= {"alerts": [dict(one) for one in alerts]}
    made = _decided(workspace, stage, document, repository, found.findings)
    write_down(workspace, stage, f"image:{digest_}", made, {"attestation": facts})
    return made


def images(
    workspace: app.Workspace, digests: Sequence[str], content: Library, stage: str = "deploy"
) -> Mapping[str, Decision]:
    """Return what a gate of ``content`` says of each image, by what is attested of them now.

    Nothing is written down, and no image is scanned.
    """
    rules = policies.load(content)
    allowed = (*policies.exceptions(content), *gate_facts.waived(workspace))
    now, nothing = workspace.clock.now(), ScanReport((), ())
    return {
        one: decide(
            rules, _image(workspace, stage, one, None, report=nothing)[1], stage, allowed, now,
            content_digest=content.digest,
        )
        for one in digests
    }  # fmt: skip


def image_facts(workspace: app.Workspace, stage: str, image: str) -> dict[str, Any]:
    """Return the document of an image at a stage, by what is attested of it now; it is not scanned."""
    return _image(workspace, stage, image, None, report=ScanReport((), ()))[1]


def _image(
    workspace: app.Workspace,
    stage: str,
    digest_: str,
    repository: Repository | None,
    *,
    report: ScanReport,
    workload: str = "",
) -> tuple[dict[str, Json], dict[str, Any]]:
    """Return what is attested of an image, and the document of it at a stage."""
    facts = _attestation(workspace, digest_, repository)
    subject = str(facts.pop("subject"))
    document = image_document(
        stage, image=digest_, name=subject, attestation=facts,
        statements=attest.statements(workspace, digest_), report=report,
        facts=gate_facts.facts(workspace, str(facts["repository"]), subject, workload),
        labels=attest_labels.facts(workspace, digest_),
        sbom=gate_components.documents(attest.components(workspace, digest_)),
    )  # fmt: skip
    return facts, document | ({"workload": workload, "alerts": []} if stage == "runtime" else {})


def history(
    workspace: app.Workspace,
    repository: Repository,
    commits: Sequence[Commit],
    content: Library,
    stage: str = "build",
) -> Mapping[str, Decision]:
    """Return what a gate of ``content``, with its checks and scanners, says of each commit.

    Nothing is written down. All trees are scanned in one run and kept; exceptions are judged at each
    commit's own time.
    """
    rules = policies.load(content)
    allowed = (*policies.exceptions(content), *gate_facts.waived(workspace))
    return {
        commit.id: decide(rules, document, stage, allowed, commit.at, content_digest=content.digest)
        for commit, document in documents(workspace, repository, commits, content, stage, rules=rules)
    }


def documents(
    workspace: app.Workspace,
    repository: Repository,
    commits: Sequence[Commit],
    content: Library,
    stage: str,
    *,
    rules: Sequence[Policy],
) -> Iterator[tuple[Commit, dict[str, Any]]]:
    """Yield each commit with its document at a stage, as ``rules`` ask for it; trees are scanned and kept."""
    by_id = {commit.id: commit for commit in repository.commits()} | {one.id: one for one in commits}
    parents = {p: by_id[p] for c in commits for p in c.parents if p in by_id}
    trees = list(({c.id: c for c in commits} | parents).values())
    reports = scans.reports(workspace, repository, trees, library=content)
    name = pipeline.repository_name(workspace, repository)
    facts = gate_facts.facts(workspace, name)
    for commit in commits:
        known = {f.fingerprint for p in commit.parents if p in reports for f in reports[p].findings}
        base = commit.parents[0] if commit.parents else ""
        asked = document_of(
            stage, repository, name, commit, reports[commit.id], known=known, base=base, facts=facts,
            rules=rules,
        )  # fmt: skip
        yield commit, asked


def document_of(
    stage: str,
    repository: Repository,
    name: str,
    commit: Commit,
    report: ScanReport,
    *,
    known: Collection[str],
    base: str,
    facts: Facts,
    rules: Sequence[Policy],
) -> dict[str, Any]:
    """Return the document of one commit at a stage, with its components if one of the ``rules`` asks."""
    files, added = _in_git(repository, commit.id, base)
    change = change_document(
        repository=name, commit=commit.id, base=base, author=commit.author, email=commit.email,
        subject=commit.subject, at=commit.at, files=files,
    )  # fmt: skip
    named = gate_components.of_commit(repository, commit.id) if gate_components.asked(rules, stage) else ()
    return code_document(
        stage, change, report, known, facts=facts, threats=added.document(),
        sbom=gate_components.documents(named),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _in_git(
    repository: Repository, commit: str, base: str
) -> tuple[Sequence[tuple[str, str]], threats.Change]:
    """Return (status, path) of the files that a commit changes, and what it adds to the attack surface.

    Both are whole hashes: a proof asks the same of all history for each state of the content.
    """
    files = tuple(
        (status, path.encode(errors="surrogateescape").decode(errors="backslashreplace"))
        for status, path in repository.changed(commit)
    )
    return files, threats.change(repository, commit, base)


def _bases(stage: str, repository: Repository, commit: Commit, base: str) -> list[Commit]:
    """Return what a commit is compared with."""
    if base:
        other = pipeline.find(repository, base)
        if repository.holds(other.id, commit.id):
            raise UsageError(
                f"{base} already holds {commit.id[:12]}: nothing would be compared",
                fix="name the commit that the change started from, or leave out --base",
            )
        if stage == "pull_request":
            other = pipeline.find(repository, repository.merge_base(other.id, commit.id) or other.id)
        return [other]
    if stage != "pull_request":
        return [pipeline.find(repository, parent) for parent in commit.parents]
    for name in MAIN:
        try:
            left = repository.merge_base(name, commit.id)
        except NotFoundError:
            continue
        if left and left != commit.id:
            return [pipeline.find(repository, left)]
    raise UsageError(
        "no main branch that this change has left", fix="say what it is compared with: --base REV"
    )


def _decided(
    workspace: app.Workspace,
    stage: str,
    document: Mapping[str, Any],
    repository: Repository | None,
    findings: Sequence[Finding],
) -> Decision:
    content = app.library(workspace)
    allowed = gate_facts.exceptions(
        workspace, content, policies.exceptions(content), repository=repository, findings=findings
    )
    return decide(
        policies.load(content), document, stage, (*allowed, *gate_facts.waived(workspace)),
        workspace.clock.now(), content_digest=content.digest,
    )  # fmt: skip


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
        "finding": reason.finding, "severity": reason.severity, "exceptions_by": reason.grants,
    }  # fmt: skip


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

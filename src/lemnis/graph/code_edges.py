"""The edges from an image back into its source code: build, commit, line, who wrote it, who owns it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import to_iso
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import codeowners
from lemnis.graph.attestation import Build
from lemnis.graph.requests import Behind
from lemnis.graph.source_line import Located
from lemnis.store.git import BlameLine, Commit

_GITHUB_RUN = re.compile(r"(https://[^\s?#]+/actions/runs/[0-9]+)(?:/attempts/[0-9]+)?")
"""``invocationId`` as GitHub's attestations have it."""


def broken(source: Entity, relation: str, kind: EntityKind, method: str, reason: str, **facts: Json) -> Edge:
    """Return an edge that did not hold, and why."""
    return Edge(source, Entity(kind, "?"), relation, method, Strength.BROKEN, {"reason": reason, **facts})


def built(image: Entity, build: Build, attestation: str) -> list[Edge]:
    """Return the edges that a verified attestation (its digest in the vault) gives: image, build, commit."""
    evidence: dict[str, Json] = {
        "attestation": attestation,
        "builder": build.builder,
        "key": build.keyid,
        "subject": build.subject,
    }
    run = Entity(EntityKind.BUILD, build.invocation or build.builder)
    commit = Entity(EntityKind.COMMIT, build.commit)
    when: dict[str, Json] = {"started": build.started, "finished": build.finished}
    return [
        Edge(image, run, "built_by", "attestation", Strength.VERIFIED, {**evidence, **when}),
        Edge(
            run, commit, "built_from", "attestation", Strength.VERIFIED,
            {**evidence, "repository": build.repository},
        ),
    ]  # fmt: skip


def ran(build: Edge) -> Edge | None:
    """Return the edge from a build (``built_by``) to the run of GitHub that its attestation names, if one."""
    named = _GITHUB_RUN.fullmatch(build.target.value)
    if named is None or build.relation != "built_by" or not build.holds:
        return None
    run = Entity(EntityKind.WORKFLOW_RUN, named[1])
    kept = {name: build.evidence[name] for name in ("attestation", "builder") if name in build.evidence}
    return Edge(build.target, run, "run_by", build.method, build.strength, kept)


def line(commit: Entity, target: Entity, located: Located, text: str, behind: Sequence[Behind]) -> Edge:
    """Return the edge from a deployed commit to the line, as strong as the weakest thing that led there.

    Without a request the route is not known to have been used, and is a name match; a text of the code that
    was seen in the command line makes it a label.
    """
    strength = located.strength
    if located.route:
        strength = min(strength, max((one.strength for one in behind), default=Strength.NAME_MATCH))
    if located.said:
        strength = max(strength, Strength.LABEL)
    return Edge(
        source=commit,
        target=target,
        relation="has_line",
        method=located.method,
        strength=strength,
        evidence={
            "file": f"{located.path}:{located.line}",
            "text": text.strip(),
            "route": located.route,
            "calls": list(located.calls),
            "text_in_command": located.said,
            "findings": [f"{f.tool}:{f.rule_id} {f.severity.name.lower()}" for f in located.findings],
            "requests": [
                {
                    "event": one.request.uid, "path": one.request.path, "text": one.text,
                    "client": one.request.client, "method": one.method, "process": one.process.uid,
                }
                for one in behind
            ],
        },
    )  # fmt: skip


def introduced(line_: Entity, blame: BlameLine, commit: Commit | None, deployed: str, behind: int) -> Edge:
    """Return the edge from a line to the commit that wrote it; ``behind`` commits before the deployed one."""
    facts: dict[str, Json] = {
        "file": f"{blame.path}:{blame.line}",
        "text": blame.text.strip(),
        "deployed": deployed,
        "commits_before_deployed": behind,
    }
    if commit is not None:
        facts |= {
            "author": f"{commit.author} <{commit.email}>",
            "at": to_iso(commit.at),
            "subject": commit.subject,
        }
    target = Entity(EntityKind.COMMIT, blame.commit)
    return Edge(line_, target, "introduced_by", "git_blame", Strength.RECORDED, facts)


def owned(line_: Entity, path: str, place: str, text: str) -> Edge:
    """Return the edge from a line to the owner that a CODEOWNERS file (at ``place``) names."""
    found = codeowners.owners(text, path)
    if not found.owners:
        reason = f"no line of {place} gives {path} an owner" if place else "the commit has no CODEOWNERS"
        return broken(line_, "owned_by", EntityKind.OWNER, "codeowners", reason, file=place)
    return Edge(
        line_, Entity(EntityKind.OWNER, found.owners[0]), "owned_by", "codeowners", Strength.LABEL,
        {"file": f"{place}:{found.line}", "pattern": found.pattern, "owners": list(found.owners)},
    )  # fmt: skip

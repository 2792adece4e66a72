"""Workflows and composite actions of GitHub Actions as resources: the workflow, its jobs, their steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lemnis.content import yaml
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import Resource, Steps
from lemnis.scan.readers import Lines, Read, listed, mapping, part, plain, shell, texts
from lemnis.scan.readers.credentials import held
from lemnis.scan.readers.expressions import found_in
from lemnis.scan.readers.images import parts

OUTSIDE = frozenset(
    {
        "pull_request_target", "issue_comment", "issues", "workflow_run", "discussion", "discussion_comment",
        "pull_request_review", "pull_request_review_comment", "fork", "watch", "gollum",
    }
)  # fmt: skip
"""Events that strangers cause and whose runs have the repository's secrets and token."""
_SHA = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")
_HEAD = re.compile(
    r"pull_request\.head\.|head_ref|workflow_run\.head_|pull_request\.merge_commit_sha|refs/pull/|github\.event\.number|"
    r"issue\.number|pull_request\.number"
)
_HEAD_BY_HAND = re.compile(
    r"\bgh\s+pr\s+checkout\b|\bgit\s+(?:fetch|checkout|pull|merge)\b[^\n]*(?:refs/pull/|pull/\$|pull/\d|head_ref|HEAD_REF|"
    r"pull_request\.head)|\brefs/pull/\$\{\{"
)
_CODE = {
    "actions/github-script": ("script",), "azure/powershell": ("inlinescript",),
    "azure/cli": ("inlinescript",), "appleboy/ssh-action": ("script",), "addnab/docker-run-action": ("run",),
    "amadevus/pwsh-script": ("script",), "mikefarah/yq": ("cmd",),
}  # fmt: skip
"""Inputs of actions that are run as code."""
_CACHES: Mapping[str, str] = {
    "actions/cache": "", "actions/cache/restore": "", "swatinem/rust-cache": "",
    "gradle/actions/setup-gradle": "", "gradle/gradle-build-action": "", "mozilla-actions/sccache-action": "",
    "actions-rust-lang/setup-rust-toolchain": "", "actions/setup-go": "cache:true",
    "astral-sh/setup-uv": "enable-cache:auto", "actions/setup-node": "cache", "actions/setup-python": "cache",
    "actions/setup-java": "cache", "ruby/setup-ruby": "bundler-cache", "actions/setup-dotnet": "cache",
    "docker/setup-buildx-action": "cache-binary:true", "pnpm/action-setup": "cache",
    "pyo3/maturin-action": "sccache", "ramsey/composer-install": "",
}  # fmt: skip
"""Actions that restore a cache, and the input that says so (``:`` what it is by default)."""
_PUBLISHES = re.compile(
    r"(?i)^(?:pypa/gh-action-pypi-publish|softprops/action-gh-release|actions/create-release|ncipollo/release-action|"
    r"goreleaser/goreleaser-action|rubygems/release-gem|js-devtools/npm-publish|docker/build-push-action|"
    r"actions/attest-build-provenance|crates-io/.*|katyo/publish-crates)$"
)
_PUBLISH_COMMANDS = re.compile(
    r"\b(?:npm publish|twine upload|cargo publish|gem push|uv publish|poetry publish|gh release create)\b"
)


def read(text: str, path: str) -> Read:
    """Read a workflow or an action; a file that is neither has no resources."""
    documents, error = yaml.marked(text, path)
    if error is not None:
        ours = "/.github/workflows/" in f"/{path}"
        return Read((), (str(error),) if ours else ())
    if not documents:
        return Read()
    value, lines = plain(documents[0].value), documents[0].lines
    if not isinstance(value, dict):
        return Read()
    if "on" in documents[0].value:
        value["on"] = _events(documents[0].value["on"])  # an event without more has no value, and counts
    if isinstance(value.get("jobs"), dict) and "on" in value:
        return Read(tuple(_workflow(value, path, lines)))
    if mapping(value.get("runs")).get("using") == "composite":
        shared = {"events": [], "outside": False, "release": False, "action": True}
        found = _steps(listed(value["runs"].get("steps")), path, lines, ("runs", "steps"), shared)
        return Read(tuple(found))
    return Read()


def _workflow(value: dict[str, Any], path: str, lines: Lines) -> Iterator[Resource]:
    events: dict[str, Any] = value["on"]
    names = sorted(events)
    push = mapping(events.get("push"))
    jobs = {str(name): job for name, job in value["jobs"].items() if isinstance(job, dict)}
    steps = [step for job in jobs.values() for step in listed(job.get("steps"))]
    releases = "release" in events or "tags" in push or any(_publishes(step) for step in steps)
    data: dict[str, Any] = {
        "name": str(value.get("name", "")), "events": names, "triggers": events,
        "outside": bool(OUTSIDE & set(events)), "permissions": _permissions(value.get("permissions")),
        "jobs": len(jobs), "env": _variables(value.get("env")),
        "unset_jobs": sum("permissions" not in job for job in jobs.values()),
        "environment": {str(k): str(v) for k, v in mapping(value.get("env")).items()},
    }  # fmt: skip
    spots = (
        part(lines, ("permissions",), ("permissions",))
        | part(lines, ("env",), ("env",))
        | part(lines, ("env",), ("environment",))
    )
    spots |= part(lines, ("on",), ("triggers",)) | {("events",): lines.get(("on",), (1, 1))}
    yield Resource("github.workflow", path, Place(path, *lines.get(("on",), (1, 1))), data, (), spots)
    shared = {"events": names, "outside": data["outside"], "release": releases, "action": False}
    for name, job in jobs.items():
        at: Steps = ("jobs", name)
        rights = _permissions(job.get("permissions", value.get("permissions")))
        yield _job(f"{path}#{name}", job, path, part(lines, at), {**shared, "permissions": rights})
        yield from _steps(listed(job.get("steps")), path, lines, (*at, "steps"), shared)


def _job(name: str, job: dict[str, Any], path: str, lines: Lines, shared: Mapping[str, Any]) -> Resource:
    unknown: list[Steps] = []
    runs_on = job.get("runs-on")
    labels = texts(
        mapping(runs_on).get("labels", mapping(runs_on).get("group"))
        if isinstance(runs_on, dict)
        else runs_on
    )
    if any("${{" in label for label in labels):
        unknown += [("self_hosted",), ("labels",)]
    data: dict[str, Any] = {
        **shared, "labels": labels, "self_hosted": "self-hosted" in labels or "group" in mapping(runs_on),
        "own_permissions": "permissions" in job,
        "secrets": "inherit" if job.get("secrets") == "inherit" else "some" if job.get("secrets") else "none",
        "deploys": bool(job.get("environment")), "env": _variables(job.get("env")),
        "environment": {str(k): str(v) for k, v in mapping(job.get("env")).items()},
        "condition": str(job.get("if", "")), "images": [],
    }  # fmt: skip
    data["bot_condition"] = _bot(data["condition"])
    if isinstance(job.get("uses"), str):
        data["uses"] = _uses(job["uses"])
    container = job.get("container")
    services = [one for one in mapping(job.get("services")).values() if isinstance(one, dict)]
    for one in [{"image": container} if isinstance(container, str) else mapping(container), *services]:
        image = one.get("image")
        if isinstance(image, str) and image:
            if "${{" in image:
                unknown.append(("images", len(data["images"])))
            password = mapping(one.get("credentials")).get("password")
            data["images"].append(
                {
                    "image": image,
                    **parts(image),
                    "password_written": isinstance(password, str) and "${{" not in password,
                }
            )
    spots = (
        dict(lines) | part(lines, ("runs-on",), ("self_hosted",)) | part(lines, ("container",), ("images",))
    )
    spots |= part(lines, ("if",), ("bot_condition",))
    return Resource("github.job", name, Place(path, *lines.get((), (1, 1))), data, tuple(unknown), spots)


def _steps(
    steps: list[Any], path: str, lines: Lines, at: Steps, shared: Mapping[str, Any]
) -> Iterator[Resource]:
    for number, step in enumerate(steps):
        if isinstance(step, dict):
            own = part(lines, (*at, number))
            yield _step(step, f"{path}#{'.'.join(map(str, (*at[1:-1], number)))}", path, own, shared)


def _step(step: dict[str, Any], name: str, path: str, lines: Lines, shared: Mapping[str, Any]) -> Resource:
    given = mapping(step.get("with"))
    data: dict[str, Any] = {
        **shared,
        "env": _variables(step.get("env")),
        "condition": str(step.get("if", "")),
        "injected": [],
    }
    data["environment"] = {str(k): str(v) for k, v in mapping(step.get("env")).items()}
    data["bot_condition"] = _bot(data["condition"])
    code: list[tuple[Steps, str]] = [(("run",), str(step["run"]))] if "run" in step else []
    spots: dict[Steps, tuple[int, int]] = dict(lines)
    unknown: list[Steps] = []
    if "run" in step:
        data["shell"] = shell.facts(str(step["run"]))
        data["checks_out_head"] = bool(_HEAD_BY_HAND.search(str(step["run"])))
        spots |= part(lines, ("run",), ("shell",)) | part(lines, ("run",), ("checks_out_head",))
    if isinstance(step.get("uses"), str):
        used = data["uses"] = _uses(step["uses"])
        action = str(used["action"]).lower()
        code += [
            (("with", key), str(given[key]))
            for key in given
            for known in _CODE.get(action, ())
            if key.lower() == known
        ]
        data["caches"] = _caches(action, given)
        data["downloads_artifact"] = action in {
            "actions/download-artifact",
            "dawidd6/action-download-artifact",
        }
        data["from_other_run"] = "run-id" in given or action.startswith("dawidd6/")
        if action == "actions/checkout":
            reference = f"{given.get('ref', '')} {given.get('repository', '')}"
            data["checkout"] = {"persists": str(given.get("persist-credentials", "true")).lower() != "false"}
            data["checks_out_head"] = bool(_HEAD.search(reference))
            if not data["checks_out_head"] and any(who == "caller" for _, who in found_in(reference)):
                unknown.append(("checks_out_head",))
            if "${{" in str(given.get("persist-credentials", "")):
                unknown.append(("checkout", "persists"))
            spots |= part(lines, ("with", "ref"), ("checks_out_head",))
    for way, text in code:
        for said, who in found_in(text):
            if who != "fixed":
                spots[("injected", len(data["injected"]))] = lines.get(way, lines.get((), (1, 1)))
                data["injected"].append({"expression": said[:200], "by": who})
    secrets = [said for text in _all_texts(step) for said, _ in found_in(text)]
    data["all_secrets"] = any(re.search(r"(?i)tojson\(\s*secrets\s*\)|secrets\[", said) for said in secrets)
    return Resource(
        "github.step",
        str(step.get("name") or name),
        Place(path, *lines.get((), (1, 1))),
        data,
        tuple(unknown),
        spots,
    )


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _all_texts(item)


def _events(on: Any) -> dict[str, Any]:
    if isinstance(on, dict):
        return {str(name): plain(mapping(config)) for name, config in on.items()}
    return {name: {} for name in texts(on)}


def _permissions(value: Any) -> dict[str, Any]:
    """Return permissions: ``all`` (``write``, ``read``, ``unset``, ``listed``), and the scopes to write."""
    if value is None:
        return {"all": "unset", "writes": []}
    if isinstance(value, str):
        return {"all": value.removesuffix("-all"), "writes": []}
    return {
        "all": "listed",
        "writes": sorted(str(key) for key, access in mapping(value).items() if access == "write"),
    }


def _uses(text: str) -> dict[str, Any]:
    """Take apart what a step or job uses (workflow syntax, ``jobs.<id>.steps[*].uses``)."""
    if text.startswith("docker://"):
        return {"kind": "docker", "action": text, "ref": "", "pinned": "@sha256:" in text, "own": False}
    if text.startswith(("./", "../")):
        return {"kind": "local", "action": text, "ref": "", "pinned": True, "own": True}
    action, _, ref = text.partition("@")
    owner = action.split("/")[0].lower()
    return {
        "kind": "action", "action": action, "ref": ref, "pinned": bool(_SHA.match(ref)),
        "own": owner in {"actions", "github"},
    }  # fmt: skip


def _caches(action: str, given: Mapping[str, Any]) -> bool:
    if action not in _CACHES:
        return False
    name, _, default = _CACHES[action].partition(":")
    if not name:
        return str(given.get("lookup-only", "false")).lower() != "true"
    return str(given.get(name, default)).lower() not in {"", "false", "none"}


def _publishes(step: Any) -> bool:
    uses, run = str(mapping(step).get("uses", "")), str(mapping(step).get("run", ""))
    return bool(_PUBLISHES.match(uses.partition("@")[0])) or bool(_PUBLISH_COMMANDS.search(run))


def _bot(condition: str) -> bool:
    return bool(
        re.search(
            r"github\.(?:actor|triggering_actor)\b\s*==\s*'[^']*\[bot\]'|'[^']*\[bot\]'\s*==\s*github\.(?:actor|triggering_actor)",
            condition,
        )
    )


def _variables(env: Any) -> list[dict[str, str]]:
    """Return the variables that hold a credential written out."""
    found = ((str(name), held(str(name), str(value))) for name, value in mapping(env).items())
    return [{"name": name, "what": what} for name, what in found if what]

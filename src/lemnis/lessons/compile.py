"""The lesson compiler: what an incident taught → the files of its change set. Pure: facts in, bytes out.

The change set is four folders of content: a gate (Rego, with its test), a detection (Sigma, with a regression
sample), a threat-model entry, and the lesson that links them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from lemnis.contracts.alerts import Alert
from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import Json, stable_id
from lemnis.lessons.derive import Candidate, Measured
from lemnis.lessons.gate import Cost, rego, rego_test
from lemnis.lessons.prevent import Drawn, pattern
from lemnis.lessons.prevent.write import write
from lemnis.lessons.scrub import mask, scrub
from lemnis.lessons.sequence import Ordered, documents

_NAMESPACE = uuid.UUID("6b1c8a52-5d0e-5c7b-9a0f-0c1f2b6e9d41")
_WRONGLY = ("commits_stopped_wrongly", "images_stopped_wrongly")
_TACTIC = re.compile(r"attack\.t\d{4}(\.\d{3})?")


@dataclass(frozen=True, slots=True)
class Cause:
    """Where an incident came from: the line, the commit that brought it in, and the scanner's view of it."""

    repository: str
    commit: str
    path: str
    line: int
    text: str
    author: str
    owner: str
    workload: str
    entry_point: str
    findings: tuple[Finding, ...]
    image: str = ""
    """The digest of an image without proof, where that is the cause and no line is known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Raw records of one source, as they were read."""

    source: str
    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a lesson is compiled from; ``alerts`` are those that the cause led to.

    ``drawn`` is the gate by the kind of the cause, ``gate`` which of its scopes was chosen and what it costs;
    ``beside`` are gates against other causes that the trace shows, which this lesson does not write.
    """

    incident_id: str
    title: str
    at: int
    alerts: tuple[Alert, ...]
    cause: Cause
    gate: Cost
    detection: Measured
    attack: Sample
    benign: Sample
    content_digest: str
    hops: tuple[str, ...]
    drawn: Drawn | None = None
    beside: tuple[Drawn, ...] = ()

    @property
    def weaknesses(self) -> tuple[int, ...]:
        """Return the weaknesses of the cause: those that the gate names, else the findings'."""
        named = self.gate.scope.cwes
        return named or tuple(sorted({cwe for one in self.cause.findings for cwe in one.cwes}))


def by_weakness(facts: Facts) -> bool:
    """Say whether the gate refuses a way of writing code by its weakness."""
    return bool(facts.gate.scope.cwes) and (facts.drawn is None or facts.drawn.kind == pattern.NAME)


def lesson_id(incident_id: str, at: int) -> str:
    """Return the lesson's id: the year of the incident and six digits that follow from its id."""
    return f"{datetime.fromtimestamp(at / 1000, UTC).year}-{stable_id('ls', incident_id)[3:9]}"


def folder(lesson: str) -> str:
    """Return the name that the lesson's gate, detection and threat have as content."""
    return "lesson_" + lesson.replace("-", "_")


def compile_lesson(facts: Facts) -> dict[str, bytes]:
    """Return the files of the change set, by path in the workspace's repository."""
    lesson = lesson_id(facts.incident_id, facts.at)
    name = folder(lesson)
    keep = _looked_for(facts.detection.candidate)
    attack, benign = scrub(facts.attack.records, keep=keep), mask(scrub(facts.benign.records, keep=keep))
    return {
        **_gate(facts, lesson, name),
        f"content/detections/{name}/rule.yml": _rule(facts, lesson).encode(),
        f"content/detections/{name}/tests.yml": _yaml(_tests(facts)),
        f"content/detections/{name}/samples/attack.log": _lines(attack),
        f"content/detections/{name}/samples/benign.log": _lines(list(dict.fromkeys(benign))),
        f"content/threats/{name}/threat.yaml": _yaml(_threat(facts, lesson, name)),
        f"content/lessons/{lesson}/lesson.yaml": _yaml(_lesson(facts, lesson, name)),
    }


def _gate(facts: Facts, lesson: str, name: str) -> dict[str, bytes]:
    """Return the files of the gate."""
    if not by_weakness(facts) and facts.drawn is not None:
        return write(facts.drawn, facts.gate.scope, name, lesson, facts.incident_id)
    package, cause = f"lemnis.{name}", facts.cause
    message = f"this brings in what led to incident {facts.incident_id}"
    fix = f"see lesson {lesson}; the cause was {cause.path}:{cause.line}, commit {cause.commit[:12]}"
    text = rego(package, facts.gate.scope, lesson=lesson, message=message, fix=fix)
    example = next((one for one in cause.findings if facts.gate.scope.covers(one)), cause.findings[0])
    return {
        f"content/policies/{name}/policy.rego": text.encode(),
        f"content/policies/{name}/policy_test.rego": rego_test(package, example).encode(),
        f"content/policies/{name}/policy.yaml": _yaml(_policy(facts, lesson, name)),
    }


def _looked_for(candidate: Candidate | Ordered) -> frozenset[str]:
    """Return the words that a detection looks for."""
    looks = (
        str((candidate.first, candidate.second))
        if isinstance(candidate, Ordered)
        else str(dict(candidate.detection))
    )
    return frozenset(re.findall(r"[^\W_]+(?:[-_.][^\W_]+)*", looks))


def rule_id(lesson: str) -> str:
    """Return the id of a lesson's detection."""
    return str(uuid.uuid5(_NAMESPACE, lesson))


def sigma(
    lesson: str, candidate: Candidate | Ordered, *, title: str, tags: Sequence[str], description: str
) -> str:
    """Return a candidate as a whole Sigma rule; a sequence as its steps and their correlation."""
    if isinstance(candidate, Ordered):
        made = documents(
            candidate, lambda part: _part_id(lesson, part), title=title, tags=tags, description=description
        )
        return "---\n".join(_yaml(one).decode() for one in made)
    return _yaml(_sigma(lesson, candidate, title=title, tags=tags, description=description)).decode()


def _part_id(lesson: str, part: str) -> str:
    """Return the id of a part of a sequence; the whole has that of the lesson's detection."""
    return rule_id(lesson if part == "sequence" else f"{lesson}/{part}")


def _sigma(
    lesson: str, candidate: Candidate, *, title: str, tags: Sequence[str], description: str
) -> dict[str, Json]:
    return {
        "title": title,
        "id": rule_id(lesson),
        "status": "experimental",
        "description": description,
        "author": "Lemnis lesson compiler",
        "tags": list(tags),
        "logsource": dict(candidate.logsource),
        "detection": dict(candidate.detection),
        "falsepositives": ["None in the history it was measured on"],
        "level": "high",
    }


def _rule(facts: Facts, lesson: str) -> str:
    measured = facts.detection
    return sigma(
        lesson,
        measured.candidate,
        title=_sentence(measured.candidate.name),
        tags=_tags(facts),
        description=(
            f"Lesson {lesson} of incident {facts.incident_id}: {measured.candidate.because}. "
            f"Measured on the history: {len(measured.attack_hits)} events of the attack, "
            f"{len(measured.other_hits)} others."
        ),
    )


def _tests(facts: Facts) -> list[Json]:
    return [
        {
            "name": "the recorded attack fires",
            "source": facts.attack.source,
            "given": "samples/attack.log",
            "fires": True,
        },
        {
            "name": "ordinary use of the same kind does not",
            "source": facts.benign.source,
            "given": "samples/benign.log",
            "fires": False,
        },
    ]


def _policy(facts: Facts, lesson: str, name: str) -> dict[str, Json]:
    weaknesses = ", ".join(f"CWE-{cwe}" for cwe in facts.gate.scope.cwes)
    return {
        "id": name,
        "title": f"What led to incident {facts.incident_id} does not come back",
        "description": (
            f"Lesson {lesson}: refuses a change that brings in a new finding of {weaknesses} "
            f"(scope: {facts.gate.scope.name})."
        ),
        "stages": list(pattern.STAGES),
        "effect": "deny",
        "severity": "high",
        "controls": ["NIST.SSDF.PW.7", "NIST.SSDF.RV.3"],
    }


def _threat(facts: Facts, lesson: str, name: str) -> dict[str, Json]:
    return {
        "id": name,
        "title": facts.title,
        "element": facts.cause.workload,
        "entry_point": facts.cause.entry_point,
        "cwes": list(facts.weaknesses),
        "techniques": sorted({tag[7:].upper() for tag in _tags(facts) if _TACTIC.fullmatch(tag)}),
        "state": "realised",
        "likelihood": 5,  # it happened
        "impact": min(5, max([1, *(int(alert.severity) for alert in facts.alerts)])),
        "incidents": [facts.incident_id],
        "mitigations": {"gate": name, "detection": name, "lesson": lesson},
        "owner": facts.cause.owner,
    }


def _lesson(facts: Facts, lesson: str, name: str) -> dict[str, Json]:
    cause = facts.cause
    return {
        "id": lesson,
        "incident": facts.incident_id,
        "title": facts.title,
        "cause": {
            **_origin(cause),
            "text": cause.text.strip(),
            "author": cause.author,
            "owner": cause.owner,
            "entry_point": cause.entry_point,
            "findings": [f"{f.tool}:{f.rule_id}" for f in cause.findings],
        },
        "gate": name,
        "detection": name,
        "threat": name,
        "cost": {
            _WRONGLY[bool(cause.image)]: list(facts.gate.wrongly),
            "alerts_added": len(facts.detection.other_hits),
        },
        "old_digest": facts.content_digest,
        "trace": list(facts.hops),
    }


def _origin(cause: Cause) -> dict[str, Json]:
    """Return what a lesson names as its cause: the line and its commit, or the image."""
    if cause.image:
        return {"image": cause.image}
    return {
        "repository": cause.repository, "commit": cause.commit, "path": cause.path, "line": cause.line,
    }  # fmt: skip


def _tags(facts: Facts) -> list[str]:
    """Return the ATT&CK tags of the alerts; an attack by requests exploited what faces the public."""
    found = {tag for alert in facts.alerts for tag in alert.tags if tag.startswith("attack.")}
    if facts.detection.candidate.logsource.get("category") == "webserver":
        found |= {"attack.initial-access", "attack.t1190"}
    return sorted(found)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lines(records: Sequence[str]) -> bytes:
    return "".join(f"{record}\n" for record in records).encode()


def _yaml(document: Mapping[str, Json] | list[Json]) -> bytes:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100).encode()

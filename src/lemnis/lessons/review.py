"""What a person has to look at before a lesson is merged: the parts that no proof decides. Pure."""

from __future__ import annotations

from lemnis.lessons.compile import Facts


def review(facts: Facts) -> list[str]:
    """Return what the owners of the code and of the detections must decide, one sentence each."""
    gate, detection, cause = facts.gate, facts.detection, facts.cause
    weaknesses = ", ".join(f"CWE-{cwe}" for cwe in gate.scope.cwes)
    where = f" in {gate.scope.folder}" if gate.scope.folder else ""
    by = f" reported by {', '.join(gate.scope.rules)}" if gate.scope.rules else ""
    owner = cause.owner or "nobody (no CODEOWNERS line)"
    points = [
        f"{owner}: a change that brings {weaknesses}{by}{where} into {cause.repository} is refused",
    ]
    if gate.wrongly:
        points.append(
            f"{owner}: the gate would have stopped {len(gate.wrongly)} changes wrongly: "
            + ", ".join(commit[:12] for commit in gate.wrongly)
        )
    if detection.other_hits:
        points.append(
            f"detections: {len(detection.other_hits)} alerts outside the attack in the history: "
            + ", ".join(detection.other_hits[:3])
        )
    points.append(
        f"detections: “{detection.candidate.name}” was drawn from this attack; is it what must not happen?"
    )
    points.append(
        f"samples: {len(facts.attack.records)} records of the attack, {len(facts.benign.records)} others, "
        "without addresses and known credentials, queries of others as shapes; is anything private left?"
    )
    return points

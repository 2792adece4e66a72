"""What a person has to look at before a lesson is merged: the parts that no proof decides. Pure."""

from __future__ import annotations

from lemnis.contracts.counting import counted
from lemnis.lessons.compile import Facts, by_weakness


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
    if facts.drawn is not None and not by_weakness(facts):
        drawn = facts.drawn
        where = f" in {cause.repository}" if cause.repository else ""
        points = [f"{owner}: {drawn.says} is refused{where} ({gate.scope.name})"]
        points[0] += f", from {drawn.stages[0]} on; {drawn.because}"
        points += [f"{owner}: {point}" for point in drawn.review]
    points += [
        f"{owner}: no gate is written against another cause that is seen there, {one.kind}: {one.says}"
        for one in facts.beside
    ]
    if gate.wrongly:
        points.append(
            f"{owner}: the gate would have stopped {counted(len(gate.wrongly), 'change')} wrongly: "
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

"""Findings for tests of the pipeline's pages; no test itself."""

from lemnis.app import findings_life
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport

PRINTS = [f"fp-{n:016x}" for n in range(1, 6)]


def find(soc, count=1, title="A shell from a string", resource="shop"):
    """Keep some findings; return their problems' ids."""
    found = tuple(
        Finding(one, "bandit", "B602", f"{title} {n}", Severity.HIGH, f"app/{n}.py", 5, 5, (78,))
        for n, one in enumerate(PRINTS[:count])
    )
    health = (ScanHealth("bandit", "1", Health.OK, 1, (), 1),)
    findings_life.remember(soc, ScanReport(found, health), resource=resource, revision="r1")
    return [findings_life.problem(soc, one).id for one in PRINTS[:count]]

"""One incident with one alert, made by hand for tests; not a test itself."""

from lemnis.contracts.alerts import Alert, Entity, IncidentStatus, Severity, Verdict
from lemnis.contracts.incidents import AlertGroup, Incident

ENTITIES = (Entity.parse("address:192.0.2.1"), Entity.parse("process:p"), Entity.parse("commit:c"))
TAGS = ("attack.credential-access", "attack.t1552.005", "attack.t1059", "cve.2024-1")
ALERT = Alert("al-1", "r", "A title", Severity.HIGH, 1000, "linux", ("ev-1",), ENTITIES, "sha256:c", TAGS)
GROUP = AlertGroup(
    "r", "A title", Severity.HIGH, "linux", TAGS, ENTITIES, (("al-1", 1000), ("al-2", 2000)), ("because",)
)


def incident(**more):
    return Incident(
        "in-1", "A title", Severity.HIGH, IncidentStatus.NEW, Verdict.UNKNOWN, "", 5000, 5000, 1000, 2000, 1000, 60, "risk",
        (GROUP,), content_digest="sha256:c",
    ) if not more else Incident(
        "in-1", "A title", Severity.HIGH, more["status"], Verdict.TRUE_POSITIVE, "ana", 5000, 9000, 1000, 2000, 1000, 60, "risk",
        (GROUP,), content_digest="sha256:c",
    )  # fmt: skip

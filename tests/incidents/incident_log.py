"""A journal of incidents as tests keep one, and alerts for it; not a test itself."""

from lemnis.contracts.alerts import Alert, Entity, IncidentChange, Severity
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries
from lemnis.incidents.view import fold

START = 1_700_000_000_000
SHOP = (Entity.parse("host:shop"),)


def alert(number, minute=0, rule="r", severity=Severity.HIGH, entities=SHOP):
    return Alert(
        f"al-{number}", rule, f"title {rule}", severity, START + minute * 60_000, "linux", (f"ev-{number}",), entities,
        "sha256:c", ("attack.execution",), {"message": "m"},
    )  # fmt: skip


def change(incident, *alerts, merged=(), risk=60):
    return IncidentChange(
        incident, alerts, {a.id: (f"because of {a.id}",) for a in alerts}, merged, risk, "risk", START
    )


class Log:
    """Keeps entries as a journal does: one a key, numbered and dated."""

    def __init__(self, clock):
        self.clock, self.entries = clock, {}

    def write(self, *new):
        for one in new:
            seq = len(self.entries) + 1
            entry = Entry(
                seq,
                self.clock.now(),
                one.kind,
                one.subject,
                one.key,
                one.actor,
                one.reason,
                one.payload,
                "",
                "",
            )
            self.entries.setdefault(one.key, entry)

    def view(self, incident="in-1"):
        return fold(self.entries.values()).get(incident)

    def apply(self, one):
        self.write(*entries.change_entries(one, self.view(one.incident_id), "sha256:c"))

"""The console's pages where incidents are of teams: what belongs to one is shown to who sees the incident."""

import asyncio
import re

import pytest
from consoled import (
    HOST,
    START,
    alert,
    browser,
    built,
    incident,
    joined,
    tell,
    workspace,
)

from lemnis import app
from lemnis.app import incidents
from lemnis.app.access import accounts
from lemnis.app.access.seeing import Eyes
from lemnis.app.board import Board
from lemnis.contracts.alerts import (
    Entity,
    EntityKind,
    IncidentChange,
    Severity,
)
from lemnis.incidents import entries as writing

RULE = """\
package lemnis.grave_ones_are_of_soc

import rego.v1

deny contains reason if {
    startswith(input.permission, "incident.")
    input.about.severity in {"high", "critical"}
    not "soc" in input.person.teams
    reason := {"message": "grave incidents are for the team soc"}
}
"""


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def test_what_belongs_to_an_incident_is_shown_to_who_sees_the_incident(soc):
    hidden = incident(soc, alert(1, title="The hidden one"), alert(2, title="The hidden one"))
    tell(soc, alert(9, title="One alone", rule="rule-9"))
    rule_of_the_team(soc)
    pages = ("/queue", f"/entity?name={HOST}", f"/alert/al-{1:016x}", "/", f"/alert/al-{9:016x}")

    async def run():
        made = built(soc)
        found = {}
        for name, team in (("inside", "soc"), ("outside", "shop")):
            async with browser(made, cookie=joined(made, name, "analyst", teams=[team])) as one:
                await one.get("/queue")
                found[name] = {path: await one.get(path) for path in pages}
                found[name]["search"] = await one.get(f"/search?q=al-{1:016x}", follow_redirects=True)
        return found

    found = asyncio.run(run())
    inside, outside = found["inside"], found["outside"]
    for path in (pages[0], pages[1], pages[2], "search"):
        assert "The hidden one" in inside[path].text, path
        assert "The hidden one" not in outside[path].text, path
        assert hidden not in outside[path].text, path
    assert (outside[pages[2]].status_code, outside["search"].status_code) == (403, 403)
    assert "grave incidents are for the team soc" in outside[pages[2]].text
    for path in (pages[0], pages[1], pages[4]):
        assert "One alone" in outside[path].text, path
    assert menu_count(inside["/"]) == 1
    assert menu_count(outside["/"]) == 0


def rule_of_the_team(soc):
    folder = soc.content / "policies/grave_ones_are_of_soc"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(RULE)
    (folder / "policy.yaml").write_text("id: grave_ones_are_of_soc\ntitle: t\nstages: [access]\n")


def menu_count(page):
    """Return how many incidents the menu says there are."""
    found = re.search(r'class="count"[^>]*>(\d+)<', page.text)
    return int(found[1]) if found else 0


def test_what_went_into_a_hidden_incident_or_names_one_is_hidden(soc):
    rule_of_the_team(soc)
    low = alert(1, severity=Severity.LOW, entities=(Entity(EntityKind.HOST, "web-7"),), at=60_000)
    plain, grave = incident(soc, low), incident(soc, alert(2))
    other = incident(soc, alert(3, severity=Severity.LOW, entities=(Entity(EntityKind.HOST, "web-8"),)))
    made = built(soc)
    joined(made, "outside", "analyst", teams=["shop"])
    person = made.access.person(accounts.find(made.access, "outside"))
    board = Board(soc)

    def seen():
        eyes = Eyes(person, board)
        return {one for one in (plain, grave, other) if not eyes.incident(one)}

    assert seen() == {plain, other}
    assert not Eyes(person, board).alert(low.id, low.severity)
    change = IncidentChange(grave, (), {}, risk=180, because="the same", decisive=START, merged_from=(plain,))
    app.journal(soc).append_all(
        writing.change_entries(change, incidents.by_id(app.journal(soc), grave), "sha256:00")
    )
    assert seen() == {other}
    assert Eyes(person, board).alert(low.id, low.severity)
    assert board.holder(low.id) == grave
    incidents.note(soc, other, f"see {grave}", actor="lee")
    incidents.note(soc, other, "see nothing", actor="lee")
    *_, naming, silent = app.journal(soc).entries(subject=other)
    assert Eyes(person, board).entry(naming)
    assert not Eyes(person, board).subject(naming), "the stream tells the subject, and no more"
    assert not Eyes(person, board).entry(silent)

"""Rules of the stage `access` about events: asked about owners, laid over every search."""

import enriched
import pytest

from lemnis import app
from lemnis.app import query as asking
from lemnis.app.access import accounts
from lemnis.app.access.lake import Lake
from lemnis.app.access.service import Access
from lemnis.app.board import Board
from lemnis.app.ingest import Ingest
from lemnis.contracts.clock import ManualClock

HOSTS = """\
- {id: m1, hostnames: [web1], owner: lee, team: shop, services: [shop]}
- {id: m2, hostnames: [web2], owner: kim, team: pay, services: [pay]}
"""
EVENTS = [
    ("05-01", "web1", "198.51.100.9"),
    ("05-02", "web2", "198.51.100.9"),
    ("05-03", "web3", "198.51.100.9"),
]
RULE = """\
package lemnis.events_are_of_teams

import rego.v1

deny contains reason if {
    input.permission == "event.search"
    input.about.kind == "event"
    %s
    not input.about.team in input.person.teams
    reason := {"message": "events are for the team that owns the host"}
}
"""


@pytest.fixture
def soc(tmp_path):
    made = app.init(tmp_path / "soc", clock=ManualClock(enriched.NOW))
    enriched.assets(made, HOSTS)
    assert Ingest(made).run([enriched.log(tmp_path, *EVENTS)]).rejected == 0
    return made


def sees(soc, *, strangers, teams=("shop",), rule=True):
    if rule:
        folder = soc.content / "policies/events_are_of_teams"
        folder.mkdir(parents=True)
        (folder / "policy.rego").write_text(RULE % ('input.about.team != ""' if strangers else "true"))
        (folder / "policy.yaml").write_text("id: events_are_of_teams\ntitle: t\nstages: [access]\n")
    access = Access(soc)
    accounts.add(access, "ana", ["analyst"], list(teams), actor="root")
    person, lake = access.person(accounts.find(access, "ana")), Lake(soc)
    veil = lake.veil(person, None, Board(soc))
    found = asking.search(soc, "class:authentication", since="2026-01-01", veil=veil)
    hosts = {hit.event["device"]["hostname"] for some in found.found() for hit in some}
    batches = lake.shown(person, app.events(soc)).scan(3002)
    read = [one["device"]["hostname"] for batch in batches for one in batch.table.to_pylist()]
    assert sorted(read) == sorted(hosts), "one by one, as rules are tried, it is the same"
    counted = asking.search(soc, "class:authentication | stats count", since="2026-01-01", veil=veil).tables()
    assert sum(row["count"] for table in counted for row in table.to_pylist()) == len(hosts)
    assert sum(
        n for _, n in asking.histogram(soc, "class:authentication", since="2026-01-01", veil=veil)
    ) == len(hosts)
    return hosts


def test_without_a_rule_about_events_there_is_no_filter(soc):
    access = Access(soc)
    accounts.add(access, "eve", ["viewer"], actor="root")
    assert Lake(soc).veil(access.person(accounts.find(access, "eve")), None, Board(soc)).only is None
    assert sees(soc, strangers=True, rule=False) == {"web1", "web2", "web3"}


def test_events_of_other_teams_are_not_seen(soc):
    assert sees(soc, strangers=True) == {"web1", "web3"}


def test_nor_are_those_of_nobody_where_the_rule_says_so(soc):
    assert sees(soc, strangers=False) == {"web1"}


def test_who_is_of_no_team_sees_nothing(soc):
    assert sees(soc, strangers=False, teams=()) == set()

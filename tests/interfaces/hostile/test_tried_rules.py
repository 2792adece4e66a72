"""A rule that is tried, compared or measured confirms nobody, and counts nothing that whoever tries does not see."""

import html
import re

import orjson
import pytest
import yaml
from besieged import API, attacked

from lemnis import app
from lemnis.app.ingest import Ingest
from lemnis.content.library import builtin_root
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.store.git import Repository

NUMBER = "00000000-0000-4000-8000-0000000000aa"
THERE, NOT_THERE = "noor@shop.example", "wilma@shop.example"
"""One of the people of Okta's samples, and nobody."""
PURPOSE = "who came in at night"
NAMING = (
    {"s": {"actor.alternateId|startswith": "{0}"}, "condition": "s"},
    {"s": {"actor.alternateId|re": "^{0}"}, "condition": "s"},
    {"a": {"eventType|contains": "session"}, "s": {"actor.alternateId|contains": "{0}"}, "condition": "a and not s"},
    {"s": {"actor.displayName": "{0}"}, "condition": "s"},
    {"s": {"|re": ["{0}"]}, "condition": "s"},
)  # fmt: skip
NAMELESS = (
    {"s": {"eventType|contains": "session"}, "condition": "s"},
    {"s": {"actor.alternateId|exists": True}, "condition": "s"},
    {"s": {"actor.alternateId": "*"}, "condition": "s"},
    {"s": {"actor.alternateId": None}, "condition": "not s"},
    {"s": {"actor.alternateId|fieldref": "actor.displayName"}, "condition": "not s"},
)


def rule(detection, name=THERE):
    text = yaml.safe_dump(
        {"title": "A try", "id": NUMBER, "status": "test", "logsource": {"product": "okta"},
         "detection": detection, "level": "low"}, sort_keys=False,
    )  # fmt: skip
    return text.replace("{0}", name)


@pytest.fixture
def ana(spoilt):
    one = spoilt.browser("ana")
    one.send("/purpose", purpose="")
    yield one
    one.send("/purpose", purpose="")


def tried(browser, text, **more):
    return browser.send("/detections/edit", do="try", text=text, days="365", **more)


@pytest.mark.parametrize("detection", NAMING)
def test_a_rule_that_looks_for_somebody_is_not_tried_without_a_purpose(ana, detection):
    """Neither by the page nor by the API, and what is said is the same for who is there and who is not."""
    for name in (THERE, NOT_THERE):
        page = tried(ana, rule(detection, name))
        assert page.status_code == 403
        assert "say for what purpose you need it" in page.text
        assert rule(detection, name).splitlines()[0] in page.text, "what was written is not lost"
        answer = ana.call("POST", "/rules/try", {"text": rule(detection, name), "days": 365})
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"].endswith("not-allowed")
        field = next(
            (key for part in ("s",) if isinstance(detection[part], dict) for key in detection[part]), ""
        )
        assert field.partition("|")[0] in answer.json()["title"]


@pytest.mark.parametrize("detection", NAMING[:3])
def test_whoever_says_what_for_tries_it(ana, detection):
    answer = ana.call("POST", "/rules/try", {"text": rule(detection), "days": 365}, **{"x-purpose": PURPOSE})
    assert answer.status_code == 200
    assert answer.json()["count"]
    ana.send("/purpose", purpose=PURPOSE)
    assert "What it would have found" in tried(ana, rule(detection)).text


def test_words_are_not_looked_for_in_names(ana):
    """As a search by words: what stands in the record but for the people whom its event names is found."""
    for words in (["{0}"], ["noor"], ["system_log", "{0}"]):
        found, other, not_ = (
            ana.call("POST", "/rules/try", {"text": rule(made, name), "days": 365}).json()
            for made, name in (
                ({"s": words, "condition": "s"}, THERE), ({"s": words, "condition": "s"}, NOT_THERE),
                ({"a": {"eventType|exists": True}, "s": words, "condition": "a and not s"}, THERE),
            )
        )  # fmt: skip
        assert found["count"] == other["count"] == 0, words
        assert not_["count"] == 5
    said = ana.call("POST", "/rules/try", {"text": rule({"s": ["session"], "condition": "s"}), "days": 365})
    assert said.json()["count"], "what is nobody's name is found"


@pytest.mark.parametrize("detection", NAMELESS)
def test_a_rule_that_asks_who_nobody_is_is_tried(ana, detection):
    assert ana.call("POST", "/rules/try", {"text": rule(detection), "days": 365}).status_code == 200
    assert "What it would have found" in tried(ana, rule(detection)).text


def test_the_right_is_taken_beside_the_purpose(tmp_path):
    """Of somebody who may write rules, and may not see people whatever they say it is for."""
    soc = app.init(tmp_path / "soc", clock=ManualClock(from_iso("2026-05-28")))
    role = soc.content / "roles" / "writer.yaml"
    role.parent.mkdir(parents=True, exist_ok=True)
    role.write_text(
        "{title: Writer, description: Writes rules., includes: [viewer], permissions: [rule.change]}"
    )
    made = attacked(soc)
    try:
        wil = made.join("wil", "writer")
        text = rule(NAMING[0])
        answer = wil.call("POST", "/rules/try", {"text": text, "days": 365}, **{"x-purpose": PURPOSE})
        assert answer.status_code == 403
        assert tried(wil, text).status_code == 403
        assert tried(wil, rule(NAMELESS[0])).status_code == 200
    finally:
        made.end()


def test_a_search_by_people_is_not_counted_by_either(ana):
    for query in ("* | stats count by user.name", "* | stats count by actor.user.email_addr",
                  "src_endpoint.owner.user.name:noor"):  # fmt: skip
        assert ana.get("/search", params={"q": query, "span": "all"}).status_code == 403, query
        assert ana.get(f"{API}/events", params={"query": query, "since": ""}).status_code == 403, query


# -- of whose machines -------------------------------------------------------------------------------------

HOSTS = """\
- {id: m1, hostnames: [web1], addresses: [198.51.100.9], owner: lee, team: shop, services: [shop]}
- {id: m2, hostnames: [web2], addresses: [203.0.113.77], owner: kim, team: pay, services: [pay]}
"""
RULE = """\
package lemnis.events_are_of_teams

import rego.v1

deny contains reason if {
    input.permission == "event.search"
    input.about.kind == "event"
    input.about.team != ""
    not input.about.team in input.person.teams
    reason := {"message": "events are for the team that owns the host"}
}
"""
DETECTION = """\
title: A login was refused
id: 00000000-0000-4000-8000-0000000000ab
status: test
logsource: {product: okta}
detection:
  s: {eventType: user.session.start}
  condition: s
level: low
"""
OURS, THEIRS = "198.51.100.9", "203.0.113.77"


def of(number, name):
    """Return a detection of somebody: one who is there, or one who is not."""
    text = DETECTION.replace("{eventType: user.session.start}", f"{{actor.displayName: {name}}}")
    return text.replace("00ab", f"00b{number}")


def came(number, who, address):
    """Return a record of somebody who came in."""
    sample = builtin_root() / "sources/okta/samples/system_log.jsonl"
    one = orjson.loads(sample.read_bytes().splitlines()[0])
    name = f"{who}@shop.example"
    one |= {"uuid": f"00000000-0000-4000-8000-{number:012}", "published": f"2026-05-{number % 20 + 1:02}T10:00:00.000Z",
            "eventType": "user.session.start", "target": None}  # fmt: skip
    one["actor"] |= {"alternateId": name, "displayName": who, "id": f"id-{who}"}
    one["client"] |= {"ipAddress": address}
    return orjson.dumps(one)


@pytest.fixture(scope="module")
def teams(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tried")
    soc = app.init(folder / "soc", clock=ManualClock(from_iso("2026-05-28")))
    for path, text in (
        ("assets/all.yaml", HOSTS), ("policies/events_are_of_teams/policy.rego", RULE),
        ("policies/events_are_of_teams/policy.yaml", "id: events_are_of_teams\ntitle: t\nstages: [access]\n"),
        ("detections/a_login_refused/rule.yml", DETECTION),
        *((f"detections/somebody_{n}/rule.yml", of(n, name)) for n, name in enumerate(("magdalena", "wilhelmina"))),
    ):  # fmt: skip
        (soc.content / path).parent.mkdir(parents=True, exist_ok=True)
        (soc.content / path).write_text(text)
    lines = [came(n, "magdalena", OURS) for n in range(6)] + [
        came(n + 50, "ottokar", THEIRS) for n in range(14)
    ]
    (folder / "okta.jsonl").write_bytes(b"\n".join(lines))
    assert Ingest(soc, "okta").run([folder / "okta.jsonl"]).rejected == 0
    made = attacked(soc)
    commit(made)
    made.join("sue", "detection_engineer", "analyst", teams=["shop"])
    made.join("all", "detection_engineer", "analyst", teams=["shop", "pay"])
    yield made
    made.end()


def test_what_others_own_is_not_counted_by_a_rule(teams):
    for who, count in (("all", 20), ("sue", 6)):
        one = teams.browser(who)
        tried_ = one.call("POST", "/rules/try", {"text": DETECTION, "days": 30}).json()
        assert (tried_["count"], tried_["events"]) == (count, count)
        assert f"{count} alerts in {count} events" in tried(one, DETECTION).text


def test_nor_by_its_versions(teams):
    for who, count in (("all", 20), ("sue", 6)):
        page = teams.browser(who).get(
            "/detection/a_login_refused/versions", params={"replay": "1", "days": "30"}
        )
        assert f"{count} events" in page.text, who


def commit(teams):
    """Make two versions of each detection in git."""
    soc = teams.workspace
    git = Repository.create(soc.root)
    git.commit_all("one", author=app.AUTHOR, at=soc.clock.now())
    for file in soc.content.glob("detections/*/rule.yml"):
        file.write_text(file.read_text() + "tags: [attack.t1078]\n")
    git.commit_all("two", author=app.AUTHOR, at=soc.clock.now())


def test_no_exception_is_proposed_for_what_is_not_seen(teams):
    """Neither for what another team's machines are about, nor for people."""
    whole, some = teams.browser("all"), teams.browser("sue")
    page = "/detection/a_login_refused/noise?look=1"
    hidden = (THEIRS, "web2", "ottokar")
    for one in (whole, some):
        one.send("/purpose", purpose="")
    assert OURS in some.get(page).text
    assert not [name for name in (*hidden, "magdalena", "person~") if name in some.get(page).text]
    assert THEIRS in whole.get(page).text
    assert not [name for name in ("ottokar", "magdalena", "person~") if name in whole.get(page).text]
    for one in (whole, some):
        one.send("/purpose", purpose=PURPOSE)
    assert "ottokar" in whole.get(page).text
    assert "magdalena" in some.get(page).text
    assert not [name for name in hidden if name in some.get(page).text]


def test_what_is_proposed_can_be_made_an_exception_as_the_page_offers_it(teams):
    """And it may be of that detection only, whoever writes the form."""
    some = teams.browser("sue")
    some.send("/purpose", purpose="")
    page = some.get("/detection/a_login_refused/noise?look=1").text
    form = page[page.index('action="/detection/a_login_refused/except"') :]
    name, until, text = (
        html.unescape(re.search(rf'name="{field}"[^>]*? value="([^"]*)"', form)[1])
        for field in ("name", "until", "text")
    )
    assert OURS in text
    told = {"text": text, "name": name, "until": until, "reason": "it is our own gateway", "do": "propose"}
    answer = some.send("/detection/a_login_refused/except", **told)
    assert answer.status_code == 303
    (entry,) = app.journal(teams.workspace).entries(kind="exception.proposed")
    assert entry.payload["name"] == name
    for field, value in (
        ("text", text.replace("00000000-0000-4000-8000-0000000000ab", "any")),
        ("until", "2099-01-01"),
        ("name", "../x"),
    ):
        assert some.send("/detection/a_login_refused/except", **told | {field: value}).status_code in {
            400,
            403,
            409,
        }


def test_a_rule_that_names_somebody_is_not_replayed_from_its_pages_either(teams):
    """Who keeps or proposes a rule could else ask its pages what it would have found."""
    for number in range(2):
        one = teams.browser("sue")
        one.send("/purpose", purpose="")
        assert one.get(f"/detection/somebody_{number}/noise?look=1").status_code == 403
        page = one.get(f"/detection/somebody_{number}/versions", params={"replay": "1", "days": "30"})
        assert "They cannot be replayed" in page.text
        assert "What either would have told" not in page.text

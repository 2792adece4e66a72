"""The console in a real browser: the system's Chromium, driven by Playwright, over a server that listens."""

import pytest
from browsing import another, pytestmark, settled, visiting  # noqa: F401 - what this file is marked by
from consoled import alert, built, incident, workspace

from lemnis import app
from lemnis.app import incidents
from lemnis.contracts.alerts import Entity, EntityKind, IncidentStatus, Verdict
from lemnis.contracts.incidents import Incident
from lemnis.interfaces.cli import run as lemnis
from lemnis.respond import waiting

LOG = "".join(
    f'{{"time": "2026-09-21T14:{minute:02}:00Z", "user": "u{minute % 3}", "what": "login {minute}"}}\n'
    for minute in range(10, 50)
)


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def test_triage_by_keyboard(soc, chromium):
    names = [
        incident(soc, alert(n, entities=(Entity(EntityKind.HOST, f"web-{n}"),), rule=f"r{n}", at=n * 1000))
        for n in range(1, 6)
    ]
    made = built(soc)
    with visiting(chromium, made, "ana", "analyst") as page:
        assert page.locator("tr[data-row]").count() == 5
        assert page.locator("time").first.get_attribute("title").endswith("UTC")
        assert "23:13" in page.locator("time").first.inner_text()  # the viewer's zone
        page.keyboard.press("j")
        first = page.evaluate("document.activeElement.dataset.row")
        page.keyboard.press("x")
        page.keyboard.press("j")
        page.keyboard.press("x")
        second = page.evaluate("document.activeElement.dataset.row")
        assert page.locator("[data-bulk-count]").inner_text() == "2"
        page.keyboard.press("c")
        page.select_option("#f-verdict", "false_positive")
        page.fill("#f-reason", "a drill")
        with another(page):
            page.locator("button[value=close]").click()
        assert page.locator("text=2 done").count() == 1
        assert page.locator("tr[data-row]").count() == 3
        known = {name: incidents.by_id(app.journal(soc), name) for name in names}
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/incident/*")
    closed = {name for name, one in known.items() if one.status is IncidentStatus.CLOSED}
    assert closed == {first, second}
    assert all(known[name].verdict is Verdict.FALSE_POSITIVE for name in closed)


def test_a_key_in_the_queue_is_answered_at_once(soc, chromium):
    for n in range(1, 51):
        incident(soc, alert(n, entities=(Entity(EntityKind.HOST, f"web-{n}"),), rule=f"r{n}", at=n * 1000))
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        took, idle = page.evaluate(
            """async () => {
                const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
                const shown = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                const median = (some) => some.sort((a, b) => a - b)[some.length >> 1];
                const [took, idle] = [[], []];
                for (let n = 0; n < 40; n++) {
                    let began = performance.now();
                    press(n % 2 ? "x" : "j");
                    await shown();
                    took.push(performance.now() - began);
                    began = performance.now();
                    await shown();
                    idle.push(performance.now() - began);
                }
                return [median(took), median(idle)];
            }"""
        )
        assert page.locator("tr[aria-selected=true]").count() == 20
        assert took - idle < 50, "beyond what a busy machine takes to show nothing new"


def test_what_others_do_is_shown_without_losing_the_place(soc, chromium):
    names = [
        incident(soc, alert(n, entities=(Entity(EntityKind.HOST, f"web-{n}"),), rule=f"r{n}"))
        for n in (1, 2, 3)
    ]
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.wait_for_selector(".live.on")
        page.keyboard.press("j")
        page.keyboard.press("x")
        at = page.evaluate("document.activeElement.dataset.row")
        other = next(name for name in names if name != at)
        found: Incident = incidents.assign(soc, other, "lee", actor="lee")
        assert found.owner == "lee"
        page.wait_for_selector("td:has-text('lee')")
        assert page.evaluate("document.activeElement.dataset.row") == at
        assert page.locator(f"input[value='{at}']").is_checked()


def test_a_histogram_is_brushed_and_a_query_completed(soc, chromium, monkeypatch, tmp_path, capsys):
    log = tmp_path / "logins.ndjson"
    log.write_text(LOG)
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(soc.root))
    assert lemnis(["sources", "new", "logins", "--from", str(log)]) == 0
    assert lemnis(["ingest", "logins", str(log)]) == 0
    capsys.readouterr()
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.goto(page.url.replace("/queue", "/search?q=source:logins&span=all"))
        settled(page)  # what comes later would move the bars
        bars = page.wait_for_selector("[data-brush] svg")
        assert page.locator("text=40 events. Drag").count() == 1
        box = bars.bounding_box()
        y = box["y"] + box["height"] / 3
        page.mouse.move(box["x"] + 2, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, y, steps=4)
        page.mouse.up()
        page.wait_for_url("**from=*")
        settled(page)
        assert 10 <= page.locator("tr[data-row]").count() <= 30
        page.fill("#q", "")
        page.locator("#q").press_sequentially("sou")
        page.wait_for_selector("#offers [role=option]")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert page.input_value("#q").startswith("source")
        page.locator("tr[data-row] a").first.click()
        page.wait_for_url("**/event/*")
        assert page.locator("text=As it came").count() == 1


def test_a_rule_is_edited_and_tried(soc, chromium):
    with visiting(chromium, built(soc), "dee", "detection_engineer") as page:
        page.goto(page.url.replace("/queue", "/detections"))
        page.click("a:has-text('New')")
        page.wait_for_url("**/detections/new")
        page.fill(
            "#f-text", page.input_value("#f-text").replace("condition: selection", "condition: nothing")
        )
        page.click("button[value=try]")
        page.wait_for_selector("text=cannot be used")
        page.fill(
            "#f-text", page.input_value("#f-text").replace("condition: nothing", "condition: selection")
        )
        page.click("button[value=try]")
        page.wait_for_selector("text=What it would have found")
        page.fill("#f-name", "a_new_one")
        page.click("button[value=save]")
        page.wait_for_url("**/detection/a_new_one")
        assert page.locator("h1").inner_text() == "A new detection"


PLAYBOOK = """\
title: Keep and ask
description: Keeps the alerts, then asks somebody.
steps:
  - id: keep
    evidence: {alerts: true, events: false}
  - id: sure
    ask: {text: "Is it real?"}
"""


def test_a_playbook_is_planned_run_and_its_question_answered(soc, chromium):
    folder = soc.content / "playbooks" / "keep_and_ask"
    folder.mkdir(parents=True)
    (folder / "playbook.yaml").write_text(PLAYBOOK)
    name = incident(soc, alert(1))
    with visiting(chromium, built(soc), "rae", "responder") as page:
        page.goto(page.url.replace("/queue", f"/incident/{name}"))
        page.select_option("#f-playbook", "keep_and_ask")
        page.click("button[value=plan]")
        page.wait_for_url("**/plan/*")
        assert page.locator("text=It only reads").count() == 1
        page.click("button[value=run]")
        page.wait_for_url("**/run/*")
        page.wait_for_selector("h2:has-text('Is it real?')")
        page.fill("input[name=reason]", "seen by eye")
        with another(page):
            page.click("button[value=yes]")
        assert page.locator("text=Answered yes").count() == 1
        assert page.locator("h2:has-text('Is it real?')").count() == 0
    (said,) = (one for one in app.journal(soc).entries() if one.kind == waiting.ANSWERED)
    assert (said.actor, said.reason) == ("rae", "seen by eye")


def test_the_first_load_is_small_and_asks_no_other_host(soc, chromium):
    incident(soc, alert(1))
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.goto(page.url)
        page.wait_for_selector(".live.on")
        loaded = page.evaluate(
            """["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
                .map((one) => [one.name, one.decodedBodySize])"""
        )
        assert 10_000 < sum(size for _, size in loaded) < 500_000
        assert {address.split("/")[2] for address, _ in loaded} == {page.url.split("/")[2]}

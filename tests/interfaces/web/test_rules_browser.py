"""Search and the editor of rules in a real browser: by keys, with lint and completion while one writes."""

import pytest
from browsing import pytestmark, visiting  # noqa: F401 - what this file is marked by
from consoled import built, workspace

from lemnis.interfaces.cli import run as lemnis

LOG = "".join(
    f'{{"time": "2026-09-21T14:{minute:02}:00Z", "user": "u{minute % 3}", "what": "login {minute}"}}\n'
    for minute in range(10, 50)
)
RULE = """\
title: Who logs in
id: 11111111-1111-4111-8111-111111111111
status: test
logsource:
  product: logins
detection:
  selection:
    """


@pytest.fixture
def soc(tmp_path, monkeypatch, capsys):
    made = workspace(tmp_path)
    log = tmp_path / "logins.ndjson"
    log.write_text(LOG)
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(made.root))
    assert lemnis(["sources", "new", "logins", "--from", str(log)]) == 0
    assert lemnis(["ingest", "logins", str(log)]) == 0
    capsys.readouterr()
    return made


def test_a_time_is_chosen_by_keys_and_shown_in_the_viewers_zone(soc, chromium):
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.goto(page.url.replace("/queue", "/search?q=source:logins&span=all"))
        page.wait_for_selector("[data-brush] svg")
        page.focus("[data-brush]")
        page.keyboard.press("ArrowRight")
        for _ in range(40):
            page.keyboard.press("Shift+ArrowRight")
        assert " to " in page.inner_text("[data-brushed]")
        page.keyboard.press("Escape")
        assert page.inner_text("[data-brushed]") == ""
        page.keyboard.press("End")
        for _ in range(30):
            page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Enter")
        page.wait_for_url("**from=*")
        assert page.inner_text("[data-zone]") == "Asia/Tokyo"
        assert page.input_value("#f-from").startswith("2026-09-21T23:")
        found = page.locator("tr[data-row]").count()
        assert 5 <= found <= 35
        page.click("form#ask button[type=submit]")
        page.wait_for_url("**from=*")
        assert page.locator("tr[data-row]").count() == found, "the same time, sent again from the fields"
        page.goto(page.url.partition("?")[0] + "?q=source:logins AND (&span=all")
        assert page.evaluate("document.activeElement.selectionStart") >= len("source:logins AND")


def test_a_rule_is_written_with_lint_and_completion_and_tried_without_leaving(soc, chromium):
    with visiting(chromium, built(soc), "dee", "detection_engineer") as page:
        page.goto(page.url.replace("/queue", "/detections/new"))
        page.wait_for_selector("[data-lint] >> text=Nothing is wrong")
        page.fill("#f-text", RULE)
        page.locator("#f-text").press_sequentially("wh")
        page.wait_for_selector("#offers [role=option]:first-child >> text=what")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.locator("#f-text").press_sequentially("|ends")
        page.wait_for_selector("#offers [role=option]:first-child >> text=endswith")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.locator("#f-text").press_sequentially(': "3"\n  condition: nothing\nlevel: low\n')
        page.wait_for_selector("[data-lint] >> text=line 9")
        assert page.locator(".gutter .error").inner_text() == "9"
        page.locator("[data-lint] button").first.click()
        assert page.evaluate("document.activeElement.id") == "f-text"
        page.fill("#f-text", page.input_value("#f-text").replace("nothing", "selection"))
        page.wait_for_selector("[data-lint] >> text=Nothing is wrong")
        page.select_option("#f-days", "365")
        page.click("button[value=try]")
        page.wait_for_selector("text=4 alerts in 40 events")
        assert page.url.endswith("/detections/new"), "nothing that was written is lost"
        page.fill("#f-name", "who_logs_in")
        page.click("button[value=save]")
        page.wait_for_url("**/detection/who_logs_in")


def test_an_answer_that_comes_late_leaves_what_was_chosen(soc, chromium):
    with visiting(chromium, built(soc), "dee", "detection_engineer") as page:
        page.goto(page.url.replace("/queue", "/detections/new"))
        late = _held(page, "**/detections/complete")
        page.fill("#f-text", RULE)
        page.locator("#f-text").press_sequentially("w")
        late(2)
        page.wait_for_selector("#offers [role=option] >> text=what")
        page.locator("#f-text").press_sequentially("h")
        page.keyboard.press("ArrowDown")
        assert page.inner_text("#offers [aria-selected=true]").startswith("what")
        late(1)
        page.wait_for_selector("#offers:not(:has([role=option]:nth-child(2)))")
        assert page.inner_text("#offers [aria-selected=true]").startswith("what"), "it is chosen still"
        page.keyboard.press("Enter")
        assert page.input_value("#f-text") == RULE + "what"
        page.locator("#f-text").press_sequentially("|")
        late(1)
        page.wait_for_selector("#offers [role=option] >> text=contains")
        page.locator("#f-text").press_sequentially("ends")
        assert page.locator("#offers [role=option]").all_inner_texts() == ["endswith\nmodifier"], (
            "of a list of a letter ago"
        )
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert page.input_value("#f-text") == RULE + "what|endswith"


def _held(page, address):
    """Hold all answers at an address; what comes back lets the newest go, when so many were asked for since."""
    waiting = []

    def hold(route):
        waiting.append(route)

    page.route(address, hold)

    def go(count):
        while len(waiting) < count:
            page.wait_for_timeout(20)
        for one in waiting[:-1]:
            one.abort()
        waiting.pop().continue_()
        waiting.clear()

    return go

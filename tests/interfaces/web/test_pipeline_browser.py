"""The pipeline in a real browser: findings decided on by keyboard, a replay watched, and ended by leaving."""

import threading

import pytest
from browsing import PATIENCE, another, mark, marked, pytestmark, served, visit, visiting  # noqa: F401 - what this file is marked by
from consoled import START, built, joined, workspace
from findings_kept import find

from lemnis.app import findings_decisions as deciding
from lemnis.app import gate_trial
from lemnis.app.access import accounts
from lemnis.app.gate_trial import Outcome, Tried
from lemnis.contracts.findings import Effect
from lemnis.interfaces.web import running
from lemnis.store.git import Repository

REPLAY = "/pipeline/replay?stage=build&repository=shop&last=20"


@pytest.fixture
def soc(tmp_path):
    made = workspace(tmp_path)
    shop = Repository.create(tmp_path / "shop")
    (shop.path / "x.py").write_text("x\n")
    shop.commit_all("first", author="A <a@example.org>", at=START)
    (made.root / "lemnis.yaml").write_text(
        f"name: soc\nrepositories:\n  - {{name: shop, path: {shop.path}}}\n"
    )
    return made


def test_findings_are_chosen_and_decided_on_by_keyboard(soc, chromium):
    every = find(soc, 4)
    with visiting(chromium, built(soc), "ana", "developer", "analyst", onward="/pipeline") as page:
        for key in ("j", "x", "j", "x"):
            page.keyboard.press(key)
        assert page.locator("[data-bulk-count]").inner_text() == "2"
        page.keyboard.press("c")
        page.keyboard.type("data of a test")
        page.keyboard.press("Enter")
        assert page.url.endswith("/pipeline"), "Enter beside several buttons decides nothing"
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        assert page.locator("[data-bulk-count]").inner_text() == "2", "what closes a dialog does no more"
        with another(page):
            page.click("button[value=false_positive]")
        assert page.locator("text=2 done").count() == 1
        assert page.locator("tr[data-row]").count() == 2
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/pipeline/problem/*")
    assert sum(len(deciding.of(soc, one)) for one in every) == 2


def test_a_replay_is_watched_and_ends_when_its_page_is_left(soc, chromium, monkeypatch):
    go, ended = threading.Event(), threading.Event()

    def slow(*_given, tell, **_more):
        try:
            for n in range(1, 100_000):
                tell(min(n, 399), 400)
                if go.wait(0.05):
                    return Tried(
                        (Outcome("commit:a", "a", START, Effect.DENY, Effect.ALLOW, (), ()),), "sha256:0"
                    )
        except running.EndedError:
            ended.set()
            raise

    monkeypatch.setattr(gate_trial, "commits", slow)
    monkeypatch.setattr(running, "GRACE_S", 1.0)
    with visiting(chromium, built(soc), "ana", "detection_engineer", onward="/pipeline") as page:
        page.goto(page.url.removesuffix("/pipeline") + REPLAY)
        page.click("button[value=replay]")
        page.wait_for_selector("text=/^[1-9][0-9]+ of 400/")
        page.click("nav[aria-label=Pipeline] >> text=Exceptions")
        page.wait_for_url("**/pipeline/exceptions")
        assert ended.wait(PATIENCE / 1000)
        page.goto(page.url.removesuffix("/pipeline/exceptions") + REPLAY)
        page.wait_for_selector("text=nobody looked any more")
        page.click("button[value=replay]")
        page.wait_for_selector("progress")
        mark(page)
        go.set()
        page.wait_for_selector(".flows")
        assert page.locator("tr[data-row][tabindex='0']").count() == 1
        assert marked(page), "what somebody writes beside it stays"


def test_a_replay_that_is_watched_without_a_session_leads_to_the_sign_in(soc, chromium, monkeypatch):
    go = threading.Event()

    def slow(*_given, tell, **_more):
        while not go.wait(0.05):
            tell(1, 400)

    monkeypatch.setattr(gate_trial, "commits", slow)
    made = built(soc)
    joined(made, "ana", "detection_engineer")
    try:
        with served(made) as base, visit(chromium, base, "ana", REPLAY) as page:
            page.click("button[value=replay]")
            page.wait_for_selector("progress")
            made.access.tables.end(account=accounts.find(made.access, "ana").id)
            page.wait_for_url("**/sign-in?**")
            assert page.locator("progress").count() == 0
            assert page.locator("input[type=password]").is_visible(), "and not a page that asks for ever"
    finally:
        go.set()

"""What comes late, twice, out of order, or while somebody is at it: nothing of theirs is lost, and no old state stays."""

import pytest
from browsing import PATIENCE, mark, marked, pytestmark, visiting  # noqa: F401 - what this file is marked by
from consoled import alert, built, incident, workspace

from lemnis.app import incidents
from lemnis.contracts.alerts import Entity, EntityKind, Verdict

PLAYBOOK = """\
title: Ask
description: Asks somebody.
steps:
  - id: sure
    ask: {text: "Is it real?"}
"""
AT = "document.activeElement"
HIDE = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
LATER = """
    const [wait, stop] = [setTimeout, clearTimeout];
    window.setTimeout = (work, ms) => { if (ms !== 2000) return wait(work, ms); window.due = work; return -1; };
    window.clearTimeout = (which) => { if (which === -1) window.due = null; else stop(which); };
"""
"""What a page would do after two seconds it does when it is told to, by ``due()``."""
KEPT = "dispatchEvent(new PageTransitionEvent('%s', {persisted: true}))"


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


@pytest.fixture
def names(soc):
    return [
        incident(soc, alert(n, entities=(Entity(EntityKind.HOST, f"web-{n}"),), rule=f"r{n}"))
        for n in (1, 2, 3)
    ]


def unasked(route):
    return "x-lemnis-unasked" in route.request.headers


def until(page, there):
    """Let a browser go on until something is there."""
    for _ in range(PATIENCE // 50):
        if there():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come")


def age(page, selector):
    """Mark what is there: what is drawn in its place has no mark."""
    page.eval_on_selector_all(selector, "all => all.forEach((one) => { one.dataset.old = ''; })")


def drawn(page, selector):
    """Wait until it was drawn anew."""
    page.wait_for_selector(f"{selector}:not([data-old])", state="attached")


def test_an_older_answer_that_comes_last_is_not_shown(soc, names, chromium):
    held, ended = [], []

    def late(route):
        if not unasked(route):
            route.continue_()
        elif held:
            route.fulfill(response=route.fetch())
        else:
            held.append((route, route.fetch()))

    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.wait_for_selector(".live.on")
        page.route("**/queue", late)
        page.on(
            "requestfinished", lambda one: ended.append(one) if "x-lemnis-unasked" in one.headers else None
        )
        incidents.assign(soc, names[0], "lee", actor="lee")
        until(page, lambda: held)
        incidents.assign(soc, names[0], "kim", actor="kim")
        page.wait_for_timeout(800)  # it would be asked for, and shown
        route, answer = held[0]
        route.fulfill(response=answer)
        until(page, lambda: len(ended) == 2)
        page.wait_for_selector("td:has-text('kim')")
        assert page.locator("td:has-text('lee')").count() == 0


@pytest.mark.parametrize("how", ["busy", "cut off"])
def test_what_could_not_be_asked_for_is_asked_for_again(soc, names, chromium, how):
    tries = []

    def refusing(route):
        if not unasked(route) or tries:
            route.continue_()
            return
        tries.append(route)
        if how == "busy":
            route.fulfill(status=429, headers={"retry-after": "0.2"}, body="busy")
        else:
            route.abort()

    with visiting(chromium, built(soc), "ana", "analyst", forgiven="Failed to load resource") as page:
        page.wait_for_selector(".live.on")
        page.route("**/queue", refusing)
        incidents.assign(soc, names[0], "lee", actor="lee")
        page.wait_for_selector("td:has-text('lee')")
        assert tries


def test_what_happens_before_a_page_listens_is_shown(soc, names, chromium):
    held = []
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.route("**/stream*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks what it is given
        page.goto(page.url)
        until(page, lambda: held)
        incidents.assign(soc, names[0], "lee", actor="lee")
        page.wait_for_timeout(600)  # a stream that begins now begins after it
        assert page.locator("td:has-text('lee')").count() == 0
        held[0].continue_()
        page.wait_for_selector("td:has-text('lee')")
        assert page.locator("td:has-text('lee')").count() == 1


def test_what_is_written_and_where_one_is_stays_when_a_part_is_drawn_anew(soc, names, chromium):
    folder = soc.content / "playbooks" / "asks"
    folder.mkdir(parents=True)
    (folder / "playbook.yaml").write_text(PLAYBOOK)
    sent = []
    with visiting(chromium, built(soc), "rae", "responder") as page:
        page.goto(page.url.replace("/queue", f"/incident/{names[0]}"))
        page.select_option("#f-playbook", "asks")
        page.click("button[value=plan]")
        page.wait_for_url("**/plan/*")
        page.click("button[value=run]")
        page.wait_for_url("**/run/*")
        page.wait_for_selector("h2:has-text('Is it real?')")
        page.wait_for_selector(".live.on")
        page.fill("[data-part=questions] input[name=reason]", "seen by eye")
        page.keyboard.press("Tab")
        age(page, "[data-part=questions] button")
        incidents.note(soc, names[0], "something happens", actor="lee")
        drawn(page, "button[value=yes]")
        assert page.input_value("[data-part=questions] input[name=reason]") == "seen by eye"
        assert page.evaluate(f"{AT}.value") == "yes"
        page.on("request", lambda one: sent.append(one) if one.method == "POST" else None)
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Answered yes")
    assert len(sent) == 1, "a form that was drawn anew is sent once too"


def test_the_place_in_a_table_stays_when_it_is_drawn_anew(soc, names, chromium):
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.wait_for_selector(".live.on")
        rows = page.eval_on_selector_all("tr[data-row]", "all => all.map((one) => one.dataset.row)")

        def happens(work):
            age(page, "tr[data-row]")
            work()
            drawn(page, "tr[data-row]")

        page.keyboard.press("j")
        page.keyboard.press("j")
        page.focus(f"input[value='{rows[1]}']")
        happens(lambda: incidents.assign(soc, rows[0], "lee", actor="lee"))
        assert page.evaluate(f"{AT}.value") == rows[1]
        page.keyboard.press("Space")
        assert page.locator("[data-bulk-count]").inner_text() == "1"
        page.focus("#f-reason")
        happens(lambda: incidents.assign(soc, rows[0], "kim", actor="kim"))
        assert page.evaluate(f"{AT}.id") == "f-reason"
        in_order = page.locator("tr[data-row][tabindex='0']")
        assert in_order.evaluate_all("all => all.map((one) => one.dataset.row)") == [rows[1]]
        page.focus(f"tr[data-row='{rows[1]}']")
        happens(lambda: incidents.close(soc, rows[1], Verdict.FALSE_POSITIVE, actor="kim", reason="a drill"))
        assert page.evaluate(f"{AT} === document.body"), "no key is for another row than was seen"
        page.keyboard.press("j")
        assert page.evaluate(f"{AT}.dataset.row") == rows[2]


def test_a_table_is_not_drawn_anew_under_a_pointer_or_marked_text(soc, names, chromium):
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.wait_for_selector(".live.on")
        box = page.locator(f"input[value='{names[0]}']")
        place = box.bounding_box()
        page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        page.mouse.down()
        with page.expect_response(lambda one: "x-lemnis-unasked" in one.request.headers):
            incidents.assign(soc, names[0], "lee", actor="lee")
        page.wait_for_timeout(200)
        page.mouse.up()
        assert box.is_checked()
        page.wait_for_selector("td:has-text('lee')")
        assert box.is_checked()
        page.evaluate("getSelection().selectAllChildren(document.querySelector('td.main strong'))")
        said = page.evaluate("String(getSelection())")
        with page.expect_response(lambda one: "x-lemnis-unasked" in one.request.headers):
            incidents.assign(soc, names[0], "kim", actor="kim")
        page.wait_for_timeout(200)
        assert said
        assert page.evaluate("String(getSelection())") == said
        page.evaluate("getSelection().removeAllRanges()")
        page.wait_for_selector("td:has-text('kim')")


def test_what_a_key_sends_twice_is_done_once(soc, names, chromium):
    sent = []
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.route(
            "**/queue",
            lambda route: sent.append(route) if route.request.method == "POST" else route.continue_(),
        )
        page.keyboard.press("j")
        page.keyboard.press("a")
        until(page, lambda: sent)
        page.keyboard.press("a")
        page.wait_for_timeout(300)
        for route in sent:
            route.continue_()
        page.wait_for_selector("text=1 done")
    assert len(sent) == 1


def test_what_was_chosen_is_not_chosen_again_by_going_back(soc, names, chromium):
    """A browser would choose by place: others may have closed a row meanwhile, and another is there."""
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.keyboard.press("j")
        page.keyboard.press("x")
        closed = page.locator("input:checked").input_value()
        page.click("a[href='/me']")
        page.wait_for_url("**/me")
        incidents.close(soc, closed, Verdict.FALSE_POSITIVE, actor="kim", reason="a drill")
        page.go_back()
        page.wait_for_load_state()
        assert page.locator("tr[data-row]").count() == 2
        assert page.locator("input:checked").count() == 0
        assert page.locator("[data-bulk]").is_hidden()


def test_a_page_that_waits_keeps_what_is_written_and_lets_one_go(soc, names, chromium):
    held = []

    def waiting(route):
        answer = route.fetch()
        route.fulfill(
            response=answer, body=answer.text().replace("<main ", "<p data-again>It is worked out…</p><main ")
        )

    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.add_init_script(LATER)
        page.route("**/cases", waiting)
        page.route("**/lessons", lambda route: held.append(route))  # noqa: PLW0108 - as above
        page.goto(page.url.replace("/queue", "/cases"))
        mark(page)
        page.keyboard.press("/")
        page.keyboard.type("user:an")
        page.evaluate("due()")
        page.wait_for_timeout(200)
        page.keyboard.type("a")
        assert marked(page)
        assert page.input_value("#find") == "user:ana"
        page.fill("#find", "")
        page.evaluate("addEventListener('beforeunload', () => setTimeout(() => window.due?.(), 200))")
        page.click("nav.rail a:has-text('Lessons')", no_wait_after=True)
        until(page, lambda: held)
        page.wait_for_timeout(500)
        for route in held:
            route.continue_()
        page.wait_for_url("**/lessons", wait_until="commit")


def test_pages_that_are_hidden_take_no_connection_and_show_later_what_happened(soc, names, chromium):
    """A browser has six connections to one host, for all of its pages."""
    with visiting(chromium, built(soc), "ana", "analyst") as first:
        pages = [first, *(first.context.new_page() for _ in range(7))]
        for page in pages:
            if page is not first:
                page.goto(first.url)
            page.wait_for_selector(".live.on")
            page.evaluate(HIDE % "true")
        incidents.assign(soc, names[0], "lee", actor="lee")
        assert first.locator("td:has-text('lee')").count() == 0
        first.evaluate(HIDE % "false")
        first.wait_for_selector("td:has-text('lee')")
        first.wait_for_selector(".live.on")


def test_a_page_that_the_browser_kept_is_loaded_anew_unless_somebody_wrote_in_it(soc, names, chromium):
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.goto(page.url.replace("/queue", f"/incident/{names[0]}"))
        page.wait_for_selector(".live.on")
        mark(page)
        page.fill("#f-text", "what I saw")
        page.evaluate(
            "document.querySelector('form').addEventListener('submit', (event) => event.preventDefault())"
        )
        page.evaluate("document.querySelector('button[value=note]').dataset.sent = ''")
        page.evaluate("document.querySelector('button[value=note]').disabled = true")
        page.evaluate(KEPT % "pagehide")
        assert page.locator(".live.on").count() == 0
        incidents.note(soc, names[0], "something happens", actor="lee")
        page.evaluate(KEPT % "pageshow")
        page.wait_for_selector(".timeline >> text=something happens")
        assert marked(page)
        assert page.input_value("#f-text") == "what I saw"
        assert page.locator("button[value=note]").is_enabled()
        page.fill("#f-text", "")
        page.evaluate(KEPT % "pagehide")
        with page.expect_navigation():
            page.evaluate(KEPT % "pageshow")
        assert not marked(page)


def test_a_part_that_the_server_has_no_place_for_is_asked_for_again(soc, names, chromium):
    tries = []

    def busy(route):
        tries.append(route)
        if len(tries) == 1:
            route.fulfill(status=429, headers={"retry-after": "0.2"}, body="busy")
        else:
            route.continue_()

    with visiting(chromium, built(soc), "ana", "analyst", forgiven="Failed to load resource") as page:
        page.route("**/trace?part=1", busy)
        page.goto(page.url.replace("/queue", f"/incident/{names[0]}"))
        page.wait_for_selector("#trace [data-load]:not([aria-busy]):not(:has(.loading))")
        assert page.locator("text=could not be loaded").count() == 0
    assert len(tries) == 2

"""The demo in a real browser: its incident is traced, answered, undone, closed, learnt from; every page is usable."""

import io
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from browsing import axe, fresh, mark, marked, pytestmark, served, visit  # noqa: F401 - what this file is marked by
from consoled import built, joined
from rich.console import Console

from lemnis import app
from lemnis.app import incidents, respond
from lemnis.app.access import accounts
from lemnis.contracts.alerts import IncidentStatus
from lemnis.interfaces.demo import play

sys.path.insert(0, str(Path(__file__).parents[3] / "docs"))
import walking

CUT_OFF = """\
title: Cut it off, then ask
description: Two people approve it; somebody is asked before the credentials lose their worth.
trigger: incident
kind: mitigation
approval: {quorum: 2, expires_min: 60}
inputs:
  workload: {select: workload, pattern: "(?P<namespace>[a-z0-9-]+)/(?P<name>[a-z0-9.-]+)", many: true}
  session:
    select: principal
    pattern: "arn:aws:sts::[0-9]{12}:assumed-role/(?P<role>[A-Za-z0-9_+=,.@-]{1,64})/.+"
    many: true
steps:
  - id: pods
    action: kubernetes.read_workload
    for_each: workload
    with: {namespace: "{workload.namespace}", workload: "{workload.name}"}
  - id: quarantine
    action: kubernetes.quarantine_workload
    for_each: workload
    with: {namespace: "{workload.namespace}", workload: "{workload.name}", labels: "{pods.labels}"}
  - id: sure
    ask: {text: "Do the credentials lose their worth?"}
  - id: deny_sessions
    if: "sure.outcome == 'yes'"
    then:
      - id: deny
        action: aws.deny_role_sessions
        for_each: session
        with: {role: "{session.role}"}
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The demo, played until the rules have seen something: the simulated cluster and cloud go on.

    Yields its folder, with a copy of the workspace as it is then, and what tells on.
    """
    folder = tmp_path_factory.mktemp("shop") / "demo"
    stages = play(folder, console=Console(file=io.StringIO()), quiet=True)
    until(stages, "detect")
    shutil.copytree(folder / "soc", folder / "early", symlinks=True)
    yield folder, stages
    stages.close()


def until(stages, last):
    """Let the story go on until a stage has ended."""
    for facts in stages:
        assert facts["ok"], facts
        if facts["stage"] == last:
            return


@pytest.fixture
def soc(story, tmp_path):
    """A workspace in which rules have seen something, and nobody has done anything."""
    folder, _ = story
    return app.open_workspace(shutil.copytree(folder / "early", tmp_path / "soc", symlinks=True))


@pytest.fixture(scope="module")
def told(story):
    """The workspace at the end of the demo."""
    folder, stages = story
    with ThreadPoolExecutor(
        1
    ) as beside:  # in this thread Playwright has an event loop, which a run does not bear
        beside.submit(until, stages, "gate").result()
    return app.open_workspace(folder / "soc")


def opened(page, soc):
    """Open the incident of the queue; return its id."""
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/incident/*")
    return page.url.rpartition("/")[2]


def test_a_trace_is_followed_hop_by_hop_to_the_line_with_its_proof(soc, chromium):
    made = built(soc)
    joined(made, "ana", "analyst")
    with served(made) as base, visit(chromium, base, "ana") as page:
        name = opened(page, soc)
        page.wait_for_selector("#trace .hops")
        page.click("text=On its own page")
        page.wait_for_url(f"**/incident/{name}/trace")
        chain = page.locator(".chain").first
        assert "shop/printing.py:9" in chain.inner_text()
        assert "@shop/fulfilment" in chain.inner_text()
        hops = chain.locator(".hops > li")
        told = [hops.nth(n).locator("p .soft").first.inner_text() for n in range(hops.count())]
        assert told == [
            "runs in",
            "instance of",
            "built by",
            "built from",
            "has line",
            "introduced by",
            "owned by",
        ]
        ends = []
        for n in range(hops.count()):
            hop = hops.nth(n)
            assert hop.locator("dl").is_hidden()
            hop.locator("summary").click()
            assert hop.locator("dl dd").first.inner_text().strip()
            ends.append(hop.locator("a.chip").get_attribute("href"))
        assert "shop/printing.py" in hops.nth(4).locator("dl").inner_text()
        for end in ends:
            page.goto(base + end)
            assert page.locator("h1").inner_text().strip()
            assert page.locator("text=There is no such thing").count() == 0


def test_a_plan_takes_two_people_runs_before_ones_eyes_and_is_undone(soc, chromium):
    folder = soc.content / "playbooks" / "cut_off"
    folder.mkdir(parents=True)
    (folder / "playbook.yaml").write_text(CUT_OFF)
    made = built(soc)
    for name in ("rae", "lee"):
        joined(made, name, "responder")
    with served(made) as base, visit(chromium, base, "rae") as rae, visit(chromium, base, "lee") as lee:
        opened(rae, soc)
        rae.select_option("#f-playbook", "cut_off")
        rae.click("button[value=plan]")
        rae.wait_for_url("**/plan/*")
        assert "depend on it" in rae.locator("tr:has-text('quarantine_workload')").inner_text()
        assert rae.locator("text=2 more approvals are needed").count() == 1
        assert rae.locator("button[value=run]").is_disabled()
        for who, left in ((rae, 1), (rae, 1), (lee, 0)):
            who.goto(rae.url)
            who.fill("#f-reason", "stolen credentials in use")
            who.click("button[value=approve]")
            who.wait_for_selector("text=Approval is bound to exactly these actions")
            assert who.locator("button[value=run]").is_disabled() == bool(left)
        lee.click("button[value=run]")
        lee.wait_for_url("**/run/*")
        rae.goto(lee.url)
        rae.wait_for_selector("h2:has-text('Do the credentials lose their worth?')")
        rae.wait_for_selector(".live.on")
        mark(rae)
        done, waits = (
            rae.locator(f"tr:has-text('{one}')") for one in ("quarantine_workload", "deny_role_sessions")
        )
        assert "done" in done.inner_text()
        assert "not yet" in waits.inner_text()
        lee.goto(rae.url)
        lee.fill("input[name=reason]", "yes, they do")
        lee.click("button[value=yes]")
        rae.wait_for_selector("tr:has-text('deny_role_sessions') .badge.done")
        rae.wait_for_selector("button[value=undo]")
        assert rae.locator("h2:has-text('Do the credentials')").count() == 0
        assert marked(rae)
        rae.click("button[value=undo]")
        rae.wait_for_url("**/plan/*")
        assert rae.locator("h1").inner_text().startswith("Undo of run-")
        for who in (rae, lee):
            who.goto(rae.url)
            who.fill("#f-reason", "it was a drill")
            who.click("button[value=approve]")
            who.wait_for_selector("text=Approval is bound to exactly these actions")
        lee.click("button[value=run]")
        lee.wait_for_url("**/run/*")
        lee.wait_for_selector("[data-part=outcome] .badge.done")
        outcomes = [one.outcome for one in respond.runs(soc)]
    assert outcomes == ["done", "done"]


def test_an_incident_is_closed_with_a_lesson_and_its_proof_is_seen(soc, chromium):
    made = built(soc)
    joined(made, "lee", "analyst", "developer", "detection_engineer")
    with served(made) as base, visit(chromium, base, "lee") as page:
        name = opened(page, soc)
        page.wait_for_selector("#trace .hops")
        page.click("summary:has-text('Decide')")
        page.select_option("#f-verdict", "true_positive")
        page.fill("#f-reason", "contained; the cause is known")
        page.click("button[value=close]")
        page.wait_for_selector(".badge:has-text('true positive')")
        page.click("button:has-text('Draw the lesson')")
        page.wait_for_selector("text=is proposed")
        page.click("#lesson a")
        page.wait_for_url("**/lesson/*")
        assert "shop/printing.py:9" in page.locator("section:has(#h-cause)").inner_text()
        assert page.locator("text=Not yet. The replay runs the gate").count() == 1
        page.wait_for_selector(".live.on")
        page.click("button[value=prove]")
        page.wait_for_selector("section:has(#h-proof) .badge:has-text('proven')", timeout=240_000)
        figures = page.locator(".figures").inner_text().split()
        assert figures[:1] == ["18"]
        page.wait_for_selector("button[value=merge]")
        page.click("button[value=merge]")
        page.wait_for_selector("text=The gate and the detection hold from now on")
        page.goto(f"{base}/incident/{name}")
        assert page.locator("#lesson .badge:has-text('merged')").count() == 1
        one = incidents.by_id(app.journal(soc), name)
    assert one.status is IncidentStatus.CLOSED


WIDTHS = (1280, 640, 390, 320)
"""A desk; the same with letters twice as large; a phone; WCAG 1.4.10."""
FULL = "axe.run({resultTypes: ['violations']})"
COLOURS = "axe.run({runOnly: ['color-contrast'], resultTypes: ['violations']})"
FOUND = ".then((all) => all.violations.flatMap((one) => one.nodes.map((node) => [one.impact, one.id, node.html.slice(0, 160)])))"
OUTSIDE = """() => {
    const held = (one) => {
        for (let up = one.parentElement; up && up.id !== "main"; up = up.parentElement)
            if (getComputedStyle(up).overflowX !== "visible") return true;
        return false;
    };
    const out = [...document.querySelectorAll("#main *")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width > 1 && box.right > innerWidth + 1 && !held(one) && one.checkVisibility();
    });
    const wide = document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [];
    return [...wide, ...out.slice(0, 3).map((one) => one.outerHTML.slice(0, 160))];
}"""
"""What is beyond the right edge and in nothing that scrolls."""
FOCUS = """() => {
    const all = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    const look = (one) => [one.parentElement, one, ...one.querySelectorAll("circle, rect")].slice(0, 3).map((each) => {
        const style = getComputedStyle(each);
        return [style.outlineStyle, style.outlineWidth, style.stroke, style.strokeWidth, style.transform].join();
    }).join();
    const pinned = (one) => {
        for (let up = one; up && up !== document.body; up = up.parentElement)
            if (["fixed", "sticky"].includes(getComputedStyle(up).position)) return up;
        return null;
    };
    const wrong = [];
    document.activeElement.blur();
    for (const one of document.querySelectorAll(all)) {
        if (one.disabled || !one.checkVisibility({visibilityProperty: true}) || one.closest("dialog:not([open])")) continue;
        const before = look(one);
        one.focus();
        if (document.activeElement !== one) continue;
        if (look(one) === before) wrong.push(["is focused unseen", one.outerHTML.slice(0, 160)]);
        const box = one.getBoundingClientRect();
        const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1);
        const over = [box.top + 2, (box.top + box.bottom) / 2, box.bottom - 2].filter((y) => y > 0 && y < innerHeight).map((y) => {
            const there = pinned(document.elementFromPoint(x, y));
            return there !== null && !there.contains(one);
        });
        if (over.length === 0 || over.every((each) => each)) wrong.push(["is focused under something", one.outerHTML.slice(0, 160)]);
        one.blur();
    }
    return wrong;
}"""
OPEN = "document.querySelectorAll('main details:not(.menu)').forEach((one) => { one.open = true; })"


def faults(page, script):
    """Return what keeps people from using the page that is there: light and dark, wide and narrow."""
    page.evaluate(OPEN)
    page.evaluate(script)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        found += [(width, one) for one in page.evaluate(OUTSIDE)]
        if width not in {1280, 390}:
            continue
        for scheme, rules in (("light", FULL), ("dark", COLOURS)):  # colours alone depend on the scheme
            page.emulate_media(color_scheme=scheme)
            every = page.evaluate(rules + FOUND)
            found += [(width, scheme, *one[1:]) for one in every if one[0] in {"serious", "critical"}]
        page.keyboard.press("Tab")  # from here on, what is focused is shown
        found += [(width, *one) for one in page.evaluate(FOCUS)]
    page.set_viewport_size({"width": 1280, "height": 844})
    return found


def test_every_page_can_be_used_by_everybody(told, chromium):
    made = built(told)
    joined(made, "ana", *made.access.rights.roles)
    _, invitation = accounts.add(made.access, "lee", ["analyst"], actor="root")
    script, wrong = axe(), {}
    with served(made) as base:
        page = fresh(chromium, bypass_csp=True)
        for address in ("/sign-in", f"/welcome/{invitation.secret}"):
            page.goto(base + address)
            wrong[address] = faults(page, script)
        page.close()
        with visit(chromium, base, "ana", bypass_csp=True) as page:
            for place in walking.walk(page, base):
                assert page.locator("h1").count() == 1, place
                wrong[place.address] = faults(page, script)
    assert len(wrong) == len(walking.routes()) + 2
    assert not {address: found for address, found in wrong.items() if found}

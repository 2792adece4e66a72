"""The page of an incident: tasks by team and the clock, links, what belongs together, cases, review, evidence."""

import asyncio
import re

import pytest
from consoled import HOST, alert, browser, built, joined, send, tell, workspace

from lemnis import app
from lemnis.app import cases, incidents, incidents_evidence, incidents_handling, incidents_review
from lemnis.app.scene import look
from lemnis.app.trace import Trace
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.handling import Task, TaskState
from lemnis.incidents import verifier
from lemnis.interfaces.web import incident_review, incident_trace, incident_work

HOUR = 3_600_000
RULE = """package lemnis.hidden
import rego.v1
deny contains reason if {
    input.about.kind == "incident"
    input.person.name == "eve"
    reason := {"message": "hidden from eve", "fix": ""}
}
"""


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def visit(soc, steps, *roles, name="ana", teams=("soc",)):
    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, name, *(roles or ("analyst",)), teams=teams)) as one:
            return await steps(one, made)

    return asyncio.run(run())


def two(soc):
    """An incident of two rules, and another one: as alerts make them."""
    other = Entity(EntityKind.HOST, "db-1")
    grave = {"severity": Severity.CRITICAL}
    tell(
        soc, alert(1, **grave), alert(2, rule="rule-2", title="A key was read", entities=(HOST,), **grave),
        alert(3, rule="rule-3", title="Elsewhere", entities=(other,), **grave),
    )  # fmt: skip
    held = {alert: one.id for one in incidents.incidents(soc) for alert in one.alert_ids}
    return held[f"al-{1:016x}"], held[f"al-{3:016x}"]


def task(name, assignee, due=None, state=TaskState.OPEN):
    return Task(name, name, assignee, due, state, 1, "x", 1)


def test_tasks_are_by_team_what_is_late_first_what_is_over_last():
    some = [
        task("a", "ana"), task("b", "ops", 50), task("c", "ben", 200), task("d", "ana", 300),
        task("e", "ana", 10, TaskState.DONE), task("f", "nobody known"),
    ]  # fmt: skip
    shown = incident_work.by_team(some, {"ana": "soc", "ben": "ops", "ops": "ops"}, now=100)
    assert [(one.team, [each.id for each in one.tasks], one.left, one.late) for one in shown] == [
        ("ops", ["b", "c"], 2, 1), ("soc", ["d", "a", "e"], 2, 0), ("", ["f"], 1, 0),
    ]  # fmt: skip


def test_developers_operations_and_security_see_their_tasks_and_the_clock(soc):
    name, _ = two(soc)

    async def steps(ana, made):
        joined(made, "dev", "developer", teams=("shop",))
        at, page = f"/incident/{name}", await ana.get(f"/incident/{name}")
        await send(ana, page, at, do="task", title="Pin the image", assignee="dev", due="2d")
        await send(ana, page, at, do="task", title="Restart it", assignee="soc")
        wrong = await send(ana, page, at, do="task", title="x", due="soon")
        shown = await ana.get(at)
        ids = re.findall(r'name="task" value="(tk-[0-9a-f]{16})"', shown.text)
        await send(ana, page, at, do="task_state", task=ids[1], state="doing")
        await send(ana, page, at, do="task_state", task=ids[0], state="done")
        return page, wrong, shown, await ana.get(at)

    page, wrong, shown, after = visit(soc, steps)
    assert wrong.status_code == 400
    assert "No task is written down" in page.text
    due = re.search(r'data-part="due">(.*?)</section>', shown.text, re.DOTALL)[1]
    assert re.search(r'data-left="-?\d+"', due)
    assert re.findall(r'<a href="#tasks">(\w+)</a><span class="row small">1 task', due) == ["shop", "soc"]
    tasks = incidents_handling.standing(soc, incidents.get(soc, name)).handling.tasks
    assert {one.title: (one.assignee, one.state.value) for one in tasks} in (
        {"Pin the image": ("ana", "doing"), "Restart it": ("soc", "done")},
        {"Pin the image": ("dev", "done"), "Restart it": ("ana", "doing")},
    )
    assert "under way" in after.text


def test_links_are_written_down_and_removed(soc):
    name, _ = two(soc)

    async def steps(ana, _made):
        at, page = f"/incident/{name}", await ana.get(f"/incident/{name}")
        url = "https://git.example/shop/issues/7"
        await send(ana, page, at, do="link", url=url, title="Ticket 7")
        shown = await ana.get(at)
        bad = await send(ana, page, at, do="link", url="javascript:alert(1)")
        unsaid = await send(ana, page, at, do="unlink", url=url, reason=" ")
        gone = await send(ana, page, at, do="unlink", url=url, reason="of another")
        return shown, bad, unsaid, gone, await ana.get(at)

    shown, bad, unsaid, gone, after = visit(soc, steps)
    assert (
        'href="https://git.example/shop/issues/7" rel="noopener noreferrer nofollow">Ticket 7' in shown.text
    )
    assert [bad.status_code, unsaid.status_code, gone.status_code] == [400, 400, 303]
    assert 'href="https://git.example' not in after.text
    assert "removed: Ticket 7 (of another)" in after.text


def test_incidents_go_into_a_case_that_is_noted_closed_and_seen_by_who_sees_all_of_it(soc):
    name, other = two(soc)

    async def steps(ana, made):
        at, page = f"/incident/{name}", await ana.get(f"/incident/{name}")
        await send(ana, page, at, do="case", title="Campaign <b>")
        (case,) = cases.cases(soc)
        await send(ana, page, f"/incident/{other}", do="case", case=case.id)
        there = f"/case/{case.id}"
        await send(ana, page, there, do="note", text="<script>x</script>")
        early = await send(ana, page, there, do="close", reason="over")
        shown, listed = await ana.get(there), await ana.get("/cases")
        await send(ana, page, there, do="remove", incident=other, reason="no")
        await send(ana, page, at, do="close", verdict="benign", reason="an exercise")
        closed = await send(ana, page, there, do="close", reason="over")
        folder = soc.content / "policies/hidden"
        folder.mkdir(parents=True)
        (folder / "policy.rego").write_text(RULE)
        (folder / "policy.yaml").write_text("id: hidden\ntitle: t\nstages: [access]\n")
        made.access._looked = 0
        async with browser(made, cookie=joined(made, "eve", "analyst")) as eve:
            eves = [await eve.get(there), await eve.get("/cases?show=closed")]
        return case, early, shown, listed, closed, await ana.get("/cases?show=closed"), eves

    case, early, shown, listed, closed, later, eves = visit(soc, steps)
    assert early.status_code == 409
    assert "Campaign &lt;b&gt;" in shown.text
    assert "&lt;script&gt;x&lt;/script&gt;" in shown.text
    assert f'href="/incident/{other}"' in shown.text
    assert f'href="/case/{case.id}"' in listed.text
    assert closed.status_code == 303
    assert f'href="/case/{case.id}"' in later.text
    assert eves[0].status_code == 403
    assert "Campaign" not in eves[0].text + eves[1].text


def test_the_review_is_written_on_its_page_and_what_is_wrong_is_told_beside_it(soc):
    name, _ = two(soc)

    async def steps(ana, made):
        at = f"/incident/{name}/review"
        page = await ana.get(at)
        parts = {
            "went_well": "seen soon\n\n", "went_badly": "", "lucky": "", "contributing_causes": "an old key",
            "detection_gap": "nobody <looked>", "control_that_failed": "none", "what": ["Pin it", ""],
            "owner": ["ben", ""], "due": ["2030-01-02", ""],
        }  # fmt: skip
        wrong = await send(ana, page, at, **parts)
        done = await send(ana, page, at, **parts | {"contributing_causes": "an old key\nno rule"})
        async with browser(made, cookie=joined(made, "vic", "viewer")) as vic:
            seen = await vic.get(at)
            refused = await send(vic, await vic.get("/me"), at, **parts)
        return page, wrong, done, seen, refused

    page, wrong, done, seen, refused = visit(soc, steps)
    assert "Nobody has written it yet" in page.text
    assert "A shell was opened" in page.text
    assert wrong.status_code == 400
    assert "contributing_causes" in wrong.text
    assert "nobody &lt;looked&gt;" in wrong.text
    assert 'value="2030-01-02"' in wrong.text
    assert done.status_code == 303
    assert "<textarea" not in seen.text
    assert "Pin it" in seen.text
    assert refused.status_code == 403
    told = incidents_review.told(soc, incidents.get(soc, name))
    assert (told["went_well"], told["actor"]) == (["seen soon"], "ana")
    tasks = incidents_handling.standing(soc, incidents.get(soc, name)).handling.tasks
    assert [(one.title, one.assignee) for one in tasks] == [("Pin it", "ben")]


def test_lists_of_a_review_are_a_line_each():
    form = incident_review.Form([("lucky", " a \n\nb"), ("what", "x"), ("owner", ""), ("due", "")])
    assert incident_review.filled(form)["lucky"] == ["a", "b"]
    assert incident_review.filled(form)["actions"] == [{"what": "x", "owner": "", "due": ""}]


def test_the_package_is_got_from_the_page_by_who_says_what_for(soc, tmp_path):
    name, _ = two(soc)
    (tmp_path / "dump.bin").write_bytes(b"\0memory")
    digest = incidents_evidence.collect(soc, name, tmp_path / "dump.bin", actor="ben")

    async def steps(ana, made):
        at, page = f"/incident/{name}/evidence", await ana.get(f"/incident/{name}")
        short = await send(ana, page, at, do="package", reason="short")
        none = await send(ana, page, at, do="package")
        strange = await send(ana, page, at, do="burn", reason="for the court")
        package = await send(ana, page, at, do="package", reason="for the court", to="the court")
        piece = await send(ana, page, at, do="read", digest=digest, reason="to look into it")
        async with browser(made, cookie=joined(made, "vic", "viewer")) as vic:
            seen = await vic.get(f"/incident/{name}")
            refused = await send(vic, await vic.get("/me"), at, do="package", reason="for the court")
        return page, short, none, strange, package, piece, seen, refused

    page, short, none, strange, package, piece, seen, refused = visit(soc, steps)
    assert "Make a package" in page.text
    assert "dump.bin" in page.text
    assert [one.status_code for one in (short, none, strange, refused)] == [400, 400, 400, 403]
    assert package.headers["content-disposition"] == f'attachment; filename="{name}.zip"'
    assert package.headers["content-security-policy"].startswith("default-src 'none'")
    (tmp_path / "got.zip").write_bytes(package.content)
    report = verifier.verify(str(tmp_path / "got.zip"))
    assert (report.ok, report.incident, report.evidence) == (True, name, 1)
    assert (piece.content, piece.headers["content-type"]) == (b"\0memory", "application/octet-stream")
    assert "h-evidence" in page.text
    assert "h-evidence" not in seen.text
    reads = [one for one in app.journal(soc).entries(kind="access.personal_read") if one.subject == name]
    assert [(one.actor, one.reason) for one in reads] == [
        ("ana", "for the court"),
        ("ana", "to look into it"),
    ]
    (held,) = incidents_evidence.evidence(soc, name)
    assert [(one.act.value, one.to) for one in held.steps] == [
        ("collected", ""), ("exported", "the court"), ("accessed", "")
    ]  # fmt: skip


def test_who_may_not_see_the_other_merges_nothing_into_it(soc):
    name, other = two(soc)

    async def steps(ana, made):
        page = await ana.get(f"/incident/{name}")
        offered = f'<option value="{other}">' in page.text
        folder = soc.content / "policies/hidden"
        folder.mkdir(parents=True)
        (folder / "policy.rego").write_text(
            RULE.replace('"eve"', '"ana"').replace(
                "input.about.kind", f'input.about.id == "{other}"\n    input.about.kind'
            )
        )
        (folder / "policy.yaml").write_text("id: hidden\ntitle: t\nstages: [access]\n")
        made.access._looked = 0
        merged = await send(ana, page, f"/incident/{name}", do="merge", other=other, reason="one campaign")
        return offered, merged, f'<option value="{other}">' in (await ana.get(f"/incident/{name}")).text

    offered, merged, still = visit(soc, steps)
    assert (offered, still) == (True, False)
    assert merged.status_code == 403
    assert not incidents.get(soc, other).merged_into


def test_a_trace_is_looked_for_when_its_part_is_asked_for_and_then_shown_at_once(soc, monkeypatch):
    name, _ = two(soc)
    asked = []

    def looked(_workspace, incident):
        asked.append(incident)
        return Trace(incident, look(None, ()), ())

    monkeypatch.setattr(incident_trace.tracing, "trace", looked)

    async def steps(ana, _made):
        path = f"/incident/{name}/trace"
        first = await ana.get(path)
        before = len(asked)
        part = await ana.get(f"{path}?part=1")
        again = await ana.get(path)
        return first, before, part, again, await ana.get(f"{path}?whole=1")

    first, before, part, again, whole = visit(soc, steps)
    assert f'data-load="/incident/{name}/trace?part=1"' in first.text
    assert 'href="?whole=1"' in first.text, "where no script runs"
    assert before == 0
    for page in (part, again, whole):
        assert "There is no way back yet" in page.text
        assert "data-load" not in page.text
    assert asked == [name]

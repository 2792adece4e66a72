"""The pipeline's pages: findings decided on by whoever may, exceptions, and nobody found by a filter."""

import asyncio
import re

import pytest
from consoled import START, alert, browser, built, joined, send, tell, workspace
from findings_kept import PRINTS, find

from lemnis import app
from lemnis.app import exemptions
from lemnis.app import findings_decisions as deciding
from lemnis.app.findings_decisions import Decided, Standing, State, Word
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.interfaces.web import asking
from lemnis.interfaces.web import pipeline_findings as findings
from lemnis.interfaces.web.pipeline_said import Decided as Said
from lemnis.interfaces.web.pipeline_said import passed

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def owned(soc, service, team):
    (soc.content / "assets").mkdir(parents=True, exist_ok=True)
    (soc.content / "assets" / f"{service}.yaml").write_text(
        f"- id: {service}\n  services: [{service}]\n  owner: ana\n  team: {team}\n"
    )


# -- pure --------------------------------------------------------------------------------------------------


def row(name, **more):
    facts = {"title": name, "severity": "high", "level": 4, "priority": "high", "because": "high", "where": "a.py:1",
             "resource": "shop", "tools": ("bandit",), "first": START, "fix": ""} | more  # fmt: skip
    return findings.Line(name, **facts)


def test_tabs_count_what_the_filter_leaves_and_the_worst_come_first():
    every = [
        row("a", priority="low"),
        row("b", owner="ana"),
        row("c", state="accepted"),
        row("d", priority="critical"),
    ]
    shown = findings.listed(every, asking.asked({}, findings.FILTERS, sort="-priority"), "ana")
    assert [one.id for one in shown.page.rows] == ["d", "b", "a"]
    assert {tab.name: tab.count for tab in shown.tabs} == {"open": 3, "mine": 1, "aside": 1, "fixed": 0}
    mine = findings.listed(every, asking.asked({"show": "mine", "q": "bandit"}, findings.FILTERS), "ana")
    assert [one.id for one in mine.page.rows] == ["b"]


def test_what_an_exception_lets_through_is_counted_by_the_last_word_on_each():
    def said(seq, subject, *exceptions, stage="build"):
        return Said(seq, START, stage, subject, subject, "shop", "allow", "", 0, exceptions)

    found = [said(1, "commit:a", "one"), said(2, "commit:a"), said(3, "commit:b", "one", "two"),
             said(4, "commit:b", "one", stage="deploy")]  # fmt: skip
    assert passed(found) == {"one": 2, "two": 1}


def test_a_line_says_why_it_is_set_aside_or_no_longer():
    said = Decided(1, START, "ana", Word.ACCEPT, "behind a proxy", "2026-12-31")
    aside = findings.standing(row("a"), Standing(State.ACCEPTED, "lee", said, "", 2))
    assert (aside.state, aside.owner, aside.told) == ("accepted", "lee", "behind a proxy, until 2026-12-31")
    again = findings.standing(row("a"), Standing(State.OPEN, "", said, "an alert touched it", 1))
    assert (again.state, again.told) == ("open", "an alert touched it")


# -- pages -------------------------------------------------------------------------------------------------


def test_a_finding_is_decided_on_from_its_page_and_nobody_is_overtaken(soc):
    [name] = find(soc)

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "developer", "analyst")) as ana:
            place = f"/pipeline/problem/{name}"
            page = await ana.get(place)
            version = re.search(r'name="version" value="(\d+)"', page.text)[1]
            fields = {"version": version, "do": "accept", "reason": f"why {EVIL}", "until": "2026-12-31"}
            done = await send(ana, page, place, **fields)
            late = await send(ana, page, place, version=version, do="false_positive", reason="no")
            none = await send(ana, page, place, do="false_positive", reason="no")
            forged = await ana.post(place, data=fields, headers={"origin": "http://127.0.0.1:8687"})
            return done, late, none, forged, await ana.get(place), await ana.get("/pipeline?show=aside")

    done, late, none, forged, after, aside = asyncio.run(run())
    assert (done.status_code, late.status_code, none.status_code, forged.status_code) == (303, 409, 400, 403)
    assert "decided on this meanwhile" in late.text
    assert "<img" not in after.text
    assert "&lt;img" in after.text
    assert "Accept the risk until 2026-12-31" in after.text
    assert "A shell from a string" in aside.text
    [said] = deciding.of(soc, name)
    assert (said.actor, said.word, said.until) == ("ana", Word.ACCEPT, "2026-12-31")


def test_many_findings_are_decided_on_at_once(soc):
    every = find(soc, 3)

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "developer", "analyst")) as ana:
            page = await ana.get("/pipeline")
            some = [*every[:2], "fd-0000000000000000"]
            done = await send(
                ana, page, "/pipeline", id=some, do="false_positive", reason="test data", back="q=x"
            )
            nothing = await send(ana, page, "/pipeline", do="assign", to="lee")
            wrong = await send(ana, page, "/pipeline", id=every, do="vanish", reason="r")
            assigned = await send(ana, page, "/pipeline", id=every, do="assign", to="lee")
            return (
                done,
                nothing,
                wrong,
                assigned,
                await ana.get("/pipeline"),
                await ana.get("/pipeline?q=LEE"),
            )

    done, nothing, wrong, assigned, listed, mine = asyncio.run(run())
    assert done.headers["location"] == "/pipeline?q=x#findings"
    assert "2+of+3+done" in done.headers["set-cookie"]
    assert "Nothing+was+chosen" in nothing.headers["set-cookie"]
    assert (wrong.status_code, assigned.status_code) == (400, 303)
    assert [one for one in every if one in listed.text] == every[2:]
    assert every[2] in mine.text
    states = [deciding.standing(deciding.of(soc, one), START) for one in every]
    assert [(one.state, one.owner) for one in states] == [
        (State.FALSE_POSITIVE, "lee"), (State.FALSE_POSITIVE, "lee"), (State.OPEN, "lee"),
    ]  # fmt: skip


def test_only_who_may_decides_and_of_no_other_teams_service(soc):
    owned(soc, "shop", "web")
    [name] = find(soc)
    tries = {"vera": ("viewer",), "tom": ("developer",), "wes": ("developer",)}
    teams = {"tom": ("billing",), "wes": ("web",)}

    async def run():
        made, found = built(soc), {}
        for who, roles in tries.items():
            async with browser(made, cookie=joined(made, who, *roles, teams=teams.get(who, ()))) as one:
                page = await one.get(f"/pipeline/problem/{name}")
                place, word = (
                    f"/pipeline/problem/{name}",
                    {"do": "fixed", "reason": "it is a list", "version": "0"},
                )
                sent = await send(one, page, place, **word)
                many = await send(one, page, "/pipeline", id=name, do="fixed", reason="it is a list")
                found[who] = page.text, sent.status_code, many
        return found

    found = asyncio.run(run())
    assert (found["vera"][1], found["vera"][2].status_code, found["tom"][1]) == (403, 403, 403)
    assert "is of no team that owns shop" in found["tom"][0]
    assert "0+of+1+done" in found["tom"][2].headers["set-cookie"]
    assert found["wes"][1] == 303
    assert "What it is" not in found["vera"][0]
    assert {one.actor for one in deciding.of(soc, name)} == {"wes"}


def test_no_filter_order_or_choice_tells_who_is_hidden(soc):
    find(soc, 2, title="A key of kim@shop.example")

    async def run():
        made = built(soc)
        async with browser(
            made, cookie=joined(made, "pia", "privacy_officer", "developer", "analyst")
        ) as pia:
            first = await pia.get("/pipeline")
            masks = re.findall(r"person~[0-9a-f]+", first.text)
            hidden = [await pia.get(f"/pipeline?q={q}") for q in ("kim", "kim@shop.example", masks[0])]
            await send(pia, first, "/purpose", purpose="whose key it is", back="/")
            return hidden, await pia.get("/pipeline?q=kim@shop.example")

    (part, whole, mask), seen = asyncio.run(run())
    assert "No finding matches" in part.text
    assert "No finding matches" in whole.text
    assert "A key of person~" in mask.text
    assert "A key of kim@shop.example" in seen.text


def test_an_exception_is_asked_for_on_the_findings_page_and_approved_by_another(soc):
    [name] = find(soc)
    ask = {
        "do": "ask",
        "policy": "new_findings_below_medium",
        "reason": "the list is fixed",
        "until": "2026-12-31",
    }

    async def run():
        made = built(soc)
        ana = joined(made, "ana", "developer", "analyst", "responder")
        lee, dan = joined(made, "lee", "responder"), joined(made, "dan", "developer")
        listed = "/pipeline/exceptions"
        async with (
            browser(made, cookie=ana) as one,
            browser(made, cookie=lee) as other,
            browser(made, cookie=dan) as dev,
        ):
            asked = await send(one, await one.get("/pipeline"), f"/pipeline/problem/{name}", **ask)
            waiting = await one.get(listed)
            place = f"{listed}/new_findings_below_medium-{PRINTS[0]}"
            own = await send(one, waiting, place, do="approve")
            not_his = await send(dev, await dev.get(listed), place, do="approve")
            done = await send(other, await other.get(listed), place, do="approve")
            shown = await one.get(listed)
            problem = await one.get(f"/pipeline/problem/{name}")
            again = await send(one, shown, place, do="renew", reason="it takes longer", until="2026-12-31")
            back = await send(one, shown, place, do="refuse", reason="no need")
            kept = await send(dev, await dev.get(listed), place, do="withdraw", reason="r")
            gone = await send(other, shown, place, do="withdraw", reason="r")
            token = await send(other, await other.get(listed), place, do="withdraw", reason="it was mended")
            return asked, waiting, own, not_his, done, shown, problem, again, back, kept, gone, token

    asked, waiting, own, not_his, done, shown, problem, again, back, kept, gone, token = asyncio.run(run())
    assert (asked.status_code, own.status_code, not_his.status_code, done.status_code) == (303, 400, 403, 303)
    assert "Take back" in waiting.text
    assert "who asks does not approve" in own.text
    assert "ana, approved by lee" in shown.text
    assert f'href="/pipeline/problem/{name}"' in shown.text
    assert "new_findings_below_medium-" in problem.text
    assert (again.status_code, back.status_code, kept.status_code) == (303, 303, 403)
    assert (gone.status_code, token.status_code) == (403, 303), "the first has another session's token"
    assert exemptions.granted(soc, app.library(soc)) == ([], [])


def test_rules_know_what_an_exception_is_about_that_somebody_asked_for(soc):
    """Who approves it decides on a finding of a service: rules may say whose."""
    [name] = find(soc)
    folder = soc.content / "policies/nobody_for_findings"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text("id: nobody_for_findings\ntitle: t\nstages: [access]\n")
    (folder / "policy.rego").write_text(
        "package lemnis.nobody_for_findings\n\nimport rego.v1\n\ndeny contains reason if {\n"
        '    input.permission == "exception.approve"\n    input.about.severity != ""\n'
        '    reason := {"message": "nobody approves this"}\n}\n'
    )
    ask = {
        "do": "ask",
        "policy": "new_findings_below_medium",
        "reason": "the list is fixed",
        "until": "2026-12-31",
    }

    async def run():
        made = built(soc)
        ana, lee = joined(made, "ana", "developer", "analyst"), joined(made, "lee", "responder")
        async with browser(made, cookie=ana) as one, browser(made, cookie=lee) as other:
            await send(one, await one.get("/pipeline"), f"/pipeline/problem/{name}", **ask)
            listed = await other.get("/pipeline/exceptions")
            place = f"/pipeline/exceptions/new_findings_below_medium-{PRINTS[0]}"
            return [
                await send(other, listed, place, do=what, reason="r" * 12) for what in ("approve", "refuse")
            ]

    for answer in asyncio.run(run()):
        assert answer.status_code == 403
        assert "nobody approves this" in answer.text
    assert [one.name for one in exemptions.requests(soc, app.library(soc))]


def test_exceptions_are_shown_by_what_is_left_and_what_is_wrong_is_told(soc):
    tell(soc, alert(1, entities=(Entity(EntityKind.HOST, "web-1"),)))
    folder = soc.content / "exceptions"
    folder.mkdir(parents=True)
    terms = "policy: new_findings_below_medium\nreason: the command is fixed\nowner: ana\napproved_by: lee\n"
    (folder / "later.yaml").write_text(f"{terms}where: 'app/*:*'\nexpires: 2027-06-01\n")
    (folder / "sooner.yaml").write_text(f"{terms}fingerprint: {PRINTS[1]}\nexpires: 2026-09-25\n")
    (folder / "void.yaml").write_text(
        f"{terms}fingerprint: {PRINTS[0]}\nexpires: 2026-12-01\napproved: 2026-09-01\nassets: ['host:web-1']\n"
    )
    find(soc, 3)

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "viewer")) as ana:
            before = await ana.get("/pipeline/exceptions")
            (folder / "bad.yaml").write_text("policy: 7\n")
            return before, await ana.get("/pipeline")

    listed, overview = asyncio.run(run())
    order = re.findall(r'data-row="(\w+)"', listed.text)
    assert order == ["sooner", "void", "later"]
    assert "touched host:web-1" in listed.text
    assert "4 days left" in listed.text
    assert 'data-name="findings">3<' in listed.text
    assert "Renew" not in listed.text
    assert "sooner" in overview.text

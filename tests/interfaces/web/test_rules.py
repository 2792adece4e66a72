"""Detections in the console: written with lint and completion, tried, kept or proposed; versions and noise."""

import asyncio
import html
import json
import re

import pytest
from consoled import browser, built, joined, send, workspace

from lemnis import app
from lemnis.app.shelf import repository
from lemnis.interfaces.cli import run as lemnis
from lemnis.store.git import Repository

RULE = """\
title: The third login
id: 11111111-1111-4111-8111-111111111111
status: test
logsource:
  product: logins
detection:
  selection:
    what|endswith: "3"
  condition: selection
level: low
"""
BASE = "http://127.0.0.1:8687"


@pytest.fixture
def soc(tmp_path, monkeypatch, capsys):
    made = workspace(tmp_path)
    log = tmp_path / "logins.ndjson"
    lines = (
        f'{{"time": "2026-09-21T14:0{n}:00Z", "who": "maria.k", "what": "login {n}"}}\n' for n in range(5)
    )
    log.write_text("".join(lines))
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(made.root))
    monkeypatch.setattr(app, "default_clock", lambda: made.clock)
    assert lemnis(["sources", "new", "logins", "--from", str(log)]) == 0
    assert lemnis(["ingest", "logins", str(log)]) == 0
    capsys.readouterr()
    return made


@pytest.fixture
def kept(soc):
    folder = soc.content / "detections" / "third_login"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(RULE)
    repository_of(soc)
    return soc


def repository_of(soc):
    return Repository.create(soc.root).commit_all("Rules", author=app.AUTHOR, at=soc.clock.now())


def visit(soc, role, work, name="dee"):
    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, name, role)) as one:
            return await work(one)

    return asyncio.run(run())


def text_of(page):
    found = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1]
    return html.unescape(found)


def hidden(page, name):
    return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', page.text)[1])


def test_a_search_becomes_a_rule_that_finds_the_same_events(soc):
    async def work(dee):
        page = await dee.get("/detections/new?q=source%3Alogins+%22login+3%22&span=all")
        text = text_of(page)
        fields = {name: hidden(page, name) for name in ("q", "since", "until")}
        return text, page, await send(dee, page, "/detections/edit", do="try", text=text, days="7", **fields)

    text, page, tried = visit(soc, "detection_engineer", work)
    assert "Drawn from the search, for events of logins" in page.text
    assert "product: logins" in text
    assert "the same events" in tried.text
    assert "1 alert in 5 events" in tried.text


def test_lint_and_what_may_come_next_are_told_while_one_writes(soc):
    async def work(dee):
        page = await dee.get("/detections/new")
        broken = await send(
            dee, page, "/detections/check", text=RULE.replace("condition: selection", "condition: nothing")
        )
        fine = await send(dee, page, "/detections/check", text=RULE)
        yaml = await send(dee, page, "/detections/check", text="title: [")
        long = await send(dee, page, "/detections/check", text="x" * 60_500)
        before = RULE.partition("|endswith")[0][:-1]
        offers = await send(dee, page, "/detections/complete", text=RULE, at=len(before))
        wrong = await send(dee, page, "/detections/complete", text=RULE, at="-1")
        forged = await dee.post(
            "/detections/check", data={"text": RULE, "csrf": "x"}, headers={"origin": BASE}
        )
        return broken, fine, yaml, long, offers, wrong, forged

    broken, fine, yaml, long, offers, wrong, forged = visit(soc, "detection_engineer", work)
    (first, *_) = [one for one in broken.json()["findings"] if one["level"] == "error"]
    assert first["line"] == 9
    assert first["column"] > 0
    assert not [one for one in fine.json()["findings"] if one["level"] == "error"]
    assert yaml.json()["findings"][0]["line"]
    assert "what" in {one["text"] for one in offers.json()["offers"]}
    assert (long.status_code, wrong.status_code, forged.status_code) == (400, 400, 403)


def test_what_matched_is_shown_in_its_fields(soc):
    async def work(dee):
        page = await dee.get("/detections/new")
        every = RULE.replace('what|endswith: "3"', 'what: "*"')
        return (
            await send(dee, page, "/detections/edit", do="try", text=every, days="7"),
            await send(dee, page, "/detections/edit", do="try", text=every, days="2"),
        )

    shown, wrong = visit(soc, "detection_engineer", work)
    assert "5 alerts in 5 events" in shown.text
    assert shown.text.count("<b>what</b>") == 5
    assert "login 4" in shown.text
    assert wrong.status_code == 400
    assert "a day to a year" in wrong.text
    assert text_of(wrong).startswith("title: The third login"), "what was written is not lost"


def test_what_somebody_else_changed_is_not_written_over(kept):
    path = kept.content / "detections" / "third_login" / "rule.yml"

    async def work(dee):
        page = await dee.get("/detection/third_login/edit")
        path.write_text(RULE.replace("level: low", "level: high"))
        fields = {"name": "third_login", "of": hidden(page, "of"), "text": RULE.replace("low", "medium")}
        refused = await send(dee, page, "/detections/edit", do="save", **fields)
        again = await dee.get("/detection/third_login/edit")
        fields["of"] = hidden(again, "of")
        done = await send(dee, again, "/detections/edit", do="save", reason="louder", **fields)
        return refused, done, await dee.get("/detection/third_login/versions")

    refused, done, versions = visit(kept, "detection_engineer", work)
    assert refused.status_code == 409
    assert "changed by somebody else" in refused.text
    assert "level: medium" in text_of(refused)
    assert done.status_code == 303
    assert "level: medium" in path.read_text()
    assert versions.text.index("louder") < versions.text.index("Rules")
    assert "in force" in versions.text
    assert '<tr class="gone">' in versions.text


def test_a_proposal_changes_nothing_that_runs(kept):
    async def work(dee):
        page = await dee.get("/detection/third_login/edit")
        text = RULE.replace('"3"', '"4"')
        fields = {"name": "third_login", "of": hidden(page, "of"), "text": text, "reason": "the fourth"}
        done = await send(dee, page, "/detections/edit", do="propose", **fields)
        shown = await dee.get("/detection/third_login/versions?replay=1&days=7")
        return done, shown

    done, shown = visit(kept, "detection_engineer", work)
    assert done.headers["location"] == "/detection/third_login/versions"
    assert (kept.content / "detections" / "third_login" / "rule.yml").read_text() == RULE
    (branch,) = [one for one in repository(kept).branches() if one.startswith("rule/")]
    assert branch in shown.text
    row = re.search(r'data-name="both">(\d+)<.*?only before">(\d+)<.*?only after">(\d+)<', shown.text)
    assert row.groups() == ("0", "1", "1")


def test_who_may_only_read_sees_versions_and_noise_and_changes_nothing(kept):
    async def work(vic):
        pages = [
            await vic.get(f"/detection/third_login{path}")
            for path in ("", "/versions", "/noise", "/noise?look=1")
        ]
        page = pages[0]
        tested = await send(vic, page, "/detection/third_login/test")
        told = await vic.get("/detection/third_login")
        tries = [
            await send(vic, page, path, text=RULE, do="save", name="third_login", at="1")
            for path in ("/detections/edit", "/detections/check", "/detections/complete")
        ]
        return pages, tested, told, tries, await vic.get("/detection/third_login/versions?a=j9")

    pages, tested, told, tries, missing = visit(kept, "viewer", work)
    assert [one.status_code for one in pages] == [200] * 4
    assert "There is but one version" in pages[1].text
    assert "Week by week" in pages[2].text
    assert "What would help" in pages[3].text
    assert tested.status_code == 303
    assert "The tests failed" in told.text, "it has none"
    assert [one.status_code for one in tries] == [403] * 3
    assert missing.status_code == 404


# -- search --------------------------------------------------------------------------------------------------


def test_a_search_is_exported_as_it_is_seen_and_that_is_written_down(soc):
    async def work(ana):
        found = {
            kind: await ana.get(f"/search/export?q=login&span=all&format={kind}")
            for kind in ("csv", "ndjson", "json")
        }
        wrong = [
            await ana.get("/search/export?q=login&format=exe"),
            await ana.get("/search/export?q=login&from=noon"),
        ]
        rows = await ana.get("/search/export?q=login+%7C+stats+count&span=all&format=json")
        return found, wrong, rows

    found, wrong, rows = visit(soc, "analyst", work)
    assert found["csv"].text.count("\n") == 6
    assert len(found["ndjson"].text.splitlines()) == len(json.loads(found["json"].text)) == 5
    for one in found.values():
        assert "attachment" in one.headers["content-disposition"]
        assert "login 3" in one.text or "withheld" in one.text
    assert [one.status_code for one in wrong] == [400, 400]
    assert json.loads(rows.text) == [{"count": 5}]
    told = list(app.journal(soc).entries(kind="access.exported"))
    assert [one.payload["rows"] for one in told] == [5, 5, 5, 1]
    assert {one.actor for one in told} == {"dee"}


def test_what_is_wrong_with_a_search_is_told_in_its_place(soc):
    async def work(ana):
        return [
            await ana.get(path)
            for path in (
                "/search?q=login+AND+%28", "/search?q=a:b+" + "x+" * 40 + ")", "/search?q=" + "x" * 17_000,
                "/search?q=login&from=noon", "/search?q=login&from=9&to=5", "/search?q=@nothing",
                "/search?q=login+%7C+table+raw_data", "/search?q=user.name:maria*",
            )
        ]  # fmt: skip

    shown = visit(soc, "viewer", work)
    assert [one.status_code for one in shown] == [200] * 6 + [403] * 2
    assert re.search(r'data-column="1[12]"', shown[0].text)
    assert "…" in shown[1].text
    assert "longer than 16384 characters" in shown[2].text
    assert "is no time" in shown[3].text
    assert "ends before it begins" in shown[4].text
    assert "no saved search" in shown[5].text
    assert all("personal data" in one.text for one in shown[6:])


def test_a_search_that_goes_on_is_ended_by_who_began_it(soc):
    async def work(ana):
        page = await ana.get("/search?q=login&span=all")
        return await send(ana, page, "/search/stop"), await ana.post("/search/stop", data={"csrf": ""})

    stopped, forged = visit(soc, "analyst", work)
    assert stopped.json() == {"stopped": 0}
    assert forged.status_code == 403


EXCEPTION = """\
title: 'The third login: not for what nobody minds'
logsource: {product: logins}
filter:
  rules: [11111111-1111-4111-8111-111111111111]
  selection: {what: login 3}
  condition: not selection
x-lemnis: {owner: dee, expires: '2026-10-01', reason: 'PROPOSED, to be confirmed'}
"""


def test_an_exception_is_made_of_what_would_help(kept):
    path = kept.content / "exceptions" / "nobody_minds" / "filter.yml"
    given = {
        "text": EXCEPTION,
        "name": "nobody_minds",
        "until": "2026-12-31",
        "reason": "nobody minds the third login",
    }

    async def reads(vic):
        page = await vic.get("/detection/third_login/noise")
        return await send(vic, page, "/detection/third_login/except", do="keep", **given)

    assert visit(kept, "viewer", reads, "vic").status_code == 403
    assert not path.exists()

    async def work(dee):
        page = await dee.get("/detection/third_login/noise")
        short = await send(dee, page, "/detection/third_login/except", do="keep", **given | {"reason": "so"})
        proposed = await send(dee, page, "/detection/third_login/except", do="propose", **given)
        before = path.exists()
        done = await send(dee, page, "/detection/third_login/except", do="keep", **given)
        return short, proposed, before, done, await dee.get("/detection/third_login/noise")

    short, proposed, before, done, shown = visit(kept, "detection_engineer", work)
    assert short.status_code == 400
    assert (proposed.status_code, done.status_code) == (303, 303)
    assert done.headers["location"] == "/detection/third_login/noise"
    assert not before
    assert [one for one in repository(kept).branches() if one.startswith("exception/nobody_minds-")]
    assert "nobody minds the third login" in path.read_text()
    assert "nobody_minds" in shown.text
    assert "2026-12-31" in shown.text

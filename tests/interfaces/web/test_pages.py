"""The console's pages as a browser is given them: what they show, to whom, and what forms do."""

import asyncio
import html
import re

import pytest
from consoled import (
    HOST,
    PASSWORD,
    START,
    alert,
    browser,
    built,
    incident,
    joined,
    send,
    tell,
    token_of,
    workspace,
)

from lemnis import app
from lemnis.app import incidents, lessons
from lemnis.contracts.alerts import (
    Entity,
    EntityKind,
    IncidentStatus,
    MatchedField,
    Severity,
    Verdict,
)
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import ContentError, IntegrityError, Location, NotFoundError, ServiceError
from lemnis.interfaces.web import site

PAGES = (
    "/", "/queue", "/search", "/detections", "/pipeline", "/playbooks", "/sources", "/lessons", "/posture", "/entity",
)  # fmt: skip
EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}\u202e"


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def test_every_page_is_shown_and_says_something_where_there_is_nothing(soc):
    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "admin", "responder", "developer")) as ana:
            return {path: await ana.get(path) for path in PAGES}

    shown = asyncio.run(run())
    assert {path: answer.status_code for path, answer in shown.items()} == dict.fromkeys(PAGES, 200)
    for path, answer in shown.items():
        assert answer.text.count("<h1>") == 1, path
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "style=" not in answer.text, path
        assert "onclick" not in answer.text, path
    assert "Nothing waits" in shown["/queue"].text
    assert "No source has spoken yet" in shown["/sources"].text


def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(soc):
    async def run():
        made = built(soc)
        joined(made, "ana", "analyst")
        async with browser(made) as nobody:
            sent = [await nobody.get(path) for path in (*PAGES, "/incident/in-1", "/nothing")]
            form = await nobody.get("/sign-in?next=/queue%3Fshow%3Dclosed")
            wrong = await send(nobody, form, "/sign-in", name="ana", password="not that one", next="/queue")
            right = await send(
                nobody, form, "/sign-in", name="ana", password=PASSWORD, next="/queue?show=closed"
            )
            nobody.cookies.update(right.cookies)
            away = await nobody.get("/sign-in?next=//evil.example/")
            queue = await nobody.get("/queue")
            out = await send(nobody, queue, "/sign-out")
            after = await nobody.get("/queue")
            return sent, wrong, right, away, queue, out, after

    sent, wrong, right, away, queue, out, after = asyncio.run(run())
    assert {answer.status_code for answer in sent} == {303}
    assert all(answer.headers["location"].startswith("/sign-in?next=%2F") for answer in sent)
    assert wrong.status_code == 403
    assert "name or password is wrong" in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, "/queue?show=closed")
    assert away.headers["location"] == "/queue"
    assert queue.status_code == 200
    assert "ana" in queue.text
    assert out.status_code == 303
    assert after.headers["location"].startswith("/sign-in")


def test_the_queue_folds_repeats_and_what_is_chosen_is_closed_with_a_verdict(soc):
    first = incident(soc, alert(1), alert(2, rule="rule-2", at=60_000))
    second = incident(soc, alert(3, entities=(Entity(EntityKind.HOST, "web-9"),), at=120_000))
    same = {"title": "A port scan", "severity": Severity.LOW, "rule": "rule-3", "entities": (HOST,)}
    tell(soc, *(alert(10 + n, at=n * 1000, **same) for n in range(5)))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            before = await ana.get("/queue")
            nothing = await send(ana, before, "/queue", do="close", id=first, reason="drill")
            done = await send(
                ana,
                before,
                "/queue",
                do="close",
                id=[first, second, "in-nope"],
                verdict="test",
                reason="a drill",
            )
            return before, nothing, done, await ana.get("/queue"), await ana.get("/queue?show=closed")

    before, nothing, done, after, closed = asyncio.run(run())
    assert before.text.count("data-row=") == 3
    assert before.text.count("A port scan") >= 1
    assert first in before.text
    assert nothing.status_code == 303
    assert incidents.by_id(app.journal(soc), first).status is IncidentStatus.CLOSED
    assert incidents.by_id(app.journal(soc), second).verdict is Verdict.TEST
    assert incidents.by_id(app.journal(soc), second).transitions[-1].actor == "ana"
    assert done.status_code == 303
    assert "2 of 3 done" in after.text
    assert first not in after.text
    assert first in closed.text
    assert second in closed.text


def test_a_queue_is_filtered_sorted_and_its_view_is_saved(soc):
    incident(soc, alert(1))
    incident(soc, alert(3, entities=(Entity(EntityKind.HOST, "web-9"),)))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            one = await ana.get("/queue?q=web-9&sort=title")
            none = await ana.get("/queue?q=nowhere")
            await send(ana, one, "/queue/views", name="my web", query="q=web-9")
            return one, none, await ana.get("/queue")

    one, none, after = asyncio.run(run())
    assert one.text.count("data-row=") == 1
    assert 'aria-sort="ascending"' in one.text
    assert "Nothing matches" in none.text
    assert "hides 2 rows" in none.text
    assert "my web" in after.text
    assert "q=web-9" in after.text


def test_an_incident_is_worked_on(soc):
    name = incident(soc, alert(1), alert(2, rule="rule-2", title="Then a key was used", at=60_000))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            page = await ana.get(f"/incident/{name}")
            path = f"/incident/{name}"
            for fields in (
                {"do": "take"}, {"do": "note", "text": "It is the scanner of team red"},
                {"do": "task", "title": "Ask team red", "assignee": "lee", "due": "4h"},
                {"do": "severity", "severity": "critical", "reason": "production"},
                {"do": "link", "url": "https://tickets.example/1", "title": "T-1"},
            ):  # fmt: skip
                answer = await send(ana, page, path, **fields)
                assert answer.status_code == 303, answer.text
            worked = await ana.get(path)
            wrong = await send(ana, page, path, do="link", url="javascript:alert(1)")
            bad = await send(ana, page, path, do="explode")
            return page, worked, wrong, bad

    page, worked, wrong, bad = asyncio.run(run())
    assert "risk 120" in page.text
    assert "Then a key was used" in page.text
    for text in ("It is the scanner of team red", "Ask team red", "T-1", "owner ana", "in progress"):
        assert text in worked.text
    assert wrong.status_code == 400
    assert bad.status_code == 400


def test_what_is_logged_never_becomes_a_part_of_the_page(soc):
    evil = (
        Entity(EntityKind.HOST, EVIL),
        Entity(EntityKind.PROCESS, EVIL),
        Entity(EntityKind.USER, "eve" + EVIL),
    )
    event = {
        "class_uid": 1007, "time": START, "message": EVIL, "raw_data": EVIL, EVIL: EVIL,
        "metadata": {"log_name": EVIL},
    }  # fmt: skip
    facts = {
        "title": EVIL, "rule": EVIL, "entities": evil, "source": EVIL, "tags": (EVIL,), "event": event,
        "matched": (MatchedField(EVIL, EVIL, EVIL),), "fingerprint": EVIL,
    }  # fmt: skip
    name = incident(soc, alert(1, **facts), because=EVIL)
    tell(soc, alert(9, **{**facts, "entities": (Entity(EntityKind.HOST, EVIL + "2"),)}))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "admin", "responder", "privacy_officer")) as ana:
            page = await ana.get(f"/incident/{name}")
            await send(ana, page, f"/incident/{name}", do="note", text=EVIL)
            await send(ana, page, f"/incident/{name}", do="assign", to=EVIL)
            await send(ana, page, f"/incident/{name}", do="task", title=EVIL, assignee=EVIL)
            await send(ana, page, "/queue/views", name=EVIL, query=EVIL)
            paths = [
                "/queue", f"/incident/{name}", f"/incident/{name}/trace?whole=1", "/alert/al-0000000000000001", "/",
                "/entity?name=host:" + EVIL.replace("\u202e", ""), "/search?q=" + EVIL, "/queue?q=" + EVIL,
                "/queue?sort=" + EVIL, "/pipeline?q=" + EVIL, "/detections?technique=" + EVIL, "/event/" + EVIL,
                "/incident/" + EVIL.replace("/", ""), "/sign-in?next=" + EVIL, "/welcome/x" + EVIL.replace("/", ""),
            ]  # fmt: skip
            return {path: await ana.get(path.replace("#", "%23")) for path in paths}

    shown = asyncio.run(run())
    for path, answer in shown.items():
        assert "<img" not in answer.text, path
        assert "<script>" not in answer.text, path
        assert "\u202e" not in answer.text, path
    assert "&lt;img" in shown[f"/incident/{name}"].text
    assert "\\u202e" in shown[f"/incident/{name}"].text


def test_who_may_not_is_told_so_and_nothing_happens(soc):
    name = incident(soc, alert(1))

    async def run():
        made = built(soc)
        viewer, analyst = joined(made, "vic", "viewer"), joined(made, "ana", "analyst")
        async with browser(made, cookie=viewer) as vic, browser(made, cookie=analyst) as ana:
            page = await vic.get(f"/incident/{name}")
            tries = [
                await send(vic, page, f"/incident/{name}", do="take"),
                await send(vic, page, f"/incident/{name}", do="close", verdict="test", reason="x"),
                await send(vic, page, "/search/save", name="mine", q="*"),
                await send(vic, page, f"/incident/{name}/plan", playbook="brute_force"),
            ]
            bulk = await send(vic, page, "/queue", do="close", id=name, verdict="test", reason="x")
            forged = await ana.post(f"/incident/{name}", data={"do": "take", "csrf": token_of(page)})
            bare = await ana.post(f"/incident/{name}", data={"do": "take"})
            return page, tries, bulk, forged, bare

    page, tries, bulk, forged, bare = asyncio.run(run())
    assert page.status_code == 200
    assert "Decide" not in page.text
    assert [one.status_code for one in tries] == [403, 403, 403, 403]
    assert bulk.status_code == 303
    assert (forged.status_code, bare.status_code) == (403, 403)
    assert incidents.by_id(app.journal(soc), name).status is IncidentStatus.NEW


def test_people_are_hidden_until_somebody_says_what_for_and_that_is_written_down(soc):
    name = incident(soc, alert(1, title="maria.k opened a shell"))

    async def run():
        made = built(soc)
        analyst, officer = joined(made, "ana", "analyst"), joined(made, "pia", "privacy_officer", "analyst")
        async with browser(made, cookie=analyst) as ana, browser(made, cookie=officer) as pia:
            paths = ("/queue", f"/incident/{name}", "/alert/al-0000000000000001", "/entity?name=host:web-1")
            hidden = [await ana.get(path) for path in paths]
            queue = await pia.get("/queue")
            hidden.append(queue)
            short = await send(pia, queue, "/purpose", purpose="why", back="/queue")
            said = await send(
                pia, queue, "/purpose", purpose="an incident with stolen accounts", back="/queue"
            )
            return hidden, short, said, [await pia.get(path) for path in paths]

    hidden, short, said, seen = asyncio.run(run())
    for answer in hidden:
        assert "maria.k" not in answer.text
        assert "person~" in answer.text
    assert short.status_code == 400
    assert said.status_code == 303
    assert all("maria.k" in answer.text for answer in seen)
    told = [e for e in app.journal(soc).entries() if e.kind == "access.personal_read"]
    assert {one.actor for one in told} == {"pia"}
    assert len(told) == len(seen)
    assert told[0].reason == "an incident with stolen accounts"


def test_a_person_that_is_hidden_has_a_page_by_what_stands_for_them(soc):
    incident(soc, alert(1))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            queue = await ana.get("/queue")
            link = next(part for part in queue.text.split('"') if part.startswith("/entity?name=user"))
            return link, await ana.get(link)

    link, page = asyncio.run(run())
    assert "maria" not in link
    assert page.status_code == 200
    assert "maria" not in page.text
    assert "A shell was opened" in page.text


def test_what_there_is_not_is_told(soc):
    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "admin", "responder", "developer")) as ana:
            paths = (
                "/nothing", "/incident/in-0", "/incident/in-0/trace", "/alert/al-0", "/run/r", "/plan/abcdefghij",
                "/detection/no", "/playbook/no", "/source/no", "/lesson/no", "/pipeline/problem/no",
                "/pipeline/decision/99999999999999999999", "/pipeline/decision/-1", "/event/no",
            )  # fmt: skip
            return {path: await ana.get(path) for path in paths}

    for path, answer in asyncio.run(run()).items():
        assert answer.status_code == 404, path
        assert "There is no such thing" in answer.text


def test_an_alert_leads_to_its_events_at_their_time(soc):
    """To look for an event by its id alone reads the whole lake."""
    times = {"first": START - 5_000, "last": START + 60_000, "count": 2}
    tell(soc, alert(7, event_uids=("ev-7", "ev-8"), **times))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            return html.unescape((await ana.get(f"/alert/al-{7:016x}")).text)

    text = asyncio.run(run())
    assert f'"/event/ev-7?at={START}"' in text
    for uid in ("ev-7", "ev-8"):
        assert f'"/event/{uid}?at={START - 5_000}&to={START + 60_000}"' in text


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (NotFoundError("no lesson 'one'", fix="there are: other"), 404, "the page of lessons lists them"),
        (ContentError("no title", at=Location("lesson.yaml", 3)), 400, "lesson.yaml:3: no title"),
        (IntegrityError("a name that leads outside"), 500, "a name that leads outside"),
        (ServiceError("git is not installed"), 503, "git is not installed"),
    ],
)
def test_a_lesson_that_cannot_be_read_is_not_one_that_there_is_not(soc, monkeypatch, error, status, told):
    def show(*_):
        raise error

    monkeypatch.setattr(lessons, "show", show)

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "responder")) as ana:
            page = await ana.get("/lesson/one")
            return page, await ana.get("/api/v1/lessons/one")

    page, answer = asyncio.run(run())
    assert page.status_code == status
    assert told in page.text
    assert answer.status_code == (422 if status == 400 else status)
    assert "other" not in answer.text


def test_static_files_may_be_kept_for_ever_and_nothing_else_is_served(soc):
    async def run():
        async with browser(built(soc)) as nobody:
            known = await nobody.get(site.asset("console.css"))
            bare = await nobody.get("/static/console.css")
            same = await nobody.get("/static/console.css", headers={"if-none-match": bare.headers["etag"]})
            others = [
                await nobody.get(path)
                for path in (
                    "/static/..%2fsite.py",
                    "/static/../site.py",
                    "/static/%2e%2e%2fsite.py",
                    "/static/",
                )
            ]
            return known, bare, same, others

    known, bare, same, others = asyncio.run(run())
    assert "immutable" in known.headers["cache-control"]
    assert bare.headers["cache-control"] == "no-cache"
    assert known.text == bare.text
    assert same.status_code == 304
    assert all("lemnis" not in answer.text or answer.status_code != 200 for answer in others)


def test_times_are_written_in_utc_with_what_the_browser_needs(soc):
    name = incident(soc, alert(1))

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            return await ana.get(f"/incident/{name}")

    assert f'<time datetime="{to_iso(START)}"' in asyncio.run(run()).text


def test_a_detection_is_written_tried_on_the_lake_and_kept(soc, monkeypatch, tmp_path, capsys):
    from lemnis.interfaces.cli import run as lemnis  # noqa: PLC0415 - it makes the console of the terminal

    log = tmp_path / "logins.ndjson"
    log.write_text("".join(f'{{"time": "2026-09-21T14:0{n}:00Z", "what": "login {n}"}}\n' for n in range(5)))
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(soc.root))
    monkeypatch.setattr(app, "default_clock", lambda: soc.clock)
    assert lemnis(["sources", "new", "logins", "--from", str(log)]) == 0
    assert lemnis(["ingest", "logins", str(log)]) == 0
    capsys.readouterr()

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "dee", "detection_engineer")) as dee:
            page = await dee.get("/detections/new?q=login")
            text = page.text.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
            asked = "detection:\n  one:\n    what|endswith: '3'\n  condition: one\n"
            rule = re.sub(r"(?s)detection:\n.*?(?=level:)", asked, html.unescape(text))
            broken = await send(dee, page, "/detections/edit", do="try", text="title: [", days="7")
            tried = await send(dee, page, "/detections/edit", do="try", text=rule, days="7")
            refused = await send(dee, page, "/detections/edit", do="save", text="title: x", name="mine")
            strange = await send(dee, page, "/detections/edit", do="save", text=rule, name="../mine")
            kept = await send(dee, page, "/detections/edit", do="save", text=rule, name="login_three")
            return rule, broken, tried, refused, strange, kept, await dee.get("/detection/login_three")

    rule, broken, tried, refused, strange, kept, shown = asyncio.run(run())
    assert "Drawn from the search: login" in rule
    assert "cannot be used" in broken.text
    assert "1 alert in 5 events" in tried.text, tried.text
    assert (refused.status_code, strange.status_code) == (409, 400)
    assert kept.status_code == 303
    assert (soc.content / "detections" / "login_three" / "rule.yml").read_text() == rule
    assert shown.status_code == 200
    assert "your own" in shown.text

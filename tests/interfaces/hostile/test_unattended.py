"""What nobody does: pages left open, streams given up, bodies broken off, tries that name nobody."""

import asyncio
import re
import shutil
from types import SimpleNamespace

import marked
import pytest
from besieged import API, BASE, HOST, PASSWORD

from lemnis.app import incidents
from lemnis.app.access import accounts, signing
from lemnis.app.access.attempts import names
from lemnis.app.access.personal import Personal
from lemnis.app.access.service import _signature
from lemnis.app.incidents_evidence import collect
from lemnis.content.library import builtin_root
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.interfaces.api import stream
from lemnis.interfaces.web.keeping import Kept, Later
from lemnis.interfaces.web.playbooks import beside

MINUTE = 60_000
UNASKED = {"x-lemnis-unasked": "1"}


def test_a_page_that_is_left_open_does_not_keep_its_session(plain):
    """It listens to the stream and looks again at what changed: nobody asked for that."""
    ana = plain.join("ana", "analyst")
    asks = SimpleNamespace(state=SimpleNamespace(cookie=ana.cookie), headers={})
    person = plain.access.by_cookie(ana.cookie)
    for _ in range(7):
        plain.workspace.clock.advance(10 * MINUTE)
        ana.get("/queue", headers=UNASKED)
        ana.ask("HEAD", f"{API}/stream")
        stream._still(asks, SimpleNamespace(access=plain.access), person)
    assert ana.get(f"{API}/me").status_code == 401


def test_a_session_that_is_used_goes_on(plain):
    ana = plain.join("ana", "analyst")
    for _ in range(7):
        plain.workspace.clock.advance(10 * MINUTE)
        assert ana.get("/queue").status_code == 200
    assert ana.get(f"{API}/me", headers=UNASKED).status_code == 200


def test_scripts_say_what_nobody_asked_for(plain):
    ana = plain.join("ana", "analyst")
    for name in ("live.js", "replay.js"):
        assert "x-lemnis-unasked" in ana.get(f"/static/{name}").text, name


def test_streams_that_are_given_up_before_they_begin_take_no_place(plain):
    plain.join("ana", "analyst")
    hub, person = plain.built.hub, plain.access.by_cookie(plain.cookies["ana"])
    request = SimpleNamespace(
        state=SimpleNamespace(person=person), app=SimpleNamespace(state=SimpleNamespace(hub=hub))
    )

    async def given_up():
        for _ in range(stream._EACH + 1):
            await (await stream.stream(request)).body_iterator.aclose()

    plain.run(given_up())
    assert hub.listening.total() == 0


def test_what_many_listen_to_at_once_is_read_by_one_task(plain, monkeypatch):
    """After a start all pages come back at the same moment; each entry would be told once a task."""
    hub, reading = stream.Hub(plain.access.journal), []

    async def read(_):
        reading.append(1)
        await asyncio.sleep(60)

    async def heard():
        hub.listening["ana"] = 5
        seqs = await asyncio.gather(*(hub.begin() for _ in range(5)))
        await asyncio.sleep(0)
        hub._task.cancel()
        return seqs

    monkeypatch.setattr(stream.Hub, "_read", read)
    assert len(set(plain.run(heard()))) == 1
    assert len(reading) == 1


def test_half_of_a_form_does_nothing(plain):
    """Who sends it went before it was whole: what there is of it would be read as all of it."""
    name = marked.incident(
        plain.workspace,
        marked.alert(1, entities=(Entity(EntityKind.HOST, "web-1"),), event={"class_uid": 1007}),
    )
    ana = plain.join("ana", "analyst")
    told, sent = [{"type": "http.request", "body": f"csrf={ana.csrf}&do=note&text=do+not".encode(), "more_body": True},
                  {"type": "http.disconnect"}], []  # fmt: skip

    async def receive():
        return told.pop(0)

    async def send(message):
        sent.append(message)

    headers = {"host": HOST, "origin": BASE, "cookie": f"lemnis={ana.cookie}", "content-length": "90",
               "content-type": "application/x-www-form-urlencoded"}  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": f"/incident/{name}", "raw_path": b"", "query_string": b"",
        "scheme": "http", "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8687), "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    plain.run(plain.built.application(scope, receive, send))
    assert sent[0]["status"] == 400
    assert list(plain.access.journal.entries(kind="incident.note")) == []


def test_tries_that_name_nobody_shut_out_nobody_else(plain):
    """Passkeys and invitations name no account: who fails with some all day long waits alone."""
    plain.join("ana", "analyst")
    for n in range(120):
        signing.fail(plain.access, "", f"10.0.{n}.7")
    signing.patience(plain.access, "", "192.0.2.9")
    assert names("", "192.0.2.9") == ("pair  192.0.2.9", "from 192.0.2.9")
    assert len(names("ana", "192.0.2.9")) == 3


def test_a_token_decides_nothing_about_who_may_more(plain):
    plain.join("root2", "admin")
    plain.join("boss", *sorted(plain.access.rights.roles))
    boss = accounts.find(plain.access, "boss")
    machine = plain.machine("root2", "access.change", "access.read")
    place = f"/accounts/{boss.id}"
    for method, path, body in (
        ("POST", f"{place}/change", {"teams": ["shop"]}), ("POST", f"{place}/change", {"disabled": True}),
        ("POST", f"{place}/change", {"roles": []}), ("DELETE", f"{place}/sessions", None),
    ):  # fmt: skip
        answer = machine.call(method, path, body)
        assert answer.status_code == 403, (path, body, answer.text)
    assert plain.browser("root2").call("POST", f"{place}/change", {"teams": ["shop"]}).status_code == 200


def test_files_of_editors_that_come_and_go_stop_no_request(tmp_path):
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "mine.yaml").write_text("title: t\n")
    (tmp_path / "roles" / ".#mine.yaml").symlink_to("nobody@nowhere.1")
    assert [name.rpartition("/")[2] for name, _, _ in _signature(tmp_path)] == ["mine.yaml"]


def test_what_is_forgotten_while_it_is_worked_out_is_worked_out_anew():
    made = []

    def make():
        made.append(len(made))
        if len(made) == 1:
            kept.forget()  # as somebody does who changes what it is made of
        return made[-1]

    kept = Kept(make, 60)
    assert (kept.get(), kept.get(), kept.get()) == (0, 1, 1)


def test_so_is_what_is_worked_out_beside_pages():
    made, now = [], [0.0]

    def make():
        made.append(len(made))
        if len(made) == 1:
            later.forget()
        return made[-1]

    later = Later(make, 60, clock=lambda: now[0])
    for _ in range(500):
        if later.get() == 1:
            break
        asyncio.run(asyncio.sleep(0.01))
    assert later.get() == 1


def test_what_a_page_began_and_nobody_foresaw_is_told():
    said = []

    def work():
        raise ZeroDivisionError("secret of the program")

    assert beside(work, said.append)
    assert said
    assert "secret" not in said[-1]


def test_names_of_evidence_are_for_who_reads_evidence(plain, tmp_path):
    name = marked.incident(
        plain.workspace,
        marked.alert(1, entities=(Entity(EntityKind.HOST, "web-1"),), event={"class_uid": 1007}),
    )
    file = tmp_path / "letter-of-resignation.txt"
    file.write_text("x")
    name = incidents.get(plain.workspace, name).merged_into or name
    collect(plain.workspace, name, file, actor="boss")
    plain.join("vera", "viewer")
    plain.join("ana", "analyst")
    for path in (f"/incident/{name}", f"/incident/{name}?kind=evidence", f"{API}/incidents/{name}/timeline",
                 f"{API}/incidents/{name}/timeline?kind=evidence"):  # fmt: skip
        assert "letter-of" not in plain.browser("vera").get(path).text, path
        assert "letter-of" in plain.browser("ana").get(path).text, path


@pytest.mark.parametrize("word", ["in-stock", "al-dente", "in-addr.arpa"])
def test_a_word_that_begins_as_ids_do_is_searched_for(plain, word):
    ana = plain.join("ana", "analyst")
    assert ana.get("/search", params={"q": word}).status_code == 200
    sent = ana.get("/search", params={"q": f"in-{'0' * 16}"})
    assert sent.headers["location"] == f"/incident/in-{'0' * 16}"


def test_who_is_disabled_while_they_change_their_password_stays_so(plain, monkeypatch):
    """A hash takes a while: what an admin decides meanwhile is not taken back by it."""
    plain.join("root2", "admin")
    ana = plain.join("ana", "analyst")
    slow = plain.access.passwords.hash

    def hashed(password):
        accounts.change(plain.access, "ana", actor="root2", disabled=True, roles=["viewer"])
        return slow(password)

    monkeypatch.setattr(plain.access.passwords, "hash", hashed)
    person = plain.access.by_cookie(ana.cookie)
    signing.change_password(
        plain.access, person, PASSWORD, "quite another lemniscate", cookie=ana.cookie, address=""
    )
    known = accounts.find(plain.access, "ana")
    assert (known.disabled, known.roles) == (True, ("viewer",))


def test_what_a_new_source_calls_personal_is_masked_without_a_new_start(plain):
    personal = Personal(plain.access)
    before = personal.masker
    assert personal.masker is before
    mine = plain.workspace.content / "sources/mine"
    shutil.copytree(builtin_root() / "sources/okta", mine)
    manifest = mine / "source.yaml"
    manifest.write_text(re.sub(r"(?m)^(id|name): okta$", r"\1: mine", manifest.read_text()))
    plain.workspace.clock.advance(11_000)
    event = {"metadata": {"log_name": "mine"}, "actor": {"user": {"name": "noor@shop.example"}}}
    assert personal.masker.labels["mine"].paths == before.labels["okta"].paths
    (mine / "mapping.yaml").write_text("events: [")
    plain.workspace.clock.advance(11_000)
    assert "noor@shop.example" in personal.masker.values(event), "it stays so while somebody writes"

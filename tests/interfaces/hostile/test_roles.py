"""Escalation between roles: every route with every role, every form of every page sent by who may not."""

import re
from urllib.parse import urlsplit

import besieged
import marked
import pytest
from besieged import API, BASE, Page, crawl

from lemnis import app
from lemnis.app.access import accounts
from lemnis.content.library import Library
from lemnis.content.schemas.role import PERMISSIONS
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.detect.rules import load_rules
from lemnis.incidents import entries
from lemnis.interfaces.api import stream

OPEN = {
    f"{API}/session", f"{API}/welcome", f"{API}/session/passkey/begin", f"{API}/session/passkey", f"{API}/openid",
    f"{API}/openid/{{name}}", f"{API}/openid/{{name}}/callback", "/sign-in", "/sign-out", "/welcome/{key}",
}  # fmt: skip
"""Nobody has to be signed in for these."""
OWN = ("/me", f"{API}/me", f"{API}/session", f"{API}/stream")
"""What is about oneself, and the stream, which tells each what they may know."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):

    soc = app.init(tmp_path_factory.mktemp("roles") / "soc", clock=ManualClock(marked.START))
    marked.incident(soc, marked.alert(1, title="A shell", severity=Severity.HIGH))
    made = besieged.attacked(soc)
    for role in sorted(made.access.rights.roles):
        made.join(role, role)
    made.join("everybody", *sorted(made.access.rights.roles))
    yield made
    made.end()


def test_every_route_takes_a_permission(made):
    """A new route has one, or is named here with why it takes none."""
    bare = [
        str(one) for one in made.routes
        if not one.permission and one.path not in OPEN and not one.path.startswith(OWN)
    ]  # fmt: skip
    assert bare == []
    assert {one.permission for one in made.routes} - {""} <= set(PERMISSIONS)


def test_no_role_gets_what_it_is_not_given(made):
    """A page, a part of one, a download, a route of the API: 403 before anything is looked for."""
    asked = 0
    for role in sorted(made.access.rights.roles):
        has, browser, machine = made.access.rights.of([role]), made.browser(role), made.machine(role)
        for one in made.routes:
            if not one.permission or one.permission in has:
                continue
            headers = {"origin": BASE, "x-csrf-token": browser.csrf}
            for answer in (
                browser.ask(one.method, one.at(), headers=headers),
                machine.ask(one.method, one.at()),
            ):
                assert answer.status_code == 403, (role, str(one), answer.status_code)
                asked += 1
    assert asked > 300


def test_what_is_given_is_had(made):
    """Each route by one role that may: else the test above would be as true of a console that shows nothing."""
    roles = made.access.rights.roles
    for one in made.routes:
        role = next((name for name, has in sorted(roles.items()) if one.permission in has), "")
        if role and one.method == "GET" and "lint" not in one.path and "{" not in one.path:
            assert made.browser(role).get(one.path).status_code in {200, 204, 303, 400, 422}, (role, str(one))


def test_forms_of_pages_do_nothing_for_who_may_only_look(made):
    """Each form that somebody with every role is shown, sent by each role that may change nothing of it."""
    everybody = made.browser("everybody")
    shown = crawl(everybody, each=1)
    shown["/incident/in-0000000000000001"] = everybody.get("/incident/in-0000000000000001")
    forms = {
        (urlsplit(form.action).path, form.buttons, form.fields): form
        for path, answer in shown.items() if answer.headers.get("content-type", "").startswith("text/html")
        for form in Page(answer).forms if form.method == "POST"
    }  # fmt: skip
    assert len(forms) > 12
    journal, own = (
        app.journal(made.workspace),
        ("/me", "/sign-out", "/queue/views", "/purpose", "/search/stop"),
    )
    for role in ("viewer", "privacy_officer"):
        browser, head = made.browser(role), journal.head()
        for (path, buttons, _), form in forms.items():
            if path in own:
                continue
            for button in buttons or (("", ""),):
                fields = dict(form.fields) | ({button[0]: button[1]} if button[0] else {}) | _PLAUSIBLE
                answer = browser.send(path, **{**fields, "csrf": browser.csrf})
                done = answer.status_code == 303 and "done" in answer.headers.get("set-cookie", "")
                assert answer.status_code in {303, 400, 403, 404, 409}, (
                    role,
                    path,
                    button,
                    answer.status_code,
                )
                assert not done or path == "/queue", (role, path, button)
        assert journal.head() == head, [one.kind for one in journal.entries(after=head[0])]


_PLAUSIBLE = {"id": "in-0000000000000001", "verdict": "benign", "reason": "because", "severity": "low",
              "status": "in_progress", "state": "done"}  # fmt: skip


def test_who_changes_accounts_is_told_of_no_secret(made):
    admin = made.browser("admin")
    text = admin.get("/people").text + admin.get(f"{API}/accounts").text
    assert "$argon2" not in text
    assert not re.search(r"lmn_[A-Za-z0-9_-]{20,}", text)


def test_the_stream_tells_nobody_what_their_role_may_not_know(made):

    soc = made.workspace
    app.journal(soc).append(entries.alert_entry(marked.alert(77, title="told live")))
    entry = (
        list(app.journal(soc).entries(kind="alert"))[-1]
        if list(app.journal(soc).entries(kind="alert"))
        else None
    )
    entry = entry or list(app.journal(soc).entries())[-1]
    for role in sorted(made.access.rights.roles):
        person = made.access.person(accounts.find(made.access, role))
        told = stream._event(entry, person)
        assert bool(told) == ("alert.read" in person.permissions), role


def test_who_sees_no_alerts_is_led_to_none_elsewhere(plain):
    """A developer sees entities, and detections: not which alerts there were, of what."""
    soc = plain.workspace
    for role in ("viewer", "developer"):
        plain.join(role, role)
    library = Library.open(soc.content)
    item = next(iter(library.items("detections").values()))
    fires = load_rules([item.manifest])
    rule = (*fires.rules, *fires.correlations)[0]
    host = Entity(EntityKind.HOST, "host-of-the-alert")
    marked.lone(soc, marked.alert(9, rule=rule.id or rule.title, entities=(host,), event={"class_uid": 1007}))
    for path in (f"/detection/{item.name}", "/entity?name=host:host-of-the-alert"):
        shown = {who: plain.browser(who).get(path).text for who in ("viewer", "developer")}
        assert "/alert/al-0000000000000009" in shown["viewer"], path
        assert "/alert/" not in shown["developer"], path
    assert "host-of-the-alert" not in plain.browser("developer").get(f"/detection/{item.name}").text

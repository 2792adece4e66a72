"""Forged requests: no other site makes somebody's browser change anything, by no method, type or header."""

import pytest
from besieged import API, BASE, Page

from lemnis import app
from lemnis.app.access.secret import csrf as csrf_of

OWN = {"origin": BASE}
_OPEN = {"/sign-in", "/welcome/{key}", f"{API}/session", f"{API}/welcome", f"{API}/session/passkey/begin",
         f"{API}/session/passkey"}  # fmt: skip
"""What changes something without anybody signed in: a form of a page given to that browser is needed all the same."""


@pytest.fixture(scope="module")
def made(shared):
    shared.join("ana", *sorted(shared.access.rights.roles))
    shared.join("eve", *sorted(shared.access.rights.roles))
    return shared


def changing(made):
    return [one for one in made.routes if one.method != "GET"]


def refused(answer):
    return answer.status_code == 403 and "does not come from a page" in answer.text


FORGED = {
    "no token": ({}, {}),
    "an empty one": ({"x-csrf-token": ""}, OWN),
    "one of somebody else": ({"x-csrf-token": csrf_of("another cookie")}, OWN),
    "the right one, from elsewhere": ({"x-csrf-token": "RIGHT"}, {"origin": "https://evil.example"}),
    "the right one, from nowhere": ({"x-csrf-token": "RIGHT"}, {"origin": "null"}),
    "the right one, from another port": ({"x-csrf-token": "RIGHT"}, {"origin": "http://127.0.0.1:9999"}),
    "the right one, over TLS": ({"x-csrf-token": "RIGHT"}, {"origin": "https://127.0.0.1:8687"}),
    "the right one, from a name that begins so": (
        {"x-csrf-token": "RIGHT"},
        {"origin": f"{BASE}.evil.example"},
    ),
    "the right one, across sites": ({"x-csrf-token": "RIGHT"}, {"sec-fetch-site": "cross-site"}),
    "the right one, from a neighbour": ({"x-csrf-token": "RIGHT"}, {"sec-fetch-site": "same-site"}),
}


@pytest.mark.parametrize("how", FORGED)
def test_no_route_changes_anything_for_another_site(made, how):
    ana = made.browser("ana")
    token, headers = FORGED[how]
    token = {name: ana.csrf if value == "RIGHT" else value for name, value in token.items()}
    head = app.journal(made.workspace).head()
    for door in changing(made):
        for kind in (
            "application/x-www-form-urlencoded",
            "text/plain",
            "application/json",
            "multipart/form-data; boundary=x",
        ):
            answer = ana.ask(
                door.method, door.at(), content=b"{}", headers={"content-type": kind, **token, **headers}
            )
            assert refused(answer), (str(door), kind, answer.status_code)
    assert app.journal(made.workspace).head() == head
    assert ana.get(f"{API}/me").status_code == 200, "a sign-out, too, is a change"


def test_the_token_counts_where_a_browser_cannot_be_made_to_send_it(made):
    """In a header, or in a form: not in the address, in a cookie, or in what is JSON or plain text."""
    ana = made.browser("ana")
    for how in (
        {"params": {"csrf": ana.csrf}},
        {"content": f"csrf={ana.csrf}", "headers": {**OWN, "content-type": "text/plain"}},
        {"content": f"csrf={ana.csrf}", "headers": OWN},
        {"json": {"csrf": ana.csrf}},
        {"content": f"csrf=x&csrf={ana.csrf}",
         "headers": {**OWN, "content-type": "application/x-www-form-urlencoded"}},
        {"headers": {**OWN, "cookie": f"lemnis={ana.cookie}; csrf={ana.csrf}; x-csrf-token={ana.csrf}"}},
    ):  # fmt: skip
        assert refused(ana.ask("POST", "/queue/views", **{"headers": OWN, **how})), how
    assert ana.send("/queue/views", name="mine", query="show=closed").status_code == 303


def test_reading_changes_nothing_however_it_is_asked(made):
    ana = made.browser("ana")
    head = app.journal(made.workspace).head()
    for door in made.routes:
        if door.method == "GET" or door.path == "/detections/lint":
            continue
        for method in ("GET", "HEAD", "OPTIONS"):
            answer = ana.ask(
                method, door.at(), params={"_method": door.method, "do": "close", "csrf": ana.csrf},
                headers={"x-http-method-override": door.method, "x-method-override": door.method},
            )  # fmt: skip
            assert answer.status_code < 500, (method, str(door))
    for method in ("TRACE", "PROPFIND", "CONNECT", "QUEUE"):
        assert ana.ask(method, "/queue").status_code in {403, 404, 405}, method
    assert app.journal(made.workspace).head() == head


def test_no_form_of_a_page_asks_by_get_for_a_change(made):
    ana = made.browser("ana")
    for path in (
        "/",
        "/queue",
        "/search",
        "/people",
        "/me",
        "/playbooks",
        "/detections/new",
        "/pipeline",
        "/posture",
    ):
        for form in Page(ana.get(path)).forms:
            fields = {name for name, _ in form.fields}
            if form.method == "POST":
                assert "csrf" in fields, (path, form.action)
            else:
                assert "csrf" not in fields, "it would be in the address, and so in logs"


def test_nobody_is_signed_in_as_somebody_else_by_another_site(made):
    """Login CSRF: what is done then would be done in the attacker's account."""
    victim = made.browser()
    word = {"name": "eve", "password": "a lemniscate turns twice"}
    for headers in (OWN, {"origin": "https://evil.example"}, {}):
        answer = victim.ask("POST", "/sign-in", data=word, headers=headers)
        assert refused(answer), "nobody was here yet, so there is no form of ours"
    attacker = made.browser()
    page = attacker.get("/sign-in")
    assert page.status_code == 200
    victim.get("/sign-in")
    assert refused(victim.ask("POST", "/sign-in", data={**word, "csrf": attacker.csrf}, headers=OWN))
    assert victim.send("/sign-in", **word).status_code == 303


def test_what_the_guard_lets_through_without_anybody_is_known(made):
    """Of what changes something, only these can be asked by somebody who is not signed in."""
    nobody = made.browser()
    nobody.get("/sign-in")
    for door in changing(made):
        answer = nobody.ask(door.method, door.at(), headers={**OWN, "x-csrf-token": nobody.csrf})
        if door.path in _OPEN:
            continue
        sent_on = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
        assert sent_on or answer.status_code in {401, 403}, (str(door), answer.status_code)


def test_cross_origin_reading_is_not_allowed(made):
    ana = made.browser("ana")
    for path in ("/queue", f"{API}/me", f"{API}/incidents"):
        for method in ("GET", "OPTIONS"):
            answer = ana.ask(method, path, headers={"origin": "https://evil.example",
                                                    "access-control-request-method": "POST"})  # fmt: skip
            assert not [name for name in answer.headers if name.startswith("access-control")], path
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"

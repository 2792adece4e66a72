"""Sessions, tokens and invitations: none is fixed, outlives its end, gives more than it should, or is told again."""

import re

import marked
import pytest
from besieged import API, BASE, HTML, PASSWORD, Browser, attacked

from lemnis import app
from lemnis.app.access import accounts
from lemnis.app.access.secret import csrf
from lemnis.content.schemas.console import Console

OTHER = "quite another lemniscate"


def signed_in(made, browser, name="ana", password=PASSWORD):
    browser.get("/sign-in")
    answer = browser.send("/sign-in", name=name, password=password)
    assert answer.status_code == 303, answer.text
    return answer


def alive(made, cookie):
    return made.browser(cookie=cookie).get(f"{API}/me").status_code == 200


def test_a_cookie_that_was_planted_is_not_the_one_that_is_signed_in_by(plain):
    plain.join("ana", "analyst")
    planted = plain.browser(cookie="planted-by-somebody")
    planted.client.cookies.set("lemnis-visit", "planted-too")
    planted.get("/sign-in")
    answer = planted.send("/sign-in", name="ana", password=PASSWORD)
    assert answer.status_code == 303
    assert "planted" not in answer.headers["set-cookie"]
    assert not alive(plain, "planted-by-somebody")


def test_signing_in_anew_ends_the_session_that_was_there(plain):
    """Else the cookie of before, which somebody may have planted or kept, goes on beside the new one."""
    plain.join("eve", "analyst")
    plain.join("ana", "analyst")
    before = plain.cookies["eve"]
    shared = plain.browser("eve")
    answer = shared.send("/sign-in", name="ana", password=PASSWORD)
    assert answer.status_code == 303
    assert not alive(plain, before)
    answer = plain.browser("ana").call("POST", "/session", {"name": "ana", "password": PASSWORD})
    assert answer.status_code == 200
    assert not alive(plain, plain.cookies["ana"])


def test_cookies_are_out_of_reach_of_scripts_other_sites_and_plain_connections(tmp_path):

    made = attacked(app.init(tmp_path / "soc"), how=Console(proxies=("127.0.0.1",)))
    made.join("ana", "analyst")
    for secure in (False, True):
        headers = {"x-forwarded-proto": "https"} if secure else {}
        base = BASE.replace("http:", "https:") if secure else BASE
        browser = Browser(made, headers=HTML | headers, base=base)
        sent = browser.get("/sign-in").headers.get_list("set-cookie")
        name = "__Host-lemnis-visit" if secure else "lemnis-visit"
        csrf = made_of(browser.client.cookies.get(name))
        form = {"name": "ana", "password": PASSWORD, "csrf": csrf, "next": "/queue"}
        answer = browser.ask("POST", "/sign-in", data=form, headers={"origin": base})
        assert answer.status_code == 303, answer.text
        sent += answer.headers.get_list("set-cookie")
        named = browser.client.cookies.get("__Host-lemnis" if secure else "lemnis")
        form = {"name": "mine", "query": "x=1", "csrf": made_of(named)}
        answer = browser.ask("POST", "/queue/views", data=form, headers={"origin": base})
        sent += answer.headers.get_list("set-cookie")
        assert len(sent) >= 4
        for one in sent:
            parts = {part.strip().lower() for part in one.split(";")[1:]}
            assert {"httponly", "samesite=lax"} <= parts, one
            assert ("secure" in parts) == secure, one
            assert not [part for part in parts if part.startswith("domain")], one
    made.end()


def made_of(cookie):

    return csrf(cookie)


END = {
    "signed out": lambda made: made.browser("ana").send("/sign-out"),
    "disabled": lambda made: accounts.change(made.access, "ana", actor="root", disabled=True),
    "reset": lambda made: accounts.reset(made.access, "ana", actor="root"),
    "left alone": lambda made: made.workspace.clock.advance(61 * 60_000),
    "too long ago": lambda made: made.workspace.clock.advance(13 * 3_600_000),
}


@pytest.mark.parametrize("how", END)
def test_a_session_that_is_over_is_worth_nothing_anywhere(plain, how):
    plain.join("root2", "admin")
    ana = plain.join("ana", *sorted(plain.access.rights.roles))
    cookie = ana.cookie
    assert alive(plain, cookie)
    END[how](plain)
    dead = plain.browser(cookie=cookie)
    for door in plain.routes:
        if door.path in {f"{API}/openid", "/sign-in", "/welcome/{key}"} or "openid" in door.path:
            continue
        answer = dead.ask(door.method, door.at(), headers={"origin": BASE, "x-csrf-token": dead.csrf})
        opened = {
            f"{API}/session",
            f"{API}/welcome",
            f"{API}/session/passkey",
            f"{API}/session/passkey/begin",
        }
        if door.method == "POST" and door.path in opened:
            continue
        sent_on = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
        assert sent_on or answer.status_code in {401, 403}, (str(door), answer.status_code)


def test_tokens_end_with_the_account_and_give_no_more_than_their_scopes(plain):
    plain.join("root2", "admin")
    plain.join("ana", *sorted(plain.access.rights.roles))
    machine = plain.machine("ana", "rule.read")
    for door in plain.routes:
        if door.permission and door.permission != "rule.read":
            answer = machine.ask(door.method, door.at())
            assert answer.status_code == 403, (str(door), answer.status_code)
    assert machine.get(f"{API}/rules").status_code == 200
    for path in ("/me", "/people"):
        assert machine.get(path).status_code == 403, "a token reads no page of accounts"
    accounts.change(plain.access, "ana", actor="root", disabled=True)
    accounts.change(plain.access, "ana", actor="root", disabled=False)
    assert machine.get(f"{API}/rules").status_code == 401


def test_a_role_that_is_taken_away_is_gone_at_once(plain):
    plain.join("root2", "admin")
    ana = plain.join("ana", "analyst", "admin")
    machine = plain.machine("ana", "access.read", "incident.read")
    assert ana.get("/people").status_code == 200
    accounts.change(plain.access, "ana", actor="root", roles=["viewer"])
    assert ana.get("/people").status_code == 403
    assert machine.get(f"{API}/accounts").status_code == 403
    assert machine.get(f"{API}/incidents").status_code == 200


def test_an_invitation_counts_once_and_not_beside_a_newer_one(plain):
    plain.join("root2", "admin")
    _, first = accounts.add(plain.access, "ana", ["admin"], actor="root")
    second = accounts.reset(plain.access, "ana", actor="root")
    who = plain.browser()
    assert who.get(f"/welcome/{first.secret}").status_code == 404, "the older link is over"
    who.get("/sign-in")
    form = {"password": PASSWORD, "again": PASSWORD}
    assert who.send(f"/welcome/{first.secret}", **form).status_code in {400, 403, 404}
    assert who.send(f"/welcome/{second.secret}", **form).status_code == 303
    assert plain.browser().get(f"/welcome/{second.secret}").status_code == 404


def test_a_token_takes_over_nobody_who_may_more(plain):
    """Who has a token with access.change alone is not to become an admin, a privacy officer or a responder by it."""
    plain.join("root2", "admin")
    plain.join("ana", "admin")
    plain.join("pia", "privacy_officer", "responder")
    machine = plain.machine("ana", "access.read", "access.change")
    pia = accounts.find(plain.access, "pia")
    taken = machine.call("POST", f"/accounts/{pia.id}/reset")
    assert taken.status_code == 403, taken.text
    assert alive(plain, plain.cookies["pia"]), "nothing of hers ended"
    raised = machine.call("POST", "/accounts", {"name": "mal", "roles": ["admin"], "teams": []})
    assert raised.status_code == 403, raised.text
    again = machine.call("POST", f"/accounts/{pia.id}/change", {"roles": ["admin"]})
    assert again.status_code == 403, again.text


def test_a_purpose_is_of_one_session_and_of_no_token(plain):
    """Tokens have no session: what one says that it needs names for must not open them to all others."""
    plain.join("root2", "admin")
    plain.join("ana", "privacy_officer")
    plain.join("bob", "privacy_officer")
    one, other = plain.machine("ana"), plain.machine("bob")
    one.client.headers["accept"] = other.client.headers["accept"] = "text/html"
    one.get("/queue")
    one.send("/purpose", purpose="a purpose of somebody else")
    assert "personal data shown" not in other.get("/queue").text
    ana, bob = plain.browser("ana"), plain.browser("bob")
    assert ana.send("/purpose", purpose="what I need it for").status_code == 303
    assert "personal data shown" in ana.get("/queue").text
    assert "personal data shown" not in bob.get("/queue").text
    accounts.change(plain.access, "ana", actor="root", roles=["viewer"])
    assert ana.get("/queue").status_code == 200, "and it does not shut out who may no more"
    assert "personal data shown" not in ana.get("/queue").text


# -- what is done once -------------------------------------------------------------------------------------


def test_the_key_of_somebody_else_gives_nothing(plain):
    name = _incident(plain)
    ana, bob = plain.join("ana", "analyst"), plain.join("bob", "viewer")
    body, key = {"text": "mine alone"}, {"idempotency-key": "the-same"}
    assert ana.call("POST", f"/incidents/{name}/notes", body, **key).status_code == 201
    answer = bob.call("POST", f"/incidents/{name}/notes", body, **key)
    assert answer.status_code == 403
    assert "mine alone" not in answer.text


def test_what_was_answered_to_a_session_is_not_told_to_a_token_or_after_a_role_is_gone(plain):
    plain.join("root2", "admin")
    name = _incident(plain)
    ana = plain.join("ana", "analyst")
    body, key = {"text": "what only an analyst may write"}, {"idempotency-key": "again"}
    assert ana.call("POST", f"/incidents/{name}/notes", body, **key).status_code == 201
    narrow = plain.machine("ana", "rule.read")
    assert narrow.call("POST", f"/incidents/{name}/notes", body, **key).status_code in {403, 422}
    accounts.change(plain.access, "ana", actor="root", roles=["developer"], teams=[])
    assert ana.call("POST", f"/incidents/{name}/notes", body, **key).status_code in {403, 422}


def test_secrets_that_are_told_once_are_kept_by_no_key(plain):
    ana = plain.join("ana", "admin", "analyst")
    told = []
    for path, body in (
        ("/me/tokens", {"name": "x", "scopes": ["incident.read"], "days": 1}),
        ("/me/second", {"password": PASSWORD}),
        ("/accounts", {"name": "new", "roles": ["viewer"], "teams": []}),
    ):
        refused = ana.call("POST", path, body, **{"idempotency-key": f"a-secret-{len(told)}"})
        assert refused.status_code == 422, refused.text
        assert "kept nowhere" in refused.text
        made = ana.call("POST", path, body)
        assert made.status_code == 201, made.text
        told.append(made.json()["key"])
    held = b"".join(one.read_bytes() for one in plain.workspace.state.rglob("*") if one.is_file())
    assert held
    assert not [one for one in told if one.encode() in held], "a secret is kept as its hash alone"


def test_tags_tell_nothing_to_who_may_not_see(plain):
    name = _incident(plain)
    plain.join("ana", "analyst")
    tag = plain.browser("ana").call("GET", f"/incidents/{name}").headers["etag"]
    nobody = plain.browser()
    for given in (tag, "*", f"W/{tag}"):
        assert nobody.call("GET", f"/incidents/{name}", **{"if-none-match": given}).status_code == 401
    plain.join("dev", "developer")
    answer = plain.browser("dev").call("GET", "/journal", **{"if-none-match": "*"})
    assert answer.status_code == 403


# -- guessing ----------------------------------------------------------------------------------------------


def _incident(made):

    return marked.incident(made.workspace, marked.alert(1, title="A shell"))


def trying(made, name, password, address="10.1.1.1"):
    who = made.browser(address=address)
    who.get("/sign-in")
    return who.send("/sign-in", name=name, password=password)


def test_guessing_is_stopped_and_shuts_out_nobody_else(plain):
    plain.join("ana", "analyst")
    plain.join("bob", "analyst")
    seen = [trying(plain, "ana", OTHER).status_code for _ in range(6)]
    assert seen == [403] * 5 + [429]
    assert trying(plain, "ana", PASSWORD).status_code == 429, "a right one is not tried either"
    assert trying(plain, "ana", PASSWORD, "10.2.2.2").status_code == 303, "the owner, from elsewhere"
    assert trying(plain, "bob", PASSWORD).status_code == 303, "and others from there"


def test_an_owner_gets_in_from_where_they_work_whatever_machines_do_elsewhere(plain):
    """Guessing from a hundred addresses slows machines down; it is no means to shut somebody out."""
    plain.join("ana", "analyst")
    assert trying(plain, "ana", PASSWORD, "10.9.9.9").status_code == 303
    for number in range(110):
        trying(plain, "ana", OTHER, f"10.3.{number}.1")
    assert trying(plain, "ana", PASSWORD, "10.4.4.4").status_code == 429, "from where nobody knows her"
    assert trying(plain, "ana", PASSWORD, "10.9.9.9").status_code == 303, "from where she works"


def test_addresses_of_one_network_are_one_guesser(plain):
    """Whoever has one network of IPv6 has 2**64 addresses of it."""
    plain.join("ana", "analyst")
    seen = [trying(plain, "ana", OTHER, f"2001:db8:1:1::{n:x}").status_code for n in range(1, 7)]
    assert seen == [403] * 5 + [429]
    assert trying(plain, "ana", PASSWORD, "2001:db8:1:2::1").status_code == 303


def test_nothing_tells_which_accounts_there_are(plain):
    plain.join("root2", "admin")
    names = ("q-here", "q-off", "q-new", "q-nowhere")
    plain.join("q-here", "analyst")
    plain.join("q-off", "analyst")
    accounts.change(plain.access, "q-off", actor="root", disabled=True)
    accounts.add(plain.access, "q-new", ["analyst"], actor="root")
    told = {name: trying(plain, name, OTHER, f"10.5.5.{n}") for n, name in enumerate(names)}
    assert {answer.status_code for answer in told.values()} == {403}
    texts = {answer.text.replace(name, "NAME") for name, answer in told.items()}
    assert len({without_tokens(text) for text in texts}) == 1


def without_tokens(text):

    return re.sub(r'name="csrf" value="[^"]+"', "", text)


def test_it_takes_as_long_for_an_account_that_there_is_not(plain, monkeypatch):
    """Measured in what takes the time: each try hashes one password, whoever it is said to be of."""
    plain.join("root2", "admin")
    plain.join("ana", "analyst")
    accounts.add(plain.access, "new", ["analyst"], actor="root")
    hasher, hashed = plain.access.passwords._hasher, []
    verify = type(hasher).verify
    monkeypatch.setattr(
        type(hasher), "verify", lambda self, one, two: hashed.append(one) or verify(self, one, two)
    )
    plain.access.passwords.fits("", "warm")
    for number, name in enumerate(("ana", "new", "none", "", "x" * 90)):
        hashed.clear()
        trying(plain, name, OTHER, f"10.6.6.{number}")
        assert len(hashed) == 1, name
        assert hashed[0].startswith("$argon2id$v=19$m=64,t=1,p=1$"), "of the same cost"

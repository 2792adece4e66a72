"""The pages of accounts: who sees them, how somebody is added, changed, disabled and reset."""

import asyncio
import re

import pytest
from consoled import BASE, PASSWORD, browser, built, joined, send, workspace

from lemnis import app
from lemnis.app.access import accounts, signing, tokens
from lemnis.contracts.errors import AccessError
from lemnis.interfaces.web import people
from lemnis.store.access import Account

KEY = re.compile(rf"{re.escape(BASE)}/welcome/([\w-]{{43}})")


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def visit(soc, steps, *roles):
    """Let root, signed in, take steps; return what they return, and the access."""

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "root", *(roles or ("admin",)))) as root:
            return await steps(root, made), made.access

    return asyncio.run(run())


def test_an_account_is_open_invited_or_disabled():
    bare = Account("person-1", "ana", (), ())
    assert people.shown(bare).state == "invited"
    assert people.shown(bare, 2).proofs == ("2 passkeys",)
    full = people.shown(Account("p", "ana", (), (), password="x", second="{}", outside="o"), 1)
    assert (full.state, full.proofs) == ("open", ("password", "codes", "1 passkey", "provider"))
    assert people.shown(Account("p", "ana", (), (), password="x", disabled=True)).state == "disabled"


def test_teams_are_parted_by_commas():
    assert people.teams_of(" soc,  red   team ,, ") == ["soc", "red team"]


def test_somebody_is_added_by_a_link_that_is_shown_once(soc):
    async def steps(root, made):
        page = await root.get("/people")
        wrong = await send(root, page, "/people", name="No Name!", teams="soc", role="analyst")
        done = await send(
            root, page, "/people", name="lee", teams="soc, red team", role=["analyst", "viewer"]
        )
        again = await send(root, page, "/people", name="lee", role="viewer")
        found = accounts.find(made.access, "lee")
        later = await root.get(f"/people/{found.id}")
        listed = await root.get("/people?state=invited")
        signed = accounts.accept(made.access, KEY.search(done.text)[1], "", PASSWORD)
        return page, wrong, done, again, found, later, listed, signed

    (page, wrong, done, again, found, later, listed, signed), _ = visit(soc, steps)
    assert page.status_code == 200
    assert 'href="/people" aria-current="page"' in page.text
    assert wrong.status_code == 400
    assert "can be no account" in wrong.text
    assert '<input type="checkbox" name="role" value="analyst" checked>' in wrong.text
    assert done.status_code == 200
    assert again.status_code == 409
    assert (found.roles, found.teams) == (("analyst", "viewer"), ("red team", "soc"))
    assert KEY.search(later.text) is None
    assert "lee" in listed.text
    assert f"/people/{found.id}" in listed.text
    assert signed.person.name == "lee"


def test_somebody_is_added_linked_and_unlinked_by_an_identity_of_a_provider(soc):
    (soc.root / "lemnis.yaml").write_text(
        'name: soc\nconsole:\n  openid: [{name: corp, title: Corp, issuer: "https://id.example/", client_id: lemnis}]\n'
    )

    async def steps(root, made):
        page = await root.get("/people")
        lee = {"name": "lee", "role": "analyst", "provider": "corp"}
        wrong = await send(root, page, "/people", **lee, by="email", who="no address")
        empty = await send(root, page, "/people", **lee, by="sub", who=" ")
        strange = await send(root, page, "/people", **(lee | {"provider": "other"}), by="sub", who="7")
        done = await send(root, page, "/people", **lee, by="email", who="Lee@Shop.example")
        found = accounts.find(made.access, "lee")
        at = f"/people/{found.id}"
        cookie = signing.begin(made.access, found, "openid corp").cookie
        await send(root, page, at, do="link", provider="corp", by="sub", who="#4 2")
        linked = accounts.find(made.access, "lee").outside
        ended = made.access.by_cookie(cookie)
        joined(made, "kim", "viewer")
        kim = accounts.find(made.access, "kim")
        taken = await send(root, page, f"/people/{kim.id}", do="link", provider="corp", by="sub", who="#4 2")
        gone = await send(root, page, at, do="unlink")
        return (
            wrong,
            empty,
            strange,
            done,
            found,
            linked,
            ended,
            taken,
            gone,
            accounts.find(made.access, "lee"),
        )

    (wrong, empty, strange, done, found, linked, ended, taken, gone, left), _ = visit(soc, steps)
    assert [one.status_code for one in (wrong, empty, strange, done, taken, gone)] == [
        400,
        400,
        400,
        200,
        409,
        200,
    ]
    assert 'value="no address"' in wrong.text
    assert KEY.search(done.text) is None
    assert found.outside == "https://id.example?email=lee@shop.example"
    assert linked == "https://id.example##4 2"
    assert ended is None
    assert "this identity is lee&#39;s already" in taken.text
    assert KEY.search(gone.text)  # lee has nothing else to sign in by
    assert left.outside == ""
    told = [one.kind for one in app.journal(soc).entries(subject=left.id)]
    assert told == ["access.added", "access.signed_in", "access.linked", "access.unlinked"]


def test_roles_change_sessions_end_and_somebody_is_disabled_and_let_in(soc):
    async def steps(root, made):
        cookie = joined(made, "lee", "viewer")
        found = accounts.find(made.access, "lee")
        at = f"/people/{found.id}"
        page = await root.get(at)
        changed = await send(root, page, at, do="change", role="responder", teams="blue")
        now = made.access.by_cookie(cookie)
        strange = await send(root, page, at, do="change", role="god")
        await send(root, page, at, do="end")
        ended = made.access.by_cookie(cookie)
        await send(root, page, at, do="disable")
        off = accounts.find(made.access, "lee").disabled
        with pytest.raises(AccessError):
            signing.sign_in(made.access, "lee", PASSWORD, address="")
        shown = await root.get(at)
        await send(root, page, at, do="enable")
        return changed, now, strange, ended, off, shown, accounts.find(made.access, "lee").disabled

    (changed, now, strange, ended, off, shown, after), _ = visit(soc, steps)
    assert changed.status_code == 303
    assert (now.roles, now.teams) == (("responder",), ("blue",))
    assert strange.status_code == 400
    assert "no role" in strange.text
    assert ended is None
    assert (off, after) == (True, False)
    assert "Let in again" in shown.text
    told = [one for one in app.journal(soc).entries() if one.kind == "access.changed" and one.actor == "root"]
    assert len(told) == 3


def test_a_reset_shows_a_new_link_and_nobody_resets_or_shuts_out_themselves(soc):
    async def steps(root, made):
        cookie = joined(made, "lee", "viewer")
        lee, own = (accounts.find(made.access, name) for name in ("lee", "root"))
        page = await root.get(f"/people/{lee.id}")
        reset = await send(root, page, f"/people/{lee.id}", do="reset")
        mine = await send(root, page, f"/people/{own.id}", do="reset")
        last = await send(root, page, f"/people/{own.id}", do="disable")
        signed = accounts.accept(made.access, KEY.search(reset.text)[1], "", "another figure that turns")
        return made.access.by_cookie(cookie), mine, last, signed, await root.get(f"/people/{own.id}")

    (before, mine, last, signed, page), _ = visit(soc, steps)
    assert before is None
    assert mine.status_code == 400
    assert last.status_code == 409
    assert "nobody could change accounts" in last.text
    assert signed.person.name == "lee"
    assert "This is you" in page.text
    assert 'value="reset"' not in page.text


def test_who_may_not_sees_nothing_changes_nothing_and_is_offered_nothing(soc):
    async def run():
        made = built(soc)
        joined(made, "root", "admin")
        found = accounts.find(made.access, "root")
        _, key = tokens.make(
            made.access, found, "script", ["access.read", "access.change"], days=1, actor="root"
        )
        at = f"/people/{found.id}"
        async with browser(made, cookie=joined(made, "ana", "analyst")) as ana:
            page = await ana.get("/queue")
            none = [await ana.get("/people"), await ana.get(at), await send(ana, page, "/people", name="x"),
                    await send(ana, page, at, do="change", role="admin")]  # fmt: skip
        async with browser(made, cookie=joined(made, "pia", "privacy_officer")) as pia:
            seen = [await pia.get("/people"), await pia.get(at)]
            refused = await send(pia, await pia.get("/me"), at, do="disable")
            forged = await pia.post(at, data={"do": "disable"}, headers={"origin": BASE})
        async with browser(made) as script:
            bearer = {"authorization": f"Bearer {key}", "origin": BASE}
            shown = await script.get("/people", headers=bearer)
            token = await script.post("/people", headers=bearer,
                                      data={"csrf": re.search(r'csrf" value="([^"]+)', shown.text)[1], "name": "eve", "role": "admin"})  # fmt: skip
        return page, none, seen, refused, forged, token, made.access.tables.accounts()

    page, none, seen, refused, forged, token, known = asyncio.run(run())
    assert 'href="/people"' not in page.text
    assert [one.status_code for one in none] == [403] * 4
    assert [one.status_code for one in seen] == [200, 200]
    assert not any('value="disable"' in one.text or 'action="/people"' in one.text for one in seen)
    assert (refused.status_code, forged.status_code) == (403, 403)
    assert token.status_code == 403
    assert sorted(one.name for one in known) == ["ana", "pia", "root"]

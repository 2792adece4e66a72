"""The page of oneself: what it shows, what its forms do, and what is shown only once."""

import asyncio
import re

import pyotp
import pytest
from consoled import PASSWORD, browser, built, joined, send, workspace

from lemnis import app
from lemnis.app.access import accounts, second, signing, tokens
from lemnis.app.access.second import SecondError
from lemnis.contracts.errors import AccessError
from lemnis.interfaces.api import visitor
from lemnis.interfaces.web import account, site
from lemnis.store.access import Passkey, Session

NEW = "four turns make a whole figure"


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def visit(soc, steps, *roles):
    """Let ana, signed in, take steps on her page; return what they return, and the access."""

    async def run():
        made = built(soc)
        cookie = joined(made, "ana", *(roles or ("analyst",)))
        async with browser(made, cookie=cookie) as ana:
            return await steps(ana, made), made.access

    return asyncio.run(run())


def kinds(soc):
    return [one.kind for one in app.journal(soc).entries()]


def test_sessions_that_are_over_are_not_shown_and_ones_own_is_first():
    def one(id_, seen, until=1_000):
        return Session(id_ * 20, "person-1", "password", 0, seen, until)

    shown = account.sessions([one("a", 500), one("b", 10), one("c", 500, 600), one("d", 400)], 700, idle_ms=500,
                             here="d" * 20)  # fmt: skip
    assert [(each.id, each.current) for each in shown] == [("d" * 16, True), ("a" * 16, False)]


def test_the_page_shows_who_one_is_and_says_something_where_there_is_nothing(soc):
    async def steps(ana, _made):
        return await ana.get("/me"), await ana.get("/queue")

    (page, queue), _ = visit(soc, steps, "analyst", "privacy_officer")
    assert page.status_code == 200
    assert "<h1>ana</h1>" in page.text
    for told in ("privacy officer", "this one", "You have no token", "You have none. A passkey"):
        assert told in page.text
    assert page.headers["cache-control"] == "no-store"
    assert 'href="/me"' in queue.text
    ids = re.findall(r' id="([^"]+)"', page.text)
    assert len(ids) == len(set(ids))


def test_nobody_is_sent_to_sign_in_and_a_token_is_refused(soc):
    async def run():
        made = built(soc)
        joined(made, "ana", "analyst")
        found = accounts.find(made.access, "ana")
        _, key = tokens.make(made.access, found, "script", ["alert.read"], days=1, actor="ana")
        async with browser(made) as nobody:
            bearer = {"authorization": f"Bearer {key}"}
            return await nobody.get("/me"), await nobody.get("/me", headers=bearer)

    nobody, token = asyncio.run(run())
    assert (nobody.status_code, nobody.headers["location"]) == (303, "/sign-in?next=%2Fme")
    assert token.status_code == 403
    assert "a token may not do this" in token.text


def test_a_form_without_the_sessions_token_does_nothing(soc):
    async def steps(ana, made):
        other = signing.sign_in(made.access, "ana", PASSWORD, address="10.0.0.9").cookie
        stolen = await ana.post(
            "/me", data={"do": "session-others"}, headers={"origin": "http://127.0.0.1:8687"}
        )
        unknown = await send(ana, await ana.get("/me"), "/me", do="everything")
        return stolen, unknown, made.access.by_cookie(other)

    (stolen, unknown, other), _ = visit(soc, steps)
    assert stolen.status_code == 403
    assert unknown.status_code == 400
    assert other is not None


def test_a_session_is_ended_and_all_others_but_not_those_of_somebody_else(soc):
    async def steps(ana, made):
        bob = joined(made, "bob", "viewer")
        bobs = made.access.tables.sessions(accounts.find(made.access, "bob").id)[0]
        some = [
            signing.sign_in(made.access, "ana", PASSWORD, address=f"10.0.0.{n}").cookie for n in (1, 2, 3)
        ]
        page = await ana.get("/me")
        strange = await send(ana, page, "/me", do="session-end", id=bobs.id[:16])
        one = re.search(
            r'value="([0-9a-f]{16})"><button[^>]*>End<span class="unseen"> the session from 10.0.0.2<',
            page.text,
        )
        ended = await send(ana, page, "/me", do="session-end", id=one[1])
        left = [made.access.by_cookie(each) is not None for each in some]
        await send(ana, page, "/me", do="session-others")
        return (
            strange,
            ended,
            left,
            [made.access.by_cookie(each) for each in (*some, bob)],
            await ana.get("/me"),
        )

    (strange, ended, left, last, page), _ = visit(soc, steps)
    assert strange.status_code == 404
    assert ended.status_code == 303
    assert left == [True, False, True]
    assert [one and one.name for one in last] == [None, None, None, "bob"]
    assert page.status_code == 200
    assert "access.session_ended" in kinds(soc)
    assert "access.sessions_ended" in kinds(soc)


def test_the_password_is_changed_by_who_knows_it_and_types_the_new_one_twice(soc):
    async def steps(ana, _made):
        page = await ana.get("/me")
        wrong = [
            await send(ana, page, "/me", do="password-change", old=old, new=new, again=again)
            for old, new, again in (("no", NEW, NEW), (PASSWORD, NEW, "other"), (PASSWORD, "short", "short"))
        ]
        return wrong, await send(ana, page, "/me", do="password-change", old=PASSWORD, new=NEW, again=NEW)

    (wrong, done), access = visit(soc, steps)
    assert [one.status_code for one in wrong] == [403, 400, 400]
    assert [told in one.text for told, one in zip(
        ("the old password is wrong", "the two new passwords differ", "12 characters"), wrong, strict=True
    )] == [True] * 3  # fmt: skip
    assert all(NEW not in one.text for one in wrong)
    assert done.status_code == 303
    assert signing.sign_in(access, "ana", NEW, address="").person.name == "ana"
    with pytest.raises(AccessError):
        signing.sign_in(access, "ana", PASSWORD, address="")


def test_an_authenticator_is_set_up_confirmed_and_taken_away(soc):
    async def steps(ana, made):
        page = await ana.get("/me")
        wrong = await send(ana, page, "/me", do="second-begin", password="not that one")
        begun = await send(ana, page, "/me", do="second-begin", password=PASSWORD)
        shared = re.search(r'aria-label="Secret"><code>([A-Z2-7 ]+)<', begun.text)[1].replace(" ", "")
        key = re.search(r'name="key" value="([^"]+)"', begun.text)[1]
        at = made.access.clock.now() / 1000
        missed = await send(ana, page, "/me", do="second-confirm", key=key, code="1")
        begun = await send(ana, page, "/me", do="second-begin", password=PASSWORD)
        shared = re.search(r'aria-label="Secret"><code>([A-Z2-7 ]+)<', begun.text)[1].replace(" ", "")
        key = re.search(r'name="key" value="([^"]+)"', begun.text)[1]
        spare = await send(
            ana, page, "/me", do="second-confirm", key=key, code=pyotp.TOTP(shared).at(int(at))
        )
        with pytest.raises(SecondError):
            signing.sign_in(made.access, "ana", PASSWORD, address="")
        codes = re.findall(r"<li>([0-9a-f]{10})</li>", spare.text)
        later = await ana.get("/me")
        by_spare = signing.sign_in(made.access, "ana", PASSWORD, code=codes[0], address="")
        dropped = await send(ana, page, "/me", do="second-drop", password=PASSWORD)
        return wrong, begun, missed, codes, later, by_spare, dropped

    (wrong, begun, missed, codes, later, by_spare, dropped), access = visit(soc, steps)
    assert wrong.status_code == 403
    assert "the password is wrong" in wrong.text
    assert "otpauth://totp/Lemnis:ana?secret=" in begun.text
    assert missed.status_code == 403
    assert "begin anew" in missed.text
    assert len(codes) == 8
    assert not any(one in later.text for one in codes)
    assert by_spare.person.name == "ana"
    assert dropped.status_code == 303
    assert accounts.find(access, "ana").second == ""


def test_the_secret_is_a_picture_too_and_is_kept_by_nobody(soc, caplog):
    caplog.set_level("DEBUG")

    async def steps(ana, _made):
        return await send(
            ana, await ana.get("/me"), "/me", do="second-begin", password=PASSWORD
        ), await ana.get("/me")

    (begun, later), _ = visit(soc, steps)
    shared = re.search(r'aria-label="Secret"><code>([A-Z2-7 ]+)<', begun.text)[1].replace(" ", "")
    address = re.search(r'aria-label="Address"><code>(otpauth:[^<]+)<', begun.text)[1].replace("&amp;", "&")
    assert shared in address
    assert str(account.picture(address)) in begun.text
    assert account.picture(address) != account.picture(address.replace(shared[:8], shared[8:16]))
    assert begun.headers["cache-control"] == "no-store"
    assert 'class="qr"' not in later.text
    assert shared not in caplog.text
    assert shared.encode() not in (soc.state / "journal.db").read_bytes()
    assert "style" not in account.picture(address)


def test_spare_codes_are_counted_and_made_anew_by_who_knows_the_password(soc):
    async def steps(ana, made):
        page = await ana.get("/me")
        none = await send(ana, page, "/me", do="second-spare", password=PASSWORD)
        begun = second.begin(made.access, accounts.find(made.access, "ana"))
        code = pyotp.TOTP(begun.secret).at(made.access.clock.now() // 1000)
        old = second.confirm(made.access, accounts.find(made.access, "ana"), begun.key, code)
        signing.sign_in(made.access, "ana", PASSWORD, code=old[0], address="")
        seven = await ana.get("/me")
        wrong = await send(ana, page, "/me", do="second-spare", password="not that one")
        made_anew = await send(ana, page, "/me", do="second-spare", password=PASSWORD)
        codes = re.findall(r"<li>([0-9a-f]{10})</li>", made_anew.text)
        with pytest.raises(SecondError):
            signing.sign_in(made.access, "ana", PASSWORD, code=old[1], address="")
        for one in codes[:6]:
            signing.sign_in(made.access, "ana", PASSWORD, code=one, address="")
        return none, seven, wrong, codes, await ana.get("/me")

    (none, seven, wrong, codes, few), _ = visit(soc, steps)
    assert (none.status_code, wrong.status_code) == (409, 403)
    assert "7 spare codes left" in seven.text
    assert "before you need them" not in seven.text
    assert len(codes) == 8
    assert "2 spare codes left" in few.text
    assert "before you need them" in few.text
    assert "access.spare_renewed" in kinds(soc)


def test_a_passkey_is_renamed_by_whose_it_is_and_each_last_use_is_told(soc):
    async def steps(ana, made):
        joined(made, "bob", "viewer")
        for name in ("ana", "bob"):
            found = accounts.find(made.access, name)
            made.access.tables.put_passkey(
                Passkey(f"key-of-{name}", found.id, "laptop", "k", 0, 1, 1_790_000_000_000)
            )
        page = await ana.get("/me")
        done = await send(ana, page, "/me", do="passkey-rename", id="key-of-ana", name="  blue   key ")
        strange = await send(ana, page, "/me", do="passkey-rename", id="key-of-bob", name="mine")
        empty = await send(ana, page, "/me", do="passkey-rename", id="key-of-ana", name=" ")
        return (
            page,
            done,
            strange,
            empty,
            [one.name for one in map(made.access.tables.passkey, ("key-of-ana", "key-of-bob"))],
        )

    (page, done, strange, empty, names), _ = visit(soc, steps)
    assert [done.status_code, strange.status_code, empty.status_code] == [303, 404, 400]
    assert names == ["blue key", "laptop"]
    assert re.search(r'used <time datetime="2026-09-21T14:13:20[^"]*"', page.text)
    assert re.search(r'h-password.*?used <time datetime="[^"]+"', page.text, re.DOTALL)


def test_one_signs_out_everywhere_here_too_and_tokens_stay(soc):
    async def steps(ana, made):
        found = accounts.find(made.access, "ana")
        others = [signing.sign_in(made.access, "ana", PASSWORD, address="").cookie for _ in range(2)]
        _, key = tokens.make(made.access, found, "ci", ["alert.read"], days=1, actor="ana")
        done = await send(ana, await ana.get("/me"), "/me", do="session-all")
        return (
            done,
            await ana.get("/me"),
            [made.access.by_cookie(one) for one in others],
            made.access.by_token(key),
        )

    (done, later, others, token), _ = visit(soc, steps)
    assert (done.status_code, done.headers["location"]) == (303, "/sign-in")
    assert later.headers["location"].startswith("/sign-in")
    assert others == [None, None]
    assert token is not None
    assert "access.sessions_ended" in kinds(soc)


@pytest.mark.parametrize(("base", "there"), [
    ("http://127.0.0.1:8687", "http://localhost:8687"), ("http://[::1]:8687", "http://localhost:8687"),
    ("http://localhost:8687", None),
])  # fmt: skip
def test_who_comes_by_numbers_is_told_where_passkeys_work(soc, base, there):
    async def run():
        made = built(soc)
        cookie = joined(made, "ana", "analyst")
        async with browser(made) as nobody, browser(made, cookie=cookie) as ana:
            return await nobody.get(f"{base}/sign-in?next=/queue"), await ana.get(f"{base}/me")

    nobody, ana = asyncio.run(run())
    assert (f'href="{there}/sign-in?next=%2Fqueue"' in nobody.text, f'href="{there}/me"' in ana.text) == (
        (True, True) if there else (False, False)
    )
    assert ("data-passkey hidden" in nobody.text) == (there is None)
    assert ("data-passkey-add" in ana.text) == (there is None)


@pytest.mark.parametrize(("came", "url", "found"), [
    ("soc.example", "", None), ("192.0.2.7", "", ""), ("127.0.0.1:1", "https://soc.example/", "https://soc.example"),
    ("soc.example", "https://soc.example", "https://soc.example"), ("127.0.0.1:99", "", "http://localhost:99"),
    ("[::1]", "", "http://localhost"),
])  # fmt: skip
def test_where_passkeys_work(came, url, found):
    assert visitor.named(visitor.Visitor("192.0.2.9", secure=False, host=came), url) == found


def test_a_token_is_made_shown_once_and_revoked(soc):
    async def steps(ana, made):
        page = await ana.get("/me")
        none = await send(ana, page, "/me", do="token-make", name="a & b", days="90")
        more = await send(ana, page, "/me", do="token-make", name="x", days="90", scope="access.change")
        ever = await send(ana, page, "/me", do="token-make", name="x", days="9999", scope="alert.read")
        done = await send(
            ana, page, "/me", do="token-make", name="report", days="7", scope=["alert.read", "incident.read"]
        )
        key = re.search(r"lmn_[\w-]+", done.text)[0]
        person = made.access.by_token(key)
        later = await ana.get("/me")
        id_ = re.search(r"token-[0-9a-f]{16}", later.text)[0]
        revoked = await send(ana, later, "/me", do="token-revoke", id=id_)
        again = await send(ana, later, "/me", do="token-revoke", id=id_)
        return none, more, ever, key, person, later, revoked, again

    (none, more, ever, key, person, later, revoked, again), access = visit(soc, steps)
    assert [one.status_code for one in (none, more, ever, revoked, again)] == [400, 400, 400, 303, 404]
    assert 'value="a &amp; b"' in none.text  # what was typed stays
    assert '<option value="90" selected>' in none.text
    assert "may not add, change and disable accounts" in more.text
    assert 'value="access.change"' not in later.text
    assert person.scopes == ("alert.read", "incident.read")
    assert "report" in later.text
    assert key not in later.text
    assert access.by_token(key) is None


def test_who_comes_from_a_provider_is_told_what_there_is_not(soc):
    async def run():
        made = built(soc)
        found, _ = accounts.add(made.access, "eve", ["viewer"], actor="root", outside="https://id.example#7")
        cookie = signing.begin(made.access, found, "openid").cookie
        async with browser(made, cookie=cookie) as eve:
            page = await eve.get("/me")
            return page, await send(eve, page, "/me", do="second-begin", password="")

    page, tried = asyncio.run(run())
    assert "your provider signs you in" in page.text
    assert "data-passkey-add" not in page.text
    assert tried.status_code == 403


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "/\t/evil.example", "/a\r\nb", "me", ""]
)
def test_what_leads_elsewhere_leads_to_the_queue(path):
    assert site.safe(path) == "/queue"
    assert site.safe("/me?a=//b") == "/me?a=//b"

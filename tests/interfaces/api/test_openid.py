"""Signing in by a real provider of OpenID Connect, which runs beside."""

import base64
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import guarding
import httpx
import pytest

pytest.importorskip("oidc_provider")
from lemnis.app.access import accounts, openid, signing
from lemnis.content.schemas.console import Console
from lemnis.contracts.errors import AccessError, ServiceError, UsageError

BACK = f"{guarding.BASE}/api/v1/openid/corp/callback"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        str(Path(__file__).parent / "provider.py"),
        str(tmp_path_factory.mktemp("op")),
        str(port),
    ]
    with subprocess.Popen(
        [*command, BACK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline().strip() == str(port)
        yield f"http://127.0.0.1:{port}"
        process.kill()


@pytest.fixture
def settings(issuer, monkeypatch):
    monkeypatch.setenv("CORP_SECRET", "quite-secret")
    return {"name": "corp", "issuer": issuer, "client_id": "lemnis", "secret_env": "CORP_SECRET",
            "groups": {"soc": ("analyst",)}}  # fmt: skip


def consoled(tmp_path, settings, **more):
    opened = guarding.workspace(tmp_path)
    opened.clock.instant = time.time_ns() // 1_000_000
    return guarding.console_of(opened, how=Console(openid=[settings | more]))


def at_provider(address, name):
    """Be a person's browser at the provider; return where it sends them back to."""
    with httpx.Client(follow_redirects=False) as browser:
        asked = browser.get(address)
        login = browser.post(
            httpx.URL(address).join(asked.headers["location"]), data={"name": name, "password": name}
        )
        back = browser.get(httpx.URL(address).join(login.headers["location"]))
        return back.headers["location"]


def run(work):
    return anyio.run(work)


async def signed_in(browser, name, onward="/queue"):
    there = await browser.get("/api/v1/openid/corp", params={"next": onward})
    assert there.status_code == 303
    return await browser.get(at_provider(there.headers["location"], name))


def test_somebody_of_a_known_group_gets_in(tmp_path, settings):
    built = consoled(tmp_path, settings)

    async def work():
        async with guarding.client(built) as browser:
            done = await signed_in(browser, "ada")
            assert (done.status_code, done.headers["location"]) == (303, "/queue")
            me = (await browser.get("/api/v1/me")).json()
            assert (me["name"], me["roles"]) == ("ada", ["analyst"])
        async with guarding.client(built) as browser:
            await signed_in(browser, "ada")
        (account,) = built.access.tables.accounts()
        assert account.outside.startswith(settings["issuer"] + "#")
        with pytest.raises(AccessError):
            signing.sign_in(built.access, "ada", "", address="x")

    run(work)


def test_somebody_of_none_does_not(tmp_path, settings):
    built = consoled(tmp_path, settings)

    async def work():
        async with guarding.client(built) as browser:
            done = await signed_in(browser, "bob")
            assert done.status_code == 403
            assert "no account" in done.json()["title"]
        assert built.access.tables.accounts() == []

    run(work)


def test_a_local_account_is_not_taken_over_by_its_name(tmp_path, settings):
    built = consoled(tmp_path, settings)
    guarding.joined(built, "ada", "admin")

    async def work():
        async with guarding.client(built) as browser:
            await signed_in(browser, "ada")
            me = (await browser.get("/api/v1/me")).json()
            assert (me["name"], me["roles"]) == ("ada-2", ["analyst"])

    run(work)


def test_an_account_that_was_added_before_and_one_that_is_disabled(tmp_path, settings):
    built = consoled(tmp_path, settings, groups={}, roles=())
    guarding.joined(built, "root", "admin")

    async def work():
        async with guarding.client(built) as browser:
            address = (await browser.get("/api/v1/openid/corp")).headers["location"]
            assert (await browser.get(at_provider(address, "ada"))).status_code == 403
        for number in ("1", "2"):
            accounts.add(
                built.access,
                f"user{number}",
                ["responder"],
                actor="root",
                outside=f"{settings['issuer']}#{number}",
            )
        async with guarding.client(built) as browser:
            await signed_in(browser, "ada")
            me = (await browser.get("/api/v1/me")).json()
            assert me["roles"] == ["responder"]
            accounts.change(built.access, me["name"], actor="root", disabled=True)
            assert (await browser.get("/api/v1/me")).status_code == 401
            assert (await signed_in(browser, "ada")).status_code == 403

    run(work)


def test_who_was_added_by_address_is_its_subject_from_the_first_time_on(tmp_path, settings):
    built = consoled(tmp_path, settings, groups={}, roles=())
    waiting = f"{settings['issuer']}?email=ada@corp.example"
    accounts.add(built.access, "countess", ["responder"], actor="root", outside=waiting)

    async def work():
        async with guarding.client(built) as browser:
            await signed_in(browser, "ada")
            assert (await browser.get("/api/v1/me")).json()["name"] == "countess"

    run(work)
    (account,) = built.access.tables.accounts()
    assert account.outside.startswith(f"{settings['issuer']}#")
    claims = {"iss": settings["issuer"], "sub": "other", "email": "ada@corp.example", "email_verified": True}
    provider = built.settings.openid[0]
    with pytest.raises(AccessError, match="no account"):
        openid._account(built.access, provider, claims)
    accounts.link(built.access, "countess", waiting, actor="root")
    for unproven in ({"email_verified": False}, {"email_verified": "true"}, {"email": "ada@evil.example"},
                     {"email_verified": None, "sub": "?email=ada@corp.example"}):  # fmt: skip
        with pytest.raises(AccessError, match="no account"):
            openid._account(built.access, provider, claims | unproven)
    assert openid._account(built.access, provider, claims).outside == f"{settings['issuer']}#other"


@pytest.mark.parametrize("text", [
    "", "ana", "https://id.example", "https://id.example#", "https://id.example?email=", "ftp://id.example#1",
    "https://id.example?email=ana", "https://id.example?sub=1", "https://id.example#1\n2", "https:// id.example#1",
])  # fmt: skip
def test_what_is_no_identity_is_told(text):
    with pytest.raises(UsageError, match="no identity"):
        accounts.identity(text)


def test_the_answer_counts_once_and_in_the_browser_that_asked(tmp_path, settings):
    built = consoled(tmp_path, settings)

    async def work():
        async with guarding.client(built) as browser, guarding.client(built) as other:
            there = await browser.get("/api/v1/openid/corp")
            back = at_provider(there.headers["location"], "ada")
            await other.get("/api/v1/openid/corp")
            assert (await other.get(back)).status_code == 403, "a sign-in of somebody else is planted"
            assert (await browser.get(back)).status_code == 403, "it was used up"
            again = at_provider((await browser.get("/api/v1/openid/corp")).headers["location"], "ada")
            assert (await browser.get(again)).status_code == 303
            assert (await browser.get(again)).status_code == 403
            assert (await browser.get(f"{BACK}?state=x&code=y")).status_code == 403
            assert (await browser.get(f"{BACK}?error=access_denied")).status_code == 403

    run(work)


@pytest.mark.parametrize(
    "onward", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_one_is_sent_on_to_pages_of_ours_only(tmp_path, settings, onward):
    built = consoled(tmp_path, settings)

    async def work():
        async with guarding.client(built) as browser:
            assert (await signed_in(browser, "ada", onward)).headers["location"] == "/"

    run(work)


def test_a_token_for_another_question_or_client_does_not_hold(tmp_path, settings):
    built = consoled(tmp_path, settings)
    (provider,) = openid.providers(built.settings.openid).values()
    now = built.access.clock.now()
    address = openid.begin(built.access, provider, redirect=BACK, visit="v")
    query = parse_qs(urlsplit(at_provider(address, "ada")).query)
    data = built.access.tables.look_once(openid.secret.known_as(query["state"][0], "openid"), "openid", now)
    form = {"code": query["code"][0], "redirect_uri": BACK, "code_verifier": data["verifier"]}
    with pytest.raises(AccessError):
        provider.exchange(now, form | {"code_verifier": "x" * 43})
    address = openid.begin(built.access, provider, redirect=BACK, visit="v")
    query = parse_qs(urlsplit(at_provider(address, "ada")).query)
    data = built.access.tables.look_once(openid.secret.known_as(query["state"][0], "openid"), "openid", now)
    form = {"code": query["code"][0], "redirect_uri": BACK, "code_verifier": data["verifier"]}
    token = provider.exchange(now, form)
    assert openid._verified(provider, token, data["nonce"], now)["sub"]
    for wrong in (
        lambda: openid._verified(provider, token, "another", now),
        lambda: openid._verified(provider, token, data["nonce"], now + 3_600_000),
        lambda: openid._verified(provider, token[:-6] + "AAAAAA", data["nonce"], now),
        lambda: openid._verified(provider, _unsigned(token), data["nonce"], now),
        lambda: openid._verified(_for(provider, "other"), token, data["nonce"], now),
    ):
        with pytest.raises(AccessError):
            wrong()


def _unsigned(token):
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def _for(provider, client):
    return openid.Provider(provider.settings.model_copy(update={"client_id": client}), provider.client)


def test_a_provider_that_is_not_there_or_is_another(tmp_path, settings):
    built = consoled(tmp_path, settings)
    gone = openid.providers([built.settings.openid[0].model_copy(update={"issuer": "http://127.0.0.1:9"})])[
        "corp"
    ]
    with pytest.raises(ServiceError, match="cannot be asked"):
        openid.begin(built.access, gone, redirect=BACK, visit="v")
    other = openid.providers([built.settings.openid[0].model_copy(
        update={"issuer": settings["issuer"].replace("127.0.0.1", "localhost")})])["corp"]  # fmt: skip
    with pytest.raises(ServiceError):
        openid.begin(built.access, other, redirect=BACK, visit="v")

"""Passkeys over the API, with a device in software."""

import anyio
import guarding
import pytest
from authenticator import Device

from lemnis.app.access import accounts
from lemnis.app.access.secret import csrf as csrf_of

BASE = "http://localhost:8687"
API = f"{BASE}/api/v1"


@pytest.fixture
def built(tmp_path):
    return guarding.console_of(guarding.workspace(tmp_path))


def browser(built, cookie):
    return guarding.client(built, cookie=cookie, base=API, **{"x-csrf-token": csrf_of(cookie)})


async def enrolled(built, cookie, device):
    async with browser(built, cookie) as ask:
        options = (await ask.post("/me/passkeys/begin", json={"password": guarding.PASSWORD})).json()
        return await ask.post("/me/passkeys", json={"answer": device.make(options), "name": "phone"})


async def entered(built, device, change=lambda answer: answer):
    async with guarding.client(built, base=API, accept="text/html") as visitor:
        await visitor.get("/me")
        known = csrf_of(visitor.cookies["lemnis-visit"])
        visitor.headers["x-csrf-token"] = known
        options = (await visitor.post("/session/passkey/begin")).json()
        return await visitor.post("/session/passkey", json={"answer": change(device.prove(options))})


def run(work):
    return anyio.run(work)


def test_one_signs_in_by_a_passkey_alone(built):
    cookie, device = guarding.joined(built, "ana", "analyst"), Device(BASE)

    async def work():
        made = await enrolled(built, cookie, device)
        assert made.status_code == 201, made.text
        done = await entered(built, device)
        assert done.status_code == 200, done.text
        assert done.json()["name"] == "ana"
        assert any(one.startswith("lemnis=") for one in done.headers.get_list("set-cookie"))
        async with browser(built, cookie) as ask:
            (one,) = (await ask.get("/me/passkeys")).json()
            assert one["used"]
            assert (await ask.delete(f"/me/passkeys/{one['id']}")).status_code == 204
        assert (await entered(built, device)).status_code == 403

    run(work)


def test_what_does_not_hold_is_refused(built):
    cookie = guarding.joined(built, "ana", "analyst")
    device, stranger = Device(BASE), Device(BASE)

    def again(answer, kept=[]):  # noqa: B006 - the first answer, for ever
        kept.append(answer)
        return kept[0]

    async def work():
        assert (await enrolled(built, cookie, Device("https://evil.example"))).status_code == 403
        assert (await enrolled(built, cookie, Device(BASE, verifies=False))).status_code == 403
        assert (await enrolled(built, cookie, device)).status_code == 201
        assert (await enrolled(built, cookie, device)).status_code == 409
        assert (await entered(built, stranger)).status_code == 403
        assert (await entered(built, device, again)).status_code == 200
        assert (await entered(built, device, again)).status_code == 403, "an answer counts once"
        device.count = 0
        assert (await entered(built, device)).status_code == 403, "the counter went back: a copy"
        device.count = 50
        device.origin = "https://evil.example"
        assert (await entered(built, device)).status_code == 403
        device.origin = BASE
        built.access.clock.advance(3_600_000)  # so many failures make one wait
        for junk in ({}, {"id": "x"}, {"id": 1, "response": []}, {"response": {"clientDataJSON": "!"}}):
            assert (await entered(built, device, lambda _, junk=junk: junk)).status_code == 403

    run(work)


def test_the_key_of_a_disabled_account_lets_nobody_in(built):
    guarding.joined(built, "root", "admin")
    cookie, device = guarding.joined(built, "ana", "analyst"), Device(BASE)

    async def work():
        await enrolled(built, cookie, device)
        accounts.change(built.access, "ana", actor="root", disabled=True)
        assert (await entered(built, device)).status_code == 403

    run(work)


def test_a_key_is_made_by_who_knows_the_password_for_oneself(built):
    ana, eve = guarding.joined(built, "ana", "analyst"), guarding.joined(built, "eve", "viewer")
    device = Device(BASE)

    async def work():
        async with browser(built, ana) as ask:
            assert (await ask.post("/me/passkeys/begin", json={"password": "wrong"})).status_code == 403
            options = (await ask.post("/me/passkeys/begin", json={"password": guarding.PASSWORD})).json()
        async with browser(built, eve) as ask:
            answer = await ask.post("/me/passkeys", json={"answer": device.make(options)})
            assert answer.status_code == 403, "a challenge is for whom it was given"
        key = guarding.token(built, "ana")
        async with guarding.client(built, key=key, base=API) as machine:
            assert (await machine.get("/me/passkeys")).status_code == 403

    run(work)

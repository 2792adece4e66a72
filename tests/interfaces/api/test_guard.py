import asyncio
from urllib.parse import parse_qsl

import anyio
import guarding
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from lemnis.app.access import Person, signing
from lemnis.app.access.secret import csrf as csrf_of
from lemnis.contracts.errors import AccessError, StrangerError
from lemnis.interfaces.api import guard
from lemnis.interfaces.api.guard import Guard, Rates
from lemnis.interfaces.api.limits import Buckets, Rate
from lemnis.interfaces.api.visitor import Trust, answers_to, visitor


async def who(request: Request):
    person = request.state.person
    return JSONResponse(
        {
            "name": person and person.name,
            "how": person and person.how,
            "csrf": request.state.csrf,
            "address": request.state.visitor.address,
            "secure": request.state.visitor.secure,
        }
    )


async def change(request: Request):
    return PlainTextResponse((await request.body()).decode() + request.state.person.name)


async def enter(request: Request):
    form = dict(parse_qsl((await request.body()).decode()))
    signed = signing.sign_in(
        request.state.access, str(form["name"]), str(form["password"]), address=request.state.visitor.address
    )
    response = PlainTextResponse("in")
    guard.signed_in(request, response, signed)
    return response


async def leave(request: Request):
    signing.sign_out(request.state.access, request.state.cookie)
    response = PlainTextResponse("out")
    guard.signed_out(request, response)
    return response


INNER = Starlette(
    routes=[
        Route("/who", who),
        Route("/change", change, methods=["POST", "PUT", "DELETE"]),
        Route("/enter", enter, methods=["POST"]),
        Route("/leave", leave, methods=["POST"]),
    ]
)


class Built:
    def __init__(self, access, **how):
        self.access = access
        self.application = Guard(INNER, access, **how)


@pytest.fixture
def built(tmp_path):
    return Built(guarding.access_of(guarding.workspace(tmp_path)))


def run(work):
    return anyio.run(work)


def test_nobody_a_browser_and_a_machine(built):
    cookie = guarding.joined(built, "ana", "analyst")
    key = guarding.token(built, "ana", "alert.read")

    async def work():
        async with guarding.client(built) as nobody:
            assert (await nobody.get("/who")).json()["name"] is None
        async with guarding.client(built, cookie=cookie) as browser:
            found = (await browser.get("/who")).json()
            assert (found["name"], found["how"], found["csrf"]) == ("ana", "session", csrf_of(cookie))
        async with guarding.client(built, key=key, cookie=cookie) as machine:
            assert (await machine.get("/who")).json()["how"] == "token"
        async with guarding.client(built, key="lmn_wrong", cookie=cookie) as wrong:
            answer = await wrong.get("/who")
            assert answer.status_code == 401, "a wrong token is not made up for by a cookie"
            assert answer.headers["content-type"] == "application/problem+json"

    run(work)


@pytest.mark.parametrize(("headers", "form", "status"), [
    ({}, {}, 403),
    ({"x-csrf-token": "wrong"}, {}, 403),
    ({}, {"csrf": "wrong"}, 403),
    ({"origin": "http://127.0.0.1:8687"}, {}, 403),
    ({"x-csrf-token": "RIGHT"}, {}, 200),
    ({}, {"csrf": "RIGHT"}, 200),
    ({"origin": "http://127.0.0.1:8687"}, {"csrf": "RIGHT"}, 200),
    ({"origin": "https://evil.example"}, {"csrf": "RIGHT"}, 403),
    ({"origin": "null"}, {"csrf": "RIGHT"}, 403),
    ({"sec-fetch-site": "cross-site"}, {"csrf": "RIGHT"}, 403),
    ({"sec-fetch-site": "same-site"}, {"csrf": "RIGHT"}, 403),
    ({"sec-fetch-site": "same-origin"}, {"csrf": "RIGHT"}, 200),
])  # fmt: skip
def test_forms_of_other_sites_are_refused(built, headers, form, status):
    cookie = guarding.joined(built, "ana", "analyst")

    async def work():
        right = csrf_of(cookie)
        given = {name: one.replace("RIGHT", right) for name, one in headers.items()}
        async with guarding.client(built, cookie=cookie) as browser:
            for method in ("POST", "PUT", "DELETE"):
                data = {name: one.replace("RIGHT", right) for name, one in form.items()}
                answer = await browser.request(method, "/change", data=data or None, headers=given)
                assert answer.status_code == status, (method, answer.text)

    run(work)


def test_the_token_of_another_session_does_not_do(built):
    mine, others = guarding.joined(built, "ana", "analyst"), guarding.joined(built, "eve", "viewer")

    async def work():
        async with guarding.client(built, cookie=mine) as browser:
            answer = await browser.post("/change", headers={"x-csrf-token": csrf_of(others)})
            assert answer.status_code == 403

    run(work)


def test_signing_in_needs_a_form_of_ours_and_gives_a_new_cookie(built):
    planted = guarding.joined(built, "eve", "viewer")
    guarding.joined(built, "ana", "analyst")

    async def work():
        async with guarding.client(built, accept="text/html") as browser:
            fields = {"name": "ana", "password": guarding.PASSWORD}
            refused = await browser.post("/enter", data=fields)
            assert refused.status_code == 403
            page = await browser.get("/who")
            set_cookie = refused.headers["set-cookie"]
            assert "HttpOnly" in set_cookie
            assert "SameSite=Lax" in set_cookie
            answer = await browser.post("/enter", data=fields | {"csrf": page.json()["csrf"]})
            assert answer.status_code == 200
            assert (await browser.get("/who")).json()["name"] == "ana"
        async with guarding.client(built, cookie=planted) as fixed:
            data = fields | {"csrf": csrf_of(planted)}
            answer = await fixed.post("/enter", data=data)
            fresh = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("lemnis="))
            assert planted not in fresh
        async with guarding.client(built, cookie=planted) as attacker:
            assert (await attacker.get("/who")).json()["name"] is None, "the planted session is over"

    run(work)


def test_signing_out_ends_the_session_everywhere(built):
    cookie = guarding.joined(built, "ana", "analyst")

    async def work():
        async with guarding.client(built, cookie=cookie) as browser:
            answer = await browser.post("/leave", headers={"x-csrf-token": csrf_of(cookie)})
            assert "Max-Age=0" in answer.headers["set-cookie"]
        async with guarding.client(built, cookie=cookie) as thief:
            assert (await thief.get("/who")).json()["name"] is None

    run(work)


def test_other_host_names_are_refused(built):
    async def work():
        for base, status in (
            ("http://127.0.0.1:8687", 200),
            ("http://localhost:1", 200),
            ("http://evil.example:8687", 421),
            ("http://127.0.0.1.evil.example", 421),
        ):
            async with guarding.client(built, base=base) as one:
                assert (await one.get("/who")).status_code == status, base

    run(work)


def test_every_answer_has_the_headers(built):
    async def work():
        async with guarding.client(built) as nobody:
            for path in ("/who", "/nowhere"):
                headers = (await nobody.get(path)).headers
                policy = headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["cache-control"] == "no-store"
                assert "strict-transport-security" not in headers

    run(work)


def test_behind_a_proxy(tmp_path):
    access = guarding.access_of(guarding.workspace(tmp_path))
    one = Built(access, trust=Trust.of(["10.0.0.0/24"], ["soc.example"]))
    cookie = guarding.joined(one, "ana", "analyst")

    async def work():
        said = {"x-forwarded-for": "6.6.6.6, 198.51.100.7, 10.0.0.3", "x-forwarded-proto": "https"}
        async with guarding.client(one, base="http://soc.example", **said) as browser:
            answer = await browser.get("/who", headers={"cookie": f"__Host-lemnis={cookie}"})
            assert answer.json() | {"csrf": ""} == {
                "name": "ana",
                "how": "session",
                "csrf": "",
                "address": "198.51.100.7",
                "secure": True,
            }
            assert answer.headers["strict-transport-security"]
            plain = await browser.get("/who", headers={"cookie": f"lemnis={cookie}"})
            assert plain.json()["name"] is None, "a cookie without the prefix may be planted by a neighbour"

    run(work)


def test_nobody_but_a_proxy_says_who_asks():
    headers = {
        "host": "h",
        "x-forwarded-for": "1.2.3.4",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil",
    }
    found = visitor("192.0.2.1", "http", headers, Trust.of(["10.0.0.0/8"]))
    assert (found.address, found.secure, found.host) == ("192.0.2.1", False, "h")
    assert not answers_to("[::2]:80", Trust())
    assert answers_to("[::1]:80", Trust())
    assert visitor("", "http", {}, Trust()).host == ""


def test_large_bodies_are_refused_before_they_are_read(built):
    cookie = guarding.joined(built, "ana", "analyst")

    async def work():
        async with guarding.client(built, cookie=cookie) as browser:
            headers = {"x-csrf-token": csrf_of(cookie)}
            large = b"x" * (guard.MAX_BODY + 1)
            assert (await browser.post("/change", content=large, headers=headers)).status_code == 413

            async def parts():
                for _ in range(30):
                    yield b"x" * 50_000

            assert (await browser.post("/change", content=parts(), headers=headers)).status_code == 413
            whole = b"x" * guard.MAX_BODY
            assert (await browser.post("/change", content=whole, headers=headers)).status_code == 200

    run(work)


def test_slow_bodies_are_given_up(built, monkeypatch):
    monkeypatch.setattr(guard, "BODY_S", 0.05)
    key = guarding.token(built, guarding.joined(built, "ana", "analyst") and "ana", "alert.read")
    sent = []

    async def receive():
        await asyncio.sleep(10)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/change", "raw_path": b"/change", "query_string": b"",
             "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {key}".encode())],
             "client": ("10.0.0.7", 1), "scheme": "http"}  # fmt: skip
    run(lambda: built.application(scope, receive, send))
    assert sent[0]["status"] == 408


def test_those_who_ask_too_often_are_told_to_wait(tmp_path):
    access = guarding.access_of(guarding.workspace(tmp_path))
    one = Built(access, rates=Rates(Rate(3, 0.1), Rate(5, 0.1), Rate(2, 0.1)))
    cookie = guarding.joined(one, "ana", "analyst")

    async def work():
        async with guarding.client(one) as nobody:
            statuses = [(await nobody.get("/who")).status_code for _ in range(5)]
            assert statuses == [200, 200, 200, 429, 429]
            assert int((await nobody.get("/who")).headers["retry-after"]) >= 1
        async with guarding.client(one, cookie=cookie) as browser:
            headers = {"x-csrf-token": csrf_of(cookie)}
            changes = [(await browser.post("/change", headers=headers)).status_code for _ in range(3)]
            assert changes == [200, 200, 429]

    run(work)


def test_buckets_refill():
    now = [0.0]
    buckets = Buckets(Rate(2, 1), lambda: now[0])
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 1.0]
    assert buckets.take("b") == 0
    now[0] = 1.0
    assert buckets.take("a") == 0
    assert buckets.take("a") == 1.0


def test_require():
    request = Request({"type": "http", "state": {"person": None}})
    with pytest.raises(StrangerError):
        guard.require(request, "alert.read")
    request = Request(
        {"type": "http", "state": {"person": Person("person-1", "x", permissions=frozenset({"alert.read"}))}}
    )
    assert guard.require(request, "alert.read").name == "x"
    with pytest.raises(AccessError) as refused:
        guard.require(request, "incident.close")
    assert not isinstance(refused.value, StrangerError)


@pytest.mark.parametrize(
    "cookie", ["lemnis=; lemnis=a", "lemnis=" + "x" * 9000, "\xff\xfe=1", 'lemnis="a\\"', ";;;=", "a"]
)
def test_strange_cookies_are_nobody(built, cookie):
    async def work():
        async with guarding.client(built) as one:
            answer = await one.get("/who", headers=[(b"cookie", cookie.encode("latin-1"))])
            assert answer.status_code == 200
            assert answer.json()["name"] is None

    run(work)


def test_paths_with_hidden_signs_are_refused(built):
    async def work():
        async with guarding.client(built) as one:
            for path in ("/who%0a", "/%00", "/who%0d%0aset-cookie:%20a=b"):
                assert (await one.get(path)).status_code == 400, path

    run(work)


def test_websockets_are_closed(built):
    sent = []

    async def send(message):
        sent.append(message)

    run(lambda: built.application({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_console_is_one_application(tmp_path):
    built = guarding.console_of(guarding.workspace(tmp_path))

    async def work():
        async with guarding.client(built) as nobody:
            answer = await nobody.get("/api/v1/incidents")
            assert answer.status_code in {401, 404}

    run(work)

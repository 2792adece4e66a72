"""Credentials: fetched tokens, GitHub Apps, signed bodies, addresses that are secrets; and mail for real."""

import base64
import ssl
from email import message_from_bytes
from email.policy import default

import orjson
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lemnis.app.connections import Connections
from lemnis.content.schemas.settings import Connection
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import InputError, ServiceError, UsageError
from lemnis.respond.client import CallError, Client
from lemnis.respond.kinds_mail import Mail
from lemnis.respond.logins import ClientCredentials, GithubApp, Login, signature
from lemnis.respond.template import Rendered
from lemnis.testing.certificates import Authority
from lemnis.testing.server import Reply, Simulator

SECRET = "s3cr3t-of-nobody"


class Endpoint(Simulator):
    """A token endpoint, and the interface behind it."""

    reply = None
    given = 0

    def answer(self, asked):
        if self.reply:
            return self.reply
        if "token" in asked.path:
            self.given += 1
            said = {"access_token": f"fetched-token-{self.given}", "expires_in": 3600,
                    "token": f"fetched-token-{self.given}", "expires_at": "2001-09-09T02:46:40Z"}  # fmt: skip
            return Reply(201 if "installations" in asked.path else 200, orjson.dumps(said))
        return Reply(200, orjson.dumps(dict(asked.headers)))


@pytest.fixture
def endpoint():
    with Endpoint() as made:
        yield made


def ask(endpoint, login, **more):
    with Client("c", endpoint.url, login) as client:
        return client.send(Rendered("GET", "/users", **more), timeout=5)


def test_a_token_is_fetched_once_renewed_in_time_and_never_shown(endpoint):
    clock = ManualClock(1_000_000_000_000)
    tokens = ClientCredentials(f"{endpoint.url}/token", "me", SECRET, "all", clock)
    login = Login(tokens=tokens)
    for _ in range(2):
        assert b"(secret)" in ask(endpoint, login).body
    form = endpoint.log[0].request.body.decode()
    assert form == f"grant_type=client_credentials&client_id=me&client_secret={SECRET}&scope=all"
    assert endpoint.given == 1
    clock.advance(3_541_000)
    ask(endpoint, login)
    assert endpoint.given == 2
    assert endpoint.log[-1].request.headers["authorization"] == "Bearer fetched-token-2"
    assert SECRET not in repr(login) + repr(tokens)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, orjson.dumps({"error": SECRET})),
        Reply(200, b"{"),
        Reply(200, b"{}"),
        Reply(200, orjson.dumps({"access_token": "two\nlines"})),
        Reply(302, headers={"Location": "http://169.254.169.254/"}),
    ],
)
def test_without_a_token_nothing_is_asked(endpoint, reply):
    endpoint.reply = reply
    login = Login(tokens=ClientCredentials(f"{endpoint.url}/token", "me", SECRET, "", ManualClock(0)))
    with pytest.raises(CallError, match="no token from") as caught:
        ask(endpoint, login)
    assert caught.value.unsent
    assert SECRET not in str(caught.value)
    assert [line.request.path for line in endpoint.log] == ["/token"]


def test_an_app_signs_and_its_installation_gets_a_token(endpoint):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    clock = ManualClock(1_000_000_000_000)
    app = GithubApp.read(pem, url=endpoint.url, app_id="7", installation="9", clock=clock)
    assert [app.token(), app.token()] == ["fetched-token-1"] * 2
    (asked,) = [line.request for line in endpoint.log]
    assert asked.path == "/app/installations/9/access_tokens"
    head, claims, mac = asked.headers["authorization"].removeprefix("Bearer ").split(".")
    decoded = orjson.loads(base64.urlsafe_b64decode(claims + "=="))
    assert decoded == {"iat": 999_999_940, "exp": 1_000_000_540, "iss": "7"}
    key.public_key().verify(
        base64.urlsafe_b64decode(mac + "=="), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    alone = GithubApp.read(pem, url=endpoint.url, app_id="7", installation="", clock=clock)
    assert alone.token().count(".") == 2
    with pytest.raises(UsageError, match="no PEM"):
        GithubApp.read("x", url=endpoint.url, app_id="7", installation="", clock=clock)


def test_a_body_is_signed_as_the_standard_has_it():
    """The example of the specification of Standard Webhooks."""
    found = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330,
        b'{"test": 2432232314}',
    )  # fmt: skip
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    with pytest.raises(UsageError, match="no base64"):
        signature("whsec_?", "m", 0, b"")


def test_what_stands_before_a_token():
    for scheme, wanted in (
        ("Bearer", "Bearer t"),
        ("SSWS", "SSWS t"),
        ("Token token=", "Token token=t"),
        ("", "t"),
    ):
        assert Login("t", scheme=scheme).headers(b"", 0, "m")["Authorization"] == wanted
    basic = Login(user="soc@example.com", password=SECRET)
    given = basic.headers(b"", 0, "m")["Authorization"]
    assert base64.b64decode(given.removeprefix("Basic ")).decode() == f"soc@example.com:{SECRET}"
    assert given.removeprefix("Basic ") in basic.secrets


def test_an_address_that_is_a_secret_is_used_and_never_shown(endpoint):
    login = Login(address="/hook?sig=abcdefgh")
    assert ask(endpoint, login).status == 200
    asked = endpoint.log[0].request
    assert (asked.path, asked.query) == ("/hook", "sig=abcdefgh")
    assert login.address in login.secrets
    assert "abcdefgh" not in repr(login)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "https://h", "token_env": "T", "user": "u", "password_env": "P"}, "one login"),
        ({"url": "https://h", "user": "u"}, "belong together"),
        ({"url": "smtp://h", "user": "u", "password_env": "P", "plain": True}, "for everyone to read"),
        ({"url": "host://h"}, "needs one"),
        ({"url": "ftp://h"}, "url"),
    ],
)
def test_a_connection_that_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Connection.model_validate(settings)


def test_a_secret_address_must_be_a_path(tmp_path):
    known = {"teams": Connection(url="https://h", path_env="P")}
    with (
        Connections(known, tmp_path, {"P": "https://elsewhere/"}) as connections,
        pytest.raises(UsageError, match="no path"),
    ):
        connections.reach("teams")


# Mail.


class Box:
    """What a mail server took, and what it says to the next messages."""

    def __init__(self):
        self.taken, self.says = [], []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802, ARG002 - as the server calls it
        said = self.says.pop(0) if self.says else "250 OK"
        if said == "break":
            self.taken.append(envelope)
            server.transport.abort()
        elif said.startswith("2"):
            self.taken.append(envelope)
        return said

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802, ARG002
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def message(**more):
    body = {"from": "soc@example.com", "to": ["ana@example.com"], "subject": "Käse", "text": "Call us.",
            "id": "0" * 32, **more}  # fmt: skip
    return Rendered("POST", "/messages", body=orjson.dumps(body))


@pytest.fixture
def box():
    kept = Box()
    with running(AnyPort(kept, hostname="127.0.0.1", port=0)) as port:
        yield kept, f"smtp://127.0.0.1:{port}"


class AnyPort(Controller):
    """A controller that takes a free port."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class running:  # noqa: N801 - a context manager
    """A mail server that runs."""

    def __init__(self, controller):
        self.controller = controller

    def __enter__(self):
        self.controller.start()
        return self.controller.port

    def __exit__(self, *_):
        self.controller.stop()


def test_a_message_is_handed_over(box):
    kept, url = box
    assert Mail(url, plain=True, clock=ManualClock(0)).send(message(), timeout=5).status == 202
    (envelope,) = kept.taken
    found = message_from_bytes(envelope.content, policy=default)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("soc@example.com", ["ana@example.com"])
    assert (found["subject"], found.get_content().strip()) == ("Käse", "Call us.")
    assert (found["message-id"], found["auto-submitted"]) == (f"<{'0' * 32}@lemnis>", "auto-generated")
    assert found["date"].startswith("Thu, 01 Jan 1970")


def test_what_a_server_says_no_to_is_told_apart(box):
    kept, url = box
    mail = Mail(url, plain=True)
    for said, status in (("451 later", 429), ("554 spam", 422)):
        kept.says = [said]
        answer = mail.send(message(), timeout=5)
        assert (answer.status, answer.body.decode()) == (status, said)
    assert mail.send(message(to=["nobody@example.com"]), timeout=5).status == 422
    answer = mail.send(message(to=["nobody@example.com", "ana@example.com"]), timeout=5)
    assert (answer.status, len(kept.taken)) == (207, 1)
    assert b"nobody@example.com" in answer.body


def test_a_server_that_breaks_off_leaves_open_whether_it_took_it(box):
    kept, url = box
    kept.says = ["break"]
    with pytest.raises(CallError) as caught:
        Mail(url, plain=True).send(message(), timeout=5)
    assert (caught.value.unsent, len(kept.taken)) == (False, 1)


def test_without_a_server_nothing_was_sent():
    with pytest.raises(CallError) as caught:
        Mail("smtp://127.0.0.1:1", plain=True).send(message(), timeout=1)
    assert caught.value.unsent


def test_a_server_without_tls_is_not_told_anything(box):
    kept, url = box
    with pytest.raises(CallError, match="STARTTLS") as caught:
        Mail(url).send(message(), timeout=5)
    assert (caught.value.unsent, kept.taken) == (True, [])


@pytest.mark.parametrize("more", [{"subject": "a\nBcc: x@example.com"}, {"to": "x"}, {"text": 7}])
def test_what_is_no_message_is_not_sent(box, more):
    kept, url = box
    with pytest.raises((InputError, ServiceError)):
        Mail(url, plain=True).send(message(**more), timeout=5)
    assert kept.taken == []


def test_tls_and_a_login(tmp_path):
    authority = Authority(tmp_path)
    made = authority.issue("mail.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    kept = Box()

    def check(server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (b"soc", SECRET.encode())
        return AuthResult(success=good, handled=good)  # else the server says no itself

    controller = AnyPort(
        kept, hostname="127.0.0.1", port=0, tls_context=context, require_starttls=True, authenticator=check,
        auth_required=True,
    )  # fmt: skip
    with running(controller) as port:
        url = f"smtp://127.0.0.1:{port}"
        good = Login(user="soc", password=SECRET)
        assert Mail(url, good, ca=authority.certificate).send(message(), timeout=5).status == 202
        assert (
            Mail(url, Login(user="soc", password="wrong-password"), ca=authority.certificate)
            .send(message(), timeout=5)
            .status
            == 422
        )
        with pytest.raises(CallError, match="certificate") as caught:
            Mail(url, good).send(message(), timeout=5)
    assert caught.value.unsent
    assert len(kept.taken) == 1

"""The tables of access, on SQLite and on PostgreSQL alike: what is kept, what counts once, what is somebody's."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import argon2
import pytest
import sqlalchemy as sa

from lemnis import app
from lemnis.app.access import accounts, passwords, signing, tokens
from lemnis.app.access.permissions import refusal
from lemnis.app.access.service import Access
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import AccessError, BusyError
from lemnis.store.access import AccessTables, Account, Answered, Passkey, Session, Token
from lemnis.store.database import open_engine
from lemnis.testing import cluster

ANA = Account(
    "person-1", "ana", ("analyst", "viewer"), ("shop",), "hash", "sealed", "https://id.example#1", False, 5, 6
)
BEN = Account("person-2", "ben", (), ())
PASSWORD = "a lemniscate turns twice"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """A database: the path of a file, or the address of a server."""
    if request.param == "sqlite":
        yield tmp_path / "journal.db"
        return
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    with cluster.postgres() as server:
        yield server.url


def in_many(work, count=6):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_what_is_kept_comes_back_as_it_was_and_counts_once(place):
    engine = open_engine(place)
    tables = AccessTables(engine)
    assert tables.put_account(ANA)
    assert tables.put_account(BEN)
    assert not tables.put_account(replace(BEN, id="person-3", name="ana"))
    assert tables.accounts() == [ANA, BEN]
    assert [
        tables.account(**by) for by in ({"id": "person-1"}, {"name": "ana"}, {"outside": ANA.outside})
    ] == [ANA] * 3
    assert tables.put_account(replace(ANA, disabled=True))
    assert tables.account(name="ana").disabled
    assert in_many(lambda n: tables.exchange_second("person-1", "sealed", f"new {n}")).count(True) == 1

    session = Session("s1", "person-1", "password", 10, 10, 100, "10.0.0.1", "a browser")
    tables.begin(session)
    tables.begin(replace(session, id="s2", began=20, until=200))
    tables.touch("s1", 30)
    assert tables.session("s1")[0] == replace(session, seen=30)
    assert [one.id for one in tables.sessions("person-1")] == ["s1", "s2"]
    assert tables.end(account="person-1", but="s2") == 1
    tables.begin(replace(session, id="s3", began=200, until=300))
    assert [one.id for one in tables.sessions("person-1")] == ["s3"]

    token = Token("token-1", "person-1", "report", "hash of it", ("alert.read",), 1, 2)
    tables.put_token(token)
    tables.used_token("token-1", 9)
    assert tables.token("hash of it")[0] == replace(token, used=9)
    assert tables.token("another") is None
    assert not tables.drop_token("token-1", "person-2")
    assert tables.drop_token("token-1", "person-1")
    assert tables.tokens() == []
    kinds = {one["name"]: str(one["type"]) for one in sa.inspect(engine).get_columns("access_session")}
    assert {kinds[name] for name in ("began", "seen", "until")} == {"BIGINT"}
    engine.dispose()


def test_what_counts_once_does_so_for_any_number_who_ask_at_once(place):
    engine = open_engine(place)
    tables = AccessTables(engine)
    tables.put_once("h", "invitation", {"name": "é"}, until=50, now=1)
    assert tables.look_once("h", "invitation", 2) == {"name": "é"}
    assert tables.take_once("h", "second", 2) is None
    assert in_many(lambda _: tables.take_once("h", "invitation", 2)).count({"name": "é"}) == 1

    in_many(lambda n: tables.fail(["pair", "from"], n, forget=-1))
    assert tables.failures(["pair", "none"], 2) == {"pair": [2, 3, 4, 5], "none": []}
    tables.forgive("pair")
    assert tables.failures(["pair"], 0) == {"pair": []}

    key = Passkey("k1", "person-1", "laptop", "key", 0, 1)
    tables.put_passkey(key)
    tables.put_passkey(replace(key, count=7, used=8))
    assert tables.passkey("k1") == replace(key, count=7, used=8)
    assert not tables.drop_passkey("k1", "person-2")
    assert tables.drop_passkey("k1", "person-1")
    assert tables.passkeys("person-1") == []

    wanted = Answered("person-1", "key", "asked", 0, "", 10)
    assert in_many(lambda _: tables.claim(wanted, forget=0)).count(None) == 1
    tables.answer(replace(wanted, status=201, body="{}"))
    assert tables.answered("person-1", "key") == replace(wanted, status=201, body="{}")
    assert tables.claim(replace(wanted, at=99), forget=50) is None
    engine.dispose()


def test_people_sign_in_and_are_refused_by_rules_whatever_database_it_is(place, tmp_path, monkeypatch):
    clock = ManualClock(1_790_000_000_000)
    opened = app.init(tmp_path / "soc", clock=clock)
    cheap = passwords.Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    if isinstance(place, str):
        monkeypatch.setenv("LEMNIS_DATABASE_URL", place)
    access = Access(opened, passwords=cheap)
    assert access.engine.dialect.name == ("postgresql" if isinstance(place, str) else "sqlite")
    _, invited = accounts.add(access, "dev", ["developer"], ["shop"], actor="root")
    signed = accounts.accept(access, invited.secret, "", PASSWORD)
    person = access.by_cookie(signed.cookie)
    own, other = ({"kind": "finding", "id": "f", "team": team} for team in ("shop", "bank"))
    assert refusal(person, "finding.change", own) == ""
    assert refusal(person, "finding.change", other).startswith("dev is of no team that owns")
    _, key = tokens.make(access, accounts.find(access, "dev"), "ci", ["finding.read"], days=1, actor="dev")
    assert access.by_token(key).scopes == ("finding.read",)
    for _ in range(5):
        with pytest.raises(AccessError):
            signing.sign_in(access, "dev", "not that one at all", address="10.0.0.9")
    with pytest.raises(BusyError):
        signing.sign_in(access, "dev", PASSWORD, address="10.0.0.9")
    clock.advance(2 * 86_400_000)
    assert access.by_cookie(signed.cookie) is None
    assert access.by_token(key) is None
    kinds = [entry.kind for entry in access.journal.entries()]
    assert kinds == [
        "access.added",
        "access.accepted",
        "access.signed_in",
        "access.token_made",
        "access.locked",
    ]
    access.engine.dispose()

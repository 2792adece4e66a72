import orjson
import pytest
from joining import FAST, PASSWORD, START, joined

from lemnis import app
from lemnis.app.access import accounts, attempts, demand, may, passwords, signing, tokens
from lemnis.app.access.permissions import Person, rights
from lemnis.app.access.service import Access
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.role import PERMISSIONS, Role
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import (
    AccessError,
    BusyError,
    ContentError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from lemnis.interfaces.cli import run


@pytest.fixture
def access(tmp_path):
    workspace = app.init(tmp_path / "soc", clock=ManualClock(START))
    return Access(workspace, passwords=FAST)


def signed(access, name, password=PASSWORD, address="10.0.0.1"):
    return signing.sign_in(access, name, password, address=address)


def test_first_account_has_every_role_and_its_link_counts_once(access):
    link = accounts.first(access, actor="root")
    with pytest.raises(UsageError, match="too easily guessed"):
        accounts.accept(access, link.secret, "ana", "anaanaanaana")
    signed_in = accounts.accept(access, link.secret, "Ana", PASSWORD)
    assert signed_in.person.name == "ana"
    assert set(signed_in.person.roles) == set(access.rights.roles)
    assert access.by_cookie(signed_in.cookie) == signed_in.person
    with pytest.raises(AccessError, match="was used"):
        accounts.accept(access, link.secret, "eve", PASSWORD)
    assert accounts.first(access, actor="root") is None


def test_a_later_first_link_ends_the_one_before(access):
    old = accounts.first(access, actor="root")
    accounts.first(access, actor="root")
    with pytest.raises(AccessError):
        accounts.accept(access, old.secret, "eve", PASSWORD)


def test_invitation_is_over_after_a_day(access):
    _, invitation = accounts.add(access, "ben", ["viewer"], actor="root")
    access.clock.advance(accounts.VALID_MS)
    with pytest.raises(AccessError, match="over"):
        accounts.accept(access, invitation.secret, "", PASSWORD)


def test_sessions_end_by_idleness_by_age_and_by_signing_out(access):
    one = joined(access, "ana", "analyst")
    access.clock.advance(access.idle_ms - 1)
    assert access.by_cookie(one.cookie) is not None
    access.clock.advance(access.idle_ms)
    assert access.by_cookie(one.cookie) is None
    two = signed(access, "ana")
    for _ in range(access.lasts_ms // (access.idle_ms // 2)):
        assert access.by_cookie(two.cookie) is not None
        access.clock.advance(access.idle_ms // 2)
    assert access.by_cookie(two.cookie) is None
    three = signed(access, "ana")
    assert len({one.cookie, two.cookie, three.cookie}) == 3
    signing.sign_out(access, three.cookie)
    assert access.by_cookie(three.cookie) is None


@pytest.mark.parametrize(
    ("name", "password"), [("ana", "wrong"), ("nobody", PASSWORD), ("", ""), ("ana\0", "x")]
)
def test_what_is_wrong_is_told_alike(access, name, password):
    joined(access, "ana", "analyst")
    with pytest.raises(AccessError, match=r"^name or password is wrong$"):
        signed(access, name, password)


def test_guessing_is_slowed_down_and_the_owner_gets_in_from_elsewhere(access):
    joined(access, "ana", "analyst")
    for _ in range(5):
        with pytest.raises(AccessError):
            signed(access, "ana", "wrong")
    with pytest.raises(BusyError) as busy:
        signed(access, "ana", PASSWORD)
    assert 0 < busy.value.retry_after_s <= 30
    assert signed(access, "ana", address="10.0.0.2").person.name == "ana"
    access.clock.advance(30_000)
    assert signed(access, "ana").person.name == "ana"
    assert [one.payload["name"] for one in access.journal.entries(kind="access.locked")] == ["ana"]


def test_waits_grow_and_end():
    times = [START + 1000 * n for n in range(12)]
    now = times[-1]
    waits = [attempts.wait({"pair ana x": times[-n:]}, now) for n in range(1, 13)]
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:7] == [30_000, 60_000, 120_000]
    assert max(waits) == 15 * 60_000
    assert attempts.wait({"pair ana x": times}, now + attempts.WINDOW_MS) == 0
    assert attempts.wait({"from x": times, "name ana": times}, now) == 0


def test_disabled_accounts_are_out_at_once(access):
    joined(access, "root", "admin")
    one = joined(access, "ana", "analyst")
    _, key = tokens.make(access, accounts.find(access, "ana"), "ci", ["incident.read"], days=1, actor="ana")
    assert access.by_token(key).scopes == ("incident.read",)
    accounts.change(access, "ana", actor="root", disabled=True)
    assert access.by_cookie(one.cookie) is None
    assert access.by_token(key) is None
    with pytest.raises(AccessError):
        signed(access, "ana")


def test_somebody_is_left_who_changes_accounts(access):
    joined(access, "root", "admin")
    with pytest.raises(RefusedError, match="nobody could"):
        accounts.change(access, "root", actor="root", roles=["viewer"])
    with pytest.raises(RefusedError, match="nobody could"):
        accounts.change(access, "root", actor="root", disabled=True)


def test_changed_roles_count_at_once(access):
    joined(access, "root", "admin")
    one = joined(access, "ana", "analyst")
    assert may(access.by_cookie(one.cookie), "incident.close")
    accounts.change(access, "ana", actor="root", roles=["viewer"])
    assert not may(access.by_cookie(one.cookie), "incident.close")


def test_reset_ends_sessions_and_password(access):
    joined(access, "root", "admin")
    one = joined(access, "ana", "analyst")
    _, key = tokens.make(access, accounts.find(access, "ana"), "ci", ["alert.read"], days=1, actor="ana")
    link = accounts.reset(access, "ana", actor="root")
    assert access.by_cookie(one.cookie) is None
    assert access.by_token(key) is None
    with pytest.raises(AccessError):
        signed(access, "ana")
    accounts.accept(access, link.secret, "ignored", PASSWORD + "!")
    assert signed(access, "ana", PASSWORD + "!").person.name == "ana"


def test_own_password_is_changed_with_the_old_one_and_ends_other_sessions(access):
    one, other = joined(access, "ana", "analyst"), signed(access, "ana")
    with pytest.raises(AccessError, match="old password"):
        signing.change_password(access, one.person, "wrong", "x" * 20, cookie=one.cookie, address="10.0.0.1")
    signing.change_password(
        access, one.person, PASSWORD, "quite another sentence", cookie=one.cookie, address="10.0.0.1"
    )
    assert access.by_cookie(one.cookie) is not None
    assert access.by_cookie(other.cookie) is None


def test_tokens_have_scopes_and_an_end_and_never_more_than_their_account(access):
    joined(access, "root", "admin")
    joined(access, "ana", "analyst")
    account = accounts.find(access, "ana")
    _, key = tokens.make(access, account, "ci", ["incident.read", "incident.close"], days=1, actor="ana")
    person = access.by_token(key)
    assert may(person, "incident.close")
    assert not may(person, "alert.read")
    accounts.change(access, "ana", actor="root", roles=["viewer"])
    assert not may(access.by_token(key), "incident.close")
    access.clock.advance(86_400_000)
    assert access.by_token(key) is None
    with pytest.raises(UsageError, match="may not"):
        tokens.make(access, account, "x", ["access.change"], days=1, actor="ana")
    with pytest.raises(UsageError, match="no permission"):
        tokens.make(access, account, "x", ["*"], days=1, actor="ana")
    assert access.by_token("lmn_" + "A" * 43) is None
    assert access.by_token(access.tables.tokens(account.id)[0].hash) is None


def test_a_token_of_somebody_else_is_not_revoked(access):
    joined(access, "ana", "analyst")
    joined(access, "ben", "analyst")
    token, key = tokens.make(access, accounts.find(access, "ana"), "ci", ["alert.read"], days=1, actor="ana")
    with pytest.raises(NotFoundError):
        tokens.revoke(access, token.id, accounts.find(access, "ben"), actor="ben")
    assert access.by_token(key) is not None


@pytest.mark.parametrize("name", ["", " ", "lemnis", "a b", "person-1", "Ä", "x" * 65, "../x", "a\nb", "<b>"])
def test_names_that_cannot_be(access, name):
    with pytest.raises(UsageError):
        accounts.add(access, name, ["viewer"], actor="root")


def test_names_are_one_whatever_their_case(access):
    accounts.add(access, "Ana", ["viewer"], actor="root")
    with pytest.raises(RefusedError):
        accounts.add(access, "aNA", ["viewer"], actor="root")


@pytest.mark.parametrize(
    "password",
    ["", "short", "password1234", "aaaaaaaaaaaaaaaa", "anaanaanaanaana1", "x" * 257, "123456789012345"],
)
def test_passwords_that_are_too_weak(password):
    with pytest.raises(UsageError):
        passwords.check(password, "ana")


def test_passwords_are_argon2id():
    hashed = passwords.Passwords().hash(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.Passwords().fits(hashed, PASSWORD)
    assert not passwords.Passwords().fits(hashed, PASSWORD + " ")
    assert not passwords.Passwords().fits("", "nobody has this password")


def test_no_secret_is_in_the_database(access):
    one = joined(access, "ana", "analyst")
    _, key = tokens.make(access, accounts.find(access, "ana"), "ci", ["alert.read"], days=1, actor="ana")
    _, invitation = accounts.add(access, "ben", ["viewer"], actor="root")
    files = (access.workspace.state / name for name in ("journal.db", "journal.db-wal"))
    raw = b"".join(path.read_bytes() for path in files if path.exists())
    for secret in (one.cookie, key, key.removeprefix("lmn_"), invitation.secret, PASSWORD):
        assert secret.encode() not in raw


def test_every_change_is_in_the_journal(access):
    joined(access, "root", "admin")
    accounts.change(access, "root", actor="root", teams=["soc"])
    kinds = [one.kind for one in access.journal.entries()]
    assert kinds == ["access.added", "access.accepted", "access.signed_in", "access.changed"]
    assert {one.actor for one in access.journal.entries()} == {"root"}


# -- roles and rules ---------------------------------------------------------------------------------------


def test_roles_that_ship():
    library = Library.open()
    roles = {name: yaml.load(one.manifest, Role) for name, one in library.items("roles").items()}
    assert set(roles) == {
        "viewer",
        "analyst",
        "responder",
        "detection_engineer",
        "developer",
        "privacy_officer",
        "admin",
    }
    found = rights(roles).roles
    assert frozenset().union(*found.values()) == set(PERMISSIONS), "a permission that no role has"
    assert "personal.read" not in found["admin"] | found["viewer"] | found["developer"]
    assert "access.change" in found["admin"]
    assert sum("access.change" in one for one in found.values()) == 1
    assert found["viewer"] < found["analyst"] < found["responder"]
    assert "incident.close" not in found["admin"]


def test_rules_take_away_what_roles_give(access):
    one = joined(access, "dana", "developer", teams=["shop"]).person
    assert may(one, "finding.change")
    assert may(one, "finding.change", {"kind": "finding", "service": "shop", "team": "shop"})
    assert not may(one, "finding.change", {"kind": "finding", "service": "pay", "team": "billing"})
    with pytest.raises(AccessError, match="dana is of no team that owns pay"):
        demand(one, "finding.change", {"service": "pay", "team": "billing"})
    with pytest.raises(UsageError, match="rules know nothing"):
        may(one, "finding.change", {"colour": "red"})
    analyst = joined(access, "ana", "analyst", "developer").person
    assert may(analyst, "finding.change", {"service": "pay", "team": "billing"})


def test_what_cannot_be_decided_is_refused(access, tmp_path):
    folder = access.workspace.content / "policies" / "broken"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text("id: broken\ntitle: breaks\nstages: [access]\n")
    (folder / "policy.rego").write_text(
        "package lemnis.broken\nimport rego.v1\n"
        'deny contains r if { x := to_number(input.about.id)\n x > 1\n r := {"message": "m"} }\n'
    )
    one = joined(Access(access.workspace, passwords=FAST), "ana", "analyst").person
    assert may(one, "incident.close", {"id": "1"})
    assert not may(one, "incident.close", {"id": "not a number"})


def test_nobody_may_anything():
    assert not any(may(None, one) for one in PERMISSIONS)
    assert not any(may(Person("person-0", "x"), one) for one in PERMISSIONS)
    with pytest.raises(UsageError):
        may(None, "incident.destroy")


def test_roles_of_the_workspace_are_read_anew(access):
    joined(access, "root", "admin")
    one = joined(access, "ana", "viewer")
    folder = access.workspace.content / "roles"
    folder.mkdir()
    (folder / "viewer.yaml").write_text("title: Viewer\npermissions: [lesson.read]\n")
    access.clock.advance(10_000)
    assert access.by_cookie(one.cookie).permissions == {"lesson.read"}
    (folder / "viewer.yaml").write_text("title: Viewer\npermissions: [everything.do]\n")
    access.clock.advance(10_000)
    assert access.by_cookie(one.cookie).permissions == {"lesson.read"}


def test_roles_that_include_themselves():
    with pytest.raises(ContentError, match="includes itself"):
        rights({"a": Role(title="A", includes=("b",)), "b": Role(title="B", includes=("a",))})
    with pytest.raises(ContentError, match="there is none"):
        rights({"a": Role(title="A", includes=("b",))})


# -- the command -------------------------------------------------------------------------------------------


def test_command(tmp_path, capsys):
    workspace = app.init(tmp_path / "soc")

    def lemnis(*arguments):
        code = run(["access", *arguments, "--json", "--workspace", str(workspace.root)])
        out = capsys.readouterr()
        return code, [orjson.loads(line) for line in out.out.splitlines()], out.err

    code, (added,), _ = lemnis("add", "ana", "--role", "admin", "--team", "soc", "--as", "root")
    assert code == 0
    assert added["link"].startswith("http://localhost:8687/welcome/")
    code, (made,), _ = lemnis("token", "ana", "--label", "ci", "--scope", "access.read", "--days", "2")
    assert made["token"].startswith("lmn_")
    code, (listed,), _ = lemnis("list")
    assert (listed["name"], listed["tokens"], listed["roles"]) == ("ana", 1, ["admin"])
    assert "lmn_" not in str(lemnis("token", "ana"))
    assert lemnis("token", "ana", "--revoke", made["id"])[0] == 0
    assert lemnis("token", "ana")[1] == []
    assert lemnis("change", "ana", "--disable")[0] == 1
    assert lemnis("add", "ben", "--role", "emperor")[0] == 2
    assert lemnis("reset", "nobody")[0] == 2

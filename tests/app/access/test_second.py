import pyotp
import pytest
from joining import FAST, PASSWORD, START, joined

from lemnis import app
from lemnis.app.access import accounts, second, signing
from lemnis.app.access.service import Access
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import AccessError, BusyError, IntegrityError


@pytest.fixture
def access(tmp_path):
    return Access(app.init(tmp_path / "soc", clock=ManualClock(START)), passwords=FAST)


@pytest.fixture
def ana(access):
    joined(access, "ana", "analyst")
    return accounts.find(access, "ana")


def code_at(access, begun, ahead=0):
    return pyotp.TOTP(begun.secret).at((access.clock.now() + ahead) // 1000)


def enrolled(access, ana):
    begun = second.begin(access, ana)
    return begun, second.confirm(access, ana, begun.key, code_at(access, begun))


def signed(access, code="", password=PASSWORD):
    return signing.sign_in(access, "ana", password, address="10.0.0.1", code=code)


def test_a_code_is_needed_and_counts_once(access, ana):
    begun, _ = enrolled(access, ana)
    with pytest.raises(second.SecondError, match="is needed"):
        signed(access)
    with pytest.raises(second.SecondError, match="was used"):
        signed(access, code_at(access, begun))
    access.clock.advance(30_000)
    right = code_at(access, begun)
    assert signed(access, right).person.name == "ana"
    with pytest.raises(second.SecondError):
        signed(access, right)


def test_a_wrong_password_says_nothing_of_the_second_factor(access, ana):
    enrolled(access, ana)
    with pytest.raises(AccessError, match="name or password") as refused:
        signed(access, password="wrong")
    assert not isinstance(refused.value, second.SecondError)


def test_codes_are_not_guessed(access, ana):
    enrolled(access, ana)
    for number in range(5):
        with pytest.raises(second.SecondError):
            signed(access, f"{number:06}")
    with pytest.raises(BusyError):
        signed(access, "000006")


@pytest.mark.parametrize(
    ("ahead", "lets"), [(-90_000, False), (-30_000, True), (0, True), (30_000, True), (60_000, False)]
)
def test_clocks_may_differ_by_a_step(access, ana, ahead, lets):
    begun, _ = enrolled(access, ana)
    access.clock.advance(600_000)
    code = code_at(access, begun, ahead)
    if lets:
        assert signed(access, code)
    else:
        with pytest.raises(second.SecondError):
            signed(access, code)


def test_spare_codes_count_once_each(access, ana):
    _, spare = enrolled(access, ana)
    assert len(set(spare)) == 8
    assert signed(access, spare[0].upper())
    with pytest.raises(second.SecondError):
        signed(access, spare[0])
    assert signed(access, spare[1])


def test_it_counts_only_when_confirmed(access, ana):
    begun = second.begin(access, ana)
    assert signed(access).person.name == "ana"
    with pytest.raises(AccessError):
        second.confirm(access, ana, begun.key, "000000")
    with pytest.raises(AccessError):
        second.confirm(access, ana, begun.key, code_at(access, begun))
    joined(access, "eve", "viewer")
    mine = second.begin(access, ana)
    with pytest.raises(AccessError):
        second.confirm(access, accounts.find(access, "eve"), mine.key, code_at(access, mine))


def test_the_secret_is_sealed_and_the_key_is_beside(access, ana):
    begun, spare = enrolled(access, ana)
    kept = accounts.find(access, "ana").second
    assert begun.secret not in kept
    assert not any(one in kept for one in spare)
    key = access.workspace.state / "keys" / "access.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(bytes(32))
    with pytest.raises(IntegrityError, match="another key"):
        signed(access, code_at(access, begun))


def test_reset_takes_it_away(access, ana):
    joined(access, "root", "admin")
    enrolled(access, ana)
    link = accounts.reset(access, "ana", actor="root")
    accounts.accept(access, link.secret, "", PASSWORD)
    assert signed(access).person.name == "ana"

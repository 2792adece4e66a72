"""Leases: places come free by themselves, tokens are worth nothing afterwards, rates count every process's calls."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lemnis.contracts.clock import ManualClock
from lemnis.store.database import open_engine
from lemnis.store.leases import SqlLeases
from lemnis.testing import cluster


@pytest.fixture
def opened(tmp_path):
    clock, made = ManualClock(1_000_000), []

    def two():
        """Two processes' views of one database."""
        path = tmp_path / "journal.db"
        made.extend(SqlLeases(open_engine(path), clock.now, seconds=30) for _ in range(2))
        return (*made, clock)

    yield two
    for one in made:
        one.close()


def test_a_name_has_so_many_places_for_everyone_together(opened):
    here, there, _ = opened()
    first, second = here.take("vendor", 2, "run-1"), there.take("vendor", 2, "run-2")
    assert None not in {first, second}
    assert here.take("vendor", 2, "run-1") is None
    assert there.take("other", 1, "run-2") is not None
    here.give(first)
    assert there.take("vendor", 2, "run-3") is not None
    assert here.take("vendor", 1, "run-1") is None  # one that was told of fewer places waits for more


def test_a_lease_is_over_unless_it_is_renewed_and_its_token_with_it(opened):
    here, there, clock = opened()
    token = here.take("target", 1, "run-1")
    clock.advance(29_000)
    assert here.renew([token, "nobody's"]) == {token}
    clock.advance(29_000)
    assert there.take("target", 1, "run-2") is None
    clock.advance(1_000)
    second = there.take("target", 1, "run-2")
    assert second is not None
    assert here.renew([token]) == set()
    here.give(token)  # late, and takes nothing from the one that has it now
    assert here.take("target", 1, "run-1") is None
    assert there.renew([second]) == {second}


def test_a_holder_that_goes_on_elsewhere_has_its_places_back_at_once(opened):
    here, there, _ = opened()
    assert here.take("target", 1, "run-1") is not None
    there.forget("run-2")
    assert there.take("target", 1, "run-1") is None
    there.forget("run-1")
    assert there.take("target", 1, "run-1") is not None


def test_a_rate_counts_the_calls_of_all(opened):
    here, there, clock = opened()
    waits = [one.turn("vendor", 3) for one in (here, there, here, there, here, there, there)]
    assert waits == [0, 0, 0, 60, 60, 60, 120]
    clock.advance(61_000)
    assert here.turn("other", 3) == 0
    assert here.turn("vendor", 3) == 59


def test_nothing_of_it_stays(opened, tmp_path):
    here, _, clock = opened()
    for number in range(20):
        here.take(f"target {number}", 1, "run-1")
        here.turn("vendor", 100)
    clock.advance(61_000)
    here.give(here.take("target", 1, "run-2"))
    here.turn("vendor", 100)
    with open_engine(tmp_path / "journal.db").connect() as connection:
        counts = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {one}").scalar() for one in ("lease", "turn")
        ]
    assert counts == [0, 1]


@pytest.mark.slow
def test_postgresql_counts_by_its_own_clock():
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    wrong = ManualClock(5)  # a machine whose clock is off by half a century
    with cluster.postgres() as server:
        leases = [SqlLeases(open_engine(server.url), wrong.now, seconds=30) for _ in range(2)]
        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(lambda n: leases[n % 2].take("vendor", 5, f"run-{n}"), range(40)))
            assert len([one for one in taken if one]) == 5
            waits = sorted(pool.map(lambda n: leases[n % 2].turn("vendor", 10), range(20)))
        assert all(wait == 0 for wait in waits[:10])
        assert all(59 < wait <= 60 for wait in waits[10:])
        mine = next(n for n, one in enumerate(taken) if one)
        assert leases[0].renew([taken[mine]]) == {taken[mine]}
        leases[1].forget(f"run-{mine}")
        assert leases[0].renew([taken[mine]]) == set()
        short = SqlLeases(open_engine(server.url), wrong.now, seconds=0)
        assert short.take("short", 1, "run-1") is not None
        assert short.take("short", 1, "run-2") is not None
        for one in (*leases, short):
            one.close()

"""A cluster gives what one process gives, to the id, whatever is killed in the middle."""

import os
import signal
import threading

import pytest
import scaled

from lemnis.app.cluster.worker import MESSAGES
from lemnis.testing.cluster import Gate

pytestmark = pytest.mark.scale
EVENTS = int(os.environ.get("LEMNIS_TEST_SCALE", "12000"))


@pytest.fixture(scope="module")
def bodies():
    return scaled.requests(EVENTS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, bodies):
    """What one process makes of it."""
    found = scaled.single(tmp_path_factory.mktemp("alone") / "one", bodies)
    assert len(scaled.kinds(found)) >= 9, scaled.dump(found)
    assert len(found["uids"]) == EVENTS + 1 - EVENTS % 4
    return found


def differing(found, alone):
    """Return what was lost, is there twice, or is there besides: events, alerts, incidents."""
    return {
        "twice": [uid for uid, count in found["uids"].items() if count != 1],
        "uids": found["uids"].keys() ^ alone["uids"].keys(),
        "alerts": set(found["alerts"].items()) ^ set(alone["alerts"].items()),
        "incidents": found["incidents"] ^ alone["incidents"],
    }


NOTHING = {"twice": [], "uids": set(), "alerts": set(), "incidents": set()}


def test_a_cluster_gives_the_alerts_of_one_process(servers, tmp_path, bodies, alone):
    with scaled.Machines(servers, tmp_path / "calm", cache=alone["root"]) as machines:
        scaled.send(machines.gateway.wait_for("listening"), bodies)
        machines.settled()
        machines.shared_out()
        told = [machines.told_by(one) for one in machines.all]
        lanes = machines.lanes()
        machines.stop()
        assert differing(machines.outcome(), alone) == NOTHING
    gateway, *workers, correlator = told
    assert all(one["readyz"]["status"] == "ok" for one in told)
    assert (
        sum(one["lemnis_cluster_messages_total"] for one in workers)
        == gateway["lemnis_cluster_messages_total"]
    )
    assert sum(one["lemnis_cluster_accepted_total"] for one in workers) == len(alone["uids"])
    assert [len(one["lemnis_lane_behind_messages"]) for one in workers] == [2, 2]
    assert correlator["lemnis_correlator_active"] == 1
    assert [one.behind for one in lanes[:4]] == [0] * 4
    assert all(one.held for one in lanes)
    assert sum(one.last for one in lanes[:4]) == gateway["lemnis_cluster_messages_total"]


def test_a_long_batch_is_done_again_as_a_whole(servers, tmp_path, alone):
    """A worker dies with more messages planned than its successor takes at once, and more behind them."""
    bodies = [("web_combined", f"line {n}\n".encode()) for n in range(3 * MESSAGES)]
    with scaled.Machines(
        servers, tmp_path / "long", cache=alone["root"], workers=1, partitions=1
    ) as machines:
        machines.workers[0].end(signal.SIGKILL)  # it has not begun to work: it loads its rules for seconds
        scaled.send(machines.gateway.wait_for("listening"), bodies)
        (lane, _) = machines.lanes()
        assert (lane.held, lane.behind > 2 * MESSAGES, lane.oldest_s > 0) == (False, True, True)
        machines.dying(2 * MESSAGES + 3)
        machines.workers[0].start()
        machines.settled()
        machines.stop()
        assert machines.rejected() == len(bodies)


def test_what_is_killed_in_the_middle_changes_nothing(servers, tmp_path, bodies, alone):
    quarter = len(bodies) // 4
    with scaled.Machines(servers, tmp_path / "killed", cache=alone["root"], correlators=2) as machines:
        address = machines.gateway.wait_for("listening")
        for one in machines.workers:
            one.wait_for("lane")
        down = []

        def strike(number):
            if number == quarter:
                machines.workers[0].end(signal.SIGKILL)
            elif number == 2 * quarter:
                down.append(servers.leader(machines.stream(0)))
                down[0].end()
            elif number == 3 * quarter:
                down.pop().start()
                machines.workers[0].start()
                machines.correlators[0].end(signal.SIGKILL)
                machines.correlators[0].start()

        scaled.send(address, bodies, told=strike)
        machines.settled()
        machines.stop()
        assert differing(machines.outcome(), alone) == NOTHING


def test_a_gateway_and_its_servers_that_fail_change_nothing(servers, tmp_path, bodies, alone):
    """The gateway is killed under its senders, PostgreSQL crashes, S3 answers 503, the only correlator dies."""
    fifth = len(bodies) // 5
    gate = Gate(servers.endpoint)
    made = scaled.Machines(servers, tmp_path / "failing", cache=alone["root"], endpoint=gate.endpoint)
    with made as machines:
        begun, later = [machines.gateway.wait_for("listening")], []

        def soon(seconds, work):
            later.append(threading.Timer(seconds, work))
            later[-1].start()

        for one in machines.workers:
            one.wait_for("lane")

        def renewed():
            machines.gateway.end(signal.SIGKILL)
            machines.gateway.start()
            begun[0] = machines.gateway.wait_for("listening")

        def strike(number):
            if number == fifth:  # in the middle of what it takes in the next moments
                soon(0.05, renewed)
            elif number == 2 * fifth:
                servers.postgres.end()
                soon(3, servers.postgres.start)
            elif number == 3 * fifth:
                gate.shut.set()
                soon(4, gate.opened)
            elif number == 4 * fifth:
                machines.correlators[0].end(signal.SIGKILL)
                for one in later:  # one that begins without its database ends, and says so
                    one.join()
                machines.correlators[0].start()

        scaled.send_again(lambda: begun[0], bodies, told=strike)
        machines.settled()
        machines.stop()
        assert gate.refused > 0, "S3 was never asked while it answered 503"
        assert differing(machines.outcome(), alone) == NOTHING
    gate.close()

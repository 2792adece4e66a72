"""Every action that lies in ``content/actions``: it is done once, seen, adopted, and taken back."""

import orjson
import pytest
from acting import ACTIONS, LIBRARY, READS, WORLDS, WRITES, Dead, stage

from lemnis.content import yaml
from lemnis.contracts import kinds
from lemnis.respond.answers import ABSENT, PRESENT, extract
from lemnis.respond.building import unfit
from lemnis.respond.template import render
from lemnis.testing import exchange
from lemnis.testing.server import Fault

SEEN = [name for name in WRITES if not ACTIONS[name].blind]
BLIND = [name for name in WRITES if ACTIONS[name].blind]
BACK = [name for name in WRITES if ACTIONS[name].undo]


def test_there_is_a_world_for_every_action_and_for_nothing_else():
    assert set(WORLDS) == set(ACTIONS)
    assert len(ACTIONS) >= 45


@pytest.mark.parametrize("name", ACTIONS)
def test_it_says_what_it_needs(name):
    action = ACTIONS[name]
    assert action.scopes
    assert action.description or action.effect == "read"
    for key, value in WORLDS[name]["inputs"].items():
        assert unfit(action.inputs[key], value) == ""


@pytest.mark.parametrize("name", ACTIONS)
def test_it_asks_what_was_recorded_and_reads_what_was_answered(name):
    path = LIBRARY.get("actions", name).manifest.with_suffix(".exchange.json")
    recorded = yaml.load(path, exchange.Exchange)
    assert exchange.check(ACTIONS[name], recorded) == []
    assert not any(secret in path.read_text() for secret in ("Authorization", "simulated-signature"))


@pytest.mark.parametrize("name", READS)
def test_a_reading_action_reads(name):
    with stage(name) as one:
        caller = one.connections.reach(one.action.connection)
        answer = caller.send(render(one.action.read.request, WORLDS[name]["inputs"]), timeout=5,
                             service=one.action.aws_service)  # fmt: skip
        assert set(extract(one.action.outputs, answer)) == set(one.action.outputs)
        assert one.world.changes() == []


def test_what_an_action_collects_goes_into_the_vault_once():
    with stage("host.collect_file") as one:
        for _ in range(2):
            outcome = one.do()
            assert (outcome.name, outcome.output["evidence"]) == ("done", ["sha256:1"])
        assert one.vault == [("in-1", "host.collect_file web-1 /var/log/auth.log", b"refused")]


def test_what_cannot_be_collected_is_a_failure():
    with stage("host.collect_file") as one:
        one.simulator.hostile = lambda _: Fault("half")
        outcome = one.do()
        assert (outcome.name, one.vault) == ("failed", [])
        assert "peer closed connection" in outcome.error


@pytest.mark.parametrize("name", WRITES)
def test_it_is_done_once_and_a_second_run_finds_it_there(name):
    with stage(name) as one:
        first = one.do("run-1")
        assert (first.name, first.ours, first.attempts) == ("done", True, 1), first
        assert len(one.world.changes()) == 1
        assert one.do("run-1").name == "done"
        assert len(one.world.changes()) == 1
        if name in SEEN:
            again = one.do("run-2")
            assert (again.name, again.ours) == ("already", False), again
            assert len(one.world.changes()) == 1
        assert kinds.CONTAINED in one.journal.kinds()


@pytest.mark.parametrize("name", BACK)
def test_undo_brings_back_what_was_and_only_once(name):
    with stage(name) as one:
        before = one.objects()
        assert one.do().ours
        assert one.state().name == PRESENT
        assert one.objects() != before
        changed = len(one.world.changes())
        assert one.undo().name == "done"
        assert one.state().name == ABSENT
        assert len(one.world.changes()) == changed + 1
        assert one.undo(run="run-10").name == "already"
        assert len(one.world.changes()) == changed + 1
        assert (one.objects() == before) == ("left" not in WORLDS[name])


@pytest.mark.parametrize("name", WRITES)
def test_a_lost_answer_is_settled_by_looking(name):
    with stage(name) as one:
        one.simulator.hostile = lambda asked: Fault("closed", done=True) if _first(one, asked) else None
        outcome = one.do()
        if name in SEEN:
            assert (outcome.name, outcome.ours, outcome.reconciled) == ("done", True, True), outcome
            assert len(one.world.changes()) == 1
        elif one.action.repeatable:
            assert (outcome.name, outcome.attempts) == ("done", 2)
        else:
            assert outcome.name == "failed"
            assert one.action.blind in outcome.error
            assert len(one.world.changes()) == 1


@pytest.mark.parametrize("name", WRITES)
def test_a_death_between_effect_and_record_is_adopted(name):
    with stage(name) as one:

        def dies(caller, request, more):
            answer = caller.send(request, **more)
            if one.world.changes():
                raise Dead
            return answer

        with pytest.raises(Dead):
            one.do(send=dies)
        assert kinds.RESULT not in one.journal.kinds()
        outcome = one.do()
        if name in SEEN:
            assert (outcome.name, outcome.ours, outcome.reconciled) == ("already", True, True), outcome
            assert len(one.world.changes()) == 1
        elif one.action.repeatable:
            assert outcome.name == "done"
        else:
            assert outcome.name == "failed"
            assert "cannot be known" in outcome.error
            assert len(one.world.changes()) == 1


@pytest.mark.parametrize("name", [name for name in SEEN if ACTIONS[name].connection not in
                                  {"cluster", "cloud", "compute", "storage"}])  # fmt: skip
def test_a_target_that_shows_it_a_moment_later_is_waited_for(name):
    with stage(name, lag=3) as one:
        outcome = one.do()
        assert (outcome.name, outcome.ours) == ("done", True), outcome
        assert len(one.world.changes()) == 1


@pytest.mark.parametrize("name", [name for name in SEEN if ACTIONS[name].probe.settles_s])
def test_after_a_death_an_absence_is_not_believed_at_once(name):
    """What search shows a moment later is not made twice by who comes back too early."""
    with stage(name, lag=5) as one:

        def dies(caller, request, more):
            answer = caller.send(request, **more)
            if one.world.changes():
                raise Dead
            return answer

        with pytest.raises(Dead):
            one.do(send=dies)
        outcome = one.do()
        assert (outcome.name, outcome.ours) == ("already", True), outcome
        assert len(one.world.changes()) == 1


@pytest.mark.parametrize(("newest_first", "name"), [(True, "done"), (False, "failed")])
def test_a_list_without_an_end_is_asked_for_so_many_pages(newest_first, name):
    probe = ACTIONS["slack.post_message"].probe
    pages = probe.pick.pages.model_copy(update={"newest_first": newest_first})
    probe = probe.model_copy(update={"pick": probe.pick.model_copy(update={"pages": pages})})
    with stage("slack.post_message", probe=probe) as one:
        one.simulator.page = 1
        outcome = one.do()
        assert (outcome.name, len(one.world.changes())) == (name, int(newest_first)), outcome
        assert newest_first or "goes on after 3 pages" in outcome.error


def test_no_recording_holds_what_looks_like_a_credential():
    for name in ACTIONS:
        path = LIBRARY.get("actions", name).manifest.with_suffix(".exchange.json")
        for turn in orjson.loads(path.read_bytes())["exchange"]:
            assert not {"authorization", "cookie"} & {key.lower() for key in turn["request"]["headers"]}


def _first(one, asked):
    """Say whether this is the first time that the action's request comes."""
    return one.is_do(asked) and not any(one.is_do(line.request) for line in one.simulator.log)

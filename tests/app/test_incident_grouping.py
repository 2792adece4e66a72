"""Merge, split, unmerge and explain: what people decide is kept, and respected by later grouping."""

import orjson
import pytest
from watched import DETECTION, batch

from lemnis import app
from lemnis.app import grouping_file, incidents, watch
from lemnis.contracts.alerts import IncidentStatus, Verdict
from lemnis.interfaces.cli import run

A, B = "192.0.2.1", "192.0.2.9"
ROWS = [(1, 0, "low", A), (2, 9, "high", A), (3, 12, "high", A), (4, 500, "high", B), (5, 505, "low", B)]


@pytest.fixture
def at(tmp_path, monkeypatch):
    workspace = app.init(tmp_path / "w")
    come(workspace, *ROWS)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("LEMNIS_ACTOR", "ana")
    return workspace


@pytest.fixture
def ask(at, capsys):
    def asking(*arguments, code=0):
        assert run(["incident", *arguments, "--json"]) == code
        said = capsys.readouterr()
        return [orjson.loads(line) for line in said.out.splitlines()] or said.err

    return asking


def come(workspace, *rows):
    watching = watch.Watch(workspace, detecting=DETECTION)
    watching.watch([batch(*rows)])
    watching.finish()


def there(workspace):
    """The incidents that stand, by id: their alerts."""
    every = incidents.incidents(workspace)
    return {one.id: frozenset(one.alert_ids) for one in every if not one.merged_into}


def anew(workspace):
    """What a grouping from the journal alone gives."""
    (workspace.state / "cache" / grouping_file.FILE).unlink()
    return there(workspace)


def little(workspace):
    """The newest finding of each incident in the lake."""
    sql = (
        "SELECT metadata.correlation_uid AS id, arg_max(count, metadata.sequence) AS n, max(status) AS s"
        " FROM incident_finding GROUP BY 1"
    )
    return app.lake(workspace).query(sql)


def test_what_is_merged_is_one_until_it_is_taken_apart(at, ask):
    (first, one), (second, other) = there(at).items()
    (merged,) = ask("merge", second, first, "--reason", "one campaign")
    assert merged["id"] == first
    assert merged["merged_from"] == [second]
    assert there(at) == {first: one | other} == anew(at)
    refused = ask("merge", first, second, "--reason", "again", code=1)
    assert "was merged into" in refused

    come(at, (6, 510, "low", B))
    assert len(there(at)[first]) == 6

    (apart,) = ask("unmerge", second, "--reason", "another customer")
    assert (apart["id"], apart["merged_into"]) == (second, "")
    assert apart["status"] == "new"
    assert there(at)[second] == other
    assert anew(at)[second] == other
    come(at, (7, 512, "low", A))
    assert len(there(at)[second]) == 2
    kinds = [entry.kind for entry in app.journal(at).entries(subject=second)]
    assert kinds.count("incident.merged") == kinds.count("incident.unmerged") == 1
    assert ask("merge", first, second, "--reason", "one after all")[0]["merged_from"] == [second]
    assert there(at).keys() == {first} == anew(at).keys()


def test_what_is_parted_is_not_joined_again_by_the_same(at, ask):
    first, one = next(iter(there(at).items()))
    out = incidents.get(at, first).groups[0].alerts[0][0]
    (parted,) = ask("split", first, "--alert", out, "--reason", "our own scanner")
    new = parted["id"]
    assert new not in {first, out}
    assert "parted from" in incidents.get(at, new).groups[0].reasons[0]
    assert there(at)[new] == {out}
    assert there(at)[first] == one - {out}
    come(at, (6, 1, "high", A), (7, 0, "low", A))
    after = there(at)
    assert after[new] == {out}
    assert len(after[first]) == len(one) + 1
    assert anew(at) == after
    assert incidents.get(at, first).split_into == (new,)

    (again,) = ask("merge", new, first, "--reason", "not ours")
    assert again["id"] == first
    assert there(at)[first] == after[first] | {out}
    assert anew(at) == there(at)


def test_by_rule_and_by_entity(at, ask):
    (first, _), (second, _) = there(at).items()
    (lows,) = ask("split", first, "--rule", "A knock", "--reason", "noise")
    assert len(there(at)[lows["id"]]) == 1
    ask("merge", first, second, "--reason", "one")
    (about,) = ask("split", first, "--entity", f"address:{B}", "--reason", "not ours")
    assert len(there(at)[about["id"]]) == 2
    assert anew(at) == there(at)
    statuses = {one["id"]: one["n"] for one in little(at).to_pylist()}
    assert statuses.keys() >= there(at).keys()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing of"),
        (("--rule", "A knock", "--rule", "A break-in"), "that is all of"),
        (("--alert", "al-0000000000000000"), "not in"),
        (("--entity", "planet:mars"), "no entity"),
    ],
)
def test_a_split_that_means_nothing_is_refused(at, ask, arguments, says):
    first = next(iter(there(at)))
    before = app.journal(at).head()
    assert says in ask("split", first, *arguments, "--reason", "so", code=2)
    assert "a reason" in ask("split", first, "--rule", "A knock", "--reason", " ", code=2)
    assert "was not merged" in ask("unmerge", first, "--reason", "so", code=1)
    assert app.journal(at).head() == before


def test_why_alerts_are_together_is_told_with_weights(at, ask, capsys):
    first = next(iter(there(at)))
    said = ask("explain", first)
    assert [len(one["tied_to"]) for one in said] == [2, 2, 2]
    link = said[1]["tied_to"][0]
    assert (link["weight"], link["apart_ms"]) == (100, -540_000)
    assert link["shares"] == [{"entity": f"address:{A}", "weight": 100}]
    assert len(ask("explain", first, "--alert", said[0]["id"])) == 1
    ask("split", first, "--alert", said[0]["id"], "--reason", "so")
    assert run(["incident", "explain", said[0]["id"]]) == 0
    assert "joined by a person" in capsys.readouterr().out


def test_an_incident_goes_on_under_the_id_of_its_earliest_alert(at, ask, tmp_path):
    first = next(iter(there(at)))
    ask("acknowledge", first)
    ask("note", first, "seen before")
    come(at, (0, -20, "low", A))
    known = there(at)
    assert first not in known
    late = incidents.get(at, first)
    now = incidents.get(at, late.merged_into)
    assert (now.status, now.owner) == (IncidentStatus.IN_PROGRESS, "ana")
    assert now.opened == late.opened
    assert [note.text for note in now.notes] == ["seen before"]
    assert (late.status, late.verdict) == (IncidentStatus.CLOSED, Verdict.DUPLICATE)
    assert anew(at) == known
    other = app.init(tmp_path / "other")
    for row in [(0, -20, "low", A), *reversed(ROWS)]:
        come(other, row)
    assert there(other) == known


def test_one_that_was_closed_is_open_again_when_it_goes_on(at, ask):
    first = next(iter(there(at)))
    ask("close", first, "--verdict", "true_positive", "--reason", "done")
    come(at, (0, -20, "low", A))
    now = incidents.get(at, incidents.get(at, first).merged_into)
    assert now.status is IncidentStatus.IN_PROGRESS
    assert len(now.transitions) == 2
    assert "joined after it was closed" in now.transitions[-1].reason


def test_what_was_written_but_not_noted_is_taken_over_and_not_written_again(at):
    known = there(at)
    watching = watch.Watch(at, detecting=DETECTION)
    watching.watch([batch((6, 1, "high", A), (7, 2000, "high", "192.0.2.77"), (8, -5, "low", A))])
    grouped, journal = watching._grouped, app.journal(at)
    keep = grouped._groups.keep

    def dies(name, value):
        if name == "own":
            raise KeyboardInterrupt
        keep(name, value)

    grouped._groups.keep = dies
    with pytest.raises(KeyboardInterrupt):
        grouped.settle()
    written = journal.head()
    grouped._groups.keep = keep
    come(at, (9, 2001, "low", "192.0.2.77"))
    after = there(at)
    assert len(after) == len(known) + 1
    assert sorted(map(len, after.values())) == [2, 2, 5]
    again = [entry for entry in journal.entries(after=written[0]) if entry.kind.startswith("incident")]
    assert [entry.kind for entry in again] == ["incident.joined"]
    assert anew(at) == after
    assert all(next(iter(journal.entries(subject=one))).kind == "incident.opened" for one in after)


def test_after_a_look_that_failed_the_same_process_goes_on_as_if_it_had_not_been(at):
    watching = watch.Watch(at, detecting=DETECTION)
    watching.watch([batch((6, 1, "high", A), (7, 2000, "high", "192.0.2.77"))])
    grouped = watching._grouped
    keep = grouped._groups.keep

    def dies(name, value):
        if name == "own":
            raise KeyboardInterrupt
        keep(name, value)

    grouped._groups.keep = dies
    with pytest.raises(KeyboardInterrupt):
        grouped.settle()
    grouped._groups.keep = keep
    grouped.settle()
    assert sorted(map(len, there(at).values())) == [1, 2, 4]
    assert {row["id"]: row["n"] for row in little(at).to_pylist()} == {
        one: len(alerts) for one, alerts in there(at).items()
    }
    assert anew(at) == there(at)


def test_two_processes_in_turns_see_each_others_work(at):
    one, other = (watch.Watch(at, detecting=DETECTION) for _ in range(2))
    for number, watching in enumerate([one, other, one, other], start=10):
        watching.watch([batch((number, number, "low", A))])
        watching.finish()
    assert sorted(map(len, there(at).values())) == [2, 7]
    assert anew(at) == there(at)
